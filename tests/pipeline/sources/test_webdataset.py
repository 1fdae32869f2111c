"""The webdataset source: good tars, odd ones and hostile ones."""

import gzip
import io
import json
import tarfile

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from source_files import (
    CAPTIONS,
    image_bytes,
    jpeg,
    kept,
    read_all,
    reasons,
    rejects,
    shard,
    tar_bytes,
    write,
)

from gritmill.pipeline.sources.captions import MAX_CAPTION
from gritmill.pipeline.sources.webdataset import MAX_JSON, WebdatasetSource
from gritmill.pipeline.storage import tars
from gritmill.schemas.columns import ImageRef
from gritmill.schemas.errors import UserError

JPG = jpeg(1)


def source(shards, **options) -> WebdatasetSource:
    return WebdatasetSource(shards=str(shards) if not isinstance(shards, list) else shards, **options)


def read_tar(tmp_path, members, **options):
    data = members if isinstance(members, bytes) else tar_bytes(members)
    return read_all(source(write(tmp_path / "00000.tar", data), **options))


@pytest.mark.parametrize("place", ["local", "s3"])
def test_img2dataset_shards(place, request, tmp_path):
    root = str(tmp_path) if place == "local" else request.getfixturevalue("s3")
    first, second = shard(CAPTIONS), shard(["a cat", "two cats"], start=10)
    for name, members in {"00000.tar": first, "00001.tar": second}.items():
        with fsspec.open(f"{root}/{name}", "wb") as file:
            file.write(tar_bytes(members))
    columns = read_all(source(f"{root}/{{00000..00001}}.tar"))
    assert reasons(columns) == {}
    assert columns["key"] == columns["image_id"] == [n[:-4] for n in [*first, *second] if n.endswith(".jpg")]
    assert columns["caption"] == [*CAPTIONS, "a cat", "two cats"]
    assert columns["captions"] == [[caption] for caption in columns["caption"]]
    assert image_bytes(columns) == [d for n, d in [*first.items(), *second.items()] if n.endswith(".jpg")]
    assert json.loads(columns["metadata"][0]) == json.loads(first["000000000.json"])
    assert columns["image"][0].uri == f"{root}/00000.tar"


def test_what_webdataset_itself_writes(tmp_path):
    with webdataset.ShardWriter(str(tmp_path / "%05d.tar"), maxcount=2, verbose=0) as writer:
        for n, caption in enumerate(CAPTIONS):
            writer.write({"__key__": f"{n:04d}", "jpg": jpeg(n), "txt": caption, "json": {"n": n}})
    columns = read_all(source(tmp_path / "*.tar"))
    assert kept(columns) == [(f"{n:04d}", caption) for n, caption in enumerate(CAPTIONS)]
    assert image_bytes(columns) == [jpeg(n) for n in range(len(CAPTIONS))]


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_formats_and_long_names(tmp_path, format_):
    name = "é" * 10 + "/" + "x" * 60 + "/" + "y" * 80
    members = {f"{name}.jpg": JPG, f"{name}.txt": b"a dog"}
    columns = read_tar(tmp_path, tar_bytes(members, format=format_))
    assert columns["caption"] == ["a dog"] and image_bytes(columns) == [JPG]
    assert len(columns["key"][0]) <= 100 and columns["key"][0].isascii()


def test_images_of_all_kinds_by_any_case(tmp_path):
    members = {"a.JPG": b"1", "b.jpeg": b"2", "c.PnG": b"3", "d.webp": b"4", "e.gif": b"5", "f.seg.png": b"6"}
    texts = {f"{name[0]}.txt": b"a dog" for name in members}
    columns = read_tar(tmp_path, members | texts)
    assert [key for key, _ in kept(columns)] == ["a", "b", "c", "d"]
    assert reasons(columns) == {"e": "missing_image", "f": "missing_image"}
    columns = read_tar(tmp_path, members | texts, images=["seg.png", "jpg"])
    assert [key for key, _ in kept(columns)] == ["a", "f"]


def test_the_first_of_several_images(tmp_path):
    members = {"a.png": b"png", "a.jpg": b"jpg", "a.txt": b"a dog"}
    assert image_bytes(read_tar(tmp_path, members)) == [b"jpg"]
    assert image_bytes(read_tar(tmp_path, members, images=["png", "jpg"])) == [b"png"]


