"""Python source -> its definitions, each as a text that only changes where what it does may change.

    def double(x):                       FunctionDef(name='double',args=arguments(args=[arg(arg='x')]),
        \"\"\"Twice.\"\"\"        ->          body=[Return(value=BinOp(left=Name(id='x'),op=Mult(),
        return 2 * x  # so                   right=Constant(int 2)))])

Docstrings, comments, layout and the words of a `raise` are not in it. The text is made from the fields of the
syntax tree by a walk of our own, as `ast.dump` and `ast.unparse` give another one with each Python. With
the standard library only, and nothing is imported that is looked at.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Chain = tuple[str, ...]
"""A name and the attributes that are taken of it: `files.stat` -> ("files", "stat")."""

_IS_TARGET = re.compile(r"[A-Za-z_][\w.]*\.\w+:[A-Za-z_]\w*").fullmatch
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LATER = {"ctx", "kind", "type_comment"}
"""Fields that say nothing of what is done, or that not all Pythons fill."""


class Binding(NamedTuple):
    """What an import gives to a name: a module, or something in it."""

    module: str
    name: str | None


class Definition:
    """A function, class, method or constant as it is written."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.chains: set[Chain] = set()
        self.runs: set[Binding] = set()
        """What its import statements load."""
        self.loaded: set[str] = set()
        """Modules that it imports by a text, and targets `package.module:NAME`."""
        self.texts: set[str] = set()
        """Those that may be the name of a file."""

    @property
    def is_function(self) -> bool:
        return self.text[:1] in (["FunctionDef("], ["AsyncFunctionDef("])


class Module(NamedTuple):
    """A module, taken apart."""

    definitions: dict[str, list[Definition]]
    """By top-level name; a class is its own body, then its methods."""
    always: Definition
    """All other statements, which are run by whoever imports it."""
    imports: dict[str, list[Binding]]
    """All of its file, by the name that they give."""
    stars: list[str]
    """Modules of `from x import *`."""
    bound: set[str]
    """Names that `always` gives a value."""


def parse(source: bytes, package: str, passes_tables: bool) -> Module:
    """Takes a module apart. `passes_tables`: tables of names are passed over, as all of ours are.

    Raises `SyntaxError` or `ValueError` if it is no Python.
    """
    return _Parser(package, passes_tables).module(ast.parse(source))


