"""Tables of names: what a name in a recipe stands for, `package.module:NAME`, imported when asked for.

    DIALECTS = Table({"kosmos2": "gritmill.schemas.dialects.kosmos2:KOSMOS2", ...}, Dialect)
    DIALECTS["kosmos2"]; DIALECTS["my_package.my_module:MINE"]; DIALECTS["mine"]  # an entry point

A new line redoes nothing: what is in a table is no part of what its users' code decides. Each names the
targets that it uses, see `Stage.targets`.
"""

import difflib
import importlib
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from gritmill.schemas.entry_points import Given, all_given, given_as, is_kind
from gritmill.schemas.errors import UserError

T = TypeVar("T")


class Table(Mapping[str, T], Generic[T]):
    """Objects of one kind by name: ours, those of entry points, and any by its `package.module:NAME`.

    Its keys are ours alone.
    """

    def __init__(self, targets: Mapping[str, str], kind: type[Any]) -> None:
        self.targets = targets
        self.kind = kind

    def __getitem__(self, name: str) -> T:
        found = named(self.target(name))
        if not isinstance(found, self.kind):
            raise UserError(f"{name!r} is no {self.kind.__name__.lower()}")
        return cast(T, found)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (":" in name or target_of(name, self.targets, self.kind) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.targets)

    def __len__(self) -> int:
        return len(self.targets)

    def target(self, name: str) -> str:
        """`kosmos2` -> `gritmill.schemas.dialects.kosmos2:KOSMOS2`. Raises `KeyError` for an unknown name."""
        target = name if ":" in name else target_of(name, self.targets, self.kind)
        if target is None:
            raise KeyError(name)
        return target


def target_of(name: str, ours: Mapping[str, str], kind: type) -> str | None:
    """What a name stands for: something of ours, or of an entry point of this kind; None for neither.

    Raises `UserError` for a name that stands for two things.
    """
    given = given_as(name)
    if given is None or not is_kind(_brought(name, given), kind):
        return ours.get(name)
    if name in ours:
        raise UserError(
            f"{name!r} is a name of ours that {given.distribution} gives to {given.target}; write "
            f"{ours[name]} or {given.target} instead"
        )
    return given.target


def brought(kind: type) -> Iterator[tuple[str, Given, Any]]:
    """Everything of a kind that entry points bring, with its name. Imports all that they bring."""
    for name in all_given():
        given = given_as(name)
        found = _brought(name, given) if given else None
        if given and is_kind(found, kind):
            yield name, given, found


def _brought(name: str, given: Given) -> Any:
    try:
        return named(given.target)
    except (UserError, ImportError) as error:
        raise UserError(f"{name!r}, which {given.distribution} brings: {error}") from error


def load(target: str, base: type[T]) -> type[T]:
    """`"package.module:Class"` -> the class. Raises `UserError` where there is none that builds on `base`."""
    found = named(target)
    if not isinstance(found, type) or not issubclass(found, base):
        raise UserError(
            f"{target!r} is no {base.__name__.lower()}; name a class that builds on {base.__name__}"
        )
    return found


def named(target: str) -> Any:
    """What `package.module:NAME` stands for. Raises `UserError` where there is no such thing."""
    module, _, name = target.partition(":")
    if not all(word.isidentifier() for word in [*module.split("."), name]):
        raise UserError(f"{target!r} names no class; write it as package.module:Class")
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        missing = getattr(error, "name", None)
        if isinstance(error, ModuleNotFoundError) and missing and not module.startswith(missing):
            raise
        raise UserError(f"{target!r} cannot be imported: {error}") from error


def settings(
    cls: type[BaseModel], field: str, ours: Container[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The options of a class that one of them, `field`, has chosen.

    A class that is not ours may have a word of its own there, `grounder: Literal["mine"] = "mine"`.
    """
    own = cls.model_fields.get(field)
    if options.get(field) in ours or own is None or own.is_required():
        return dict(options)
    return {name: value for name, value in options.items() if name != field}


def suggestion(word: str, known: Iterable[str]) -> str:
    """A tail for a message: `; did you mean 'ground'?`, or the whole list if nothing is near."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
