"""Which code counts for a stage: every change that may matter, and none that cannot."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.engine import reach
from gritmill.pipeline.engine.reach import CodeBase

ROOT = Path(__file__).parent.parent.parent.parent

FILES = {
    "acme/__init__.py": "",
    "acme/stage.py": """
import acme.paths.deep as deep
from . import limits, loose
from .base import Base
from .again import renamed as called
from third.shapes import Shape
from lone import single
from functools import partial as bound

WORDS = limits.read("words.txt")

class Stage(Base):
    \"\"\"What it is.\"\"\"

    shape: "list[Shape]"
    limit: int = limits.LIMIT
    words = WORDS

    def process(self, x):
        from .lazily import later
        return [single(x), deep.add(x, x), called(x), later(x), list(map(loose, x)), self.kept(x), bound(x)]

    def kept(self, x):
        if x < 0:
            raise ValueError(f"{x} is below {limits.told()}")
        return x
""",
    "acme/base.py": """
from .more import inherited
class Base:
    def twice(self, x):
        return inherited(x)
""",
    "acme/more.py": "def inherited(x):\n    return 2 * x\n\ndef unused(x):\n    return x\n",
    "acme/limits.py": """
LIMIT = 3
OTHER = 4
def read(name):
    return open(name)
def told():
    return LIMIT
""",
    "acme/loose.py": "ONE = 1\n\ndef two():\n    return 2\n",
    "acme/again.py": "from .more import inherited as renamed\n",
    "acme/lazily.py": "from .starred import *\n\ndef later(x):\n    return starred(x)\n",
    "acme/starred.py": "def starred(x):\n    return x\n",
    "acme/words.txt": "a\nb\n",
    "acme/paths/deep/__init__.py": "def add(a, b):\n    return a + b\n",
    "third/shapes.py": "class Shape:\n    def area(self):\n        return 1\n",
    "lone.py": """
try:
    from fast import single
except ImportError:
    def single(x):
        return x
