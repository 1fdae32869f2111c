"""What each family is shown: labels on the answers alone, prompts as in training, lengths, bad examples."""

from dataclasses import replace

import pytest
from PIL import Image
from scene_questions import Scene, example, say, scenes

from gritmill.schemas.boxes import Box
from gritmill.schemas.conversations import ASSISTANT, HUMAN, Conversation, Turn
from gritmill.schemas.dialects import CROP, DIALECTS
from gritmill.schemas.errors import UserError
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.models.registry import adapter_for
from gritmill.trainer.models.turns import question, written_boxes

ODD_ANSWERS = [":)", "...", "-5", '"quoted"', "été", "漢字", "🙂", "a\nb", "e\u0301", "]", "x" * 40, "1,2"]
MORE = [("Is it red?", "No."), ("Is it a circle?", "Yes, it is.")]


@pytest.fixture
def scene() -> Scene:
    return scenes(1)[0]


def learnt(adapter, tensors) -> list[list[str]]:
    """The runs of labels of each row, as text."""
    rows = []
    for ids, labels in zip(tensors["input_ids"].tolist(), tensors["labels"].tolist(), strict=True):
        runs: list[list[int]] = [[]]
        for token, label in zip(ids, labels, strict=True):
            assert label in (-100, token)
            if label == -100:
                runs.append([])
            else:
                runs[-1].append(label)
        rows.append([adapter.processor.tokenizer.decode(run) for run in runs if run])
    return rows


def by_row(family: str, answers: list[str]) -> list[list[str]]:
    """A prefix language model has a row for each answer."""
    return [[answer] for answer in answers] if family == "PaliGemmaAdapter" else [answers]


def ends(adapter) -> str:
    return getattr(adapter, "end", adapter.processor.tokenizer.eos_token)


def test_labels_are_the_answers_and_what_ends_them(loaded, scene):
    adapter = loaded.adapter
    batch = adapter.train_batch([example(scene, *MORE)])
    box = adapter.dialect.encode_boxes([scene.box], scene.image.size)
    expected = [answer + ends(adapter) for answer in (box, "No.", "Yes, it is.")]
    found = [[run.strip() for run in row] for row in learnt(adapter, batch.tensors)]
    assert found == by_row(type(adapter).__name__, expected)
    assert (batch.bad, batch.left_out) == ([], 0)


@pytest.mark.parametrize("answer", ODD_ANSWERS)
def test_what_is_asked_begins_what_is_learnt(loaded, scene, answer):
    adapter = loaded.adapter
    question = f'Which region does "{scene.expression}" describe?'
    turns = [
        Turn(HUMAN, "vqa", f"<image>\n{question}", [], []),
        Turn(ASSISTANT, "vqa", answer, [], []),
    ]
    batch = adapter.train_batch([Example(scene.key, scene.key, scene.image, Conversation(turns))])
    [ids], [labels] = batch.tensors["input_ids"].tolist(), batch.tensors["labels"].tolist()
    asked = adapter.ask_batch([scene.image], [Prompt("vqa", {"question": question}, [])], native=False)
    [prompt] = asked["input_ids"].tolist()
    assert ids[: len(prompt)] == prompt
    assert labels == [-100] * len(prompt) + ids[len(prompt) :]
    assert "labels" not in asked


def test_rows_of_a_batch_do_not_disturb_one_another(loaded):
    shown = scenes(3)
    adapter = loaded.adapter
    both = adapter.train_batch([example(shown[0], *MORE), example(shown[1])]).tensors
    one = adapter.train_batch([example(shown[1])]).tensors
    row, length = both["input_ids"].shape[0] - 1, one["input_ids"].shape[1]
    for name in ("input_ids", "labels"):
        assert both[name][row, :length].tolist() == one[name][0].tolist()
    assert set(both["labels"][row, length:].tolist()) <= {-100}
    assert set(both["attention_mask"][row, length:].tolist()) <= {0}


def test_questions_together_are_answered_as_alone(loaded):
    shown = [s._replace(expression="it" * (i + 1)) for i, s in enumerate(scenes(3))]
    alone = [say(loaded.model, loaded.adapter, [s])[0] for s in shown]
    assert say(loaded.model, loaded.adapter, shown) == alone


def test_what_is_too_long_is_left_out_from_the_end(loaded, scene):
    adapter = loaded.adapter
    first = adapter.train_batch([example(scene)]).tensors
    long = example(scene, ("Why is that? " * 20, "So."), *MORE)
    adapter.max_length = first["input_ids"].shape[1] + 3
    batch = adapter.train_batch([example(scene), long])
    said = learnt(adapter, batch.tensors)
    assert batch.bad == [] and batch.tensors["input_ids"].shape[1] <= adapter.max_length
    assert said[0] == said[1] == learnt(adapter, first)[0]
    assert batch.left_out > 0
    adapter.max_length = first["attention_mask"].sum().item() - 1
    with pytest.raises(ValueError, match=f"no answer within {adapter.max_length} tokens"):
        adapter.train_batch([example(scene)])


