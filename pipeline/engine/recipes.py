"""A recipe file -> a checked `Job`, or all its mistakes at once, each with its line."""

import importlib.util
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from gritmill.pipeline.engine import yaml_lines
from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.engine.wiring import NamedStage, wiring_mistakes
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.sources.base import Source
from gritmill.pipeline.sources.registry import source_class, source_options
from gritmill.pipeline.storage import files
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import hide_credentials, hide_variable, is_hidden, without_secrets
from gritmill.schemas.recipe import Output, Recipe
from gritmill.schemas.tables import suggestion
from gritmill.schemas.training import Eval, Train
from gritmill.stages.base import Stage
from gritmill.stages.registry import stage_class, stage_options

M = TypeVar("M", bound=BaseModel)
RECIPES = Path(__file__).parents[2] / "recipes"
RECORDED = "recipe.yaml"
WORK_MARK = "# Recorded by a run whose work lies in this folder.\n"
MAX_BYTES = 10**6
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Job(RunFiles):
    """A recipe whose every word has been checked, with its source and stages ready to plan."""

    source: Source
    stages: list[NamedStage]
    max_failed_fraction: float


class Found(NamedTuple):
    """A recipe's file, and whether the user named the folder that it was recorded in."""

    place: str
    text: str
    in_folder: bool


