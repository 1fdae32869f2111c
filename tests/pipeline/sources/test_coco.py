"""The COCO source, on real photographs and on files that are wrong in every way."""

import json
import math

import fsspec
import pytest
from source_files import CAPTIONS, image_bytes, jpeg, kept, read_all, reasons, rejects, write

from gritmill.pipeline.sources.coco import CocoSource
from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError


def build(root, images, captions, instances=None, categories=({"id": 1, "name": "dog"},), **extra):
    """Writes COCO's files; `captions` are (image id, text), images are entries or bare ids."""
    entries = [
        {"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 50} if isinstance(i, int) else i
        for i in images
    ]
    told = {
        "images": entries,
        "annotations": [{"image_id": i, "caption": text} for i, text in captions],
        **extra,
    }
    for number, entry in enumerate(entries):
        name = entry.get("file_name")
        if isinstance(name, str) and "missing" not in name and "/" not in name:
            put(f"{root}/images/{name}", jpeg(number))
    put(f"{root}/captions.json", json.dumps(told).encode())
    options = {"images": f"{root}/images", "captions": f"{root}/captions.json"}
    if instances is not None:
        boxes = {"images": [], "annotations": instances, "categories": list(categories)}
        put(f"{root}/instances.json", json.dumps(boxes).encode())
        options["instances"] = f"{root}/instances.json"
    return options


def put(uri, data):
    with fsspec.open(uri, "wb", auto_mkdir=True) as file:
        file.write(data)


def test_coco_mini(coco_mini):
    source = CocoSource(
        images=str(coco_mini / "images"),
        captions=str(coco_mini / "captions.json"),
        instances=str(coco_mini / "instances.json"),
        part_size=30,
    )
    columns = read_all(source)
    told = json.loads((coco_mini / "captions.json").read_text())
    boxes = json.loads((coco_mini / "instances.json").read_text())
    assert len(list(source.parts())) == 3 and reasons(columns) == {}
    files = {image["id"]: image for image in told["images"]}
    assert list(dict.fromkeys(columns["image_id"])) == [f"{i:012d}" for i in sorted(files)]
    texts: dict[int, list[str]] = {}
    for entry in told["annotations"]:
        texts.setdefault(entry["image_id"], []).append(entry["caption"])
    categories = {c["id"]: c["name"] for c in boxes["categories"]}
    for i, key in enumerate(columns["key"]):
        image_id, number = key.split("_")
        assert columns["captions"][i] == texts[int(image_id)]
        assert columns["caption"][i] == texts[int(image_id)][int(number)]
    for image_id, entry in files.items():
        i = columns["image_id"].index(f"{image_id:012d}")
        assert image_bytes({"image": [columns["image"][i]]}) == [
            (coco_mini / "images" / entry["file_name"]).read_bytes()
        ]
        mine, theirs = (
            columns["annotations"][i],
            [b for b in boxes["annotations"] if b["image_id"] == image_id],
        )
        assert [a.label for a in mine] == [categories[b["category_id"]] for b in theirs]
        assert [a.crowd for a in mine] == [bool(b["iscrowd"]) for b in theirs]
        for a, b in zip(mine, theirs):
            assert a.box.to_xywh_pixels(entry["width"], entry["height"]) == pytest.approx(b["bbox"], abs=0.01)
            assert len(a.polygons) == (0 if b["iscrowd"] else len(b["segmentation"]))
            assert all(0 <= v <= 1 for outline in a.polygons for v in outline)
    metadata = json.loads(columns["metadata"][0])
    assert "invalid_boxes" not in metadata
    assert metadata["license_url"].startswith("http://") and metadata["flickr_url"]


@pytest.mark.parametrize("place", ["local", "s3"])
def test_captions_and_choices(place, request, tmp_path):
    root = str(tmp_path) if place == "local" else request.getfixturevalue("s3")
    captions = [(7, text) for text in CAPTIONS] + [(5, "only one")]
    options = build(root, [7, 5], captions)
    columns = read_all(CocoSource(**options))
    assert kept(columns) == [
        ("000000000005", "only one"),
        *((f"000000000007_{n}", text) for n, text in enumerate(CAPTIONS)),
    ]
    assert image_bytes(columns) == [jpeg(1)] + [jpeg(0)] * len(CAPTIONS)
    assert columns["image"][0].uri == f"{root}/images/5.jpg"
    assert "annotations" not in columns
    longest = read_all(CocoSource(**options, per="image", choose="longest"))
    assert kept(longest) == [("000000000005", "only one"), ("000000000007", max(CAPTIONS, key=len))]
    assert longest["captions"][1] == CAPTIONS


@pytest.mark.parametrize(
    ("bbox", "box"),
    [
        ([10, 10, 20, 20], Box(0.1, 0.2, 0.3, 0.6)),
        ([-10, -10, 60, 30], Box(0.0, 0.0, 0.5, 0.4)),
        ([90, 40, 500, 500], Box(0.9, 0.8, 1.0, 1.0)),
        ([0, 0, 0, 10], None),
        ([10, 10, -5, 5], None),
        ([200, 10, 5, 5], None),
        ([math.nan, 0, 10, 10], None),
        ([0, 0, math.inf, 10], None),
        ([0, 0, 10**400, 10], None),
        ([0, 0, 10], None),
        (["0", 0, 10, 10], None),
        (None, None),
        ("box", None),
    ],
)
def test_boxes(tmp_path, bbox, box):
    good = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 50]}
    options = build(tmp_path, [1], [(1, "a dog")], [good, good | {"bbox": bbox}])
    columns = read_all(CocoSource(**options))
    assert [a.box for a in columns["annotations"][0]] == [
        pytest.approx(b) for b in [Box(0, 0, 1, 1), box] if b
    ]
    assert json.loads(columns["metadata"][0]).get("invalid_boxes", 0) == (box is None)


