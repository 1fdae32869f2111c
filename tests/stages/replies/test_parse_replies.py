"""Replies as conversations: what is read, what is drawn, what is rejected."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill import prompts
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Reject
from gritmill.schemas.conversations import (
    IMAGE,
    Conversation,
    Provenance,
    TurnRegion,
    from_json,
    mistakes,
    render,
    to_json,
)
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.replies import Exchange, Exchanges, Reply, ToldRegion, exchanges_schema
from gritmill.stages.replies import regions
from gritmill.stages.replies.formats import exchanges
from gritmill.stages.replies.parse_replies import ParseReplies

DOG, MAN = Box(0.12345, 0.2, 0.5, 0.9), Box(0.0, 0.0, 1.0, 0.95)
KNOWN = [ToldRegion("dog", DOG), ToldRegion("person", MAN)]
QA = "Question:\nWhat is it?\n===\nAnswer:\nA dog.\n==="


def reply(text: str, task: str = "conversation", finish_reason: str = "stop") -> Reply:
    return Reply(task, text, "openai", "gpt-x", "3f9a", "b2c4", 812, 143, finish_reason)


def parsed(text: str, task: str = "conversation", key: str = "k", known=KNOWN, finish="stop", **options):
    stage = ParseReplies(**options)
    out = stage.process({"key": [key], "reply": [reply(text, task, finish)], "context_regions": [known]})
    return out["conversations"][0]


def texts(conversations: list[Conversation]) -> list[str]:
    [conversation] = conversations
    assert list(mistakes(conversation)) == []
    return [turn.text for turn in conversation.turns]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (QA, [("What is it?", "A dog.")]),
        (QA + "\n" + QA.replace("it", "that"), [("What is it?", "A dog."), ("What is that?", "A dog.")]),
        ("Question: What is it?\nAnswer: A dog.", [("What is it?", "A dog.")]),
        ("\n\nQUESTION:\r\nWhat?\r\n=====\r\nanswer:\r\nA dog.\r\n", [("What?", "A dog.")]),
        ("**Question 1:** What?\n===\n**Answer 1:**\nA dog.\n\nIt runs.", [("What?", "A dog.\n\nIt runs.")]),
        ("### Question:\nWhat?\n### Answer:\nA dog: = one.", [("What?", "A dog: = one.")]),
    ],
)
def test_llava_s_questions_and_answers(text: str, expected: list[tuple[str, str]]) -> None:
    assert exchanges(text, "qa") == [Exchange(question=q, answer=a) for q, a in expected]


JSON = '{"turns": [{"question": "What is it?", "answer": "A dog."}]}'


@pytest.mark.parametrize("thought", ["<think>\nHm.\n</think>\n\n", "[THINK]Hm.[/THINK]", "Hm.\n</think>\n\n"])
@pytest.mark.parametrize(
    ("text", "format", "question"),
    [
        (QA, "qa", "What is it?"),
        (JSON, "json", "What is it?"),
        (f"```json\n{JSON}\n```", "json", "What is it?"),
        ("A dog.", "answer", ""),
    ],
)
def test_reasoning_is_no_part_of_an_answer(thought: str, text: str, format, question: str) -> None:
    assert exchanges(thought + text, format) == [Exchange(question=question, answer="A dog.")]


@pytest.mark.parametrize("task", ["conversation", "detail_description"])
def test_reasoning_without_an_answer_is_rejected(task: str) -> None:
    for text in ("<think>\nHm. A dog.", "<think>\nHm.\n</think>\n"):
        assert str(parsed(text, task).value) == "the reply is reasoning without an answer"
        assert parsed(text, task).reason == "bad_format"


def test_reasoning_stays_in_the_reply_and_in_no_record() -> None:
    conversations = parsed("<think>\nSecret.\n</think>\nA dog.", "detail_description")
    assert texts(conversations)[1] == "A dog."
    assert "Secret" not in to_json(conversations)


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        ("A dog.", "qa", "stands outside"),
        ("Sure!\n" + QA, "qa", "stands outside"),
        (QA + "\nI hope this helps.", "qa", "stands outside"),
        ("Question:\nWhat?\n===", "qa", "the last question has no answer"),
        ("Question:\nWhat?\n===\nAnswer:\n===", "qa", "answer 1 is empty"),
        ("Question:\n===\nAnswer:\nA dog.", "qa", "question 1 is empty"),
        ("Answer:\nA dog.\n===\nQuestion:\nWhat?", "qa", 'part 1 is a second "Answer:"'),
        ("Question: a\nQuestion: b\nAnswer: c", "qa", 'part 2 is a second "Question:"'),
        ("===\n===", "qa", "there is no question"),
        ("{}", "json", "turns: Field required"),
        ('{"turns": []}', "json", "there is no question"),
        ('{"turns": [{"question": "a"}]}', "json", "turns.0.answer"),
        ('{"turns": [{"question": "a", "answer": 3}]}', "json", "turns.0.answer"),
        ('{"turns": [{"question": "a", "answer": "b", "c": "d"}]}', "json", "turns.0.c"),
        ('{"turns": [{"question": "a", "answer": " "}]}', "json", "answer 1 is empty"),
        ('{"turns": [{"question": "a", "ans', "json", "Invalid JSON"),
        ("[" * 100_000, "json", "Invalid JSON"),
        ("not json", "json", "Invalid JSON"),
    ],
)
def test_what_is_broken_is_said_in_words(text: str, format, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exchanges(text, format)


@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```", "\n```\n{}\n```\n", " {} "])
def test_json_may_stand_in_a_fence(fence: str) -> None:
    text = json.dumps({"turns": [{"question": " What? ", "answer": "A `dog`."}]})
    assert exchanges(fence.replace("{}", text), "json") == [Exchange(question="What?", answer="A `dog`.")]


def test_the_schema_suits_strict_structured_outputs() -> None:
    schema = exchanges_schema()
    for part in (schema, *schema["$defs"].values()):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
    assert Exchanges.model_validate({"turns": [{"question": "a", "answer": "b"}]}).turns[0].answer == "b"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a dog", ["a dog"]),
        ("A dog [0.123, 0.200, 0.500, 0.900].", ["A dog ", DOG, "."]),
        ("(0.12,0.2,0.50,0.9)(0.0, 0.0, 1.0, 0.95)", ["", DOG, "", MAN, ""]),
        ("all of it [0, 0, 1, .95]", ["all of it ", MAN, ""]),
        ("in 4 rows (2, 4, 6, 8) and [1, 2, 3]", ["in 4 rows (2, 4, 6, 8) and [1, 2, 3]"]),
    ],
)
def test_boxes_of_the_context_are_known(text: str, pieces: list[object]) -> None:
    assert list(regions.split(text, KNOWN)) == pieces


@pytest.mark.parametrize(
    "written",
    ["[0.130, 0.200, 0.500, 0.900]", "[335, 148, 520, 855]", "(0.5, 0.5, 0.6, 0.6)", "[0.2,0.1,0.9,0.5]"],
)
def test_other_boxes_are_not(written: str) -> None:
    assert parsed(QA.replace("A dog", f"A dog {written}")) == Reject("unknown_box", written)
    with pytest.raises(regions.UnknownBox):
        list(regions.split(f"at {written}", []))


def test_boxes_become_numbers_beside_the_text() -> None:
    answer = "The dog [0.123, 0.200, 0.500, 0.900] with him [0, 0, 1, .95], the dog [0.12, .2, 0.5, .9]."
    [talk] = parsed(QA.replace("A dog.", answer).replace("it?", "at [0.123, 0.2, 0.5, 0.9]?"), image="before")
    asked, said = talk.turns
    assert (asked.text, asked.regions) == ("<image>\nWhat is at <region:0>?", [TurnRegion([DOG])])
    assert said.text == "The dog <region:0> with him <region:1>, the dog <region:0>."
    assert said.regions == [TurnRegion([DOG]), TurnRegion([MAN])]
    assert from_json(to_json([talk])) == [talk]
    assert len(render(talk, DIALECTS["ferret"], (640, 480))) == 2


def test_a_reply_can_hold_no_placeholder_of_its_own() -> None:
    text = QA.replace("A dog.", "<image> <region:7> </s> <|im_end|>").replace("What", "<image>What")
    assert texts(parsed(text, image="before")) == [
        "<image>\n(image)What is it?",
        "(image) (region:7) (/s) (|im_end|)",
    ]


def test_a_plain_answer_is_given_a_question_of_the_list() -> None:
    said = [texts(parsed("A dog lies there.", "detail_description", key=f"k{i}")) for i in range(300)]
    asked = {question for question, _ in said}
    questions = prompts.word_list("questions/detail")
    assert asked == {f"{IMAGE}\n{q}" for q in questions} | {f"{q}\n{IMAGE}" for q in questions}
    assert {answer for _, answer in said} == {"A dog lies there."}


def test_what_is_drawn_depends_on_key_and_seed_alone() -> None:
    def drawn(key: str, **options) -> list[str]:
        return texts(parsed("A dog.", "caption/art", key=key, **options))

    assert drawn("a") == drawn("a")
    assert len({tuple(drawn("a", seed=seed)) for seed in range(20)}) > 5
    assert drawn("a", image="after", questions="brief")[0].removesuffix("\n<image>") in prompts.word_list(
        "questions/brief"
    )


def test_questions_of_the_user_s_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("# mine\n\nWas sieht man <image>?\n", encoding="utf-8")
    stage = ParseReplies(questions=str(file))
    assert stage.problems() == []
    assert texts(parsed("Ein Hund.", "caption/art", image="before", questions=str(file))) == [
        "<image>\nWas sieht man (image)?",
        "Ein Hund.",
    ]
    other = tmp_path / "other.txt"
    other.write_text("Was ist das?", encoding="utf-8")
    assert ParseReplies(questions=str(other)).revision() != stage.revision()
    assert "there is no file" in ParseReplies(questions="nowhere.txt").problems()[0]
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    assert "holds no question" in ParseReplies(questions=str(empty)).problems()[0]


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        (QA, "length", "truncated"),
        (QA, "content_filter", "filtered"),
        ("", "refusal", "refusal"),
        ("", "stop", "empty"),
        (" \n", "stop", "empty"),
        ("I cannot do that.", "stop", "bad_format"),
        (QA, "stop", None),
    ],
)
def test_rejects_have_a_reason(text: str, finish: str, reason: str | None) -> None:
    result = parsed(text, finish=finish)
    assert (result.reason if isinstance(result, Reject) else None) == reason


def test_a_format_may_be_given_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "system_message.txt").write_text("Talk.")
    text = '{"turns": [{"question": "What?", "answer": "A dog."}]}'
    options: dict[str, Any] = {"formats": {str(tmp_path): "json"}, "image": "before"}
    assert texts(parsed(text, str(tmp_path), **options)) == ["<image>\nWhat?", "A dog."]
    assert texts(parsed(text, str(tmp_path)))[1] == text


def test_provenance_is_the_reply_without_its_text() -> None:
    out = ParseReplies().process({"key": ["k"], "reply": [reply(QA)], "context_regions": [[]]})
    [[talk]] = out["conversations"]
    assert talk.provenance == Provenance(
        "unknown", "conversation", "openai", "gpt-x", "3f9a", "b2c4", 812, 143, "stop"
    )
    assert set(Reply._fields) - {"text"} <= set(Provenance._fields)


PIECES = st.sampled_from(
    [
        "Question:",
        "Answer:",
        "===",
        "\n",
        "[0.123, 0.200, 0.500, 0.900]",
        "[0.9, 0.9, 1, 1]",
        "<image>",
        "<region:0>",
        "a",
    ]
)


@given(
    st.one_of(
        st.text(), st.lists(PIECES, max_size=12).map("".join), st.lists(PIECES, max_size=12).map("\n".join)
    )
)
def test_whatever_comes_back_is_a_conversation_or_a_reasoned_reject(text: str) -> None:
    for task in ("conversation", "detail_description"):
        result = parsed(text, task)
        if isinstance(result, Reject):
            assert result.reason in ("empty", "bad_format", "unknown_box")
        else:
            turns = texts(result)
            assert sum(turn.count(IMAGE) for turn in turns) == 1


@pytest.mark.parametrize(
    "text",
    ["Question:" + " " * 1_000_000, "\n" * 1_000_000, "[0.1," * 200_000, "```" + "\n" * 1_000_000 + "x",
     "Question: a\nAnswer: " + "b" * 1_000_000, "*" * 1_000_000, "=" * 1_000_000 + "a"],
)  # fmt: skip
def test_a_megabyte_is_read_in_a_moment(text: str) -> None:
    parsed(text)
    parsed(text, formats={"conversation": "json"})
