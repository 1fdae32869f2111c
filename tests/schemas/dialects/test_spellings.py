"""Literals as published, or worked out by hand from the published rule."""

import math
from typing import Any

import pytest

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects import DIALECTS

PHOTO = (640, 480)
DOG, CAT, FAR = Box(0.12, 0.25, 0.44, 0.82), Box(0.5, 0.1, 0.9, 0.3), Box(0.9, 0.9, 1.0, 1.0)
CAPTION = "a dog and two cats"
GROUNDED = [(Span(0, 5), [DOG]), (Span(10, 18), [CAT, FAR])]

SPELLINGS = {
    "kosmos2": "<grounding><phrase>a dog</phrase><object><patch_index_0259><patch_index_0846></object> and "
    "<phrase>two cats</phrase><object><patch_index_0112><patch_index_0316></delimiter_of_multi_objects/>"
    "<patch_index_0924><patch_index_1023></object>",
    # 80 of 640 columns are cut at either side, so that x becomes (x - 0.125) / 0.75, and FAR is lost.
    "kosmos2_paper": "<grounding><p>a dog</p><box><loc_256><loc_845></box> and "
    "<p>two cats</p><box><loc_112><loc_319></box>",
    "florence2": "a dog<loc_120><loc_250><loc_440><loc_820>"
    "two cats<loc_500><loc_100><loc_900><loc_300><loc_900><loc_900><loc_999><loc_999>",
    "paligemma": "<loc0256><loc0123><loc0839><loc0450> a dog ; <loc0102><loc0512><loc0307><loc0921> two cats"
    " ; <loc0921><loc0921><loc1023><loc1023> two cats",
    "qwen_vl": "<ref>a dog</ref><box>(120,250),(440,819)</box> and "
    "<ref>two cats</ref><box>(500,100),(899,300)</box><box>(899,899),(999,999)</box>",
    "qwen2_vl": "<|object_ref_start|>a dog<|object_ref_end|><|box_start|>(120,250),(440,820)<|box_end|> and "
    "<|object_ref_start|>two cats<|object_ref_end|><|box_start|>(500,100),(900,300)<|box_end|>"
    "<|box_start|>(900,900),(1000,1000)<|box_end|>",
    # 640x480 is resized to 644x476; the last pixels are 643 and 475.
    "qwen2.5_vl": '[{"bbox_2d": [77, 119, 283, 390], "label": "a dog"}, '
    '{"bbox_2d": [322, 48, 580, 143], "label": "two cats"}, '
    '{"bbox_2d": [580, 428, 643, 475], "label": "two cats"}]',
    "qwen3_vl": '[{"bbox_2d": [120, 250, 440, 820], "label": "a dog"}, '
    '{"bbox_2d": [500, 100, 900, 300], "label": "two cats"}, '
    '{"bbox_2d": [900, 900, 1000, 1000], "label": "two cats"}]',
    "internvl": "<ref>a dog</ref><box>[[120, 250, 440, 820]]</box> and "
    "<ref>two cats</ref><box>[[500, 100, 900, 300], [900, 900, 1000, 1000]]</box>",
    # 80 rows of padding above and below, so that y becomes (80 + 480 y) / 640.
    "all_seeing_v2": "<ref>a dog</ref><box>[[120, 312, 440, 739]]</box> and "
    "<ref>two cats</ref><box>[[500, 200, 899, 350], [899, 799, 999, 874]]</box>",
    "ferret": "a dog [120, 250, 440, 820] and two cats [500, 100, 900, 300] [900, 900, 999, 999]",
    "shikra": "a dog[0.120,0.312,0.440,0.740] and two cats[0.500,0.200,0.900,0.350;0.900,0.800,1.000,0.875]",
    "pink": "a dog [0.120,0.250,0.440,0.820] and "
    "two cats [0.900,0.900,1.000,1.000] [0.500,0.100,0.900,0.300]",
    "minigpt_v2": "<p>a dog</p> {<12><25><44><82>} and "
    "<p>two cats</p> {<50><10><90><30>}<delim>{<90><90><100><100>}",
    "ofa": "a dog <bin_120> <bin_250> <bin_440> <bin_819> and two cats "
    "<bin_500> <bin_100> <bin_899> <bin_300> <bin_899> <bin_899> <bin_999> <bin_999>",
    "llava": "a dog: [0.120, 0.250, 0.440, 0.820]\ntwo cats: [0.500, 0.100, 0.900, 0.300]\n"
    "two cats: [0.900, 0.900, 1.000, 1.000]",
    "digits": "a dog[120,250,440,820] and two cats[500,100,900,300][900,900,999,999]",
    "tiny": "a dog<bin_3><bin_8><bin_14><bin_26> and "
    "two cats<bin_16><bin_3><bin_28><bin_9><bin_28><bin_28><bin_31><bin_31>",
}


