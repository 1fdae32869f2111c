"""The folder source: text files, and the tables of the imagefolder layout."""

import csv
import io
import json
import os

import datasets
import fsspec
import pytest
from source_files import CAPTIONS, image_bytes, jpeg, kept, read_all, reasons, write

from gritmill.pipeline.sources.captions import MAX_CAPTION
from gritmill.pipeline.sources.folder import FolderSource
from gritmill.schemas.errors import UserError


def fill(root, files):
    for name, data in files.items():
        with fsspec.open(f"{root}/{name}", "wb", auto_mkdir=True) as file:
            file.write(data if isinstance(data, bytes) else data.encode())
    return str(root)


@pytest.fixture(params=["local", "s3"])
def root(request, tmp_path):
    return str(tmp_path / "photos") if request.param == "local" else request.getfixturevalue("s3") + "/photos"


def test_images_with_text_files(root):
    fill(
        root,
        {
            "b.jpg": jpeg(2),
            "b.txt": "\n".join(CAPTIONS),
            "a.PNG": jpeg(1),
            "a.txt": "a cat\r\n\r\ntwo cats \r\n",
            "below/c.webp": jpeg(3),
            "below/c.txt": "\ufeffone line",
            ".hidden/d.jpg": jpeg(4),
            "._b.jpg": b"x",
            "notes.txt": "no caption",
        },
    )
    columns = read_all(FolderSource(path=root, part_size=2))
    keys = [key for key, _ in kept(columns)]
    assert keys[:2] == ["a_0", "a_1"] and keys[2:6] == ["b_0", "b_1", "b_2", "b_3"]
    assert len(keys) == 7 and keys[6].startswith("below-c-")
    assert columns["caption"] == ["a cat", "two cats ", *CAPTIONS, "one line"]
    assert image_bytes(columns) == [jpeg(1)] * 2 + [jpeg(2)] * 4 + [jpeg(3)]
    assert columns["image"][6].uri == f"{root}/below/c.webp"


def test_text_files_that_cannot_be_used(root):
    names = "abcdef"
    fill(root, {f"{name}.jpg": jpeg(n) for n, name in enumerate(names)})
    fill(
        root,
        {
            "b.txt": "",
            "c.txt": " \n\n",
            "d.txt": b"\xff\xfe",
            "e.txt": "x" * (MAX_CAPTION + 1),
            "f.txt": "ok",
        },
    )
    columns = read_all(FolderSource(path=root))
    assert kept(columns) == [("f", "ok")]
    assert reasons(columns) == {
        "a": "missing_caption",
        "b": "missing_caption",
        "c": "missing_caption",
        "d": "bad_text",
        "e": "caption_too_large",
    }


def test_two_images_of_one_name(tmp_path):
    fill(tmp_path, {"a.jpg": jpeg(1), "a.png": jpeg(2), "a.txt": "a cat"})
    columns = read_all(FolderSource(path=str(tmp_path)))
    assert kept(columns) == [("a", "a cat")] and reasons(columns) == {"a": "duplicate_key"}


def test_a_name_that_is_not_unicode_costs_its_row(tmp_path):
    fill(tmp_path, {"a.jpg": jpeg(1), "a.txt": "a cat"})
    write(tmp_path / os.fsdecode(b"\xff.jpg"), jpeg(2))
    columns = read_all(FolderSource(path=str(tmp_path)))
    assert kept(columns) == [("a", "a cat")] and "missing_image" in reasons(columns).values()


ROWS = [
    {"file_name": "a.jpg", "text": CAPTIONS[1], "licence": "CC0", "score": "0.5"},
    {"file_name": "below/b.jpg", "text": 'a "quoted", text\nof two lines', "licence": "", "score": "1"},
]


def table(kind, rows):
    if kind == "jsonl":
        return "\n".join(json.dumps(row) for row in rows) + "\n\n"
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_imagefolder_layout(root, kind):
    images = {"a.jpg": jpeg(1), "below/b.jpg": jpeg(2), "unlisted.jpg": jpeg(3)}
    fill(root, images | {f"metadata.{kind}": table(kind, ROWS)})
    source = FolderSource(path=root, part_size=1)
    columns = read_all(source)
    assert len(list(source.parts())) == 2
    assert columns["caption"] == [row["text"] for row in ROWS]
    assert columns["key"][0] == "a" and columns["key"][1].startswith("below-b-")
    assert image_bytes(columns) == [jpeg(1), jpeg(2)]
    assert json.loads(columns["metadata"][0]) == {"licence": "CC0", "score": "0.5"}


