"""The stage, on a real GLIP of a small size."""

import io
from pathlib import Path

import numpy as np
import pytest
import tiny_glip
import torch
from PIL import Image

from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.columns import Span
from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.glip.detector import LONG, MAX_TOKENS, SHORT, canvas, scaled_size
from gritmill.stages.grounders.glip.grounder import GlipGrounder
from gritmill.stages.grounders.glip.head import Level
from gritmill.stages.registry import stage_class

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glip")
    for variant, config in tiny_glip.CONFIGS.items():
        weights = {k: torch.from_numpy(v) for k, v in tiny_glip.weights(config).items()}
        torch.save({"model": weights}, folder / f"{variant}.pth")
    tiny_glip.vocabulary(folder / "bert")
    return folder


def grounder(folder, variant="fused", **options):
    return GlipGrounder(model=str(folder / f"{variant}.pth"), tokenizer=str(folder / "bert"), **options)


@pytest.fixture(scope="module")
def glip(folder):
    stage = grounder(folder, score_threshold=0)
    stage.setup()
    return stage


class Bytes:
    def __init__(self, image, **options):
        file = io.BytesIO()
        image.save(file, "png", **options)
        self.bytes = file.getvalue()

    def read(self):
        return self.bytes


def ground(stage, *rows):
    """Rows of (image, phrases) -> candidates of each."""
    captions = [", ".join(phrases) for _, phrases in rows]
    spans = [
        [Span(caption.index(phrase), caption.index(phrase) + len(phrase)) for phrase in phrases]
        for caption, (_, phrases) in zip(captions, rows)
    ]
    images = [Bytes(image) if isinstance(image, Image.Image) else image for image, _ in rows]
    out = stage.process({"image": images, "caption": captions, "noun_chunks": spans})
    return out["candidates"]


def picture(width, height, seed=0):
    values = tiny_glip.noise(f"picture {seed}", (5, 7, 3))
    small = Image.fromarray((127.5 + 127 * values).astype(np.uint8))
    return small.resize((width, height), Image.Resampling.NEAREST)


def close(a, b, tolerance=1e-4):
    return all(abs(x - y) <= tolerance for x, y in zip(a, b))


def test_the_registry_knows_it():
    assert stage_class("ground", {"grounder": "glip"}) is GlipGrounder


@pytest.mark.parametrize("variant", tiny_glip.CONFIGS)
def test_boxes_are_those_of_mmdetection(variant, folder):
    """From the file of a picture to boxes in it: scaled, padded, asked, suppressed and scaled back."""
    theirs = np.load(REFERENCE / f"{variant}_detections.npz")
    stage = grounder(folder, variant, max_boxes_per_phrase=1000)
    stage.setup()
    image = Image.fromarray(tiny_glip.picture(*tiny_glip.PICTURE))
    phrases = tiny_glip.QUESTIONS["several"]
    (found,) = ground(stage, (image, phrases))
    assert len(found) == len(theirs["scores"]) > 3
    left = list(found)
    for (x1, y1, x2, y2), score, label in zip(theirs["bboxes"].tolist(), theirs["scores"], theirs["labels"]):
        box = Box.from_pixels(x1, y1, x2, y2, *image.size).clipped()
        rivals = [c for c in left if c.phrase == phrases[label] and close(c.box, box)]
        assert any(abs(candidate.score - score) < 1e-4 for candidate in rivals), (box, score)
        left.remove(rivals[0])
    assert not left


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (1066, 800)),
        ((480, 640), (800, 1066)),
        ((800, 800), (800, 800)),
        ((2000, 1000), (1332, 666)),
        ((1000, 3000), (444, 1332)),
        ((100, 10), (1330, 133)),
        ((1, 1), (800, 800)),
        ((100_000, 3), (2 * LONG, 1)),
    ],
)
def test_how_images_are_scaled(size, expected):
    assert scaled_size(*size) == expected
    assert min(expected) <= SHORT


def test_pixels_are_blue_green_red_and_padded_with_their_mean(glip):
    image = Image.new("RGB", (200, 100), (255, 0, 10))
    pixels = glip._detector.pixels(image)
    assert pixels.shape == (3, 666, 1332)
    assert canvas(pixels) == (672, 1344)
    expected = [(10 - 103.53) / 57.375, (0 - 116.28) / 57.12, (255 - 123.675) / 58.395]
    torch.testing.assert_close(pixels[:, 5, 7], torch.tensor(expected))


PHRASES = [["a dog"], ["the big red cat", "a man"], ["a field"], ["a hotdog", "the dog", "a cat"]]


def test_a_batch_of_eight_gives_what_eight_single_images_give(glip):
    sizes = [(150, 30), (151, 30), (30, 150), (149, 30), (150, 31), (40, 40), (150, 30), (29, 150)]
    rows = [(picture(*size, seed=i), PHRASES[i % 4]) for i, size in enumerate(sizes)]
    together = ground(glip, *rows)
    for row, candidates in zip(rows, together):
        (alone,) = ground(glip, row)
        assert len(candidates) == len(alone) > 0
        for a, b in zip(candidates, alone):
            assert (a.span, a.phrase, a.model) == (b.span, b.phrase, b.model)
            assert abs(a.score - b.score) < 1e-4
            assert close(a.box, b.box)


