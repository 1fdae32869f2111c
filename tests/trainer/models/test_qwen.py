"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: chat, and pictures of any size."""

import json
import re

import pytest
import scene_questions
import tiny_qwen
import torch
from PIL import Image
from scene_questions import example, learn, say, scenes, score

from gritmill.schemas.boxes import Box
from gritmill.schemas.dialects import DIALECTS, PAD
from gritmill.trainer.data.examples import Bad
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.models.load import Loaded, load
from gritmill.trainer.models.masking import IGNORED
from gritmill.trainer.models.registry import adapter_for
from gritmill.trainer.models.save import save

FAMILIES = {"qwen2_vl": 14, "qwen2_5_vl": 14, "qwen3_vl": 16}
"""`model_type` -> side of a patch, as published."""
SCENES = scenes(8)
SYSTEM = f"<|im_start|>system\n{tiny_qwen.SYSTEM}<|im_end|>\n"


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    tiny_qwen.save(request.param, folder, FAMILIES[request.param])
    return folder


@pytest.fixture
def loaded(checkpoint) -> Loaded:
    return load(str(checkpoint))


@pytest.fixture(scope="module")
def learnt(checkpoint) -> Loaded:
    """It knows the boxes of eight scenes by heart."""
    loaded = load(str(checkpoint))
    learn(loaded.model, loaded.adapter, [example(scene) for scene in SCENES], steps=400, rate=3e-3)
    return loaded


def text_of(loaded, ids) -> str:
    """Tokens as text, those of the image as one."""
    text = loaded.adapter.processor.tokenizer.decode(ids)
    return re.sub(r"(<\|image_pad\|>)+", "<|image_pad|>", text)


def test_labels_are_the_answers_and_what_ends_them(loaded):
    talk = example(SCENES[0], ("What is it?", "A ball."))
    tensors, bad, left_out = loaded.adapter.train_batch([talk, example(SCENES[1])])
    boxes = [loaded.adapter.dialect.encode_boxes([s.box], s.image.size) for s in SCENES[:2]]
    long, short = (text_of(loaded, row[row != IGNORED]) for row in tensors["labels"])
    assert long == f"{boxes[0]}<|im_end|>A ball.<|im_end|>"
    assert short == f"{boxes[1]}<|im_end|>"
    assert text_of(loaded, tensors["input_ids"][0]) == (
        f"{SYSTEM}<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>"
        f'Which region does "{SCENES[0].expression}" describe?<|im_end|>\n'
        f"<|im_start|>assistant\n{boxes[0]}<|im_end|>\n"
        "<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|>assistant\nA ball.<|im_end|>"
    )
    live = tensors["labels"] != IGNORED
    assert torch.equal(tensors["labels"][live], tensors["input_ids"][live])
    assert (bad, left_out) == ([], 0)


def test_it_is_asked_as_it_was_trained(loaded):
    trained = loaded.adapter.train_batch([example(SCENES[0])]).tensors
    asked = loaded.adapter.ask_batch([SCENES[0].image], [SCENES[0].asked], native=False)
    assert asked.keys() == trained.keys() - {"labels"}
    first = int((trained["labels"][0] != IGNORED).nonzero()[0])
    assert asked["input_ids"][0].tolist() == trained["input_ids"][0, :first].tolist()
    assert torch.equal(asked["pixel_values"], trained["pixel_values"])
    assert torch.equal(asked["image_grid_thw"], trained["image_grid_thw"])


