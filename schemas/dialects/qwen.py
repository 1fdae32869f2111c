"""The Qwen-VL family: tags in the caption until Qwen2-VL, JSON since Qwen2.5-VL."""

from gritmill.schemas.dialects.geometry import resized
from gritmill.schemas.dialects.lists import JsonList
from gritmill.schemas.dialects.markup import Markup
from gritmill.schemas.dialects.numbers import Coordinates

QWEN_VL = Markup(
    name="qwen_vl",
    numbers=Coordinates(999),
    box="({},{}),({},{})",
    phrase=("<ref>", "</ref>"),
    group=("<box>", "</box>"),
    between="</box><box>",
    opened=True,
    vocabulary=True,
    source="QwenLM/Qwen-VL README.md, eval_mm/evaluate_grounding.py",
)
"""0..999, read as a share of 999 as its evaluation does; the image is pulled to 448 x 448.

<ref>Woman</ref><box>(451,379),(731,806)</box>
"""

QWEN2_VL = Markup(
    name="qwen2_vl",
    numbers=Coordinates(1000),
    box="({},{}),({},{})",
    phrase=("<|object_ref_start|>", "<|object_ref_end|>"),
    group=("<|box_start|>", "<|box_end|>"),
    between="<|box_end|><|box_start|>",
    opened=True,
    vocabulary=True,
    source="QwenLM/Qwen3-VL issue 105, qwen-vl-finetune/tools/process_bbox.ipynb (convert_to_qwen2vl_format)",
)
"""Thousandths of the image, to the nearest.

In the image,<|object_ref_start|>a woman<|object_ref_end|><|box_start|>(462,371),(709,785)<|box_end|> is ...
"""

QWEN25_VL = JsonList(
    name="qwen2.5_vl",
    numbers=Coordinates(None),
    geometry=resized(factor=28),
    source="QwenLM/Qwen3-VL qwen-vl-finetune/tools/process_bbox.ipynb (convert_to_qwen25vl_format)",
)
"""Pixels of the resized image, to the nearest: they depend on the processor's `min_pixels` and `max_pixels`.

[{"bbox_2d": [77, 119, 283, 391], "label": "a dog"}]
"""

QWEN3_VL = JsonList(
    name="qwen3_vl",
    numbers=Coordinates(1000),
    source="QwenLM/Qwen3-VL issue 1633: convert_to_qwen2vl_format of process_bbox.ipynb",
)
"""Thousandths of the image again, to the nearest.

[{"bbox_2d": [120, 250, 440, 820], "label": "a dog"}]
"""