""",
}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """(changes, target) -> what `acme.stage:Stage` reaches with these edits: `(file, old, new)`."""
    monkeypatch.syspath_prepend(tmp_path)

    def reached(*edits: tuple[str, str, str], target: str = "acme.stage:Stage") -> dict[str, str]:
        files = dict(FILES)
        for file, old, new in edits:
            text = files.get(file, "")
            assert old in text
            files[file] = text.replace(old, new, 1) if old else new + text
        for file, text in files.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        reach._content.cache_clear()
        return CodeBase().reach(target).definitions

    return reached


@pytest.mark.parametrize(
    "edit",
    [
        ("acme/stage.py", "", "# a comment\n"),
        ("acme/stage.py", "", '"""A docstring."""\n'),
        ("acme/stage.py", "What it is", "What it will be"),
        ("acme/stage.py", "list(map(loose, x))", "list(\n    map(loose, x),\n)"),
        ("acme/stage.py", "is below", "lies below"),
        ("acme/stage.py", "", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import acme.more\n"),
        ("acme/stage.py", "", "import json\n"),
        ("acme/more.py", "return x\n", "return -x\n"),
        ("acme/limits.py", "OTHER = 4", "OTHER = 5"),
        ("acme/limits.py", "    return LIMIT", "    return OTHER"),  # the words of a `raise`
        ("acme/unknown.py", "", "SEED = 1\n"),
    ],
    ids=str,
)
def test_what_decides_nothing(code: Callable[..., dict[str, str]], edit: tuple[str, str, str]) -> None:
    assert code() == code(edit)


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (("acme/stage.py", "self.kept(x)", "self.kept(-x)"), "acme.stage:Stage.process"),
        (("acme/stage.py", "x < 0", "x < 1"), "acme.stage:Stage.kept"),
        (("acme/stage.py", "ValueError", "TypeError"), "acme.stage:Stage.kept"),
        (("acme/stage.py", "limits.LIMIT", "limits.OTHER"), "acme.stage:Stage"),
        (("acme/stage.py", "functools", "itertools"), "acme.stage:Stage.process"),
        (("acme/stage.py", "", "import sys\nsys.setrecursionlimit(9)\n"), "acme.stage:"),
        (("acme/stage.py", "from third", "import acme.unnamed\nfrom third"), "acme.unnamed:"),
        (("acme/base.py", "inherited(x)", "inherited(-x)"), "acme.base:Base.twice"),
        (("acme/more.py", "2 * x", "3 * x"), "acme.more:inherited"),
        (("acme/limits.py", "LIMIT = 3", "LIMIT = 4"), "acme.limits:LIMIT"),
        (("acme/limits.py", "LIMIT = 3", "LIMIT = 3\nLIMIT += 1"), "acme.limits:LIMIT"),
        (("acme/loose.py", "return 2", "return 3"), "acme.loose:two"),
        (("acme/loose.py", "ONE = 1", "ONE = 2"), "acme.loose:ONE"),
        (("acme/again.py", "inherited", "unused"), "acme.again:renamed"),
        (("acme/lazily.py", "starred(x)", "starred(x, x)"), "acme.lazily:later"),
        (("acme/starred.py", "return x", "return -x"), "acme.starred:starred"),
        (("acme/words.txt", "b", "c"), "acme.stage/words.txt"),
        (("acme/paths/deep/__init__.py", "a + b", "b + a"), "acme.paths.deep:add"),
        (("acme/__init__.py", "", "import os\nos.environ.clear()\n"), "acme:"),
        (("third/shapes.py", "return 1", "return 2"), "third.shapes:Shape.area"),
        (("lone.py", "return x", "return -x"), "lone:"),
    ],
    ids=str,
)
def test_what_may_matter_counts(
    code: Callable[..., dict[str, str]], edit: tuple[str, str, str], where: str
) -> None:
    extra = ("acme/unnamed.py", "", "import acme.limits\nacme.limits.LIMIT = 1\n")
    before, after = code(extra), code(extra, edit)
    assert where in {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_nothing_is_imported_to_look_at_it(code: Callable[..., dict[str, str]]) -> None:
    code(("acme/limits.py", "", "raise AssertionError\n"))
    assert not [name for name in sys.modules if name.partition(".")[0] in ("acme", "third", "lone")]


def test_modules_that_import_each_other_are_no_trouble(code: Callable[..., dict[str, str]]) -> None:
    assert "acme.stage:Stage" in code(("acme/more.py", "", "from .stage import Stage\nSAME = Stage\n"))


def test_a_module_without_source_counts_by_its_bytes(
    code: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    compiled = ("acme/limits.py", FILES["acme/limits.py"], "this is ( no python")
    before = code(compiled)
    assert (
        before["acme.limits:"]
        != code(("acme/limits.py", FILES["acme/limits.py"], "nor ( this"))["acme.limits:"]
    )


def test_what_is_not_there_cannot_be_read() -> None:
    with pytest.raises(LookupError, match="the code of nowhere:Stage cannot be read"):
        CodeBase().reach("nowhere:Stage")


def test_a_package_of_the_class_counts_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site-packages"
    for name in ("mine", "other"):
        (folder / name).mkdir(parents=True)
        (folder / name / "code.py").write_text(
            "import other.code\ndef f(): return other.code.g()\ndef g(): return 1\n"
        )
    monkeypatch.syspath_prepend(folder)
    assert set(CodeBase().reach("mine.code:f").definitions) == {"mine.code:f"}
    assert set(CodeBase().reach("mine.code:f", own=["other"]).definitions) == {"mine.code:f", "other.code:g"}


def test_it_ends_at_what_is_locked(code: Callable[..., dict[str, str]]) -> None:
    code()
    found = CodeBase().reach("acme.stage:Stage", locked={"acme.base:Base", "acme.stage:Stage"})
    assert found.locked == {"acme.base:Base"}
    assert not {"acme.base:Base", "acme.base:Base.twice"} & set(found.definitions)


def pythons() -> list[str]:
    """Every Python of this machine that gritmill supports, and the one that runs."""
    places = [sys.executable, *map(str, Path("~/.pyenv/versions").expanduser().glob("*/bin/python"))]
    places += [str(path) for folder in os.get_exec_path() for path in Path(folder).glob("python3.*")]
    found: dict[str, str] = {}
    for place in places:
        if re.search(r"python[\d.]*$", place):
            asked = [place, "-c", "import sys; print(*sys.version_info[:2])"]
            done = subprocess.run(asked, capture_output=True, text=True)
            version = tuple(map(int, done.stdout.split()))
            if done.returncode == 0 and version >= (3, 11):
                found.setdefault(".".join(map(str, version)), place)
    return sorted(found.values())


GOLDEN = Path(__file__).with_name("golden_reach.json")
DIGESTS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from gritmill.pipeline.engine import reach
from gritmill.pipeline.engine.reach import CodeBase
from gritmill.pipeline.engine.syntax import short
code = CodeBase()
print(json.dumps({t: short(json.dumps(code.reach(t).definitions, sort_keys=True)) for t in sys.argv[2:]}))
"""


@pytest.mark.parametrize("python", pythons())
def test_digests_are_the_same_on_all_pythons(python: str, tmp_path: Path) -> None:
    """Ten classes of a small package that has all that Pythons write in different ways."""
    golden = json.loads(GOLDEN.read_text())
    for name, text in golden["files"].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "gritmill").symlink_to(ROOT / "gritmill")
    run = [python, "-I", "-S", "-c", DIGESTS, str(tmp_path), *golden["digests"]]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == golden["digests"]


@pytest.mark.parametrize("python", pythons())
def test_the_lock_is_the_same_on_all_pythons(python: str) -> None:
    lines = (ROOT / "pipeline/engine/steps.lock").read_text().splitlines()[::8]
    targets = [line.split()[0] for line in lines]
    done = subprocess.run(
        [python, "-I", "-S", "-c", DIGESTS, str(ROOT), *targets], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    here = subprocess.run(
        [sys.executable, "-c", DIGESTS, str(ROOT), *targets], capture_output=True, text=True
    )
    assert json.loads(done.stdout) == json.loads(here.stdout)


SCRIPT = """
import lone
from gritmill.pipeline.engine.identity import classes_code
from gritmill.stages.base import Stage

class Mine(Stage):
    def process(self, batch):
        return lone.single(batch)

print(sorted(classes_code([Mine()], []).definitions))
"""


def test_a_class_of_a_script_counts(tmp_path: Path) -> None:
    (tmp_path / "lone.py").write_text(FILES["lone.py"])
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert {"__main__:Mine.process", "lone:"} <= set(ast.literal_eval(done.stdout))


def test_a_class_without_a_file_is_refused(tmp_path: Path) -> None:
    run = [sys.executable, "-c", SCRIPT.replace("import lone", "").replace("lone.single(batch)", "{}")]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert "the code of __main__:Mine cannot be read, so that nobody could tell when it" in done.stderr
