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
from gritmill.schemas.dialects.florence2 import FLORENCE2
from gritmill.schemas.dialects.geometry import CROP, PAD, STRETCH, Geometry, Size, resized, smart_resize
from gritmill.schemas.dialects.internvl import ALL_SEEING_V2, INTERNVL
from gritmill.schemas.dialects.kosmos2 import KOSMOS2, KOSMOS2_PAPER
from gritmill.schemas.dialects.paligemma import PALIGEMMA
from gritmill.schemas.dialects.qwen import QWEN2_VL, QWEN3_VL, QWEN25_VL, QWEN_VL
from gritmill.schemas.dialects.text import DIGITS, FERRET, LLAVA, MINIGPT_V2, OFA, PINK, SHIKRA, TINY

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

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        KOSMOS2,
        KOSMOS2_PAPER,
        FLORENCE2,
        PALIGEMMA,
        QWEN_VL,
        QWEN2_VL,
        QWEN25_VL,
        QWEN3_VL,
        INTERNVL,
        ALL_SEEING_V2,
        FERRET,
        SHIKRA,
        PINK,
        MINIGPT_V2,
        OFA,
        LLAVA,
        DIGITS,
        TINY,
    )
}
"""Every dialect by name."""
