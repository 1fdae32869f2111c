"""What the commands do, for Python: plan a job, run it, train on what it made, score the model.

They may be called within a running event loop, such as a notebook's, and hold it until they are done;
`await asyncio.to_thread(run, job)` leaves it free.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gritmill.pipeline.engine.plan import Parts, Plan, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import Job
from gritmill.pipeline.engine.run import Finished, limited, work_directory
from gritmill.pipeline.engine.run import run as run_job
from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.engine.runners.base import Runner
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store

if TYPE_CHECKING:
    from gritmill.trainer.metrics_file import Report
    from gritmill.trainer.train import Trained


def plan(job: Job, limit: int | None = None) -> Plan:
    """The steps and parts of a job. Lists the source, reads no image, loads no model.

    `limit` takes only so many samples, from the start. Raises `UserError` for what the user can mend, as all
    of these do.
    """
    return make_plan(job, Parts.of(limited(job, limit)))


def run(
    job: Job,
    work: str | None = None,
    limit: int | None = None,
    runner: Runner | None = None,
    replace: bool = False,
) -> Finished:
    """Makes the dataset of a job; what is there already is not made again.

    `work` is the folder or URL of the stages' results, beside the output unless said otherwise. `runner` says
    where: in this process, or, with `RayRunner()`, on all cores or a cluster. Only with `replace` is another
    finished dataset in the output folder replaced.
    """
    folder = Store(work_directory(job, work))
    return run_job(job, folder, runner or LocalRunner(), Progress(), limit, replace)


def train(
    job: RunFiles, progress: Callable[[dict[str, Any]], None] = lambda line: None, replace: bool = False
) -> "Trained":
    """Trains the job's model on its finished dataset; interrupted, it goes on where it was.

    `progress` is called with each line of the log, `{"step": 10, "loss": 2.31, ...}`. Only with `replace` is
    another training in the folder replaced.
    """
    from gritmill.pipeline import training

    return training.train(job, progress, replace)


def evaluate(
    job: RunFiles,
    progress: Callable[[str, int, int], None] = lambda name, done, of: None,
    replace: bool = False,
) -> "Report":
    """Scores the job's model on the sets of its `eval:` block.

    `progress` is called with `("validation rec", questions answered, questions)`. Only with `replace` are the
    scores of another evaluation in the folder replaced.
    """
    from gritmill.pipeline import training

    return training.evaluate(job, progress, replace)
