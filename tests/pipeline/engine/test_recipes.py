from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.engine.recipes import RecipeError, find_run_files, load_recipe, record
from gritmill.schemas.errors import UserError

GOOD = """\
name: good
source: {type: scenes, count: 3}
stages:
  - image_check: {min_side: 8}
  - noun_chunks
output: {dir: out/good, shard_size: 2MB}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def mistakes(name: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(name, overrides)
    return [" ".join(mistake.split()) for mistake in caught.value.mistakes]


def test_a_good_recipe_is_ready_to_plan(recipe: Callable[[str], str]) -> None:
    job = load_recipe(recipe(GOOD))
    assert job.name == "good"
    assert [named.name for named in job.stages] == ["image_check", "noun_chunks"]
    assert job.output.shard_size == 2_000_000


def test_all_mistakes_come_at_once_each_with_its_line(recipe: Callable[[str], str]) -> None:
    found = mistakes(
        recipe(
            """\
name: no spaces please
source: {type: scenes, cuont: 3, size: big}
stages:
  - image_chek
  - noun_chunks: {model: nl_core_nowhere_sm}
  - ground: {grouder: annotations}
  - select_boxes: {min_score: high}
  - select_boxes
  - [a, b]
output: {dir: out/x, formats: [tfrecord], shard_size: 12 parsecs}
colour: blue
"""
        )
    )
    text = "\n".join(found)
    for expected in (
        "line 1 name: String should match",
        "line 2 source: size: Input should be a valid integer",
        "line 2 source: option cuont is not known; did you mean 'count'?",
        "line 4 there is no stage 'image_chek'; did you mean 'image_check'?",
        "line 5 noun_chunks: spaCy model 'nl_core_nowhere_sm' is not installed",
        "line 6 ground: option grounder is missing; choose one of: annotations, ",
        "line 7 select_boxes: min_score: Input should be a valid number",
        "line 8 two stages are called select_boxes",
        "line 9 a stage is written",
        "line 10 output: there is no format 'tfrecord'; there are: webdataset, parquet, coco, llava",
        "line 10 output.shard_size: a size is written like 500MB",
        "line 11 option colour is not known",
    ):
        assert expected in text
    assert len(found) == 12


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            "train: {model: tiny, learning_rat: 1}",
            "train: option learning_rat is not known; did you mean 'le",
        ),
        ("train: {preset: ferret}", "train: model is missing"),
        ("train: {model: tiny, lora: {rank: 0}}", "train: lora.rank: Input should be greater than"),
        (
            "train: {model: tiny, curriculum: [{until: 0.5, max_boxes: 2}, {until: 0.2, max_boxes: 3}]}",
            "train: the steps of a curriculum follow one another",
        ),
        ("eval: {sets: [test, holdout]}", "eval: sets.1."),
        ("eval: {tasks: []}", "eval: tasks: List should have at least 1 item"),
        ("train: yes", "train: Input should be a valid dictionary"),
    ],
)
def test_mistakes_of_training_and_evaluation(blocks: str, message: str, recipe: Callable[[str], str]) -> None:
    assert any(message in mistake for mistake in mistakes(recipe(f"{GOOD}\n{blocks}\n"))), blocks


def test_a_recipe_may_train_and_evaluate(recipe: Callable[[str], str]) -> None:
    plain = load_recipe(recipe(GOOD))
    assert plain.train is None
    assert plain.eval.sets == ["validation"]
    blocks = "train: {model: tiny, lora: {}}\neval: {tasks: [rec, reg]}"
    job = load_recipe(recipe(f"{GOOD}\n{blocks}\n"), ["train.max_steps=7", "eval.limit=3"])
    assert job.train and job.train.max_steps == 7 and job.train.lora and job.train.lora.rank == 16
    assert job.eval.tasks == ["rec", "reg"] and job.eval.limit == 3


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            ["noun_chunks"],
            "the output needs column image_bytes, which nothing before it writes; put image_check",
        ),
        (
            ["image_check", "select_boxes"],
            "select_boxes reads column candidates, which nothing before it writes; put ground",
        ),
        (
            ["image_check", "noun_chunks", "ground: {grounder: annotations}"],
            "ground reads column annotations, which neither the source nor a stage before it gives",
        ),
        (["image_check: {gpus: -1}"], "image_check: gpus: Input should be greater than or equal to 0"),
        (["no_such_module:Stage: {}"], "'no_such_module:Stage' cannot be imported"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    stages: list[str], message: str, tmp_path: Path, recipe: Callable[[str], str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "a.txt").write_text("a dog")
    lines = "\n".join(f"  - {stage}" for stage in stages)
    text = f"name: x\nsource: {{type: folder, path: {tmp_path}}}\nstages:\n{lines}\noutput: {{dir: o}}\n"
    assert any(message in mistake for mistake in mistakes(recipe(text))), mistakes(recipe(text))


REPLY = ["context: {boxes: none}", "generate: {backend: echo, prompts: caption/general}", "parse_replies"]


@pytest.mark.parametrize(
    "stages",
    [
        REPLY,
        ["caption_conversations", *REPLY],
        ["caption_conversations", "caption_conversations: {as: b}", "odd_stages:Shortens"],
        ["caption_conversations", "odd_stages:Shortens", "caption_conversations: {as: b, replace: true}"],
    ],
)
def test_makers_of_conversations_come_in_any_number(
    stages: list[str], tmp_path: Path, recipe: Callable[[str], str]
) -> None:
    load_recipe(recipe(talking(stages, tmp_path)))


def test_a_stage_that_would_lose_conversations_is_refused(
    tmp_path: Path, recipe: Callable[[str], str]
) -> None:
    load_recipe(recipe(talking(["odd_stages:Forgets"], tmp_path)))
    [said] = mistakes(recipe(talking(["caption_conversations", "odd_stages:Forgets"], tmp_path)))
    assert said.endswith(
        "odd_stages:Forgets writes conversations without a look at those that are there, which would be "
        "lost; build its class on Maker (stages/maker.py), which appends, or let it read conversations "
        "if it is to rewrite them"
    )


def talking(stages: list[str], folder: Path) -> str:
    (folder / "a.jpg").write_bytes(b"")
    (folder / "a.txt").write_text("a dog")
    lines = "\n".join(f"  - {stage}" for stage in ["image_check", *stages])
    return f"name: x\nsource: {{type: folder, path: {folder}}}\nstages:\n{lines}\noutput: {{dir: o}}\n"


def test_overrides_reach_every_place(recipe: Callable[[str], str]) -> None:
    job = load_recipe(
        recipe(GOOD),
        [
            "source.count=7",
            "stages.image_check.min_side=9",
            "stages.noun_chunks.batch_size=3",
            "output.splits.test=0.5",
            "max_failed_fraction=0.5",
        ],
    )
    assert job.source.model_dump()["count"] == 7
    assert job.stages[0].stage.model_dump()["min_side"] == 9
    assert job.stages[1].stage.batch_size == 3
    assert job.output.splits.test == 0.5
    assert job.max_failed_fraction == 0.5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("source.count", "write it as --set source.images=DIR"),
        ("stages=[]", "write it as --set stages.NAME.OPTION=VALUE"),
        ("stages.noun_chunks=3", "write it as --set stages.NAME.OPTION=VALUE"),
        ("stages.noun_chunk={}", "no stage 'noun_chunk'; did you mean 'noun_chunks'?"),
        ("stages.noun_chunk.model=x", "no stage 'noun_chunk'; did you mean 'noun_chunks'?"),
        ("name.x=1", "name has no options of its own"),
        ("source.count=[", "the value is not YAML"),
    ],
)
def test_a_wrong_override_is_one_sentence(override: str, message: str, recipe: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        load_recipe(recipe(GOOD), [override])


def test_an_override_gives_a_stage_other_options(recipe: Callable[[str], str]) -> None:
    text = GOOD.replace("image_check: {min_side: 8}", "image_check: {min_side: 8, max_pixels: 9, as: looks}")
    job = load_recipe(
        recipe(text), ["stages.looks={max_aspect_ratio: 3}", "stages.noun_chunks={batch_size: 3}"]
    )
    assert [named.name for named in job.stages] == ["looks", "noun_chunks"]
    options = job.stages[0].stage.model_dump()
    assert options["max_aspect_ratio"] == 3
    assert options["min_side"] != 8
    assert options["max_pixels"] != 9
    assert job.stages[1].stage.batch_size == 3
    [mistake] = mistakes(recipe(text), "stages.looks={min_side: tall}")
    assert mistake.startswith("--set looks: min_side:")


def test_a_format_that_lacks_its_columns_is_refused(recipe: Callable[[str], str]) -> None:
    text = GOOD.replace("shard_size: 2MB", "formats: [webdataset, llava]")
    [mistake] = mistakes(recipe(text))
    assert mistake.startswith(
        "line 6 format llava needs column conversations, which nothing before it writes; put "
    )
    assert "tasks" in mistake
    assert "parse_replies" in mistake
    assert mistakes(recipe(GOOD), "output.formats=[llava]")[0].startswith("--set format llava needs")


def test_a_mistake_in_an_override_says_so(recipe: Callable[[str], str]) -> None:
    [mistake] = mistakes(recipe(GOOD), "stages.image_check.min_side=tall")
    assert mistake.startswith("--set image_check: min_side:")


def test_environment_variables_are_filled_in(
    recipe: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", "some/place")
    text = GOOD.replace("out/good", '"${WHERE}/good"')
    job = load_recipe(recipe(text))
    assert job.output.dir == find_run_files(recipe(text)).output.dir == "some/place/good"
    assert b"${WHERE}/good" in record(job.data, work=False) and b"some/place" not in record(
        job.data, work=True
    )
    monkeypatch.delenv("WHERE")
    assert mistakes(recipe(text)) == ["line 6 the environment variable WHERE is not set"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "line 1: this is not YAML"),
        ("name: a\nname: b\n", "line 2: this is not YAML: 'name' stands twice"),
        ("- a\n", "should be a mapping"),
        ("output: {dir: ${HOME}/x}\n", "in quotes"),
        ("a: &a [1, 1]\nb: !!python/object/apply:os.system ['true']\n", "this is not YAML"),
        ("", "should be a mapping"),
    ],
)
def test_what_is_not_a_recipe_is_refused(text: str, message: str, recipe: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match=message):
        load_recipe(recipe(text))


def test_aliases_cannot_blow_a_recipe_up(recipe: Callable[[str], str]) -> None:
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12))
    with pytest.raises(UserError, match="more than 20000 entries"):
        load_recipe(recipe(f"a0: &a0 [x]\n{levels}\n"))


def test_an_override_is_recorded_as_it_was_given(
    recipe: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", "some/place")
    job = load_recipe(recipe(GOOD), ["output.dir=${WHERE}", "stages.image_check.min_side=9"])
    assert job.output.dir == "some/place"
    kept = record(job.data, work=False).decode()
    assert "dir: ${WHERE}" in kept and "min_side: 9" in kept


def test_a_password_is_not_recorded_and_what_was_recorded_is_not_run(recipe: Callable[[str], str]) -> None:
    text = GOOD.replace("out/good", "s3://KEY:SECRET@bucket/good")
    kept = record(load_recipe(recipe(text)).data, work=False).decode()
    assert "dir: s3://***@bucket/good" in kept
    [mistake] = mistakes(recipe(kept))
    assert mistake.endswith("lacks a secret, which is not recorded; name your own recipe")


def test_the_files_of_a_run_need_neither_source_nor_stages(recipe: Callable[[str], str]) -> None:
    text = GOOD.replace("type: scenes, count: 3", "type: gone").replace("noun_chunks", "nowhere:Gone")
    run = find_run_files(recipe(text), ["output.dir=elsewhere"])
    assert (run.name, run.output.dir, run.train, run.work) == ("good", "elsewhere", None, None)
    with pytest.raises(RecipeError, match="line 6"):
        find_run_files(recipe(GOOD.replace("dir", "dri")))


def test_a_folder_is_not_run(recipe: Callable[[str], str]) -> None:
    place = recipe(GOOD)
    folder = str(Path(place).parent)
    with pytest.raises(UserError, match=f"{folder} is the folder of a run, which is only looked at.*{place}"):
        load_recipe(folder)
    assert find_run_files(folder).output.dir == folder


def test_a_recipe_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UserError, match="one of ours: .*grit"):
        load_recipe("gritty")


def test_a_stage_that_keeps_books_is_told_for_whom(
    recipe: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody")
    text = (
        "name: mine\nsource: {type: scenes}\nstages:\n  - image_check\n"
        "  - context: {boxes: none}\n  - generate: {backend: openai, model: m}\noutput: {dir: o}\n"
    )
    assert load_recipe(recipe(text)).stages[-1].stage.model_dump()["account"] == "mine"
    job = load_recipe(recipe(text), ["stages.generate.account=ours"])
    assert job.stages[-1].stage.model_dump()["account"] == "ours"