def plant(stage, monkeypatch, boxes):
    """Makes the network say that these boxes, in pixels of what it sees, are the first token's."""

    def levels(pixels, ids, mask):
        silent = torch.full((len(pixels), 1, ids.shape[1]), -50.0)
        out = [Level(silent, torch.zeros(len(pixels), 1, 4), torch.zeros(len(pixels), 1), (1, 1))] * 5
        logits = torch.full((len(pixels), len(boxes), ids.shape[1]), -50.0)
        logits[:, :, 1] = 5
        differences = torch.zeros(len(pixels), len(boxes), 4)
        for i, (x1, y1, x2, y2) in enumerate(boxes):  # from the anchors of stride 8, from left to right
            width, height = x2 - x1 + 1, y2 - y1 + 1
            differences[:, i, 0] = 10 * ((x1 + x2) / 2 - (3.5 + 8 * i)) / 64
            differences[:, i, 1] = 10 * ((y1 + y2) / 2 - 3.5) / 64
            differences[:, i, 2:] = 5 * torch.tensor([width / 64, height / 64]).log()
        out[0] = Level(logits, differences, torch.full((len(pixels), len(boxes)), 5.0), (1, len(boxes)))
        return out

    monkeypatch.setattr(stage._detector, "model", levels, raising=True)
    monkeypatch.setattr(stage._detector, "_room", lambda: 62)


