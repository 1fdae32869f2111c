"""Which results in a work folder no step of the recipe uses any more, and their removal.

Nothing is asked of a source or the network: a result is taken to be of a step if its options and its code are
that step's, and if what fed it is of the step before. Revisions of models are not looked at.
"""

import json
import posixpath
import re
from typing import NamedTuple

from gritmill.pipeline.engine.identity import DIGITS, Identity
from gritmill.pipeline.engine.last_run import RECORDED_STEPS, SCHEME_FILE, is_of_today, made_of_file
from gritmill.pipeline.engine.plan import said_by
from gritmill.pipeline.engine.recipes import RECORDED, Job
from gritmill.pipeline.storage.store import Store

_STEP = re.compile(rf"(.+?)(\.sketch)?-([0-9a-f]{{{DIGITS}}})").fullmatch
_PARTS = re.compile(rf"parts-[0-9a-f]{{{DIGITS}}}\.arrow").fullmatch


class Removed(NamedTuple):
    """A folder of results, or a file, and how much there was of it."""

    name: str
    files: int
    bytes: int


def clean(job: Job, work: Store) -> list[Removed]:
    """Removes what no step uses; of a folder of another scheme all results."""
    of_today = is_of_today(work)
    used = _used(job, work) if of_today else set()
    removed = [
        _remove(work, name) for name in work.folders() if (step := _STEP(name)) and _key(step) not in used
    ]
    last = json.loads(work.read(RECORDED_STEPS)) if work.exists(RECORDED_STEPS) else {}
    keep = {last.get("parts")} if of_today else set()
    removed += [_remove_file(work, n) for n in work.names() if _PARTS(n) and n not in keep]
    if not of_today:
        for name in (RECORDED, RECORDED_STEPS, SCHEME_FILE, "written"):
            work.remove(name)
    return removed


def _used(job: Job, work: Store) -> set[tuple[str, str]]:
    """The steps, each with an identity, whose results are still the recipe's."""
    found: dict[str, list[str]] = {}
    for step in filter(None, map(_STEP, work.folders())):
        found.setdefault(step[1], []).append(step[3])
    used: set[tuple[str, str]] = set()
    before = {""}
    for name, made_of in said_by(job).items():
        mine = {one for one in found.get(name, []) if _is_of(made_of, before, work, made_of_file(name, one))}
        used |= {(name, one) for one in mine}
        before = mine
    return used


def _is_of(made_of: Identity, before: set[str], work: Store, path: str) -> bool:
    if not work.exists(path):
        return False
    said, now = json.loads(work.read(path)), made_of.told()
    return said["before"] in before and all(said[part] == now[part] for part in ("options", "code"))


def _key(step: re.Match[str]) -> tuple[str, str]:
    return step[1], step[3]


def _remove(work: Store, folder: str) -> Removed:
    sizes = [work.size(posixpath.join(folder, name)) or 0 for name in work.names(folder)]
    work.remove_folder(folder)
    return Removed(folder, len(sizes), sum(sizes))


def _remove_file(work: Store, name: str) -> Removed:
    size = work.size(name) or 0
    work.remove(name)
    return Removed(name, 1, size)
