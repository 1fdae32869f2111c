"""`verify` on good shards, ours and others', and on every kind of broken one."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.storage.checksums import format_sums
from gritmill.pipeline.verify import KINDS, render, verify
from gritmill.schemas.boxes import Box, Point
from gritmill.schemas.columns import GroundedBox, ImageRef, Span
from gritmill.schemas.conversations import Conversation, Phrase, Turn, TurnRegion, to_json
from gritmill.schemas.errors import UserError


def encode(image, image_format="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def rotated(size):
    """A JPEG stored as `size` that a viewer stands on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(Image.new("RGB", size), exif=exif)


def bomb():
    """A PNG whose header announces 100,000 x 100,000 pixels."""
    png = bytearray(PNG)
    png[16:24] = (100_000).to_bytes(4, "big") * 2
    png[29:33] = __import__("zlib").crc32(png[12:29]).to_bytes(4, "big")
    return bytes(png)


JPEG = encode(Image.effect_noise((40, 30), 50).convert("RGB"))
PNG = encode(Image.new("RGB", (40, 30)), "PNG")
REGION = [0, 5, 0.1, 0.2, 0.3, 0.4, 0.9]
RECORD = {"key": "0", "caption": "a dog", "width": 40, "height": 30, "noun_chunks": [REGION]}


def sample(key="0", image=JPEG, text=b"a dog", **record):
    """The members of a good sample, but for what is given."""
    return [
        (f"{key}.jpg", image),
        (f"{key}.json", json.dumps(RECORD | record).encode()),
        (f"{key}.txt", text),
    ]


