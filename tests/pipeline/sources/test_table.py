"""The table source: parquet and JSON lines, with paths or bytes."""

import datetime
import decimal
import json

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import CAPTIONS, image_bytes, jpeg, kept, read_all, reasons, write

from gritmill.pipeline.sources import table
from gritmill.pipeline.sources.table import TableSource
from gritmill.schemas.errors import UserError

PHOTOS = [jpeg(n) for n in range(len(CAPTIONS))]


@pytest.fixture(params=["local", "s3"])
def root(request, tmp_path):
    return str(tmp_path / "data") if request.param == "local" else request.getfixturevalue("s3")


def put(uri, data):
    with fsspec.open(uri, "wb", auto_mkdir=True) as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return uri


def put_parquet(uri, columns, rows=100, **options):
    with fsspec.open(uri, "wb", auto_mkdir=True) as file:
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), file, rows, **options)
    return uri


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_json_lines_with_paths(root):
    names = [f"photos/{n}.jpg" for n in range(len(CAPTIONS))]
    for name, photo in zip(names, PHOTOS):
        put(f"{root}/{name}", photo)
    rows = [{"image": n, "caption": c, "licence": "CC0"} for n, c in zip(names, CAPTIONS)]
    uri = put(f"{root}/rows.jsonl", lines(rows))
    columns = read_all(TableSource(path=uri))
    assert columns["caption"] == CAPTIONS and reasons(columns) == {}
    assert image_bytes(columns) == PHOTOS
    assert columns["key"][0] == "rows_000000000000"
    assert columns["image"][0].uri == f"{root}/photos/0.jpg"
    assert json.loads(columns["metadata"][0]) == {"licence": "CC0"}


@pytest.mark.parametrize("size", [1, 2, 7, 40, 41, 64, 1000])
@pytest.mark.parametrize("end", ["\n", ""])
def test_byte_ranges_give_every_line_once(tmp_path, size, end):
    rows = [{"image": "a.jpg", "caption": f"cäption {n}" + "x" * (n % 5 * 9)} for n in range(12)]
    write(tmp_path / "a.jpg", PHOTOS[0])
    text = lines(rows).replace("\n", "\n\n", 3).rstrip("\n") + end
    uri = write(tmp_path / "rows.jsonl", text)
    columns = read_all(TableSource(path=str(uri), part_bytes=size))
    assert columns["caption"] == [row["caption"] for row in rows]
    assert columns["key"] == read_all(TableSource(path=str(uri)))["key"]


def parquet_columns(kind):
    if kind == "bytes":
        return {"image": PHOTOS}
    return {"image": [{"bytes": photo, "path": f"{n}.jpg"} for n, photo in enumerate(PHOTOS)]}


@pytest.mark.parametrize("kind", ["bytes", "struct"])
def test_parquet_with_bytes(root, kind):
    uri = put_parquet(
        f"{root}/rows.parquet", parquet_columns(kind) | {"caption": CAPTIONS, "n": [0, 1, 2, 3]}, 2
    )
    source = TableSource(path=uri, part_size=2)
    columns = read_all(source)
    assert len(list(source.parts())) == 2
    assert kept(columns) == [(f"rows_{n:06d}", caption) for n, caption in enumerate(CAPTIONS)]
    assert image_bytes(columns) == PHOTOS
    assert columns["image"][3] == (f"{uri}#image", 3, 0)
    assert json.loads(columns["metadata"][3]) == {"n": 3}


@pytest.mark.parametrize(("part_size", "cuts"), [(1, 5), (2, 5), (4, 3), (5, 3), (100, 1)])
def test_row_groups_are_joined_to_parts(tmp_path, part_size, cuts):
    uri = put_parquet(f"{tmp_path}/a.parquet", {"image": [b"x"] * 10, "caption": list("abcdefghij")}, 2)
    source = TableSource(path=uri, part_size=part_size)
    assert len(list(source.parts())) == cuts
    assert [key for key, _ in kept(read_all(source))] == [f"a_{n:06d}" for n in range(10)]


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("kind", ["bytes", "struct"])
def test_rows_without_bytes(tmp_path, kind, statistics):
    cells = {
        "bytes": [b"x", None, b"y"],
        "struct": [
            {"bytes": b"x", "path": "x"},
            {"bytes": None, "path": "/etc/passwd"},
            {"bytes": b"y", "path": None},
        ],
    }[kind]
    uri = put_parquet(
        f"{tmp_path}/a.parquet", {"image": cells, "caption": list("abc")}, write_statistics=statistics
    )
    columns = read_all(TableSource(path=uri))
    assert kept(columns) == [("a_000000", "a"), ("a_000002", "c")]
    assert reasons(columns) == {"a_000001": "missing_image"} and image_bytes(columns) == [b"x", b"y"]


