"""From a finished dataset to a model and its score: what `pipeline train` and `pipeline eval` hand over.

The one module of this folder that knows of `trainer`, which it imports when asked to.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gritmill.pipeline.engine.finish import REPORT
from gritmill.pipeline.engine.recipes import missing_packages, record
from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.inspect.compare import model_directory
from gritmill.pipeline.output.scores import put_scores
from gritmill.pipeline.storage.checksums import SUMS
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Eval

if TYPE_CHECKING:
    from gritmill.trainer.metrics_file import Report
    from gritmill.trainer.train import Trained

log = logging.getLogger(__name__)

PACKAGES = {"torch": "train", "transformers": "train", "accelerate": "train", "peft": "train"}


def train(job: RunFiles, progress: Callable[[dict[str, Any]], None], replace: bool = False) -> "Trained":
    """Trains as the recipe's `train:` says, in this process or each of torchrun's; done once, it is not
    done again. Only with `replace` is another training in the folder replaced.

    Raises `UserError` for a recipe that trains nothing and for a dataset that is not finished.
    """
    _check_packages()
    from gritmill.trainer.train import train as fit

    if job.train is None:
        raise UserError(f"the recipe {job.name} trains nothing; give it a block `train: {{model: ...}}`")
    folder = model_directory(job)
    return fit(job.train, _finished_dataset(job), folder, made_from(job), progress=progress, replace=replace)


def train_on_ray(job: RunFiles, address: str | None, workers: int | None, replace: bool = False) -> "Trained":
    """As `train`, by the workers of Ray Train on a cluster, or on this machine without an address."""
    _check_packages()
    from gritmill.trainer.ray_engine import train_on_ray as fit

    if job.train is None:
        raise UserError(f"the recipe {job.name} trains nothing; give it a block `train: {{model: ...}}`")
    folder = model_directory(job)
    return fit(
        job.train,
        _finished_dataset(job),
        folder,
        made_from(job),
        workers=workers,
        address=address,
        replace=replace,
    )


def evaluate(job: RunFiles, progress: Callable[[str, int, int], None], replace: bool = False) -> "Report":
    """Scores a model as the recipe's `eval:` says; the scores of what was trained on this very dataset go
    into its report. Only with `replace` are the scores of another evaluation in the folder replaced.

    Raises `UserError` where there is no model, or nothing to ask.
    """
    _check_packages()
    import torch
    from transformers.utils import logging as transformers_logging

    from gritmill.trainer.evaluate import evaluate as score
    from gritmill.trainer.evaluate import other_evaluation
    from gritmill.trainer.metrics_file import clear
    from gritmill.trainer.models.load import load
    from gritmill.trainer.provenance import read
    from gritmill.trainer.score_table import score_markdown
    from gritmill.trainer.sets import load_sets

    transformers_logging.disable_progress_bar()
    options = job.eval
    model, is_ours = _model(job, options)
    sets = load_sets(options, options.data or job.output.dir)
    loaded = load(model, options.revision, options.dialect, family=options.family)
    folder = Path(model).expanduser()
    made = read(folder) if folder.is_dir() else None
    native = options.prompts == "native" or (options.prompts == "auto" and made is None)
    scores = eval_directory(job)
    about = {"model": loaded.name, "made_from": made["made_from"] if made else None}
    other = other_evaluation(scores, loaded.adapter, options, sets, native, loaded.name)
    if other and not replace:
        raise UserError(f"{other}; choose another train.dir, or replace it with --replace")
    if other:
        clear(scores)
    report = score(
        loaded.model.to("cuda" if torch.cuda.is_available() else "cpu"),
        loaded.adapter,
        options,
        sets,
        scores,
        native=native,
        about=about,
        progress=progress,
    )
    if is_ours and options.data is None and made:
        if _is_of(made["made_from"], job):
            put_scores(Store(job.output.dir), REPORT, score_markdown(report))
        else:
            log.warning(
                "the model was trained on another state of the dataset, whose report has no scores of it"
            )
    return report


def score_comparison(a: RunFiles, b: RunFiles) -> Table:
    """Scores of two runs under the same protocol, and how much better the second one is.

    The difference has an interval where both were asked the same questions (`eval.data` sees to that).
    Runs that were not evaluated leave the table empty.
    """
    from gritmill.trainer.metrics import Outcomes, paired_difference
    from gritmill.trainer.metrics_file import load_outcomes

    def outcomes(job: RunFiles) -> dict[str, dict[str, Outcomes]]:
        try:
            return load_outcomes(eval_directory(job))
        except UserError:
            return {}

    table = Table(title="Scores", title_justify="left", box=None, pad_edge=False)
    for name in ("set", "protocol"):
        table.add_column(name, overflow="fold")
    for name in ("A", "B", "B - A", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    found_a, found_b = outcomes(a), outcomes(b)
    for name in (name for name in found_a if name in found_b):
        for protocol in (p for p in found_a[name] if p in found_b[name]):
            one, other = found_a[name][protocol], found_b[name][protocol]
            values = [_percent(each.score(resamples=100).value) for each in (one, other)]
            try:
                difference = paired_difference(one, other)
                low, high = difference.interval or (difference.value, difference.value)
                gain = [f"{100 * difference.value:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"]
            except UserError:
                gain = ["", "other questions"]
            table.add_row(name, protocol, *values, *gain)
    return table


def eval_directory(job: RunFiles) -> Path:
    """Where metrics.json and the answers lie: with the model that was trained, also for another one."""
    folder = Path(model_directory(job))
    return folder / "eval" if job.eval.model is None else folder / f"eval-{_slug(job.eval.model)}"


def made_from(job: RunFiles) -> dict[str, str]:
    """Which dataset a model is trained on: name and digest of its recipe, digest of its checksums.

    {"recipe": "grit", "recipe_digest": "5f0c...", "dataset_digest": "9b1d..."}
    """
    made = {name: value for name, value in job.data.items() if name not in ("train", "eval")}
    sums = Store(job.output.dir).read(SUMS)
    return {
        "recipe": job.name,
        "recipe_digest": hashlib.sha256(record(made, work=False)).hexdigest(),
        "dataset_digest": hashlib.sha256(sums).hexdigest(),
    }


def _model(job: RunFiles, options: Eval) -> tuple[str, bool]:
    """The model to be scored, and whether it is the one that was trained here."""
    if options.model is not None:
        return options.model, False
    trained = Path(model_directory(job)) / "model"
    if not trained.is_dir():
        raise UserError(
            f"there is no trained model in {trained.parent}; `pipeline train` makes it, or name one: "
            "--set eval.model=microsoft/kosmos-2-patch14-224"
        )
    return str(trained), True


def _is_of(made: Mapping[str, Any], job: RunFiles) -> bool:
    """Whether a model was trained on the dataset that is there now."""
    finished = Store(job.output.dir).exists(SUMS)
    return finished and bool(made.get("dataset_digest") == made_from(job)["dataset_digest"])


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _slug(name: str) -> str:
    """A model's name as the name of a folder."""
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name).strip("-.") or "model"


def _finished_dataset(job: RunFiles) -> str:
    output = Store(job.output.dir)
    if not output.exists(SUMS):
        raise UserError(f"{output.root} holds no finished dataset; `pipeline run` makes it")
    return job.output.dir


def _check_packages() -> None:
    if missing := missing_packages(PACKAGES):
        raise UserError(f"training needs {', '.join(missing)}: pip install 'gritmill[train]'")
