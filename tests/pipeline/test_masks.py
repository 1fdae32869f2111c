"""Masks from the recipe to the shards: beside their boxes in every format, checked by verify."""

import io
import json
import tarfile

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
pytest.importorskip("onnx", reason="needs onnx, which makes the small model")
pytest.importorskip("pycocotools", reason="needs the extra `masks`")

import pyarrow.parquet as pq
from box_sam import save_sam
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from gritmill.pipeline.engine.recipes import RecipeError, load_recipe
from gritmill.pipeline.output.coco import coco_entry
from gritmill.pipeline.verify.sample import SampleCheck
from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.masks import Mask
from gritmill.schemas.records import to_record

SCENES = "type: scenes, count: 4, size: 96, captions_per_image: 1"
BEFORE = ["image_check", "noun_chunks", "ground: {grounder: annotations}", "select_boxes"]


def segment(options) -> str:
    return f"segment: {{segmenter: onnx, encoder: {options['encoder']}, decoder: {options['decoder']}}}"


@pytest.fixture(scope="module")
def sam(tmp_path_factory):
    return segment(save_sam(tmp_path_factory.mktemp("sam"), "sam2"))


def test_masks_reach_every_format_beside_their_boxes(sam, tmp_path, write_recipe, cli) -> None:
    pytest.importorskip("spacy", reason="needs the extra `nlp`")
    stages = [*BEFORE, "referring_expressions", sam]
    recipe = write_recipe(SCENES, stages, output="formats: [webdataset, parquet, coco], shard_size: 1GB")
    ran = cli("run", recipe, "--runner", "local")
    assert ran.returncode == 0, ran.stderr

    with tarfile.open(next((tmp_path / "out" / "data").glob("*.tar"))) as tar:
        members = [tar.extractfile(member) for member in tar if member.name.endswith(".json")]
        records = [json.load(member) for member in members if member]
    regions = 0
    for record in records:
        assert len(record["masks"]) == len(record["noun_chunks"]) > 0
        for item, region in zip(record["masks"], record["noun_chunks"], strict=True):
            mask = Mask.from_item(item)
            assert (mask.pixels() == coco_masks.decode(item)).all()
            assert mask.box and iou(mask.box, Box(*region[2:6])) > 0.6
            regions += 1

    [table] = [pq.read_table(path) for path in (tmp_path / "out" / "parquet").glob("*.parquet")]
    assert table["masks"].to_pylist() == [record["masks"] for record in records]

    coco = COCO(next((tmp_path / "out" / "coco").glob("*.json")))
    assert len(coco.anns) == regions
    for annotation in coco.anns.values():
        assert coco.annToMask(annotation).sum() == annotation["area"] > 0

    verified = cli("verify", tmp_path / "out")
    assert (verified.returncode, "0 errors" in verified.stdout) == (0, True), verified.stdout


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["SEGMENT", *BEFORE], "segment reads column boxes, which nothing before it writes"),
        (
            [*BEFORE, "SEGMENT", "referring_expressions"],
            "referring_expressions chooses boxes anew, and masks",
        ),
        ([*BEFORE, "SEGMENT", "select_boxes: {as: again}"], "again chooses boxes anew, and masks would no"),
    ],
)
def test_masks_are_made_when_the_boxes_are_chosen(stages, message, sam, write_recipe) -> None:
    recipe = write_recipe(SCENES, [sam if stage == "SEGMENT" else stage for stage in stages])
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(recipe))


def square(left: int, size=(40, 30)) -> Mask:
    pixels = np.zeros(size[::-1], bool)
    pixels[3:9, left : left + 6] = True
    return Mask.of_pixels(pixels, 0.9, "sam@1")


def sample(masks):
    from types import SimpleNamespace

    from gritmill.schemas.columns import GroundedBox, ImageRef, Span

    boxes = [
        GroundedBox(Span(0, 5), Box(0.0, 0.1, 0.25, 0.3), 0.9, "model@1", "a dog"),
        GroundedBox(Span(10, 15), Box(0.5, 0.1, 0.75, 0.3), 0.7, "model@1", "a cat"),
    ]
    return {
        "key": "000001",
        "image_id": "000001",
        "caption": "a dog and a cat",
        "captions": ["a dog and a cat"],
        "metadata": "{}",
        "image": SimpleNamespace(ref=ImageRef("photos.tar", 512, 900)),
        "width": 40,
        "height": 30,
        "image_format": "png",
        "split": "train",
        "boxes": boxes,
        "ref_exps": [Span(0, 5), Span(10, 15)],
    } | ({"masks": masks} if masks is not None else {})


def test_records_without_masks_have_none() -> None:
    record = to_record(sample(None))
    assert "masks" not in record
    assert all("segmentation" not in a for a in coco_entry(record, "1.png")["annotations"])


def test_masks_that_are_not_parallel_are_no_record() -> None:
    with pytest.raises(ValueError, match="zip"):
        to_record(sample([square(2)]))


def test_an_empty_mask_is_an_empty_segmentation() -> None:
    empty = Mask.of_pixels(np.zeros((30, 40), bool), 0.1, "sam@1")
    record = to_record(sample([square(2), empty]))
    first, second = coco_entry(record, "1.png")["annotations"]
    assert (first["area"], second["area"]) == (36, 0)
    assert coco_masks.area(second["segmentation"]) == 0
    assert problems(record) == []


def problems(record) -> list[str]:
    picture = io.BytesIO()
    Image.new("RGB", (40, 30)).save(picture, "PNG")
    check = SampleCheck("000001")
    found = [*check.member("png", picture.getvalue()), *check.member("json", json.dumps(record).encode())]
    return [problem.kind for problem in [*found, *check.finish()]]


GOOD = square(2).to_item(), square(22).to_item()


@pytest.mark.parametrize(
    ("masks", "kinds"),
    [
        (list(GOOD), []),
        (list(GOOD[::-1]), ["mask_elsewhere"] * 2),
        (list(GOOD[:1]), ["not_parallel"]),
        ("PXZ8", ["not_parallel"]),
        ([GOOD[0], None], ["malformed_mask"]),
        ([GOOD[0], GOOD[1] | {"counts": GOOD[1]["counts"] + "1"}], ["malformed_mask"]),
        ([GOOD[0], GOOD[1] | {"size": [40, 30]}], ["malformed_mask"]),
        ([GOOD[0], square(22, (41, 30)).to_item()], ["malformed_mask"]),
    ],
)
def test_verify_checks_masks(masks, kinds) -> None:
    assert problems(to_record(sample(None)) | {"masks": masks}) == kinds
