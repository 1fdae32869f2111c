"""Florence-2: an encoder-decoder that is asked one thing at a time."""

import pytest
import scene_questions
import tiny_florence2
import torch
from scene_questions import example, learn, say, scenes, score

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.conversations import ASSISTANT, HUMAN, Conversation, Phrase, Turn, TurnRegion
from gritmill.schemas.errors import UserError
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.models.load import Loaded, load
from gritmill.trainer.models.masking import IGNORED
from gritmill.trainer.models.save import save

SCENES = scenes(8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("florence2")
    tiny_florence2.save(folder)
    return folder


@pytest.fixture
def loaded(checkpoint) -> Loaded:
    return load(str(checkpoint))


@pytest.fixture(scope="module")
def learnt(checkpoint) -> Loaded:
    """It knows the boxes of eight scenes by heart."""
    loaded = load(str(checkpoint))
    learn(loaded.model, loaded.adapter, [example(scene) for scene in SCENES], steps=300, rate=2e-3)
    return loaded


def shown(tokenizer, row) -> str:
    return tokenizer.decode(row[row != IGNORED])


def words(loaded, row) -> str:
    """What the encoder reads, without image and padding."""
    tokenizer = loaded.adapter.processor.tokenizer
    return tokenizer.decode([i for i in row.tolist() if i != tokenizer.pad_token_id]).replace("<image>", "")


def test_each_question_is_a_row_and_its_answer_is_what_is_learnt(loaded):
    talk = example(SCENES[0], ("What is it?", "A ball."), ("And its colour?", "A very dark red."))
    tensors, bad, left_out = loaded.adapter.train_batch([talk, example(SCENES[1])])
    tokenizer = loaded.adapter.processor.tokenizer
    boxes = [loaded.adapter.dialect.encode_boxes([s.box], s.image.size) for s in SCENES[:2]]
    assert [shown(tokenizer, row) for row in tensors["labels"]] == [
        f"<s>{boxes[0]}</s>",
        "<s>A ball.</s>",
        "<s>A very dark red.</s>",
        f"<s>{boxes[1]}</s>",
    ]
    assert [words(loaded, row) for row in tensors["input_ids"]] == [
        f'<s>Which region does "{SCENES[0].expression}" describe?</s>',
        "<s>What is it?</s>",
        "<s>And its colour?</s>",
        f'<s>Which region does "{SCENES[1].expression}" describe?</s>',
    ]
    assert tensors["pixel_values"].shape[0] == 4
    assert torch.equal(tensors["pixel_values"][0], tensors["pixel_values"][2])
    assert (bad, left_out) == ([], 0)


def test_it_is_asked_as_it_was_trained(loaded):
    trained = loaded.adapter.train_batch([example(SCENES[0])]).tensors
    asked = loaded.adapter.ask_batch([SCENES[0].image], [SCENES[0].asked], native=False)
    assert asked.keys() == trained.keys() - {"labels"}
    assert all(torch.equal(asked[name], trained[name]) for name in asked)


@pytest.mark.parametrize(
    ("asked", "prompt"),
    [
        (Prompt("caption", {}, []), "What does the image describe?"),
        (Prompt("rec", {"expression": "a dog"}, []), "Locate the phrases in the caption: a dog"),
        (
            Prompt("phrase_grounding", {"phrase": "a dog", "caption": "a dog on a sofa"}, []),
            "Locate the phrases in the caption: a dog",
        ),
        (
            Prompt("reg", {}, [Box(0.1, 0.2, 0.5, 0.75)]),
            "What does the region <loc_100><loc_200><loc_500><loc_750> describe?",
        ),
        (
            Prompt("rec", {"expression": "<OD> of </s>"}, []),
            "Locate the phrases in the caption: (OD) of (/s)",
        ),
    ],
)
def test_in_the_words_of_its_authors(loaded, asked, prompt):
    tensors = loaded.adapter.ask_batch([SCENES[0].image], [asked], native=True)
    assert words(loaded, tensors["input_ids"][0]) == f"<s>{prompt}</s>"


def test_its_authors_have_no_words_for_grounded_captions(loaded):
    with pytest.raises(UserError, match="grounded_caption"):
        loaded.adapter.ask_batch([SCENES[0].image], [Prompt("grounded_caption", {}, [])], native=True)


LONG = "word " * 300
"""Longer than the positions that the model has."""


@pytest.mark.parametrize(("question", "answer"), [("What is it?", LONG), (LONG, "A ball.")])
def test_what_is_too_long_is_left_out(loaded, question, answer):
    [labels], bad, left_out = _learnt_of(loaded, example(SCENES[0], (question, answer)))
    assert labels.startswith("<s><loc_")
    assert (bad, left_out) == ([], 1)


def test_where_everything_is_too_long_the_example_is_bad(checkpoint):
    loaded = load(str(checkpoint), max_length=80)
    long = example(SCENES[0], question=" ".join(["word"] * 20))
    labels, bad, left_out = _learnt_of(loaded, long, example(SCENES[1], question="It?"))
    assert len(labels) == 1
    assert (bad, left_out) == ([Bad(SCENES[0].key, "no answer within 80 tokens")], 0)
    with pytest.raises(ValueError, match="none of 1 examples"):
        loaded.adapter.train_batch([long])


def _learnt_of(loaded, *examples):
    tensors, bad, left_out = loaded.adapter.train_batch(examples)
    tokenizer = loaded.adapter.processor.tokenizer
    return [shown(tokenizer, row) for row in tensors["labels"]], bad, left_out


@pytest.mark.slow
def test_it_learns_eight_scenes_by_heart(learnt):
    said = say(learnt.model, learnt.adapter, SCENES)
    assert said == [learnt.adapter.dialect.encode_boxes([s.box], s.image.size) for s in SCENES]
    assert score(learnt.adapter, SCENES, said, threshold=0.9).value == 1.0


def test_an_image_is_answered_alike_alone_and_among_others(learnt):
    more = [*SCENES, SCENES[0]._replace(expression="a far longer expression than any that it has learnt")]
    alone = [answer for scene in more for answer in say(learnt.model, learnt.adapter, [scene])]
    assert say(learnt.model, learnt.adapter, more) == alone
    assert len({scene.image.size for scene in more}) > 1


def test_what_was_saved_answers_the_same(learnt, tmp_path):
    save(learnt.model, learnt.adapter, tmp_path)
    again = load(str(tmp_path))
    assert say(again.model, again.adapter, SCENES) == say(learnt.model, learnt.adapter, SCENES)


@pytest.mark.parametrize(
    ("task", "turn"),
    [
        (
            "<CAPTION_TO_PHRASE_GROUNDING>",
            Turn(
                ASSISTANT,
                "grounded_caption",
                "A dog and two cats",
                [],
                [
                    Phrase(Span(0, 5), [Box(0.1, 0.2, 0.5, 0.9)]),
                    Phrase(Span(10, 18), [Box(0.0, 0.0, 0.3, 0.3), Box(0.5, 0.333, 1.0, 1.0)]),
                ],
            ),
        ),
        (
            "<REGION_PROPOSAL>",
            Turn(ASSISTANT, "rec", "<region:0>", [TurnRegion([Box(0.1234, 0.2, 0.5678, 0.9999)])], []),
        ),
    ],
)
def test_its_processor_reads_what_is_learnt_as_we_do(loaded, task, turn):
    image = SCENES[0].image.resize((640, 427))
    talk = Conversation([Turn(HUMAN, turn.task, "<image>\nWhat?", [], []), turn])
    adapter = loaded.adapter
    [labels] = adapter.train_batch([Example("a", "a", image, talk)]).tensors["labels"]
    theirs = adapter.processor.post_process_generation(sequence=labels, task=task, image_size=image.size)
    started = torch.cat([torch.tensor([loaded.model.config.text_config.decoder_start_token_id]), labels])
    [text] = adapter.answers(started[None], {})
    ours = adapter.parse(text, image.size)
    width, height = image.size
    assert theirs[task]["bboxes"] == [
        [int(x1 * width), int(y1 * height), int(x2 * width), int(y2 * height)]
        for x1, y1, x2, y2 in ours.boxes
    ]
    labels = [grounding.phrase for grounding in ours.groundings for _ in grounding.boxes]
    assert theirs[task]["labels"] == labels


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("</s><s>a dog<loc_1><loc_2><loc_3><loc_4></s><pad>", "a dog<loc_1><loc_2><loc_3><loc_4>"),
        ("</s><s></s><pad>", ""),
        ("</s><s>a dog<loc_1>", "a dog<loc_1>"),
        ("</s>a dog</s>a cat", "a dog"),
    ],
)
def test_an_answer_ends_where_the_model_ends_it(loaded, said, answer):
    ids = loaded.adapter.processor.tokenizer(said, add_special_tokens=False, return_tensors="pt").input_ids
    assert loaded.adapter.answers(ids, {}) == [answer]


def test_every_weight_is_in_one_part(loaded):
    scene_questions.check_parts(loaded.model, type(loaded.adapter))
