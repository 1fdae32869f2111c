"""Data that were made to do harm, or are merely broken: counted and named, never followed."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gritmill.pipeline.convert.registry import FORMATS, read, sniff
from gritmill.pipeline.convert.sample import Losses
from gritmill.pipeline.convert.writing import picture_name
from gritmill.pipeline.storage.foreign.flickr30k import MAX_FILE
from gritmill.schemas.errors import UserError

BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>
<annotation><size><width>640</width><height>480</height></size><object><name>&lol2;</name></object></annotation>"""
OUTSIDE = """<!DOCTYPE a [<!ENTITY secret SYSTEM "file:///etc/hostname">]><annotation>&secret;</annotation>"""


@pytest.mark.parametrize(
    "xml, reason",
    [
        (BOMB, "XML with a document type"),
        (OUTSIDE, "XML with a document type"),
        (BOMB.encode("utf-16"), "no XML of its boxes"),
        ("<annotation>", "XML that cannot be read"),
        ("", "no XML of its boxes"),
        ("<a>" * 200_000, "XML that cannot be read"),
        (f"<annotation>{' ' * MAX_FILE}</annotation>", "no XML of its boxes"),
        ("<a><size><width>1e999</width><height>9</height></size></a>", "XML without the image's size"),
        ("<a><size><width>nan</width><height>9</height></size></a>", "XML without the image's size"),
    ],
)
def test_xml(make_file, tmp_path, xml, reason):
    make_file("Sentences/1.txt", "[/EN#1/other a dog] .\n")
    make_file("Annotations/1.xml", xml)
    losses = Losses()
    assert list(read(str(tmp_path), "flickr30k", losses)) == []
    assert losses.rows == {reason: 1}


@pytest.mark.parametrize(
    "item",
    [
        [0, 5, math.nan, 0.1, 0.5, 0.5, 1.0],
        [0, 5, math.inf, 0.1, 0.5, 0.5, 1.0],
        [0, 5, 0.1, 0.1, 0.5, 0.5, math.nan],
        [0, 5, 10**400, 0.1, 0.5, 0.5, 1.0],
        [0, 5, 0.5, 0.1, 0.1, 0.5, 1.0],
        [0, 5, 1e300, 0, 1e301, 1, 1.0],
        [-3, 5, 0.1, 0.1, 0.5, 0.5, 1.0],
        [3, 3, 0.1, 0.1, 0.5, 0.5, 1.0],
        [0, 10**30, 0.1, 0.1, 0.5, 0.5, 1.0],
        [0.5, 5, 0.1, 0.1, 0.5, 0.5, 1.0],
        ["0", 5, 0.1, 0.1, 0.5, 0.5, 1.0],
        [True, 5, 0.1, 0.1, 0.5, 0.5, 1.0],
        {"start": 0},
        None,
    ],
)
def test_regions_that_are_none_cost_themselves(make_file, make_picture, tmp_path, item):
    good = [0, 5, 0.1, 0.1, 0.5, 0.5, 0.75]
    record = {
        "caption": "a dog",
        "width": 640,
        "height": 480,
        "noun_chunks": [good, item],
        "ref_exps": [good, item],
    }
    make_file("in/a.jpg", make_picture())
    make_file("in/a.json", record)
    losses = Losses()
    [sample] = read(str(tmp_path / "in"), "kosmos2", losses)
    assert sample.record["noun_chunks"] == [good] and sample.record["ref_exps"] == [good]
    assert losses.parts.total() == 1


@pytest.mark.parametrize(
    "value",
    [
        '{"images": [{"id": 1, "file_name": "a.jpg", "width": 1e999, "height": NaN, "caption": "a dog"}],'
        '"annotations": []}',
        '{"images": [{"id": 1, "caption": "a dog", "width": -5, "height": 0}],'
        '"annotations": [{"image_id": 1, "bbox": [NaN, 1, 1, 1], "tokens_positive": [[0, 5]]}]}',
        '{"images": [{"id": [1], "caption": "a dog"}, 7, null],'
        '"annotations": [[], {"image_id": {"a": 1}}, "x"], "categories": 3}',
    ],
)
def test_coco_of_anything(make_file, value):
    losses = Losses()
    [sample] = read(make_file("a.json", value), "coco", losses)
    assert sample.record["caption"] == "a dog" and (sample.record["width"], sample.record["height"]) == (0, 0)
    assert sample.grounded == []


