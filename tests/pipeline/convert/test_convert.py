"""The command: what it prints, what it leaves behind, and what it refuses."""

import json
import tarfile
from pathlib import Path

import pytest

from gritmill.pipeline.commands.convert import FormatName
from gritmill.pipeline.convert.convert import convert
from gritmill.pipeline.convert.registry import FORMATS, read, sniff
from gritmill.pipeline.convert.sample import FIELDS, Losses
from gritmill.schemas.errors import UserError

DOCS = Path(__file__).parents[3] / "docs" / "convert.md"


@pytest.fixture
def dataset(make_full, tmp_path):
    """Two samples of ours, as a path."""
    (tmp_path / "ours").mkdir()
    FORMATS["webdataset"].write([make_full(0), make_full(1)], tmp_path / "ours", Losses())
    return str(tmp_path / "ours")


def test_the_command_knows_all_formats():
    assert [name.value for name in FormatName] == list(FORMATS)


def test_it_tells_what_was_written_and_what_is_lost(cli, dataset, tmp_path):
    done = cli("convert", dataset, tmp_path / "out", "--to", "odvg")
    assert done.returncode == 0, done.stderr
    assert "2 samples of webdataset written as odvg" in done.stdout
    assert "left out of samples: 2, a box whose label is no part of the caption (k.0/x, k.1/x)" in done.stdout
    for field, reason in FORMATS["odvg"].loses.items():
        assert f"{field}: {reason}" in done.stdout
    notes = [json.loads(line) for line in (tmp_path / "out" / "left_out.jsonl").read_text().splitlines()]
    assert [(n["kind"], n["name"]) for n in notes] == [("part", "k.0/x"), ("part", "k.1/x")]


