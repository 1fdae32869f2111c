"""Which class a source type in a recipe stands for. A plain table; nothing is imported until asked for."""

from pipeline.sources.base import Source
from schemas.errors import UserError
from stages.registry import load, suggestion

SOURCES: dict[str, str] = {
    "webdataset": "pipeline.sources.webdataset:WebdatasetSource",
    "coco": "pipeline.sources.coco:CocoSource",
    "huggingface": "pipeline.sources.huggingface:HuggingfaceSource",
    "table": "pipeline.sources.table:TableSource",
    "folder": "pipeline.sources.folder:FolderSource",
    "scenes": "pipeline.sources.scenes:ScenesSource",
    "finished": "pipeline.sources.finished:FinishedSource",
    "mix": "pipeline.sources.mix:MixSource",
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
