"""A sample's members -> an example, or the reason why there is none."""

import io
import json

import pytest
from PIL import Image

from gritmill.prompts import word_list
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.conversations import Conversation, Phrase, Turn, render, to_json
from gritmill.schemas.dialects import DIALECTS
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.data.reading import to_example
from tests.trainer.data.conftest import make_image

A, B = [0.1, 0.2, 0.5, 0.6, 0.9], [0.5, 0.5, 0.75, 1.0, 0.8]
IMAGE = make_image()


def read(record: object, image: bytes = IMAGE) -> Example | Bad:
    return to_example("stem", image, json.dumps(record).encode())


def good(record: object) -> Example:
    found = read(record)
    assert isinstance(found, Example), found
    return found


def test_a_record_of_grit_becomes_a_grounded_caption() -> None:
    example = good(
        {
            "caption": " a <dog> and a cat\n",
            "noun_chunks": [[1, 8, *A], [13, 18, *B]],
            "ref_exps": [[1, 18, *A], [13, 18, *B], [13, 18, *A]],
        }
    )
    question, answer = example.conversation.turns
    assert question == Turn(
        "human", "grounded_caption", f"<image>\n{word_list('tasks/grounded_caption')[0]}", [], []
    )
    assert answer.text == "a (dog) and a cat"
    assert answer.phrases == [
        Phrase(Span(0, 17), [Box(*A[:4])]),
        Phrase(Span(12, 17), [Box(*B[:4]), Box(*A[:4])]),
    ]
    spelled = render(example.conversation, DIALECTS["shikra"], example.image.size)
    assert spelled[1][1].startswith("a (dog) and a cat[")


@pytest.mark.parametrize("regions", [{}, {"ref_exps": []}, {"noun_chunks": []}, {"ref_exps": None}])
def test_a_record_without_boxes_becomes_a_plain_caption(regions: dict[str, object]) -> None:
    turns = good({"caption": "a dog", **regions}).conversation.turns
    assert [turn.task for turn in turns] == ["caption", "caption"]
    assert turns[0].text == f"<image>\n{word_list('tasks/caption')[0]}"
    assert (turns[1].text, turns[1].phrases) == ("a dog", [])


def test_noun_chunks_stand_in_for_expressions() -> None:
    turns = good({"caption": "a dog", "noun_chunks": [[0.0, 5.0, *A]]}).conversation.turns
    assert turns[1].phrases == [Phrase(Span(0, 5), [Box(*A[:4])])]


def test_the_first_conversation_is_trained_on() -> None:
    several = [
        Conversation(
            [Turn("human", "reg", f"<image>\nWhat {i}?", [], []), Turn("assistant", "reg", "A.", [], [])]
        )
        for i in range(3)
    ]
    example = good({"caption": "a dog", "conversations": to_json(several)})
    assert example.conversation == several[0]
    assert good({"caption": "a dog", "conversations": "[]"}).conversation.turns[1].text == "a dog"


@pytest.mark.parametrize(
    ("record", "key", "image_id"),
    [
        ({}, "stem", "stem"),
        ({"key": "a/b.c"}, "a/b.c", "a/b.c"),
        ({"key": "k", "image_id": "i"}, "k", "i"),
        ({"key": 12, "image_id": 34}, "12", "34"),
        ({"key": ["k"], "image_id": ""}, "stem", "stem"),
        ({"key": "\ud800", "image_id": True}, "stem", "stem"),
    ],
)
def test_who_a_sample_is(record: dict[str, object], key: str, image_id: str) -> None:
    example = good({"caption": "a dog", **record})
    assert (example.key, example.image_id) == (key, image_id)


def test_images_are_upright_and_rgb() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(file, "JPEG", exif=exif)
    example = read({"caption": "a dog"}, file.getvalue())
    assert isinstance(example, Example)
    assert example.image.size == (20, 40)
    file = io.BytesIO()
    Image.new("P", (4, 4)).save(file, "PNG")
    example = read({"caption": "a dog"}, file.getvalue())
    assert isinstance(example, Example)
    assert example.image.mode == "RGB"


GOOD = b'{"caption":"a dog"}'


@pytest.mark.parametrize(
    ("image", "record", "reason"),
    [
        (b"", GOOD, "image: there is none"),
        (b"no image", GOOD, "image: not an image"),
        (IMAGE[: len(IMAGE) // 2], GOOD, "image: "),
        (IMAGE, b"", "record: there is none"),
        (IMAGE, b"{", "record: Expecting"),
        (IMAGE, b"\xff\xfe\xfd", "record: "),
        (IMAGE, b"[1]", "record: an object is expected, not list"),
        (IMAGE, b"[" * 100_000, "record: "),
        (IMAGE, b"1" * 10_000, "record: "),
        (IMAGE, b"{}", "caption: there is none"),
        (IMAGE, b'{"caption":" "}', "caption: there is none"),
        (IMAGE, b'{"caption":["a dog"]}', "caption: there is none"),
        (IMAGE, b'{"caption":"\\ud800"}', "caption: there is none"),
        (IMAGE, b'{"caption":"a dog","ref_exps":[[0,5]]}', "ref_exps: not seven numbers"),
        (IMAGE, b'{"caption":"a dog","noun_chunks":["x"]}', "noun_chunks: not seven numbers"),
        (IMAGE, b'{"caption":"a dog","ref_exps":[[0,1e999,0,0,1,1,1]]}', "ref_exps: "),
        (IMAGE, b'{"caption":"a dog","conversations":[{"from":"human","value":"x"}]}', "conversations: "),
        (IMAGE, b'{"caption":"a dog","conversations":"[{}]"}', "conversations: "),
        (IMAGE, b'{"caption":"a dog","conversations":"\\ud800"}', "conversations: "),
    ],
)
def test_what_cannot_be_used_is_named(image: bytes, record: bytes, reason: str) -> None:
    bad = to_example("stem", image, record)
    assert isinstance(bad, Bad), bad
    assert bad.key == "stem"
    assert bad.reason.startswith(reason)
