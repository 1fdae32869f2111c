"""SAM, SAM 2 and SAM 3 of the transformers library: real architectures, tiny, with random weights."""

import json
import shutil

import numpy as np
import pytest

from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError
from gritmill.stages.segmenters.transformers import TransformersSegmenter

torch = pytest.importorskip("torch", reason="needs the extra `grounders`")
hf = pytest.importorskip("transformers", reason="needs the extra `grounders`")
pytest.importorskip("pycocotools", reason="needs the extra `masks`")

BOXES = [(0.1, 0.2, 0.6, 0.9), (0.4, 0.1, 0.9, 0.5), (0.0, 0.0, 1.0, 1.0)]


def loaded(folder, **options) -> TransformersSegmenter:
    stage = TransformersSegmenter(model=str(folder), **options)
    assert stage.problems() == []
    stage.setup()
    return stage


def test_masks_are_what_the_model_itself_gives(any_sam, encoded, noise, rows) -> None:
    stage = loaded(any_sam)
    picture = noise(96, 96)  # a square, for which stretching and padding are the same
    [masks] = stage.process(rows((encoded(picture), BOXES)))["masks"]
    model = hf.AutoModelForMaskGeneration.from_pretrained(any_sam).eval()
    side = stage._canvas.side
    mean, std = (np.array(v, np.float32) for v in (stage._canvas.mean, stage._canvas.std))
    pixels = (np.asarray(picture.resize((side, side), 2), np.float32) / 255 - mean) / std
    with torch.inference_mode():
        output = model(
            pixel_values=torch.from_numpy(pixels.transpose(2, 0, 1))[None].float(),
            input_boxes=torch.tensor([BOXES]) * side,
            multimask_output=False,
        )
    theirs = torch.nn.functional.interpolate(output.pred_masks[0], (96, 96), mode="bilinear")[:, 0] > 0
    for mask, wanted, score in zip(masks, theirs, output.iou_scores[0, :, 0].tolist(), strict=True):
        assert (mask.pixels() != wanted.numpy()).mean() < 0.002
        assert mask.score == pytest.approx(score, abs=1e-5)
        assert mask.model.startswith(f"{any_sam.name}@")
    assert len({mask.counts for mask in masks}) == 3
    assert {0 < mask.area < 96 * 96 for mask in masks} == {True}


def test_a_batch_of_eight_gives_what_eight_of_one_give(any_sam, encoded, noise, rows) -> None:
    stage = loaded(any_sam)
    pairs = [
        (encoded(noise(64 + 16 * i, 160 - 8 * i, seed=i), orientation=1 + i), BOXES[: 1 + i % 3])
        for i in range(8)
    ]
    together = stage.process(rows(*pairs))["masks"]
    alone = [stage.process(rows(pair))["masks"][0] for pair in reversed(pairs)][::-1]
    assert together == alone


def test_the_settings_of_the_checkpoint_are_those_of_its_canvas(any_sam) -> None:
    canvas = loaded(any_sam)._canvas
    settings = json.loads((any_sam / "preprocessor_config.json").read_text())
    assert (canvas.mean, canvas.std) == (tuple(settings["image_mean"]), tuple(settings["image_std"]))
    assert canvas.side in settings["size"].values()
    assert canvas.stretch is ("height" in settings["size"])


def test_out_of_memory_fewer_boxes_are_done_at_once(any_sam, encoded, noise, rows, monkeypatch) -> None:
    stage = loaded(any_sam)
    given = rows((encoded(noise()), BOXES))
    [expected] = stage.process(given)["masks"]
    answer, asked = stage.answer, []

    def small(features, corners):
        asked.append(len(corners))
        if len(corners) > 1:
            raise torch.OutOfMemoryError
        return answer(features, corners)

    stage = loaded(any_sam)
    monkeypatch.setattr(type(stage), "answer", lambda self, *a: small(*a))
    [found] = stage.process(given)["masks"]
    assert asked == [3, 1, 1, 1]
    for a, b in zip(found, expected, strict=True):
        assert (a.pixels() != b.pixels()).mean() < 0.002


def test_half_precision_is_of_the_encoder_alone(sam, encoded, noise, rows) -> None:
    full, half = loaded(sam), loaded(sam)
    half._precision = "bfloat16"  # which only a GPU may be asked for
    given = rows((encoded(noise()), BOXES))
    features = half.encode(half._canvas.pixels(noise()))
    assert features.dtype == torch.float32
    assert not torch.equal(features, full.encode(full._canvas.pixels(noise())))
    for a, b in zip(half.process(given)["masks"][0], full.process(given)["masks"][0], strict=True):
        assert (a.pixels() != b.pixels()).mean() < 0.1


def edit_config(folder, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: edit_config(f, model_type="clip"),
            "of type 'clip', which is not supported; use one of type sam, ",
        ),
        (lambda f: shutil.rmtree(f), "neither a folder nor"),
    ],
)
def test_the_wrong_model_is_a_mistake_before_anything_loads(spoil, message, sam, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    spoil(sam)
    [problem] = TransformersSegmenter(model=str(sam)).problems()
    assert message in problem
    assert "\n" not in problem


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: cut(f / "model.safetensors"), "corrupt|cannot be loaded"),
        (lambda f: edit_config(f, model_type="sam2"), "cannot be loaded|lacks"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "cannot be loaded"),
    ],
    ids=["cut off", "of another architecture", "without its settings"],
)
def test_a_broken_checkpoint_is_one_sentence(spoil, message, sam) -> None:
    spoil(sam)
    with pytest.raises(UserError, match=message) as raised:
        TransformersSegmenter(model=str(sam)).setup()
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_sentence(sam) -> None:
    with pytest.raises(UserError, match="device is cuda, but the worker sees no GPU"):
        TransformersSegmenter(model=str(sam), device="cuda").setup()


def test_the_weights_decide_the_fingerprint(sam) -> None:
    before = TransformersSegmenter(model=str(sam)).revision()
    edit_config(sam, initializer_range=0.5)
    after = TransformersSegmenter(model=str(sam)).revision()
    assert before["model"] != after["model"]
    assert before["torch"] == after["torch"] != ""


def test_a_box_at_the_edge_is_asked_for_within_the_canvas(sam) -> None:
    canvas = loaded(sam)._canvas
    assert canvas.corners([Box(0, 0, 1, 1)], 100, 50).tolist() == [[0, 0, 64, 32]]
