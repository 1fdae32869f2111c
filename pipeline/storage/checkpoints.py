"""Finds a transformers checkpoint, in a folder or on the hub, and says which one exactly it is."""

import functools
import hashlib
import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from gritmill.schemas.errors import UserError
from gritmill.schemas.weights import Weights

CONTENT = {".jinja", ".json", ".model", ".safetensors", ".txt"}
"""Files that decide what a model says: weights, configuration, vocabulary, chat template. Other weights are
pickles."""

PROVENANCE = "gritmill.json"
"""What our trainer writes beside a model: how it was made (`trainer/provenance.py`)."""

COMMIT = re.compile("[0-9a-f]{40}")
SECONDS = 5
"""How long the hub may take to answer before the cache does."""


class Checkpoint(NamedTuple):
    """>>> Checkpoint("IDEA-Research/grounding-dino-tiny", "a2bb814dd30d...", "grounding-dino")"""

    source: str
    """Hub id or folder, as `from_pretrained` takes it."""
    revision: str
    """Commit of the hub, or digest of the folder's content."""
    model_type: str
    """Architecture, in the words of its `config.json`."""

    @property
    def is_local(self) -> bool:
        return Path(self.source).is_dir()

    @property
    def label(self) -> str:
        """Name and short revision: `IDEA-Research/grounding-dino-tiny@a2bb814dd30d`."""
        name = Path(self.source).resolve().name if self.is_local else self.source
        return f"{name}@{self.revision[:12]}"


def find(model: str, revision: str | None = None) -> Checkpoint:
    """The checkpoint of this name, without its weights; `revision` is a branch, tag or commit.

    The hub is asked which commit a branch is at; where it cannot be reached, the cache on this
    machine answers. Raises `UserError` if there is no such checkpoint.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UserError(f"model {model!r} is a folder and has no revisions; leave its revision out")
        return Checkpoint(str(folder), _content_digest(folder), _model_type(model, folder / "config.json"))
    commit = _commit(model, revision)
    return Checkpoint(model, commit, _model_type(model, _config(model, commit)))


def fetch(checkpoint: Checkpoint) -> Path:
    """The folder that holds its files; downloads what is not in the cache yet."""
    if checkpoint.is_local:
        return Path(checkpoint.source)
    from huggingface_hub import snapshot_download

    patterns = [f"*{suffix}" for suffix in sorted(CONTENT)]
    return Path(snapshot_download(checkpoint.source, revision=checkpoint.revision, allow_patterns=patterns))


def dialect_of(folder: Path) -> str | None:
    """Name of the dialect that a checkpoint was trained to write, if our trainer made it.

    Raises `ValueError` where its `gritmill.json` does not say.
    """
    try:
        made = json.loads((folder / PROVENANCE).read_bytes())
    except FileNotFoundError:
        return None
    if not isinstance(made, dict) or not isinstance(made.get("dialect"), str):
        raise ValueError(f"its {PROVENANCE} names no dialect")
    return str(made["dialect"])


def weights(
    model: str, revision: str | None, option: str = "model_revision", files: str = "*.safetensors"
) -> Weights:
    """What would be loaded for this name and where it is, for `Stage.loads`; downloads none of it.

    `option` is that of the recipe which takes the revision.
    """
    pinned = revision is not None and COMMIT.fullmatch(revision) is not None
    try:
        found = find(model, revision)
    except (UserError, ModuleNotFoundError):  # `problems` or `packages` says so
        return Weights(model, "hub", revision or "", "", files, "" if pinned else option)
    if found.is_local:
        return Weights(model, "disk", found.revision, found.source, files)
    return Weights(model, "hub", found.revision, _cached(found), files, "" if pinned else option)


def size_on_hub(weights: Weights) -> int | None:
    """Bytes of the files that matter; None if the hub cannot be reached or does not say."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(
            weights.name, revision=weights.revision, timeout=SECONDS, files_metadata=True
        )
    except Exception:  # no connection, which each HTTP library says in its own way
        return None
    sizes = [file.size for file in info.siblings or [] if fnmatchcase(file.rfilename, weights.files)]
    return sum(size for size in sizes if size is not None) if sizes and None not in sizes else None


def _cached(checkpoint: Checkpoint) -> str:
    """The folder in the hub's cache; empty if it has nothing of this revision."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(checkpoint.source, "config.json", revision=checkpoint.revision)
    return str(Path(config).parent) if isinstance(config, str) else ""


def _model_type(model: str, config: Path) -> str:
    try:
        return str(json.loads(config.read_text(encoding="utf-8"))["model_type"])
    except FileNotFoundError:
        raise UserError(
            f"folder {model!r} has no config.json; save a model there with save_pretrained"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"config.json of model {model!r} cannot be used: {error!r}") from error


def _content_digest(folder: Path) -> str:
    files = sorted(p for p in folder.iterdir() if p.suffix in CONTENT and p.is_file())
    parts = [f"{p.name} {_file_digest(p, p.stat().st_size, p.stat().st_mtime_ns)}" for p in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@functools.cache
def _file_digest(path: Path, size: int, changed: int) -> str:
    """All of it, half a second for a gigabyte: fine-tuning changes weights and neither size nor head."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _commit(model: str, revision: str | None) -> str:
    """The commit that a branch or tag of the hub is at now."""
    from huggingface_hub import HfApi, errors, try_to_load_from_cache

    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    try:
        return str(HfApi().model_info(model, revision=revision, timeout=SECONDS).sha)
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"model {model!r} has no revision {revision!r}; give a branch, tag or commit of it"
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"model {model!r} is neither a folder nor a model on the hub; check the name, "
            "or `hf auth login` if it is private"
        ) from error
    except Exception as error:  # no connection, which each HTTP library says in its own way
        cached = try_to_load_from_cache(model, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name  # .../snapshots/<commit>/config.json
        raise UserError(
            f"model {model!r} is neither a folder nor in the hub's cache here, and the hub cannot be "
            f"reached; run `hf download {model}` where it can, or give a folder"
        ) from error


def _config(model: str, commit: str) -> Path:
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(model, "config.json", revision=commit))
    except errors.GatedRepoError as error:
        raise UserError(
            f"model {model!r} is gated; accept its terms on the hub, then `hf auth login`"
        ) from error
    except (errors.EntryNotFoundError, errors.HFValidationError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"config.json of model {model!r} cannot be had: {reason}") from error
