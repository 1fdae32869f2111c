"""What the writers share: images as files of safe names, files of a split, and JSON lists of any length."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Generic, TypeVar

from gritmill.pipeline.convert.sample import Losses, Sample
from gritmill.pipeline.storage.member_names import member_stem
from gritmill.schemas.records import to_json

T = TypeVar("T")

_STEP = r"[A-Za-z0-9_%~-][A-Za-z0-9_.%~-]*"
_PATH = re.compile(rf"(?:{_STEP}/)*{_STEP}\.(?:jpe?g|png|webp|gif|bmp|tiff?)", re.IGNORECASE)
_STEM = re.compile(r"[A-Za-z0-9_%~-]{1,200}")
_LONGEST = 200


class Pictures:
    """Copies images into a folder, unchanged, each once: samples of one `image_id` share a file."""

    def __init__(self, folder: Path, losses: Losses, copy: bool) -> None:
        """Without `copy`, images are named and nothing is written."""
        self._folder = folder
        self._losses = losses
        self._copy = copy

    def put(self, sample: Sample, name: str | None = None) -> str:
        """The name of a sample's image in the folder; the image is there if it could be had."""
        name = name or picture_name(sample)
        path = self._folder / name
        if self._copy and path.exists():
            # What a sample of the same image wrote; looking at its bytes would cost a read for each caption.
            if sample.where and sample.where.length not in (0, path.stat().st_size):
                self._losses.part(sample.record["key"], f"another image is called {name}")
        elif self._copy:
            image = sample.image
            if image is None:
                self._losses.part(sample.record["key"], "its image is not found")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(image)
        return name


def picture_name(sample: Sample) -> str:
    """What the file of an image is called: its id where that is a plain path, else the id made safe.

    `train2017/000000000139.jpg` stays; `000000000139` becomes `000000000139.jpg`, `../x` `%2E%2E%2Fx.jpg`.
    """
    image_id: str = sample.record["image_id"]
    if len(image_id) <= _LONGEST and _PATH.fullmatch(image_id):
        return image_id
    stem = image_id if _STEM.fullmatch(image_id) else member_stem(image_id)
    return f"{stem}.{sample.extension}"


class BySplit(Generic[T]):
    """One writer for each split that occurs, opened when it first does.

    with BySplit(lambda split: open(...)) as writers:
        writers["train"].write(...)
    """

    def __init__(
        self,
        open_writer: Callable[[str], contextlib.AbstractContextManager[T]],
        named: Callable[[str], str] = str,
    ) -> None:
        """`named` tells which splits share a writer: those of which it makes the same name."""
        self._open = open_writer
        self._named = named
        self._stack = contextlib.ExitStack()
        self._writers: dict[str, T] = {}

    def __getitem__(self, split: str) -> T:
        name = self._named(member_stem(split))
        if name not in self._writers:
            self._writers[name] = self._stack.enter_context(self._open(name))
        return self._writers[name]

    def __enter__(self) -> "BySplit[T]":
        return self

    def __exit__(self, *error: object) -> bool | None:
        return self._stack.__exit__(*error)  # type: ignore[arg-type]


@contextlib.contextmanager
def json_list(path: Path) -> Iterator[Callable[[object], None]]:
    """A function that appends to a JSON list, an entry a line; the list ends with the block."""
    with path.open("wb") as file:
        between = b"[\n"

        def append(entry: object) -> None:
            nonlocal between
            file.write(between + to_json(entry))
            between = b",\n"

        yield append
        file.write(b"\n]\n" if between == b",\n" else b"[]\n")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A new file for writing, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        yield file


def reopened(file: IO[bytes]) -> BinaryIO:
    """A temporary file from its start; closing what is returned leaves the file open."""
    file.seek(0)
    return os.fdopen(os.dup(file.fileno()), "rb")