def link(name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return (info, b"")


def tar(members, **options):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def found(path, **options):
    report = verify([str(path)], jobs=1, **options)
    assert all(finding.message for finding in report.findings.listed)
    return dict(report.findings.counts)


TALK = [
    Turn("human", "rec", "<image>\nWhere?", [], []),
    Turn("assistant", "rec", "<region:0>", [TurnRegion([Box(0, 0, 1, 1)])], []),
]
OURS = {
    "image_id": "7",
    "split": "train",
    "image_format": "jpeg",
    "source": {"uri": "x.tar", "offset": 0, "length": 9},
    "captions": ["a dog"],
    "metadata": "{}",
}
"""The fields that make a record one of ours."""


def talk(*turns):
    return {"conversations": to_json([Conversation(list(turns))])}


FORMAT_1 = (
    '[{"turns":[{"role":"human","task":"rec","text":"<image>\\nWhere?","regions":[],"phrases":[]},'
    '{"role":"assistant","task":"rec","text":"<region:0>","regions":[[[0,0,1,1]]],"phrases":[]}]}]'
)


GOOD = {
    "our conversations": sample(conversations=to_json([Conversation(TALK)])),
    "a region that is nowhere": sample(**talk(TALK[0], TALK[1]._replace(regions=[TurnRegion()]))),
    "points": sample(**talk(TALK[0], TALK[1]._replace(regions=[TurnRegion(points=[Point(0.5, 1)])]))),
    "all roles": sample(
        **talk(
            Turn("system", "", "You look closely.", [], []),
            TALK[0],
            *(Turn(role, "", "Hm.", [], []) for role in ("thought", "action", "tool")),
            TALK[1],
        )
    ),
    "conversations of format 1": sample(conversations=FORMAT_1),
    "LLaVA's conversations": sample(conversations=[{"from": "human", "value": "<region:7>"}]),
    "all fields of ours": sample(**OURS),
    "ours": sample(ref_exps=[REGION], boxes=[{"model": "m", "phrase": "a dog"}], image_format="jpeg"),
    "img2dataset": sample(url="u", status="success", exif="{}", sha256="x"),
    "captions in text only": [("a.png", PNG), ("a.txt", b"a dog"), ("b.png", PNG), ("b.txt", b"\xc3\xa9")],
    "conversations": [("a.jpg", JPEG), ("a.json", b'[{"from": "human", "value": "<image>\\nhi"}]')],
    "several images": [("a.left.jpg", JPEG), ("a.right.PNG", PNG), ("a.json", b'{"width": 1, "height": 1}')],
    "arrays": [("a.npy", b"\x93NUMPY"), ("a.cls", b"7")],
    "folders": [("./x/a.jpg", JPEG), ("./x/b.jpg", JPEG)],
    "a PNG named .jpg": sample(image=PNG),
    "long names": [("n" * 150 + ".jpg", JPEG), ("é" * 150 + ".jpg", JPEG)],
    "rotated": sample(image=rotated((40, 30)), width=30, height=40),
    "the box is the image": sample(noun_chunks=[[0, 5, 0, 0, 1, 1, 1]]),
    "emoji counts as characters": sample(
        caption="👩‍👩‍👧 é", text="👩‍👩‍👧 é".encode(), noun_chunks=[[6, 7, *REGION[2:]]]
    ),
}


@pytest.mark.parametrize("members", GOOD.values(), ids=GOOD)
def test_good_samples(members, tmp_path):
    (tmp_path / "x.tar").write_bytes(tar(members))
    assert found(tmp_path) == {}


def one(*values):
    return [[*REGION[: len(REGION) - len(values)], *values]] if len(values) < 7 else [list(values)]


BROKEN = {
    "empty archive": ([], {"no_samples": 1}),
    "nothing a reader takes": ([("README", b"x")], {"no_samples": 1, "no_extension": 1}),
    "parent folder": (sample("../../etc/0"), {"unsafe_name": 3}),
    "absolute": (sample("/etc/0"), {"unsafe_name": 3}),
    "link": ([*sample(), link("1.jpg", "/etc/passwd")], {"not_a_file": 1}),
    "member twice": ([*sample(), ("0.TXT", b"")], {"duplicate_member": 1}),
    "key twice": ([*sample("0"), *sample("1"), *sample("0")], {"duplicate_key": 1}),
    "members apart": (
        [*sample("0")[:1], *sample("1"), *sample("0")[1:], *sample("2"), *sample("3")],
        {"duplicate_key": 1, "member_set": 2},
    ),
    "member lacks": ([*sample("0")[:2], *sample("1"), *sample("2")], {"member_set": 1}),
    "truncated image": (sample(image=JPEG[:-200]), {"image_undecodable": 1}),
    "empty image": (sample(image=b""), {"image_undecodable": 1}),
    "not an image": (sample(image=b"<html>"), {"image_undecodable": 1}),
    "a program for Ghostscript": (
        sample(image=b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 64\n"),
        {"image_undecodable": 1},
    ),
    "bomb": (sample(image=bomb()), {"image_too_large": 1}),
    "wrong width": (sample(width=41), {"wrong_size": 1}),
    "width is text": (sample(width="40"), {"wrong_size": 1}),
    "size before orientation": (sample(image=rotated((40, 30))), {"size_before_orientation": 1}),
    "wrong format": (sample(image_format="png"), {"wrong_format": 1}),
    "Latin-1": (sample(text=b"caf\xe9"), {"not_utf8": 1}),
    "Latin-1 json": ([*sample()[:1], ("0.json", b'"\xe9"')], {"not_utf8": 1}),
    "half a json": ([*sample()[:1], ("0.json", b'{"caption"')], {"not_json": 1}),
    "deep json": ([*sample()[:1], ("0.json", b"[" * 100_000)], {"not_json": 1}),
    "NaN": (sample(similarity=float("nan")), {"json_constant": 1}),
    "empty caption": ([("0.jpg", JPEG), ("0.txt", b" \n")], {"empty_caption": 1}),
    "two captions": (sample(text=b"a cat"), {"captions_differ": 1}),
    "no list": (sample(noun_chunks={"a": 1}), {"malformed_region": 1}),
    "six numbers": (sample(noun_chunks=[REGION[:6]]), {"malformed_region": 1}),
    "half an offset": (sample(noun_chunks=one(0, 4.5, 0, 0, 1, 1, 1)), {"malformed_region": 1}),
    "huge number": (sample(noun_chunks=one(10**400)), {"malformed_region": 1}),
    "span too long": (sample(noun_chunks=one(0, 6, 0, 0, 1, 1, 1)), {"span_outside": 1}),
    "span before": (sample(noun_chunks=one(-1, 3, 0, 0, 1, 1, 1)), {"span_outside": 1}),
    "empty span": (sample(noun_chunks=one(3, 3, 0, 0, 1, 1, 1)), {"span_outside": 1}),
    "no caption": ([("0.json", b'{"noun_chunks": [[0, 1, 0, 0, 1, 1, 1]]}')], {"span_outside": 1}),
    "NaN in a box": (
        sample(noun_chunks=one(float("nan"), 0.4, 0.9)),
        {"box_not_finite": 1, "json_constant": 1},
    ),
    "box in pixels": (sample(noun_chunks=one(10, 20, 30, 40, 0.9)), {"box_outside": 1}),
    "box below zero": (sample(noun_chunks=one(-0.01, 0.2, 0.3, 0.4, 0.9)), {"box_outside": 1}),
    "inverted box": (sample(noun_chunks=one(0.3, 0.2, 0.1, 0.4, 0.9)), {"box_without_area": 1}),
    "empty box": (sample(noun_chunks=one(0.1, 0.2, 0.1, 0.4, 0.9)), {"box_without_area": 1}),
    "infinite score": (
        sample(noun_chunks=one(float("inf"))),
        {"score_not_finite": 1, "json_constant": 1},
    ),
    "fewer expressions": (sample(ref_exps=[]), {"not_parallel": 1}),
    "other boxes": (sample(ref_exps=one(0.5, 0.9)), {"not_parallel": 1}),
    "fewer sources": (sample(boxes=[]), {"not_parallel": 1}),
    "no conversation": (sample(conversations="[{}]"), {"malformed_conversation": 1}),
    "no answer": (sample(**talk(TALK[0])), {"malformed_conversation": 1}),
    "a lost region": (
        sample(**talk(TALK[0], TALK[1]._replace(regions=[]))),
        {"placeholder_without_box": 1},
    ),
    "a lost region after one": (
        sample(**talk(TALK[0], TALK[1]._replace(text="<region:1>"))),
        {"placeholder_without_box": 1, "box_without_placeholder": 1},
    ),
    "a tool without a call": (
        sample(**talk(TALK[0], Turn("tool", "ocr", "STOP", [], []), TALK[1])),
        {"malformed_conversation": 1},
    ),
    "a point beside the image": (
        sample(**talk(TALK[0], TALK[1]._replace(regions=[TurnRegion(points=[Point(0.5, 1.5)])]))),
        {"malformed_conversation": 1},
    ),
    "a phrase without boxes": (
        sample(**talk(TALK[0], Turn("assistant", "caption", "a dog", [], [Phrase(Span(0, 5), [])]))),
        {"placeholder_without_box": 1},
    ),
    "a region nobody mentions": (
        sample(**talk(TALK[0], TALK[1]._replace(text="There."))),
        {"box_without_placeholder": 1},
    ),
    "no image in the text": (
        sample(**talk(TALK[0]._replace(text="Where?"), TALK[1])),
        {"image_placeholder": 1},
    ),
    "an image in the answer": (
        sample(**talk(TALK[0], TALK[1]._replace(text="<image> <region:0>"))),
        {"image_placeholder": 1},
    ),
    "a field lacks": (sample(**{**OURS, "source": {"uri": "x"}}), {"wrong_field": 2}),
    "a field of another type": (sample(**{**OURS, "captions": "a dog"}), {"wrong_field": 1}),
    "metadata that is no JSON": (sample(**{**OURS, "metadata": "{"}), {"wrong_field": 1}),
}


@pytest.mark.parametrize(("members", "kinds"), BROKEN.values(), ids=BROKEN)
def test_broken_samples(members, kinds, tmp_path):
    (tmp_path / "x.tar").write_bytes(tar(members))
    assert found(tmp_path) == kinds


WHOLE = tar([*sample("0"), *sample("1")])
SAMPLE_BYTES = 3 * 512 + sum(-(-len(content) // 512) * 512 for _, content in sample())


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (WHOLE, {}),
        (gzip.compress(WHOLE, mtime=0), {}),
        (b"", {"broken_tar": 1}),
        (b"not a tar" * 1000, {"broken_tar": 1}),
        (WHOLE[:100], {"broken_tar": 1}),
        (WHOLE[:600], {"broken_tar": 1}),
        (WHOLE[:SAMPLE_BYTES], {"broken_tar": 1}),  # between two samples: only the end mark is missing
        (WHOLE[: SAMPLE_BYTES + 300], {"broken_tar": 1}),
        (gzip.compress(WHOLE, mtime=0)[:-300], {"broken_tar": 1}),
        (WHOLE[:SAMPLE_BYTES] + b"\x01" + WHOLE[SAMPLE_BYTES + 1 :], {"broken_tar": 1}),
        (WHOLE + WHOLE, {"after_end": 1}),
    ],
)
def test_damaged_archives(content, kinds, tmp_path):
    (tmp_path / "x.tar").write_bytes(content)
    assert found(tmp_path) == kinds


def test_large_members_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("gritmill.pipeline.verify.shard.MAX_TEXT", 10)
    (tmp_path / "x.tar").write_bytes(tar(sample()))
    assert found(tmp_path) == {"too_large": 1}


def test_an_extended_header_has_a_limit(tmp_path):
    name = "n" * (2 << 20) + ".jpg"
    (tmp_path / "x.tar").write_bytes(tar([(name, JPEG)], format=tarfile.GNU_FORMAT))
    assert found(tmp_path) == {"broken_tar": 1}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_the_bytes_there_is_a_report(tmp_path, changes):
    content = bytearray(WHOLE)
    for place, value in changes:
        content[place] = value
    (tmp_path / "x.tar").write_bytes(content)
    assert set(found(tmp_path)) <= set(KINDS)


def noise(seed):
    """An image like no other."""
    return encode(Image.frombytes("RGB", (40, 30), random.Random(seed).randbytes(3600)))


def write_run(folder, shards=3, extension="jpg", split="train"):
    """Shards as a run leaves them, with SHA256SUMS above."""
    sums = {}
    for shard in range(shards):
        buffer = io.BytesIO()
        writer = FORMATS["webdataset"].writer(buffer, extension)
        for i in range(4):
            caption = "a dog in a field"
            columns = {
                "key": f"{shard:03d}{i:03d}",
                "image_id": f"{split}{shard}{i}",
                "caption": caption,
                "captions": [],
                "metadata": "",
                "image": SimpleNamespace(ref=ImageRef("x", 0, 1)),
                "width": 40,
                "height": 30,
                "image_format": "jpeg",
                "split": split,
                "boxes": [GroundedBox(Span(0, 5), Box(0.1, 0.2, 0.3, 0.4), 0.9, "m", "a dog")],
                "ref_exps": [Span(0, 16)],
            }
            writer.add(columns, noise(f"{split}{shard}{i}"))
        writer.close()
        path = FORMATS["webdataset"].path(split, shard, shards)
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(buffer.getvalue())
        sums[path] = hashlib.sha256(buffer.getvalue()).hexdigest()
    (folder / "SHA256SUMS").write_bytes(format_sums(sums))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_whole_run(jobs, tmp_path):
    write_run(tmp_path)
    seen = []
    report = verify([str(tmp_path)], jobs=jobs, on_shard=lambda shard: seen.append(shard.shard))
    assert report.ok
    assert not report.findings.counts
    assert (report.shards, report.samples, report.images, report.regions) == (3, 12, 12, 12)
    assert (report.checksums, report.shards_in_key_order) == (3, 3)
    assert seen == sorted(map(str, tmp_path.glob("data/*.tar")))


def test_processes_do_not_change_the_report(tmp_path):
    write_run(tmp_path)
    for i, path in enumerate(sorted(tmp_path.glob("data/*.tar"))):
        path.write_bytes(path.read_bytes()[: 1000 + 3000 * i])
    report = verify([str(tmp_path)], jobs=2)
    assert report == verify([str(tmp_path)], jobs=1)
    assert report.findings.counts == Counter(broken_tar=3, checksum=3)


CRASHING_CODEC = """
import os
import PIL.Image

original = PIL.Image.open

def crash(file, **options):
    if file.getvalue() == b"crash":
        os._exit(11)
    return original(file, **options)

PIL.Image.open = crash
"""


def test_a_shard_that_kills_its_process_costs_no_other(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(CRASHING_CODEC)  # what a new interpreter runs first
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for i, image in enumerate([JPEG, b"crash", JPEG, b"", JPEG]):
        (tmp_path / f"{i}.tar").write_bytes(tar(sample(image=image)))
    report = verify([str(tmp_path)], jobs=2)
    assert [(f.kind, f.shard[-5:]) for f in report.findings.listed] == [
        ("crashed", "1.tar"),
        ("image_undecodable", "3.tar"),
    ]
    assert (report.shards, report.images) == (5, 4)


def test_splits_may_differ_in_their_extension(tmp_path):
    write_run(tmp_path)
    write_run(tmp_path, 1, "png", "validation")
    assert found(tmp_path) == {"not_in_sums": 3}
    assert found(tmp_path / "data" / "validation-*.tar") == {}


def member(key, image, image_id, **record):
    return sample(key, image, image_id=image_id, **record)


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (("train-00000-of-00001.tar", "test-00000-of-00001.tar"), True),
        (("grit_train.tar", "grit_val.tar"), True),
        (("train/00000.tar", "validation/00000.tar"), True),
        (("train-00000-of-00002.tar", "train-00001-of-00002.tar"), False),
        (("a/train-0.tar", "b/test-0.tar"), False),
        (("00000.tar", "00001.tar"), False),
        (("trains-0.tar", "contest-0.tar"), False),
    ],
)
def test_an_image_in_two_splits(names, kinds, tmp_path):
    """Once by its bytes under another id, once by its id with other bytes, once not at all."""
    first = [*member("0", noise(0), "a"), *member("1", noise(1), "b"), *member("2", noise(2), "c")]
    second = [*member("5", noise(0), "x"), *member("6", noise(6), "b"), *member("7", noise(7), "z")]
    for name, members in zip(names, (first, second)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(tar(members))
    report = verify([str(tmp_path)], jobs=1)
    leaks = {f.kind: {f.key, f.message.split()[-1]} for f in report.findings.listed}
    expected = {"image_in_two_splits": {"0", "5"}, "image_id_in_two_splits": {"1", "6"}}
    assert leaks == (expected if kinds else {})
    assert report.ok is not kinds


def test_an_image_is_told_of_once_for_each_further_split(tmp_path):
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}-0.tar").write_bytes(tar([*sample("0"), *sample("1")]))
    assert found(tmp_path) == {"image_in_two_splits": 2}


def test_samples_without_image_are_in_no_two_splits(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}-0.tar").write_bytes(tar([("0.txt", b"a dog")]))
    assert found(tmp_path) == {}


def test_a_shard_under_another_name(tmp_path):
    (tmp_path / "test-0.tar").write_bytes(tar([*sample("0", **OURS), *sample("1", **OURS, width=40)]))
    (tmp_path / "grit-train.tar").write_bytes(
        tar([*sample("0", image=noise(1), **{**OURS, "image_id": "8"})])
    )
    assert found(tmp_path) == {"wrong_split": 2}


def test_other_files_of_a_dataset(tmp_path):
    write_run(tmp_path)
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "train.json").write_bytes(b"{}")
    with (tmp_path / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256(b'{}').hexdigest()}  coco/train.json\n")
    report = verify([str(tmp_path)], jobs=1)
    assert report.ok and (report.shards, report.files, report.checksums) == (3, 1, 4)
    (tmp_path / "coco" / "train.json").write_bytes(b"[]")
    assert found(tmp_path) == {"checksum": 1}
    (tmp_path / "coco" / "train.json").unlink()
    assert found(tmp_path) == {"missing_file": 1}
    assert found(tmp_path / "data") == {}


