"""Questions of public sets, read from their own files: right ones, and wrong ones told by file and line."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Eval
from gritmill.trainer.sets import QuestionSet, load_sets

SIZE = (640, 480)
BOX = [64, 48, 128, 240]
"""x, y, width, height in pixels."""
TRUTH = (0.1, 0.1, 0.3, 0.6)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "train2014").mkdir(parents=True)
    Image.new("RGB", SIZE, "red").save(folder / "train2014" / "COCO_train2014_000000000001.jpg")
    Image.new("RGB", SIZE, "blue").save(folder / "10.jpg")
    return folder


Load = Callable[..., list[QuestionSet]]


@pytest.fixture
def load(photos: Path) -> Load:
    def load(format: str, questions: Path, split: str | None = None, **options: Any) -> list[QuestionSet]:
        row = {"name": "x", "format": format, "questions": str(questions), "images": str(photos)}
        return load_sets(Eval(sets=[{**row, "split": split}], **options), None)

    return load


def write(path: Path, value: object) -> Path:
    """JSON, or JSON lines for a list, or text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, list):
        value = "".join(json.dumps(row) + "\n" for row in value)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def refcoco(**changes: Any) -> dict[str, Any]:
    """Two expressions for one object, one for another."""
    coco = "COCO_train2014_000000000001.jpg"
    image = {"file_name": coco, "width": 640, "height": 480, "dataset_name": "refcoco"}
    told = ["the left dog", "a dog on grass", "black cat"]
    images = [{**image, "id": i, "caption": text} for i, text in enumerate(told)]
    boxes = [{"image_id": i, "bbox": BOX, "original_id": 7 if i < 2 else 8} for i in range(3)]
    return {"images": images, "annotations": boxes, **changes}


SENTENCE = "Two dogs chase a cat and two dogs ."


def flickr(**changes: Any) -> dict[str, Any]:
    """The first and the last phrase are one entity with two boxes; sizes are text, as MDETR writes them."""
    image = {"id": 5, "file_name": "10.jpg", "width": "640", "height": "480", "caption": SENTENCE}
    image |= {"tokens_positive_eval": [[[0, 8]], [[15, 20]]], **changes}
    boxes = [
        {"image_id": 5, "bbox": BOX, "tokens_positive": [[0, 8], [25, 33]]},
        {"image_id": 5, "bbox": [0, 0, 64, 48], "tokens_positive": [[0, 8], [15, 20]]},
    ]
    return {"images": [image], "annotations": boxes}


def test_mdetr_refcoco(load: Load, tmp_path: Path) -> None:
    [rec] = load("mdetr", write(tmp_path / "finetune_refcoco_val.json", refcoco()))
    assert (rec.name, rec.task, [ask.question.id for ask in rec.asks]) == ("x", "rec", ["x/0", "x/1", "x/2"])
    assert rec.asks[0].question.truth == pytest.approx(TRUTH)
    assert rec.asks[0].question.image == "COCO_train2014_000000000001.jpg"
    assert rec.asks[1].asked.words == {"expression": "a dog on grass", "definite": "the dog on grass"}
    assert rec.asks[2].asked.words == {"expression": "black cat"}
    assert rec.asks[0].image().size == SIZE


def test_generation_is_asked_of_objects(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path / "finetune_refcocog_val.json", refcoco())
    rec, reg = load("mdetr", path, tasks=["rec", "reg"])
    assert [ask.question.truth for ask in reg.asks] == [["the left dog", "a dog on grass"], ["black cat"]]
    assert reg.asks[0].asked.boxes == [rec.asks[0].question.truth]


def test_mdetr_flickr(load: Load, tmp_path: Path) -> None:
    [found] = load("mdetr", write(tmp_path / "final_flickr_separateGT_val.json", flickr()))
    assert (found.task, found.merged, len(found.asks)) == ("phrase_grounding", False, 2)
    assert found.asks[0].question.truth == [pytest.approx(TRUTH), Box(0, 0, 0.1, 0.1)]
    assert found.asks[1].question.truth == [Box(0, 0, 0.1, 0.1)]
    words = {"phrase": "a cat", "caption": SENTENCE, "before": "Two dogs chase"}
    assert found.asks[1].asked.words == words
    [merged] = load("mdetr", write(tmp_path / "final_flickr_mergedGT_val.json", flickr()))
    assert merged.merged


