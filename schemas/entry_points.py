"""What other distributions that are installed here bring under a name of their own.

    [project.entry-points.gritmill]
    caption_length = "my_package.stages:CaptionLength"

One group for all kinds: what it is, stage, source, format, dialect or family of models, is told by its class.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from gritmill.schemas.errors import UserError

GROUP = "gritmill"


class Given(NamedTuple):
    """Something that a distribution brings."""

    target: str
    """`my_package.stages:CaptionLength`."""
    distribution: str


@cache
def all_given() -> dict[str, list[Given]]:
    """Everything by its name. Nothing is imported."""
    found: dict[str, list[Given]] = {}
    for point in sorted(entry_points(group=GROUP)):
        distribution = point.dist.name if point.dist else "something"
        given = Given(point.value, distribution)
        if given not in found.setdefault(point.name, []):
            found[point.name].append(given)
    return found


def given_as(name: str) -> Given | None:
    """What has this name. Raises `UserError` if two distributions give it to something."""
    given = all_given().get(name, [])
    if len(given) > 1:
        one, other = given[:2]
        raise UserError(
            f"{name!r} is a name that both {one.distribution} and {other.distribution} give; uninstall one, "
            f"or write {one.target} or {other.target} instead"
        )
    return given[0] if given else None


def is_kind(found: Any, kind: type) -> bool:
    """Whether something is a class that builds on `kind`, or an object of it."""
    return isinstance(found, kind) or (isinstance(found, type) and issubclass(found, kind))
