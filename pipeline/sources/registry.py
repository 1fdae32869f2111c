"""Which class a source type in a recipe stands for. A plain table; nothing is imported until asked for."""

from collections.abc import Mapping
from typing import Any

from gritmill.pipeline.sources.base import Source
from gritmill.schemas.entry_points import all_given
from gritmill.schemas.errors import UserError
from gritmill.schemas.tables import load, settings, suggestion, target_of

SOURCES: dict[str, str] = {
    "webdataset": "gritmill.pipeline.sources.webdataset:WebdatasetSource",
    "coco": "gritmill.pipeline.sources.coco:CocoSource",
    "huggingface": "gritmill.pipeline.sources.huggingface:HuggingfaceSource",
    "table": "gritmill.pipeline.sources.table:TableSource",
    "folder": "gritmill.pipeline.sources.folder:FolderSource",
    "scenes": "gritmill.pipeline.sources.scenes:ScenesSource",
    "finished": "gritmill.pipeline.sources.finished:FinishedSource",
    "mix": "gritmill.pipeline.sources.mix:MixSource",
}


def source_class(name: str) -> type[Source]:
    """The class for a source's `type`: ours, an entry point's, or `package.module:Class`.

    Raises `UserError` for a type that is not known.
    """
    target = name if ":" in name else target_of(name, SOURCES, Source)
    if target is None:
        raise UserError(f"there is no source type {name!r}{suggestion(name, [*SOURCES, *all_given()])}")
    return load(target, Source)


def source_options(cls: type[Source], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for the class that `source_class` gave."""
    return settings(cls, "type", SOURCES, options)


def all_sources() -> dict[str, type[Source]]:
    """Every source of ours by its type."""
    return {name: load(target, Source) for name, target in SOURCES.items()}
