"""Every format, written from the same samples and read back by the programs people use."""

import hashlib
import io
import json
import subprocess
import tarfile
from functools import partial

import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from gritmill.pipeline.output.coco import merge
from gritmill.pipeline.output.formats import FORMATS, image_extension
from gritmill.pipeline.storage.member_names import MAX_STEM, member_stem
from gritmill.schemas.columns import BoxCheck
from gritmill.schemas.conversations import Conversation, Provenance, Turn
from gritmill.schemas.records import to_record


def write(name, samples, extension="jpg"):
    file = io.BytesIO()
    writer = FORMATS[name].writer(file, extension)
    for sample, image in samples:
        writer.add(sample, image)
    writer.close()
    assert not file.closed
    return file.getvalue()


def write_coco(*shards):
    out = io.BytesIO()
    merge([partial(io.BytesIO, write("coco", samples)) for samples in shards], out)
    return out.getvalue()


@pytest.fixture
def samples(make_sample, make_image):
    """Seven JPEG samples."""
    return [(make_sample(i), make_image()) for i in range(7)]


@pytest.fixture
def mixed(make_sample, make_image):
    """A JPEG, a PNG and a WebP, which share one extension."""
    formats = ["jpeg", "png", "webp"]
    return [(make_sample(i, image_format=f), make_image(f)) for i, f in enumerate(formats)]


