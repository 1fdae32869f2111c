"""What decides a step's result, so that it is known whether a result is still what would come out today.

    options    {"min_score": 0.65}                                  as the recipe gives them
    revision   {"en_core_web_sm": "3.8.0"}                          of models and of the data that is read
    code       {"gritmill.stages.select_boxes:SelectBoxes": "1"}    a version of ours, or a digest of the code
    parts      digest of all parts, of a step that must have seen them all
    before     the identity of the step that feeds it

All of it is written down beside the results, so that `pipeline plan` can say what has changed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel

from gritmill.pipeline.engine.reach import CODE, OURS
from gritmill.pipeline.engine.steps_lock import LOCK
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import without_secrets

SCHEME = "2"
"""Raised when identities are made of something else; work folders of another scheme are refused."""
DIGITS = 16


def digest(*values: Any) -> str:
    """Short SHA-256 of plain data, the same in every process."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


class Code(NamedTuple):
    """What the code of a step decides."""

    counted: dict[str, str]
    """`package.module:NAME` -> version or digest: what its identity is made of."""
    definitions: dict[str, str]
    """Every definition that is reached, with a digest: where to look for what has changed."""


def code_of(targets: Iterable[str], own: Iterable[str] = ()) -> Code:
    """The code of classes and functions, and of all that they reach.

    Something of ours counts by its version in the lock, as long as that was written for today's code, and by
    the digest of what it reaches otherwise; so does all that is not ours. `own` are top-level packages that
    count even where they are installed. Raises `UserError` for code that cannot be read.
    """
    counted: dict[str, str] = {}
    definitions: dict[str, str] = {}
    waiting = list(targets)
    while waiting:
        target = waiting.pop()
        if target in counted:
            continue
        try:
            reached = CODE.reach(target, LOCK, tuple(own))
        except LookupError as error:
            raise UserError(
                f"{error}, so that nobody could tell when it changes; put it in a file"
            ) from error
        today = digest(reached.definitions)
        line = LOCK.get(target)
        counted[target] = line.version if line and line.digest == today else today
        definitions |= reached.definitions
        waiting += reached.locked
    return Code(counted, definitions)


def target_of(cls: type) -> str:
    """`package.module:Class` of a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


def classes_code(objects: Iterable[Any], targets: Iterable[str]) -> Code:
    """The code of stages or sources, and of the targets that they name."""
    classes = [type(one) for one in objects]
    bases = {
        base
        for cls in classes
        for base in cls.__mro__
        if issubclass(base, BaseModel) and base is not BaseModel
    }
    own = {base.__module__.partition(".")[0] for base in bases} - {OURS}
    return code_of([*map(target_of, classes), *targets], sorted(own))


@dataclass(frozen=True)
class Identity:
    """What a step's result follows from."""

    options: Mapping[str, Any]
    code: Code
    revision: Mapping[str, str] = field(default_factory=dict)
    parts: str = ""
    before: str = ""

    @property
    def digest(self) -> str:
        return digest(SCHEME, self.options, self.revision, self.code.counted, self.parts, self.before)

    def told(self) -> dict[str, Any]:
        """As it is written down: of what holds a secret, only a digest."""
        options = {name: _told(value, name) for name, value in sorted(self.options.items())}
        return {
            "options": options,
            "revision": {name: _told(text, name) for name, text in sorted(self.revision.items())},
            "code": dict(sorted(self.code.counted.items())),
            "parts": self.parts,
            "before": self.before,
            "definitions": dict(sorted(self.code.definitions.items())),
        }


def _told(value: Any, name: str) -> Any:
    plain = json.loads(json.dumps(value, default=str))
    return plain if without_secrets(plain, name) == plain else f"({digest(plain)[:8]})"