def test_locout_is_the_json_beside_it(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "val.json", refcoco())
    line = "[image]there/train2014/COCO_train2014_000000000001.jpg<tab><grounding><phrase>{}</phrase>\n"
    prompts = write(
        tmp_path / "val.json.locout", "".join(line.format(e["caption"]) for e in refcoco()["images"])
    )
    assert load("locout", prompts)[0].digest() == load("mdetr", tmp_path / "val.json")[0].digest()
    write(tmp_path / "flickr.json", flickr())
    line = "[image]there/10.jpg<tab><grounding>{} <phrase>{}</phrase>\n"
    inline = tmp_path / "flickr.json.inline.locout"
    prompts = write(inline, line.format("", "Two dogs") + line.format("Two dogs chase ", "a cat"))
    assert load("locout", prompts)[0].digest() == load("mdetr", tmp_path / "flickr.json")[0].digest()


REF = {
    "ref_id": 3,
    "ann_id": 30,
    "image_id": 1,
    "file_name": "COCO_train2014_000000000001_3.jpg",
    "split": "testA",
    "sentences": [{"sent_id": 8, "sent": "left dog"}, {"sent_id": 9, "sent": "the  brown dog"}],
}
PLACED = {**REF, "bbox": BOX, "width": 640, "height": 480}
INSTANCES = {
    "images": [{"id": 1, "file_name": "COCO_train2014_000000000001.jpg", "width": 640, "height": 480}],
    "annotations": [{"id": 30, "image_id": 1, "bbox": BOX}],
}


@pytest.mark.parametrize("placed", [True, False])
def test_refs(load: Load, tmp_path: Path, placed: bool) -> None:
    path = write(tmp_path / "refs" / "refs.jsonl", [PLACED if placed else REF, {**PLACED, "split": "val"}])
    if not placed:
        write(tmp_path / "refs" / "instances.json", INSTANCES)
    rec, reg = load("refs", path.parent, split="testA", tasks=["reg"])
    assert [ask.question.id for ask in rec.asks] == ["x/8", "x/9"]
    assert rec.asks[1].asked.words["expression"] == "the brown dog"
    assert rec.asks[0].question.truth == pytest.approx(TRUTH)
    assert rec.asks[0].image().size == SIZE
    assert reg.asks[0].question.truth == ["left dog", "the brown dog"]


def test_refs_may_be_a_list(load: Load, tmp_path: Path) -> None:
    [rec] = load("refs", write(tmp_path / "refs.json", json.dumps([PLACED])))
    assert [ask.question.id for ask in rec.asks] == ["x/8", "x/9"]


def test_a_pickle_is_never_opened(load: Load, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps([Trap()]))
    for questions in (path, path.parent):
        with pytest.raises(UserError, match=r"is a pickle.*JSON lines.*finetune_refcoco"):
            load("refs", questions)
    assert not (tmp_path / "sprung").exists()


ANNOTATION = """<annotation><filename>10.jpg</filename>
<size><width>640</width><height>480</height><depth>3</depth></size>
<object><name>1</name><bndbox><xmin>65</xmin><ymin>49</ymin><xmax>192</xmax><ymax>288</ymax></bndbox></object>
<object><name>1</name><name>2</name>
<bndbox><xmin>321</xmin><ymin>1</ymin><xmax>640</xmax><ymax>480</ymax></bndbox></object>
<object><name>3</name><scene>1</scene><nobndbox>0</nobndbox></object></annotation>"""
SENTENCES = """[/EN#1/people Two men] in [/EN#3/scene a park] see [/EN#2/animals/other a dog] .
[/EN#1/people They] stand .
"""


def entities(
    folder: Path, annotation: str = ANNOTATION, sentences: str = SENTENCES, ids: str = "10\n"
) -> Path:
    write(folder / "val.txt", ids)
    write(folder / "Sentences" / "10.txt", sentences)
    write(folder / "Annotations" / "10.xml", annotation)
    return folder


