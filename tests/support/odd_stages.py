"""Stages that misbehave in ways that real ones do, for the tests of the engine."""

import importlib.metadata
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from gritmill.schemas.columns import Columns, Reject, Span
from gritmill.schemas.conversations import ASSISTANT, HUMAN, Conversation, Turn
from gritmill.stages.base import GlobalStage, Sketches, Stage
from gritmill.stages.filters.base import AtLeast, Filter
from gritmill.stages.maker import Maker


class Slow(Stage):
    """Takes its time, so that a test can kill it in the middle."""

    reads = ("caption",)
    writes = {"slow": int}

    seconds: float = 0.01

    def process(self, batch: Columns) -> Columns:
        time.sleep(self.seconds)
        return {"slow": [len(caption) for caption in batch["caption"]]}


class OtherVersion(Stage):
    """Wants a version of a package that is not the one installed; says which it got."""

    reads = ("caption",)
    writes = {"version": str}
    pinned_packages = {"iniconfig": "2.0.0"}

    def process(self, batch: Columns) -> Columns:
        return {"version": [importlib.metadata.version("iniconfig")] * len(batch["caption"])}


class RaisesOn(Stage):
    """Raises for captions that contain a word, and takes the whole batch down with it."""

    reads = ("caption",)
    writes = {"fine": bool}

    word: str

    def process(self, batch: Columns) -> Columns:
        for caption in batch["caption"]:
            if self.word in caption:
                raise ValueError(f"cannot bear {self.word}")
        return {"fine": [True] * len(batch["caption"])}


class NeedsServer(Stage):
    """Is served only while a file stands, as by a server that may be down."""

    reads = ("key",)
    writes = {"served": bool}

    up: str
    raises: bool = False

    def process(self, batch: Columns) -> Columns:
        def served(key: str) -> bool | Reject:
            if Path(self.up).exists() or int(key.rpartition("_")[0][-2:]) % 5:
                return True
            if self.raises:
                raise TimeoutError("nobody answers")
            return Reject("server_error", "nobody answers")

        return {"served": [served(key) for key in batch["key"]]}


class DiesOn(Stage):
    """Takes the whole process down, as a segmentation fault in a library does."""

    reads = ("key",)
    writes = {"alive": bool}

    keys: list[str]

    def process(self, batch: Columns) -> Columns:
        if set(self.keys) & set(batch["key"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"alive": [True] * len(batch["key"])}


class DropsAll(Stage):
    """Keeps nothing."""

    reads = ("caption",)
    writes = {"kept": bool}

    def process(self, batch: Columns) -> Columns:
        return {"kept": [Reject("never_good_enough", 1, 2) for _ in batch["caption"]]}


class BreaksContract(Stage):
    """Returns fewer rows than it was given."""

    reads = ("caption",)
    writes = {"words": int}

    def process(self, batch: Columns) -> Columns:
        return {"words": [1]}


class FirstOfEachImage(GlobalStage):
    """Keeps one sample of each image: a global stage, for it must know all parts."""

    reads = ("key", "image_id")
    writes = {"first": bool}
    sketches = {"image_id": str}
    decides = {"_first": bool}

    def sketch(self, part: Columns) -> Columns:
        return {"image_id": part["image_id"]}

    def decide(self, sketches: Sketches) -> Iterator[Columns]:
        seen: set[str] = set()
        for sketch in sketches:
            first = []
            for image_id in sketch["image_id"]:
                first.append(image_id not in seen)
                seen.add(image_id)
            yield {"_first": first}

    def process(self, batch: Columns) -> Columns:
        return {"first": [True if first else Reject("not_first") for first in batch["_first"]]}


class SetupFails(Stage):
    """Cannot load its model."""

    reads = ("caption",)
    writes = {"nothing": bool}

    def setup(self) -> None:
        from gritmill.schemas.errors import UserError

        raise UserError("the model nowhere/none is not there. Name another with `model`.")


class Shortens(Stage):
    """Rewrites the conversations that are there: the last of each sample stays."""

    reads = ("conversations",)
    writes = {"conversations": list[Conversation]}

    def process(self, batch: Columns) -> Columns:
        return {"conversations": [told[-1:] for told in batch["conversations"]]}


class QuotesItsAddress(Stage):
    """Raises for captions with "Two", and says where the image lies and a password."""

    reads = ("caption", "image")
    writes = {"quoted": int}

    def process(self, batch: Columns) -> Columns:
        for caption, image in zip(batch["caption"], batch["image"], strict=True):
            if "Two" in caption:
                raise ValueError(f"{image.ref.uri} and https://ann:PASSWORDpw9@host")
        return {"quoted": [1] * len(batch["caption"])}


class Letters(Filter):
    """Caption -> its length; drops short ones."""

    reads = ("caption",)
    writes = {"letters": int}
    bounds = (AtLeast("letters", "min_letters", "too_short"),)

    min_letters: int | None = 3

    def measure(self, batch: Columns) -> Columns:
        return {"letters": list(map(len, batch["caption"]))}


class Forgets(Stage):
    """Writes conversations as if there were none yet."""

    reads = ("caption",)
    writes = {"conversations": list[Conversation]}

    def process(self, batch: Columns) -> Columns:
        return {"conversations": [[Conversation([])] for _ in batch["caption"]]}


class Says(Maker):
    """Makes a conversation of each caption but those with a word in them."""

    reads = ("caption",)

    text: str = "A thing."
    but: str = "nothing"

    def process(self, batch: Columns) -> Columns:
        return {"conversations": [self._row(caption) for caption in batch["caption"]]}

    def _row(self, caption: str) -> list[Conversation] | Reject:
        if self.but in caption:
            return Reject("bad_word", self.but, 0)
        turns = [
            Turn(HUMAN, "caption", "<image>\nWhat?", [], []),
            Turn(ASSISTANT, "caption", self.text, [], []),
        ]
        return [Conversation(turns)]


class SaysOrRaises(Says):
    """Raises for them instead."""

    def _row(self, caption: str) -> list[Conversation] | Reject:
        if self.but in caption:
            raise ValueError(f"cannot bear {self.but}")
        return super()._row(caption)


class Measures(Stage):
    """Says several things of a caption; of one without "blue" it does not know the share."""

    reads = ("caption",)
    writes = {"share": float, "tone": str, "tags": list[str], "words_at": list[Span], "raw": bytes}

    def process(self, batch: Columns) -> Columns:
        captions = batch["caption"]
        return {
            "share": [len(caption) / 100 if "blue" in caption else math.nan for caption in captions],
            "tone": ["blue" if "blue" in caption else None for caption in captions],
            "tags": [caption.split() for caption in captions],
            "words_at": [[Span(0, 1)] for _ in captions],
            "raw": [caption.encode() for caption in captions],
        }
