import io
import json
import math
import shutil
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, Span
from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.common import phrases
from gritmill.stages.grounders.common.detector import DetectorInput
from gritmill.stages.grounders.transformers import zero_shot
from gritmill.stages.grounders.transformers.grounder import TransformersGrounder

torch = pytest.importorskip("torch", reason="needs the extra `grounders`")
pytest.importorskip("transformers", reason="needs the extra `grounders`")


class Bytes:
    def __init__(self, image, **options):
        out = io.BytesIO()
        image.save(out, "PNG", **options)
        self.data = out.getvalue()

    def read(self):
        return self.data


def picture(width=200, height=120, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (height // 8, width // 8, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy()).resize((width, height))


def loaded(folder, **options) -> Any:
    stage = TransformersGrounder(model=str(folder), **options)
    assert stage.problems() == []
    stage.setup()
    return stage


def batch(*rows):
    """Rows of (image, caption, phrases): each phrase is taken where it first stands in the caption,
    or, if it stood there for the phrase before, where it stands next."""
    columns: dict[str, list[Any]] = {"image": [], "caption": [], "noun_chunks": []}
    for image, caption, chunks in rows:
        spans, end = [], 0
        for chunk in chunks:
            start = caption.index(chunk, end)
            end = start + len(chunk)
            spans.append(Span(start, end))
        columns["image"].append(image if hasattr(image, "read") else Bytes(image))
        columns["caption"].append(caption)
        columns["noun_chunks"].append(spans)
    return columns


def ground(stage, *rows) -> list[list[GroundedBox]]:
    return stage.process(batch(*rows))["candidates"]


NAMES = {
    "omdet-turbo": ("decoder_class_logits", "decoder_coord_logits", "tasks_input_ids"),
    "other": ("logits", "pred_boxes", "input_ids"),
}
"""What an architecture calls its scores, its boxes and the text that it reads."""


class Planted:
    """Stands for a model's weights, not for its shapes: all of its scores are near 0 but for chosen
    cells, and query q's box is centred on (q + 1) / 16 of what the model sees, if `boxes` does not
    say otherwise."""

    def __init__(self, stage, cells: Iterable[tuple[int, int, int, float]], boxes=None):
        """`cells`: (row among all that the model is asked, query, token or phrase, logit)."""
        self.detector = stage._detector
        self.model = self.detector.model
        self.config = self.model.config
        self.cells = list(cells)
        self.boxes = boxes or {}
        self.asked: list[list[str]] = []
        self.passes: list[int] = []
        self.detector.model = self

    def __call__(self, **inputs):
        output = self.model(**inputs)
        names = NAMES.get(self.config.model_type, NAMES["other"])
        logits = torch.full_like(output[names[0]], -20.0)
        boxes = torch.full_like(output[names[1]], 0.1)
        boxes[..., :2] = ((torch.arange(boxes.shape[1]) + 1) / 16)[None, :, None].clamp(max=0.9)
        for query, box in self.boxes.items():
            boxes[:, query] = torch.tensor(box)
        self.passes.append(len(logits))
        first = len(self.asked)
        for row, query, column, logit in self.cells:
            if first <= row < first + len(logits) and column < logits.shape[2]:
                logits[row - first, query, column] = logit
        tokens = [self.detector.tokenizer.convert_ids_to_tokens(ids) for ids in inputs[names[2]]]
        self.asked += [[t for t in row if t != "[PAD]"] for row in tokens]
        return SimpleNamespace(**{names[0]: logits, names[1]: boxes})


def centred(query: int) -> Box:
    middle = (query + 1) / 16
    return Box(*(round(v, 6) for v in (middle - 0.05, middle - 0.05, middle + 0.05, middle + 0.05)))


def close(a: Box, b: Box, tolerance=2e-6) -> bool:
    return all(abs(x - y) <= tolerance for x, y in zip(a, b))


# name: caption, phrases, tokens that the model reads, cells as (query, token, logit),
# expected as (index of the phrase, query)
SPANS: dict[str, tuple[str, list[str], str, list[tuple[int, int, float]], list[tuple[int, int]]]] = {
    "first and last word of a phrase": (
        "a brown dog in a field",
        ["a brown dog", "a field"],
        "[CLS] a brown dog . a field . [SEP]",
        [(3, 1, 3.0), (5, 6, 2.0)],
        [(0, 3), (1, 5)],
    ),
    "a later part of a word": (
        "a man on a skateboard , a skateboarder",
        ["a man", "a skateboard", "a skateboarder"],
        "[CLS] a man . a skate ##board . a skate ##boarder . [SEP]",
        [(2, 10, 3.0), (4, 6, 2.0)],
        [(1, 4), (2, 2)],
    ),
    "a word that two phrases share": (
        "a hot dog and a dog",
        ["a hot dog", "a dog"],
        "[CLS] a hot dog . a dog . [SEP]",
        [(1, 3, 3.0), (2, 6, 2.0)],
        [(0, 1), (1, 2)],
    ),
    "a phrase that is part of another": (
        "the dog and the dogs",
        ["the dog", "the dogs"],
        "[CLS] the dog . the dogs . [SEP]",
        [(1, 5, 3.0)],
        [(1, 1)],
    ),
    "a box for two phrases": (
        "a dog and a cat",
        ["a dog", "a cat"],
        "[CLS] a dog . a cat . [SEP]",
        [(6, 2, 1.0), (6, 5, 2.0)],
        [(0, 6), (1, 6)],
    ),
    "two boxes for a phrase, best first": (
        "two dogs",
        ["dogs"],
        "[CLS] dogs . [SEP]",
        [(8, 1, 1.0), (2, 1, 2.0)],
        [(0, 2), (0, 8)],
    ),
    "what belongs to no phrase": (
        "a dog and a cat",
        ["a dog", "a cat"],
        "[CLS] a dog . a cat . [SEP]",
        [(0, 0, 9.0), (1, 3, 9.0), (2, 6, 9.0), (3, 7, 9.0)],
        [],
    ),
    "a phrase that occurs twice is asked once": (
        "a dog and a man and a dog",
        ["a dog", "a man", "a dog"],
        "[CLS] a dog . a man . [SEP]",
        [(1, 2, 3.0), (2, 5, 3.0)],
        [(0, 1), (1, 2), (2, 1)],
    ),
    "full stops, question marks and capitals": (
        "A Red. Dog? on a field",
        ["A Red. Dog?", "a field"],
        "[CLS] a red dog . a field . [SEP]",
        [(1, 3, 3.0), (2, 6, 3.0)],
        [(0, 1), (1, 2)],
    ),
    "marks of the model itself": (
        "the [SEP] dog and [PAD] and a cat",
        ["the [SEP] dog", "[PAD]", "a cat"],
        "[CLS] the [UNK] [UNK] [UNK] dog . a cat . [SEP]",
        [(1, 5, 3.0), (2, 8, 3.0)],
        [(0, 1), (2, 2)],
    ),
    "letters of more than one byte before the phrase": (
        "\U0001f415\u00e9\u0301 \u202bdog\u202c a cat",
        ["\U0001f415", "a cat"],
        "[CLS] a cat . [SEP]",
        [(1, 2, 3.0)],
        [(1, 1)],
    ),
}


@pytest.mark.parametrize("model", ["grounding_dino", "mm_grounding_dino"])
@pytest.mark.parametrize("name", SPANS)
def test_boxes_go_to_the_phrase_of_the_token(name, model, request):
    caption, chunks, tokens, cells, expected = SPANS[name]
    stage = loaded(request.getfixturevalue(model))
    planted = Planted(stage, [(0, *cell) for cell in cells])
    rows = batch((picture(), caption, chunks))
    (found,) = stage.process(rows)["candidates"]
    assert planted.asked == [tokens.split()]
    (spans,) = rows["noun_chunks"]
    assert [f.span for f in found] == [spans[phrase] for phrase, _ in expected]
    for candidate, (_, query) in zip(found, expected):
        assert close(candidate.box, centred(query))


def test_candidates_say_where_they_come_from(grounding_dino):
    stage = loaded(grounding_dino)
    Planted(stage, [(0, 3, 2, 0.0)])
    ((found,),) = ground(stage, (picture(), "A  Dog", ["A  Dog"]))
    commit = stage.revision()["model"]
    assert found.phrase == "a dog"
    assert found.score == 0.5
    assert found.model == f"tiny-grounding-dino@{commit[:12]}"


AGGREGATED = {
    "max": [("a dog", 0.880797), ("a cat", 0.731059)],
    "mean": [("a dog", 0.440399), ("a cat", 0.731059)],
}


@pytest.mark.parametrize("aggregation", AGGREGATED)
def test_the_score_of_a_phrase_is_the_highest_or_the_mean_of_its_tokens(aggregation, grounding_dino):
    stage = loaded(grounding_dino, aggregation=aggregation)
    Planted(stage, [(0, 3, 2, 2.0), (0, 3, 4, 1.0), (0, 3, 5, 1.0)])
    (found,) = ground(stage, (picture(), "a dog, a cat", ["a dog", "a cat"]))
    assert [(f.phrase, f.score) for f in found] == AGGREGATED[aggregation]


def test_the_floor_and_the_most_boxes(grounding_dino):
    stage = loaded(grounding_dino, score_threshold=0.5, max_boxes_per_phrase=2)
    cells = [(0, 1, 2, -0.01), (0, 2, 2, 0.0), (0, 3, 5, 1.0), (0, 4, 5, 3.0), (0, 5, 5, 2.0)]
    Planted(stage, cells)
    (found,) = ground(stage, (picture(), "a dog, a cat", ["a dog", "a cat"]))
    assert [(f.phrase, f.score) for f in found] == [("a dog", 0.5), ("a cat", 0.952574), ("a cat", 0.880797)]


def test_many_phrases_are_asked_in_several_prompts(grounding_dino):
    """32 tokens are 10 phrases of two words with their full stops, and two special ones."""
    chunks = [f"{a} {b}" for a in ("a", "the", "red", "big") for b in ("dog", "cat", "man", "field")]
    stage = loaded(grounding_dino)
    cells = [(n // 10, n % 12, 2 + 3 * (n % 10), 3.0) for n in range(16)]
    planted = Planted(stage, cells)
    (found,) = ground(stage, (picture(), ", ".join(chunks), chunks))
    assert [len(tokens) for tokens in planted.asked] == [32, 20]
    assert [f.phrase for f in found] == chunks
    for n, candidate in enumerate(found):
        assert close(candidate.box, centred(n % 12))


def test_prompts_of_several_images_do_not_mix(grounding_dino):
    stage = loaded(grounding_dino)
    planted = Planted(stage, [(0, 1, 2, 3.0), (1, 2, 2, 3.0), (2, 3, 2, 3.0)])
    found = ground(
        stage,
        (picture(), "a dog", ["a dog"]),
        (picture(), "!", []),
        (picture(seed=1), "a big cat", ["a big cat"]),
        (picture(seed=2), "a man", ["a man"]),
    )
    assert [" ".join(tokens) for tokens in planted.asked] == [
        "[CLS] a dog . [SEP]",
        "[CLS] a big cat . [SEP]",
        "[CLS] a man . [SEP]",
    ]
    assert [[f.phrase for f in row] for row in found] == [["a dog"], [], ["a big cat"], ["a man"]]
    assert close(found[3][0].box, centred(3))


LONG = {
    "grounding_dino": ("the " * 40 + "brown dog", "the " * 27 + "brown dog", 29),
    "owlv2": ("a very large brown dog", "large brown dog", 14),
    "omdet_turbo": (
        "a very very large and brown dog of mine and a dog",
        "large and brown dog of mine and a dog",
        31,
    ),
}


@pytest.mark.parametrize("model", LONG)
def test_a_long_phrase_loses_leading_words(model, request):
    caption, asked, limit = LONG[model]
    stage = loaded(request.getfixturevalue(model), score_threshold=0)
    (found,) = ground(stage, (picture(), caption, [caption]))
    assert {f.phrase for f in found} == {asked}
    assert {f.span for f in found} == {Span(0, len(caption))}
    assert len(stage._detector._ids(asked)) <= limit


@pytest.mark.parametrize(
    "caption", ["\U0001f415", "...", "", "x" * 200], ids=["emoji", "dots", "empty", "unknown"]
)
def test_what_the_model_cannot_read_has_no_candidates(caption, grounding_dino):
    stage = loaded(grounding_dino, score_threshold=0)
    assert ground(stage, (picture(), caption, [caption])) == [[]]


@pytest.mark.parametrize("model", ["owlv2", "owlvit", "omdet_turbo"])
def test_models_that_embed_each_phrase(model, request):
    stage = loaded(request.getfixturevalue(model))
    cells = [(0, 1, 0, 3.0), (0, 2, 1, 3.0), (0, 3, 1, 2.0), (1, 4, 0, 3.0), (1, 5, 1, 9.0)]
    Planted(stage, cells)
    square = picture(128, 128)
    found = ground(stage, (square, "a dog, a cat", ["a dog", "a cat"]), (square, "a man", ["a man"]))
    assert [[f.phrase for f in row] for row in found] == [["a dog", "a cat", "a cat"], ["a man"]]
    assert [[f.box for f in row] for row in found] == [[centred(1), centred(2), centred(3)], [centred(4)]]


def test_an_end_mark_in_a_caption_does_not_end_the_prompt(owlv2):
    stage = loaded(owlv2)
    planted = Planted(stage, [(0, 1, 0, 3.0)])
    (found,) = ground(stage, (picture(), "<|endoftext|>", ["<|endoftext|>"]))
    (tokens,) = planted.asked
    assert tokens.index("<|endoftext|>") == 1 + len("<|endoftext|>")
    assert [f.phrase for f in found] == ["<|endoftext|>"]


SQUARED = {
    "wide": ((200, 100), Box(0.25, 0.5, 0.75, 1), (0.5, 0.9, 0.2, 0.1)),
    "tall": ((80, 160), Box(0.5, 0.25, 1, 0.75), (0.9, 0.5, 0.1, 0.2)),
}


@pytest.mark.parametrize("name", SQUARED)
def test_owlv2_pads_to_a_square(name, owlv2):
    size, middle, padding = SQUARED[name]
    stage = loaded(owlv2)
    Planted(stage, [(0, 5, 0, 3.0), (0, 6, 0, 2.0)], boxes={5: (0.5, 0.5, 0.5, 0.5), 6: padding})
    (found,) = ground(stage, (picture(*size), "a dog", ["a dog"]))
    assert [f.box for f in found] == [middle], "a box in the padding is no box"


@pytest.mark.parametrize("model", ["grounding_dino", "mm_grounding_dino", "owlvit", "owlv2"])
@pytest.mark.parametrize("size", [(200, 100), (90, 150)])
def test_boxes_are_those_of_the_library(model, size, request):
    """Against its own post-processing, on a real pass of a model with random weights."""
    import transformers

    folder = request.getfixturevalue(model)
    image = picture(*size)
    stage = loaded(folder, score_threshold=0)
    (found,) = ground(stage, (image, "a dog", ["a dog"]))

    processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(images=image, text=[["a dog"]], return_tensors="pt")
    if "pixel_mask" in inputs:  # it sees our padding, a little
        inputs["pixel_values"], inputs["pixel_mask"] = stage._detector._on_canvas([inputs["pixel_values"][0]])
    network = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    with torch.inference_mode():
        output = network(**inputs)
    (theirs,) = processor.post_process_grounded_object_detection(
        output, threshold=0.0, target_sizes=[(image.height, image.width)]
    )
    theirs_here = [
        (score, Box.from_pixels(*corners, *image.size).clipped())
        for score, corners in zip(theirs["scores"].tolist(), theirs["boxes"].tolist())
    ]
    expected = [(score, box) for score, box in theirs_here if box.area > 1e-6]
    assert len(found) == len(expected) > 3
    for candidate in found:
        score, box = min(expected, key=lambda pair: math.dist(pair[1], candidate.box))
        assert close(candidate.box, box, 1e-5)
        if "owl" in model:  # Grounding DINO's own score counts the full stop too
            assert abs(candidate.score - score) < 1e-5


MODELS = ["grounding_dino", "mm_grounding_dino", "llmdet", "omdet_turbo", "owlvit", "owlv2"]
PHRASES = [["a dog"], ["a big brown dog", "a cat", "the man"], ["a field"], ["a red dog", "a man"]]


@pytest.mark.parametrize("model", MODELS)
def test_eight_images_together_give_what_each_gives_alone(model, request):
    stage = loaded(request.getfixturevalue(model), score_threshold=0)
    sizes = [(200, 120), (120, 200), (203, 121), (90, 90)] * 2
    rows = [
        (picture(*size, seed=i), ", ".join(chunks), chunks)
        for i, (size, chunks) in enumerate(zip(sizes, [*PHRASES, *reversed(PHRASES)]))
    ]
    together = ground(stage, *rows)
    for row, candidates in zip(rows, together):
        (alone,) = ground(stage, row)
        assert len(candidates) == len(alone) > 0
        for a, b in zip(candidates, alone):
            assert (a.span, a.phrase) == (b.span, b.phrase)
            assert abs(a.score - b.score) < 1e-4
            assert close(a.box, b.box, 1e-4)


def test_padding_is_that_of_the_library(grounding_dino):
    """And depends on the image alone, whatever else is in the batch."""
    detector = loaded(grounding_dino)._detector
    image = picture(203, 121)
    pixels, mask = detector._on_canvas([detector.pixels(image)])
    height, width = pixels.shape[-2:]
    theirs = detector.image_processor(image, pad_size={"height": height, "width": width}, return_tensors="pt")
    assert (height, width) == (128, 192)
    assert torch.equal(pixels, theirs["pixel_values"])
    assert torch.equal(mask, theirs["pixel_mask"])
    assert 0 < int(mask.sum()) < height * width


def test_images_of_nearly_the_same_shape_share_a_pass(grounding_dino):
    stage = loaded(grounding_dino, images_at_once=2)
    planted = Planted(stage, [])
    sizes = [(200, 120), (120, 200), (203, 121), (120, 203), (200, 120)]
    ground(stage, *((picture(*size), "a dog", ["a dog"]) for size in sizes))
    assert planted.passes == [2, 2, 1]


@pytest.mark.parametrize("model", MODELS)
def test_exif_orientation_is_applied(model, request):
    stage = loaded(request.getfixturevalue(model), score_threshold=0)
    upright = picture(200, 120)
    tags = Image.Exif()
    tags[0x0112] = 6  # turn right by 90 degrees to see it upright
    lying = Bytes(upright.transpose(Image.Transpose.ROTATE_90), exif=tags)
    a, b = ground(stage, (upright, "a dog", ["a dog"]), (lying, "a dog", ["a dog"]))
    assert len(a) == len(b) > 0
    assert all(close(x.box, y.box, 1e-4) for x, y in zip(a, b))


def test_images_without_phrases_are_not_read(grounding_dino):
    class Unreadable:
        def read(self):
            raise OSError("gone")

    stage = loaded(grounding_dino)
    assert ground(stage, (Unreadable(), "beautiful", [])) == [[]]
    with pytest.raises(OSError, match="gone"):
        ground(stage, (Unreadable(), "a dog", ["a dog"]))


def test_nan_is_never_taken_for_nothing_found(grounding_dino):
    stage = loaded(grounding_dino)
    Planted(stage, [(0, 1, 2, float("nan"))])
    with pytest.raises(ValueError, match="NaN"):
        ground(stage, (picture(), "a dog", ["a dog"]))


def test_the_pillow_processor_is_taken_for_a_folder_as_the_hub_has_it(grounding_dino, tmp_path):
    folder = copied(grounding_dino, tmp_path)
    settings = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    settings |= {"image_processor_type": "GroundingDinoImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "processor_config.json").unlink()
    stage = loaded(folder)
    assert type(stage._detector.image_processor).__name__ == "GroundingDinoImageProcessorPil"


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def edit_config(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def cut_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def lose_a_weight(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.text_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def take_other_weights(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file(
        {f"detr.{name}": weight for name, weight in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


BROKEN = {
    "weights cut off": (cut_weights, "a weight file is corrupt .*; download it again"),
    "weights of nonsense": (
        lambda f: (f / "model.safetensors").write_bytes(b"<html>" * 99),
        "a weight file is corrupt .*; download it again",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded: OSError"),
    "only pickled weights": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "pickled, which can run code; save it with save_pretrained",
    ),
    "weights of another architecture": (take_other_weights, "lacks [0-9]+ of its weights"),
    "a weight is not there": (lose_a_weight, "lacks 1 of its weights, such as model.text_projection.weight"),
    "weights of another shape": (lambda f: edit_config(f, d_model=64), "other shapes than its config.json"),
    "no image processor": (lambda f: (f / "processor_config.json").unlink(), "cannot be loaded"),
    "no vocabulary": (
        lambda f: [p.unlink() for p in [*f.glob("*token*"), *f.glob("vocab*")]],
        "its tokenizer knows no words",
    ),
    "a config of nonsense": (lambda f: edit_config(f, num_queries="many"), "cannot be loaded"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_one_sentence(name, grounding_dino, tmp_path):
    damage, message = BROKEN[name]
    folder = copied(grounding_dino, tmp_path)
    damage(folder)
    stage = TransformersGrounder(model=str(folder))
    with pytest.raises(UserError, match=message) as raised:
        stage.setup()
    assert "\n" not in str(raised.value)


class Crowded:
    """A model on a GPU that has memory for so many images at once and no more."""

    def __init__(self, stage, room: int):
        self.model = stage._detector.model
        self.config = self.model.config
        self.room = room
        self.passes: list[int] = []
        stage._detector.model = self

    def __call__(self, **inputs):
        self.passes.append(len(inputs["pixel_values"]))
        if self.passes[-1] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return self.model(**inputs)


@pytest.mark.parametrize(("room", "passes"), [(3, [8, 4, 2, 2, 2, 2]), (1, [8, 4, 2, *[1] * 8])])
def test_a_batch_beyond_the_memory_is_halved(room, passes, grounding_dino, caplog):
    rows = [(picture(seed=i), "a dog", ["a dog"]) for i in range(8)]
    stage = loaded(grounding_dino, score_threshold=0)
    whole = ground(stage, *rows)
    crowded = Crowded(stage, room)
    halved = ground(stage, *rows)
    assert crowded.passes == passes
    for a, b in zip(whole, halved):
        assert len(a) == len(b) > 0
        assert all(close(x.box, y.box, 1e-4) and abs(x.score - y.score) < 1e-4 for x, y in zip(a, b))
    assert "going on with 4" in caplog.text
    crowded.passes.clear()
    ground(stage, *rows)
    assert max(crowded.passes) <= room, "the size that fits is kept"


def test_an_image_that_does_not_fit_alone_is_an_error_of_its_own(grounding_dino):
    stage = loaded(grounding_dino)
    Crowded(stage, 0)
    with pytest.raises(torch.OutOfMemoryError):
        ground(stage, (picture(), "a dog", ["a dog"]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda"}, "the worker sees no GPU; set device: auto, or gpus: 1"),
        ({"precision": "bfloat16"}, "runs on the CPU; set precision: auto, or device: cuda"),
        ({"precision": "float16"}, "runs on the CPU; set precision: auto, or device: cuda"),
    ],
)
def test_a_missing_gpu_is_one_sentence(options, message, grounding_dino):
    with pytest.raises(UserError, match=message):
        TransformersGrounder(model=str(grounding_dino), **options).setup()


@pytest.mark.parametrize("model", MODELS)
def test_half_precision_leaves_coordinates_fine(model, request):
    """As on a GPU, where coordinates in bfloat16 would be multiples of 1/256 in half of the image."""
    checkpoint = checkpoints.find(str(request.getfixturevalue(model)))
    whole, half = (zero_shot.load(checkpoint, "cpu", precision) for precision in ("float32", "bfloat16"))
    question = DetectorInput(whole.pixels(picture()), ["a dog", "a cat"], picture().size)
    [(scores, centers)], [(half_scores, half_centers)] = whole.answer([question]), half.answer([question])
    assert half_scores.dtype == half_centers.dtype == torch.float32
    assert not torch.equal(scores, half_scores)
    assert (half_centers * 256 % 1 != 0).float().mean() > 0.8
    if "owl" in model:  # others choose among queries, which may come out in another order
        assert (scores - half_scores).abs().max() < 0.02
        assert (centers - half_centers).abs().max() < 0.002


def test_images_are_made_ready_ahead(grounding_dino):
    """While the model works on the first ones, later ones are read, but not all of them."""
    read = []

    class Watched(Bytes):
        def read(self):
            read.append(self)
            return super().read()

    stage = loaded(grounding_dino, images_at_once=1)
    answer = stage._detector.answer
    seen = []

    def watched(questions):
        seen.append(len(read))
        return answer(questions)

    stage._detector.answer = watched
    ground(stage, *((Watched(picture()), "a dog", ["a dog"]) for _ in range(6)))
    assert len(seen) == 6
    assert seen[0] <= 3


def test_an_image_that_cannot_be_read_among_those_made_ready(grounding_dino):
    class Gone:
        def read(self):
            raise OSError("gone")

    stage = loaded(grounding_dino)
    with pytest.raises(OSError, match="gone"):
        ground(stage, (picture(), "a dog", ["a dog"]), (Gone(), "a dog", ["a dog"]))


UNUSABLE = {
    "another architecture": (lambda f: edit_config(f, model_type="detr"), "type 'detr'"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "a broken config": (lambda f: (f / "config.json").write_text("{"), "cannot be used"),
    "no type": (lambda f: (f / "config.json").write_text("{}"), "cannot be used"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_folder_is_known_before_anything_loads(name, grounding_dino, tmp_path):
    damage, message = UNUSABLE[name]
    folder = copied(grounding_dino, tmp_path)
    damage(folder)
    (problem,) = TransformersGrounder(model=str(folder)).problems()
    assert message in problem


def test_a_folder_has_no_revision(grounding_dino):
    (problem,) = TransformersGrounder(model=str(grounding_dino), model_revision="main").problems()
    assert "leave its revision out" in problem


def test_the_revision_of_a_folder_is_its_content(grounding_dino, tmp_path):
    before = TransformersGrounder(model=str(grounding_dino)).revision()
    folder = copied(grounding_dino, tmp_path)
    (folder / "README.md").write_text("not read by the model")
    stage = TransformersGrounder(model=str(folder))
    assert stage.revision() == before
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert stage.revision()["model"] != before["model"]


COMMIT = "a2bb814dd30d776dcf7e30523b00659f4f141c71"


@pytest.fixture
def hub_cache(grounding_dino, tmp_path, monkeypatch):
    """The hub's cache of a machine without network, with one model in it."""
    from huggingface_hub import constants

    repository = tmp_path / "models--ours--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(grounding_dino, repository / "snapshots" / COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_model_of_the_hub_is_pinned_to_its_commit(revision, hub_cache):
    stage = loaded("ours/tiny", model_revision=revision)
    assert stage.revision()["model"] == COMMIT
    Planted(stage, [(0, 3, 2, 0.0)])
    ((found,),) = ground(stage, (picture(), "a dog", ["a dog"]))
    assert found.model == "ours/tiny@a2bb814dd30d"


@pytest.mark.parametrize(
    ("model", "revision", "message"),
    [
        ("ours/other", None, "hf download ours/other"),
        ("ours/tiny", "v2", "nor in the hub's cache"),
        ("models/not/there", None, "neither a folder nor a model on the hub"),
        ("/models/tiny", None, "neither a folder nor a model on the hub"),
    ],
)
def test_a_model_that_is_not_there(model, revision, message, hub_cache):
    stage = TransformersGrounder(model=model, model_revision=revision)
    (problem,) = stage.problems()
    assert message in problem
    assert stage.revision()["model"] == ""
    with pytest.raises(UserError):
        stage.setup()


@pytest.mark.parametrize(
    ("sizes", "limit", "expected"),
    [
        ([3, 4, 2, 5], 8, [[0, 1], [2, 3]]),
        ([4, 4], 8, [[0, 1]]),
        ([8, 1], 8, [[0], [1]]),
        ([], 8, []),
    ],
)
def test_packing(sizes, limit, expected):
    assert phrases.packed(sizes, limit) == expected