def test_a_dataset_without_shards(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"x")
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'x').hexdigest()}  train.parquet\n")
    report = verify([str(tmp_path)])
    assert report.ok and (report.shards, report.files, report.checksums) == (0, 1, 1)


@pytest.mark.parametrize(
    ("members", "status"), [(sample(), 0), (sample(text=b"a cat"), 0), (sample(width=7), 1)]
)
def test_json_and_exit_status(members, status, tmp_path, cli):
    (tmp_path / "x.tar").write_bytes(tar(members))
    done = cli("verify", tmp_path, "--json")
    assert done.returncode == status, done.stderr
    told = json.loads(done.stdout)
    assert told == verify([str(tmp_path)]).to_dict()
    assert told["ok"] is (status == 0)
    assert (told["shards"], told["samples"], told["errors"]) == (1, 1, status)
    if status:
        assert told["counts"] == {"wrong_size": 1}
        [finding] = told["findings"]
        assert finding["severity"] == "error" and finding["shard"].endswith("x.tar") and finding["key"] == "0"


def test_the_users_mistake_has_a_status_of_its_own(tmp_path, cli):
    done = cli("verify", tmp_path, "--json")
    assert done.returncode == 2 and done.stdout == ""


def test_shards_of_a_split_may_not(tmp_path):
    write_run(tmp_path, 1, "jpg")
    (tmp_path / "data" / "train-00000-of-00001.tar").rename(tmp_path / "data" / "train-00001-of-00002.tar")
    write_run(tmp_path, 2, "png")
    (tmp_path / "data" / "train-00001-of-00002.tar").write_bytes(tar([*sample("8"), *sample("9")]))
    assert found(tmp_path) == {"checksum": 1, "member_set": 2}


