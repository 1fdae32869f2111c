"""The index of a shard: what it holds, when it is built again, whom it does not disturb."""

import gzip
import io
import json
import logging
import os
import shutil
import tarfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.files import File
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.verify import verify
from gritmill.schemas.errors import UserError
from gritmill.trainer.data import index as index_module
from gritmill.trainer.data.index import SCHEMA, index_path, load_index
from gritmill.trainer.data.shards import open_split
from tests.trainer.data.conftest import make_image, make_members, make_record, make_tar

IMAGE, RECORD = make_image(), json.dumps(make_record(0)).encode()


def test_it_tells_where_everything_lies(tmp_path: Path) -> None:
    record = {"key": "a key", "image_id": 7, **make_record(0, boxes=3)}
    content = make_tar([("x.jpg", IMAGE), ("x.json", json.dumps(record).encode()), ("y.png", IMAGE)])
    path = tmp_path / "some.tar"
    path.write_bytes(content)
    first, second = load_index(str(path)).to_pylist()
    assert (first["key"], first["image_id"], first["boxes"]) == ("a key", "7", 3)
    assert content[first["image_offset"] :][: first["image_size"]] == IMAGE
    assert json.loads(content[first["record_offset"] :][: first["record_size"]]) == record
    assert (second["key"], second["boxes"], second["record_size"]) == ("y", 0, 0)


CASES: dict[str, tuple[list[tuple[str, bytes]], list[str]]] = {
    "extension in capitals": ([("a.JPG", IMAGE), ("a.Json", RECORD)], ["a"]),
    "folders": ([("./s/a.jpg", IMAGE), ("s/a.json", RECORD), ("t/a.jpg", IMAGE)], ["s/a", "t/a"]),
    "dots in the folder": ([("v1.0/a.jpg", IMAGE), ("v1.0/a.json", RECORD)], ["v1.0/a"]),
    "masks are no images": ([("a.seg.png", IMAGE), ("a.jpg", IMAGE), ("a.json", RECORD)], ["a"]),
    "what is no sample": ([("README", b""), ("__meta__.json", b"{}"), ("a.jpg", IMAGE)], ["a"]),
    "the same stem again": ([("a.jpg", IMAGE), ("a.json", RECORD), ("a.jpg", IMAGE)], ["a", "a"]),
    "names beyond a header": ([("b" * 300 + ".jpg", IMAGE), ("ä.jpg", IMAGE)], ["b" * 300, "ä"]),
    "out of the folder": ([("../../a.jpg", IMAGE), ("/etc/a.jpg", IMAGE)], ["../../a", "/etc/a"]),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("members", "keys"), CASES.values(), ids=CASES)
def test_members_of_one_stem_are_a_sample(
    members: list[tuple[str, bytes]], keys: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "some.tar"
    path.write_bytes(make_tar(members))
    assert load_index(str(path))["key"].to_pylist() == keys


def test_links_and_devices_are_no_members(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("evil.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    (tmp_path / "some.tar").write_bytes(file.getvalue())
    assert load_index(str(tmp_path / "some.tar")).num_rows == 0


def _built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shards that are read from now on."""
    seen: list[str] = []
    build = index_module.build

    def watched(shard: File) -> tuple[pa.Table, bool]:
        seen.append(shard.uri)
        return build(shard)

    monkeypatch.setattr(index_module, "build", watched)
    return seen


def test_it_is_built_once_and_again_for_another_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.tar"
    path.write_bytes(make_tar(make_members(range(3))))
    built = _built(monkeypatch)
    first = load_index(str(path))
    assert load_index(str(path)).equals(first)
    assert len(built) == 1
    # As many bytes, put in its place within the same second.
    before = path.stat()
    path.write_bytes(make_tar(make_members(range(3, 6))))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size
    assert load_index(str(path))["key"].to_pylist() == ["000003", "000004", "000005"]


def _rewritten(path: Path, **columns: list[int]) -> bytes:
    """The index there with other numbers in it."""
    with pa.ipc.open_file(str(path)) as reader:
        schema, table = reader.schema, reader.read_all()
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, SCHEMA.field(name), pa.array(values, pa.int64()))
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: b"",
        lambda path: b"ARROW1\0\0nonsense",
        lambda path: path.read_bytes()[:-20],
        lambda path: _rewritten(path, image_offset=[-1, 0]),
        lambda path: _rewritten(path, image_size=[2**62, 0]),
        lambda path: _rewritten(path, record_offset=[2**63 - 1, 0]),
    ],
)
def test_an_index_that_is_none_is_built_again(spoil, tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    path.write_bytes(make_tar(make_members(range(2))))
    good = load_index(str(path))
    place = Path(index_path(str(path)))
    place.write_bytes(spoil(place))
    assert load_index(str(path)).equals(good)


def test_where_nothing_can_be_written_it_is_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    path.write_bytes(make_tar(make_members(range(2))))
    (tmp_path / ".index").write_text("a file is in the way")
    assert load_index(str(path)).num_rows == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == [".index", "some.tar"]


@pytest.mark.parametrize("cut", [700, 1536, 5000])
def test_what_is_good_of_a_damaged_shard_is_used(cut: int, tmp_path: Path, caplog) -> None:
    path = tmp_path / "some.tar"
    path.write_bytes(make_tar(make_members(range(3)))[:cut])
    with caplog.at_level(logging.WARNING):
        index = load_index(str(path))
    assert index.num_rows < 3
    assert "some.tar is damaged" in caplog.text
    assert not Path(index_path(str(path))).exists()


def test_damage_of_any_kind_ends_the_shard(tmp_path: Path) -> None:
    good = make_tar(make_members(range(3)))
    path = tmp_path / "some.tar"
    for position in range(0, 12 * 512, 53):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        assert load_index(str(path)).num_rows <= 4


def test_a_compressed_shard_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    path.write_bytes(gzip.compress(make_tar(make_members(range(3)))))
    with pytest.raises(UserError, match="compressed"):
        load_index(str(path))


def test_a_shard_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.tar cannot be reached"):
        load_index(str(tmp_path / "none.tar"))


def test_it_lies_beside_a_shard_in_memory_too() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/index-test/some.tar", make_tar(make_members(range(2))))
    assert load_index("memory://index-test/some.tar").num_rows == 2
    assert fs.exists("/index-test/.index/some.tar.arrow")
    fs.pipe_file("/index-test/some.tar", make_tar(make_members(range(3))))
    assert load_index("memory://index-test/some.tar").num_rows == 3
    fs.rm("/index-test", recursive=True)


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_it_disturbs_neither_the_pipeline_nor_other_libraries(scenes: Path, tmp_path: Path) -> None:
    import datasets

    out = tmp_path / "out"
    shutil.copytree(scenes, out)
    shutil.copytree(f"{scenes}.work", f"{out}.work")
    size = len(open_split(str(out), "train"))
    indexes = sorted((out / "data" / ".index").iterdir())
    assert len(indexes) > 1
    before = _times(out / "data")
    assert verify([str(out)], jobs=1).ok
    job = load_recipe(
        "recipes/scenes_tasks.yaml",
        [f"output.dir={out}", "source.count=60", "source.part_size=60", "output.shard_size=150kB"],
    )
    run(job, Store(f"{out}.work"), LocalRunner(), Progress())
    assert _times(out / "data") == before
    loaded = datasets.load_dataset(str(out / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == size
