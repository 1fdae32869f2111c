"""SAM in ONNX files: the interface on models whose mask is the box, real weights on real photographs."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
pytest.importorskip("onnx", reason="needs onnx, which makes the small models")
pytest.importorskip("pycocotools", reason="needs the extra `masks`")

import sam2_tiny
from box_sam import save_sam
from pycocotools import mask as masks_of_coco

from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.errors import UserError
from gritmill.stages.segmenters.onnx import OnnxSegmenter

BOXES = [(0.26, 0.13, 0.74, 0.51), (0.0, 0.5, 0.5, 1.0), (0.6, 0.6, 0.9, 0.9)]


def loaded(options, **others) -> OnnxSegmenter:
    stage = OnnxSegmenter(**options, **others)
    assert stage.problems() == []
    stage.setup()
    return stage


@pytest.mark.parametrize("size", [(200, 100), (100, 200)])
@pytest.mark.parametrize(("like", "score"), [("sam", 0.9), ("sam2", 0.8)])
def test_a_mask_lies_where_its_box_does(like, score, size, tmp_path, encoded, noise, rows) -> None:
    stage = loaded(save_sam(tmp_path, like))
    assert stage._canvas.stretch is (like == "sam2")
    [masks] = stage.process(rows((encoded(noise(*size)), BOXES)))["masks"]
    for mask, box in zip(masks, BOXES, strict=True):
        assert (mask.width, mask.height) == size
        assert iou(mask.box, Box(*box)) > 0.75
        assert mask.score == pytest.approx(score)
        assert mask.model.startswith(f"{like}.encoder.onnx@")


@pytest.mark.parametrize("like", ["sam", "sam2"])
def test_a_batch_of_eight_gives_what_eight_of_one_give(like, tmp_path, encoded, noise, rows) -> None:
    stage = loaded(save_sam(tmp_path, like))
    pairs = [(encoded(noise(64 + 16 * i, 160 - 8 * i, seed=i)), BOXES[: 1 + i % 3]) for i in range(8)]
    together = stage.process(rows(*pairs))["masks"]
    assert together == [stage.process(rows(pair))["masks"][0] for pair in pairs]


def swap(options, folder) -> None:
    options["encoder"], options["decoder"] = options["decoder"], options["encoder"]


def mix(options, folder) -> None:
    options["decoder"] = save_sam(folder, "sam2")["decoder"]


def two_encoders(options, folder) -> None:
    options["decoder"] = options["encoder"]


def cut(options, folder) -> None:
    path = Path(options["encoder"])
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (swap, "encoder '.*' takes .*, not one square image"),
        (mix, "decoder '.*' wants high_res_feats_0, .* which the encoder does not give; take both"),
        (two_encoders, "decoder '.*' takes image and gives features; it should take point_coords"),
        (cut, "encoder '.*' cannot be loaded by onnxruntime"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence(spoil, message, tmp_path) -> None:
    options = save_sam(tmp_path, "sam")
    spoil(options, tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        OnnxSegmenter(**options).setup()
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_a_mistake_before_anything_loads(tmp_path) -> None:
    options = save_sam(tmp_path, "sam2") | {"decoder": str(tmp_path / "no.onnx")}
    [problem] = OnnxSegmenter(**options).problems()
    assert problem.startswith("decoder '") and problem.endswith("give the ONNX file of a SAM decoder")
    assert OnnxSegmenter(**options).revision() == {}


@pytest.mark.parametrize("option", ["encoder", "decoder"])
def test_the_digest_of_each_file_may_be_pinned(option, tmp_path) -> None:
    options = save_sam(tmp_path, "sam2")
    pin = f"{option}_sha256"
    digest = hashlib.sha256(Path(options[option]).read_bytes()).hexdigest()
    pinned = OnnxSegmenter(**options, **{pin: digest})
    pinned.setup()
    left = {"encoder_sha256", "decoder_sha256"} - {pin}
    assert {weights.unpinned for weights in pinned.needed_weights()} == {"", *left}

    other = OnnxSegmenter(**options, **{pin: "0" * 64})
    [problem] = other.problems()
    assert problem == (
        f"{option} {options[option]!r} has the SHA-256 {digest}, but {pin} is {'0' * 64}; download it again"
    )
    with pytest.raises(UserError, match=f"but {pin} is"):
        other.setup()


def test_both_files_decide_the_fingerprint(tmp_path) -> None:
    options = save_sam(tmp_path, "sam2")
    before = OnnxSegmenter(**options).revision()
    path = Path(options["decoder"])
    path.write_bytes(path.read_bytes() + b"\x00")
    assert OnnxSegmenter(**options).revision()["model"] != before["model"]


def test_a_gpu_that_is_not_there_is_one_sentence(tmp_path) -> None:
    import onnxruntime as ort

    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("onnxruntime has CUDA here")
    with pytest.raises(UserError, match="device is cuda, but onnxruntime has no CUDA here"):
        OnnxSegmenter(**save_sam(tmp_path, "sam"), device="cuda").setup()


@pytest.fixture(scope="module")
def sam2() -> OnnxSegmenter:
    """Real weights."""
    try:
        options = sam2_tiny.files()
    except sam2_tiny.Unavailable as error:
        pytest.skip(str(error))
    return loaded(options)


IMAGES = (30752, 37666, 54718)
FLOOR = 0.7
"""Mean IoU with human polygons over these photographs; docs/grounders.md states it for all of them."""


@pytest.mark.slow
def test_masks_of_real_weights_are_those_that_people_drew(sam2, coco_mini, rows) -> None:
    instances = json.loads((coco_mini / "instances.json").read_text())
    found, boxes, drawn = [], [], []
    for image in (image for image in instances["images"] if image["id"] in IMAGES):
        width, height = image["width"], image["height"]
        mine = [a for a in instances["annotations"] if a["image_id"] == image["id"] and not a["iscrowd"]]
        for x, y, w, h in (a["bbox"] for a in mine):
            boxes.append(Box.from_xywh_pixels(x, y, w, h, width, height).clipped())
        asked = boxes[-len(mine) :]
        found += sam2.process(rows((_File(coco_mini / "images" / image["file_name"]), asked)))["masks"][0]
        outlines = [masks_of_coco.frPyObjects(a["segmentation"], height, width) for a in mine]
        drawn += [masks_of_coco.merge(outline) for outline in outlines]
    overlaps = [
        masks_of_coco.iou([mask.segmentation()], [human], [0])[0, 0]
        for mask, human in zip(found, drawn, strict=True)
    ]
    assert np.mean(overlaps) > FLOOR
    assert np.mean([iou(mask.box, box) for mask, box in zip(found, boxes) if mask.box]) > FLOOR


class _File:
    def __init__(self, path: Path) -> None:
        self.read = path.read_bytes
