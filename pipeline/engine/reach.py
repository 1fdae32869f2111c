"""What the code of a stage decides: every definition that its class reaches by name, each with a digest.

    reach("acme.child:Child") -> {"acme.child:Child": "5f0c...", "acme.base:CaptionLength.process": "91ab...",
                                  "acme.helpers:LIMIT": "0be2..."}

It follows imports, relative ones as well, base classes, types, calls and constants, over all modules outside
the standard library and site-packages; a package of the class's own counts wherever it lies. A module that is
used as a value counts whole, and so does one of `from x import *`; what a module does besides defining counts
as soon as it is loaded. A file beside a module that its code names counts with its content. Where in doubt,
something counts. With the standard library only, and nothing is imported that is looked at.
"""

import importlib.machinery
import sys
import sysconfig
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gritmill.pipeline.engine.syntax import Binding, Definition, Module, parse, short

OURS = "gritmill"
PASSED_OVER = "gritmill.schemas.errors"
_INSTALLED = {"site-packages", "dist-packages"}


class Reached(NamedTuple):
    """What a class or function reaches."""

    definitions: dict[str, str]
    """`package.module:Class.method` -> digest; a file as `package.module/words.txt`."""
    locked: set[str]
    """Targets at which it ends, since they have a version of their own."""


class ModulePlace(NamedTuple):
    """Where a module lies."""

    file: str | None
    """None for a folder without `__init__.py`."""
    folders: tuple[str, ...]
    """Where the modules within it lie; none if it is no package."""
    package: str


class CodeBase:
    """The modules that have been looked at, each once."""

    def __init__(self) -> None:
        self.place = cache(self._place)
        self.parsed = cache(self._parsed)
        self.digest = cache(self._digest)

    def reach(self, target: str, locked: Collection[str] = (), own: Collection[str] = ()) -> Reached:
        """What `package.module:NAME` reaches. It ends at the targets of `locked`. `own`: top-level packages
        that count even where they are installed.

        Raises `LookupError` if there is no source of the target itself.
        """
        module, _, name = target.partition(":")
        packages = frozenset({OURS, module.partition(".")[0], *own})
        if self.module(module, packages) is None:
            raise LookupError(f"the code of {target} cannot be read")
        return _Walk(self, packages, set(locked) - {target}).done(module, name.partition(".")[0])

    def _place(self, name: str) -> ModulePlace | None:
        """Where a module lies. `find_spec` would import the packages around it."""
        if (loaded := sys.modules.get(name)) is not None:
            spec = getattr(loaded, "__spec__", None)
            file = getattr(loaded, "__file__", None) or (spec.origin if spec and spec.has_location else None)
            folders = tuple(getattr(loaded, "__path__", ()))
            package = getattr(loaded, "__package__", None)
            return ModulePlace(
                file, folders, package if package is not None else _package_of(name, bool(folders))
            )
        above = name.rpartition(".")[0]
        around = self.place(above) if above else None
        if above and (around is None or not around.folders):
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            try:
                spec = find(name, list(around.folders) if around else None) if find else None
            except KeyError:  # a folder without `__init__.py`, in a package that was not imported
                assert around is not None
                inner = (Path(folder) / name.rpartition(".")[2] for folder in around.folders)
                return ModulePlace(None, tuple(str(folder) for folder in inner if folder.is_dir()), name)
            if spec is not None:
                folders = tuple(spec.submodule_search_locations or ())
                file = spec.origin if spec.has_location else None
                return ModulePlace(
                    file, folders, _package_of(name, spec.submodule_search_locations is not None)
                )
        return None

    def module(self, name: str, packages: Collection[str]) -> Module | None:
        """A module that counts, taken apart; None for any other."""
        place = self.place(name)
        if place is None or name == PASSED_OVER:
            return None
        is_own = name.partition(".")[0] in packages
        if not is_own and _is_installed(place.file or next(iter(place.folders), "")):
            return None
        return self.parsed(name)

    def _parsed(self, name: str) -> Module | None:
        place = self.place(name)
        assert place is not None
        if place.file is None:
            return Module({}, Definition(""), {}, [], set()) if place.folders else None
        source = _content(place.file)
        if source is None:
            return None
        if place.file.endswith(".py"):
            try:
                return parse(source, place.package, passes_tables=name.partition(".")[0] == OURS)
            except (SyntaxError, ValueError):
                pass
        opaque = Definition("")
        opaque.text.append(short(source))
        return Module({}, opaque, {}, [], set())

    def _digest(self, definition: Definition) -> str:
        return short("".join(definition.text))


