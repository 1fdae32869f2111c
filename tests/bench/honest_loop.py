"""Does the score tell good data from bad? The same model is trained on clean shards and on spoilt ones.

    python -m tests.bench.honest_loop [--steps 800] [--work DIR]

recipes/scenes_small.yaml is run, then its model is trained three times, from the same first weights, on the
same images and questions in the same order: on the boxes as they are, with half of them moved, with all of
them shuffled among the questions. Each is asked about the same held-out images. Shuffled boxes must score as
a constant box does, and half-jittered ones clearly below clean ones, or the score would be none. An untrained
model comes for comparison. Some 15 minutes on two cores; trainings that are done are not done again.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from wrong_boxes import half_jittered, shuffled, with_wrong_boxes

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import Job, load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.training import eval_directory, evaluate, train
from tests.bench.tables import print_table

PROTOCOL = "rec/first_box@0.5"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--steps", type=int, default=800)
    arguments.add_argument("--work", type=Path, default=Path("out/honest_loop"))
    given = arguments.parse_args()
    work: Path = given.work

    def job(dataset: str, model: str, steps: int) -> Job:
        return load_recipe(
            "scenes_small",
            [
                f"output.dir={work / dataset}",
                f"eval.data={work / 'clean'}",
                f"train.dir={work / model}",
                f"train.max_steps={steps}",
            ],
        )

    clean = job("clean", "clean.model", given.steps)
    run(clean, Store(str(work / "clean.work")), LocalRunner(), Progress())
    for name, wrong in (("jittered", half_jittered), ("shuffled", shuffled)):
        if not (work / name / "SHA256SUMS").exists():
            with_wrong_boxes(work / "clean", work / name, wrong)
    arms = {
        "clean boxes": clean,
        "half of the boxes moved": job("jittered", "jittered.model", given.steps),
        "boxes shuffled": job("shuffled", "shuffled.model", given.steps),
        "one step (untrained)": job("clean", "untrained.model", 1),
    }
    rows = [_scored(name, arm, clean) for name, arm in arms.items()]
    print_table(
        "Is it a score?",
        ("trained on", PROTOCOL, "95 % interval", "best constant box", "less than clean"),
        rows,
    )


def _scored(name: str, arm: Job, clean: Job) -> tuple[str, ...]:
    from gritmill.trainer.metrics import paired_difference
    from gritmill.trainer.metrics_file import load_outcomes

    train(arm, lambda line: None)
    report = evaluate(arm, lambda *_: None)
    score = report.score("validation", PROTOCOL)
    [result] = report.results
    constant = result.baselines[PROTOCOL]["best constant box"].value
    assert score.interval is not None
    one, other = (load_outcomes(eval_directory(j))["validation"][PROTOCOL] for j in (arm, clean))
    difference = paired_difference(one, other)
    assert difference.interval is not None
    low, high = difference.interval
    return (
        name,
        f"{100 * score.value:.1f}",
        f"{100 * score.interval.low:.1f} to {100 * score.interval.high:.1f}",
        f"{100 * constant:.1f}",
        f"{100 * difference.value:.1f} ({100 * low:.1f} to {100 * high:.1f})",
    )


if __name__ == "__main__":
    main()