def test_flickr30k_entities(load: Load, tmp_path: Path) -> None:
    phrases, captions = load("flickr30k", entities(tmp_path / "f"), split="val", tasks=["caption"])
    told = [(ask.question.id, ask.asked.words["phrase"], len(ask.question.truth)) for ask in phrases.asks]
    assert told == [("x/10/0/0", "Two men", 2), ("x/10/0/2", "a dog", 1), ("x/10/1/0", "They", 2)]
    assert phrases.asks[0].question.truth == [pytest.approx(TRUTH), Box(0.5, 0, 1, 1)]
    assert phrases.asks[1].asked.words["before"] == "Two men in a park see"
    assert captions.asks[0].question.truth == ["Two men in a park see a dog .", "They stand ."]
    assert phrases.asks[0].image().size == SIZE


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"annotation": BOMB + ANNOTATION}, "10.xml is XML with a document type"),
        ({"annotation": ANNOTATION[:200]}, "10.xml is XML that cannot be read"),
        ({"annotation": ANNOTATION.replace("640", "wide", 1)}, "10.xml is XML without the image's size"),
        (
            {"annotation": ANNOTATION.replace("<xmin>65<", "<xmin>nan<")},
            "has a box of '1' that is no numbers",
        ),
        ({"sentences": "\n"}, "10.txt has no sentences"),
        ({"ids": "../../etc/passwd"}, "no id of an image"),
        ({"ids": "11"}, "11.xml cannot be read"),
    ],
)
def test_wrong_entities_are_told(load: Load, tmp_path: Path, changes: dict[str, str], match: str) -> None:
    with pytest.raises(UserError, match=match):
        load("flickr30k", entities(tmp_path / "f", **changes), split="val")


POPE = {"question_id": 1, "image": "10.jpg", "text": "Is there a dog in the image?", "label": "yes"}


def test_pope(load: Load, tmp_path: Path) -> None:
    [found] = load("pope", write(tmp_path / "coco_pope_random.json", [POPE, {**POPE, "label": " No"}]))
    assert [ask.question.truth for ask in found.asks] == [True, False]
    assert found.asks[0].asked == ("vqa", {"question": "Is there a dog in the image?"}, [])


def test_captions(load: Load, coco_mini: Path) -> None:
    [found] = load("captions", coco_mini / "captions.json")
    told = json.loads((coco_mini / "captions.json").read_text())
    assert len(found.asks) == len(told["images"]) == 80
    assert sum(len(ask.question.truth) for ask in found.asks) == len(told["annotations"])


JUDGED = {
    "question_id": 4,
    "image": "10.jpg",
    "category": "refer_desc",
    "text": "What is at [0.1, 0.2, 0.3, 0.4]?",
    "context": "Objects:\nObject 0 : dog at [0.1, 0.2, 0.3, 0.4].",
    "reference": "A dog.",
}


def test_judged_in_one_file_or_three(load: Load, tmp_path: Path) -> None:
    [one] = load("judge", write(tmp_path / "all.jsonl", [JUDGED]), judge={"model": "m"})
    common = {name: JUDGED[name] for name in ("question_id", "image", "category")}
    for name, text in (("question", "text"), ("context", "context"), ("answers_gpt4", "reference")):
        write(tmp_path / "bench" / f"{name}.jsonl", [{**common, "text": JUDGED[text]}])
    [three] = load("judge", tmp_path / "bench", judge={"model": "m"})
    assert one.digest() == three.digest()
    assert one.asks[0].question.truth == (JUDGED["context"], "A dog.", "refer_desc")


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def broken(part: str, number: int, **changes: Any) -> dict[str, Any]:
    told = refcoco()
    told[part][number] |= changes
    return told


