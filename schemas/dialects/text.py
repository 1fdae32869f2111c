"""Models that write boxes as plain text, with no tokens of their own."""

from gritmill.schemas.dialects.geometry import PAD
from gritmill.schemas.dialects.lists import Listing
from gritmill.schemas.dialects.markup import Markup
from gritmill.schemas.dialects.numbers import Coordinates

FERRET = Markup(
    name="ferret",
    numbers=Coordinates(1000, last=999, floor=True),
    box="[{}, {}, {}, {}]",
    between=" ",
    gap=" ",
    source="apple/ml-ferret ferret/train/train.py, ferret/eval/model_refcoco.py",
)
"""Thousandths, rounded down and read at the lower edge, which shifts a box by half a thousandth.

a dog [445, 208, 591, 250] in a field
"""

SHIKRA = Markup(
    name="shikra",
    numbers=Coordinates(1000, decimals=3),
    box="{},{},{},{}",
    group=("[", "]"),
    between=";",
    opened=True,
    geometry=PAD,
    source="shikras/shikra mllm/dataset/process_function/box_process_function.py, utils/transform.py",
)
"""Three decimals of the image padded to a square; all boxes of a phrase in one bracket.

a dog[0.123,0.456,0.789,0.900;0.001,0.002,0.030,0.040] in a field
"""

PINK = Markup(
    name="pink",
    numbers=Coordinates(1000, decimals=3),
    box="[{},{},{},{}]",
    between=" ",
    gap=" ",
    smallest_first=True,
    source="alipay/Ant-Multi-Modal-Framework prj/Pink/pink/datasets/FlickrEntity.py",
)
"""Three decimals; the boxes of a phrase by growing area.

a dog [0.123,0.456,0.789,0.900] in a field
"""

MINIGPT_V2 = Markup(
    name="minigpt_v2",
    numbers=Coordinates(100, floor=True),
    box="{<{}><{}><{}><{}>}",
    phrase=("<p>", "</p>"),
    between="<delim>",
    gap=" ",
    source="Vision-CAIR/MiniGPT-4 minigpt4/datasets/datasets/coco_dataset.py, flickr.py",
)
"""Hundredths, rounded down and read at the lower edge.

<p>a dog</p> {<12><45><78><90>} in a field
"""

OFA = Markup(
    name="ofa",
    numbers=Coordinates(999),
    box="<bin_{}> <bin_{}> <bin_{}> <bin_{}>",
    between=" ",
    gap=" ",
    vocabulary=True,
    source="OFA-Sys/OFA data/mm_data/refcoco_dataset.py",
)
"""1,000 bins, to the nearest. OFA grounds single phrases; writing bins into a caption is our extension.

<bin_123> <bin_456> <bin_789> <bin_999>
"""

LLAVA = Listing(
    name="llava",
    numbers=Coordinates(1000, decimals=3),
    box="[{}, {}, {}, {}]",
    entry="{label}: {box}",
    separator="\n",
    source="LLaVA-Instruct-150K, the boxes shown to GPT-4 (arXiv:2304.08485)",
)
"""Three decimals, one line an object.

tie: [0.574, 0.298, 0.752, 0.704]
"""

DIGITS = Markup(
    name="digits",
    numbers=Coordinates(1000, last=999, floor=True, middle=True),
    box="[{},{},{},{}]",
    between="",
    source="ours",
)
"""For a model that has no spelling of its own: few characters, no new token, no shift.

a dog[445,208,591,250] in a field
"""

TINY = Markup(
    name="tiny",
    numbers=Coordinates(32, last=31, floor=True, middle=True),
    box="<bin_{}><bin_{}><bin_{}><bin_{}>",
    between="",
    vocabulary=True,
    source="ours",
)
"""For the small models of `train: {model: tiny}`: as few tokens as possible, shared by all coordinates.

a dog<bin_14><bin_6><bin_18><bin_7> in a field
"""
