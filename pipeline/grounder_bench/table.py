"""The comparison, for a terminal."""

from collections.abc import Sequence

from rich.table import Table

from gritmill.pipeline.grounder_bench.compare import Outcome
from gritmill.pipeline.grounder_bench.questions import AnnotatedSamples

COLUMNS = ("AP", "recall", "precision", "min_score", "images/s", "ratio", "CPU s", "memory")


def heading(samples: AnnotatedSamples) -> str:
    """`80 images, 400 samples, 1,301 phrases asked; 414 of them judged by 929 human boxes`."""
    boxes = sum(len(question.boxes) for question in samples.questions)
    return (
        f"{samples.images:,} images, {len(samples.columns['caption']):,} samples, "
        f"{samples.phrases:,} phrases asked; {len(samples.questions):,} of them judged by {boxes:,} human "
        "boxes, at IoU 0.5"
    )


def comparison_table(samples: AnnotatedSamples, outcomes: Sequence[Outcome]) -> Table:
    """A line for each grounder, in the order given; `ratio` is to the fastest."""
    on_gpu = any(outcome.answers.gpu_memory for outcome in outcomes)
    failed = any(outcome.answers.failed for outcome in outcomes)
    table = Table(box=None, pad_edge=False)
    table.add_column("grounder", overflow="fold")
    for column in (*COLUMNS, *(["GPU memory"] if on_gpu else []), *(["failed"] if failed else [])):
        table.add_column(column, justify="right", no_wrap=True)
    fastest = min(outcome.answers.seconds for outcome in outcomes)
    for name, ap, at, answers in outcomes:
        table.add_row(
            name,
            f"{100 * ap:.1f}",
            f"{100 * at.recall:.1f}",
            "-" if at.precision is None else f"{100 * at.precision:.1f}",
            f"{at.min_score:.2f}",
            f"{samples.images / answers.seconds:,.1f}",
            f"{fastest / answers.seconds:.2g}",
            f"{answers.cpu:,.2f}",
            _size(answers.memory),
            *([_size(answers.gpu_memory)] if on_gpu else []),
            *([f"{len(answers.failed):,}"] if failed else []),
        )
    return table


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