@pytest.fixture
def no_hub(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return datasets


@pytest.mark.parametrize(
    ("name", "split", "shard", "path"),
    [
        ("webdataset", "train", 3, "data/train-00003-of-00042.tar"),
        ("parquet", "validation", 41, "parquet/validation-00041-of-00042.parquet"),
        ("coco", "test", 0, "coco/test.json"),
        ("llava", "train", 41, "llava/train.json"),
    ],
)
def test_paths(name, split, shard, path):
    assert FORMATS[name].path(split, shard, 42) == path


@pytest.mark.parametrize("name", FORMATS)
def test_same_samples_same_bytes(name, samples):
    turns = [
        Turn("human", "caption", "<image>\nWhat is it?", [], []),
        Turn("assistant", "caption", "A.", [], []),
    ]
    samples = [({**sample, "conversations": [Conversation(turns)]}, image) for sample, image in samples]
    assert write(name, samples) == write(name, samples)
    assert write(name, samples) != write(name, samples[::-1])


def test_the_bytes_of_a_shard_do_not_change_unnoticed(make_sample):
    shard = write("webdataset", [(make_sample(1), b"pixels")])
    digest = hashlib.sha256(shard).hexdigest()
    assert digest == "66489106eea85f5ee510311b6b3db517764fa83c52966abf489e4933dceb8ff3"


def test_tar_holds_image_record_and_caption_of_each_sample(samples, tmp_path):
    (tmp_path / "x.tar").write_bytes(write("webdataset", samples))
    subprocess.run(["tar", "xf", "x.tar"], cwd=tmp_path, check=True)
    for sample, image in samples:
        stem = tmp_path / sample["key"]
        assert stem.with_suffix(".jpg").read_bytes() == image
        assert stem.with_suffix(".txt").read_text() == sample["caption"]
        assert json.loads(stem.with_suffix(".json").read_bytes()) == to_record(sample)


@pytest.mark.parametrize("kind", ["samples", "mixed"])
def test_webdataset_reads_it(kind, request, tmp_path):
    samples = request.getfixturevalue(kind)
    path = tmp_path / "x.tar"
    path.write_bytes(write("webdataset", samples))
    loaded = list(webdataset.WebDataset(str(path), shardshuffle=False).decode("pil"))
    assert [s["__key__"] for s in loaded] == [sample["key"] for sample, _ in samples]
    for found, (sample, image) in zip(loaded, samples, strict=True):
        assert found["txt"] == sample["caption"]
        assert found["json"]["noun_chunks"][1][:2] == [10, 15]
        assert found["jpg"].tobytes() == Image.open(io.BytesIO(image)).convert("RGB").tobytes()


@pytest.mark.parametrize("kind", ["samples", "mixed"])
def test_datasets_reads_it(kind, request, tmp_path, no_hub):
    samples = request.getfixturevalue(kind)
    path = tmp_path / "train-00000-of-00001.tar"
    path.write_bytes(write("webdataset", samples))
    loaded = no_hub.load_dataset(
        "webdataset", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == len(samples)
    for row, (sample, image) in zip(loaded, samples, strict=True):
        assert row["txt"] == sample["caption"]
        assert row["json"] == to_record(sample)
        assert row["jpg"].format.lower() == sample["image_format"]
        assert row["jpg"].tobytes() == Image.open(io.BytesIO(image)).tobytes()


def test_datasets_keeps_what_only_later_samples_have(make_sample, make_image, tmp_path, no_hub):
    late = {"captions": ["one", "two"], "metadata": '{"licence":4}'}
    samples = [(make_sample(i, **(late if i == 7 else {})), make_image()) for i in range(8)]
    path = tmp_path / "x.tar"
    path.write_bytes(write("webdataset", samples))
    loaded = no_hub.load_dataset(
        "webdataset", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded[7]["json"]["captions"] == ["one", "two"]
    assert json.loads(loaded[7]["json"]["metadata"]) == {"licence": 4}


ODD_KEYS = [
    "../../etc/passwd",
    "/absolute",
    "a.b.c",
    ".hidden",
    "__meta__",
    "with space",
    "猫" * 40,
    "x" * 300,
    "x" * 299 + "y",
    "a\0b",
    "100%",
    "A",
    "a",
]


def test_odd_keys_make_plain_names_that_stay_apart(make_sample, make_image, tmp_path):
    samples = [(make_sample(i, key=key), make_image()) for i, key in enumerate(ODD_KEYS)]
    path = tmp_path / "x.tar"
    path.write_bytes(write("webdataset", samples))
    with tarfile.open(path) as tar:
        names = tar.getnames()
    assert len(set(names)) == 3 * len(ODD_KEYS)
    assert all(len(n) <= 100 and "/" not in n and n.count(".") == 1 and n.isascii() for n in names)
    loaded = list(webdataset.WebDataset(str(path), shardshuffle=False).decode())
    assert [sample["json"]["key"] for sample in loaded] == ODD_KEYS


@pytest.mark.parametrize(
    ("key", "stem"),
    [
        ("000000017_0-a", "000000017_0-a"),
        ("x" * MAX_STEM, "x" * MAX_STEM),
        ("../évian.v2", "%2E%2E%2F%C3%A9vian%2Ev2"),
        ("x" * 300, "x" * 73 + "-" + hashlib.sha256(b"x" * 300).hexdigest()[:16]),
    ],
)
def test_member_stem(key, stem):
    assert member_stem(key) == stem


def test_an_empty_key_is_refused():
    with pytest.raises(ValueError, match="empty key"):
        member_stem("")


@pytest.mark.parametrize(
    ("formats", "extension"),
    [
        (["jpeg", "jpeg"], "jpg"),
        (["png"], "png"),
        (["webp"], "webp"),
        (["jpeg", "png"], "jpg"),
        (["png", "webp"], "jpg"),
        (["jpeg", "mpo"], "jpg"),
        (["avif"], "jpg"),
        ([], "jpg"),
    ],
)
def test_image_extension(formats, extension):
    assert image_extension(formats) == extension


def test_parquet_has_a_row_for_each_record(samples, make_sample, monkeypatch):
    monkeypatch.setattr("gritmill.pipeline.output.parquet.ROW_GROUP", 3)
    samples[2] = (make_sample(2, boxes=None, ref_exps=None), b"")
    samples[3] = (make_sample(3, conversations=[]), b"")
    origin = Provenance("parse", "conversation", "openai", "gpt-4o", "3f9a", "b2c4", 812, 143, "stop")
    samples[4] = (make_sample(4, conversations=[Conversation([], origin)]), b"")
    checks = [[BoxCheck("max_area", True, 0.5, 0.9)], [BoxCheck("max_area", False, 0.92, 0.9)]]
    samples[5] = (make_sample(5, box_checks=checks), b"")
    parquet = pq.ParquetFile(io.BytesIO(write("parquet", samples)))
    assert [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)] == [3, 3, 1]
    optional = ["noun_chunks", "ref_exps", "boxes", "masks", "measured", "conversations", "provenance"]
    absent = dict.fromkeys(optional)
    rows = parquet.read(use_threads=False).to_pylist()
    for row in rows:
        for box in row["boxes"] or ():
            made = {name: passed for name, passed in (box.pop("checks") or {}).items() if passed is not None}
            box.update({"checks": made} if made else {})
    assert rows == [absent | to_record(sample) for sample, _ in samples]
    assert parquet.schema_arrow.names[:6] == [
        "key", "caption", "width", "height", "noun_chunks", "ref_exps",
    ]  # fmt: skip


def test_parquet_without_samples_is_a_file_all_the_same():
    assert pq.read_table(io.BytesIO(write("parquet", [])), use_threads=False).num_rows == 0


def test_coco_joins_the_shards_of_a_split(samples):
    coco = json.loads(write_coco(samples[:4], [], samples[4:]))
    assert [image["id"] for image in coco["images"]] == list(range(1, 8))
    assert [a["id"] for a in coco["annotations"]] == list(range(1, 15))
    assert coco["images"][4] == {
        "id": 5,
        "file_name": "000004.jpg",
        "width": 40,
        "height": 30,
        "caption": "a dog and a cat in picture 4",
        "original_id": "000004",
    }
    assert coco["annotations"][9] == {
        "id": 10,
        "image_id": 5,
        "category_id": 1,
        "iscrowd": 0,
        "area": 240.0,
        "bbox": [20.0, 3.0, 10.0, 24.0],
        "tokens_positive": [[10, 15]],
        "phrase": "a cat",
        "ref_exp": [10, 28],
        "score": 0.7,
    }
    assert coco["categories"] == [{"id": 1, "name": "object"}]


def test_coco_does_not_depend_on_how_a_split_is_cut(samples):
    assert write_coco(samples) == write_coco(samples[:1], samples[1:])


def test_coco_without_samples_or_boxes(make_sample):
    assert json.loads(write_coco())["images"] == []
    coco = json.loads(write_coco([(make_sample(0, boxes=None, ref_exps=None), b"")]))
    assert (len(coco["images"]), coco["annotations"]) == (1, [])


def test_coco_file_names_are_members_of_the_shards(make_sample, make_image):
    samples = [(make_sample(0, key="a/b.c"), make_image())]
    with tarfile.open(fileobj=io.BytesIO(write("webdataset", samples))) as tar:
        assert json.loads(write_coco(samples))["images"][0]["file_name"] in tar.getnames()
