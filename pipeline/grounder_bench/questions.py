"""The phrases that grounders are asked for, and the boxes that people drew for them.

A noun chunk is a question if its head noun is a word for the label of some box of its image, as the
`annotations` grounder matches them (by inflection, spelling and `prompts/label_synonyms.txt`; broader
words, such as "animal" for a dog, do not count). Its truth is

clear       the boxes of the label, where the phrase leaves no doubt which are meant: "a dog" with one dog,
            "two dogs" with two, "dogs" with several. Chunks in doubt are no questions.
category    all boxes of the label, whatever the phrase says: "a dog" with three dogs has three.

Boxes around crowds are neither to be found nor wrong to find, as in COCO. All noun chunks are asked, those
that are no questions, too; what a grounder finds for them is not judged, as nobody drew it. So precision
is that of phrases for things that are there, and says nothing of phrases for things that are not.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gritmill.pipeline.engine.isolate import process_isolated
from gritmill.pipeline.engine.recipes import Job
from gritmill.pipeline.engine.run import limited
from gritmill.pipeline.grounder_bench.truth import Truth
from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.sources.images import StoredImage
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Annotation, Columns, Parse, Reject, Span
from gritmill.schemas.errors import UserError
from gritmill.stages.base import GlobalStage, Stage
from gritmill.stages.grounders.annotations import from_annotations
from gritmill.stages.grounders.common.labelled import SAME, Ambiguous, matches
from gritmill.stages.grounders.common.lexicon import labels

CANDIDATES = "candidates"
NEEDED = ("image_id", "caption", "noun_chunks", "parse", "annotations")


class GroundingQuestion(NamedTuple):
    """A noun chunk and the boxes that people drew for it.

    >>> Question(7, Span(0, 5), [Box(0.1, 0.2, 0.5, 0.9)], [])
    """

    row: int
    """Which sample it is of."""
    span: Span
    boxes: list[Box]
    crowds: list[Box]


class AnnotatedSamples(NamedTuple):
    """What grounders are given, and what is asked of it."""

    columns: Columns
    questions: list[GroundingQuestion]

    @property
    def images(self) -> int:
        return len(set(self.columns["image_id"]))

    @property
    def phrases(self) -> int:
        return sum(map(len, self.columns["noun_chunks"]))


def ground_stage(job: Job) -> int:
    """Where the recipe's grounder stands among its stages. Raises `UserError` if it has none."""
    for i, named in enumerate(job.stages):
        if CANDIDATES in named.stage.writes:
            return i
    raise UserError(f"{job.name} has no stage that writes {CANDIDATES}; add `- ground: {{grounder: ...}}`")


def ask(job: Job, truth: Truth, limit: int | None = None) -> AnnotatedSamples:
    """Reads the source, takes it through the stages before the grounder, and finds the questions.

    Raises `UserError` if the source has no annotations or nobody drew what the captions speak of.
    """
    if "annotations" not in job.source.provides():
        raise UserError(
            f"source {job.source.type} gives no annotations to judge by; take one that has boxes, such as "
            "coco with `instances`"
        )
    stages = [named.stage for named in job.stages[: ground_stage(job)]]
    columns: Columns = {}
    for part in limited(job, limit):
        for name, values in _through(stages, _read(job, part)).items():
            columns.setdefault(name, []).extend(values)
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise UserError(f"nothing before the grounder gives {', '.join(missing)}; put noun_chunks before it")
    questions = list(_questions(columns, truth))
    if not questions:
        raise UserError("no caption speaks of anything that has a box; there is nothing to judge by")
    return AnnotatedSamples(columns, questions)


def _read(job: Job, part: Part) -> Columns:
    spec = dict(part)
    limit = spec.pop("limit", None)
    columns = {name: values[:limit] for name, values in job.source.read(spec).items()}
    columns = _kept(columns)
    return columns | {"image": [StoredImage(reference) for reference in columns["image"]]}


def _through(stages: Sequence[Stage], columns: Columns) -> Columns:
    for stage in stages:
        if isinstance(stage, GlobalStage):
            raise UserError(
                f"{type(stage).__name__} must see all parts before it decides; leave it out of this recipe"
            )
        stage.setup()
        given = {name: columns[name] for name in stage.reads}
        columns = _kept(columns | run_stage(stage, given))
    return columns


def run_stage(stage: Stage, columns: Columns) -> Columns:
    """What a stage that is set up gives for all rows; rows that make it raise hold a `Failure`."""
    out: Columns = {name: [] for name in stage.writes}
    for start in range(0, len(next(iter(columns.values()))), stage.batch_size):
        batch = {name: values[start : start + stage.batch_size] for name, values in columns.items()}
        for name, values in process_isolated(stage.process, batch, tuple(stage.writes)).items():
            out[name].extend(values)
    return out


def _kept(columns: Columns) -> Columns:
    rows = range(len(next(iter(columns.values()))))
    kept = [i for i in rows if not any(isinstance(values[i], Reject) for values in columns.values())]
    return {name: [values[i] for i in kept] for name, values in columns.items()}


def _questions(columns: Columns, truth: Truth) -> Iterator[GroundingQuestion]:
    rows = zip(*(columns[name] for name in NEEDED[1:]), strict=True)
    for row, (caption, chunks, parse, annotations) in enumerate(rows):
        yield from questions_of(row, caption, chunks, parse, annotations, truth)


def questions_of(
    row: int,
    caption: str,
    chunks: Sequence[Span],
    parse: Parse,
    annotations: list[Annotation],
    truth: Truth,
) -> Iterator[GroundingQuestion]:
    """The questions of one caption, in the order of its chunks."""
    drawn = from_annotations(annotations)
    ambiguous: Ambiguous = "drop" if truth is Truth.clear else "all"
    for match in matches(caption, chunks, parse, drawn, ambiguous):
        boxes = [labelled.box for labelled in match.boxes if not labelled.crowd]
        if boxes and match.weight == SAME:
            [label] = {labels.key(labelled.label) for labelled in match.boxes}
            crowds = [one.box.clipped() for one in drawn if one.crowd and labels.key(one.label) == label]
            yield GroundingQuestion(row, match.span, boxes, crowds)