WRONG = [
    ("mdetr", "{", "is no JSON"),
    ("mdetr", "[" * 100_000, "is no JSON"),
    ("mdetr", {"images": []}, "no list 'annotations'"),
    ("mdetr", {"images": [], "annotations": []}, "has no images"),
    ("mdetr", broken("images", 1, caption=" "), "image 1 has no text 'caption'"),
    ("mdetr", broken("images", 1, caption="x" * 30_000), "30,000 characters"),
    ("mdetr", broken("images", 2, width=0), "image 2 has no width and height"),
    ("mdetr", broken("annotations", 1, bbox=[1, 2, 3]), "annotation 1 has no `bbox`"),
    ("mdetr", broken("annotations", 1, bbox=[1, 2, 3, None, 4]), "annotation 1 has no `bbox`"),
    ("mdetr", broken("annotations", 1, bbox=[1, 2, float("nan"), 4]), "annotation 1 has no `bbox`"),
    ("mdetr", broken("annotations", 1, image_id=0), "image 0 has 2 boxes, not one"),
    ("mdetr", broken("images", 0, file_name="../../secret.jpg"), "no path within `images`"),
    ("mdetr", broken("images", 0, file_name="/secret.jpg"), "no path within `images`"),
    ("mdetr", flickr(tokens_positive_eval=[[[0, 99]]]), "holds no words"),
    ("mdetr", flickr(tokens_positive_eval=[[["a", 2]]]), "not .start, end."),
    ("mdetr", flickr(tokens_positive_eval=[[[9, 14]]]), "phrase 0 has no box"),
    ("refs", [REF], "lack `bbox`, `width` or `height`"),
    ("refs", [{**PLACED, "sentences": "dog"}], "line 1 has no list `sentences`"),
    ("refs", [PLACED, PLACED], "Several questions of x are 'x/8'"),
    ("pope", [POPE, {**POPE, "label": "maybe"}], "line 2 has the label 'maybe'"),
    ("pope", '{"a": 1}\n\n[]\n', "line 1 has no text"),
    ("pope", "[]\n", "line 1 is no JSON object"),
    ("pope", "", "has no questions"),
    ("pope", [{**POPE, "text": 3}], "line 1 has no text 'text'"),
    ("captions", {"images": [], "annotations": [{"image_id": 1}]}, "annotation 0 has no text 'caption'"),
    ("judge", [without(JUDGED, "reference")], "line 1 has no reference"),
    ("locout", "x", "the truth is in MDETR's JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("format", "content", "match"), WRONG)
def test_wrong_files_are_told(load: Load, tmp_path: Path, format: str, content: object, match: str) -> None:
    with pytest.raises(UserError, match=match):
        load(format, write(tmp_path / "questions.x", content), judge={"model": "m"})


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("[image]a.jpg<tab><phrase>x</phrase>", "1 lines for 3 questions"),
        ("a\nb\nc", "line 1 is no"),
        (
            "[image]COCO_train2014_000000000001.jpg<tab><phrase>the left dog</phrase>\n" * 3,
            "line 2 asks other",
        ),
    ],
)
def test_prompts_must_fit_their_truth(load: Load, tmp_path: Path, lines: str, match: str) -> None:
    write(tmp_path / "v.json", refcoco())
    with pytest.raises(UserError, match=match):
        load("locout", write(tmp_path / "v.json.locout", lines))


def test_half_surrogates_become_question_marks(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path / "q.json", '{"image": "10.jpg", "text": "Is \\ud83d there?", "label": "no"}')
    assert load("pope", path)[0].asks[0].asked.words == {"question": "Is ? there?"}


def test_an_unknown_split_is_told_with_those_there(load: Load, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no split 'val', but: testA"):
        load("refs", write(tmp_path / "r.jsonl", [PLACED]), split="val")


def test_what_is_missing_is_told(load: Load, tmp_path: Path, photos: Path) -> None:
    with pytest.raises(UserError, match=r"absent.json cannot be read: No such file"):
        load("mdetr", tmp_path / "absent.json")
    with pytest.raises(UserError, match="Nobody grades the set x"):
        load("judge", write(tmp_path / "j.jsonl", [JUDGED]))
    with pytest.raises(UserError, match="no dataset"):
        load_sets(Eval(), None)
    row = {"name": "x", "format": "pope", "questions": "q", "images": str(photos / "absent")}
    with pytest.raises(UserError, match="There is no folder"):
        load_sets(Eval(sets=[row]), None)
    with pytest.raises(UserError, match="Two sets of `eval.sets` are called 'x'"):
        load_sets(Eval(sets=[row, row]), None)


def test_a_limit_draws_by_seed(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", [{**POPE, "text": f"Is it {i}?"} for i in range(100)])
    whole, [some] = load("pope", path)[0], load("pope", path, limit=10)
    ids = [ask.question.id for ask in some.asks]
    assert (len(ids), some.drawn_from) == (10, 100)
    assert ids == [ask.question.id for ask in whole.asks if ask.question.id in set(ids)]
    assert load("pope", path, limit=10)[0].digest() == some.digest() != whole.digest()
    assert load("pope", path, limit=10, seed=1)[0].digest() != some.digest()