class _Parser:
    def __init__(self, package: str, passes_tables: bool) -> None:
        self.package = package
        self.passes_tables = passes_tables
        self.imports: dict[str, list[Binding]] = {}
        self.stars: list[str] = []

    def module(self, tree: ast.Module) -> Module:
        found = Module({}, Definition(""), self.imports, self.stars, set())
        for statement in tree.body:
            self._top(statement, found)
        return found

    def _top(self, statement: ast.stmt, found: Module) -> None:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            self._import(statement, found.always)
        elif isinstance(statement, _FUNCTIONS):
            self._define(found, statement.name, statement.name, statement)
        elif isinstance(statement, ast.ClassDef):
            self._class(statement, found)
        elif names := _assigned(statement):
            for name in names:
                self._define(found, name, name, statement)
        elif not _says_nothing(statement):
            self._write(statement, found.always)
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    found.bound.add(node.id)
                elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                    found.bound.add(node.name)

    def _define(self, found: Module, top: str, name: str, node: ast.AST) -> None:
        made = Definition(name)
        self._write(node, made)
        found.definitions.setdefault(top, []).append(made)

    def _class(self, node: ast.ClassDef, found: Module) -> None:
        methods = [s for s in node.body if isinstance(s, _FUNCTIONS)]
        shell = ast.ClassDef(
            name=node.name,
            bases=node.bases,
            keywords=node.keywords,
            body=[s for s in node.body if s not in methods],
            decorator_list=node.decorator_list,
        )
        if parameters := getattr(node, "type_params", None):
            shell.type_params = parameters  # type: ignore[attr-defined, unused-ignore]
        self._define(found, node.name, node.name, shell)
        for method in methods:
            self._define(found, node.name, f"{node.name}.{method.name}", method)

    def _write(self, node: Any, to: Definition) -> None:
        if isinstance(node, ast.AST):
            special = getattr(self, f"_write_{type(node).__name__}", None)
            (special or self._fields)(node, to)
        elif isinstance(node, list):
            to.text.append("[")
            for item in node:
                if not _says_nothing(item):
                    self._write(item, to)
                    to.text.append(",")
            to.text.append("]")
        else:
            to.text.append(f"{type(node).__name__} {node!a}")

    def _fields(self, node: ast.AST, to: Definition, *without: str) -> None:
        to.text.append(f"{type(node).__name__}(")
        for field in sorted(node._fields):
            value = getattr(node, field, None)
            if field in _LATER or field in without or value is None or value == []:
                continue
            to.text.append(f"{field}=")
            self._write(value, to)
            if field in ("annotation", "returns"):
                to.chains.update(_quoted(value))
            to.text.append(",")
        to.text.append(")")

    def _write_Name(self, node: ast.Name, to: Definition) -> None:
        to.chains.add((node.id,))
        self._fields(node, to)

    def _write_Attribute(self, node: ast.Attribute, to: Definition) -> None:
        attributes = [node.attr]
        inner: ast.expr = node.value
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            self._fields(node, to)
            return
        chain = (inner.id, *reversed(attributes))
        to.chains.add(chain)
        to.text.append(f"Attribute({chain!a})")

    def _write_Constant(self, node: ast.Constant, to: Definition) -> None:
        to.text.append(f"{type(node.value).__name__} {node.value!a}")
        if isinstance(node.value, str):
            to.texts.add(node.value)
            if _IS_TARGET(node.value):
                to.loaded.add(node.value)

    def _write_Raise(self, node: ast.Raise, to: Definition) -> None:
        to.text.append("Raise(")
        self._write(node.exc.func if isinstance(node.exc, ast.Call) else node.exc, to)
        to.text.append(")")

    def _write_If(self, node: ast.If, to: Definition) -> None:
        if _is_for_types(node.test):
            self._write(node.orelse, to)
        else:
            self._fields(node, to)

    def _write_Import(self, node: ast.Import, to: Definition) -> None:
        self._import(node, to)
        self._fields(node, to)

    def _write_ImportFrom(self, node: ast.ImportFrom, to: Definition) -> None:
        self._import(node, to)
        self._fields(node, to)

    def _write_Dict(self, node: ast.Dict, to: Definition) -> None:
        if self.passes_tables and _is_table(node):
            to.text.append("<names>")
        else:
            self._fields(node, to)

    def _write_JoinedStr(self, node: ast.JoinedStr, to: Definition) -> None:
        # Pythons cut the words between the values in different places.
        to.text.append("JoinedStr(")
        words = ""
        for value in node.values:
            if isinstance(value, ast.Constant):
                words += str(value.value)
                continue
            to.text.append(f"{words!a},")
            words = ""
            self._write(value, to)
        to.text.append(f"{words!a})")

    def _write_BinOp(self, node: ast.BinOp, to: Definition) -> None:
        if isinstance(node.op, ast.Div) and isinstance(
            node.right, ast.Constant
        ):  # HERE / "data" / "words.txt"
            to.texts.add("/".join(_divided(node)))
        self._fields(node, to)

    def _write_Call(self, node: ast.Call, to: Definition) -> None:
        words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if words:
            to.texts.add("/".join(words))  # HERE.joinpath("data", "words.txt")
            if getattr(node.func, "attr", getattr(node.func, "id", "")) in ("import_module", "__import__"):
                to.loaded.add(self._absolute(words[0]))
        self._fields(node, to)

    def _import(self, node: ast.Import | ast.ImportFrom, to: Definition) -> None:
        given: list[tuple[str, Binding]] = []
        if isinstance(node, ast.Import):
            for alias in node.names:
                given.append((alias.asname or alias.name, Binding(alias.name, None)))
                if not alias.asname and "." in alias.name:  # gives the name of the outer package only
                    top = alias.name.partition(".")[0]
                    given.append((top, Binding(top, None)))
        else:
            base = self._absolute("." * node.level + (node.module or ""))
            for alias in node.names:
                given.append((alias.asname or alias.name, Binding(base, alias.name)))
        for name, binding in given:
            if binding.name == "*":
                self.stars.append(binding.module)
            else:
                to.runs.add(binding)
                if binding not in self.imports.setdefault(name, []):
                    self.imports[name].append(binding)

    def _absolute(self, name: str) -> str:
        """`..boxes` -> `package.boxes`."""
        level = len(name) - len(name.lstrip("."))
        if not level:
            return name
        above = self.package.split(".")
        above = above[: len(above) - level + 1]
        return ".".join([*above, *filter(None, [name.lstrip(".")])])


def _assigned(statement: ast.stmt) -> list[str]:
    """The names that a plain assignment gives a value; none if it is no such statement."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
        targets = [statement.target]
    elif type(statement).__name__ == "TypeAlias":
        targets = [statement.name]  # type: ignore[attr-defined, unused-ignore]
    else:
        return []
    flat = [e for t in targets for e in (t.elts if isinstance(t, (ast.Tuple, ast.List)) else [t])]
    return (
        [e.id for e in flat if isinstance(e, ast.Name)] if all(isinstance(e, ast.Name) for e in flat) else []
    )


def _says_nothing(node: Any) -> bool:
    """True for a docstring, and for what only type checkers read."""
    if isinstance(node, ast.If):
        return _is_for_types(node.test) and not node.orelse
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_for_types(test: ast.expr) -> bool:
    return getattr(test, "attr", getattr(test, "id", "")) == "TYPE_CHECKING"


def _is_table(node: ast.expr | None) -> bool:
    """True for `{"a": "package.module:NAME"}`, also of such tables."""
    if isinstance(node, ast.Dict):
        return bool(node.values) and all(map(_is_table, node.values))
    if isinstance(node, ast.Tuple):
        return bool(node.elts) and _is_table(node.elts[-1])
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_IS_TARGET(node.value))


def _quoted(annotation: ast.AST) -> Iterator[Chain]:
    """The names in the parts of a type that are written in quotes."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (tuple(dotted.split(".")) for dotted in re.findall(r"[^\W\d][\w.]*", node.value))


def _divided(node: ast.expr) -> Iterator[str]:
    """The constants at the end of `HERE / "data" / "words.txt"`."""
    if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant):
        yield from _divided(node.left)
        yield str(node.right.value)


def short(data: bytes | str) -> str:
    """16 hex digits of a SHA-256."""
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return hashlib.sha256(data).hexdigest()[:16]