class _Walk:
    def __init__(self, code: CodeBase, packages: frozenset[str], locked: set[str]) -> None:
        self.code = code
        self.packages = packages
        self.locked = locked
        self.found = Reached({}, set())
        self.seen: set[tuple[str, str | tuple[str, ...] | None]] = set()
        self.waiting: list[tuple[str, str | None]] = []

    def done(self, module: str, name: str) -> Reached:
        self.waiting.append((module, name))
        while self.waiting:
            self._visit(*self.waiting.pop())
        return self.found

    def _get(self, module: str) -> Module | None:
        return self.code.module(module, self.packages)

    def _ask(self, module: str, name: str | None) -> None:
        """To be visited: a name of a module; the whole module with None; what it does besides with ""."""
        if (module, name) not in self.seen:
            self.seen.add((module, name))
            self.waiting.append((module, name))

    def _visit(self, module: str, name: str | None) -> None:
        if f"{module}:{name}" in self.locked:
            self.found.locked.add(f"{module}:{name}")
            self._ask(module, "")
            return
        found = self._get(module)
        if found is None:
            return
        if name == "":
            self._loaded(module, found)
            return
        self._ask(module, "")
        if name is None:
            for each in [*found.definitions, *(name for name in found.imports if "." not in name)]:
                self._ask(module, each)
        elif name in found.definitions:
            self._define(module, found, name)
        elif name in found.imports:
            self.found.definitions[f"{module}:{name}"] = short(repr(sorted(map(str, found.imports[name]))))
            for binding in found.imports[name]:
                self._bound(binding, ())
        elif name not in found.bound:
            # Made by something that we do not see.
            self._ask(module, None)

    def _loaded(self, module: str, found: Module) -> None:
        """What a module does as it is loaded, and what that loads."""
        above = module.rpartition(".")[0]
        if above:
            self._ask(above, "")
        if found.always.text:
            self._add(module, found, found.always)
        for binding in sorted(found.always.runs, key=str):
            self._run(binding)
        for star in found.stars:
            self._ask(star, None)

    def _define(self, module: str, found: Module, name: str) -> None:
        for definition in found.definitions[name]:
            self._add(module, found, definition)
            for binding in sorted(definition.runs, key=str):
                self._run(binding)

    def _add(self, module: str, found: Module, definition: Definition) -> None:
        digests = [self.code.digest(definition)]
        for chain in sorted(definition.chains):
            if chain[0] in found.definitions:
                self._ask(module, chain[0])
            # The same word for something else is other code.
            for binding in found.imports.get(chain[0], []):
                digests.append(f"{chain[0]}={binding.module}.{binding.name}")
                self._bound(binding, chain[1:])
        key = f"{module}:{definition.name}"
        before = self.found.definitions.get(key, "")
        self.found.definitions[key] = short(before + " ".join(digests))
        if module.partition(".")[0] == OURS:
            return
        for target in definition.loaded:
            other, _, name = target.partition(":")
            self._ask(other, name or None)
        for text, content in self._files(module, definition):
            self.found.definitions[f"{module}/{text}"] = content

    def _run(self, binding: Binding) -> None:
        self._ask(binding.module, "")
        if binding.name and self.code.place(f"{binding.module}.{binding.name}"):
            self._ask(f"{binding.module}.{binding.name}", "")

    def _bound(self, binding: Binding, rest: tuple[str, ...]) -> None:
        """Follows what a name was given by an import, and the attributes that are taken of it."""
        module, chain = binding.module, rest
        if binding.name is not None:
            chain = (binding.name, *rest)
        while True:
            found = self._get(module)
            if found is None:
                return
            if not chain:
                self._ask(module, None)
                return
            first, inner = chain[0], f"{module}.{chain[0]}"
            if first in found.definitions or first in found.bound:
                self._ask(module, first)
                return
            if first in found.imports:
                self._ask(module, first) if len(chain) == 1 else self._through(module, found, chain)
                return
            if self.code.place(inner) is None:
                self._ask(module, first)
                return
            module, chain = inner, chain[1:]

    def _through(self, module: str, found: Module, chain: tuple[str, ...]) -> None:
        """`shapes.boxes.iou`, where `shapes` imports the module `boxes` from somewhere."""
        key = f"{module}:{chain[0]}"
        self.found.definitions[key] = short(repr(sorted(map(str, found.imports[chain[0]]))))
        self._ask(module, "")
        if (module, chain) in self.seen:
            return
        self.seen.add((module, chain))
        for binding in found.imports[chain[0]]:
            self._bound(binding, chain[1:])

    def _files(self, module: str, definition: Definition) -> Iterator[tuple[str, str]]:
        """The files beside a module, or in the top folder of its package, that are named in its code."""
        place = self.code.place(module)
        if place is None or place.file is None:
            return
        folder = Path(place.file).parent
        top = folder
        for _ in range(module.count(".") - (0 if place.folders else 1)):
            top = top.parent
        for text in sorted(definition.texts):
            if not 0 < len(text) < 200 or not text.isprintable() or Path(text).is_absolute():
                continue
            for path in {folder / text, top / text}:
                if path.suffix != ".py" and path.is_file() and (content := _content(str(path))) is not None:
                    yield text, short(content)


def _package_of(name: str, is_package: bool) -> str:
    return name if is_package else name.rpartition(".")[0]


@cache
def _is_installed(file: str) -> bool:
    """True for the standard library and for site-packages."""
    if not file or file in ("built-in", "frozen"):
        return True
    path = Path(file)
    if _INSTALLED & set(path.parts):
        return True
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    return any(path.is_relative_to(library) for library in libraries)


@cache
def _content(file: str) -> bytes | None:
    """A file's bytes, also of one within a zip that is imported from."""
    path = Path(file)
    if path.is_file():
        return path.read_bytes()
    for folder in path.parents:
        if folder.is_file():
            loader = importlib.import_module("zipimport").zipimporter(str(folder))
            return bytes(loader.get_data(file))
    return None


CODE = CodeBase()
"""What this process has looked at."""
