"""`llava_cc3m_595k.yaml` on real photographs, and deduplication as a user runs it."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from gritmill.pipeline.engine.plan import Parts, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.inspect.concepts import concepts_table, count_phrases, how_it_balances
from gritmill.pipeline.inspect.why import tell
from gritmill.pipeline.inspect.why_text import story_lines
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError


def test_captions_of_photographs_are_balanced(coco_mini: Path, tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    source = f"source={{type: coco, images: {coco_mini}/images, captions: {coco_mini}/captions.json}}"
    overrides = [source, f"output.dir={tmp_path / 'out'}", "stages.concept_balance.max_captions=5"]
    job = load_recipe("llava_cc3m_595k", overrides)
    work = Store(f"{tmp_path / 'out'}.work")
    done = run(job, work, LocalRunner(), Progress())
    balance = done.totals["concept_balance"]
    assert set(balance.rejected) == {"rare_concepts", "common_concepts"}
    assert 0 < balance.rows_out < balance.rows_in
    phrases = count_phrases(done.plan, work)
    assert (phrases.captions_before, phrases.captions_after) == (balance.rows_in, balance.rows_out)
    assert all(
        phrases.after[phrase] >= min(5, count) for phrase, count in phrases.before.items() if count >= 3
    )
    assert phrases.after.total() < phrases.before.total()
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(concepts_table(phrases))
    assert f"unique phrases {len(phrases.before):,} {len(phrases.after):,}" in " ".join(
        console.export_text().split()
    )
    assert "in fewer than 3 captions brings in none (min_frequency), any other 5 at most" in how_it_balances(
        phrases.balance
    )
    entries = json.loads((tmp_path / "out" / "llava" / "train.json").read_text())
    assert len(entries) == balance.rows_out
    assert {len(entry["conversations"]) for entry in entries} == {2}


def test_a_recipe_without_balance_has_no_phrases(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    job = load_recipe(str(write_recipe("type: scenes, count: 4", ["image_check"])))
    plan = make_plan(job, Parts.of(job.source.parts()))
    with pytest.raises(UserError, match="no concept_balance"):
        count_phrases(plan, Store(str(tmp_path / "work")))


def test_why_names_the_keeper(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    stages = ["image_check", "deduplicate_captions: {by: minhash, min_jaccard: 0.9}"]
    source = "type: scenes, style: simple, count: 60, part_size: 25, max_objects: 1"
    job = load_recipe(str(write_recipe(source, stages)))
    work = Store(str(tmp_path / "work"))
    done = run(job, work, LocalRunner(), Progress())
    assert done.totals["deduplicate_captions"].rejected["duplicate_caption"] > 10
    keys = [key for part in job.source.parts() for key in job.source.read(part)["key"]]
    stories = {key: tell(done.plan, work, key)[0] for key in keys}
    gone = next(key for key in keys if stories[key].chapters[-1].reason == "duplicate_caption")
    keeper = stories[gone].chapters[-1].columns["caption_cluster"]
    told = "\n".join(story_lines(stories[gone]))
    assert f"rejected: duplicate_caption, duplicate of {keeper} (jaccard" in told
    assert "threshold min_jaccard 0.9" in told
    assert "rejected" not in "\n".join(story_lines(stories[keeper]))
