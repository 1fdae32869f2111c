import json
import math
from pathlib import Path

import pytest

from gritmill.pipeline.view.shards import MAX_RECORD, ShardSamples
from gritmill.pipeline.view.side import open_side
from gritmill.schemas.errors import UserError
from tests.pipeline.view.conftest import picture, record


def grown(*shards: Path) -> ShardSamples:
    samples = ShardSamples(list(map(str, shards)))
    samples.grow(math.inf)
    return samples


def test_a_sample_of_ours(write_shard):
    samples = grown(write_shard(record("1_0", "a dog in a field", (0, 5, 0.83))))
    entry = samples.entry(0)
    assert entry["key"] == "1_0" and entry["caption"] == "a dog in a field" and entry["reason"] is None
    assert entry["phrases"] == [
        {
            "start": 0,
            "end": 5,
            "boxes": [
                {
                    "box": [0.1, 0.2, 0.5, 0.9],
                    "score": 0.83,
                    "model": "m@1",
                    "phrase": "a dog",
                    "checks": {},
                }
            ],
        }
    ]
    assert samples.size(0) == (40, 30)
    assert samples.image(0) == picture()


@pytest.mark.parametrize(
    ("members", "caption", "turns"),
    [
        ({"7.jpg": picture(), "7.txt": b"a cat"}, "a cat", []),  # img2dataset, no json
        ({"7.json": b'{"url": "http://x"}', "7.txt": b"a cat", "7.png": picture(kind="PNG")}, "a cat", []),
        ({"7.jpg": picture(), "7.json": b'{"caption": "a dog"}', "7.txt": b"a cat"}, "a dog", []),
        ({"7.jpg": picture()}, "", []),
        (
            {
                "7.jpg": picture(),
                "7.json": b'{"conversations": [{"from": "human", "value": "<image>\\nWhat?"}, '
                b'{"from": "gpt", "value": "A dog."}]}',
            },
            "",
            [("human", "<image>\nWhat?"), ("assistant", "A dog.")],
        ),
        ({"7.jpg": picture(), "7.seg.png": b"no caption", "7.cls": b"3", "7.txt": b"a cat"}, "a cat", []),
    ],
)
def test_samples_of_other_people(write_shard, members, caption, turns):
    samples = grown(write_shard(members=members))
    [entry] = samples.entries(0)
    assert entry and entry["reason"] is None
    assert (entry["key"], entry["caption"]) == ("7", caption)
    assert [(turn["role"], turn["text"]) for turn in entry["turns"]] == turns
    assert samples.size(0) == (40, 30)


def test_the_released_fields_of_grit(write_shard):
    released = {
        "clip_similarity_vitb32": 0.35,
        "url": "https://x/1.jpg",
        "key": "000373938",
        "caption": "a wire hanger with a paper cover",
        "width": 1024,
        "height": 693,
        "noun_chunks": [[19, 32, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929]],
        "ref_exps": [[0, 32, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929]],
    }
    entry = grown(write_shard(released)).entry(0)
    assert [(p["start"], p["end"], p["boxes"][0]["score"]) for p in entry["phrases"]] == [(0, 32, 0.7929)]
    assert entry["provenance"]["clip_similarity_vitb32"] == 0.35


HOSTILE: dict[str, bytes] = {
    "no JSON": b"{",
    "not UTF-8": b'{"caption": "\xff"}',
    "a list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "a huge number": b'{"width": ' + b"9" * 5000 + b"}",
    "NaN in what is only shown": b'{"caption": "a dog", "similarity": NaN}',
    "no region": b'{"caption": "a dog", "noun_chunks": ["x"]}',
    "chunks that are no list": b'{"caption": "a dog", "noun_chunks": 7}',
    "boxes not parallel": b'{"caption": "", "noun_chunks": [], "boxes": [{"model": "m", "phrase": "p"}]}',
    "a box of no text": b'{"caption": "a dog", "noun_chunks": [[0,5,0,0,1,1,1]], '
    b'"boxes": [{"model": {}, "phrase": 1}]}',
    "checks that are none": b'{"caption": "a dog", "noun_chunks": [[0,5,0,0,1,1,1]], '
    b'"boxes": [{"model": "m", "phrase": "p", "checks": ["agreement"]}]}',
    "a check of no truth": b'{"caption": "a dog", "noun_chunks": [[0,5,0,0,1,1,1]], '
    b'"boxes": [{"model": "m", "phrase": "p", "checks": {"agreement": 1}}]}',
    "a key that is none": b'{"key": ["x"], "caption": ""}',
    "conversations that are none": b'{"caption": "", "conversations": "[{]"}',
    "turns that are none": b'{"caption": "", "conversations": [1, {"from": null}]}',
    "annotations that are none": b'{"caption": "", "annotations": [{"label": 1}]}',
    "too large": b'{"caption": "' + b"x" * MAX_RECORD + b'"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_record_that_cannot_be_shown_says_so_and_costs_nothing_else(write_shard, name):
    members = {
        "1.jpg": picture(),
        "1.json": HOSTILE[name],
        "2.jpg": picture(),
        "2.json": b'{"caption": "a cat"}',
    }
    samples = grown(write_shard(members=members))
    bad, good = samples.entry(0), samples.entry(1)
    json.dumps(bad, allow_nan=False)
    assert bad["reason"] in ("bad_json", "bad_record") and bad["value"] and bad["key"] == "1"
    assert good["caption"] == "a cat" and good["reason"] is None
    assert samples.size(0) == (40, 30)


