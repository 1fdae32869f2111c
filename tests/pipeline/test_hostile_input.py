"""One run over everything that people and their scrapers put into data sets, and what comes of it."""

import io
import json
import re
import struct
import tarfile
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from source_files import jpeg, tar_bytes, write

from gritmill.pipeline.engine.plan import Parts, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import Finished, run, work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.inspect.why import tell
from gritmill.pipeline.sources.keys import safe_key
from gritmill.pipeline.storage.member_names import member_stem
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

pytestmark = pytest.mark.timeout(120)

Write = Callable[..., Path]
STAGES = [
    "image_check: {min_side: 8, max_pixels: 64000000}",
    "caption_check: {min_words: 1, max_words: null, script: null, max_repetition: null, boilerplate: false}",
    "noun_chunks",
]


class Case(NamedTuple):
    """A sample, and where and why it goes; no reason for one that is kept."""

    image: bytes | None
    caption: bytes | None
    step: str = ""
    reason: str = ""


def picture(
    mode: str = "RGB", file_format: str = "JPEG", size: tuple[int, int] = (24, 16), **save: Any
) -> bytes:
    out = io.BytesIO()
    image = Image.new(mode, size)
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    image.save(out, file_format, **save)
    return out.getvalue()


def rotated() -> bytes:
    """24 x 16 as stored, 16 x 24 as a viewer shows it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(exif=exif)


def bomb(side: int = 10_000) -> bytes:
    """A real PNG of 100 megapixels in some kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


