"""pipeline/sources/images.py: image bytes from wherever they lie."""

from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import jpeg, write

from gritmill.pipeline.sources import images
from gritmill.pipeline.sources.images import StoredImage
from gritmill.schemas.columns import ImageRef

PHOTOS = [jpeg(n) for n in range(10)]


@pytest.fixture(params=["local", "s3"])
def root(request, tmp_path):
    return str(tmp_path) if request.param == "local" else request.getfixturevalue("s3")


def put(uri: str, data: bytes) -> str:
    with fsspec.open(uri, "wb") as file:
        file.write(data)
    return uri


def put_parquet(uri: str, columns: dict[str, Any], rows: int = 4) -> str:
    with fsspec.open(uri, "wb") as file:
        pq.write_table(pa.table(columns), file, row_group_size=rows)
    return uri


def read(uri: str, offset: int = 0, length: int = 0) -> bytes:
    return StoredImage(ImageRef(uri, offset, length)).read()


def test_ranges_and_whole_files(root):
    uri = put(f"{root}/a.bin", b"before" + PHOTOS[0] + b"after")
    assert read(uri, 6, len(PHOTOS[0])) == PHOTOS[0]
    assert read(uri) == b"before" + PHOTOS[0] + b"after"


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 12), (8, 3), (10, 1), (99, 1), (-1, 3), (0, -1), (0, images.MAX_BYTES + 1)],
)
def test_ranges_that_are_not_there(root, offset, length):
    uri = put(f"{root}/a.bin", b"ten bytes.")
    with pytest.raises(OSError):
        read(uri, offset, length)


def test_nothing_there(root):
    for uri in ("none.jpg", "none.parquet#image", "none.arrow#image"):
        with pytest.raises(OSError):
            read(f"{root}/{uri}")
    with pytest.raises(OSError):
        read(f"{root}/none.jpg", 3, 4)


def test_too_large(root, monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(OSError, match="larger"):
        read(put(f"{root}/a.bin", bytes(101)))
    with pytest.raises(OSError, match="at most 100"):
        read(put_parquet(f"{root}/a.parquet", {"image": [bytes(101)]}) + "#image")
    assert read(put(f"{root}/b.bin", bytes(100))) == bytes(100)


@pytest.mark.parametrize("order", [range(10), range(9, -1, -1), [3, 4, 0, 9, 3]])
def test_parquet_columns(root, order):
    columns = {
        "bytes": PHOTOS,
        "image": [{"bytes": photo, "path": "x"} for photo in PHOTOS],
        "odd#.name": PHOTOS,
    }
    uri = put_parquet(f"{root}/a.parquet", columns)
    for column in columns:
        assert [read(f"{uri}#{column}", row) for row in order] == [PHOTOS[row] for row in order]


@pytest.mark.parametrize("order", [range(10), range(9, -1, -1), [3, 4, 0, 9, 3]])
def test_arrow_columns(root, tmp_path, order):
    data = datasets.Dataset.from_dict(
        {"image": [{"bytes": photo, "path": None} for photo in PHOTOS]},
        features=datasets.Features({"image": datasets.Image()}),
    )
    with pa.OSFile(str(tmp_path / "written"), "wb") as file:
        table = data.with_format("arrow")[:]
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    uri = put(f"{root}/a.arrow", (tmp_path / "written").read_bytes())
    assert [read(f"{uri}#image", row) for row in order] == [PHOTOS[row] for row in order]


@pytest.mark.parametrize("row", [0, 1, 2, 3, 4, 99])
def test_cells_without_an_image(tmp_path, row):
    cells = [None, {"bytes": None, "path": "/etc/hostname"}]
    uri = put_parquet(f"{tmp_path}/a.parquet", {"image": cells, "text": ["a", "b"]}, rows=1)
    with pytest.raises(OSError):
        read(f"{uri}#image", row)
    with pytest.raises(OSError):
        read(f"{uri}#text", row)
    with pytest.raises(OSError):
        read(f"{uri}#none", row)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_broken_tables(tmp_path, name):
    write(tmp_path / name, b"PAR1 this is no table PAR1")
    with pytest.raises(OSError):
        read(f"{tmp_path / name}#image")


def test_a_truncated_arrow_file_gives_what_it_has(tmp_path):
    schema = pa.schema({"image": pa.binary()})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for photo in PHOTOS:
            writer.write_table(pa.table({"image": [photo]}))
    whole = (tmp_path / "a.arrow").read_bytes()
    uri = write(tmp_path / "cut.arrow", whole[: len(whole) // 2])
    assert read(f"{uri}#image", 2) == PHOTOS[2]
    with pytest.raises(OSError):
        read(f"{uri}#image", 9)
    assert read(f"{uri}#image", 1) == PHOTOS[1]


def test_a_local_file_that_is_written_anew_is_read_anew(tmp_path):
    uri = put_parquet(f"{tmp_path}/a.parquet", {"image": [b"old"]})
    assert read(f"{uri}#image") == b"old"
    put_parquet(f"{tmp_path}/a.parquet", {"image": [b"newer"]})
    assert read(f"{uri}#image") == b"newer"


def test_reading_in_order_decodes_each_row_group_once(tmp_path):
    uri = put_parquet(f"{tmp_path}/a.parquet", {"image": PHOTOS}, rows=5)
    images._row_group.cache_clear()
    for row in range(10):
        read(f"{uri}#image", row)
    assert images._row_group.cache_info().misses == 2


def test_scenes_are_drawn(tmp_path):
    from gritmill.pipeline.sources.registry import source_class

    source = source_class("scenes")(type="scenes", count=2)  # type: ignore[call-arg]
    found = source.read(next(source.parts()))
    data = [StoredImage(ref).read() for ref in found["image"]]
    assert len(set(data)) == 2 and data == [StoredImage(ref).read() for ref in found["image"]]


def test_a_name_with_a_fragment_is_a_file(tmp_path):
    assert read(str(write(tmp_path / "a#b.jpg", PHOTOS[0]))) == PHOTOS[0]
