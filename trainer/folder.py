"""The folder of a training: whose it is, its checkpoints, its finished model.

    log.jsonl  report.md  gritmill.json  checkpoint-500/  checkpoint-1000/  model/

A checkpoint, and the model, is written under another name and renamed when it is whole; what a kill leaves
half written has that other name, and is removed.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from gritmill.pipeline.storage.lock import Held, hold
from gritmill.pipeline.storage.whole import put_folder
from gritmill.schemas.errors import UserError
from gritmill.trainer import metrics_file, provenance
from gritmill.trainer.provenance import Provenance

MODEL = "model"
SCORES = "eval"
"""Where the scores of the model lie; see `trainer/metrics_file.py`."""
LOG = "log.jsonl"
REPORT = "report.md"
UNFINISHED = ".unfinished"
_LOCK = ".lock"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)").fullmatch


class Folder:
    """A local folder that holds one training."""

    def __init__(self, path: str) -> None:
        if "://" in path:
            raise UserError(f"a training cannot write to {path}; set train.dir to a folder of this machine")
        self.path = Path(path)

    @property
    def model(self) -> Path:
        """The finished model; there only when the training is done."""
        return self.path / MODEL

    @property
    def log(self) -> Path:
        return self.path / LOG

    @property
    def unfinished(self) -> Path:
        """Where a checkpoint is written before it has its name."""
        return self.path / UNFINISHED

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder, or raises `UserError` if another training does. Killed, it lets go."""
        try:
            file = hold(self.path / _LOCK)
        except Held as error:
            raise UserError(
                f"another training is at work in {self.path}; wait for it, or choose another train.dir"
            ) from error
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path}: {error.strerror}; choose another train.dir"
            ) from error
        with file:
            yield

    def check(self, made: Provenance) -> None:
        """Raises `UserError` if the folder holds anything but this training, or what there is of it."""
        found = provenance.read(self.path)
        if found is None:
            if any(not entry.name.startswith(".") for entry in self.path.iterdir()):
                raise UserError(
                    f"{self.path} is not empty and no training of ours; choose another train.dir, "
                    "or empty it first"
                )
        elif changes := provenance.differences(found, made):
            more = f", and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise UserError(
                f"{self.path} holds another training: {'; '.join(changes[:3])}{more}; "
                "choose another train.dir, or replace it with --replace"
            )

    def clear_other(self, made: Provenance) -> None:
        """Makes the folder of another training this one's. What is not of it stays."""
        found = provenance.read(self.path)
        if found is not None and provenance.differences(found, made):
            self.clear()
            provenance.write(self.path, made)

    def claim(self, made: Provenance) -> None:
        """Marks the folder as this training's, unless it is; raises as `check` does."""
        self.check(made)
        found = provenance.read(self.path)
        if found is None or "model" not in found:  # else it tells the versions that it was begun with
            provenance.write(self.path, made)

    def clear(self) -> None:
        """Removes what a training wrote here, and the scores of its model, so that it begins anew."""
        if provenance.read(self.path) is None:
            return
        metrics_file.clear(self.path / SCORES)
        for entry in self.path.iterdir():
            if entry.name in (MODEL, UNFINISHED) or _CHECKPOINT(entry.name):
                shutil.rmtree(entry)
            elif entry.name in (provenance.FILE, LOG, REPORT):
                entry.unlink()

    def checkpoints(self) -> dict[int, Path]:
        """Step -> checkpoint, in order; whole ones only."""
        found = {int(m[1]): entry for entry in self.path.iterdir() if (m := _CHECKPOINT(entry.name))}
        return dict(sorted(found.items()))

    def clear_unfinished(self) -> None:
        shutil.rmtree(self.unfinished, ignore_errors=True)
        self.unfinished.mkdir(parents=True)

    def finish(self, name: str, made: Provenance) -> Path:
        """Gives what lies written under `unfinished / name` its place, with its provenance in it."""
        written, place = self.unfinished / name, self.path / name
        provenance.write(written, made)
        put_folder(written, place)
        return place

    def keep_last(self, count: int) -> None:
        """Removes all but so many of the last checkpoints."""
        for checkpoint in list(self.checkpoints().values())[:-count]:
            gone = checkpoint.rename(self.unfinished / checkpoint.name)  # never half removed under its name
            shutil.rmtree(gone)