GOOD = jpeg(7, (24, 16))
TEXT = b"a dog in a field"
LONG = ("a dog and " * 10_000).encode()
CASES = {
    "good": Case(GOOD, TEXT),
    "truncated": Case(GOOD[: len(GOOD) // 2], TEXT, "image_check", "undecodable"),
    "zero": Case(b"", TEXT, "source", "empty_image"),
    "noise": Case(bytes(range(256)) * 4, TEXT, "image_check", "undecodable"),
    "gif_by_name": Case(b"GIF89a, or is it?" * 9, TEXT, "image_check", "too_many_pixels"),
    "page": Case(b"<html>404</html>", TEXT, "image_check", "undecodable"),
    "png_named_jpg": Case(picture(file_format="PNG"), TEXT),
    "gif_named_jpg": Case(picture("P", "GIF"), TEXT, "image_check", "format"),
    "cmyk": Case(picture("CMYK"), TEXT),
    "grey": Case(picture("L"), TEXT),
    "palette": Case(picture("P", "PNG", transparency=3), TEXT),
    "bomb": Case(bomb(), TEXT, "image_check", "too_many_pixels"),
    "rotated": Case(rotated(), TEXT),
    "tiny": Case(picture(size=(4, 400)), TEXT, "image_check", "too_small"),
    "ribbon": Case(picture(size=(400, 10)), TEXT, "image_check", "aspect_ratio"),
    "no_caption": Case(GOOD, None, "source", "missing_caption"),
    "blank": Case(GOOD, b" \n\t", "source", "missing_caption"),
    "latin1": Case(GOOD, "a café".encode("latin-1"), "source", "bad_text"),
    "nul": Case(GOOD, b"a dog\0 in a field", "source", "bad_text"),
    "long": Case(GOOD, LONG, "caption_check", "too_many_characters"),
    "huge": Case(GOOD, b"a dog " * 200_000, "source", "caption_too_large"),
    "punctuation": Case(GOOD, "!!! … ---".encode(), "caption_check", "too_few_words"),
    "pronoun": Case(GOOD, b"it is this", "noun_chunks", "no_noun_chunk"),
    "emoji": Case(GOOD, "🐕‍🦺 a brown dog 🐕 and a 👩🏽‍🚀 tall woman 🎉".encode()),
    "rtl": Case(GOOD, "a dog כלב שחור and a cat قطة سوداء".encode()),
    "combining": Case(GOOD, "a cafe\u0301 and a nai\u0308ve dog on a \ufb01eld".encode()),
    "html": Case(GOOD, b"<b>a dog</b> &amp; {a cat} on <script>alert('a mat')</script>"),
    "format": Case(GOOD, b"a {dog} on %s a ${HOME} mat \\n {0.__class__}"),
    "formula": Case(GOOD, b'=cmd|"/c calc"!A1, a dog; DROP TABLE a field'),
    "controls": Case(GOOD, b"a dog \x1b[31m\x07 in a field \x7f"),
    "two_lines": Case(GOOD, b"a dog\r\na cat"),
}
KEPT = sorted(name for name, case in CASES.items() if not case.reason)


def the_caption(caption: bytes | None) -> str:
    assert caption is not None
    return caption.decode()


def members(cases: dict[str, Case]) -> list[tuple[str, bytes]]:
    found = []
    for name, case in cases.items():
        if case.image is not None:
            found.append((f"{name}.jpg", case.image))
        if case.caption is not None:
            found.append((f"{name}.txt", case.caption))
    return found


def go(recipe: Path) -> Finished:
    job = load_recipe(str(recipe))
    return run(job, Store(work_directory(job, None)), LocalRunner(), Progress())


def fates(recipe: Path, keys: list[str]) -> dict[str, tuple[str, str]]:
    """Where and why each sample went, from its story; two empty texts for one that was kept."""
    job = load_recipe(str(recipe))
    plan, store = make_plan(job, Parts.of(job.source.parts())), Store(work_directory(job, None))
    found = {}
    for key in keys:
        [story] = tell(plan, store, key)
        last = story.chapters[-1]
        assert last.verdict in ("kept", "rejected"), (key, last)
        found[key] = (last.step, last.reason) if last.reason else ("", "")
    return found


def adds_up(finished: Finished, samples: int) -> None:
    """Each step is given what the one before let through, and accounts for all of it."""
    given = samples
    for name, total in finished.totals.items():
        assert total.rows_in == given, name
        assert total.rows_in == total.rows_out + total.rejected.total() + total.failures, name
        assert total.failures == 0, (name, total.failed)
        given = total.rows_out


def written(out: Path) -> dict[str, tuple[bytes, str, dict[str, Any]]]:
    """Image, caption and record of each sample in the shards, by key."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted((out / "data").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                stem, _, extension = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None
                found.setdefault(stem, {})[extension] = file.read()
    assert {frozenset(sample) for sample in found.values()} == {frozenset({"jpg", "txt", "json"})}
    records = {stem: json.loads(sample["json"]) for stem, sample in found.items()}
    assert all(stem == member_stem(record["key"]) for stem, record in records.items())
    return {
        record["key"]: (found[stem]["jpg"], found[stem]["txt"].decode(), record)
        for stem, record in records.items()
    }


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def chunks_of(recipe: Path, key: str) -> list[str]:
    """The noun chunks of a sample, cut from its caption by their offsets."""
    job = load_recipe(str(recipe))
    plan, store = make_plan(job, Parts.of(job.source.parts())), Store(work_directory(job, None))
    [story] = tell(plan, store, key)
    columns = {name: value for chapter in story.chapters for name, value in chapter.columns.items()}
    return [columns["caption"][span["start"] : span["end"]] for span in columns["noun_chunks"]]


CHUNKS = {
    "emoji": ["a brown dog", "tall woman"],
    "combining": ["a cafe\u0301", "a nai\u0308ve dog"],
    "rtl": ["a dog כלב שחור", "a cat"],
}
"""Noun chunks that the parser finds in spite of what is around them."""


@pytest.fixture
def shielded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder deep down to work in; what lies above it must not change."""
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    return deep


def test_hostile_samples_in_a_tar(shielded: Path, write_recipe: Write, tmp_path: Path) -> None:
    write(tmp_path / "tars" / "0.tar", tar_bytes(members(CASES)))
    write(tmp_path / "tars" / "1.tar", tar_bytes([]))
    write(tmp_path / "tars" / "2.tar", tar_bytes([("twice.jpg", GOOD), ("twice.txt", TEXT)] * 2))
    write(tmp_path / "tars" / "3.tar", tar_bytes([("good.jpg", GOOD), ("good.txt", TEXT)]))
    recipe = write_recipe(f"type: webdataset, shards: {tmp_path}/tars/*.tar", STAGES)
    before = files_below(tmp_path)
    finished = go(recipe)

    adds_up(finished, len(CASES) + 3)
    keys = [name for name in CASES if name != "good"]
    assert fates(recipe, keys) == {name: (CASES[name].step, CASES[name].reason) for name in keys}
    assert finished.totals["source"].rejected["duplicate_key"] == 1  # within a tar
    assert dict(finished.totals["shards"].rejected) == {"duplicate_key": 1}  # in another tar

    found = written(tmp_path / "out")
    assert sorted(found) == sorted([*KEPT, "twice"])
    for name in KEPT:
        image, caption, record = found[name]
        assert image == CASES[name].image
        assert caption == record["caption"] == the_caption(CASES[name].caption)
    facts = {name: (r["image_format"], r["width"], r["height"]) for name, (_, _, r) in found.items()}
    assert facts["png_named_jpg"] == ("png", 24, 16)
    assert facts["cmyk"] == ("jpeg", 24, 16)
    assert facts["rotated"] == ("jpeg", 16, 24)
    for name in KEPT:
        chunks = chunks_of(recipe, name) if name != "good" else []
        assert set(CHUNKS.get(name, [])) <= set(chunks), chunks
        # Wherever a parser is led astray, what it gives begins and ends with a word.
        assert all(chunk[0].isalnum() and chunk.strip() == chunk for chunk in chunks), chunks
    new = files_below(tmp_path) - before
    assert all(name.startswith(("out/", "out.work/")) for name in new)


def test_hostile_samples_in_a_folder(shielded: Path, write_recipe: Write, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name, content in members(CASES):
        write(photos / name, content)
    odd = [
        "with.dots.and.more",
        "with spaces",
        "emoji 🐕",
        "-rf",
        "quote'\"s",
        "sub folder/deep.er/x",
        "x" * 200,
    ]
    for name in odd:
        write(photos / f"{name}.jpg", GOOD)
        write(photos / f"{name}.txt", TEXT)
    recipe = write_recipe(f"type: folder, path: {photos}, part_size: 10", STAGES)
    before = files_below(tmp_path)
    finished = go(recipe)

    # A line of a text file is a caption there.
    lines = {"two_lines": ["a dog", "a cat"]}
    adds_up(finished, len(CASES) + len(odd) + 1)
    names = [name for name in CASES if name not in lines]
    assert fates(recipe, names) == {name: (CASES[name].step, CASES[name].reason) for name in names}
    found = written(tmp_path / "out")
    expected = {name: the_caption(CASES[name].caption) for name in KEPT if name not in lines}
    expected |= {f"{name}_{i}": text for name, texts in lines.items() for i, text in enumerate(texts)}
    expected |= {safe_key(name): TEXT.decode() for name in odd}
    assert {key: caption for key, (_, caption, _) in found.items()} == expected
    contents = {f".../{path.name}": path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    for key, (image, _, record) in found.items():
        assert image == CASES[key].image if key in CASES else image == GOOD
        assert contents[record["source"]["uri"]] == image
    new = files_below(tmp_path) - before
    assert all(name.startswith(("out/", "out.work/")) for name in new)


NAMES = [
    "../escape",
    "../../../../../../escape",
    "/absolute/path",
    "..",
    "a/../../b",
    "C:\\windows\\x",
    "with spaces and ünïcode 🐕",
    "semi;colon&|$(id)",
    "sub/folder/name",
    "./here",
    "new\nline",
    "x" * 300,
]


def test_member_names_are_names_and_never_paths(shielded: Path, write_recipe: Write, tmp_path: Path) -> None:
    samples = []
    for number, name in enumerate(NAMES):
        samples += [
            (f"{name}.jpg", jpeg(number, (24, 16))),
            (f"{name}.txt", f"a dog number {number}".encode()),
        ]
    tar = write(tmp_path / "tars" / "a.tar", tar_bytes(samples, format=tarfile.PAX_FORMAT))
    with tarfile.open(tar, "a") as more:
        for kind, name in (
            (tarfile.SYMTYPE, "link.jpg"),
            (tarfile.LNKTYPE, "hard.jpg"),
            (tarfile.FIFOTYPE, "p.jpg"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            more.addfile(info)
    recipe = write_recipe(
        f"type: webdataset, shards: {tar}",
        STAGES,
        output="formats: [webdataset, parquet, coco], shard_size: 1GB",
    )
    before = files_below(tmp_path)
    finished = go(recipe)
    found = written(tmp_path / "out")
    numbers = {record["caption"]: image for image, _, record in found.values()}
    # ".." has no name before its first dot, so that it is no sample.
    assert numbers == {f"a dog number {n}": jpeg(n, (24, 16)) for n, name in enumerate(NAMES) if name != ".."}
    adds_up(finished, len(NAMES) - 1)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,100}", key) for key in found)
    for path in (tmp_path / "out" / "data").glob("*.tar"):
        with tarfile.open(path) as tar_file:
            for member in tar_file:
                assert "/" not in member.name and ".." not in member.name and member.name.isascii()
                assert member.isreg()
    new = files_below(tmp_path) - before
    assert all(name.startswith(("out/", "out.work/")) for name in new)


def test_what_was_kept_opens_with_webdataset_and_datasets(write_recipe: Write, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    datasets = pytest.importorskip("datasets")
    kept = {name: CASES[name] for name in KEPT}
    write(tmp_path / "a.tar", tar_bytes(members(kept)))
    recipe = write_recipe(f"type: webdataset, shards: {tmp_path}/a.tar", STAGES)
    go(recipe)
    shard = str(tmp_path / "out" / "data" / "train-00000-of-00001.tar")
    for sample in webdataset.WebDataset(shard, shardshuffle=False):
        case = CASES[sample["__key__"]]
        assert sample["jpg"] == case.image
        assert sample["txt"].decode() == the_caption(case.caption)
    decoded = {
        sample["__key__"]: sample["jpg"].size
        for sample in webdataset.WebDataset(shard, shardshuffle=False).decode("pil")
    }
    assert sorted(decoded) == KEPT
    loaded = datasets.load_dataset(
        "webdataset", data_files=shard, split="train", cache_dir=str(tmp_path / "hf")
    )
    assert sorted(loaded["__key__"]) == KEPT
    assert {row["__key__"]: row["txt"] for row in loaded} == {n: the_caption(CASES[n].caption) for n in KEPT}
    assert all(row["jpg"].convert("RGB").size for row in loaded)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
def test_offsets_are_right_in_every_normal_form(form: Any, write_recipe: Write, tmp_path: Path) -> None:
    """Captions stay as they were given; offsets count code points of just that."""
    text = unicodedata.normalize(form, "🎉 an old café, a naïve dog — and the résumé of a ﬁne señor 👩🏽‍🚀")
    write(tmp_path / "a.tar", tar_bytes([("a.jpg", GOOD), ("a.txt", text.encode())]))
    recipe = write_recipe(f"type: webdataset, shards: {tmp_path}/a.tar", STAGES)
    go(recipe)
    assert written(tmp_path / "out")["a"][1] == text
    expected = {unicodedata.normalize(form, chunk) for chunk in ("a naïve dog", "the résumé")}
    assert expected <= set(chunks_of(recipe, "a"))


@pytest.mark.parametrize(
    ("tars", "message"),
    [
        ([tar_bytes([])], "no sample is left: source gave none"),
        ([tar_bytes([]), tar_bytes([("readme", b"x"), ("__index__.json", b"{}")])], "source gave none"),
        ([tar_bytes([("a.txt", TEXT), ("b.txt", TEXT)])], "missing_image 2"),
        (
            [tar_bytes([("a.jpg", b"x"), ("a.txt", TEXT)])],
            "image_check dropped the last 1 of them (undecodable 1)",
        ),
        ([b""], "source"),
        ([b"<html>not a tar at all</html>" * 50], "truncated_archive 1"),
    ],
    ids=["empty tar", "no samples", "no images", "no good image", "no bytes", "no tar"],
)
def test_a_run_that_is_left_with_nothing_says_why(
    tars: list[bytes], message: str, write_recipe: Write, tmp_path: Path
) -> None:
    for number, data in enumerate(tars):
        write(tmp_path / "tars" / f"{number}.tar", data)
    recipe = write_recipe(f"type: webdataset, shards: {tmp_path}/tars/*.tar", STAGES[:1])
    with pytest.raises(UserError) as caught:
        go(recipe)
    assert message in str(caught.value)
    assert "Nothing was written." in str(caught.value)
    assert files_below(tmp_path / "out") <= {"recipe.yaml"}


def test_a_source_that_names_nothing_has_no_samples(write_recipe: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the source \(webdataset\) has no samples; check its paths"):
        go(write_recipe("type: webdataset, shards: []", STAGES[:1]))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stages", "source", "message"),
    [
        ([], "type: scenes", "the output needs column image_bytes"),
        (["image_check: [64]"], "type: scenes", "a stage is written"),
        (["image_check: 64"], "type: scenes", "a stage is written"),
        (["{}"], "type: scenes", "a stage is written"),
        (["null"], "type: scenes", "a stage is written"),
        (["image_check: {as: ../../x}"], "type: scenes", "'../../x' is no name for a stage"),
        (["image_check: {as: ''}"], "type: scenes", "'' is no name for a stage"),
        (["os:system"], "type: scenes", "'os:system' is no stage"),
        (["../x:Stage"], "type: scenes", "names no class"),
        (["image_check"], "type: 'os:system'", "'os:system' is no source"),
        (["image_check"], "type: [scenes]", "there is no source type"),
        (["image_check"], "type: ~", "there is no source type"),
        (["image_check"], "count: 3", "there is no source type"),
        (["image_check: {min_side: .nan}"], "type: scenes", "min_side"),
        (["image_check: {max_aspect_ratio: .nan}"], "type: scenes", "max_aspect_ratio"),
        (["image_check: {min_side: 1e400}"], "type: scenes", "min_side"),
        (["image_check"], "type: webdataset, shards: nowhere.tar", "nothing is found at nowhere.tar"),
    ],
)
def test_odd_recipes_are_refused_before_anything_runs(
    stages: list[str], source: str, message: str, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(source, stages)
    with pytest.raises(UserError) as caught:
        go(recipe)
    assert message in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [recipe.name]