SEVERAL = {"a.jpg": JPG, "a.json": json.dumps({"texts": ["x", "longest", "y"], "text": "t", "w": 3}).encode()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"caption": "json:texts"}, [("a_0", "x"), ("a_1", "longest"), ("a_2", "y")]),
        ({"caption": "json:texts", "per": "image"}, [("a", "x")]),
        ({"caption": "json:texts", "per": "image", "choose": "longest"}, [("a", "longest")]),
        ({"caption": "json:text"}, [("a", "t")]),
        ({"caption": ["json:text", "json:texts"], "per": "image"}, [("a", "t")]),
        ({"caption": "json:none"}, []),
        ({"caption": "json:w"}, []),
    ],
)
def test_captions_in_json(tmp_path, options, expected):
    assert kept(read_tar(tmp_path, SEVERAL, **options)) == expected


def test_captions_hold_all_and_metadata_the_rest(tmp_path):
    columns = read_tar(tmp_path, SEVERAL, caption="json:texts")
    assert columns["captions"] == [["x", "longest", "y"]] * 3
    assert columns["image_id"] == ["a"] * 3
    assert json.loads(columns["metadata"][0]) == {"text": "t", "w": 3}


def test_samples_of_one_image_say_so(tmp_path):
    members: dict[str, bytes] = {}
    for key, image_id in {"a": "x/1", "b": "x/1", "c": 7, "d": "", "e": None, "f": [1]}.items():
        members |= {
            f"{key}.jpg": JPG,
            f"{key}.txt": b"x",
            f"{key}.json": json.dumps({"image_id": image_id}).encode(),
        }
    found = read_tar(tmp_path, members)["image_id"]
    assert found[0] == found[1] != "a" and found[2:] == ["7", "d", "e", "f"]


def test_seeded_choice_depends_on_the_sample_and_the_seed_alone(tmp_path):
    members: dict[str, bytes] = {}
    for n in range(40):
        members |= {f"{n}.jpg": JPG, f"{n}.json": json.dumps({"c": ["zero", "one", "two"]}).encode()}
    options = {"caption": "json:c", "per": "image", "choose": "seeded"}
    first = dict(kept(read_tar(tmp_path, members, **options)))
    shuffled = dict(kept(read_tar(tmp_path, dict(reversed(members.items())), **options)))
    other = dict(kept(read_tar(tmp_path, members, seed=1, **options)))
    assert first == shuffled != other
    assert set(first.values()) == {"zero", "one", "two"}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"a.jpg": JPG}, "missing_caption"),
        ({"a.jpg": JPG, "a.txt": b""}, "missing_caption"),
        ({"a.jpg": JPG, "a.txt": b" \n\t"}, "missing_caption"),
        ({"a.txt": b"a dog"}, "missing_image"),
        ({"a.jpg": b"", "a.txt": b"a dog"}, "empty_image"),
        ({"a.jpg": JPG, "a.txt": b"a \xff dog"}, "bad_text"),
        ({"a.jpg": JPG, "a.txt": b"a \0 dog"}, "bad_text"),
        ({"a.jpg": JPG, "a.txt": b"x" * (MAX_CAPTION + 1)}, "caption_too_large"),
        ({"a.jpg": JPG, "a.txt": b"a dog", "a.json": b"{'a': 1}"}, "bad_json"),
        ({"a.jpg": JPG, "a.txt": b"a dog", "a.json": b"[1]"}, "bad_json"),
        ({"a.jpg": JPG, "a.txt": b"a dog", "a.json": b"\xff\xfe\xfd"}, "bad_json"),
        ({"a.jpg": JPG, "a.txt": b"a dog", "a.json": b"[" * 100_000}, "bad_json"),
        ({"a.jpg": JPG, "a.txt": b"a dog", "a.json": b'{"a":' * 900 + b"1" + b"}" * 900}, "bad_json"),
        ({"a.jpg": JPG, "a.txt": b"a dog", "a.json": b'{"a":' + b"1" * 5000 + b"}"}, "bad_json"),
        ({"a.jpg": JPG, "a.txt": b"a dog", "a.json": b" " * (MAX_JSON + 1)}, "json_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_samples_cost_themselves_only(tmp_path, members, reason):
    good = {"good.jpg": jpeg(5), "good.txt": b"a cat"}
    columns = read_tar(tmp_path, members | good)
    assert reasons(columns) == {"a": reason}
    assert kept(columns) == [("good", "a cat")]


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        (None, "missing_caption"),
        (3, "caption_not_text"),
        ({"a": 1}, "caption_not_text"),
        (["ok", 3.5], "caption_not_text"),
        (["ok", None], "missing_caption"),
        (["ok", "\ud800"], "bad_text"),
        ("half \udc00 pair", "bad_text"),
        ("nul \0", "bad_text"),
        ([], "missing_caption"),
    ],
)
def test_bad_captions_in_json(tmp_path, caption, reason):
    members = {"a.jpg": JPG, "a.json": json.dumps({"c": caption}).encode()}
    columns = read_tar(tmp_path, members, caption="json:c")
    good = isinstance(caption, list) and caption[:1] == ["ok"]
    assert reasons(columns) == {"a_1" if good else "a": reason}
    assert columns["captions"] == [["ok"]] * 2 if good else [[]]
    per_image = read_tar(tmp_path, members, caption="json:c", per="image")
    assert kept(per_image) == ([("a", "ok")] if good else [])
    assert reasons(per_image) == ({} if good else {"a": reason})


