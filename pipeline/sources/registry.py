"""Which class a source type in a recipe stands for. A plain table; nothing is imported until asked for."""

from gritmill.pipeline.sources.base import Source
from gritmill.schemas.errors import UserError
from gritmill.stages.registry import load, suggestion

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
    """The class for a source's `type`; `package.module:Class` names one that is not ours.

    Raises `UserError` for a type that is not known.
    """
    if name in SOURCES:
        return load(SOURCES[name], Source)
    if ":" in name:
        return load(name, Source)
    raise UserError(f"there is no source type {name!r}{suggestion(name, list(SOURCES))}")


def all_sources() -> dict[str, type[Source]]:
    """Every source of ours by its type."""
    return {name: load(target, Source) for name, target in SOURCES.items()}
