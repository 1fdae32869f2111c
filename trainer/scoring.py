"""The answers to a set -> its scores, with the dialect's ceiling and what needs no model beside each."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.dialects import DIALECTS, Dialect, Parsed
from gritmill.trainer.answering import ModelAnswer
from gritmill.trainer.metrics import (
    THRESHOLDS,
    Grades,
    Outcomes,
    Question,
    Score,
    any_box,
    best_constant_box,
    first_box,
    judged,
    mean_box,
    merged_box,
    pope,
    reg,
    shuffled_boxes,
)
from gritmill.trainer.metrics.phrase_grounding import hull
from gritmill.trainer.models.base import Adapter
from gritmill.trainer.sets import Ask, QuestionSet

SMALL, LARGE = 1 / 300, 3 / 100
"""Shares of the image that part small, medium and large boxes: COCO's 32 x 32 and 96 x 96 pixels of its usual
640 x 480. Of several boxes of a phrase, their mean counts."""
LENGTHS = ((1, 2), (3, 5), (6, math.inf))
"""Words of an expression or phrase that are told apart."""
BROKEN_DOWN = ("rec/first_box@0.5", "phrase_grounding/any_box@R1", "phrase_grounding/merged_box@R1")
"""Protocols whose scores are also given by size of the box and length of the phrase."""
ANY_BOX_RECALLS = (1, 5, 10)

_NO_BOX = Box(0, 0, 0, 0)
"""Stands for a box that could not be read: it keeps its place, and is a miss."""

Boxes = Mapping[str, Sequence[Box]]
Grade = Callable[[Sequence[Ask], Sequence[str]], dict[str, Grades | None]]
"""Questions with answers -> grades by question id."""


class Grader(NamedTuple):
    """Who grades answers."""

    model: str
    """Part of the metric's name."""
    grade: Grade


@dataclass
class SetScores:
    """All scores of a set and task."""

    scores: list[Score] = field(default_factory=list)
    outcomes: list[Outcomes] = field(default_factory=list)
    """For each score that is a sum of single questions', without those of the breakdown."""
    baselines: dict[str, dict[str, Score]] = field(default_factory=dict)
    """Protocol -> `best constant box`, `mean box`, `shuffled boxes` -> its score on the same questions."""
    missing: dict[str, str] = field(default_factory=dict)
    """Protocols that could not be scored here -> why."""


