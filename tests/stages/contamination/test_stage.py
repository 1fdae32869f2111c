"""Planted near-duplicates of evaluation images, and captions that hold a benchmark's question."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance, ImageOps

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.contamination import lists
from gritmill.stages.contamination.lists import EvaluationEntry
from gritmill.stages.contamination.stage import Contamination, ListMatch
from gritmill.stages.dedup.perceptual import perceptual_hash

QUESTION = "What is the man in the yellow jacket holding in his left hand?"


class Bytes:
    """An image in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self) -> bytes:
        return self.data


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def cropped(image: Image.Image) -> Image.Image:
    """Without 2 % of its width and height."""
    x, y = image.width // 100, image.height // 100
    return image.crop((x, y, image.width - x, image.height - y))


def batch(*images: bytes, ids: tuple[str, ...] = (), caption: str = "a shape") -> Columns:
    count = max(len(images), len(ids))
    return {
        "image_id": list(ids) or [f"mine-{i}" for i in range(count)],
        "image": [Bytes(data) for data in images] or [None] * count,
        "caption": [caption] * count,
        "captions": [[caption]] * count,
    }


@pytest.fixture(scope="module")
def photographs(coco_mini: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted((coco_mini / "images").iterdir())]


def guard(tmp_path: Path, *entries: EvaluationEntry, **options: Any) -> Contamination:
    path = tmp_path / "val.evaluation.jsonl"
    path.write_bytes(lists.dumps(entries))
    stage = Contamination(against=[str(path)], **options)
    assert stage.problems() == []
    stage.setup()
    return stage


def of_images(images: list[Image.Image]) -> list[EvaluationEntry]:
    return [
        EvaluationEntry("val", f"{i}.jpg", "", perceptual_hash(jpeg(image)), "")
        for i, image in enumerate(images)
    ]


