"""The numbers of a dataset, against ones counted by hand."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.stats import Stats, dataset_stats, stats_table
from gritmill.pipeline.stats.languages import SomeCaptions
from gritmill.pipeline.stats.measure import measure
from gritmill.pipeline.stats.published import published
from gritmill.pipeline.stats.read import Read
from gritmill.pipeline.stats.table import ranking
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, ImageRef, Span
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import to_json, to_record

CAPTION = "two dogs and a cat on a mat"
HALF, QUARTER, LOW = Box(0.0, 0.0, 0.5, 1.0), Box(0.5, 0.0, 1.0, 0.5), Box(0.0, 0.9, 1.0, 1.0)
GROUNDED = [
    (Span(0, 8), HALF, 0.9),
    (Span(0, 8), QUARTER, 0.8),
    (Span(13, 18), HALF, 0.7),
    (Span(22, 27), LOW, 1.0),
]
EXPRESSIONS = [Span(0, 8), Span(0, 8), Span(13, 27), Span(22, 27)]


def sample(number=0, caption=CAPTION, **columns):
    """Three spans with four boxes: two dogs, "a cat on a mat" that grew, and the mat within it."""
    return {
        "key": f"{number:03d}",
        "image_id": f"{number:03d}",
        "caption": caption,
        "captions": [caption],
        "metadata": json.dumps({"license": "CC BY"}) if number % 2 else "{}",
        "image": SimpleNamespace(ref=ImageRef("photos.tar", 512, 900)),
        "width": 40,
        "height": 30,
        "image_format": "jpeg",
        "split": "train",
        "boxes": [GroundedBox(span, box, score, "model@1", "x") for span, box, score in GROUNDED],
        "ref_exps": EXPRESSIONS,
    } | columns


def write_dataset(folder: Path, samples, formats=("webdataset",), image=lambda number: b"%d" % number) -> str:
    """What `pipeline run` leaves, as far as it is read here."""
    sums = []
    for name in formats:
        path = folder / FORMATS[name].path("train", 0, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            writer = FORMATS[name].writer(file, "jpg")
            for number, one in enumerate(samples):
                writer.add(one, image(number))
            writer.close()
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))
    splits = {"train": {"shards": 1, "samples": len(samples), "bytes": 1}}
    (folder / "stats.json").write_text(json.dumps({"splits": splits}))
    return str(folder)


def measured(*samples) -> Stats:
    return measure(Read(json.loads(to_json(to_record(one))), None) for one in samples)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", 1),
        ("images", 1),
        ("spans", 3),
        ("boxes", 4),
        ("words_per_span", (2 + 5 + 2) / 3),
        ("words_per_caption", 8),
        ("boxes_per_image", 4),
        ("spans_per_image", 3),
        ("boxes_per_span", 4 / 3),
        ("expanded", 1 / 3),
        ("nested", 1 / 3),
        ("area", {"0.05": 0.1, "0.25": 0.1, "0.5": 0.25, "0.75": 0.5, "0.95": 0.5}),
        ("score", {"0.05": 0.7, "0.25": 0.7, "0.5": 0.8, "0.75": 0.9, "0.95": 1.0}),
        ("concepts", {"dogs": 2, "cat": 1, "mat": 1}),
        ("box_models", {"model@1": 4}),
        ("duplicate_captions", 0),
        ("duplicate_images", None),
        ("conversations", 0),
        ("licenses", {}),
    ],
)
def test_a_sample_counted_by_hand(field, value):
    assert getattr(measured(sample()), field) == pytest.approx(value)


def test_samples_of_one_image_share_it():
    stats = measured(sample(1), sample(2, image_id="001"))
    assert (stats.samples, stats.images, stats.boxes_per_image) == (2, 1, 8)
    assert stats.duplicate_captions == 1


def test_plurals_count_with_the_singular_that_occurs():
    caption = "a dog and glass"
    boxes = [GroundedBox(span, HALF, 1.0, "m", "x") for span in (Span(0, 5), Span(10, 15))]
    one = sample(caption=caption, boxes=boxes, ref_exps=[Span(0, 5), Span(10, 15)])
    assert measured(sample(), one).concepts == {"dog": 3, "cat": 1, "glass": 1, "mat": 1}


def test_noun_chunks_count_where_nothing_was_expanded():
    one = sample()
    del one["ref_exps"]
    stats = measured(one)
    assert (stats.spans, stats.boxes, stats.expanded) == (3, 4, 0)


def test_languages_of_the_longer_captions():
    pytest.importorskip("py3langid", reason="needs py3langid, which the extra nlp installs")
    captions = ["A woman walking with her dog in the snow.", "Un chien dans un champ de fleurs", "a dog"]
    stats = measured(
        *(sample(number, caption, boxes=[], ref_exps=[]) for number, caption in enumerate(captions))
    )
    assert stats.languages == {"en": 1, "fr": 1}
    assert "en 50.0%, fr 50.0% (of 2)" in text(stats)


def test_languages_are_those_of_some_captions_whatever_their_order(monkeypatch):
    monkeypatch.setattr("gritmill.pipeline.stats.languages.MOST", 10)

    def kept(numbers):
        some = SomeCaptions()
        for number in numbers:
            some.add(str(number), f"a caption of some length {number}")
        return sorted(some._kept)

    assert kept(range(100)) == kept(reversed(range(100)))
    assert len(kept(range(100))) == 10 and len(kept(range(3))) == 3


def test_coco_is_english(coco_mini):
    py3langid = pytest.importorskip("py3langid", reason="needs py3langid, which the extra nlp installs")
    captions = json.loads((coco_mini / "captions.json").read_text())["annotations"]
    assert {py3langid.classify(one["caption"])[0] for one in captions} == {"en"}


def test_a_dataset_without_boxes_has_no_ratios():
    one = sample()
    del one["boxes"], one["ref_exps"]
    stats = measured(one)
    assert (stats.boxes, stats.words_per_span, stats.boxes_per_span, stats.area) == (0, None, None, {})
    assert "box area" not in text(stats)


@pytest.mark.parametrize(
    ("formats", "duplicates"), [(["webdataset"], 1), (["parquet"], None), (["parquet", "webdataset"], 1)]
)
def test_shards_and_parquet_say_the_same(tmp_path, formats, duplicates):
    samples = [sample(number) for number in range(5)]
    one_twice = {0: b"a", 1: b"b", 2: b"b", 3: b"c", 4: b"d"}
    stats = dataset_stats(write_dataset(tmp_path, samples, formats, one_twice.__getitem__))
    assert stats.duplicate_images == duplicates
    assert (stats.images, stats.boxes, stats.licenses) == (5, 20, {"CC BY": 2})
    expected = measured(*samples)
    assert {**vars(stats), "duplicate_images": None} == vars(expected)


def test_a_dataset_elsewhere(tmp_path):
    write_dataset(tmp_path, [sample()])
    store = Store("memory://stats-elsewhere")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            store.write(str(path.relative_to(tmp_path)), path.read_bytes())
    assert dataset_stats("memory://stats-elsewhere") == dataset_stats(str(tmp_path))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "SHA256SUMS").unlink(), "no finished dataset"),
        (
            lambda folder: (folder / "SHA256SUMS").write_text(f"{'0' * 64}  coco/train.json\n"),
            "neither shards",
        ),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "has no samples"),
        (lambda folder: (folder / "data" / "train-00000-of-00001.tar").unlink(), "cannot be read"),
        (lambda folder: cut(folder / "data" / "train-00000-of-00001.tar"), "cannot be read"),
        (
            lambda folder: (folder / "stats.json").write_text('{"splits": {"train": {"samples": 7}}}'),
            "has 3 samples and should have 7",
        ),
    ],
)
def test_a_dataset_that_is_not_whole(tmp_path, damage, message):
    write_dataset(tmp_path, [sample(number) for number in range(3)])
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        dataset_stats(str(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"caption": None},
        {"noun_chunks": [[0, 8, 0.1]]},
        {"ref_exps": []},
        {"noun_chunks": 5},
        {"metadata": "{"},
        {"ref_exps": [[0, 8, 0, 0, 1, 1, float("nan")]] * 4},
    ],
)
def test_a_record_that_is_none_of_ours(change):
    record = to_record(sample()) | change
    with pytest.raises(UserError, match="record of sample '000'"):
        measure([Read(record, None)])


def test_quantiles_need_no_memory_for_each_box():
    boxes = [
        GroundedBox(Span(0, 8), Box(0.0, 0.0, i / 1000, 1.0), i / 1000, "m", "x") for i in range(1, 1001)
    ]
    stats = measured(sample(boxes=boxes, ref_exps=[Span(0, 8)] * 1000))
    assert stats.area == {"0.05": 0.05, "0.25": 0.25, "0.5": 0.5, "0.75": 0.75, "0.95": 0.95}


def test_coverage_is_of_all_boxes():
    stats = measured(sample())
    assert stats.coverage(1) == 0.5
    assert stats.to_dict(concepts=1)["concepts"] == {"dogs": 2}
    assert stats.to_dict(concepts=1)["different_concepts"] == 3


def test_published_figures_say_where_they_are_from():
    names = [one.name for one in published()]
    assert names == ["GRIT", "RefCOCO", "RefCOCO+", "RefCOCOg", "Flickr30k Entities"]
    grit = published()[0]
    assert (grit.images, grit.boxes, grit.spans) == (90_614_680, 137_349_210, 114_978_233)
    # The paper's own ratios, which the counts must give.
    ratios = (grit.boxes_per_image, grit.spans_per_image, grit.boxes_per_span)
    assert ratios == pytest.approx((1.52, 1.27, 1.19), abs=0.005)
    assert all(one.source for one in published())


def text(stats: Stats) -> str:
    console = Console(width=160, color_system=None)
    with console.capture() as capture:
        console.print(stats_table(stats))
    return capture.get()


def test_the_table_has_ours_beside_the_published_ones():
    lines = {line.split("  ")[0]: line.split() for line in text(measured(sample())).splitlines()}
    assert lines["boxes per span"] == ["boxes", "per", "span", "1.33", "1.19", "0.35", "0.35", "0.64", "0.54"]
    assert lines["words per expression"][3:] == ["3.00", "4.70", "3.61", "3.53", "8.43", "-"]
    assert lines["expanded expressions"][-1] == "33.3%"


def test_what_others_wrote_cannot_steer_a_terminal():
    assert ranking({"\x1b[31mred": 2, "b": 1}, 1) == "\\x1b[31mred 2, 1 others"