@pytest.mark.parametrize("name", ["coco", "llava", "refcoco", "fiftyone", "label_studio"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"[" * 100_000, b"7", b'"x"', b"null", b""])
def test_json_that_is_none_is_told_in_a_sentence(make_file, tmp_path, name, content):
    for file in ("labels.json", "refs.json", "instances.json"):
        make_file(file, content)
    path = str(tmp_path / "refs.json") if name == "refcoco" else str(tmp_path / "labels.json")
    try:
        assert list(read(path, name)) == []
    except UserError as error:
        assert len(str(error).splitlines()) == 1 or "JSON" in str(error)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/hostname", "images/../../secret.jpg", "a\0.jpg", "file:///etc/hostname"]
)
def test_no_image_is_read_from_elsewhere(make_file, tmp_path, name):
    make_file("secret.jpg", b"secret")
    coco = {
        "images": [{"id": 1, "file_name": name, "width": 9, "height": 9, "caption": "a dog"}],
        "annotations": [],
    }
    turns = [{"from": "human", "value": "?"}, {"from": "gpt", "value": "!"}]
    line = {"filename": name, "width": 9, "height": 9, "grounding": {"caption": "a dog", "regions": []}}
    task = {"data": {"image": name, "caption": "a dog"}}
    url = {"data": {"image": f"/data/local-files/?d={name}", "caption": "a dog"}}
    for format, file, content in (
        ("coco", "in/coco.json", coco),
        ("llava", "in/llava.json", [{"id": "1", "image": name, "conversations": turns}]),
        ("odvg", "in/odvg.jsonl", line),
        ("label_studio", "in/tasks.json", [task, url]),
    ):
        for sample in read(make_file(file, content), format):
            assert sample.where is None and sample.image is None


def test_a_table_cannot_have_any_file_read(make_file, make_full, tmp_path):
    secret = make_file("secret.txt", b"secret")
    (tmp_path / "out").mkdir()
    FORMATS["parquet"].write([make_full(0)], tmp_path / "out", Losses())
    [file] = (tmp_path / "out" / "parquet").iterdir()
    rows = pq.read_table(file).to_pylist()
    rows[0]["source"] = {"uri": secret, "offset": 0, "length": 6}
    pq.write_table(pa.Table.from_pylist(rows), file)
    [sample] = read(str(file))
    assert sample.where is None
    (tmp_path / "photos").mkdir(exist_ok=True)
    [sample] = read(str(file), images=str(tmp_path / "photos"))
    assert sample.where is None
    [sample] = read(str(file), images=str(tmp_path))
    assert sample.image == b"secret"


@pytest.mark.parametrize(
    "image_id, name",
    [
        ("000000000139", "000000000139.jpg"),
        ("train2017/000000000139.jpg", "train2017/000000000139.jpg"),
        ("../../a.jpg", "%2E%2E%2F%2E%2E%2Fa%2Ejpg.jpg"),
        ("/a.jpg", "%2Fa%2Ejpg.jpg"),
        ("a/../b.jpg", "a%2F%2E%2E%2Fb%2Ejpg.jpg"),
        (".hidden.jpg", "%2Ehidden%2Ejpg.jpg"),
        ("C:\\x.png", "C%3A%5Cx%2Epng.jpg"),
        ("a.sh", "a%2Esh.jpg"),
    ],
)
def test_names_of_images_stay_in_their_folder(make_full, image_id, name):
    assert picture_name(make_full(image_id=image_id)) == name


def test_splits_make_no_paths(make_full, tmp_path):
    (tmp_path / "out").mkdir()
    before = {p.name for p in tmp_path.iterdir()} | {"photos"}
    for name in ("coco", "odvg", "llava"):
        FORMATS[name].write([make_full(split="../../evil")], tmp_path / "out", Losses())
    assert {p.name for p in tmp_path.iterdir()} == before
    assert (tmp_path / "out" / "%2E%2E%2F%2E%2E%2Fevil.json").is_file()


def test_another_image_of_the_same_name_is_told(make_full, make_file, make_picture, tmp_path):
    (tmp_path / "out").mkdir()
    first, second = make_full(0, image_id="x"), make_full(1, image_id="x")
    other = make_picture(size=(64, 48))
    second = second._replace(
        where=second.where._replace(uri=make_file("other.jpg", other), length=len(other))
    )
    losses = Losses()
    FORMATS["coco"].write([first, second], tmp_path / "out", losses)
    assert losses.parts == {"another image is called x.jpg": 1}


