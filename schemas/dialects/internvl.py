"""InternVL and All-Seeing-V2: `<ref>` and `<box>` around lists of lists."""

from gritmill.schemas.dialects.geometry import PAD
from gritmill.schemas.dialects.markup import Markup
from gritmill.schemas.dialects.numbers import Coordinates

INTERNVL = Markup(
    name="internvl",
    numbers=Coordinates(1000),
    box="[{}, {}, {}, {}]",
    phrase=("<ref>", "</ref>"),
    group=("<box>[", "]</box>"),
    between=", ",
    vocabulary=True,
    source="internvl.readthedocs.io chat_data_format (normalize_coordinates)",
)
"""Thousandths of the image, to the nearest.

<ref>a dog</ref><box>[[120, 250, 440, 820]]</box> in a field
"""

ALL_SEEING_V2 = Markup(
    name="all_seeing_v2",
    numbers=Coordinates(999),
    box="[{}, {}, {}, {}]",
    phrase=("<ref>", "</ref>"),
    group=("<box>[", "]</box>"),
    between=", ",
    geometry=PAD,
    source="OpenGVLab/all-seeing all-seeing-v2/llava/eval/eval_grounding.py",
)
"""0..999 of the image padded to a square, read as a share of 999; how its data were rounded is not published.

A pretty young <ref>lady</ref><box>[[539, 246, 826, 984]]</box> ...
"""