def test_more_member_sets_than_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("gritmill.pipeline.verify.shard.MAX_MEMBER_SETS", 2)
    members = [(f"{i}.{extension}", b"") for i, extension in enumerate(["a", "b", "c", "a", "d"])]
    (tmp_path / "x.tar").write_bytes(tar(members))
    assert found(tmp_path) == {"member_set": 3}


def test_checksums_beside_the_shards(tmp_path):
    (tmp_path / "x.tar").write_bytes(WHOLE)
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  x.tar\n")
    assert found(tmp_path / "x.tar") == {"checksum": 1}
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(WHOLE).hexdigest()} *./x.tar\n")
    assert found(tmp_path / "x.tar") == {}


@pytest.mark.parametrize(
    ("present", "asked", "kinds"),
    [
        (["a-00000-of-00002", "a-00001-of-00002"], "*", {}),
        (["a-00000-of-00003", "a-00002-of-00003"], "*", {"missing_shard": 1}),
        (["a-00000-of-00002", "a-00001-of-00002"], "a-00001*", {}),
        (["a-00000-of-00002"], "a-00000*", {"missing_shard": 1}),
        (["a-00000-of-00001", "b-00000-of-00002"], "a*", {}),
        (["a-00000-of-00001", "a-00000-of-00002", "a-00001-of-00002"], "*", {"mixed_series": 1}),
        (["00000", "00007"], "*", {}),
    ],
)
def test_series_of_shards(present, asked, kinds, tmp_path):
    for name in present:
        (tmp_path / f"{name}.tar").write_bytes(WHOLE)
    assert found(tmp_path / f"{asked}.tar") == kinds


