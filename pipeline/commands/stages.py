"""`pipeline stages`: all stages and sources with their options."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gritmill.pipeline.engine.terminal import console, echo
from gritmill.schemas.errors import UserError


def stages(
    name: Annotated[
        str | None, typer.Argument(help="Only this stage or source; any by package.module:Class.")
    ] = None,
) -> None:
    """List every stage and source with its options and their defaults."""
    from gritmill.pipeline.sources.base import Source
    from gritmill.pipeline.sources.registry import all_sources
    from gritmill.stages.base import Stage
    from gritmill.stages.registry import all_stages

    if name is not None and ":" in name:
        _print_one(name)
        return
    shown = 0
    if name is None:
        console.print(
            "Every stage also takes batch_size (rows in one call), cpus and gpus (what a worker of it holds; "
            "gpus: null takes one if there is any). They change nothing in the result.\n"
        )
    for heading, classes in (
        ("STAGES", all_stages() | _brought(Stage)),
        ("SOURCES", all_sources() | _brought(Source)),
    ):
        listed = {k: v for k, v in classes.items() if name is None or k.split(" ")[0] == name}
        if listed and name is None:
            console.print(Text(f"{heading}\n", style="bold"))
        for title, cls in listed.items():
            shown += 1
            _print_options(title, cls)
    if name is None:
        _print_others()
    if not shown:
        raise UserError(f"there is no stage or source {name!r}; `pipeline stages` lists them")


def _brought(kind: type) -> dict[str, Any]:
    """What other distributions bring: `caption_length (from my-package)` -> its class."""
    from gritmill.schemas.tables import brought

    return {f"{name} (from {given.distribution})": found for name, given, found in brought(kind)}


def _print_others() -> None:
    """Formats, dialects and families of models that other distributions bring."""
    from gritmill.pipeline.sources.base import Source
    from gritmill.schemas.entry_points import is_kind
    from gritmill.schemas.tables import brought
    from gritmill.stages.base import Stage

    for name, given, found in brought(object):
        if not is_kind(found, Stage) and not is_kind(found, Source):
            console.print(Text.assemble((name, "bold"), f" (from {given.distribution})  {given.target}"))


def _print_one(target: str) -> None:
    from gritmill.pipeline.sources.base import Source
    from gritmill.schemas.entry_points import is_kind
    from gritmill.schemas.tables import named
    from gritmill.stages.base import Stage

    found = named(target)
    if not is_kind(found, Stage) and not is_kind(found, Source):
        raise UserError(f"{target!r} is no stage or source; name a class that builds on Stage or Source")
    _print_options(target, found)


def _print_options(title: str, cls: Any) -> None:
    from gritmill.stages.base import Stage

    summary = (cls.__doc__ or "").strip().split("\n\n")[0]
    console.print(Text.assemble((title, "bold"), f"  {' '.join(summary.split())}"), soft_wrap=True)
    if getattr(cls, "reads", None):
        echo(f"    reads {', '.join(cls.reads)}; writes {', '.join(cls.writes)}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for column in ("option", "default", "meaning"):
        table.add_column(column, overflow="fold", no_wrap=column == "option")
    for option, info in cls.model_fields.items():
        if option not in Stage.run_options:
            meaning = " ".join((info.description or "").split())
            table.add_row(f"    {option}", _default(info), meaning)
    if table.rows:
        console.print(table)
    placed = [
        f"{name} {_default(cls.model_fields[name])}"
        for name in sorted(Stage.run_options & set(cls.model_fields))
    ]
    if placed:
        echo(f"    runs with {', '.join(placed)}")
    echo()


def _default(info: Any) -> str:
    if info.is_required():
        return "required"
    return json.dumps(info.get_default(call_default_factory=True), default=str)