class RecipeError(UserError):
    """Every mistake of a recipe, one a line."""

    def __init__(self, name: str, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__(f"{name} has {count}:\n" + "\n".join(f"  {m}" for m in mistakes))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Job:
    """Reads `name` (a file, or one of the recipes that come along) and applies `a.b=c` overrides.

    Environment variables in it are expanded and its source is looked at, so that it must be a file that the
    user names: what lies in the folder of a run may be somebody else's. Raises `RecipeError` with every
    mistake: unknown names and options, wrong types, missing files and packages, columns that do not fit
    together.
    """
    return _loaded(name, overrides, _Checker)


def read_recipe(name: str, overrides: Sequence[str] = ()) -> Job:
    """As `load_recipe`, but looks at nothing beside the recipe: no file, no model, no network."""
    return _loaded(name, overrides, _Reader)


def _loaded(name: str, overrides: Sequence[str], kind: "type[_Checker]") -> Job:
    found = find_recipe(name)
    if found.in_folder:
        raise UserError(
            f"{name} is the folder of a run, which is only looked at. To go on with that run, name its "
            f"recipe: your own file, or, if you trust it, {found.place}"
        )
    job = _checker(name, found, overrides, kind).check()
    return replace(job, work=posixpath.dirname(found.place)) if found.text.startswith(WORK_MARK) else job


def find_run_files(name: str, overrides: Sequence[str] = ()) -> RunFiles:
    """The files of a run by its recipe or one of its folders, without a look at source and stages.

    In the recipe of a folder, which may be somebody else's, no variable is expanded, and the folder is where
    it lies, whatever it says. Raises `RecipeError` with every mistake.
    """
    found = find_recipe(name)
    checker = _checker(name, found, overrides, _Checker)
    is_work = found.text.startswith(WORK_MARK)
    if not found.in_folder:
        run = checker.run_files(None)
        return replace(run, work=posixpath.dirname(found.place)) if is_work else run
    folder = name.rstrip("/")
    if is_work:
        return replace(checker.run_files(_output_of(folder, checker.document.data)), work=folder)
    return checker.run_files(folder)


def _output_of(work: str, recipe: dict[str, Any]) -> str:
    """The output folder of a work folder: beside it, or where its recipe says, if that is the same run's.

    An address is only believed where the work folder lies at the same one; the work folder stands for none.
    """
    output = recipe.get("output")
    said = output.get("dir") if isinstance(output, dict) else None
    candidates = [work.removesuffix(".work"), said] if isinstance(said, str) else []
    for candidate in candidates:
        if candidate != work and files.origin(candidate) == files.origin(work):
            place = f"{candidate.rstrip('/')}/{RECORDED}"
            if files.stat(place) and yaml_lines.load(_read(place), place).data.get("name") == recipe.get(
                "name"
            ):
                return candidate
    return work


def _checker(name: str, found: Found, overrides: Sequence[str], kind: "type[_Checker]") -> "_Checker":
    document = yaml_lines.load(found.text, name)
    if not isinstance(document.data, dict):
        raise UserError(f"{name} is not a recipe: it should be a mapping with name, source, stages, output")
    checker = kind(name, document)
    for override in overrides:
        checker.apply(override)
    hide_secrets_of(document.data)
    return checker


def hide_secrets_of(recipe: Any) -> None:
    """Hides in all that is said hereafter the variables of a recipe, and the passwords in its addresses."""
    for text in texts_in(recipe):
        hide_credentials(text)
        for variable in _VARIABLE.findall(text):
            if variable in os.environ:
                hide_variable(variable, os.environ[variable])


def texts_in(value: Any) -> Iterator[str]:
    """Every text among the values of plain data."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, str):
        yield value


def find_recipe(name: str) -> Found:
    """A recipe by its path or URL, by the folder of a run (work or output), or one of ours by name."""
    candidates = [name, f"{name.rstrip('/')}/{RECORDED}"]
    if files.is_local(name):
        candidates += [str(RECIPES / Path(name).name), str(RECIPES / f"{name}.yaml")]
    for candidate in candidates:
        if files.stat(candidate):
            return Found(candidate, _read(candidate), candidate == candidates[1])
    known = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    raise UserError(
        f"there is no recipe {name}; give a path, the folder of a run, or one of ours: {', '.join(known)}"
    )


def _read(place: str) -> str:
    try:
        return files.read(place, MAX_BYTES).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{place} is no text in UTF-8: {error}. Save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{place} cannot be read: {error}") from error


def record(data: dict[str, Any], work: bool) -> bytes:
    """A recipe as it is kept beside a run's results (`work`) or its dataset: without a secret."""
    text = yaml.safe_dump(without_secrets(data), sort_keys=False, allow_unicode=True)
    return ((WORK_MARK if work else "") + text).encode()


def missing_packages(packages: dict[str, str]) -> dict[str, str]:
    """Those of an import name -> extra table that are not installed."""
    return {name: extra for name, extra in packages.items() if importlib.util.find_spec(name) is None}


@dataclass
class _Checker:
    name: str
    document: yaml_lines.Document
    found: list[tuple[int, str]] = field(default_factory=list)
    overridden: set[yaml_lines.Path] = field(default_factory=set)

    def apply(self, override: str) -> None:
        """`stages.ground.min_score=0.5`: stages by their name, the value is YAML.

        `stages.ground={grounder: annotations}` gives a stage other options instead of all that it had.
        """
        place, equals, text = override.partition("=")
        keys = place.split(".")
        if not equals or not all(keys):
            raise UserError(f"--set {override}: write it as --set source.images=DIR")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:
            raise UserError(f"--set {override}: the value is not YAML: {error}") from error
        node: Any = self.document.data
        path: yaml_lines.Path = ()
        if keys[0] == "stages":
            if len(keys) < 2 or (len(keys) == 2 and not isinstance(value, dict)):
                raise UserError(
                    f"--set {override}: write it as --set stages.NAME.OPTION=VALUE "
                    "or --set 'stages.NAME={OPTION: VALUE}'"
                )
            node, path = self._stage_options(keys[1], override)
            if len(keys) == 2:
                if "as" in node:
                    value.setdefault("as", node["as"])
                node.clear()
                node.update(value)
                self.overridden.add(path)
                return
            keys = keys[2:]
        for key in keys[:-1]:
            path = (*path, key)
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise UserError(f"--set {override}: {key} has no options of its own")
        node[keys[-1]] = value
        self.overridden.add((*path, keys[-1]))

    def _stage_options(self, name: str, override: str) -> tuple[dict[str, Any], yaml_lines.Path]:
        entries = self.document.data.get("stages") or []
        names = []
        for i, entry in enumerate(entries):
            kind, options = _entry(entry)
            if kind is None:
                continue
            names.append(str(options.get("as", kind)))
            if names[-1] == name:
                if not isinstance(entry, dict) or entry[kind] is None:
                    entries[i] = {kind: options}
                return entries[i][kind], ("stages", i, kind)
        raise UserError(f"--set {override}: the recipe has no stage {name!r}{suggestion(name, names)}")

    def mistake(self, path: yaml_lines.Path, message: str) -> None:
        line = self.document.line(path) or 0
        if self._is_overridden(path):
            self.found.append((line, f"--set      {message}"))
        else:
            self.found.append((line, f"line {line:<4}  {message}"))

    def _is_overridden(self, path: yaml_lines.Path) -> bool:
        return any(path[: len(place)] == place for place in self.overridden)

    def _refuse_imports(self) -> None:
        """What lies in a folder may be somebody else's, and brings nothing to be imported."""
        for block in ("train", "eval"):
            options = self.document.data.get(block)
            for name in ("dialect", "family"):
                value = options.get(name) if isinstance(options, dict) else None
                if isinstance(value, str) and ":" in value and not self._is_overridden((block, name)):
                    told = f"{value!r} is not imported because a folder says so; if you trust it, add"
                    self.mistake((block, name), f"{block}: {told} --set {block}.{name}={value}")

    def run_files(self, folder: str | None) -> RunFiles:
        """What needs no source and no stage. In the recipe of a dataset's `folder` nothing is expanded."""
        written = self.document.data
        data = written | {"output": {"dir": folder}}
        if folder is None:
            blocks = {key: value for key, value in written.items() if key not in ("source", "stages")}
            data = written | self._expanded(blocks, ())
        else:
            self._refuse_imports()
        recipe = self._validated(Recipe, data, (), "")
        train = self._block(Train, data, "train")
        evaluation = self._block(Eval, data, "eval")
        if self.found or recipe is None:
            raise self._error()
        return RunFiles(
            name=recipe.name, output=recipe.output, data=written, train=train, eval=evaluation or Eval()
        )

    def _error(self) -> RecipeError:
        return RecipeError(self.name, [message for _, message in sorted(self.found, key=lambda m: m[0])])

    def check(self) -> Job:
        data = self._expanded(self.document.data, ())
        recipe = self._validated(Recipe, data, (), "")
        raw_source = data.get("source")
        source = self._source(raw_source) if isinstance(raw_source, dict) else None
        raw_stages = data.get("stages")
        stages = list(self._stages(raw_stages)) if isinstance(raw_stages, list) else []
        known = [entry for entry in stages if entry[1] is not None]
        formats = self._formats(data)
        if source is not None and len(known) == len(stages):
            keep = recipe.output.keep if recipe else []
            named = [(i, NamedStage(name, stage)) for i, stage, name in known if stage]
            for place, message in self._wiring(source, named, formats, keep):
                self.mistake(place, message)
        train = self._block(Train, data, "train")
        evaluation = self._block(Eval, data, "eval")
        if self.found or recipe is None or source is None:
            raise self._error()
        chosen = [NamedStage(name, stage) for _, stage, name in known if stage]
        for one in chosen:
            one.stage.set_dataset(recipe.name)
        return Job(
            name=recipe.name,
            source=source,
            stages=chosen,
            output=recipe.output,
            max_failed_fraction=recipe.max_failed_fraction,
            train=train,
            eval=evaluation or Eval(),
            data=self.document.data,
        )

    def _block(self, cls: type[M], data: dict[str, Any], key: str) -> M | None:
        options = data.get(key)
        return self._validated(cls, options, (key,), key) if isinstance(options, dict) else None

    def _expanded(self, value: Any, path: yaml_lines.Path) -> Any:
        """`${HOME}` in any string -> the environment's value."""
        if isinstance(value, dict):
            return {key: self._expanded(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._expanded(item, (*path, i)) for i, item in enumerate(value)]
        if not isinstance(value, str):
            return value

        def variable(match: re.Match[str]) -> str:
            if match[1] not in os.environ:
                self.mistake(path, f"the environment variable {match[1]} is not set")
            return os.environ.get(match[1], "")

        if is_hidden(value):
            self.mistake(path, f"{value!r} lacks a secret, which is not recorded; name your own recipe")
        return _VARIABLE.sub(variable, value)

    def _formats(self, data: dict[str, Any]) -> list[str]:
        """Those that are known; the others are mistakes."""
        output = data.get("output")
        given = output.get("formats") if isinstance(output, dict) else None
        known = []
        for i, name in enumerate(
            given if isinstance(given, list) else Output.model_fields["formats"].default
        ):
            if not isinstance(name, str):
                continue
            try:
                FORMATS[name]
                known.append(name)
            except KeyError:
                told = f"there is no format {name!r}{suggestion(name, FORMATS)}"
                self.mistake(("output", "formats", i), f"output: {told}")
            except UserError as error:
                self.mistake(("output", "formats", i), f"output: {error}")
        return known

    def _source(self, options: dict[str, Any]) -> Source | None:
        try:
            cls = source_class(str(options.get("type")))
        except UserError as error:
            self.mistake(("source", "type"), f"source: {error}")
            return None
        if not self._has_packages(cls.packages, ("source",), f"source {options['type']}"):
            return None
        source = self._validated(cls, source_options(cls, options), ("source",), "source")
        if source is not None:
            for problem in self._problems(source):
                self.mistake(("source",), f"source: {problem}")
        return source

    def _stages(self, entries: list[Any]) -> Iterator[tuple[int, Stage | None, str]]:
        seen: set[str] = set()
        for i, entry in enumerate(entries):
            kind, options = _entry(entry)
            if kind is None:
                self.mistake(("stages", i), "a stage is written `- name` or `- name: {option: value}`")
                yield i, None, ""
                continue
            name = str(options.get("as", kind))
            path = ("stages", i, kind)
            if name in seen:
                self.mistake(path, f"two stages are called {name}; give one another name with `as: ...`")
            elif not re.fullmatch(r"[\w.:-]+", name):
                self.mistake(path, f"{name!r} is no name for a stage; use letters, digits, _ and -")
            seen.add(name)
            yield i, self._stage(kind, name, options, path), name

    def _stage(self, kind: str, name: str, options: dict[str, Any], path: yaml_lines.Path) -> Stage | None:
        try:
            cls = stage_class(kind, options)
        except UserError as error:
            self.mistake(path, str(error))
            return None
        given = {k: v for k, v in options.items() if k != "as"}
        stage = self._validated(cls, stage_options(cls, kind, given), path, name)
        for one in [] if stage is None else [stage, *stage.inner()]:
            if self._has_packages(one.packages, path, name):
                for problem in self._problems(one):
                    self.mistake(path, f"{name}: {problem}")
        return stage

    def _problems(self, one: Source | Stage) -> list[str]:
        return one.problems()

    def _wiring(
        self,
        source: Source,
        stages: Sequence[tuple[int, NamedStage]],
        formats: Sequence[str],
        keep: Sequence[str],
    ) -> Iterable[tuple[yaml_lines.Path, str]]:
        return wiring_mistakes(source, stages, formats, keep)

    def _has_packages(self, packages: dict[str, str], path: yaml_lines.Path, who: str) -> bool:
        missing = missing_packages(packages)
        for extra in sorted(set(missing.values())):
            names = ", ".join(name for name in missing if missing[name] == extra)
            self.mistake(path, f"{who} needs {names}: pip install 'gritmill[{extra}]'")
        return not missing

    def _validated(self, cls: type[M], options: dict[str, Any], path: yaml_lines.Path, who: str) -> M | None:
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            for detail in error.errors():
                place = tuple(detail["loc"])
                dotted = ".".join(map(str, place))
                if detail["type"] == "extra_forbidden":
                    near = suggestion(str(place[-1]), list(cls.model_fields))
                    message = (
                        f"option {dotted} is not known{near}" if len(place) == 1 else f"{dotted}: unknown"
                    )
                elif detail["type"] == "missing":
                    message = f"{dotted} is missing"
                else:
                    said = detail["msg"].removeprefix("Value error, ")
                    message = f"{dotted}: {said} (got {detail['input']!r})" if place else said
                self.mistake((*path, *place), f"{who}: {message}" if who else message)
            return None


class _Reader(_Checker):
    """Checks only what the recipe itself can say."""

    def _problems(self, one: Source | Stage) -> list[str]:
        return []

    def _wiring(
        self,
        source: Source,
        stages: Sequence[tuple[int, NamedStage]],
        formats: Sequence[str],
        keep: Sequence[str],
    ) -> Iterable[tuple[yaml_lines.Path, str]]:
        return ()  # which columns a source gives may stand in its files


def _entry(entry: Any) -> tuple[str | None, dict[str, Any]]:
    """`"noun_chunks"` or `{"noun_chunks": {...}}` -> its name and options; None if it is neither."""
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, dict) and len(entry) == 1:
        [(kind, options)] = entry.items()
        if options is None or isinstance(options, dict):
            return kind, options or {}
    return None, {}
