"""Conversations with numbers for boxes, spelled in dialects and as JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box, Point
from gritmill.schemas.columns import Span, from_arrow, to_arrow
from gritmill.schemas.conversations import (
    IMAGE,
    Conversation,
    Phrase,
    Provenance,
    Turn,
    TurnRegion,
    from_json,
    mistakes,
    placeholder,
    render,
    shielded,
    to_json,
    with_image,
)
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.masks import Mask

SIZE = (640, 480)
DOG, CAT = Box(0.1, 0.2, 0.5, 0.9), Box(0.6, 0.5, 0.75, 0.8)
EDGE = Box(0.0, 0.2, 0.1, 0.9)
"""Outside of the square that is cropped from the middle of a 640 x 480 image."""


def exchange(
    question: str, answer: str, given: tuple[Box, ...] = (), found: tuple[Box, ...] = (), phrases=()
) -> list[Turn]:
    return [
        Turn("human", "rec", question, [TurnRegion(list(given))] if given else [], []),
        Turn("assistant", "rec", answer, [TurnRegion(list(found))] if found else [], list(phrases)),
    ]


WHERE = exchange("<image>\nWhere is the dog?", "<region:0>", found=(DOG,))
BOTH = exchange("<image>\nWhere are the pets?", "<region:0>", found=(DOG, CAT))
WHAT = exchange("What is in <region:0>?", "A cat.", given=(CAT,))
CAPTION = exchange(
    "<image>\nDescribe it.",
    "a dog and a cat",
    phrases=[Phrase(Span(0, 5), [DOG]), Phrase(Span(10, 15), [CAT])],
)


ASK = "<image>\nDescribe it."


@pytest.mark.parametrize(
    ("dialect", "turns", "texts"),
    [
        ("digits", WHERE, ["<image>\nWhere is the dog?", "[100,200,500,900]"]),
        ("shikra", BOTH, [
            "<image>\nWhere are the pets?", "[0.100,0.275,0.500,0.800;0.600,0.500,0.750,0.725]"
        ]),
        ("ferret", WHAT, ["What is in [600, 500, 750, 800]?", "A cat."]),
        ("digits", CAPTION, [ASK, "a dog[100,200,500,900] and a cat[600,500,750,800]"]),
        ("florence2", CAPTION, [
            ASK,
            "a dog<loc_100><loc_200><loc_500><loc_900>"
            "a cat<loc_600><loc_500><loc_750><loc_800>",
        ]),
        ("kosmos2", CAPTION, [
            ASK,
            "<grounding><phrase>a dog</phrase><object><patch_index_0195><patch_index_0911></object>"
            " and <phrase>a cat</phrase><object><patch_index_0531><patch_index_0823></object>",
        ]),
        ("qwen3_vl", WHERE + WHAT, [
            "<image>\nWhere is the dog?", '[{"bbox_2d": [100, 200, 500, 900]}]',
            'What is in [{"bbox_2d": [600, 500, 750, 800]}]?', "A cat.",
        ]),
    ],
)  # fmt: skip
def test_a_conversation_in_the_spelling_of_a_model(dialect, turns, texts):
    spelled = render(Conversation(turns), DIALECTS[dialect], SIZE)
    assert [text for _, text in spelled] == texts
    assert [role for role, _ in spelled] == ["human", "assistant"] * (len(turns) // 2)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda d: d.name)
@pytest.mark.parametrize("turns", [BOTH, CAPTION], ids=["boxes", "caption"])
def test_every_dialect_reads_its_boxes_back(dialect, turns):
    [_, (_, answer)] = render(Conversation(turns), dialect, SIZE)
    read = dialect.parse(answer, SIZE).boxes
    assert len(read) == 2
    for box in (DOG, CAT):
        assert min(max(abs(a - b) for a, b in zip(box, found, strict=True)) for found in read) < 0.05


GONE = exchange("<image>\nWhere is the post?", "<region:0>", found=(EDGE,))


@pytest.mark.parametrize(
    ("turns", "questions"),
    [
        (GONE, []),
        (GONE + WHAT, ["<image>\nWhat is in {cat}?"]),
        (WHERE + exchange("What is in <region:0>?", "A post.", given=(EDGE,)) + WHAT,
         ["<image>\nWhere is the dog?", "What is in {cat}?"]),
        (exchange("Where is the post?\n<image>", "<region:0>", found=(EDGE,)) + WHAT,
         ["What is in {cat}?\n<image>"]),
        (exchange("<image>\nAll posts?", "<region:0>", found=(EDGE, DOG)), ["<image>\nAll posts?"]),
        (exchange(ASK, "a post", phrases=[Phrase(Span(0, 6), [EDGE])]), []),
        (exchange(ASK, "a post, a dog", phrases=[Phrase(Span(0, 6), [EDGE]), Phrase(Span(8, 13), [DOG])]),
         [ASK]),
    ],
)  # fmt: skip
def test_what_a_crop_hides_is_not_asked_and_the_image_stays_first(turns, questions):
    dialect = DIALECTS["kosmos2_paper"]
    spelled = render(Conversation(turns), dialect, SIZE)
    cat = dialect.encode_boxes([CAT], SIZE)
    assert [text for role, text in spelled if role == "human"] == [q.replace("{cat}", cat) for q in questions]
    assert all(text for _, text in spelled)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (WHERE[:1], "has no answer"),
        ([WHERE[0], WHERE[1]._replace(regions=[TurnRegion(points=[Point(0.5, 0.5)])])], "spells points"),
        ([WHERE[0], WHERE[1]._replace(regions=[TurnRegion([DOG], picture=1)])], "second picture"),
        (exchange("Where?", "<region:1>", found=(DOG,)), "<region:1> is not among the 1 regions"),
        (exchange("What is <region:0>?", "A dog."), "<region:0> is not among the 0 regions"),
        (exchange("Where?", "a dog", found=(DOG,), phrases=[Phrase(Span(0, 5), [DOG])]), "and regions"),
        (exchange("Where?", "a dog", phrases=[Phrase(Span(0, 9), [DOG])]), "holds no words"),
        (exchange("Where?", "<region:0>", found=(DOG, Box(0.5, 0.5, 0.5, 0.9))), "is not a box"),
    ],
)  # fmt: skip
def test_what_is_no_conversation(turns, message):
    with pytest.raises(ValueError, match=message):
        render(Conversation(turns), DIALECTS["digits"], SIZE)


def test_words_around_placeholders_can_be_no_markup_of_the_dialect():
    turns = exchange(
        "<image>\nWhat are [1, 2] and <region:0>; or <region:9x>?", "A <loc_1> dog.", given=(DOG,)
    )
    ferret = render(Conversation(turns), DIALECTS["ferret"], SIZE)
    assert ferret[0][1] == "<image>\nWhat are (1, 2) and [100, 200, 500, 900]; or <region:9x>?"
    assert render(Conversation(turns), DIALECTS["florence2"], SIZE)[1][1] == "A (loc_1) dog."


@given(st.text())
def test_a_caption_can_hold_no_placeholder_and_keeps_its_offsets(text):
    for caption in (text, IMAGE + text, text + placeholder(3), f"{text[:2]}</s>{text[2:]}"):
        shield = shielded(caption)
        assert len(shield) == len(caption)
        assert "<" not in shield and ">" not in shield
        untouched = [(a, b) for a, b in zip(caption, shield, strict=True) if a not in "<>"]
        assert all(a == b for a, b in untouched)


@pytest.mark.parametrize("before", [True, False])
def test_the_image_has_a_line_of_its_own(before):
    assert with_image("Where?", before).split("\n") == (
        ["<image>", "Where?"] if before else ["Where?", "<image>"]
    )


CONVERSATIONS = [Conversation(WHERE + WHAT), Conversation(CAPTION), Conversation([])]


def test_json_and_arrow_give_the_same_conversations_back():
    text = to_json(CONVERSATIONS)
    assert from_json(text) == CONVERSATIONS
    assert isinstance(from_json(text)[1].turns[1].phrases[0].boxes[0], Box)
    column = [CONVERSATIONS, [], None]
    assert from_arrow(to_arrow(column, list[Conversation]), list[Conversation]) == column


SQUARE = Mask(4, 4, "5234", 0.5, "sam")
REGIONS = [
    (TurnRegion([DOG]), '{"boxes":[[0.1,0.2,0.5,0.9]]}'),
    (TurnRegion(points=[Point(0.5, 0.25)], picture=2), '{"points":[[0.5,0.25]],"picture":2}'),
    (TurnRegion(masks=[SQUARE]), '{"masks":[{"size":[4,4],"counts":"5234","score":0.5,"model":"sam"}]}'),
    (TurnRegion(), "{}"),
]


@pytest.mark.parametrize(("region", "written"), REGIONS)
def test_a_region_is_boxes_points_or_masks_or_nowhere(region, written):
    told = [Conversation([Turn("human", "rec", "<region:0>", [region], [])])]
    assert f'"regions":[{written}]' in to_json(told)
    assert from_json(to_json(told)) == told
    assert from_arrow(to_arrow([told], list[Conversation]), list[Conversation]) == [told]


def test_format_1_has_lists_of_boxes_for_regions():
    text = to_json([Conversation(WHERE + WHAT)]).replace('{"boxes":', "").replace("]]}", "]]")
    assert "boxes" not in text and from_json(text) == [Conversation(WHERE + WHAT)]


@pytest.mark.parametrize(
    ("region", "dialect", "answer"),
    [
        (TurnRegion(), "digits", "none"),
        (TurnRegion(), "qwen3_vl", "[]"),
        (TurnRegion(masks=[SQUARE]), "llava", "[0.250, 0.000, 1.000, 1.000]"),
    ],
)
def test_nowhere_is_said_and_a_mask_is_the_box_around_it(region, dialect, answer):
    turns = [WHERE[0], WHERE[1]._replace(regions=[region])]
    assert render(Conversation(turns), DIALECTS[dialect], SIZE)[1] == ("assistant", answer)


def test_all_that_lies_between_a_question_and_its_answer_goes_with_them():
    between = [Turn(role, "", f"some {role}", [], []) for role in ("thought", "action", "tool")]
    system = Turn("system", "", "Look.", [], [])
    turns = [system, GONE[0], *between, GONE[1], WHAT[0], between[0], WHAT[1]]
    assert not list(mistakes(Conversation(turns)))
    spelled = render(Conversation(turns), DIALECTS["kosmos2_paper"], SIZE)
    assert [role for role, _ in spelled] == ["system", "human", "thought", "assistant"]
    assert spelled[1][1].startswith("<image>\n")


def test_json_as_it_stands_in_a_record():
    turns = [WHAT[0], CAPTION[1]._replace(phrases=[Phrase(Span(0, 5), [DOG])])]
    assert to_json([Conversation(turns, Provenance("tasks", "reg", template="tasks/reg@c81b"))]) == (
        '[{"turns":[{"role":"human","task":"rec","text":"What is in <region:0>?",'
        '"regions":[{"boxes":[[0.6,0.5,0.75,0.8]]}],"phrases":[]},'
        '{"role":"assistant","task":"rec","text":"a dog and a cat","regions":[],'
        '"phrases":[{"span":[0,5],"boxes":[[0.1,0.2,0.5,0.9]]}]}],'
        '"provenance":{"maker":"tasks","task":"reg","template":"tasks/reg@c81b"}}]'
    )


@pytest.mark.parametrize(
    "text",
    ["", "{}", "null", '[{"turns":[1]}]', '[{"turns":[{"role":"human"}]}]', "[" * 100_000,
     to_json(CONVERSATIONS).replace("[0.6,0.5,0.75,0.8]", "[0.6,0.5]")],
)  # fmt: skip
def test_what_is_no_json_of_conversations(text):
    with pytest.raises(ValueError, match="validation error"):
        from_json(text)


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        (WHERE + WHAT, []),
        (CAPTION, []),
        ([], ["no turns"]),
        (WHERE[:1], ["the last question has no answer"]),
        (WHERE[::-1], ["the last question has no answer", "turn 0 belongs to 'assistant'"]),
        ([*WHERE, WHAT[1]], ["turn 2 belongs to 'assistant'"]),
        ([WHERE[0], Turn("tool", "", "x", [], []), WHERE[1]], ["turn 1 belongs to 'tool'"]),
        ([*WHERE, Turn("system", "", "x", [], []), *WHAT], ["turn 2 belongs to 'system'"]),
        ([WHERE[0], WHERE[1]._replace(regions=[])], ["turn 1: <region:0> is not among its 0 regions"]),
        ([WHERE[0], WHERE[1]._replace(phrases=[Phrase(Span(0, 3), [DOG])])],
         ["turn 1 has regions and phrases"]),
        ([CAPTION[0], CAPTION[1]._replace(phrases=[Phrase(Span(3, 99), [DOG])])],
         ["turn 1: phrase [3, 99) of 15 characters"]),
        ([WHERE[0], WHERE[1]._replace(regions=[TurnRegion([Box(0.5, 0.2, 0.1, 0.9)])])],
         ["turn 1: [0.5, 0.2, 0.1, 0.9] is no box in 0..1 with some area"]),
        ([WHERE[0], WHERE[1]._replace(regions=[TurnRegion([Box(10, 20, 30, 40)])])],
         ["turn 1: [10, 20, 30, 40] is no box in 0..1 with some area"]),
    ],
)  # fmt: skip
def test_mistakes(turns, found):
    assert list(mistakes(Conversation(turns))) == found
