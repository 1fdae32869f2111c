"""NudeNet on its real weights."""

import json

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime, which the extra nudenet installs")
pytest.importorskip("nudenet", reason="needs nudenet, which the extra nudenet installs")

from memory_images import MemoryImage, noise, stored

from gritmill.schemas.columns import Reject
from gritmill.schemas.images import decode
from gritmill.stages.filters.nudenet import CLASSES, FACES, NUDITY, NudeNet, squared


@pytest.fixture(scope="module")
def photos(coco_mini):
    """Photographs with a large person, and without any."""
    told = json.loads((coco_mini / "instances.json").read_text())
    largest: dict[int, float] = {}
    for one in told["annotations"]:
        if one["category_id"] == 1:
            largest[one["image_id"]] = max(largest.get(one["image_id"], 0), one["area"])
    paths = [coco_mini / "images" / image["file_name"] for image in told["images"]]
    kinds = [largest.get(image["id"], 0) for image in told["images"]]
    found = [(MemoryImage(path.read_bytes()), kind) for path, kind in zip(paths, kinds) if path.is_file()]
    return [i for i, kind in found if kind > 20_000], [i for i, kind in found if kind == 0]


def loaded(**options):
    stage = NudeNet(**options)
    stage.setup()
    return stage


def test_the_classes_are_the_package_s():
    assert [CLASSES[i] for i in FACES] == ["face_female", "face_male"]
    assert {CLASSES[i].removesuffix("_exposed") for i in NUDITY} == {
        "buttocks",
        "female_breast",
        "female_genitalia",
        "anus",
        "male_genitalia",
    }


def test_faces_are_found_where_people_are_and_nowhere_else(photos):
    people, nobody = photos
    stage = loaded(max_face=0.4)
    found = stage.process({"image": people[:12]})["face"]
    assert sum(isinstance(one, Reject) and one.reason == "face" for one in found) >= 6
    alone = stage.process({"image": nobody[:12]})
    assert [one for one in alone["face"] if isinstance(one, Reject)] == []


def test_ordinary_photographs_have_no_nudity(photos):
    found = loaded().process({"image": photos[0][:6]})
    assert all(0 <= value < 0.4 for value in found["nudity"])
    assert max(found["face"]) > 0.4, "faces are measured though none is dropped"


def test_a_row_does_not_depend_on_its_batch_and_measure_drops_nothing(photos):
    stage = loaded(mode="measure", max_face=0, max_nudity=0)
    images = photos[0][:2]
    together = stage.process({"image": images})
    alone = [stage.process({"image": [image]}) for image in images]
    assert together == {name: [one[name][0] for one in alone] for name in together}
    assert all(isinstance(value, float) for values in together.values() for value in values)


def test_the_image_keeps_its_shape():
    pixels = squared(decode(stored(noise(400, 200), "PNG").read()), 320)
    assert pixels.shape == (1, 3, 320, 320)
    assert pixels[:, :, :160].min() >= 0 and pixels[:, :, :160].mean() > 0.2
    assert not np.any(pixels[:, :, 160:])
