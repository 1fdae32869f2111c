"""Steps, identities, passes and parts, without running anything."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gritmill import prompts
from gritmill.pipeline.engine.identity import digest
from gritmill.pipeline.engine.plan import Parts, Plan, Resources, Shards, columns_before, make_plan
from gritmill.pipeline.engine.recipes import Job, load_recipe
from gritmill.pipeline.engine.steps_lock import LOCK, Line
from gritmill.pipeline.engine.wiring import NamedStage
from gritmill.pipeline.output.shards import Shard
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

STEPS = [
    "source",
    "image_check",
    "caption_check",
    "noun_chunks",
    "ground",
    "select_boxes",
    "referring_expressions",
    "shards",
    "write",
]
PARTS = [{"uri": "a.tar", "version": "1"}, {"uri": "b.tar", "version": "1"}]


@pytest.fixture(scope="module")
def job() -> Job:
    """All stages of GRIT, over scenes."""
    return load_recipe("quickstart")


def planned(job: Job, parts: list[dict[str, Any]] = PARTS) -> Plan:
    with warnings.catch_warnings():
        # Values of a wrong type stand in for other values; Pydantic remarks on it.
        warnings.simplefilter("ignore", UserWarning)
        return make_plan(job, Parts.of(parts))


def changed(before: Plan, after: Plan) -> list[str]:
    """Steps, by name, whose identity is another one."""
    pairs = zip(before.steps, after.steps, strict=True)
    return list(dict.fromkeys(a.name for a, b in pairs if a.identity != b.identity))


def all_options(job: Job) -> Iterator[tuple[str, str]]:
    for named in job.stages:
        yield from ((named.name, option) for option in type(named.stage).model_fields)


def with_option(job: Job, name: str, option: str, value: object) -> Job:
    stages = [
        NamedStage(s.name, s.stage.model_copy(update={option: value})) if s.name == name else s
        for s in job.stages
    ]
    return dataclasses.replace(job, stages=stages)


def test_every_option_that_decides_the_result_redoes_its_step_and_what_follows(job: Job) -> None:
    before = planned(job)
    seen = 0
    for name, option in all_options(job):
        if option not in ("batch_size", "cpus", "gpus"):
            after = planned(with_option(job, name, option, "something else"))
            assert changed(before, after) == STEPS[STEPS.index(name) :], (name, option)
            seen += 1
    assert seen > 20


def test_how_a_step_runs_redoes_nothing(job: Job) -> None:
    before = planned(job)
    for name, option in all_options(job):
        if option in ("batch_size", "cpus", "gpus"):
            after = planned(with_option(job, name, option, 0.5))
            assert changed(before, after) == [], (name, option)
    resources = planned(with_option(job, "ground", "gpus", None)).steps[4].resources
    assert resources == Resources(1, -1)


@pytest.mark.parametrize(
    ("override", "first"),
    [
        ("source.seed=1", "source"),
        ("source.count=301", "source"),
        ("output.shard_size=2MB", "shards"),
        ("output.splits.validation=0.2", "shards"),
        ("output.splits.test=0.1", "shards"),
        ("output.split_seed=1", "shards"),
        ("output.formats=[webdataset]", "write"),
        ("output.dir=elsewhere", None),
        ("name=another", None),
        ("max_failed_fraction=0.5", None),
    ],
)
def test_what_else_a_recipe_says_redoes_what_it_decides(job: Job, override: str, first: str | None) -> None:
    expected = STEPS[STEPS.index(first) :] if first else []
    assert changed(planned(job), planned(load_recipe("quickstart", [override]))) == expected


@pytest.mark.parametrize(
    ("text", "first"),
    [("boilerplate", "caption_check"), ("abstract_nouns", "noun_chunks"), ("label_synonyms", "ground")],
)
def test_another_word_list_redoes_the_stage_that_reads_it(
    job: Job, text: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = planned(job), prompts.digest
    monkeypatch.setattr(prompts, "digest", lambda name: "edited" if name == text else real(name))
    assert changed(before, planned(job)) == STEPS[STEPS.index(first) :]


@pytest.mark.parametrize(
    ("target", "first"),
    [
        ("gritmill.pipeline.sources.base:Source", "source"),
        ("gritmill.pipeline.sources.scenes:ScenesSource", "source"),
        ("gritmill.pipeline.sources.scenes:draw", "source"),
        ("gritmill.stages.base:Stage", "image_check"),
        ("gritmill.stages.grounders.base:Ground", "ground"),
        ("gritmill.stages.select_boxes:SelectBoxes", "select_boxes"),
        ("gritmill.pipeline.output.shards:AssignShards", "shards"),
        ("gritmill.pipeline.output.shards:list_shards", "write"),
        ("gritmill.pipeline.engine.write_shard:write_shard", "write"),
        ("gritmill.pipeline.output.webdataset:WEBDATASET", "write"),
        ("gritmill.pipeline.output.llava:LLAVA", None),
        ("gritmill.stages.verification.verify_boxes:VerifyBoxes", None),
    ],
)
def test_another_version_redoes_the_steps_that_are_built_on_it(
    job: Job, target: str, first: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = planned(job)
    monkeypatch.setitem(LOCK, target, Line("2", LOCK[target].digest))
    assert changed(before, planned(job)) == (STEPS[STEPS.index(first) :] if first else [])


def test_another_part_redoes_only_what_must_know_all_parts(job: Job) -> None:
    assert changed(planned(job), planned(job, [*PARTS, {"uri": "c.tar"}])) == ["shards", "write"]


@pytest.mark.parametrize(
    ("stages", "passes"),
    [
        ([], ["source image_check shards.sketch", "shards"]),
        (
            ["odd_stages:FirstOfEachImage: {as: first}", "odd_stages:Slow: {as: slow}"],
            ["source image_check first.sketch", "first slow shards.sketch", "shards"],
        ),
        (
            ["odd_stages:FirstOfEachImage: {as: first}", "odd_stages:FirstOfEachImage: {as: again}"],
            ["source image_check first.sketch", "first again.sketch", "again shards.sketch", "shards"],
        ),
    ],
    ids=["none but shards", "one", "two"],
)
def test_each_global_stage_ends_a_pass(
    write_recipe: Callable[..., Path], stages: list[str], passes: list[str]
) -> None:
    recipe = write_recipe("type: scenes, count: 4", ["image_check", *stages])
    plan = planned(load_recipe(str(recipe)))
    names = [step.folder.rpartition("-")[0] for step in plan.steps]
    assert [" ".join(names[number] for number in p.steps) for p in plan.passes] == passes
    for this in plan.passes[:-1]:
        assert this.decide == this.steps[-1]
        sketch, process = plan.steps[this.decide], plan.steps[this.decide + 1]
        assert (sketch.kind, process.kind) == ("sketch", "process")
        assert sketch.decision == process.decision
    assert plan.passes[-1].decide is None
    assert names[plan.write] == "write" and plan.write == len(names) - 1
    assert len({step.folder for step in plan.steps}) == len(names)


def test_a_step_sees_the_columns_of_those_before_it(job: Job) -> None:
    steps = planned(job).steps
    before = columns_before(steps, 3)
    assert {"key", "caption", "annotations", "width", "words"} <= set(before)
    assert "noun_chunks" not in before and "noun_chunks" in columns_before(steps, 4)
    # What a sketch holds is for its decision alone.
    assert "key_hash" not in columns_before(steps, len(steps))


PART = {"uri": "photos/évian 🐕.tar", "rows": 10}


@pytest.mark.parametrize("parts", [[], [PART], [{"n": n} for n in range(5000)]], ids=["none", "one", "many"])
def test_parts_come_back_from_the_work_directory(parts: list[dict[str, Any]], tmp_path: Path) -> None:
    made = Parts.of(parts)
    store = Store(str(tmp_path))
    made.save(store, "parts.arrow")
    loaded = Parts.load(store, "parts.arrow")
    assert len(loaded) == len(parts)
    assert [unit.spec for unit in loaded] == parts
    assert [unit.id for unit in loaded] == [digest(part) for part in parts]
    assert [unit.index for unit in loaded] == list(range(len(parts)))
    assert loaded.digest == made.digest


def test_any_part_more_or_less_or_moved_is_another_plan() -> None:
    lists: tuple[list[dict[str, Any]], ...] = (
        [],
        [{"n": 1}],
        [{"n": 2}],
        [{"n": 1}, {"n": 2}],
        [{"n": 2}, {"n": 1}],
    )
    assert len({Parts.of(parts).digest for parts in lists}) == len(lists)


def test_a_part_is_done_when_its_result_is_there() -> None:
    parts = Parts.of({"n": n} for n in range(4))
    ids = [unit.id for unit in parts]
    names = [
        f"{ids[2]}.parquet",
        f"{ids[0]}.parquet",
        f"{ids[1]}.000000000-000000005.piece",  # a slice of it only
        f"{ids[3]} (copy).parquet",
        f"{ids[3]}.jsonl",
        "receipts-000000.jsonl",
        "0123456789abcdef.parquet",  # of a part that is no more
        "é.parquet",
    ]
    assert parts.done(names).tolist() == [True, False, True, False]
    assert parts.chosen(parts.done(names)) == [ids[0], ids[2]]
    assert parts.chosen(parts.done([])) == []


def test_a_part_that_comes_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r'names one part twice: {"uri": "b"}. List every file once'):
        Parts.of([{"uri": "a"}, {"uri": "b"}, {"uri": "c"}, {"uri": "b"}])


def test_shards_are_done_by_their_name() -> None:
    shards = Shards([Shard("train", i, 2, i, i, 5, "jpg") for i in range(2)])
    assert shards[1].id == "train-00001-of-00002"
    assert Shard(**shards[1].spec) == shards.shards[1]
    names = ["train-00001-of-00002.parquet", "train-00000-of-00001.parquet", "receipts-000000.jsonl"]
    assert shards.done(names).tolist() == [False, True]
    assert shards.chosen(shards.done(names)) == ["train-00001-of-00002"]