@pytest.mark.parametrize(
    ("segmentation", "polygons"),
    [
        ([[0, 0, 50, 0, 50, 25]], [[0, 0, 0.5, 0, 0.5, 0.5]]),
        ([[-5, 0, 500, 0, 50, 25]], [[0, 0, 1, 0, 0.5, 0.5]]),
        ([[0, 0, 50, 0, 50, 25], [1, 2], [0, 0, 1, 1, 2, 2, 3]], [[0, 0, 0.5, 0, 0.5, 0.5]]),
        ([[0, 0, math.nan, 0, 50, 25], ["a"] * 6, "text", None], []),
        ({"counts": [1, 2], "size": [50, 100]}, []),
        (None, []),
        (3, []),
    ],
)
def test_polygons(tmp_path, segmentation, polygons):
    entry = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "segmentation": segmentation}
    columns = read_all(CocoSource(**build(tmp_path, [1], [(1, "a dog")], [entry])))
    (annotation,) = columns["annotations"][0]
    assert annotation.polygons == polygons


def test_crowds_categories_and_foreign_images(tmp_path):
    entry = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]}
    instances = [entry | {"iscrowd": 1}, entry | {"category_id": 99}, entry | {"image_id": 99}]
    columns = read_all(CocoSource(**build(tmp_path, [1, 2], [(1, "a"), (2, "b")], instances)))
    assert [a.crowd for a in columns["annotations"][0]] == [True] and columns["annotations"][1] == []
    assert json.loads(columns["metadata"][0])["invalid_boxes"] == 1


@pytest.mark.parametrize(
    "size", [{}, {"width": 0, "height": 5}, {"width": "9", "height": 9}, {"width": math.nan}]
)
def test_images_without_a_size_have_no_boxes(tmp_path, size):
    entry = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]}
    options = build(tmp_path, [{"id": 1, "file_name": "1.jpg", **size}], [(1, "a dog")], [entry])
    columns = read_all(CocoSource(**options))
    assert columns["annotations"] == [[]] and json.loads(columns["metadata"][0])["invalid_boxes"] == 1


