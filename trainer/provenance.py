"""What made a model: `gritmill.json` in a training's folder, in each of its checkpoints and in the model.

{"made_from": {"recipe": "scenes", "fingerprint": "5f0c…"},
 "shards": {"out/scenes": {"data/train-00000-of-00002.tar": "9b1d…", …}},
 "train": {"model": "tiny", "learning_rate": 0.001, …}, "preset": null,
 "global_batch": 64, "steps": 1000, "versions": {"gritmill": "0.1.0", "python": "3.12.3", …},
 "model": {"type": "llava", "commit": null, "made": null}, "dialect": "plain"}
"""

import json
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from gritmill.pipeline.storage import whole
from gritmill.pipeline.storage.checkpoints import PROVENANCE
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import without_secrets
from gritmill.schemas.training import Train
from gritmill.trainer.presets import presets

FILE = PROVENANCE

Provenance = dict[str, Any]
"""As above; JSON throughout."""

_PACKAGES = ("gritmill", "torch", "transformers", "accelerate", "peft", "tokenizers", "safetensors", "pillow")
_MAY_CHANGE = {"dir", "workers", "log_every", "save_every", "keep", "report_to"}
"""Options that a training may be continued without: they change no weight."""
_DECIDES = ("made_from", "global_batch", "steps", "model", "dialect")


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide what a training computes."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def provenance(
    options: Train,
    *,
    made_from: Mapping[str, Any],
    shards: Mapping[str, Mapping[str, str]],
    global_batch: int,
    steps: int,
) -> Provenance:
    """Everything that makes a model, but for what is known when it is loaded: `model` and `dialect`.

    `options` have their preset filled in; `shards` are folder of a dataset -> path of a shard -> SHA-256.
    """
    made = {
        "made_from": dict(made_from),
        "shards": {folder: dict(sums) for folder, sums in shards.items()},
        "train": options.model_dump(mode="json"),
        "preset": presets()[options.preset].model_dump() if options.preset else None,
        "global_batch": global_batch,
        "steps": steps,
        "versions": versions(),
    }
    return without_secrets(json.loads(json.dumps(made)))


def read(folder: Path) -> Provenance | None:
    """The provenance that lies in a folder; None without one."""
    try:
        return json.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(
            f"{folder / FILE} is damaged ({error}); remove the folder, or choose another"
        ) from error


def write(folder: Path, made: Provenance) -> None:
    """Writes `gritmill.json` into a folder."""
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    whole.write(folder / FILE, text.encode())


def differences(before: Provenance, now: Provenance) -> list[str]:
    """What would make the rest of a training another one than it was begun as, in words.

    Versions may change, as may what a training only reports. Datasets count by their checksums, so that
    a folder may have moved. What only one of the two tells, such as the model before it is loaded, is
    not compared.

    >>> differences(begun, now)
    ['train.learning_rate was 2e-05 and is now 1e-05']
    """
    names = [name for name in _DECIDES if name in before and name in now]
    old, new = (dict(_flat(_compared(made, names))) for made in (before, now))
    return [
        f"{name} was {_short(old.get(name))} and is now {_short(new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _compared(made: Provenance, names: list[str]) -> Provenance:
    train = {name: value for name, value in made["train"].items() if name not in _MAY_CHANGE}
    train["mix"] = list(train["mix"].values())
    shards = [sorted(sums.items()) for sums in made["shards"].values()]
    return {**{name: made[name] for name in names}, "train": train, "shards": shards}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _short(value: Any, most: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]}..."
