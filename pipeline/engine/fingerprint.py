"""Digests that say whether a result is still what would come out today."""

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, NamedTuple

OURS = ("gritmill",)
DIGITS = 16


def digest(*values: Any) -> str:
    """Short SHA-256 of plain data, the same in every process."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


@functools.cache
def code_digest(module: str) -> str:
    """Digest of a module and of all modules of ours that it imports, at any depth.

    Of the syntax tree without docstrings, not of the text: comments and layout do not count. So no
    version number has to be remembered when a stage, or something it builds on, changes.
    """
    return digest({name: code.tree for name, code in sorted(_closure(module).items())})


class _Code(NamedTuple):
    tree: str
    """The syntax tree without docstrings."""
    imports: tuple[str, ...]
    """What it imports of ours; a name that it takes from a module may be a module, too."""


def _closure(module: str) -> dict[str, _Code]:
    found: dict[str, _Code] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        code = None if name in found else _code(name)
        if code is not None:
            found[name] = code
            waiting.extend(code.imports)
    return found


@functools.cache
def _code(module: str) -> _Code | None:
    """A module's code; None if there is no such module, or it is not written in Python."""
    spec = _spec(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    imports: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports += (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ]
    return _Code(ast.dump(tree), tuple(name for name in imports if name.partition(".")[0] in OURS))


@functools.cache
def _spec(module: str) -> ModuleSpec | None:
    """Where a module lies. Left to itself, `find_spec` would import the packages and modules around it."""
    package = module.rpartition(".")[0]
    if not package or module in sys.modules:
        try:
            return importlib.util.find_spec(module)
        except ValueError:  # of a module that was not imported, such as `__main__`
            return None
    parent = _spec(package)
    if parent is None or parent.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(module, parent.submodule_search_locations)
