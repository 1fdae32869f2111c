"""Prompts with worked examples as folders of plain files, in the layout that LLaVA made a convention.

    conversation/system_message.txt   what the model is told first
    conversation/000_caps.txt         what it is shown
    conversation/000_conv.txt         what it should have answered
    conversation/001_caps.txt         ...

A folder is named in a recipe as one of ours (`conversation`, `caption/general`) or by its path. Files of
other names are passed over, so that LLaVA's own folders load as they are.
"""

import hashlib
import re
from pathlib import Path
from typing import Literal, NamedTuple

from gritmill.schemas.errors import UserError

HERE = Path(__file__).parent
SYSTEM = "system_message.txt"
_PART = re.compile(r"([0-9]+)_(caps|conv)\.txt")

Format = Literal["qa", "answer", "json"]
"""`qa`: LLaVA's questions and answers. `answer`: plain text. `json`: `schemas.replies.Exchanges`."""


class Shot(NamedTuple):
    """One worked example."""

    shown: str
    """The context: captions, boxes."""
    wanted: str
    """The reply."""


class FewShot(NamedTuple):
    """A prompt folder as it was loaded; white space around each text is gone."""

    name: str
    """As the recipe names it."""
    system: str
    shots: list[Shot]
    """By their number; none for a folder that has only a system message."""
    digest: str
    """Short SHA-256 of all names and texts; line ends make no difference."""

    @property
    def format(self) -> Format:
        """What its examples answer in; plain text if it has none."""
        first = self.shots[0].wanted if self.shots else ""
        if first.startswith("Question:"):
            return "qa"
        return "json" if first.startswith("{") else "answer"


def load(folder: str) -> FewShot:
    """A folder of ours by name, or another by path.

    Raises `UserError`, naming the file, where one is missing, empty or not UTF-8.

    >>> load("conversation").shots[0].shown.splitlines()[0]
    'A woman kneels on a pier and mends a green fishing net.'
    """
    path = _path(folder)
    system = _text(path / SYSTEM)
    parts = {found.groups(): _text(file) for file in path.iterdir() if (found := _PART.fullmatch(file.name))}
    shots = []
    for number in sorted({number for number, _ in parts}, key=lambda number: (int(number), number)):
        for kind, other in (("caps", "conv"), ("conv", "caps")):
            if (number, kind) not in parts:
                raise UserError(
                    f"{path / f'{number}_{other}.txt'} has no {number}_{kind}.txt beside it. "
                    "Every example needs both files."
                )
        shots.append(Shot(parts[number, "caps"], parts[number, "conv"]))
    named = [(SYSTEM, system), *((f"{n}_{kind}.txt", text) for (n, kind), text in sorted(parts.items()))]
    return FewShot(folder, system, shots, _digest(named))


def digest(folder: str) -> str:
    """Short SHA-256 of a folder, part of the identity of every stage that uses it. Raises like `load`."""
    return load(folder).digest


def names() -> list[str]:
    """The folders of ours, sorted: `["caption/art", "caption/general", ..., "conversation", ...]`."""
    return sorted(file.parent.relative_to(HERE).as_posix() for file in HERE.rglob(SYSTEM))


def _path(folder: str) -> Path:
    if folder in names():
        return HERE / folder
    path = Path(folder)
    if not path.is_dir():
        raise UserError(
            f"there is no prompt folder {folder!r}; give the path of one, or one of: {', '.join(names())}"
        )
    if not (path / SYSTEM).is_file():
        raise UserError(f"{path / SYSTEM} is missing. Write in it what the model is told first.")
    return path


def _text(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8. Save it as UTF-8.") from error
    if not text:
        raise UserError(f"{file} is empty. Write its text, or remove the example.")
    return text


def _digest(named: list[tuple[str, str]]) -> str:
    hashed = hashlib.sha256()
    for name, text in named:
        # With lengths, so that no text can pass for the beginning of the next file.
        hashed.update(f"{name} {len(text)}\n{text}\n".encode())
    return hashed.hexdigest()[:16]