def test_images_that_cannot_be_used(tmp_path):
    write(tmp_path / "secret.jpg", jpeg(9))
    images = [
        1,
        {"id": 2, "file_name": "missing.jpg"},
        {"id": 3, "file_name": "../secret.jpg"},
        {"id": 4, "file_name": str(tmp_path / "secret.jpg")},
        {"id": 5},
        {"id": 6, "file_name": 6},
        {"id": 7, "file_name": "half\ud800missing.jpg"},
        8,
        {"id": 8, "file_name": "again.jpg"},
        9,
    ]
    captions = [(n, "a dog") for n in range(1, 9)] + [(77, "a caption of nothing")]
    columns = read_all(CocoSource(**build(tmp_path, images, captions)))
    assert [key for key, _ in kept(columns)] == ["000000000001", "000000000008"]
    assert reasons(columns) == {
        "000000000002": "missing_image",
        "000000000003": "bad_path",
        "000000000004": "bad_path",
        "000000000005": "missing_image",
        "000000000006": "missing_image",
        "000000000007": "bad_path",
        "000000000008": "duplicate_key",
        "000000000009": "missing_caption",
        "000000000077": "missing_image",
    }


@pytest.mark.parametrize(
    ("caption", "reason"),
    [(None, "missing_caption"), (" ", "missing_caption"), (5, "caption_not_text"), ("\ud83d", "bad_text")],
)
def test_captions_that_cannot_be_used(tmp_path, caption, reason):
    columns = read_all(CocoSource(**build(tmp_path, [1], [(1, "a dog"), (1, caption)])))
    assert kept(columns) == [("000000000001_0", "a dog")]
    assert reasons(columns) == {"000000000001_1": reason}
    assert columns["captions"] == [["a dog"]] * 2


def test_ids_that_are_texts(tmp_path):
    images = [{"id": name, "file_name": f"{n}.jpg"} for n, name in enumerate(["b/1.x", "a"])] + [3]
    columns = read_all(CocoSource(**build(tmp_path, images, [("a", "x"), ("b/1.x", "y"), (3, "z")])))
    assert columns["key"][:2] == ["000000000003", "a"] and columns["key"][2].startswith("b-1-x-")


def test_parts_change_with_what_they_hold(tmp_path):
    options = build(tmp_path, [1, 2], [(1, "a"), (2, "b")], [])
    source = CocoSource(**options, part_size=1)
    before = list(source.parts())
    write(tmp_path / "images" / "2.jpg", jpeg(77, (30, 30)))
    after = list(source.parts())
    assert after[0] == before[0] and after[1] != before[1]
    build(tmp_path, [1, 2], [(1, "a"), (2, "longer")], [])
    assert kept(read_all(source))[1] == ("000000000002", "longer")
    assert not [part for part in source.parts() if part in after]


def test_problems_all_at_once(tmp_path):
    source = CocoSource(
        images=f"{tmp_path}/no", captions=f"{tmp_path}/c.json", instances=f"{tmp_path}/i.json"
    )
    assert ["captions" in p or "instances" in p or "images" in p for p in source.problems()] == [True] * 3


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"images": []}', "not json", "[" * 100_000, "\x00\xff"])
def test_what_is_no_coco_file(tmp_path, data):
    options = build(tmp_path, [1], [(1, "a")])
    write(tmp_path / "captions.json", data)
    with pytest.raises(UserError, match=r"captions\.json"):
        list(CocoSource(**options).parts())


def test_entries_that_are_no_objects_are_passed_over(tmp_path):
    options = build(tmp_path, [1], [(1, "a")], [None, 3], categories=[None, {"id": 1}], licenses=[4, None])
    told = json.loads((tmp_path / "captions.json").read_text())
    told["annotations"] += [None, "x", {}]
    told["images"] += [7]
    write(tmp_path / "captions.json", json.dumps(told))
    columns = read_all(CocoSource(**options))
    assert kept(columns) == [("000000000001", "a")]
    assert [reject.reason for reject in rejects(columns).values()] == ["missing_image"]