def test_metadata_is_json_that_anyone_can_read(tmp_path):
    bad = b'{"nan": NaN, "inf": [-Infinity], "half": "\\ud800", "text": "caf\\u00e9 NaN", "nul": "\\u0000"}'
    columns = read_tar(tmp_path, {"a.jpg": JPG, "a.txt": b"a dog", "a.json": bad})
    assert kept(columns) == [("a", "a dog")]

    def refuse(name):
        raise AssertionError(name)

    fields = json.loads(columns["metadata"][0], parse_constant=refuse)
    assert fields == {"nan": None, "inf": [None], "half": "?", "text": "café NaN", "nul": "\0"}


def test_members_need_not_be_neighbours(tmp_path):
    members = [("a.jpg", jpeg(1)), ("b.jpg", jpeg(2)), ("b.txt", b"of b"), ("a.txt", b"of a")]
    columns = read_tar(tmp_path, members)
    assert kept(columns) == [("a", "of a"), ("b", "of b")]
    assert image_bytes(columns) == [jpeg(1), jpeg(2)]


def test_duplicate_keys(tmp_path):
    members = [("a.jpg", jpeg(1)), ("a.txt", b"one"), ("a.jpg", jpeg(2)), ("a.txt", b"two")]
    columns = read_tar(tmp_path, members)
    assert columns["key"] == ["a", "a"] and columns["caption"] == ["one", "two"]
    assert kept(columns) == [("a", "one")] and reasons(columns) == {"a": "duplicate_key"}
    assert image_bytes(columns) == [jpeg(1)]


def test_a_caption_number_that_meets_another_key(tmp_path):
    two = json.dumps({"c": ["one", "two"]}).encode()
    members = {"a.jpg": JPG, "a.json": two, "a_1.jpg": JPG, "a_1.json": json.dumps({"c": "three"}).encode()}
    columns = read_tar(tmp_path, members, caption="json:c")
    assert kept(columns) == [("a_0", "one"), ("a_1", "two")]
    assert columns["caption"] == ["one", "two", "three"]
    assert reasons(columns) == {"a_1": "duplicate_key"}


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/../../b", "a b\nc", "ключ", "\udcff\udcfe", "x" * 300, "con:*?"],
)
def test_a_member_name_never_becomes_a_path(tmp_path, name):
    data = tar_bytes({f"{name}.jpg": JPG, f"{name}.txt": b"a dog"}, errors="surrogateescape")
    before = sorted(tmp_path.rglob("*"))
    columns = read_tar(tmp_path, data)
    (key,) = columns["key"]
    assert key.replace("-", "").replace("_", "").isalnum() and key.isascii() and len(key) <= 100
    assert image_bytes(columns) == [JPG] and columns["caption"] == ["a dog"]
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "00000.tar"]


