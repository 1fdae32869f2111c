"""pipeline/storage/files.py: paths, globs and URLs."""

import os
from pathlib import Path

import fsspec
import pytest
from source_files import write

from gritmill.pipeline.storage import files
from gritmill.schemas.errors import UserError


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("{008..011}.tar", ["008.tar", "009.tar", "010.tar", "011.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b}/{0..1}", ["a/0", "a/1", "b/0", "b/1"]),
        ("{abc}.tar", ["{abc}.tar"]),
        ("x{,y}", ["x", "xy"]),
    ],
)
def test_braces(pattern, names):
    assert files.expand_braces(pattern) == names


@pytest.mark.parametrize("pattern", ["{0..9999999999}", "{0..9999}{0..9999}"])
def test_braces_that_never_end(pattern):
    with pytest.raises(UserError, match="Name fewer"):
        files.expand_braces(pattern)


@pytest.mark.parametrize(
    ("folder", "name", "path"),
    [
        ("photos", "a.jpg", "a.jpg"),
        ("photos", "./b/a.jpg", "b/a.jpg"),
        ("", "a.jpg", "a.jpg"),
        ("photos", "../a.jpg", None),
        ("photos", "b/../../a.jpg", None),
        ("photos", "..", None),
        ("photos", ".", None),
        ("photos", "", None),
        ("photos", "/etc/passwd", None),
        ("", "/etc/passwd", None),
        ("/data", "/data/a.jpg", "a.jpg"),
        ("/data", "/data/../etc/passwd", None),
        ("/data", "/database/a.jpg", None),
        ("/data", "/data//etc/passwd", None),
        ("/", "/etc/a.jpg", "etc/a.jpg"),
        ("s3://b/x", "s3://b/x/a.jpg", "a.jpg"),
        ("s3://b/x", "s3://b/y/a.jpg", None),
        ("photos", "http://host/a.jpg", None),
        ("photos", "photos/http://host/a.jpg", None),
        ("photos", "a\0.jpg", None),
        ("photos", "a\ud800.jpg", None),
        ("photos", "犬.jpg", "犬.jpg"),
    ],
)
def test_inside(folder, name, path):
    assert files.inside(folder, name) == path


@pytest.fixture(params=["local", "relative", "s3"])
def place(request, tmp_path, monkeypatch):
    """A folder with files 0.tar to 11.tar, one below, and one whose name looks like a glob."""
    names = [*(f"{n}.tar" for n in range(12)), "below/x.tar"]
    if request.param == "s3":
        root = request.getfixturevalue("s3") + "/data"
        fs, path = fsspec.core.url_to_fs(root)
        for name in names:
            fs.pipe(f"{path}/{name}", name.encode())
        return root
    monkeypatch.chdir(tmp_path)
    for name in names:
        write(tmp_path / "data" / name, name)
    return "data" if request.param == "relative" else str(tmp_path / "data")


def test_find_keeps_the_spelling_and_sorts(place):
    uris = [file.uri for file in files.find(f"{place}/*.tar")]
    assert uris == [f"{place}/{n}.tar" for n in ["0", "1", "10", "11", *range(2, 10)]]
    assert [file.size for file in files.find(f"{place}/1?.tar")] == [6, 6]
    assert [file.uri for file in files.find(f"{place}/**/x.tar")] == [f"{place}/below/x.tar"]
    assert files.find(f"{place}/none*.tar") == files.find(f"{place}/none.tar") == []


def test_find_all(place):
    found, missing = files.find_all([f"{place}/{{10..13}}.tar", f"{place}/1*.tar", f"{place}/none*"])
    assert [file.uri for file in found] == [f"{place}/{n}.tar" for n in (10, 11, 1)]
    assert missing == [f"{place}/12.tar", f"{place}/13.tar", f"{place}/none*"]


def test_listings(place):
    assert list(files.children(place)) == [f"{n}.tar" for n in ["0", "1", "10", "11", *range(2, 10)]]
    assert list(files.walk(place))[-1] == "below/x.tar"
    assert files.walk(place)["below/x.tar"] == files.stat(f"{place}/below/x.tar")
    assert files.children(f"{place}/none") == files.walk(f"{place}/none") == {}
    assert files.stat(place) is None
    assert files.exists(place) and files.exists(f"{place}/0.tar") and not files.exists(f"{place}/none")
    found = files.stat_all(place, ["3.tar", None, "none.tar", "below/x.tar"])
    assert [file and file.size for file in found] == [5, None, None, 11]


def test_reading(place):
    assert files.read(f"{place}/10.tar", limit=6) == b"10.tar"
    assert files.read_range(f"{place}/10.tar", 1, 3) == b"0.t"
    assert files.read_range(f"{place}/10.tar", 4, 100) == b"ar"
    with files.open_binary(f"{place}/10.tar") as file:
        file.seek(3)
        assert file.read() == b"tar"
    with pytest.raises(OSError, match="larger than 5"):
        files.read(f"{place}/10.tar", limit=5)
    for missing in (lambda: files.read(f"{place}/none", 9), lambda: files.read_range(f"{place}/none", 0, 9)):
        with pytest.raises(OSError):
            missing()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_reading_many(place, count):
    names = ["1.tar", "none.tar", "10.tar"][:count]
    contents = files.read_many([f"{place}/{name}" for name in names])
    assert [None if isinstance(c, OSError) else c for c in contents] == [b"1.tar", None, b"10.tar"][:count]


def test_version_changes_with_the_content(place):
    before = files.stat(f"{place}/0.tar")
    assert files.stat(f"{place}/0.tar") == before
    with fsspec.open(f"{place}/0.tar", "wb") as file:
        file.write(b"other")
    if files.is_local(place):
        os.utime(f"{place}/0.tar", ns=(1, 1))  # a clock may not have moved on since
    after = files.stat(f"{place}/0.tar")
    assert before and after and before.size == after.size and before.version != after.version


def test_a_name_with_brackets_is_found(tmp_path):
    path = write(tmp_path / "a[1].tar", b"x")
    assert [file.uri for file in files.find(str(path))] == [str(path)]


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert files.stat(str(tmp_path / "pipe.jpg")) is None
    assert files.children(str(tmp_path)) == files.walk(str(tmp_path)) == {}


@pytest.mark.parametrize("uri", ["nonsense://x/y.tar", "nonsense://x/*.tar"])
def test_unknown_protocol_is_the_users_mistake(uri):
    with pytest.raises(UserError, match="no URL that fsspec knows"):
        files.find(uri)


def test_a_server_that_is_not_there_is_the_users_mistake(s3, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(s3fs.core.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(UserError, match="cannot be listed"):
        files.find(f"{s3}/*.tar")
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.undo()


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    write(tmp_path / "a" / "b.txt", b"x")
    monkeypatch.chdir(tmp_path)
    assert [file.uri for file in files.find("./a/*.txt")] == ["./a/b.txt"]
    assert [file.uri for file in files.walk(".").values()] == ["./a/b.txt"]
    assert [file.uri for file in files.walk("").values()] == ["a/b.txt"]
    assert Path(files.find("a/*")[0].uri) == Path("a/b.txt")
