"""Datasets of other formats, through the readers of `pipeline convert`."""

import json
import math

import pytest

from gritmill.pipeline.view.side import open_side
from gritmill.schemas.errors import UserError
from tests.pipeline.view.conftest import picture

IMAGES = [{"id": 1, "file_name": "1.jpg", "width": 40, "height": 30}]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(picture())
    return tmp_path


def opened(path, value):
    path.write_text(json.dumps(value))
    side = open_side(str(path))
    side.kept.grow(math.inf)
    return side.kept


def test_cocos_instances_are_drawn_by_label(folder):
    boxes = [
        {"id": i, "image_id": 1, "category_id": 18, "bbox": [4, 3, 10 + i, 15], "iscrowd": 0} for i in (1, 2)
    ]
    categories = [{"id": 18, "name": "dog"}]
    value = {"images": IMAGES, "annotations": boxes, "categories": categories}
    samples = opened(folder / "instances.json", value)
    [entry] = samples.entries(0)
    assert entry and entry["reason"] is None
    [phrase] = entry["phrases"]
    assert (phrase["start"], phrase["end"]) == (0, 0)
    assert [(box["phrase"], box["box"][0]) for box in phrase["boxes"]] == [("dog", 0.1)] * 2
    assert samples.size(0) == (40, 30) and samples.image(0) == picture()


def test_llavas_conversations_are_shown(folder):
    turns = [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A dog."}]
    samples = opened(folder / "llava.json", [{"id": "1", "image": "1.jpg", "conversations": turns}])
    [entry] = samples.entries(0)
    assert entry and [turn["text"] for turn in entry["turns"]] == ["<image>\nWhat is this?", "A dog."]
    assert samples.image(0) == picture()


def test_an_image_outside_its_folder_is_never_read(folder):
    (folder / "secret.jpg").write_bytes(picture())
    inside = folder / "images"
    captions = [{"id": 1, "image_id": 1, "caption": "a dog"}]
    images = [IMAGES[0] | {"file_name": "../secret.jpg"}]
    path = inside / "captions.json"
    samples = opened(path, {"images": images, "annotations": captions})
    assert samples.entry(0)["caption"] == "a dog"
    with pytest.raises(OSError, match="not found"):
        samples.image(0)
    with pytest.raises(OSError, match="not found"):
        samples.size(0)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"images": 1}'])
def test_a_file_of_no_format_is_said(tmp_path, content):
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises(UserError):
        open_side(str(path))