PLANTED = {
    # A box of (x, y, w, h) of an image lay, in training, from x to x + w - 1 times the scale.
    "wide": ((200, 100), (50, 20, 100, 40), Box(0.25, 0.2, 0.75, 0.6)),
    "tall": ((80, 160), (0, 0, 40, 80), Box(0, 0, 0.5, 0.5)),
    "large": ((1600, 1200), (400, 300, 800, 300), Box(0.25, 0.25, 0.75, 0.5)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_boxes_come_back_from_scale_and_padding(name, glip, monkeypatch):
    size, (x, y, w, h), expected = PLANTED[name]
    factors = [seen / side for seen, side in zip(scaled_size(*size), size)]
    corners = [c * f for c, f in zip((x, y, x + w - 1, y + h - 1), factors * 2)]
    plant(glip, monkeypatch, [corners])
    (found,) = ground(glip, (picture(*size), ["dog"]))
    assert [close(candidate.box, expected, 1e-5) for candidate in found] == [True]


def test_boxes_in_the_padding_are_none(glip, monkeypatch):
    width, height = scaled_size(150, 30)
    assert canvas(torch.zeros(3, height, width))[1] >= width + 8
    plant(glip, monkeypatch, [(width + 1, 0, width + 7, 20), (100, 10, 200, 50)])
    (found,) = ground(glip, (picture(150, 30), ["dog"]))
    assert len(found) == 1 and found[0].box.x1 < 0.2


def test_exif_orientation_is_applied(glip):
    upright = picture(150, 40)
    tags = Image.Exif()
    tags[0x0112] = 6  # turn right by 90 degrees to see it upright
    lying = Bytes(upright.transpose(Image.Transpose.ROTATE_90), exif=tags)
    a, b = ground(glip, (upright, ["a dog"]), (lying, ["a dog"]))
    assert len(a) == len(b) > 0
    assert all(close(x.box, y.box) and abs(x.score - y.score) < 1e-4 for x, y in zip(a, b))


def test_boxes_of_a_phrase_hardly_overlap(glip):
    (found,) = ground(glip, (picture(150, 30), ["a dog", "a man"]))
    for phrase in ("a dog", "a man"):
        boxes = [c.box for c in found if c.phrase == phrase]
        assert len(boxes) > 1
        # A little more than 0.6 in the image: there, their last pixels belong to them.
        assert all(iou(a, b) < 0.65 for i, a in enumerate(boxes) for b in boxes[:i])


def test_scores_begin_at_the_floor_and_boxes_at_the_best(folder):
    stage = grounder(folder, score_threshold=0.2, max_boxes_per_phrase=3)
    stage.setup()
    (found,) = ground(stage, (picture(150, 30), ["a dog", "a man", "the big red cat"]))
    assert found and all(c.score >= 0.2 for c in found)
    for phrase in {c.phrase for c in found}:
        scores = [c.score for c in found if c.phrase == phrase]
        assert len(scores) <= 3 and scores == sorted(scores, reverse=True)


def test_a_prompt_is_within_the_limit_of_tokens(glip):
    detector = glip._detector
    phrases = [f"{a} {b} dog" for a in ("a", "the", "an") for b in ("big", "red", "brown", "hot")]
    prompts = detector.prompts(phrases)
    assert [phrase for prompt in prompts for phrase in prompt] == phrases
    lengths = [len(detector.tokenizer(". ".join(prompt))["input_ids"]) for prompt in prompts]
    limit = tiny_glip.FUSED.positions
    assert all(length <= limit for length in lengths) and len(prompts) == 1

    # 16 phrases of three words and 15 full stops are 63 tokens, with the ends 65: one too many.
    many = [
        f"{a} {b} {c}" for a in ("a", "the") for b in ("big", "red") for c in ("dog", "cat", "man", "field")
    ]
    assert [len(prompt) for prompt in detector.prompts(many)] == [15, 1]
    assert detector.asked("the " + "big " * 100 + "dog") == "big " * 61 + "dog"
    assert MAX_TOKENS == 256


def test_full_stops_and_what_is_unknown(glip):
    detector = glip._detector
    assert detector.asked("a big. red dog") == "a big red dog"
    assert detector.asked("🐕") == ""
    assert detector.asked("[SEP]") != "[SEP]" or detector._ids("[SEP]") != [3]


def test_images_without_phrases_are_not_read(glip):
    class Unreadable:
        def read(self):
            raise OSError("gone")

    assert ground(glip, (Unreadable(), [])) == [[]]
    with pytest.raises(OSError, match="gone"):
        ground(glip, (Unreadable(), ["a dog"]))


def test_nan_is_never_taken_for_nothing_found(folder):
    stage = grounder(folder)
    stage.setup()
    stage._detector.model.rpn["head"].bias0.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN"):
        ground(stage, (picture(150, 30), ["a dog"]))


def test_running_out_of_memory_halves_the_batch(folder, monkeypatch):
    stage = grounder(folder, images_at_once=4)
    stage.setup()
    expected = ground(stage, *[(picture(150, 30, seed=i), ["a dog"]) for i in range(4)])
    run, passes = stage._detector._run, []

    def small(**inputs):
        passes.append(len(inputs["pixels"]))
        if passes[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(**inputs)

    monkeypatch.setattr(stage._detector, "_run", small)
    found = ground(stage, *[(picture(150, 30, seed=i), ["a dog"]) for i in range(4)])
    assert passes == [4, 2, 1, 1, 1, 1]
    assert [len(row) for row in found] == [len(row) for row in expected]


def test_the_file_decides_the_revision(folder, tmp_path):
    before = grounder(folder).revision()
    assert len(before["model"]) == 64 and before["tokenizer"] and before["torch"]
    changed = torch.load(folder / "fused.pth")
    changed["model"]["module.rpn.head.bias0"] += 1
    torch.save(changed, tmp_path / "fused.pth")
    after = GlipGrounder(model=str(tmp_path / "fused.pth"), tokenizer=str(folder / "bert")).revision()
    assert {k for k in before if before[k] != after[k]} == {"model"}


def test_boxes_say_which_file_they_are_from(glip, folder):
    (found,) = ground(glip, (picture(150, 30), ["a dog"]))
    assert {c.model for c in found} == {f"fused.pth@{grounder(folder).revision()['model'][:12]}"}


PROBLEMS = {
    "no file": ({"model": "not/there.pth"}, "give one of GLIP's files, which are at https"),
    "a folder": ({"model": "."}, "is no file"),
    "another file": ({"sha256": "0" * 64}, "has the SHA-256"),
    "no tokenizer": ({"tokenizer": "not/there/at-all"}, "neither a folder nor a model on the hub"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_are_known_before_anything_loads(name, folder):
    options, message = PROBLEMS[name]
    given = {"model": str(folder / "fused.pth"), "tokenizer": str(folder / "bert")} | options
    (problem,) = GlipGrounder(**given).problems()
    assert message in problem and "\n" not in problem
    with pytest.raises(UserError):
        GlipGrounder(**given).setup()


def test_the_digest_that_is_wanted_is_accepted(folder):
    stage = grounder(folder)
    assert grounder(folder, sha256=stage.revision()["model"]).problems() == stage.problems() == []


def add_a_word(bert):
    with (bert / "vocab.txt").open("a") as file:
        file.write("zebra\n")


VOCABULARIES = {
    "too large": (add_a_word, "has 41 words where model .*fused.pth' knows 40"),
    "none": (lambda bert: (bert / "vocab.txt").unlink(), "has 5 words|cannot be loaded"),
    "broken": (lambda bert: (bert / "tokenizer_config.json").write_text("{"), "cannot be loaded"),
}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_vocabulary_of_another_model(name, folder, tmp_path):
    change, message = VOCABULARIES[name]
    bert = tiny_glip.vocabulary(tmp_path / "bert")
    change(bert)
    stage = GlipGrounder(model=str(folder / "fused.pth"), tokenizer=str(bert))
    with pytest.raises(UserError, match=message) as raised:
        stage.setup()
    assert "\n" not in str(raised.value)


def test_a_vocabulary_of_the_hub_is_pinned_to_its_commit(folder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit = "a2bb814dd30d776dcf7e30523b00659f4f141c71"
    repository = tmp_path / "models--ours--bert"
    tiny_glip.vocabulary(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    stage = GlipGrounder(model=str(folder / "fused.pth"), tokenizer="ours/bert")
    assert stage.revision()["tokenizer"] == commit
    stage.setup()
    assert stage._detector.asked("a Dog") == "a dog"
