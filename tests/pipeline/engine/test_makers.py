"""Several makers of conversations in a recipe: what each adds, passes, rewrites and replaces."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gritmill.pipeline.card.facts import gather
from gritmill.pipeline.card.making import making
from gritmill.pipeline.engine.funnel import reasons_text
from gritmill.pipeline.engine.plan import Parts, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import Finished, limited, run, work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.engine.worker import Worker
from gritmill.pipeline.inspect.why import tell
from gritmill.pipeline.inspect.why_text import story_lines
from gritmill.pipeline.report.run import find_run
from gritmill.pipeline.stats.measure import dataset_stats
from gritmill.pipeline.stats.read import read_samples
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.verify import verify
from gritmill.schemas.conversations import of_record
from gritmill.schemas.errors import UserError

SOURCE = "type: scenes, count: 8, part_size: 4, size: 96, captions_per_image: 1"
GRIT = [
    "noun_chunks",
    "ground: {grounder: annotations}",
    "select_boxes: {min_score: 0.65}",
    "referring_expressions",
]
READ = [
    "context: {boxes: none}",
    "generate: {backend: echo, prompts: caption/general}",
    "parse_replies",
]
A, B_ALONE = "caption_conversations: {as: a}", "caption_conversations: {as: b, replace: true}"
Write = Callable[..., Path]


def says(name: str, **options: object) -> str:
    return f'"odd_stages:Says": {json.dumps({"as": name} | options)}'


def go(recipe: Path) -> Finished:
    job = load_recipe(str(recipe))
    return run(job, Store(work_directory(job, None)), LocalRunner(), Progress())


def told(folder: Path) -> list[list[tuple[str, str]]]:
    """(maker, last words) of each conversation of each sample."""
    samples = read_samples(Store(str(folder)))
    return [[(c.provenance.maker, c.turns[-1].text) for c in of_record(s.record)] for s in samples]


def makers(folder: Path) -> set[tuple[str, ...]]:
    return {tuple(maker for maker, _ in each) for each in told(folder)}


def results(folder: Path) -> dict[str, str]:
    """What lies in the results of the steps, by their file."""
    found = folder.glob("*-*/*.parquet")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([says("a"), says("b", text="Another.")], ("a", "b")),
        ([*GRIT, "tasks", "tasks: {as: more, seed: 1}"], ("tasks", "more")),
        ([*GRIT, *READ, "tasks"], ("parse_replies", "tasks")),
        ([*READ, "caption_conversations"], ("parse_replies", "caption_conversations")),
        ([A, B_ALONE], ("b",)),
        (
            [
                "caption_conversations: {as: a}",
                "caption_conversations: {as: b, replace: true}",
                says("c"),
            ],
            ("b", "c"),
        ),
        (["caption_conversations", says("b"), "odd_stages:Shortens"], ("b",)),
        (["caption_conversations: {as: a}", "odd_stages:Shortens", says("b")], ("a", "b")),
    ],
)
def test_what_makers_made_is_joined_in_the_order_of_the_recipe(
    stages: list[str], expected: tuple[str, ...], write_recipe: Write, tmp_path: Path
) -> None:
    go(write_recipe(SOURCE, ["image_check", *stages], output="formats: [webdataset, parquet]"))
    assert makers(tmp_path / "out") == {expected}
    assert verify([str(tmp_path / "out")]).ok
    stats = dataset_stats(str(tmp_path / "out"))
    assert stats.makers == dict.fromkeys(sorted(expected), stats.samples)


def test_a_stage_that_rewrites_conversations_stands_in_their_provenance(
    write_recipe: Write, tmp_path: Path
) -> None:
    shortens = ['"odd_stages:Shortens": {as: once}', '"odd_stages:Shortens": {as: twice}']
    go(write_recipe(SOURCE, ["image_check", "caption_conversations", *shortens]))
    for sample in read_samples(Store(str(tmp_path / "out"))):
        [origin] = sample.record["provenance"]
        assert (origin["maker"], origin["rewritten_by"]) == ("caption_conversations", "once, twice")
        assert origin["template"].startswith("questions/brief@")


def test_a_maker_with_nothing_to_add_drops_no_sample_that_has_something(
    write_recipe: Write, tmp_path: Path
) -> None:
    """Captions name a colour: the first maker has nothing for the blue, the second for nobody."""
    stages = [says("a", but="blue"), says("b", but=" ")]
    recipe = write_recipe(SOURCE, ["image_check", *stages])
    totals = go(recipe).totals
    kept = totals["a"].rows_out
    assert totals["a"].rejected["bad_word"] > 0 and not totals["a"].passed
    assert totals["b"].rows_in == totals["b"].rows_out == kept == totals["b"].passed["bad_word"]
    assert not totals["b"].rejected
    assert reasons_text(totals["b"]) == f"passed: bad_word {kept}"
    assert makers(tmp_path / "out") == {("a",)}
    row = next(
        row for row in json.loads((tmp_path / "out/stats.json").read_text())["funnel"] if row["step"] == "b"
    )
    assert row["passed"] == {"bad_word": kept}
    assert find_run(str(tmp_path / "out")).funnel["b"].passed == {"bad_word": kept}
    assert f"passed: bad_word {kept}" in (tmp_path / "out/report.md").read_text()
    key = next(iter(read_samples(Store(str(tmp_path / "out"))))).record["key"]
    chapters = {chapter.step: chapter for chapter in story(recipe, key)[0].chapters}
    assert (chapters["b"].verdict, chapters["b"].reason, chapters["b"].threshold) == (
        "passed",
        "bad_word",
        "0",
    )
    assert chapters["shards"].verdict == "kept"


@pytest.mark.parametrize(
    "stages",
    [
        [says("b", but=" ")],
        [says("a"), says("b", but=" ", replace=True)],
    ],
)
def test_a_reject_drops_a_sample_that_has_no_other_conversation(
    stages: list[str], write_recipe: Write
) -> None:
    with pytest.raises(UserError, match="b dropped the last 8 of them"):
        go(write_recipe(SOURCE, ["image_check", *stages]))


def test_what_raises_fails_though_something_is_there(write_recipe: Write) -> None:
    stages = [says("a"), '"odd_stages:SaysOrRaises": {as: b, but: blue}']
    totals = go(write_recipe(SOURCE, ["image_check", *stages], extra="max_failed_fraction: 1")).totals
    assert totals["b"].failed["ValueError"] and not totals["b"].passed


def test_editing_a_maker_redoes_none_before_it(write_recipe: Write, tmp_path: Path) -> None:
    def stages(text: str) -> list[str]:
        return [
            "image_check",
            says("a"),
            says("b", text=text),
            "caption_conversations",
        ]

    go(write_recipe(SOURCE, stages("One.")))
    before = results(tmp_path / "out.work")
    go(write_recipe(SOURCE, stages("Two.")))
    after = results(tmp_path / "out.work")
    assert before.items() <= after.items()
    again = {name.partition("-")[0] for name in after.keys() - before.keys()}
    assert again == {"b", "caption_conversations", "shards.sketch", "shards", "write"}
    assert [[text for _, text in each][:2] for each in told(tmp_path / "out")] == [["A thing.", "Two."]] * 8


def test_a_run_that_was_killed_between_makers_ends_the_same(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [
        "image_check",
        says("a"),
        says("b", but="blue"),
        "caption_conversations",
    ]
    go(write_recipe(SOURCE, stages, name="whole", folder="whole"))
    recipe, done, as_ever = write_recipe(SOURCE, stages), 0, Worker.run

    def dies(self: Worker, task: Any) -> Any:
        nonlocal done
        done += 1
        if done == 6:
            raise KeyboardInterrupt
        return as_ever(self, task)

    monkeypatch.setattr(Worker, "run", dies)
    with pytest.raises(KeyboardInterrupt):
        go(recipe)
    monkeypatch.undo()
    totals = go(recipe).totals
    assert totals["b"].passed["bad_word"]
    assert told(tmp_path / "out") == told(tmp_path / "whole")


def test_card_and_story_tell_what_was_replaced(write_recipe: Write, tmp_path: Path) -> None:
    stages = [
        "image_check",
        "caption_conversations: {as: a}",
        "caption_conversations: {as: b, replace: true}",
    ]
    recipe = write_recipe(SOURCE, stages)
    go(recipe)
    out = Store(str(tmp_path / "out"))
    card = making(gather(out, dataset_stats(str(tmp_path / "out")), None))
    assert "Conversations of earlier stages, and of the source, were dropped at `b`." in card
    key = next(iter(read_samples(out))).record["key"]
    [only] = story(recipe, key)
    assert [chapter.replaced for chapter in only.chapters if chapter.step in "ab"] == [(), ("a",)]
    assert "      replaces       the conversations of a" in story_lines(only)


def story(recipe: Path, key: str) -> Any:
    job = load_recipe(str(recipe))
    return tell(make_plan(job, Parts.of(limited(job, None))), Store(work_directory(job, None)), key)