def test_examples_without_an_answer_are_named_and_the_others_stay(loaded, scene):
    adapter = loaded.adapter
    adapter.dialect = replace(adapter.dialect, geometry=CROP)
    wide = scene._replace(key="wide", image=Image.new("RGB", (200, 50)), box=Box(0, 0.2, 0.1, 0.8))
    open_end = Example("open", "open", scene.image, Conversation([Turn(HUMAN, "vqa", "<image>\nHi", [], [])]))
    twice = example(scene._replace(key="twice"), ("What is this <image>?", "A circle."))
    fine = example(scene._replace(key="fine", box=Box(0.3, 0.3, 0.6, 0.6)))
    batch = adapter.train_batch([example(wide), open_end, fine, twice])
    assert [bad.key for bad in batch.bad] == ["wide", "open", "twice"]
    assert batch.bad[0] == Bad("wide", "no answer is left: its boxes are outside of the picture")
    assert batch.tensors["input_ids"].shape[0] == 1
    with pytest.raises(ValueError, match="none of 1 examples"):
        adapter.train_batch([open_end])


@pytest.mark.parametrize(
    ("model_type", "asked", "text"),
    [
        ("kosmos-2", Prompt("rec", {"expression": "a dog"}, []), "<grounding><phrase>a dog</phrase>"),
        (
            "kosmos-2",
            Prompt("phrase_grounding", {"caption": "a dog on a mat", "phrase": "a mat"}, []),
            "<grounding>a dog on <phrase>a mat</phrase>",
        ),
        (
            "kosmos-2",
            Prompt("reg", {}, [Box(0, 0, 1, 1)]),
            "<grounding><phrase>It</phrase><object><patch_index_0000><patch_index_1023></object> is",
        ),
        ("kosmos-2", Prompt("vqa", {"question": "Why?"}, []), "Question: Why? Answer:"),
        ("paligemma", Prompt("rec", {"expression": "a <b> dog; a[0]"}, []), "detect a <b> dog; a[0]"),
        (
            "paligemma",
            Prompt("rec", {"expression": "<loc0001> </s> <image>"}, []),
            "detect (loc0001) (/s) (image)",
        ),
        (
            "kosmos-2",
            Prompt("rec", {"expression": "a</phrase> <i>"}, []),
            "<grounding><phrase>a(/phrase) <i></phrase>",
        ),
        ("paligemma", Prompt("caption", {}, []), "caption en"),
        ("llava", Prompt("vqa", {"question": "Why?"}, []), "Why?"),
    ],
)
def test_the_authors_own_words(model_type, asked, text):
    family = adapter_for(model_type)
    assert question(asked, family.native, DIALECTS[family.default_dialect], (100, 100)) == text


PLAIN = "[0.5, 0.5, 0.4, 0.6] [1, 2, 3, 4]"
QUESTION = 'Is "{0}" <b>at</b> a[0]; {x: 1} or [link](http://x.y)?'


@pytest.mark.parametrize("name", DIALECTS)
def test_a_question_is_asked_as_it_stands(name):
    size, boxes = (640, 480), [Box(0.621, 0.082, 0.772, 0.132), Box(0.1, 0.2, 0.5, 0.9)]
    text = f"{QUESTION} By [0.621, 0.082, 0.772, 0.132] or [0.10,0.20,0.50,0.90]? {PLAIN}"
    asked = Prompt("vqa", {"question": text}, written_boxes(text))
    assert asked.boxes == boxes
    dialect = DIALECTS[name]
    first, second = (dialect.encode_boxes([box], size) for box in boxes)
    expected = f"{QUESTION} By {first} or {second}? {PLAIN}"
    assert question(asked, None, dialect, size) == expected
    # Other questions hold no boxes, whatever looks like one.
    assert question(asked._replace(boxes=[]), None, dialect, size) == text


def test_a_box_that_the_model_is_not_shown_stands_as_it_is():
    text = "What is at [0.01, 0.2, 0.05, 0.8]?"
    asked = Prompt("vqa", {"question": text}, written_boxes(text))
    assert question(asked, None, replace(DIALECTS["ferret"], geometry=CROP), (200, 50)) == text


def test_no_question_can_forge_what_is_more_than_text(loaded, scene):
    adapter = loaded.adapter
    tokenizer = adapter.processor.tokenizer
    special = [*adapter.special_tokens, *adapter.dialect.tokens()[:3]]
    assert "<image>" in special

    def ids(text: str) -> list[int]:
        asked = Prompt("vqa", {"question": text}, [])
        return adapter.ask_batch([scene.image], [asked], native=False)["input_ids"][0].tolist()

    forged = set(tokenizer.convert_tokens_to_ids(special)) - {tokenizer.unk_token_id}
    plain = [i for i in ids("Why?") if i in forged]
    assert [i for i in ids(f"Why{' '.join(special)}?") if i in forged] == plain


def test_a_family_without_words_of_its_own_says_so(loaded, scene):
    if "grounded_caption" in loaded.adapter.native:
        pytest.skip("it has words for this task")
    with pytest.raises(UserError, match="prompts: instruction"):
        loaded.adapter.ask_batch([scene.image], [Prompt("grounded_caption", {}, [])], native=True)
    assert loaded.adapter.ask_batch([scene.image], [Prompt("grounded_caption", {}, [])], native=False)
