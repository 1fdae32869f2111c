"""What makes a source another one."""

from typing import Any

import pytest

from gritmill.pipeline.sources.registry import source_class

FOLDER = {"type": "folder", "path": "photos"}
SHARDS = {"type": "webdataset", "shards": ["a.tar", "b.tar"]}
URL = {"type": "webdataset", "shards": "https://ann:pw@host/a.tar"}
MIX = {"type": "mix", "sources": {"a": FOLDER, "b": SHARDS}}
SCENES = {"type": "scenes", "count": 10}
COCO = {"type": "coco", "images": "i", "captions": "c.json"}
HUB = {"type": "huggingface", "dataset": "me/photos"}


def digest(options: dict[str, Any]) -> str:
    return source_class(options["type"]).model_validate(options).digest()


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (FOLDER, {**FOLDER, "path": "./photos/"}, True),
        (FOLDER, {**FOLDER, "caption": ["title"], "part_size": 7}, True),
        (FOLDER, {**FOLDER, "path": "photos2"}, False),
        (FOLDER, {**FOLDER, "per": "image"}, False),
        (SHARDS, {**SHARDS, "shards": ["b.tar", "a.tar"]}, False),
        (SHARDS, {**SHARDS, "type": "finished"}, False),
        (URL, {**URL, "shards": "https://host/a.tar"}, True),
        (URL, {**URL, "shards": "https://host/b.tar"}, False),
        (MIX, {**MIX, "keep": {"a": 0.5}, "sources": {"a": {**FOLDER, "part_size": 3}, "b": SHARDS}}, True),
        (MIX, {**MIX, "sources": {"a": FOLDER}}, False),
        (MIX, {**MIX, "sources": {"a": FOLDER, "b": URL}}, False),
        (SCENES, {**SCENES, "part_size": 3}, True),
        (SCENES, {**SCENES, "seed": 1}, False),
        (SCENES, {**SCENES, "count": 5}, False),
        (COCO, {**COCO, "captions": "d.json"}, False),
        (HUB, {**HUB, "split": "test"}, False),
        (HUB, {**HUB, "revision": "abc"}, True),
    ],
)
def test_type_place_and_what_a_sample_is_of_make_a_source(
    one: dict[str, Any], other: dict[str, Any], is_same: bool
) -> None:
    assert (digest(one) == digest(other)) is is_same
