"""The lock agrees with the code, `make lock` asks where it must, and golden rows come out as stored."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gritmill.pipeline.engine import steps_lock
from gritmill.pipeline.engine.steps_lock import LOCK, Line

from . import lock, rows

pytest.importorskip("spacy", reason="needs the extra `nlp`")


made = functools.cache(rows.made)


@pytest.fixture(scope="module")
def now() -> lock.Today:
    return lock.today()


def test_the_lock_is_of_todays_code(now: lock.Today) -> None:
    assert lock.disagreeing(LOCK, now) == [], "steps.lock is of other code: run `make lock`"


def test_the_file_is_as_it_is_written() -> None:
    assert steps_lock.written(LOCK) == steps_lock.FILE.read_text()


@pytest.mark.parametrize("name", rows.RECIPES)
def test_golden_rows(name: str) -> None:
    stored = json.loads(rows.ROWS.read_text())[name]
    found = rows._plain(made(name).rows)
    for step, expected in stored.items():
        assert found[step] == expected, f"{step}; if it is meant: python -m tests.golden.rows"


class Edited:
    """The lock, as if the code of some definitions had been another when it was written."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: lock.Today) -> None:
        self.lock, self.definitions, self.log = (
            tmp_path / n for n in ("steps.lock", "definitions", "log.md")
        )
        monkeypatch.setattr(steps_lock, "FILE", self.lock)
        monkeypatch.setattr(lock, "DEFINITIONS", self.definitions)
        monkeypatch.setattr(lock, "CHANGELOG", self.log)
        monkeypatch.setattr(lock, "today", lambda: now)
        monkeypatch.setattr(rows, "made", made)
        self.monkeypatch, self.now = monkeypatch, now
        self.log.write_text("## 2 (unreleased)\n\n### Data\n- Before.\n")

    def edit(self, *names: str) -> None:
        known = {n: d for found in self.now.definitions.values() for n, d in found.items() if n not in names}
        self.definitions.write_text("".join(f"{n} {d}\n" for n, d in known.items()))
        old = {
            target: Line(
                line.version, "old" if set(names) & set(self.now.definitions[target]) else line.digest
            )
            for target, line in LOCK.items()
        }
        self.monkeypatch.setattr(steps_lock, "LOCK", old)

    def versions(self) -> dict[str, str]:
        return {
            t.partition(":")[2]: line.version for t, line in steps_lock.read(self.lock.read_text()).items()
        }


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: lock.Today) -> Edited:
    return Edited(tmp_path, monkeypatch, now)


def test_what_golden_rows_ran_keeps_its_version(edited: Edited) -> None:
    edited.edit("gritmill.stages.select_boxes:SelectBoxes._select")
    assert lock.main([], []) == 0
    assert edited.versions()["SelectBoxes"] == "1" and "version" not in edited.log.read_text()


def test_other_rows_are_no_proof(edited: Edited, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(name: str) -> rows.Made:
        return made(name)._replace(rows={step: [] for step in made(name).rows})

    monkeypatch.setattr(rows, "RECIPES", {"chosen": rows.RECIPES["chosen"]})
    monkeypatch.setattr(rows, "made", other)
    edited.edit("gritmill.stages.select_boxes:SelectBoxes._select")
    assert lock.main([], []) == 1


@pytest.mark.parametrize(
    ("same", "raised", "version", "log"),
    [
        (["VerifyBoxes"], [], "1", ""),
        ([], ["VerifyBoxes"], "2", "- `VerifyBoxes` is version 2: what it made is made again.\n"),
    ],
)
def test_of_what_no_row_ran_somebody_must_say(
    edited: Edited, same: list[str], raised: list[str], version: str, log: str, capsys: Any
) -> None:
    edited.edit("gritmill.stages.verification.verify_boxes:VerifyBoxes.process")
    assert lock.main([], []) == 1 and not edited.lock.exists()
    assert "VerifyBoxes: stages.verification.verify_boxes:VerifyBoxes.process" in capsys.readouterr().out
    assert lock.main(same, raised) == 0
    assert edited.versions()["VerifyBoxes"] == version
    assert edited.log.read_text() == f"## 2 (unreleased)\n\n### Data\n{log}- Before.\n"


def test_a_name_that_is_none_is_refused(edited: Edited, capsys: Any) -> None:
    edited.edit()
    assert lock.main(["Nobody"], []) == 2
    assert "there is no step Nobody" in capsys.readouterr().out


READ = """
import hashlib, json, sys
from pathlib import Path

root, opened = Path(sys.argv[1]), set()

def audit(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and "r" in (arguments[1] or "r"):
        path = Path(arguments[0]).resolve()
        if path.is_relative_to(root) and path.suffix not in (".py", ".pyc", ".lock") and path.is_file():
            if not {".venv", "__pycache__", ".git", "golden"} & set(path.relative_to(root).parts):
                opened.add(path)

from gritmill import prompts
from gritmill.prompts import few_shot
from tests.golden import rows
sys.addaudithook(audit)
name = sys.argv[2]
source, stages, formats = rows.RECIPES[name]
from gritmill.pipeline.engine import run
revisions = []
remember = run.remember
run.remember = lambda plan, work: (
    revisions.extend(v for m in plan.made_of.values() for v in m.revision.values()), remember(plan, work)
)
rows.made(name)

def digests(path):
    # As revisions have them: of the file, of its lines, of its folder of prompts.
    place = path.relative_to(root / "prompts")
    yield hashlib.sha256(path.read_bytes()).hexdigest()
    yield hashlib.sha256("\\n".join(prompts.word_list(str(place.with_suffix("")))).encode()).hexdigest()
    if (path.parent / few_shot.SYSTEM).exists():
        yield few_shot.digest(str(place.parent))

unnamed = [p for p in sorted(opened) if not any(d.startswith(v) for d in digests(p) for v in revisions if v)]
print(json.dumps([str(p) for p in unnamed]))
"""


@pytest.mark.parametrize("name", rows.RECIPES)
def test_every_data_file_that_is_read_is_named_in_the_revision(name: str) -> None:
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", READ, str(root), name], capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
