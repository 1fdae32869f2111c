"""A dataset factory for grounded vision-language data: what it is from Python, see docs/python.md.

    from gritmill import load_recipe, open_dataset, run

    job = load_recipe("quickstart", ["output.dir=out/quickstart"])
    run(job)
    for sample in open_dataset(job.output.dir, split="train"):
        print(sample.key, sample.caption, sample.boxes)

Names are imported when they are first asked for, so that `import gritmill` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gritmill.dataset import Dataset as Dataset
    from gritmill.dataset import Sample as Sample
    from gritmill.dataset import open_dataset as open_dataset
    from gritmill.jobs import evaluate as evaluate
    from gritmill.jobs import plan as plan
    from gritmill.jobs import run as run
    from gritmill.jobs import train as train
    from gritmill.pipeline.engine.plan import Plan as Plan
    from gritmill.pipeline.engine.recipes import Job as Job
    from gritmill.pipeline.engine.recipes import find_run_files as find_run_files
    from gritmill.pipeline.engine.recipes import load_recipe as load_recipe
    from gritmill.pipeline.engine.run import Finished as Finished
    from gritmill.pipeline.engine.run_files import RunFiles as RunFiles
    from gritmill.pipeline.engine.runners.local import LocalRunner as LocalRunner
    from gritmill.pipeline.engine.runners.ray import RayRunner as RayRunner
    from gritmill.pipeline.output.formats import Format as Format
    from gritmill.pipeline.output.formats import ShardWriter as ShardWriter
    from gritmill.pipeline.sources.base import Part as Part
    from gritmill.pipeline.sources.base import Source as Source
    from gritmill.schemas.boxes import Box as Box
    from gritmill.schemas.columns import Annotation as Annotation
    from gritmill.schemas.columns import BoxCheck as BoxCheck
    from gritmill.schemas.columns import Columns as Columns
    from gritmill.schemas.columns import GroundedBox as GroundedBox
    from gritmill.schemas.columns import ImageRef as ImageRef
    from gritmill.schemas.columns import Reject as Reject
    from gritmill.schemas.columns import Span as Span
    from gritmill.schemas.conversations import Conversation as Conversation
    from gritmill.schemas.conversations import Phrase as Phrase
    from gritmill.schemas.conversations import Provenance as Provenance
    from gritmill.schemas.conversations import Turn as Turn
    from gritmill.schemas.conversations import TurnRegion as TurnRegion
    from gritmill.schemas.conversations import render as render
    from gritmill.schemas.dialects import DIALECTS as DIALECTS
    from gritmill.schemas.dialects import Dialect as Dialect
    from gritmill.schemas.dialects.lists import JsonList as JsonList
    from gritmill.schemas.dialects.lists import Listing as Listing
    from gritmill.schemas.dialects.markup import Markup as Markup
    from gritmill.schemas.dialects.numbers import Coordinates as Coordinates
    from gritmill.schemas.errors import UserError as UserError
    from gritmill.schemas.images import Image as Image
    from gritmill.schemas.masks import Mask as Mask
    from gritmill.stages.base import GlobalStage as GlobalStage
    from gritmill.stages.base import Sketches as Sketches
    from gritmill.stages.base import Stage as Stage
    from gritmill.stages.filters.base import AtLeast as AtLeast
    from gritmill.stages.filters.base import AtMost as AtMost
    from gritmill.stages.filters.base import Filter as Filter
    from gritmill.stages.filters.base import OneOf as OneOf
    from gritmill.stages.grounders.base import Ground as Ground
    from gritmill.stages.maker import Maker as Maker
    from gritmill.trainer.metrics_file import Report as Report
    from gritmill.trainer.models.base import Adapter as Adapter
    from gritmill.trainer.models.decoder import DecoderAdapter as DecoderAdapter
    from gritmill.trainer.train import Trained as Trained

    __version__: str

_NAMES = {
    "gritmill.dataset": ("Dataset", "Sample", "open_dataset"),
    "gritmill.jobs": ("evaluate", "plan", "run", "train"),
    "gritmill.pipeline.engine.plan": ("Plan",),
    "gritmill.pipeline.engine.recipes": ("Job", "find_run_files", "load_recipe"),
    "gritmill.pipeline.engine.run": ("Finished",),
    "gritmill.pipeline.engine.run_files": ("RunFiles",),
    "gritmill.pipeline.engine.runners.local": ("LocalRunner",),
    "gritmill.pipeline.engine.runners.ray": ("RayRunner",),
    "gritmill.pipeline.output.formats": ("Format", "ShardWriter"),
    "gritmill.pipeline.sources.base": ("Part", "Source"),
    "gritmill.schemas.boxes": ("Box",),
    "gritmill.schemas.columns": (
        *("Annotation", "BoxCheck", "Columns", "GroundedBox", "ImageRef", "Reject", "Span"),
    ),
    "gritmill.schemas.conversations": (
        "Conversation",
        "Phrase",
        "Provenance",
        "Turn",
        "TurnRegion",
        "render",
    ),
    "gritmill.schemas.dialects": ("DIALECTS", "Dialect"),
    "gritmill.schemas.dialects.lists": ("JsonList", "Listing"),
    "gritmill.schemas.dialects.markup": ("Markup",),
    "gritmill.schemas.dialects.numbers": ("Coordinates",),
    "gritmill.schemas.errors": ("UserError",),
    "gritmill.schemas.images": ("Image",),
    "gritmill.schemas.masks": ("Mask",),
    "gritmill.stages.base": ("GlobalStage", "Sketches", "Stage"),
    "gritmill.stages.filters.base": ("AtLeast", "AtMost", "Filter", "OneOf"),
    "gritmill.stages.grounders.base": ("Ground",),
    "gritmill.stages.maker": ("Maker",),
    "gritmill.trainer.metrics_file": ("Report",),
    "gritmill.trainer.models.base": ("Adapter",),
    "gritmill.trainer.models.decoder": ("DecoderAdapter",),
    "gritmill.trainer.train": ("Trained",),
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names}


if not TYPE_CHECKING:  # a checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from gritmill.version import version

            return version()
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, getattr(import_module(_PLACES[name]), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, "__version__"})