def test_names_that_are_cleaned_alike_stay_apart(tmp_path):
    members = [
        (f"{name}.{e}", data) for name in ("a/b", "a b", "a:b") for e, data in (("jpg", JPG), ("txt", b"x"))
    ]
    assert len({key for key, _ in kept(read_tar(tmp_path, members))}) == 3


def test_links_devices_and_folders_are_not_followed(tmp_path):
    secret = write(tmp_path / "secret.txt", b"secret")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for n, (kind, link) in enumerate(
            [
                (tarfile.SYMTYPE, str(secret)),
                (tarfile.LNKTYPE, "good.jpg"),
                (tarfile.CHRTYPE, ""),
                (tarfile.FIFOTYPE, ""),
                (tarfile.DIRTYPE, ""),
            ]
        ):
            for extension in ("jpg", "txt"):
                info = tarfile.TarInfo(f"{n}.{extension}")
                info.type, info.linkname = kind, link
                tar.addfile(info)
        for name, data in {"good.jpg": JPG, "good.txt": b"a cat", ".hidden": b"x", "README": b"x"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    columns = read_tar(tmp_path, out.getvalue())
    assert columns["key"] == ["good"] and image_bytes(columns) == [JPG]


def test_empty_tar(tmp_path):
    assert read_tar(tmp_path, {})["key"] == []


def test_truncated_tars_keep_what_is_whole(tmp_path):
    """Cut at every block and in the middle of each: the loss always shows, the rest is right."""
    members = shard(["one", "two", "three"])
    whole = tar_bytes(members)
    content = 0  # where the last member ends; behind it are only the zeros of the end
    for number in range(3):
        content = max(content, whole.index(members[f"{number:09d}.json"]) + 512)
    for cut in range(0, len(whole), 256):
        columns = read_tar(tmp_path, whole[:cut])
        lost = [key for key, reason in reasons(columns).items() if reason == "truncated_archive"]
        assert len(lost) == (1 if cut < content // 512 * 512 + 512 else 0), cut
        assert all(key.startswith("00000-tar-") for key in lost)
        pairs = kept(columns)
        assert pairs == [("000000000", "one"), ("000000001", "two"), ("000000002", "three")][: len(pairs)]
        images = [ref for ref in columns["image"] if isinstance(ref, ImageRef)]
        assert all(whole[ref.offset : ref.offset + ref.length] in members.values() for ref in images)
        assert all(ref.offset + ref.length <= cut for ref in images)
    assert len(pairs) == 3


def test_damage_in_the_middle_is_seen(tmp_path):
    members = shard(["one", "two"])
    whole = bytearray(tar_bytes(members))
    at = whole.index(b"000000001.jpg")
    whole[at : at + 512] = b"\x07" * 512
    columns = read_tar(tmp_path, bytes(whole))
    assert kept(columns) == [("000000000", "one")]
    assert list(reasons(columns).values()) == ["truncated_archive"]


@pytest.mark.parametrize("data", [b"x" * 2000, b"<html>not found</html>", b"\0" * 100])
def test_what_is_no_tar(tmp_path, data):
    assert list(reasons(read_tar(tmp_path, data)).values()) == ["truncated_archive"]


def test_a_negative_size_does_not_loop(tmp_path):
    data = bytearray(tar_bytes({"a.jpg": JPG, "a.txt": b"a dog"}))
    at = data.index(b"a.txt")
    data[at + 124 : at + 136] = b"\xff" * 4 + (-1024).to_bytes(8, "big", signed=True)
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    columns = read_tar(tmp_path, bytes(data))
    assert sorted(reasons(columns).values()) == ["missing_caption", "truncated_archive"]


@settings(max_examples=300, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 5119), st.integers(0, 255)), max_size=8), cut=st.integers(0, 6000)
)
def test_hostile_bytes_never_escape(flips, cut):
    data = bytearray(tar_bytes({"x" * 150 + ".jpg": JPG, "b.txt": b"a dog"}, format=tarfile.PAX_FORMAT))
    for at, value in flips:
        data[at % len(data)] = value
    data = data[: max(cut, 1)]
    try:
        for member in tars.members(io.BytesIO(bytes(data))):
            assert 0 <= member.offset <= member.offset + member.size <= len(data)
    except (tars.BrokenArchive, UserError):
        pass


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_compressed_tars_are_refused(tmp_path, name):
    path = write(tmp_path / name, gzip.compress(tar_bytes(shard(["one"]))))
    if name != "a.tar":
        (problem,) = source(path).problems()
        assert "unpack it" in problem
    with pytest.raises(UserError, match="compressed with gzip"):
        source(path).read(next(source(path).parts()))


