"""Evaluation from questions to metrics.json, with a model that says what it is told to."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeAdapter, FakeModel
from PIL import Image
from rich.console import Console

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run as run_job
from gritmill.pipeline.engine.run import work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Eval
from gritmill.trainer.evaluate import evaluate, other_evaluation
from gritmill.trainer.metrics import Question, paired_difference, reg
from gritmill.trainer.metrics_file import Report, clear, load_outcomes, read_report
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.score_table import score_table
from gritmill.trainer.scoring import graded_text
from gritmill.trainer.sets import Ask, QuestionSet, load_sets

SIZE = (640, 480)
TRUTHS = [
    Box(0.1, 0.1, 0.3, 0.6),
    Box(0.5, 0.5, 0.54, 0.55),
    Box(0.0, 0.0, 1.0, 1.0),
    Box(0.2, 0.6, 0.4, 0.9),
]
EXPRESSIONS = ["dog", "a small red dog", "the whole picture with all that is in it", "left cat"]


def image() -> Image.Image:
    return Image.new("RGB", SIZE)


def broken() -> Image.Image:
    raise OSError("broken data stream")


def rec_set(
    name: str = "validation", loader: Callable[[], Image.Image] = image, count: int = 4
) -> QuestionSet:
    asks = [
        Ask(Question(f"q{n}", f"image{n}", truth), Prompt("rec", {"expression": words}, []), loader)
        for n, (truth, words) in enumerate(zip(TRUTHS[:count], EXPRESSIONS, strict=False))
    ]
    return QuestionSet(name, "rec", asks)


def spelled(*boxes: Box, dialect: str = "digits") -> str:
    return DIALECTS[dialect].encode_boxes(boxes, SIZE)


def knows_all(asked: Prompt, image: Image.Image) -> str:
    """The truth of `rec_set`."""
    return spelled(TRUTHS[EXPRESSIONS.index(asked.words["expression"])])


def run(out: Path, adapter: FakeAdapter, *sets: QuestionSet, **options: Any) -> Report:
    known = {"model": "fake/model", "dataset": "f00"}
    told = Eval(resamples=100, batch_size=3, **options)
    return evaluate(FakeModel(), adapter, told, sets, out, native=False, about=known)


def printed(report: Report) -> str:
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(score_table(report))
    return console.export_text()


def test_perfect_answers_reach_the_ceiling(tmp_path: Path) -> None:
    report = run(tmp_path, FakeAdapter(knows_all), rec_set())
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        score = report.score("validation", f"rec/first_box@{threshold}")
        assert (score.value, score.ceiling, score.n, score.unparsable) == (1, 1, 4, 0)
    [result] = report.results
    assert result.questions == {"n": 4, "of": 4, "images": 4, "bad_images": 0, "sha256": rec_set().digest()}
    constant = result.baselines["rec/first_box@0.5"]
    assert set(constant) == {"best constant box", "mean box", "shuffled boxes"}
    assert constant["best constant box"].value == 0.25
    assert constant["shuffled boxes"].value == 0


def test_the_ceiling_is_that_of_the_dialect_on_this_set(tmp_path: Path) -> None:
    adapter = FakeAdapter(lambda asked, image: "", "kosmos2")
    report = run(tmp_path, adapter, rec_set())
    score = report.score("validation", "rec/first_box@0.9")
    kept = [DIALECTS["kosmos2"].parse(spelled(t, dialect="kosmos2"), SIZE).boxes[0] for t in TRUTHS]
    expected = sum(iou(a, b) >= 0.9 for a, b in zip(kept, TRUTHS, strict=True)) / 4
    assert (score.value, score.ceiling, score.unparsable) == (0, expected, 4)
    assert 0 < expected < 1
    small = report.score("validation", "rec/first_box@0.5[small]")
    assert small.ceiling == (iou(kept[1], TRUTHS[1]) >= 0.5)


@pytest.mark.parametrize(
    ("text", "hit", "unparsable"),
    [
        (spelled(TRUTHS[0]), 1, 0),
        (spelled(TRUTHS[0], TRUTHS[2]), 1, 0),
        (spelled(TRUTHS[2], TRUTHS[0]), 0, 0),
        ("[300,600,100,100] " + spelled(TRUTHS[0]), 0, 1),  # inverted: it was the first, so it counts
        (spelled(TRUTHS[0]) + " [300,600,100,100]", 1, 0),
        ("no box", 0, 1),
        ("", 0, 1),
    ],
)
def test_the_first_box_that_was_written_counts(tmp_path: Path, text: str, hit: int, unparsable: int) -> None:
    report = run(tmp_path, FakeAdapter(lambda asked, image: text), rec_set(count=1))
    score = report.score("validation", "rec/first_box@0.5")
    assert (score.value, score.unparsable) == (hit, unparsable)


def test_breakdown_by_size_and_length(tmp_path: Path) -> None:
    report = run(tmp_path, FakeAdapter(knows_all), rec_set())
    parts = {name: s.n for name, s in report.results[0].by_protocol.items() if name.endswith("]")}
    assert parts == {
        "rec/first_box@0.5[small]": 1,
        "rec/first_box@0.5[large]": 3,
        "rec/first_box@0.5[1-2 words]": 2,
        "rec/first_box@0.5[3-5 words]": 1,
        "rec/first_box@0.5[6+ words]": 1,
    }


def phrase_set(merged: bool = False) -> QuestionSet:
    words = {"phrase": "two dogs", "caption": "two dogs", "before": ""}
    asked = Prompt("phrase_grounding", words, [])
    return QuestionSet(
        "flickr", "phrase_grounding", [Ask(Question("q", "i", TRUTHS[:2]), asked, image)], merged
    )


@pytest.mark.parametrize(
    ("boxes", "any1", "any5", "merged"),
    [
        ([TRUTHS[1]], 1, 1, 0),
        ([TRUTHS[2], TRUTHS[1]], 0, 1, 0),
        ([Box(0.1, 0.1, 0.54, 0.6)], 0, 0, 1),
    ],
)
def test_the_protocols_of_phrase_grounding_differ(
    tmp_path: Path, boxes: list[Box], any1: int, any5: int, merged: int
) -> None:
    report = run(tmp_path, FakeAdapter(lambda asked, image: spelled(*boxes)), phrase_set())
    values = [
        report.score("flickr", f"phrase_grounding/{name}").value
        for name in ("any_box@R1", "any_box@R5", "any_box@R10", "merged_box@R1")
    ]
    assert values == [any1, any5, any5, merged]
    assert report.score("flickr", "phrase_grounding/merged_box@R1").ceiling == 1


def test_merged_truth_has_no_any_box(tmp_path: Path) -> None:
    report = run(tmp_path, FakeAdapter(lambda asked, image: ""), phrase_set(merged=True))
    assert not any("any_box" in protocol for protocol in report.results[0].by_protocol)


def test_bad_images_are_misses_and_counted(tmp_path: Path) -> None:
    good, bad = rec_set(), rec_set(loader=broken)
    mixed = QuestionSet("validation", "rec", [good.asks[0], bad.asks[1], *good.asks[2:]])
    adapter = FakeAdapter(knows_all)
    report = run(tmp_path, adapter, mixed)
    score = report.score("validation", "rec/first_box@0.5")
    assert (score.value, score.ceiling, score.unparsable) == (0.75, 0.75, 1)
    assert report.results[0].questions["bad_images"] == 1
    assert adapter.batches == [2, 1]
    rows = predictions(tmp_path / "predictions-validation-rec.jsonl")
    assert [row.get("problem") for row in rows] == [None, "broken data stream", None, None]
    assert "1 of 4 images cannot be read" in printed(report)
    with pytest.raises(UserError, match=r"No image of the set validation can be read \(image0: broken data"):
        run(tmp_path, adapter, bad)


def test_images_a_dialect_cannot_take_are_bad_ones(tmp_path: Path) -> None:
    thin = Ask(*rec_set().asks[0][:2], lambda: Image.new("RGB", (1000, 2)))
    adapter = FakeAdapter(lambda asked, image: "", "qwen2.5_vl")
    report = run(tmp_path, adapter, QuestionSet("validation", "rec", [thin, *rec_set().asks[1:]]))
    assert report.results[0].questions["bad_images"] == 1


def predictions(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_answer_is_kept(tmp_path: Path) -> None:
    text = "[300,600,100,100] " + spelled(TRUTHS[0])
    run(tmp_path, FakeAdapter(lambda asked, image: text), rec_set())
    row = predictions(tmp_path / "predictions-validation-rec.jsonl")[0]
    assert (row["id"], row["image"], row["asked"], row["text"]) == (
        "q0",
        "image0",
        {"expression": "dog"},
        text,
    )
    assert row["truth"] == list(TRUTHS[0]) and row["iou"] == 0
    assert row["boxes"][0] is None and row["boxes"][1] == pytest.approx(TRUTHS[0], abs=0.001)


def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        run(tmp_path / folder, FakeAdapter(knows_all), rec_set(), phrase_less())
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [
        "metrics.json",
        "outcomes-pope-pope.json",
        "outcomes-validation-rec.json",
        "predictions-pope-pope.jsonl",
        "predictions-validation-rec.jsonl",
    ]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def phrase_less() -> QuestionSet:
    asks = [
        Ask(
            Question(f"p{n}", f"i{n}", truth),
            Prompt("vqa", {"expression": "dog", "question": "?"}, []),
            image,
        )
        for n, truth in enumerate([True, False])
    ]
    return QuestionSet("pope", "pope", asks)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = run(tmp_path, FakeAdapter(knows_all), rec_set(), phrase_less())
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert told["sets"]["validation"]["rec"]["rec/first_box@0.5"]["value"] == 1
    assert (told["model"], told["dialect"], told["prompts"]) == ("fake/model", "digits", "instruction")
    assert told["versions"]["torch"]
    assert printed(read_report(tmp_path)) == printed(report)
    assert read_report(tmp_path).about == report.about


@pytest.mark.parametrize(
    ("count", "options", "model", "told"),
    [
        (3, {}, "fake/model", None),
        (3, {"max_new_tokens": 9, "resamples": 500}, "fake/model", None),
        (3, {}, "other/model", 'model was "fake/model" and is now "other/model"'),
        (2, {}, "fake/model", "validation rec was asked 3 questions and would be asked 2 others"),
        (4, {}, "fake/model", "validation rec was asked 3 questions and would be asked 4 others"),
        (0, {}, "fake/model", "validation rec would not be asked"),
    ],
)
def test_an_evaluation_that_would_lose_scores_is_told(
    count: int, options: dict[str, Any], model: str, told: str | None, tmp_path: Path
) -> None:
    adapter = FakeAdapter(knows_all)
    assert other_evaluation(tmp_path, adapter, Eval(), [rec_set()], False, model) is None
    run(tmp_path, adapter, rec_set(count=3))
    sets = [phrase_less(), *([rec_set(count=count)] if count else [])]
    found = other_evaluation(tmp_path, adapter, Eval(**options), sets, False, model)
    assert found is None if told is None else found is not None and told in found


def test_more_of_the_same_questions_lose_no_scores(tmp_path: Path) -> None:
    adapter = FakeAdapter(knows_all)
    run(tmp_path, adapter, rec_set().limited(2, 0))
    for most, is_fine in ((None, True), (3, True), (2, True), (1, False)):
        sets = [rec_set().limited(most, 0)]
        assert (other_evaluation(tmp_path, adapter, Eval(), sets, False, "fake/model") is None) is is_fine
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_evaluations_compare_question_by_question(tmp_path: Path) -> None:
    def knows_three(asked: Prompt, image: Image.Image) -> str:
        return "?" if asked.words["expression"] == "dog" else knows_all(asked, image)

    run(tmp_path / "a", FakeAdapter(knows_three), rec_set(), phrase_less())
    run(tmp_path / "b", FakeAdapter(knows_all), rec_set(), phrase_less())
    a, b = load_outcomes(tmp_path / "a"), load_outcomes(tmp_path / "b")
    difference = paired_difference(
        a["validation"]["rec/first_box@0.5"], b["validation"]["rec/first_box@0.5"], resamples=100
    )
    assert (difference.value, difference.n) == (0.25, 4)
    # Each protocol keeps its own way of summing up.
    for protocol, outcomes in b["pope"].items():
        assert outcomes.score(resamples=100) == read_report(tmp_path / "b").score("pope", protocol)
    with pytest.raises(UserError, match="no outcomes"):
        load_outcomes(tmp_path)


def test_pope_reads_the_first_word(tmp_path: Path) -> None:
    report = run(tmp_path, FakeAdapter(lambda asked, image: "Yes, there is no dog."), phrase_less())
    values = {s.protocol: s.value for s in report.results[0].scores}
    assert values["pope/first_word/accuracy"] == 0.5
    assert values["pope/first_word/yes_ratio"] == 1


def caption_set(task: str = "caption") -> QuestionSet:
    asks = [
        Ask(Question(f"c{n}", f"i{n}", [text]), Prompt("caption", {}, []), image)
        for n, text in enumerate(["a red dog on the wet grass", "one large yellow school bus"])
    ]
    return QuestionSet("validation", task, asks)  # type: ignore[arg-type]


def test_scores_of_text_without_java_are_named_and_the_rest_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    report = run(tmp_path, FakeAdapter(lambda asked, image: "a dog"), caption_set(), phrase_less())
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert sorted(told["missing"]["validation"]["caption"]) == [
        "caption/bleu4", "caption/cider", "caption/meteor", "caption/rouge_l",
    ]  # fmt: skip
    assert told["sets"]["validation"]["caption"] == {}
    assert "caption/cider is missing. Scores of text need Java" in printed(report)
    assert report.score("pope", "pope/first_word/accuracy").n == 2
    assert len(predictions(tmp_path / "predictions-validation-caption.jsonl")) == 2


@pytest.mark.skipif(reg.missing() is not None, reason=str(reg.missing()))
def test_captions_are_scored_without_markup(tmp_path: Path) -> None:
    replies = [
        "<grounding><phrase>a red dog</phrase> on the wet grass",
        "<phrase>one large yellow school bus</phrase><object><patch_index_0044><patch_index_0863></object>",
    ]
    adapter = FakeAdapter(lambda asked, image: replies.pop(0), "kosmos2")
    report = run(tmp_path, adapter, caption_set())
    values = {score.protocol: score.value for score in report.results[0].scores}
    assert values == {
        "caption/cider": pytest.approx(10),
        "caption/bleu4": pytest.approx(1),
        "caption/rouge_l": pytest.approx(1),
        "caption/meteor": pytest.approx(1),
    }


@pytest.mark.parametrize("dialect", ["qwen3_vl", "florence2", "kosmos2", "digits"])
def test_words_are_read_in_every_dialect(tmp_path: Path, dialect: str) -> None:
    """Dialects that list labels have no text where nothing is listed."""
    report = run(tmp_path, FakeAdapter(lambda asked, image: "Yes.", dialect), phrase_less())
    assert report.score("pope", "pope/first_word/yes_ratio").value == 1


def test_a_split_of_a_dataset_is_evaluated(tmp_path: Path, write_recipe: Callable[..., Path]) -> None:
    """Drawn scenes, asked from shards as the pipeline writes them, by a model that knows them by heart."""
    stages = [
        "image_check",
        "noun_chunks",
        "ground: {grounder: annotations}",
        "select_boxes",
        "referring_expressions",
    ]
    recipe = write_recipe(
        "type: scenes, count: 40", stages, output="shard_size: 1GB, splits: {validation: 0.4}"
    )
    job = load_recipe(str(recipe), [])
    run_job(job, Store(work_directory(job, None)), LocalRunner(), Progress(), None)
    options = Eval(tasks=["rec", "phrase_grounding", "reg", "caption"])
    sets = load_sets(options, str(tmp_path / "out"))
    assert [(questions.name, questions.task) for questions in sets] == [
        ("validation", task) for task in options.tasks
    ]
    grounding = sets[:2]
    truths = {(a.image().tobytes(), str(a.asked)): a.question.truth for s in grounding for a in s.asks}

    def knows(asked: Prompt, image: Image.Image) -> str:
        truth = truths[image.tobytes(), str(asked)]
        boxes = [truth] if isinstance(truth, Box) else truth
        return DIALECTS["digits"].encode_boxes(boxes, image.size)

    report = run(tmp_path / "eval", FakeAdapter(knows), *grounding)
    for result, protocol in zip(
        report.results, ("rec/first_box@0.5", "phrase_grounding/any_box@R1"), strict=True
    ):
        score = result.by_protocol[protocol]
        assert score.n > 10 and score.value == score.ceiling == 1
        assert all(baseline.value < 0.8 for baseline in result.baselines[protocol].values())


def test_published_scores_stand_beside_ours_only_where_they_belong(tmp_path: Path) -> None:
    text = printed(run(tmp_path, FakeAdapter(knows_all), rec_set("refcoco_val")))
    rows = [line for line in text.splitlines() if "Kosmos-2" in line]
    assert len(rows) == 1 and "52.32" in rows[0] and "100.0" in rows[0]
    assert "from memory, not verified" in next(line for line in text.splitlines() if "Florence-2-L " in line)
    assert "ours is of 4 questions, the published set has 10,834. They do not compare." in text
    assert "Kosmos-2" not in printed(run(tmp_path, FakeAdapter(knows_all), rec_set("validation")))


def test_names_from_outside_are_not_markup(tmp_path: Path) -> None:
    report = run(tmp_path, FakeAdapter(knows_all), rec_set("validation"))
    assert "rec/first_box@0.5[1-2 words]" in printed(report)


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = FakeModel().train()
    options = Eval(resamples=100)
    evaluate(model, FakeAdapter(knows_all), options, [rec_set()], tmp_path, native=True)
    assert model.training


@pytest.mark.parametrize("native", [True, False])
def test_whose_words_are_used_is_passed_on_and_kept(tmp_path: Path, native: bool) -> None:
    adapter = FakeAdapter(knows_all)
    report = evaluate(FakeModel(), adapter, Eval(resamples=100), [rec_set()], tmp_path, native=native)
    assert {was for _, was in adapter.asked} == {native}
    assert report.about["prompts"] == ("native" if native else "instruction")


def test_a_judge_reads_boxes_as_shares_of_the_image() -> None:
    dialect = DIALECTS["kosmos2"]
    text = "<phrase>a dog</phrase><object><patch_index_0044><patch_index_0863></object> runs"
    parsed = dialect.parse(text, SIZE)
    assert graded_text(parsed, text) == "a dog [0.391,0.047,0.984,0.828] runs"
    loose = "<object><patch_index_0044><patch_index_0863></object>"
    assert graded_text(dialect.parse(loose, SIZE), loose) == "[0.391,0.047,0.984,0.828]"
    assert graded_text(dialect.parse("It is red.", SIZE), "It is red.") == "It is red."


def test_nothing_is_not_a_number(tmp_path: Path) -> None:
    run(tmp_path, FakeAdapter(lambda asked, image: ""), rec_set(), phrase_set(), phrase_less())
    told = (tmp_path / "metrics.json").read_text()
    assert "NaN" not in told and "Infinity" not in told
    assert all(math.isfinite(s.value) for r in read_report(tmp_path).results for s in r.scores)
