"""Weights are data: nothing that loads them may run code which they bring along."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.errors import UserError

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for folder in ("schemas", "prompts", "stages", "pipeline", "trainer")
    for path in (ROOT / folder).rglob("*.py")
]
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FALSE, TRUE = "False", "True"


def mistakes(code: str) -> Iterator[str]:
    """Every line of Python that could let a file run code, with what is wrong with it."""
    nodes = list(ast.walk(ast.parse(code)))
    called_ones = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and id(node) not in called_ones:
            name = ast.unparse(node)
            if name.endswith(".from_pretrained") and "Auto" in name:
                yield f"{node.lineno}: {name} is handed on, with trust_remote_code open"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            names = [module] if module else [alias.name for alias in node.names]
            if UNPICKLERS & {name.split(".")[0] for name in names}:
                yield f"{node.lineno}: imports what unpickles"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called in ("eval", "exec", "torch.hub.load", "torch.jit.load"):
            yield f"{node.lineno}: {called}"
        if called == "torch.load" and options.get("weights_only") != TRUE:
            yield f"{node.lineno}: torch.load without weights_only=True"
        if options.get("allow_pickle", FALSE) != FALSE:
            yield f"{node.lineno}: allow_pickle"
        if options.get("trust_remote_code", FALSE) != FALSE:
            yield f"{node.lineno}: trust_remote_code"
        # The Auto classes of transformers follow a checkpoint's word as to which class it is of.
        chosen = "Auto" in called or called.startswith("getattr(transformers")
        if called.endswith(".from_pretrained") and chosen:
            if "trust_remote_code" not in options:
                yield f"{node.lineno}: {called} leaves trust_remote_code open"
            is_model = "AutoModel" in called or called.startswith("getattr(transformers")
            if is_model and options.get("use_safetensors") != TRUE:
                yield f"{node.lineno}: {called} may take pickled weights"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "AutoTokenizer.from_pretrained(folder)",
        "AutoTokenizer.from_pretrained(folder, trust_remote_code=True)",
        "AutoModel.from_pretrained(folder, trust_remote_code=False)",
        "getattr(transformers, name).from_pretrained(folder, trust_remote_code=False)",
        "load_part(checkpoint, AutoProcessor.from_pretrained)",
        "eval(text)",
    ],
)
def test_this_test_can_see(line: str) -> None:
    assert list(mistakes(line))


def test_no_loader_runs_code_from_a_file() -> None:
    found = [f"{path.relative_to(ROOT)}:{said}" for path in FILES for said in mistakes(path.read_text())]
    assert len(FILES) > 100
    assert found == []


def test_code_beside_weights_is_not_run(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from gritmill.stages.common.local_models import load_model

    ran = tmp_path / "ran"
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "mine.py").write_text(f"open({str(ran)!r}, 'w')\nclass Model: pass\nclass Config: pass\n")
    auto_map = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}
    (folder / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": auto_map}))
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model(checkpoints.find(str(folder)), "AutoModel")
    assert not ran.exists()