def test_rows_without_a_struct(tmp_path):
    type_ = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    image = pa.array([{"bytes": b"x", "path": None}, None], type_)
    uri = put_parquet(f"{tmp_path}/a.parquet", {"image": image, "caption": ["a", "b"]})
    assert reasons(read_all(TableSource(path=uri))) == {"a_000001": "missing_image"}


def test_parquet_with_paths_and_several_captions(tmp_path):
    write(tmp_path / "photos" / "a.jpg", PHOTOS[0])
    cells = {"path": ["a.jpg", "a.jpg", None], "short": ["x", None, "z"], "long": [["y", "yy"], [], ["zz"]]}
    uri = put_parquet(f"{tmp_path}/a.parquet", cells)
    source = TableSource(path=uri, image="path", caption=["short", "long"], root=f"{tmp_path}/photos")
    columns = read_all(source)
    assert kept(columns) == [("a_000000_0", "x"), ("a_000000_1", "y"), ("a_000000_2", "yy")]
    assert reasons(columns) == {
        "a_000001": "missing_caption",
        "a_000002_0": "missing_image",
        "a_000002_1": "missing_image",
    }


def test_rows_of_one_image_share_its_id(tmp_path):
    write(tmp_path / "a.jpg", PHOTOS[0])
    rows = [{"image": "a.jpg", "caption": "x"}, {"image": "./a.jpg", "caption": "y"}]
    columns = read_all(TableSource(path=str(write(tmp_path / "rows.jsonl", lines(rows)))))
    assert len(kept(columns)) == 2 and len(set(columns["key"])) == 2 and len(set(columns["image_id"])) == 1


def test_keys_of_the_table(tmp_path):
    keys = ["000012345", "a/b.c", "", None, 7, "000012345"]
    write(tmp_path / "a.jpg", PHOTOS[0])
    rows = [{"image": "a.jpg", "caption": "x", "id": key} for key in keys]
    columns = read_all(TableSource(path=str(write(tmp_path / "rows.jsonl", lines(rows))), key="id"))
    assert (
        columns["key"][0] == "000012345"
        and columns["key"][1].startswith("a-b-c-")
        and columns["key"][4] == "7"
    )
    assert all(key.startswith("rows_") for key in columns["key"][2:4])
    assert reasons(columns) == {"000012345": "duplicate_key"}
    assert json.loads(columns["metadata"][0]) == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{'image': 1}", "bad_json"),
        ('"text"', "bad_json"),
        ("\x00", "bad_json"),
        ('{"image": "b.jpg"', "bad_json"),
        ("[" * 5000, "bad_json"),
        ('{"caption": "x"}', "missing_image"),
        ('{"image": null, "caption": "x"}', "missing_image"),
        ('{"image": 3, "caption": "x"}', "missing_image"),
        ('{"image": "none.jpg", "caption": "x"}', "missing_image"),
        ('{"image": "../secret.jpg", "caption": "x"}', "bad_path"),
        ('{"image": "/etc/passwd", "caption": "x"}', "bad_path"),
        ('{"image": "http://host/a.jpg", "caption": "x"}', "bad_path"),
        ('{"image": "\\ud800.jpg", "caption": "x"}', "bad_path"),
        ('{"image": "b.jpg"}', "missing_caption"),
        ('{"image": "b.jpg", "caption": 5}', "caption_not_text"),
        ('{"image": "b.jpg", "caption": "\\udc00"}', "bad_text"),
        ('{"image": "b.jpg", "caption": "x", "deep": ' + "[" * 60 + "]" * 60 + "}", "bad_json"),
    ],
    ids=lambda value: value[:30],
)
def test_bad_lines_cost_themselves_only(tmp_path, line, reason):
    write(tmp_path / "secret.jpg", PHOTOS[3])
    folder = tmp_path / "data"
    for name in ("a.jpg", "b.jpg"):
        write(folder / name, PHOTOS[0])
    good = '{"image": "a.jpg", "caption": "good"}'
    columns = read_all(TableSource(path=str(write(folder / "rows.jsonl", f"{good}\n{line}\n{good}\n"))))
    assert [caption for _, caption in kept(columns)] == ["good", "good"]
    assert list(reasons(columns).values()) == [reason]


def test_a_line_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MAX_LINE", 100)
    write(tmp_path / "a.jpg", PHOTOS[0])
    good = '{"image": "a.jpg", "caption": "good"}\n'
    uri = write(tmp_path / "rows.jsonl", good + "x" * 1000 + "\n" + good)
    for size in (1000, 50):
        columns = read_all(TableSource(path=str(uri), part_bytes=size))
        assert len(kept(columns)) == 2 and list(reasons(columns).values()) == ["line_too_long"]