@pytest.mark.parametrize("asked", ["", "*", "*.tar"])
def test_unfinished_files_are_no_shards(asked, tmp_path):
    (tmp_path / "x.tar").write_bytes(WHOLE)
    (tmp_path / ".tmp-0123-y.tar").write_bytes(WHOLE[:600])
    assert found(tmp_path / asked) == {}


def test_a_shard_that_is_not_there(tmp_path):
    assert found(tmp_path / "x.tar") == {"unreadable": 1}


@pytest.mark.parametrize("url", ["", "*.tar", "nowhere/"])
def test_no_shards_is_the_users_mistake(url, tmp_path):
    with pytest.raises(UserError, match="no shards"):
        verify([f"{tmp_path}/{url}"])


def test_any_fsspec_filesystem():
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/run/data/a-00000-of-00002.tar", WHOLE)
    memory.pipe("/run/SHA256SUMS", f"{'0' * 64}  data/a-00000-of-00002.tar\n".encode())
    assert found("memory://run/data/*.tar") == {"checksum": 1, "missing_shard": 1}
    memory.rm("/run", recursive=True)


def test_the_first_of_each_kind_are_listed_and_all_are_counted(tmp_path):
    for shard in range(3):
        members = [member for i in range(5) for member in sample(f"{shard}-{i}", width=1, text=b"x")]
        (tmp_path / f"{shard}.tar").write_bytes(tar(members))
    report = verify([str(tmp_path)], jobs=1, limit=7)
    assert report.findings.counts == Counter(wrong_size=15, captions_differ=15)
    assert (report.errors, report.warnings, report.ok) == (15, 15, False)
    sizes = [finding.key for finding in report.findings.listed if finding.kind == "wrong_size"]
    assert sizes == ["0-0", "0-1", "0-2", "0-3", "0-4", "1-0", "1-1"]
    assert "... and 8 more" in render(report)


def test_the_report_is_safe_to_print(tmp_path):
    (tmp_path / "x.tar").write_bytes(tar(sample("\x1b[31m\n0", width=7)))
    text = render(verify([str(tmp_path)], jobs=1))
    assert "\x1b" not in text
    assert "\\x1b[31m\\n0" in text
    assert text.isprintable() or {c for c in text if not c.isprintable()} == {"\n"}