def test_every_dialect_has_its_spelling_here() -> None:
    assert SPELLINGS.keys() == DIALECTS.keys()


@pytest.mark.parametrize("name", DIALECTS)
def test_a_caption_in_each_dialect(name: str) -> None:
    dialect = DIALECTS[name]
    assert dialect.encode_caption(CAPTION, GROUNDED, PHOTO) == SPELLINGS[name]
    assert {g.phrase.removeprefix("and ") for g in dialect.parse(SPELLINGS[name], PHOTO).groundings} == {
        "a dog",
        "two cats",
    }


PUBLISHED = [
    (
        "kosmos2",
        "<grounding> An image of<phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863>"
        "</object> warming himself by<phrase> a fire</phrase><object><patch_index_0005><patch_index_0911>"
        "</object>.",
        "An image of a snowman warming himself by a fire.",
        [
            (Span(12, 21), "a snowman", [(0.390625, 0.046875, 0.984375, 0.828125)]),
            (Span(41, 47), "a fire", [(0.171875, 0.015625, 0.484375, 0.890625)]),
        ],
    ),
    (
        "kosmos2_paper",
        "<grounding><p>It</p><box><loc_44><loc_863></box> seats next to "
        "<p>a campfire</p><box><loc_4><loc_1007></box>",
        "It seats next to a campfire",
        [
            # in the middle 75 % of the width
            (Span(0, 2), "It", [(0.125 + 0.75 * 0.390625, 0.046875, 0.125 + 0.75 * 0.984375, 0.828125)]),
            (
                Span(17, 27),
                "a campfire",
                [(0.125 + 0.75 * 4.5 / 32, 0.5 / 32, 0.125 + 0.75 * 15.5 / 32, 31.5 / 32)],
            ),
        ],
    ),
    (
        "qwen_vl",
        "<ref>Woman</ref><box>(451,379),(731,806)</box>",
        "Woman",
        [(Span(0, 5), "Woman", [(451 / 999, 379 / 999, 731 / 999, 806 / 999)])],
    ),
    (
        "qwen2_vl",
        "In the image,<|object_ref_start|>a woman<|object_ref_end|><|box_start|>(462,371),(709,785)"
        "<|box_end|> is sitting",
        "In the image,a woman is sitting",
        [(Span(13, 20), "a woman", [(0.462, 0.371, 0.709, 0.785)])],
    ),
    (
        "all_seeing_v2",
        "A pretty young <ref>lady</ref><box>[[539, 246, 826, 984]]</box> <pred>holding</pred>",
        "A pretty young lady holding",
        [(Span(15, 19), "lady", [(539 / 999, (640 * 246 / 999 - 80) / 480, 826 / 999, 1.0)])],
    ),
    (
        "shikra",
        "Answer: [0.1,0.2,0.3,0.4] .",
        "Answer: .",
        [(Span(0, 7), "Answer:", [(0.1, 0.1, 0.3, 0.3667)])],
    ),
    (
        "llava",
        "tie: [0.574, 0.298, 0.752, 0.704]",
        "tie",
        [(Span(0, 3), "tie", [(0.574, 0.298, 0.752, 0.704)])],
    ),
    (
        "ofa",
        "<bin_123> <bin_456> <bin_789> <bin_999>",
        "",
        [(None, "", [(123 / 999, 456 / 999, 789 / 999, 1.0)])],
    ),
]


@pytest.mark.parametrize(("name", "text", "caption", "groundings"), PUBLISHED, ids=[p[0] for p in PUBLISHED])
def test_published_literals_are_read(name: str, text: str, caption: str, groundings: list[Any]) -> None:
    parsed = DIALECTS[name].parse(text, PHOTO)
    assert parsed.text == caption
    assert [(g.span, g.phrase) for g in parsed.groundings] == [g[:2] for g in groundings]
    for grounding, (_, _, expected) in zip(parsed.groundings, groundings, strict=True):
        for box, corners in zip(grounding.boxes, expected, strict=True):
            assert all(math.isclose(a, b, abs_tol=1e-4) for a, b in zip(box, corners, strict=True))


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("kosmos2", 1024 + 6, {"<grounding>", "<patch_index_0000>", "<patch_index_1023>", "</object>"}),
        ("florence2", 1000, {"<loc_0>", "<loc_999>"}),
        ("paligemma", 1024, {"<loc0000>", "<loc1023>"}),
        ("ofa", 1000, {"<bin_0>", "<bin_999>"}),
        ("qwen2_vl", 4, {"<|box_start|>", "<|object_ref_end|>"}),
        ("qwen3_vl", 0, set()),
        ("minigpt_v2", 0, set()),
    ],
)
def test_tokens_of_the_vocabulary(name: str, count: int, some: set[str]) -> None:
    tokens = DIALECTS[name].tokens()
    assert len(tokens) == len(set(tokens)) == count
    assert some <= set(tokens)