def test_the_parquet_beside_a_tar_fills_what_the_tar_lacks(tmp_path):
    members = {"000.jpg": JPG, "001.jpg": JPG, "001.txt": b"from the tar", "002.jpg": JPG}
    rows = {
        "key": ["000", "001", "003"],
        "caption": ["from the table", "not used", "failed"],
        "url": ["u0", "u1", "u3"],
        "similarity": [0.3, float("nan"), None],
    }
    pq.write_table(pa.table(rows), tmp_path / "00000.parquet")
    columns = read_tar(tmp_path, members)
    assert kept(columns) == [("000", "from the table"), ("001", "from the tar")]
    assert reasons(columns) == {"002": "missing_caption"}
    assert json.loads(columns["metadata"][0])["url"] == "u0"
    assert json.loads(columns["metadata"][1])["similarity"] is None


def test_a_broken_parquet_beside_a_tar_is_the_users_to_mend(tmp_path):
    write(tmp_path / "00000.parquet", b"no parquet")
    assert kept(read_tar(tmp_path, {"a.jpg": JPG, "a.txt": b"x", "a.json": b"{}"})) == [("a", "x")]
    with pytest.raises(UserError, match="beside a tar"):
        read_tar(tmp_path, {"a.jpg": JPG, "a.txt": b"x"})


def test_parts_know_what_lies_beside_a_tar(tmp_path):
    tar = write(tmp_path / "00000.tar", tar_bytes(shard(["one"])))
    before = list(source(tar).parts())
    assert set(before[0]) == {"uri", "version"}
    write(tmp_path / "00000_stats.json", json.dumps({"count": 9, "successes": 7}))
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "00000.parquet")
    (part,) = source(tar).parts()
    assert part["rows"] == 7 and part["parquet"] == str(tmp_path / "00000.parquet")
    for stats in ("not json", "[]", '{"successes": "many"}'):
        write(tmp_path / "00000_stats.json", stats)
        assert "rows" not in next(source(tar).parts())
    write(tmp_path / "00000.tar", tar_bytes(shard(["one", "two"])))
    assert next(source(tar).parts())["version"] != part["version"]


def test_keys_that_repeat_from_tar_to_tar(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.tar", tar_bytes({"000.jpg": JPG, "000.txt": b"x"}))
    assert read_all(source(tmp_path / "*.tar"))["key"] == ["000", "000"]
    assert read_all(source(tmp_path / "*.tar", prefix_keys=True))["image_id"] == ["a_000", "b_000"]


def test_paths_stay_as_given(tmp_path, monkeypatch):
    write(tmp_path / "data" / "0.tar", tar_bytes(shard(["one"])))
    monkeypatch.chdir(tmp_path)
    assert read_all(source("data/*.tar"))["image"][0].uri == "data/0.tar"


def test_problems_all_at_once(tmp_path):
    write(tmp_path / "0.tar.gz", b"x")
    there = str(tmp_path)
    problems = source([f"{there}/{{0..9}}.tar", f"{there}/no*.tar", f"{there}/0.tar.gz"]).problems()
    assert len(problems) == 2 and "0.tar (and 10 more)" in problems[0] and "unpack" in problems[1]
    assert source("nonsense://x/*.tar").problems()


@pytest.mark.parametrize("caption", ["json:", ":x", "", ["txt", "json:"]])
def test_caption_places_are_checked(caption):
    with pytest.raises(ValidationError, match="no place for a caption"):
        source("x.tar", caption=caption)


def test_a_long_caption_is_no_ones_business_here(tmp_path):
    text = "wörd " * 20_000
    assert kept(read_tar(tmp_path, {"a.jpg": JPG, "a.txt": text.encode()})) == [("a", text)]


def test_reject_says_what_was_measured(tmp_path):
    columns = read_tar(tmp_path, {"a.jpg": JPG, "a.txt": b"x" * (MAX_CAPTION + 1)})
    assert rejects(columns)["a"].value == str(MAX_CAPTION + 1)
