"""Ours to each format and back: what a format says it keeps is kept, and what it says it loses is lost."""

import math
import weakref

import pytest

from gritmill.pipeline.convert.registry import FORMATS, read, sniff
from gritmill.pipeline.convert.sample import FIELDS, Losses

# Half of the finest step that the format can say, of 640 pixels.
ROUNDING = {"coco": 0.005 / 480, "fiftyone": 0.005 / 480, "odvg": 0.0005 / 480, "label_studio": 1e-12}

GET = {
    "image": lambda s: s.image,
    "key": lambda s: s.record["key"],
    "caption": lambda s: s.record["caption"],
    "captions": lambda s: s.record["captions"],
    "size": lambda s: (s.record["width"], s.record["height"]),
    "noun_chunks": lambda s: [b.span for b in s.grounded],
    "ref_exps": lambda s: s.expressions,
    "boxes": lambda s: [b.box for b in s.grounded],
    "scores": lambda s: [b.score for b in s.grounded],
    "masks": lambda s: s.record.get("masks"),
    "models": lambda s: [b.model for b in s.grounded],
    "phrases": lambda s: [b.phrase for b in s.grounded],
    "image_id": lambda s: s.record["image_id"],
    "split": lambda s: s.record["split"],
    "image_format": lambda s: s.record["image_format"],
    "source": lambda s: s.record["source"],
    "metadata": lambda s: s.record["metadata"],
    "conversations": lambda s: [talk.turns for talk in s.conversations],
    "provenance": lambda s: s.record.get("provenance"),
    "annotations": lambda s: s.record.get("annotations"),
}


def same(field, before, after, rounding):
    before, after = GET[field](before), GET[field](after)
    if field == "boxes":
        return len(before) == len(after) and all(
            math.isclose(x, y, rel_tol=0, abs_tol=2 * rounding + 1e-15)
            for a, b in zip(before, after)
            for x, y in zip(a, b)
        )
    return before == after


def written(name, samples, folder):
    folder.mkdir()
    losses = Losses()
    count = FORMATS[name].write(samples, folder, losses, True)
    return count, losses


def test_every_field_has_a_getter():
    assert list(GET) == list(FIELDS)
    for format in FORMATS.values():
        assert set(format.loses) <= set(FIELDS)


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip(name, make_full, tmp_path):
    before = [make_full(0), make_full(1)]
    count, losses = written(name, before, tmp_path / "out")
    assert count == 2 and not losses.rows
    path = str(tmp_path / "out")
    assert sniff(path) == name
    back = Losses()
    after = list(read(path, losses=back))
    assert not back.rows and not back.parts
    rounding = ROUNDING.get(name, 0.0)
    # A format that takes samples apart is held to the first of what each becomes.
    firsts = after[:: len(after) // 2]
    for field in FIELDS:
        kept = all(same(field, b, a, rounding) for b, a in zip(in_order(before), in_order(firsts)))
        assert kept == (field not in FORMATS[name].loses), field


def in_order(samples):
    """Boxes sorted, because formats that list them by phrase change their order."""
    for sample in samples:
        record = dict(sample.record)
        if record.get("noun_chunks"):
            parallel = [record[field] for field in ("noun_chunks", "ref_exps", "boxes")]
            parallel.append(record.get("masks") or [None] * len(parallel[0]))
            rows = sorted(zip(*parallel), key=lambda row: (row[0][:2], row[0][2]))
            record |= dict(zip(("noun_chunks", "ref_exps", "boxes", "masks"), map(list, zip(*rows))))
        yield sample._replace(record=record)


@pytest.mark.parametrize("name", FORMATS)
def test_one_format_after_another_and_twice(name, make_full, tmp_path):
    """What is left after the first trip survives a second one unchanged."""
    written(name, [make_full(0), make_full(1)], tmp_path / "a")
    once = list(read(str(tmp_path / "a")))
    if name in ("parquet", "kosmos2_parquet"):  # hold no images, so that nothing else can be made of them
        return
    written("webdataset", once, tmp_path / "b")
    ours = list(read(str(tmp_path / "b"), "webdataset"))
    written(name, ours, tmp_path / "c")
    twice = list(read(str(tmp_path / "c")))
    # image_format and source tell of files, which are others each time
    fields = [f for f in FIELDS if f not in ("source", "boxes", "key", "annotations")]
    assert len(once) == len(twice)
    for a, b in zip(once, twice):
        assert {f: GET[f](a) for f in fields} == {f: GET[f](b) for f in fields}
        assert same("boxes", a, b, 0.01 / 480)


class Tracked(dict[str, object]):
    """A record of which it can be told whether it is gone."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@pytest.mark.parametrize("name", [n for n in FORMATS if "parquet" not in n])
def test_writers_hold_no_more_than_a_few_samples(name, make_full, tmp_path):
    alive: weakref.WeakSet[Tracked] = weakref.WeakSet()
    most = 0

    def stream():
        nonlocal most
        for number in range(60):
            sample = make_full(number)
            record = Tracked(sample.record)
            alive.add(record)
            yield sample._replace(record=record)
            del sample, record
            most = max(most, len(alive))

    count, _ = written(name, stream(), tmp_path / "out")
    assert count == 60
    assert most <= 8