def test_what_cannot_be_converted_is_told_and_nothing_is_left(cli, make_full, tmp_path):
    (tmp_path / "ours").mkdir()
    FORMATS["webdataset"].write([make_full(0, told=None)], tmp_path / "ours", Losses())
    before = sorted(p.name for p in tmp_path.iterdir())
    done = cli("convert", tmp_path / "ours", tmp_path / "out", "--to", "llava")
    assert done.returncode == 2
    assert "nothing in" in done.stderr and "it has no conversations" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_target_that_is_there_is_not_touched(dataset, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    convert(dataset, str(out), "coco")
    before = content(out)
    with pytest.raises(
        UserError, match=r"holds another conversion, of 3 files; .* or replace it with --replace"
    ):
        convert(dataset, str(out), "odvg")
    assert content(out) == before


def test_another_conversion_is_replaced_if_told_so(dataset, tmp_path):
    out, plain = tmp_path / "out", tmp_path / "plain"
    convert(dataset, str(out), "coco")
    convert(dataset, str(plain), "odvg")
    convert(dataset, str(out), "odvg", replace=True)
    assert content(out) == content(plain)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("replace", [False, True])
def test_what_somebody_else_put_there_is_never_replaced(replace, dataset, tmp_path):
    out = tmp_path / "out"
    convert(dataset, str(out), "coco")
    (out / "images" / "notes.txt").write_text("mine")
    before = content(out)
    with pytest.raises(UserError, match=r"files that are not of it, such as images/notes.txt"):
        convert(dataset, str(out), "odvg", replace=replace)
    assert content(out) == before
    with pytest.raises(UserError, match="is there already and no conversion of ours"):
        convert(str(out), dataset, "odvg", replace=replace)


def test_a_replacement_that_fails_leaves_what_was_there(dataset, make_full, tmp_path):
    out = tmp_path / "out"
    convert(dataset, str(out), "coco")
    before = content(out)
    (tmp_path / "dumb").mkdir()
    FORMATS["webdataset"].write([make_full(0, told=None)], tmp_path / "dumb", Losses())
    with pytest.raises(UserError, match="nothing in"):
        convert(str(tmp_path / "dumb"), str(out), "llava", replace=True)
    assert content(out) == before


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_interrupted_conversion_leaves_nothing(dataset, tmp_path, monkeypatch):
    def stop(self, sample, name=None):
        raise KeyboardInterrupt

    monkeypatch.setattr("gritmill.pipeline.convert.writing.Pictures.put", stop)
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        convert(dataset, str(tmp_path / "out"), "coco")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_the_same_bytes_each_time(dataset, tmp_path):
    for name in FORMATS:
        for folder in ("a", "b"):
            convert(dataset, str(tmp_path / folder / name), name)
    files = [
        {p.relative_to(tmp_path / f): p.read_bytes() for p in (tmp_path / f).rglob("*") if p.is_file()}
        for f in ("a", "b")
    ]
    assert files[0] == files[1]


def test_images_can_stay_where_they_are(cli, dataset, tmp_path):
    done = cli("convert", dataset, tmp_path / "out", "--to", "coco", "--no-images")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out" / "images").exists()
    [sample, _] = read(str(tmp_path / "out"))
    assert sample.image is None


def test_a_missing_image_is_counted(make_full, tmp_path):
    sample = make_full(0)._replace(where=None)
    for name, kind in (("coco", "parts"), ("webdataset", "rows"), ("kosmos2", "rows")):
        (tmp_path / name).mkdir()
        losses = Losses()
        FORMATS[name].write([sample], tmp_path / name, losses)
        assert getattr(losses, kind)["its image is not found"] == 1


@pytest.mark.parametrize("path", ["nothing", "empty"])
def test_what_is_no_dataset_is_told_in_a_sentence(tmp_path, path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    with pytest.raises(UserError):
        sniff(str(tmp_path / path))


def test_our_shards_pass_verify_and_load(coco_mini, tmp_path, cli):
    dataset = str(tmp_path / "out")
    convert(str(coco_mini), dataset, "webdataset", "coco")
    assert cli("verify", dataset).returncode == 0
    datasets = pytest.importorskip("datasets")
    rows = datasets.load_dataset("webdataset", data_dir=f"{dataset}/data", split="train", streaming=True)
    assert [row["json"]["caption"] for row in rows] == [s.record["caption"] for s in read(dataset)]


def test_grit_loads_as_webdataset_and_as_parquet(dataset, tmp_path):
    datasets = pytest.importorskip("datasets")
    convert(dataset, str(tmp_path / "tars"), "kosmos2")
    convert(dataset, str(tmp_path / "table"), "kosmos2_parquet")
    tars = datasets.load_dataset(
        "webdataset", data_files=f"{tmp_path}/tars/*.tar", split="train", streaming=True
    )
    table = datasets.load_dataset(
        "parquet", data_files=f"{tmp_path}/table/*.parquet", split="train", streaming=True
    )
    for beside, row in zip(tars, table, strict=True):
        assert beside["json"]["noun_chunks"] == row["noun_chunks"]
        assert row["url"] == "https://example.org/a.jpg" and row["id"] == 7


def test_large_sets_are_cut_into_shards(make_full, tmp_path, monkeypatch):
    monkeypatch.setattr("gritmill.pipeline.convert.formats.webdataset.SHARD_SIZE", 1_000)
    monkeypatch.setattr("gritmill.pipeline.convert.formats.kosmos2.SHARD_SAMPLES", 2)
    for name, expected in (
        ("webdataset", [f"validation-{i:05d}-of-00005.tar" for i in range(5)]),
        ("kosmos2", ["00000.tar", "00001.tar", "00002.tar"]),
    ):
        (tmp_path / name).mkdir()
        assert FORMATS[name].write((make_full(n) for n in range(5)), tmp_path / name, Losses()) == 5
        tars = sorted((tmp_path / name).rglob("*.tar"))
        assert [tar.name for tar in tars] == expected
        assert all(tarfile.is_tarfile(tar) for tar in tars)
        assert len(list(read(str(tmp_path / name)))) == 5


def test_the_page_lists_every_format_and_all_it_loses():
    text = DOCS.read_text(encoding="utf-8")
    for name, format in FORMATS.items():
        assert f"### `{name}`: {format.title}\n" in text
        section = text.split(f"### `{name}`: ")[1].split("\n### ")[0]
        listed = [line for line in section.splitlines() if line.startswith("- ")]
        assert listed == [f"- {field}: {reason}" for field, reason in format.loses.items()]
    for field, meaning in FIELDS.items():
        assert f"| {field} | {meaning} |" in text
