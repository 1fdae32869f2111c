"""From a benchmark's files to a guarded dataset: the list, the run, a sample's story, the card."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gritmill.pipeline.card import write_card
from gritmill.pipeline.evaluation_lists import of_annotations, of_images
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.stages.contamination import lists
from gritmill.stages.contamination.lists import EvaluationEntry

REF = {
    "image_id": 581857,
    "file_name": "COCO_train2014_000000581857_16.jpg",
    "split": "val",
    "sentences": [{"sent_id": 0, "sent": "the lady with the blue shirt"}],
}
IN_TRAIN = REF | {"image_id": 9, "file_name": "COCO_train2014_000000000009_1.jpg", "split": "train"}


def told(entries: list[EvaluationEntry]) -> set[tuple[str, str]]:
    """Of every entry the id, and the text."""
    return {(entry.id, entry.text) for entry in entries}


@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("val.txt", "1016887272\n7162685234\n", {("1016887272", ""), ("7162685234", "")}),
        ("karpathy.txt", "COCO_val2014_000000000042.jpg\n", {("000000000042", "")}),
        (
            "mdetr.json",
            {"images": [{"id": 3, "original_id": 9, "file_name": "COCO_train2014_000000000009.jpg",
                         "caption": "the left man"}], "annotations": [{"image_id": 3}]},
            {("000000000009", ""), ("", "the left man")},
        ),
        (
            "vqa.json",
            {"questions": [{"image_id": 262148, "question": "Where is he looking?"}]},
            {("000000262148", ""), ("", "Where is he looking?")},
        ),
        (
            "pope.jsonl",
            [{"image": "COCO_val2014_000000310196.jpg", "text": "Is there a bed in the image?"}] * 2,
            {("000000310196", ""), ("", "Is there a bed in the image?")},
        ),
        ("llava.json", [{"image": "photos/001.jpg"}], {("001", "")}),
    ],
)  # fmt: skip
def test_files_of_benchmarks_as_they_are_published(
    name: str, content: object, expected: set[tuple[str, str]], tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, list) and name.endswith(".jsonl"):
        content = "\n".join(map(json.dumps, content))
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    # A list of names cannot be one of texts, too.
    with_texts = not name.endswith(".txt")
    assert told(of_annotations(str(path), "set", (), with_texts, None).entries) == expected
    if with_texts:
        images = of_annotations(str(path), "set", (), False, None).entries
        assert told(images) == {(id_, text) for id_, text in expected if id_}


def test_only_the_chosen_splits_of_refs_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "refcoco.jsonl"
    path.write_text("\n".join(map(json.dumps, (REF, REF, IN_TRAIN))))
    made = of_annotations(str(path), "refcoco", ["val"], True, None)
    assert made.entries == [
        EvaluationEntry("refcoco/val", "COCO_train2014_000000581857.jpg", "000000581857", None, ""),
        EvaluationEntry(
            "refcoco/val", "COCO_train2014_000000581857.jpg", "", None, "the lady with the blue shirt"
        ),
    ]
    with pytest.raises(UserError, match="has the splits train, val"):
        of_annotations(str(path), "refcoco", [], False, None)
    with pytest.raises(UserError, match="has no split 'testC'"):
        of_annotations(str(path), "refcoco", ["testC"], False, None)


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("refs(unc).p", "(lp0", "pickle"),
        ("a.json", "{", "no JSON"),
        ("a.json", "{}", "names no image"),
        ("a.jsonl", "3", "line 1 is no JSON object"),
        ("a.txt", "\n", "names no image"),
    ],
)
def test_files_that_name_no_image_are_refused(name: str, content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=says):
        of_annotations(str(tmp_path / name), "set", (), False, None)


def test_images_of_a_folder_are_told_by_hash_and_cocos_by_id(coco_mini: Path, tmp_path: Path) -> None:
    photo = sorted((coco_mini / "images").iterdir())[0]
    for name in ("1.jpg", "COCO_val2014_000000000042.jpg"):
        (tmp_path / name).write_bytes(photo.read_bytes())
    Image.new("RGB", (9, 9)).save(tmp_path / "plain.png")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    made = of_images(str(tmp_path), "val", names_are_ids=False)
    assert [(entry.image, entry.id) for entry in made.entries] == [
        ("1.jpg", ""),
        ("COCO_val2014_000000000042.jpg", "000000000042"),
    ]
    assert len({entry.hash for entry in made.entries}) == 1
    assert made.plain == 1 and [reason.split(":")[0] for reason in made.unreadable] == ["broken.jpg"]
    by_name = of_images(str(tmp_path), "val", names_are_ids=True).entries
    assert [entry.id for entry in by_name] == ["1", "000000000042", "broken", "plain"]


def test_images_of_annotations_get_hashes_where_they_lie(coco_mini: Path, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("000000000790\n000000000001\n")
    made = of_annotations(str(tmp_path / "val.txt"), "val", (), False, str(coco_mini / "images"))
    assert [(entry.id, entry.hash is not None) for entry in made.entries] == [
        ("000000000790", True),
        ("000000000001", False),
    ]
    assert made.missing == 1


def test_a_planted_image_is_dropped_and_why_and_card_tell_of_it(
    coco_mini: Path, tmp_path: Path, cli: Callable[..., Any], write_recipe: Callable[..., Path]
) -> None:
    photos, training = sorted((coco_mini / "images").iterdir()), tmp_path / "training"
    training.mkdir()
    evaluation = tmp_path / "held_out"
    evaluation.mkdir()
    for i, path in enumerate(photos[:6]):
        with Image.open(path) as photo:
            small = photo.resize((photo.width // 2, photo.height // 2))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=70)
        (training / f"mine{i}.jpg").write_bytes(file.getvalue())
        (training / f"mine{i}.txt").write_text("a photograph of something that is there")
    (evaluation / photos[2].name).write_bytes(photos[2].read_bytes())
    made = cli("fingerprint-set", evaluation, "-o", tmp_path / "val.jsonl", "--name", "refcoco/val")
    assert made.returncode == 0, made.stderr
    assert "1 images by id, 1 by hash, 0 texts" in made.stdout

    recipe = write_recipe(
        f"type: folder, path: {training}",
        [f"contamination: {{against: [{tmp_path / 'val.jsonl'}]}}", "image_check"],
    )
    ran = cli("run", recipe, "--runner", "local")
    assert ran.returncode == 0 and "note:" not in ran.stderr, ran.stderr
    why = cli("why", "mine2", recipe).stdout
    assert f"rejected: evaluation_image, {photos[2].name} of refcoco/val:" in why
    assert "bits differ, threshold 15" in why
    write_card(Store(str(tmp_path / "out")))
    card = (tmp_path / "out" / "README.md").read_text()
    assert (
        "Guarded against the evaluation lists `val.jsonl` (1 ids, 1 images, 0 texts): dropped 0 by id, "
        "1 by image (radius 15), 0 by text (8 words in a row)."
    ) in card


def test_a_recipe_without_lists_says_that_nothing_is_guarded(
    tmp_path: Path, cli: Callable[..., Any], write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe("type: scenes, count: 4", ["image_check", "contamination"])
    for command in ("plan", "run"):
        done = cli(command, recipe, *(["--runner", "local"] if command == "run" else []))
        assert done.returncode == 0, done.stderr
        assert "note: contamination: no list of evaluation images is given" in done.stderr
    write_card(Store(str(tmp_path / "out")))
    assert "Nothing was compared with evaluation data" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["nowhere"], "there is no nowhere"),
        ([".", "--texts"], "for a file of annotations"),
        (["."], "has no images"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    done = cli("fingerprint-set", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr


def test_what_the_command_writes_the_stage_reads(
    coco_mini: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    done = cli("fingerprint-set", coco_mini / "captions.json", "--images", coco_mini / "images", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "captions.evaluation.jsonl"
    entries = lists.loads(path.read_bytes(), str(path))
    assert len(entries) == 80 and all(entry.hash and entry.id for entry in entries)