@pytest.mark.parametrize("region", ["[0, 5, NaN, 0, 1, 1, 0.5]", "[0, 5, 0, 0, 1, 1, 1e999]"])
def test_numbers_that_are_none_never_reach_the_page(write_shard, region):
    members = {"1.jpg": picture(), "1.json": f'{{"caption": "a dog", "noun_chunks": [{region}]}}'.encode()}
    entry = grown(write_shard(members=members)).entry(0)
    json.dumps(entry, allow_nan=False)
    assert entry["caption"] == "a dog"


@pytest.mark.parametrize("told", [{"width": -1, "height": 5}, {"width": 10**9, "height": 1}, {"width": "x"}])
def test_a_size_that_is_none_is_measured(write_shard, told):
    assert grown(write_shard(record("1", "") | told)).size(0) == (40, 30)


@pytest.mark.parametrize("image", [b"", b"no image", picture()[:100], b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_an_image_that_is_none_has_no_size(write_shard, image):
    samples = grown(write_shard(members={"1.jpg": image, "1.txt": b"a dog"}))
    assert samples.entry(0)["caption"] == "a dog"
    if image[:2] != b"\xff\xd8":  # the header of a cut image still tells its size
        with pytest.raises(OSError, match=r"image"):
            samples.size(0)


def test_a_damaged_shard_shows_what_is_whole_and_says_so(write_shard):
    records = [record(str(i), "a dog") for i in range(5)]
    broken, whole = write_shard(*records), write_shard(record("9", "a cat"), name="00001.tar")
    broken.write_bytes(broken.read_bytes()[:7000])
    samples = grown(broken, whole)
    assert [row.key for row in samples.rows] == ["0", "1", "9"]
    assert len(samples.notes) == 1 and samples.notes[0].startswith("00000.tar: ")


def test_only_what_is_looked_at_is_opened(write_shard):
    shards = [write_shard(record(f"{n}", "a dog"), name=f"{n}.tar") for n in range(3)]
    samples = ShardSamples(list(map(str, shards)))
    samples.grow(math.inf, rows=1)
    assert len(samples.rows) == 1 and not samples.is_complete
    shards[2].unlink()
    samples.grow(math.inf)
    assert [row.key for row in samples.rows] == ["0", "1"] and samples.is_complete
    assert samples.notes[0].startswith("2.tar: ")


def test_growing_stops_when_the_time_is_over(write_shard):
    samples = ShardSamples([str(write_shard(*(record(str(i), "") for i in range(50))))])
    samples.grow(0)
    assert len(samples.rows) == 1
    samples.grow(0)
    assert len(samples.rows) == 2


@pytest.mark.parametrize("make", [lambda f: f / "nothing", lambda f: f, lambda f: f / "*.tar"])
def test_nothing_to_see_is_said(tmp_path, make):
    with pytest.raises(UserError):
        open_side(str(make(tmp_path)))


def test_a_shard_without_samples_is_said(write_shard):
    with pytest.raises(UserError, match="no samples"):
        open_side(str(write_shard(members={"README": b"x"})))


def test_a_compressed_shard_is_said(write_shard, tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"\x1f\x8b" + bytes(1000))
    with pytest.raises(UserError, match="compressed with gzip"):
        open_side(str(path))