class Scorer:
    """Scores one set's answers under every protocol of its task."""

    def __init__(
        self,
        questions: QuestionSet,
        answers: Sequence[ModelAnswer],
        adapter: Adapter,
        resamples: int,
        seed: int,
    ) -> None:
        self.asks, self.task, self.merged = questions.asks, questions.task, questions.merged
        self.questions: list[Question[Any]] = [ask.question for ask in questions.asks]
        self.answers = {q.id: answer for q, answer in zip(self.questions, answers, strict=True)}
        self.parsed = {
            id_: adapter.parse(answer.text, answer.size) if answer.size else Parsed("", [], [])
            for id_, answer in self.answers.items()
        }
        self._dialect = adapter.dialect
        self._sampling = {"resamples": resamples, "seed": seed}
        self.result = SetScores()

    def score(self, judge: Grader | None) -> SetScores:
        """Raises `ValueError` for a set to be judged without a judge."""
        if self.task in ("rec", "phrase_grounding"):
            self._grounding()
        elif self.task == "pope":
            for outcomes in pope(self.questions, self._said()).values():
                self._add(outcomes)
        elif self.task == "judge":
            self._judged(judge)
        else:
            self._texts()
        return self.result

    def rows(self) -> list[dict[str, Any]]:
        """What is kept of each question and its answer: predictions-SET-TASK.jsonl."""
        return [self._row(ask) for ask in self.asks]

    def _grounding(self) -> None:
        written = {id_: [box or _NO_BOX for box in parsed.written] for id_, parsed in self.parsed.items()}
        for protocols in self._protocols():
            perfect = {q.id: self._rewritten(q.id, protocols.perfect(q.truth)) for q in self.questions}
            baselines = self._baselines(protocols)
            for measure in protocols.measures:
                outcomes, ceiling = measure(written), measure(perfect)
                self._add(outcomes, ceiling)
                found = {name: [self._summary(measure(a)) for a in some] for name, some in baselines.items()}
                self.result.baselines[outcomes.protocol] = {
                    name: max(scores, key=lambda score: score.value) for name, scores in found.items()
                }
                if outcomes.protocol in BROKEN_DOWN:
                    for name, ids in self._groups():
                        part, most = outcomes.subset(name, ids), ceiling.subset(name, ids)
                        self.result.scores.append(self._summary(part, most))

    def _protocols(self) -> "Iterator[_Protocols]":
        if self.task == "rec":
            truths = [q.truth for q in self.questions]
            for threshold in THRESHOLDS:
                measure = partial(first_box, self.questions, threshold=threshold)
                yield _Protocols([measure], lambda truth: [truth], [truths], threshold)
            return
        hulls = [hull(q.truth) for q in self.questions]
        if not self.merged:
            recalls = [partial(any_box, self.questions, k=k) for k in ANY_BOX_RECALLS]
            singles = [box for q in self.questions for box in q.truth]
            yield _Protocols(recalls, list, [singles, hulls], 0.5)
        yield _Protocols([partial(merged_box, self.questions)], lambda truth: [hull(truth)], [hulls], 0.5)

    def _baselines(self, protocols: "_Protocols") -> dict[str, list[Boxes]]:
        """Name -> answers without a look at the image; of several, the best is what counts."""
        own = [protocols.perfect(q.truth)[0] for q in self.questions]
        others = zip(self.questions, shuffled_boxes(own, self._sampling["seed"]), strict=True)
        best = [best_constant_box(targets, protocols.threshold) for targets in protocols.targets]
        return {
            "best constant box": [self._always(box) for box in best],
            "mean box": [self._always(mean_box(own))],
            "shuffled boxes": [{q.id: [box] for q, box in others}],
        }

    def _always(self, box: Box) -> Boxes:
        return {q.id: [box] for q in self.questions}

    def _rewritten(self, id_: str, boxes: Sequence[Box]) -> list[Box]:
        """Boxes after the rounding of the dialect; none of an image that could not be shown."""
        size = self.answers[id_].size
        valid = [box for box in boxes if box.clipped().is_valid]
        return self._dialect.parse(self._dialect.encode_boxes(valid, size), size).boxes if size else []

    def _groups(self) -> Iterator[tuple[str, set[str]]]:
        """Name -> ids of its questions, those without any left out."""
        groups: dict[str, set[str]] = {name: set() for name in ("small", "medium", "large")}
        groups |= {_length_name(*length): set() for length in LENGTHS}
        for ask in self.asks:
            boxes = [ask.question.truth] if self.task == "rec" else ask.question.truth
            share = sum(box.area for box in boxes) / len(boxes)
            groups["small" if share < SMALL else "medium" if share < LARGE else "large"].add(ask.question.id)
            words = len((ask.asked.words.get("expression") or ask.asked.words["phrase"]).split())
            length = next(length for length in LENGTHS if words <= length[1])
            groups[_length_name(*length)].add(ask.question.id)
        return ((name, ids) for name, ids in groups.items() if ids)

    def _texts(self) -> None:
        protocols = [f"{self.task}/{name}" for name in reg.METRICS]
        lacking = reg.missing()
        if lacking:
            self.result.missing = dict.fromkeys(protocols, lacking)
            return
        for found in reg.text_scores(self.questions, self._said(), self.task):
            if isinstance(found, Outcomes):
                self._add(found)
            else:
                self.result.scores.append(found)

    def _judged(self, judge: Grader | None) -> None:
        if judge is None:
            raise ValueError("a set to be judged needs a judge")
        grades = judge.grade(self.asks, [graded_text(self.parsed[q.id], self.answers[q.id].text)
                                         for q in self.questions])  # fmt: skip
        outcomes = judged(self.questions, grades, judge.model)
        self._add(outcomes)
        categories = dict.fromkeys(q.truth.category for q in self.questions if q.truth.category)
        for category in categories if len(categories) > 1 else ():
            ids = {q.id for q in self.questions if q.truth.category == category}
            self.result.scores.append(self._summary(outcomes.subset(category, ids)))

    def _said(self) -> dict[str, str]:
        """Answers without markup; of a dialect that lists labels, what lists none stays as it is."""
        return {id_: parsed.text or self.answers[id_].text.strip() for id_, parsed in self.parsed.items()}

    def _add(self, outcomes: Outcomes, ceiling: Outcomes | None = None) -> None:
        self.result.outcomes.append(outcomes)
        self.result.scores.append(self._summary(outcomes, ceiling))

    def _summary(self, outcomes: Outcomes, ceiling: Outcomes | None = None) -> Score:
        most = None if ceiling is None else ceiling.statistic(ceiling.counts.sum(axis=0))
        return outcomes.score(ceiling=most, **self._sampling)

    def _row(self, ask: Ask) -> dict[str, Any]:
        answer, parsed = self.answers[ask.question.id], self.parsed[ask.question.id]
        row: dict[str, Any] = {**ask.question._asdict(), "asked": ask.asked.words}
        if ask.asked.boxes:
            row["region"] = ask.asked.boxes
        row["text"] = answer.text.encode("utf-8", "replace").decode()
        if self.task in ("rec", "phrase_grounding"):
            truths = [ask.question.truth] if self.task == "rec" else ask.question.truth
            first = next(iter(parsed.written), None)
            best = max((iou(first, truth) for truth in truths), default=0.0) if first else 0.0
            row |= {"boxes": parsed.written, "iou": round(best, 6)}
        return row if answer.problem is None else {**row, "problem": answer.problem}


class _Protocols(NamedTuple):
    """Protocols that share their perfect answers and their baselines."""

    measures: Sequence[Callable[[Boxes], Outcomes]]
    perfect: Callable[[Any], list[Box]]
    """Truth -> the answer that scores most."""
    targets: Sequence[Sequence[Box]]
    """What the best constant box is searched on; of several, the best one counts."""
    threshold: float


def graded_text(parsed: Parsed, text: str) -> str:
    """An answer as a judge reads it: boxes as 0..1 of the image with three decimals, behind their words.

    "<phrase>a dog</phrase><object><patch_index_0044>..." -> "a dog [0.391,0.047,0.984,0.828] ..."
    """
    if not parsed.boxes:
        return parsed.text or text.strip()
    plain: Dialect = DIALECTS["pink"]
    size = (1000, 1000)  # shares of the image: any size gives the same
    grounded = [(g.span, g.boxes) for g in parsed.groundings if g.span is not None]
    loose = [box for g in parsed.groundings if g.span is None for box in g.boxes]
    caption = plain.encode_caption(parsed.text, grounded, size)
    return " ".join(part for part in (caption, plain.encode_boxes(loose, size)) if part)


def _length_name(fewest: float, most: float) -> str:
    return f"{fewest:g}+ words" if most == math.inf else f"{fewest:g}-{most:g} words"
