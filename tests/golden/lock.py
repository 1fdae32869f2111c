"""`make lock`: writes down that today's code gives what the versions in `steps.lock` stand for.

A version stays by itself where the golden rows (`rows.py`) ran every function that has changed and came out
equal. Of anything else somebody has to say whether results would differ:

    make lock SAME=VerifyBoxes,Ground       what they give is the same: versions stay
    make lock RAISE=SelectBoxes             it is not: the version rises, and CHANGELOG.md says so
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from gritmill.pipeline.engine import steps_lock
from gritmill.pipeline.engine.identity import digest, target_of
from gritmill.pipeline.engine.plan import SIGNS, WRITES
from gritmill.pipeline.engine.reach import CodeBase
from gritmill.pipeline.engine.steps_lock import Line
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.output.shards import AssignShards
from gritmill.pipeline.sources.base import Source
from gritmill.pipeline.sources.images import DRAWN
from gritmill.pipeline.sources.registry import all_sources
from gritmill.schemas.dialects import DIALECTS
from gritmill.stages.base import Stage
from gritmill.stages.registry import all_stages
from gritmill.stages.verification.similarity import RegionSimilarity

ROOT = Path(__file__).parent.parent.parent
DEFINITIONS = Path(__file__).with_name("definitions.txt")
CHANGELOG = ROOT / "CHANGELOG.md"


class Today(NamedTuple):
    """What the code is now."""

    digests: dict[str, str]
    """By target, as the lock has them."""
    definitions: dict[str, dict[str, str]]
    """By target: all that it reaches itself, each with a digest."""


def targets() -> list[str]:
    """All that has a line: steps, what they are built on, and what the tables of names hold."""
    classes: list[type] = [*all_stages().values(), *all_sources().values(), AssignShards, RegionSimilarity]
    built_on = {base for cls in classes for base in cls.__mro__ if issubclass(base, (Stage, Source))}
    tables = [*FORMATS.targets.values(), *DIALECTS.targets.values(), *DRAWN.values()]
    return sorted({*map(target_of, [*classes, *built_on]), *WRITES, SIGNS, *tables})


def today() -> Today:
    """Looks at the code as it lies there."""
    code, found = CodeBase(), Today({}, {})
    every = targets()
    for target in every:
        reached = code.reach(target, every).definitions
        found.digests[target] = digest(reached)
        found.definitions[target] = reached
    return found


def disagreeing(lock: dict[str, Line], now: Today) -> list[str]:
    """Targets whose line was written for other code, or that have none, or are no more."""
    said = {target: line.digest for target, line in lock.items()}
    return sorted(t for t in {*said, *now.digests} if said.get(t) != now.digests.get(t))


def changed(target: str, now: Today, before: dict[str, str]) -> set[str]:
    """Definitions that a target reaches and that were not there, or not so, when the lock was written."""
    return {name for name, value in now.definitions[target].items() if before.get(name) != value}


def read_definitions() -> dict[str, str]:
    """Every definition that the lock was written for."""
    if not DEFINITIONS.exists():
        return {}
    pairs = (line.rpartition(" ") for line in DEFINITIONS.read_text(encoding="utf-8").splitlines())
    return {name: value for name, _, value in pairs}


def main(same: Iterable[str], raised: Iterable[str]) -> int:
    """Rewrites the lock, or says what somebody has to decide. Returns the exit status."""
    lock, now, before = dict(steps_lock.LOCK), today(), read_definitions()
    same, raised = set(same), set(raised)
    if unknown := {name for name in same | raised if not any(_is_called(t, name) for t in now.digests)}:
        print(f"there is no step {', '.join(sorted(unknown))}; the names are those of steps.lock")
        return 2
    asked: dict[str, set[str]] = {}
    rose: list[str] = []
    proofs = None
    for target in disagreeing(lock, now):
        if target not in now.digests:
            del lock[target]
            continue
        value, line = now.digests[target], lock.get(target)
        version = line.version if line else "1"
        if line and any(_is_called(target, name) for name in raised):
            version = str(int(version) + 1)
            rose.append(f"- `{target.partition(':')[2]}` is version {version}: what it made is made again.")
        elif line and not any(_is_called(target, name) for name in same):
            if proofs is None:
                from tests.golden.rows import Proofs

                proofs = Proofs()
            others = changed(target, now, before)
            if open_ := proofs.unproven(target, others):
                asked[target] = open_
                continue
        lock[target] = Line(version, value)
    if asked:
        print("Nothing was written. Whether these give the same as before, the golden rows cannot tell:\n")
        print("\n".join(_questions(asked)))
        print(
            "\nSay `make lock SAME=NAME,...` where results stay the same, `make lock RAISE=NAME,...` if not."
        )
        return 1
    steps_lock.FILE.write_text(steps_lock.written(lock), encoding="utf-8")
    every = {name: value for found in now.definitions.values() for name, value in found.items()}
    DEFINITIONS.write_text("".join(f"{n} {v}\n" for n, v in sorted(every.items())), encoding="utf-8")
    if rose:
        _tell(rose)
    return 0


def _is_called(target: str, name: str) -> bool:
    return name in (target, target.partition(":")[2])


def _questions(asked: dict[str, set[str]]) -> Iterator[str]:
    for target, names in asked.items():
        shown = sorted(name.removeprefix("gritmill.") for name in names)
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        yield f"  {target.partition(':')[2]}: {', '.join(shown[:3])}{more}"


def _tell(rose: list[str]) -> None:
    before, mark, after = CHANGELOG.read_text(encoding="utf-8").partition("### Data\n")
    assert mark, "CHANGELOG.md has no section Data"
    CHANGELOG.write_text(f"{before}{mark}" + "\n".join(rose) + "\n" + after, encoding="utf-8")


if __name__ == "__main__":
    said = [os.environ.get(name, "").split(",") for name in ("SAME", "RAISE")]
    sys.exit(main(*([name for name in names if name] for names in said)))