def test_absolute_paths_must_lie_in_the_root(tmp_path):
    photo = write(tmp_path / "photos" / "a.jpg", PHOTOS[0])
    uri = str(write(tmp_path / "rows" / "rows.jsonl", lines([{"image": str(photo), "caption": "x"}])))
    assert list(reasons(read_all(TableSource(path=uri))).values()) == ["bad_path"]
    for root in (str(tmp_path / "photos"), "/"):
        columns = read_all(TableSource(path=uri, root=root))
        assert columns["image"][0] == (str(photo), 0, len(PHOTOS[0]))


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    write(tmp_path / "a.jpg", PHOTOS[0])
    write(tmp_path / "rows.jsonl", lines([{"image": "a.jpg", "caption": "x"}]))
    monkeypatch.chdir(tmp_path)
    assert read_all(TableSource(path="rows.jsonl"))["image"][0].uri == "a.jpg"


def test_text_that_is_no_utf8_in_parquet(tmp_path):
    bad = pa.array([b"good", b"\xff\xfe"], pa.binary()).view(pa.string())
    uri = put_parquet(f"{tmp_path}/a.parquet", {"image": [b"x", b"y"], "caption": bad, "other": bad})
    columns = read_all(TableSource(path=uri))
    assert kept(columns) == [("a_000000", "good")] and reasons(columns) == {"a_000001": "bad_text"}


def test_columns_of_many_types_become_metadata(tmp_path):
    columns = {
        "image": [b"x"],
        "caption": pa.array(["a dog"]).dictionary_encode(),
        "when": [datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)],
        "far": pa.array([2**50], pa.timestamp("s")),
        "price": [decimal.Decimal("1.50")],
        "nan": [float("nan")],
        "blob": [b"not kept"],
        "nested": [{"a": 1}],
    }
    found = read_all(TableSource(path=put_parquet(f"{tmp_path}/a.parquet", columns)))
    assert kept(found) == [("a_000000", "a dog")]
    metadata = json.loads(found["metadata"][0])
    assert metadata == {"when": "2026-01-02 00:00:00+00:00", "price": "1.50", "nan": None}


def test_files_of_one_name_are_told_apart(tmp_path):
    for folder in ("en", "fr"):
        put_parquet(f"{tmp_path}/{folder}/0000.parquet", {"image": [b"x"], "caption": ["a"]})
    columns = read_all(TableSource(path=f"{tmp_path}/*/0000.parquet"))
    assert columns["key"][0].startswith("en-0000_000000-") and columns["key"][1].startswith("fr-0000_000000-")


def test_several_formats_at_once(tmp_path):
    write(tmp_path / "a.jpg", PHOTOS[0])
    put_parquet(f"{tmp_path}/x.parquet", {"image": [b"x"], "caption": ["a"]})
    write(tmp_path / "y.jsonl", lines([{"image": "a.jpg", "caption": "b"}]))
    columns = read_all(TableSource(path=[f"{tmp_path}/y.jsonl", f"{tmp_path}/x.parquet"]))
    assert sorted(columns["caption"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("a.csv", b"x", "no .parquet or .jsonl"),
        ("a.jsonl.gz", b"x", "no .parquet or .jsonl"),
        ("a.parquet", b"x" * 99, "no parquet file"),
        ("a.jsonl", b'{"image": "a", "text": "b"}\n', "no field 'caption'; it has: image, text"),
        (None, b"", "nothing is found"),
    ],
)
def test_problems(tmp_path, name, data, word):
    path = write(tmp_path / name, data) if name else tmp_path / "none.jsonl"
    (problem,) = TableSource(path=str(path)).problems()
    assert word in problem


def test_column_problems_all_at_once(tmp_path):
    uri = put_parquet(f"{tmp_path}/a.parquet", {"image": [1], "text": ["x"]})
    problems = TableSource(path=uri, caption=["text", "no"], key="id").problems()
    assert len(problems) == 3 and "int64" in problems[2]


def test_an_empty_table_has_no_rows(tmp_path):
    uri = put_parquet(
        f"{tmp_path}/a.parquet", {"image": pa.array([], pa.binary()), "caption": pa.array([], "string")}
    )
    assert list(TableSource(path=uri).parts()) == []


def test_a_corrupt_page_is_the_users_to_mend(tmp_path):
    uri = put_parquet(f"{tmp_path}/a.parquet", {"image": [b"x"] * 50, "caption": ["long " * 50] * 50})
    path = tmp_path / "a.parquet"
    data = bytearray(path.read_bytes())
    data[4:-900] = b"\xff" * len(data[4:-900])
    path.write_bytes(data)
    source = TableSource(path=uri)
    with pytest.raises((UserError, OSError)):
        source.read(next(source.parts()))
