"""From a recipe to a dataset, a model, its score, and two of them compared, as a user does it."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.engine.finish import REPORT
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.training import eval_directory, evaluate, made_from, train
from gritmill.schemas.errors import UserError

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

Write = Callable[..., Path]
Cli = Callable[..., "subprocess.CompletedProcess[str]"]

SOURCE = (
    "type: scenes, style: simple, size: 64, count: 80, max_objects: 3, captions_per_image: 1, part_size: 80"
)
STAGES = [
    "image_check",
    "noun_chunks",
    "ground: {grounder: annotations}",
    "select_boxes",
    "referring_expressions",
    "tasks: {boxes_probability: 1, tasks: {rec: 1}, wordings: 1}",
]
TRAIN = """
train:
  model: tiny
  model_options: {width: 32, heads: 2, vision_layers: 1, layers: 1}
  max_steps: 6
  batch_size: 8
  log_every: 2
  workers: 0
  learning_rate: 0.002
eval: {batch_size: 32, max_new_tokens: 8, resamples: 100}
"""


@pytest.fixture
def recipe(write_recipe: Write) -> Callable[..., Path]:
    def write(name: str = "a", extra: str = TRAIN, source: str = SOURCE) -> Path:
        return write_recipe(
            source, STAGES, name, "shard_size: 1MB, splits: {validation: 0.3}", extra, folder=name
        )

    return write


def test_from_a_recipe_to_a_score_and_a_comparison(
    recipe: Callable[..., Path], cli: Cli, tmp_path: Path
) -> None:
    first = recipe("a")
    said = cli("run", first, "--runner", "local", "--then", "train,eval")
    assert said.returncode == 0, said.stderr
    assert re.search(r"step 2  loss \d\.\d{4}  learning rate", said.stdout)
    assert f"6 steps, 48 samples: {tmp_path}/a.model/model" in said.stdout
    assert "rec/first_box@0.5" in said.stdout and "constant" in said.stdout
    metrics = json.loads((tmp_path / "a.model" / "eval" / "metrics.json").read_text())
    assert metrics["dialect"] == "tiny" and metrics["prompts"] == "instruction"
    assert metrics["made_from"]["recipe"] == "a"
    score = metrics["sets"]["validation"]["rec"]["rec/first_box@0.5"]
    assert score["ceiling"] == 1.0
    report = (tmp_path / "a" / REPORT).read_text()
    assert "## Scores" in report and "| validation | rec/first_box@0.5 |" in report

    log = (tmp_path / "a.model" / "log.jsonl").read_bytes()
    again = cli("train", first)
    assert again.returncode == 0 and "6 steps, 48 samples" in again.stdout
    assert (tmp_path / "a.model" / "log.jsonl").read_bytes() == log

    second = recipe("b", TRAIN.replace("max_steps: 6", "max_steps: 4"))
    assert cli("run", second, "--runner", "local", "--then", "train,eval").returncode == 0
    compared = cli("compare", first, tmp_path / "b")
    assert compared.returncode == 0, compared.stderr
    assert re.search(r"train\.max_steps +6 +4", compared.stdout)
    assert re.search(r"ground +80 +100\.0% +80 +100\.0%", compared.stdout)
    assert re.search(r"rec/first_box@0\.5 .*\+?-?\d\.\d to", compared.stdout)


def test_runs_with_other_questions_have_no_difference(recipe: Callable[..., Path], cli: Cli) -> None:
    a, b = recipe("a"), recipe("b", source=f"{SOURCE}, seed: 1")
    for path in (a, b):
        assert cli("run", path, "--runner", "local", "--then", "train,eval").returncode == 0
    assert "other questions" in cli("compare", a, b).stdout


@pytest.mark.parametrize(
    ("arguments", "extra", "message"),
    [
        (("train",), TRAIN, "holds no finished dataset; `pipeline run` makes it"),
        (("train",), "", "trains nothing; give it a block `train: {model: ...}`"),
        (("eval",), TRAIN, "there is no trained model in"),
        (("run", "--then", "trian"), TRAIN, "'trian' cannot follow a run"),
    ],
)
def test_a_mistake_is_one_sentence(
    recipe: Callable[..., Path], cli: Cli, arguments: tuple[str, ...], extra: str, message: str
) -> None:
    command, *options = arguments
    said = cli(command, recipe(extra=extra), *options)
    assert said.returncode == 2
    assert message in said.stderr and "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("model: tiny, model_options: {width: 33}", "train.model_options.width: .*multiple of 16"),
        ("model: tiny, model_options: {depth: 3}", "train.model_options.depth: Extra inputs"),
        ("model: tiny, dialect: klingon", "there is no dialect 'klingon'"),
        ("model: tiny, preset: nobody", "preset"),
    ],
)
def test_mistakes_that_training_finds(
    recipe: Callable[..., Path], cli: Cli, options: str, message: str
) -> None:
    path = recipe(extra=f"train: {{{options}, workers: 0}}")
    assert cli("run", path, "--runner", "local").returncode == 0
    with pytest.raises(UserError, match=message):
        train(load_recipe(str(path)), lambda line: None)


def test_another_model_is_scored_beside_ours(recipe: Callable[..., Path], cli: Cli, tmp_path: Path) -> None:
    path = recipe()
    assert cli("run", path, "--runner", "local", "--then", "train").returncode == 0
    other = tmp_path / "a.model" / "model"
    job = load_recipe(str(path), [f"eval.model={other}"])
    evaluate(job, lambda name, done, of: None)
    assert eval_directory(job).parent == tmp_path / "a.model"
    assert eval_directory(job).name.startswith("eval-") and (eval_directory(job) / "metrics.json").is_file()
    assert "## Scores" not in (tmp_path / "a" / REPORT).read_text()
    assert set(made_from(job)) == {"recipe", "recipe_digest", "dataset_digest"}


def test_scores_of_one_evaluation_are_not_replaced_by_those_of_another(
    recipe: Callable[..., Path], cli: Cli, tmp_path: Path
) -> None:
    path = recipe()
    assert cli("run", path, "--runner", "local", "--then", "train,eval").returncode == 0
    metrics = tmp_path / "a.model" / "eval" / "metrics.json"
    before = metrics.read_bytes()
    assert cli("eval", path).returncode == 0 and metrics.read_bytes() == before
    refused = cli("eval", path, "--set", "eval.limit=3")
    assert refused.returncode == 2 and metrics.read_bytes() == before
    assert "holds another evaluation: validation rec was asked" in " ".join(refused.stderr.split())
    assert "or replace it with --replace" in " ".join(refused.stderr.split())
    assert cli("eval", path, "--set", "eval.limit=3", "--replace").returncode == 0
    assert json.loads(metrics.read_bytes())["questions"]["validation"]["rec"]["n"] == 3


def test_scores_of_a_model_do_not_go_into_the_report_of_another_dataset(
    recipe: Callable[..., Path], cli: Cli, tmp_path: Path
) -> None:
    path = recipe()
    assert cli("run", path, "--runner", "local", "--then", "train").returncode == 0
    edited = ("--set", "output.split_seed=1")
    assert cli("run", path, "--runner", "local", *edited).returncode == 0
    said = cli("eval", path, *edited)
    assert said.returncode == 0 and "trained on another state of the dataset" in said.stderr
    assert "## Scores" not in (tmp_path / "a" / REPORT).read_text()
    refused = cli("train", path, *edited)
    assert refused.returncode == 2 and "holds another training" in refused.stderr
    assert cli("train", path, *edited, "--replace").returncode == 0
    assert not (tmp_path / "a.model" / "eval" / "metrics.json").exists()
    assert cli("eval", path, *edited).returncode == 0
    assert "## Scores" in (tmp_path / "a" / REPORT).read_text()
