"""How models spell boxes: one table, float boxes and spans on one side, a model's own text on the other.

>>> dialect = DIALECTS["kosmos2"]
>>> dialect.encode_caption("a dog in a field", [(Span(0, 5), [Box(0.1, 0.2, 0.5, 0.9)])], (640, 480))
'<grounding><phrase>a dog</phrase><object><patch_index_0195><patch_index_0911></object> in a field'
>>> dialect.parse(_, (640, 480)).groundings
[Grounding(span=Span(start=0, end=5), phrase='a dog', boxes=[Box(x1=0.109375, y1=0.203125, ...)])]

Boxes are 0..1 of the whole image; `size` is its (width, height) in pixels. Which part of the image a
model is shown is the dialect's `geometry`; `dataclasses.replace(dialect, geometry=CROP)` gives it another.
"""

from gritmill.schemas.dialects.base import Dialect, Grounding, Parsed, without_overlaps
from gritmill.schemas.dialects.geometry import CROP, PAD, STRETCH, Geometry, Size, resized, smart_resize
from gritmill.schemas.tables import Table

__all__ = [
    "CROP",
    "DIALECTS",
    "PAD",
    "STRETCH",
    "Dialect",
    "Geometry",
    "Grounding",
    "Parsed",
    "Size",
    "resized",
    "smart_resize",
    "without_overlaps",
]

DIALECTS: Table[Dialect] = Table(
    {
        "kosmos2": "gritmill.schemas.dialects.kosmos2:KOSMOS2",
        "kosmos2_paper": "gritmill.schemas.dialects.kosmos2:KOSMOS2_PAPER",
        "florence2": "gritmill.schemas.dialects.florence2:FLORENCE2",
        "paligemma": "gritmill.schemas.dialects.paligemma:PALIGEMMA",
        "qwen_vl": "gritmill.schemas.dialects.qwen:QWEN_VL",
        "qwen2_vl": "gritmill.schemas.dialects.qwen:QWEN2_VL",
        "qwen2.5_vl": "gritmill.schemas.dialects.qwen:QWEN25_VL",
        "qwen3_vl": "gritmill.schemas.dialects.qwen:QWEN3_VL",
        "internvl": "gritmill.schemas.dialects.internvl:INTERNVL",
        "all_seeing_v2": "gritmill.schemas.dialects.internvl:ALL_SEEING_V2",
        "ferret": "gritmill.schemas.dialects.text:FERRET",
        "shikra": "gritmill.schemas.dialects.text:SHIKRA",
        "pink": "gritmill.schemas.dialects.text:PINK",
        "minigpt_v2": "gritmill.schemas.dialects.text:MINIGPT_V2",
        "ofa": "gritmill.schemas.dialects.text:OFA",
        "llava": "gritmill.schemas.dialects.text:LLAVA",
        "digits": "gritmill.schemas.dialects.text:DIGITS",
        "tiny": "gritmill.schemas.dialects.text:TINY",
    },
    Dialect,
)
"""Every dialect by name."""