SIZES = [(640, 480), (96, 72), (1000, 30), (20, 20), (113, 57), (42, 98), (333, 2000), (1, 150)]
LIMITS = [
    {},
    {"min_pixels": 16 * 28 * 28, "max_pixels": 32 * 28 * 28},
    {"min_pixels": 56 * 56, "max_pixels": 28 * 28 * 1280},
]


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_pixels_are_those_of_the_picture_that_the_processor_makes(model_type, limits):
    processor = tiny_qwen.tiny_processor(model_type, FAMILIES[model_type], **limits)
    adapter = adapter_for(model_type)(processor, DIALECTS["qwen2.5_vl"], 2048)
    pictures = processor.image_processor([Image.new("RGB", size) for size in SIZES], return_tensors="pt")
    for size, (_, rows, columns) in zip(SIZES, pictures["image_grid_thw"].tolist(), strict=True):
        width, height = columns * FAMILIES[model_type], rows * FAMILIES[model_type]
        view = adapter.dialect.geometry.view(size)
        assert (view.width, view.height) == (width, height)
        corner = adapter.dialect.encode_boxes([Box(0.5, 0.5, 1.0, 1.0)], size)
        assert json.loads(corner)[0]["bbox_2d"] == [width // 2, height // 2, width - 1, height - 1]


def test_pixels_of_limits_that_are_not_the_processors_would_be_others():
    """Else the test above would pass with any."""
    size = (640, 480)
    processor = tiny_qwen.tiny_processor("qwen2_5_vl")
    adapter = adapter_for("qwen2_5_vl")(processor, DIALECTS["qwen2.5_vl"], 2048)
    assert adapter.dialect.geometry.view(size) != DIALECTS["qwen2.5_vl"].geometry.view(size)


def test_a_dialect_that_pads_is_shown_padded_pictures(loaded):
    adapter = type(loaded.adapter)(loaded.adapter.processor, DIALECTS["shikra"], 2048)
    tall = next(scene for scene in SCENES if scene.image.height > scene.image.width)
    _, rows, columns = adapter.ask_batch([tall.image], [tall.asked], native=False)["image_grid_thw"][0]
    assert adapter.dialect.geometry == PAD
    assert rows == columns


def test_turns_beyond_the_length_are_left_out(checkpoint):
    talk = example(SCENES[0], ("What is it?", "A ball. " * 9))
    whole = load(str(checkpoint)).adapter.train_batch([talk]).tensors["input_ids"].shape[1]
    adapter = load(str(checkpoint), max_length=whole - 1).adapter
    tensors, bad, left_out = adapter.train_batch([talk])
    assert (bad, left_out) == ([], 1)
    lengths = {name: tensors[name].shape[1] for name in ("input_ids", "attention_mask", "labels")}
    assert set(lengths.values()) == {tensors["mm_token_type_ids"].shape[1]}
    assert lengths["labels"] == adapter.train_batch([example(SCENES[0])]).tensors["labels"].shape[1]


def test_what_cannot_be_trained_on_is_named(checkpoint):
    long = example(SCENES[0], question="word " * 200)
    thin = example(SCENES[1]._replace(image=Image.new("RGB", (1, 300))))
    adapter = load(str(checkpoint), max_length=200).adapter
    tensors, bad, _ = adapter.train_batch([long, thin, example(SCENES[2])])
    assert len(tensors["labels"]) == len(tensors["image_grid_thw"]) == 1
    reasons = {b.key: b.reason for b in bad}
    assert reasons.keys() == {SCENES[0].key, SCENES[1].key}
    assert Bad(SCENES[0].key, "no answer within 200 tokens") in bad
    assert "too long and thin" in reasons[SCENES[1].key]


@pytest.mark.slow
def test_it_learns_eight_scenes_by_heart(learnt):
    said = say(learnt.model, learnt.adapter, SCENES)
    assert said == [learnt.adapter.dialect.encode_boxes([s.box], s.image.size) for s in SCENES]
    assert score(learnt.adapter, SCENES, said).value == 1.0


def test_an_image_is_answered_alike_alone_and_among_others(learnt):
    more = [*SCENES, SCENES[0]._replace(expression="a far longer expression than any that it has learnt")]
    alone = [answer for scene in more for answer in say(learnt.model, learnt.adapter, [scene])]
    assert say(learnt.model, learnt.adapter, more) == alone
    assert len({scene.image.size for scene in more}) > 1


def test_what_was_saved_answers_the_same(learnt, tmp_path):
    save(learnt.model, learnt.adapter, tmp_path)
    again = load(str(tmp_path))
    assert say(again.model, again.adapter, SCENES) == say(learnt.model, learnt.adapter, SCENES)
    # Without it, AutoProcessor of a machine with torchvision would not take the folder.
    video = json.loads((tmp_path / "video_preprocessor_config.json").read_text(encoding="utf-8"))
    assert video["video_processor_type"].startswith("Qwen")


@pytest.mark.parametrize(
    ("model_type", "asked", "prompt"),
    [
        (
            "qwen2_5_vl",
            Prompt("rec", {"expression": "the <|im_end|> dog"}, []),
            "Locate the (|im_end|) dog, output its bbox coordinates using JSON format.",
        ),
        ("qwen3_vl", Prompt("caption", {}, []), "Describe this image."),
    ],
)
def test_in_the_words_of_its_authors(model_type, asked, prompt):
    family = adapter_for(model_type)
    processor = tiny_qwen.tiny_processor(model_type, FAMILIES[model_type])
    adapter = family(processor, DIALECTS[family.default_dialect], 2048)
    [ids] = adapter.ask_batch([SCENES[0].image], [asked], native=True)["input_ids"]
    assert processor.tokenizer.decode(ids).endswith(
        f"<|vision_end|>{prompt}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_every_weight_is_in_one_part(loaded):
    scene_questions.check_parts(loaded.model, type(loaded.adapter))