CHANGES = {
    "the same bytes": lambda image: jpeg(image),
    "smaller": lambda image: jpeg(image.resize((image.width // 2, image.height // 2))),
    "recompressed": lambda image: jpeg(image, quality=30),
    "brighter": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.2)),
    "mirrored": lambda image: jpeg(ImageOps.mirror(image)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_planted_near_duplicate_of_every_photograph_is_dropped_and_named(
    change: str, photographs: list[Image.Image], tmp_path: Path
) -> None:
    evaluation, training = photographs[::4], photographs[1::4]
    stage = guard(tmp_path, *of_images(evaluation))
    planted = stage.process(batch(*map(CHANGES[change], evaluation)))["evaluation_match"]
    for i, reject in enumerate(planted):
        assert isinstance(reject, Reject) and reject.reason == "evaluation_image"
        assert reject.value.startswith(f"{i}.jpg of val: ") and reject.threshold == "15"
        assert reject.value.endswith("mirrored") == (change == "mirrored")
    assert stage.process(batch(*map(CHANGES[change], training)))["evaluation_match"] == [None] * len(training)


def test_most_photographs_are_known_again_when_two_percent_are_cropped(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    stage = guard(tmp_path, *of_images(photographs))
    found = stage.process(batch(*(jpeg(cropped(image)) for image in photographs)))["evaluation_match"]
    hits = [i for i, reject in enumerate(found) if reject and reject.value.startswith(f"{i}.jpg of val")]
    assert len(hits) >= 0.85 * len(photographs)
    assert all(reject is None or i in hits for i, reject in enumerate(found))


@pytest.mark.parametrize("radius, is_found", [(15, True), (0, False), (None, False)])
def test_the_radius_decides(radius: int | None, is_found: bool, photographs: Any, tmp_path: Path) -> None:
    stage = guard(tmp_path, *of_images(photographs[:1]), radius=radius)
    [found] = stage.process(batch(jpeg(cropped(photographs[0]))))["evaluation_match"]
    assert isinstance(found, Reject) == is_found


def test_the_nearest_evaluation_image_is_named(photographs: list[Image.Image], tmp_path: Path) -> None:
    entries = of_images([cropped(photographs[0]), photographs[0], photographs[5]])
    stage = guard(tmp_path, *entries, mode="measure")
    found = stage.process(batch(jpeg(photographs[0])))["evaluation_match"]
    assert found == [ListMatch("image", "1.jpg of val", "0 bits differ")]


@pytest.mark.parametrize(
    "listed, given, is_found",
    [
        ("000000581857", "000000581857", True),
        ("000000581857", "COCO_train2014_000000581857", True),
        ("COCO_train2014_000000581857.jpg", "000000581857", True),
        ("1007129816", "1007129816", True),
        ("000000581857", "llava-000000581857", True),  # from the source `mix`
        ("000000581857", "shot-202411581857", False),
        ("000000581857", "581857", False),
        ("000000000012", "000000012", False),  # the twelfth image of img2dataset's first shard
        ("000000581857", "000000581858", False),
    ],
)
def test_equal_ids_are_found_in_whichever_form_they_come(
    listed: str, given: str, is_found: bool, tmp_path: Path
) -> None:
    stage = guard(tmp_path, EvaluationEntry("refcoco/val", "", listed, None, ""))
    [found] = stage.process(batch(ids=(given,)))["evaluation_match"]
    expected = Reject("evaluation_id", f"{listed} of refcoco/val: image id {given}")
    assert found == (expected if is_found else None)


@pytest.mark.parametrize(
    "caption, is_found",
    [
        (QUESTION, True),
        ("Tell me: what IS the Man in the yellow\njacket, holding in his left hand", True),
        ("holding in his left hand a thing in the yellow jacket", False),  # five words in a row
        ("", False),
    ],
)
def test_words_shared_with_a_question(caption: str, is_found: bool, tmp_path: Path) -> None:
    stage = guard(tmp_path, EvaluationEntry("vqa", "", "", None, QUESTION))
    [found] = stage.process(batch(b"", caption=caption))["evaluation_match"]
    if is_found:
        assert found.reason == "evaluation_text" and "of vqa: shares 'what is the man in the" in found.value
    else:
        assert found is None


def test_other_captions_of_the_image_are_looked_at_too(tmp_path: Path) -> None:
    stage = guard(tmp_path, EvaluationEntry("vqa", "", "", None, QUESTION))
    rows = batch(b"") | {"captions": [["a man", QUESTION]]}
    assert isinstance(stage.process(rows)["evaluation_match"][0], Reject)


def test_measuring_drops_nothing(tmp_path: Path) -> None:
    stage = guard(tmp_path, EvaluationEntry("vqa", "", "7", None, ""), mode="measure")
    assert stage.process(batch(ids=("7", "8")))["evaluation_match"] == [
        ListMatch("id", "7 of vqa", "image id 7"),
        None,
    ]


def test_without_a_list_no_image_is_read_and_the_user_is_told() -> None:
    stage = Contamination()
    stage.setup()
    assert stage.process(batch(ids=("a", "b"))) == {"evaluation_match": [None, None]}
    assert ["fingerprint-set" in remark for remark in stage.remarks()] == [True]
    assert Contamination(against=["a.jsonl"]).remarks() == []


def test_an_image_that_shows_nothing_is_like_no_other(tmp_path: Path, photographs: Any) -> None:
    stage = guard(tmp_path, *of_images(photographs[:1]))
    plain = jpeg(Image.new("RGB", (64, 64), "white"))
    assert stage.process(batch(plain))["evaluation_match"] == [None]


HEADER = '{"evaluation_list": 1, "hash": "dct128"}\n'


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "must begin with"),
        ("a.jpg\n", "line 1 is no JSON"),
        ('{"id": "7"}\n', "must begin with"),
        (HEADER, "is empty"),
        (HEADER + "[1]\n", "line 2 is no JSON object"),
        (HEADER + '{"id": 7}\n', "id is 7"),
        (HEADER + '{"set": "x"}\n', "guards nothing"),
        (HEADER + '{"hash": "' + "0" * 31 + '"}\n', "not 32 digits"),
        ('{"evaluation_list": 1, "hash": "pdq"}\n{"id": "7"}\n', "of another kind"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "val.jsonl"
    path.write_text(text)
    [problem] = Contamination(against=[str(path)]).problems()
    assert says in problem and "val.jsonl" in problem
    with pytest.raises(UserError, match="val.jsonl"):
        Contamination(against=[str(path)]).setup()


def test_a_list_that_is_missing_or_named_like_another_is_a_problem(tmp_path: Path) -> None:
    assert "cannot be read" in Contamination(against=[str(tmp_path / "none.jsonl")]).problems()[0]
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "val.jsonl").write_text(HEADER + '{"id": "7"}\n')
    both = Contamination(against=[str(tmp_path / "a" / "val.jsonl"), str(tmp_path / "b" / "val.jsonl")])
    assert "same file name" in both.problems()[0]


def test_the_content_of_a_list_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "val.jsonl"
    path.write_text(HEADER + '{"id": "7"}\n')
    stage = Contamination(against=[str(path)])
    before = stage.revision()
    assert before["val.jsonl"].endswith("(1 ids, 0 images, 0 texts)")
    path.write_text(HEADER + '{"id": "8"}\n')
    assert stage.revision() != before


def test_a_list_survives_its_file() -> None:
    entries = [
        EvaluationEntry("val", "a.jpg", "a", bytes(range(16)), ""),
        EvaluationEntry("val", "", "", None, "naïve 犬\u2028"),
    ]
    assert lists.loads(lists.dumps(entries), "x") == entries


def test_hashes_of_lists_stay_what_they_are() -> None:
    # Published lists would match nothing: give `lists.HASH` another name when this changes.
    gradient = Image.linear_gradient("L")
    mixed = Image.blend(gradient, gradient.rotate(90).point(lambda v: v * v // 255), 0.5)
    mixed.paste(200, (30, 40, 90, 200))
    file = io.BytesIO()
    mixed.save(file, "PNG")
    hashed = perceptual_hash(file.getvalue())
    assert hashed is not None
    assert (lists.HASH, hashed.hex()) == ("dct128", "340833175fad0dda117ca2bd31eb60a8")