def test_a_damaged_tar_gives_what_is_whole(make_full, tmp_path):
    (tmp_path / "out").mkdir()
    FORMATS["kosmos2"].write([make_full(n) for n in range(5)], tmp_path / "out", Losses())
    [tar] = (tmp_path / "out").iterdir()
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    losses = Losses()
    found = list(read(str(tar), losses=losses))
    assert 1 <= len(found) < 5 and losses.rows.total() == 1


def test_a_sample_of_no_size_goes_where_sizes_are_needed_and_is_counted(make_full, tmp_path):
    sample = make_full(0)
    sample.record["width"] = 0
    for name in ("coco", "odvg", "refcoco", "flickr30k", "fiftyone", "label_studio"):
        losses = Losses()
        (tmp_path / name).mkdir()
        assert FORMATS[name].write([sample], tmp_path / name, losses) == 0
        assert losses.rows == {"the size of its image is not known": 1}


def test_json_nested_deep_in_a_line_costs_the_line(make_file):
    line = json.dumps({"filename": "a.jpg", "grounding": {"caption": "a dog", "regions": []}})
    path = make_file("a.jsonl", f"{line}\n{'[' * 100_000}\n{line}\n")
    losses = Losses()
    assert sniff(path) == "odvg" and len(list(read(path, losses=losses))) == 2
    assert losses.rows == {"no JSON object": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"key": 7, "captions": 5, "metadata": "{", "boxes": 3, "conversations": "[{]", "provenance": [1]},
        {"key": "", "captions": [1, None, "ok"], "metadata": "[1]", "annotations": [1, {"label": 3}]},
        {"width": 10**30, "height": 10**30, "id": 10**30, "url": 5, "split": ["train"]},
        {"width": True, "height": "480", "image_format": "../x", "split": "../../x"},
        {"source": {"uri": 1, "offset": "2", "length": None}, "image_id": "../../x"},
        {"source": {"uri": "a", "offset": 10**30, "length": -1}, "image_id": "a/b.jpg/c.jpg"},
        {"annotations": [{"label": "dog", "box": [0, 0, 1, 1], "crowd": "x", "polygons": [["x"], 3]}]},
        {"annotations": [{"label": "dog", "box": [0, 0, math.nan, 1]}], "noun_chunks": "[]"},
        {"deep": json.loads("[" * 40 + "]" * 40), "nan": math.nan, "list": [math.inf]},
        {"conversations": '[{"turns":[{"role":"human","task":"","text":"?","regions":[],"phrases":[]}]}]'},
        {
            "key": "k" * 900,
            "image_id": "i" * 5000,
            "caption": "]] [/EN#1/x a dog] </annotation> <image> <region:0>",
        },
    ],
)
def test_records_of_anything_go_everywhere(make_file, make_picture, tmp_path, changes):
    record = {
        "caption": "a dog",
        "width": 640,
        "height": 480,
        "noun_chunks": [[0, 5, 0.1, 0.1, 0.5, 0.5, 0.5]],
    }
    make_file("in/a.jpg", make_picture())
    make_file("in/a.json", record | changes)
    samples = list(read(str(tmp_path / "in"), "kosmos2"))
    before = {p.name for p in tmp_path.iterdir()}
    for name, format in FORMATS.items():
        folder = tmp_path / "out" / name
        folder.mkdir(parents=True)
        losses = Losses()
        count = format.write(samples, folder, losses)
        assert count + losses.rows.total() == len(samples)
        if count:
            assert list(read(str(folder), name))
    assert {p.name for p in tmp_path.iterdir()} == before | {"out"}


@pytest.mark.parametrize("field", ["caption", "key", "split", "image_format", "image_id"])
def test_text_that_is_no_unicode_does_no_harm(make_file, tmp_path, field):
    record = {"key": "k", "caption": "a dog", "width": 640, "height": 480} | {field: "\ud800"}
    make_file("in/a.json", record)
    losses = Losses()
    found = list(read(str(tmp_path / "in"), "kosmos2", losses))
    assert len(found) + losses.rows.total() == 1
    for sample in found:
        json.dumps(sample.record, ensure_ascii=False).encode()