def test_datasets_reads_the_same_samples(tmp_path):
    fill(tmp_path, {"a.jpg": jpeg(1), "below/b.jpg": jpeg(2), "metadata.jsonl": table("jsonl", ROWS)})
    theirs = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path), split="train", cache_dir=f"{tmp_path}/.cache"
    )
    theirs = theirs.cast_column("image", datasets.Image(decode=False))
    columns = read_all(FolderSource(path=str(tmp_path)))
    assert columns["caption"] == theirs["text"][:]
    assert [ref.uri for ref in columns["image"]] == [image["path"] for image in theirs["image"]]


def test_several_caption_columns(tmp_path):
    row = {"file_name": "a.jpg", "short": "a cat", "long": ["a black cat", "a cat on a mat"]}
    fill(tmp_path, {"a.jpg": jpeg(1), "metadata.jsonl": json.dumps(row)})
    columns = read_all(FolderSource(path=str(tmp_path), caption=["short", "long"]))
    assert kept(columns) == [("a_0", "a cat"), ("a_1", "a black cat"), ("a_2", "a cat on a mat")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"file_name": "../secret.jpg", "text": "x"}, "bad_path"),
        ({"file_name": "/etc/passwd", "text": "x"}, "bad_path"),
        ({"file_name": "s3://b/a.jpg", "text": "x"}, "bad_path"),
        ({"file_name": "a\0.jpg", "text": "x"}, "bad_path"),
        ({"file_name": "\ud800.jpg", "text": "x"}, "bad_path"),
        ({"file_name": "none.jpg", "text": "x"}, "missing_image"),
        ({"file_name": 5, "text": "x"}, "missing_image"),
        ({"file_name": ["a"], "text": "x"}, "missing_image"),
        ({"text": "x"}, "missing_image"),
        ({"file_name": "b.jpg"}, "missing_caption"),
        ({"file_name": "b.jpg", "text": {"a": 1}}, "caption_not_text"),
        ({"file_name": "b.jpg", "text": "\udfff"}, "bad_text"),
        ({"file_name": "a.jpg", "text": "again"}, "duplicate_key"),
        ([1], "bad_json"),
    ],
)
def test_bad_rows_cost_themselves_only(tmp_path, row, reason):
    write(tmp_path / "secret.jpg", jpeg(9))
    root = fill(tmp_path / "photos", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    fill(root, {"metadata.jsonl": json.dumps({"file_name": "a.jpg", "text": "ok"}) + "\n" + json.dumps(row)})
    columns = read_all(FolderSource(path=root))
    assert kept(columns) == [("a", "ok")]
    assert list(reasons(columns).values()) == [reason]


def test_csv_oddities(tmp_path):
    long = "x" * 200_000
    fill(tmp_path, {"a.jpg": jpeg(1), "b.jpg": jpeg(2), "c.jpg": jpeg(3)})
    write(tmp_path / "metadata.csv", f"\ufefffile_name,text\r\na.jpg,{long}\r\nb.jpg,too,many\r\nc.jpg\r\n")
    columns = read_all(FolderSource(path=str(tmp_path)))
    assert kept(columns) == [("a", long)]
    assert reasons(columns) == {"metadata_000001": "bad_row", "c": "missing_caption"}


def test_parts_change_with_what_they_hold(tmp_path):
    fill(tmp_path, {"a.jpg": jpeg(1), "a.txt": "a cat", "b.jpg": jpeg(2), "b.txt": "a dog"})
    source = FolderSource(path=str(tmp_path), part_size=1)
    first, second = source.parts()
    write(tmp_path / "b.txt", "a bigger dog")
    assert next(source.parts()) == first and list(source.parts())[1] != second


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({}, "no folder"),
        ({"a.txt": "x"}, "no images"),
        ({"metadata.jsonl": ""}, "no rows"),
        (
            {"metadata.jsonl": '{"file_name": "a", "caption": "x"}'},
            "no column 'text'; it has: file_name, caption",
        ),
        ({"metadata.csv": b"\xff"}, "cannot be read"),
    ],
)
def test_problems(tmp_path, files, word):
    (problem,) = FolderSource(path=fill(tmp_path / "photos", files)).problems()
    assert word in problem


def test_a_table_that_breaks_after_planning_is_the_users_mistake(tmp_path):
    fill(tmp_path, {"a.jpg": jpeg(1), "metadata.csv": b"\xff\xfe"})
    with pytest.raises(UserError):
        list(FolderSource(path=str(tmp_path)).parts())
