"""A model's scores on the sets of a recipe's `eval:` block.

>>> sets = load_sets(options, "out/grit")
>>> report = evaluate(model, adapter, options, sets, Path("out/grit.eval"), native=False)
>>> print(report.score("validation", "rec/first_box@0.5"))
rec/first_box@0.5 0.631 [0.602, 0.659], 812 questions on 269 images, 3 unparsable, ceiling 0.991
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gritmill import prompts
from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Eval
from gritmill.trainer.answering import answer
from gritmill.trainer.judge import PROMPT, OpenAIJudge
from gritmill.trainer.metrics_file import (
    METRICS,
    Report,
    TaskResult,
    read_report,
    write_outcomes,
    write_predictions,
    write_report,
)
from gritmill.trainer.models.base import Adapter
from gritmill.trainer.scoring import Grader, Scorer
from gritmill.trainer.sets import QuestionSet

PACKAGES = ("gritmill", "torch", "transformers", "tokenizers", "pillow", "numpy", "pycocoevalcap")
"""Whose versions are kept with the scores."""

Progress = Callable[[str, int, int], None]
"""Is called with ("validation rec", questions answered, questions)."""


def evaluate(
    model: Any,
    adapter: Adapter,
    options: Eval,
    sets: Sequence[QuestionSet],
    out: Path,
    *,
    native: bool,
    about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Asks and scores all sets; leaves metrics.json, predictions and outcomes in `out`.

    `native` asks in the words of the model's authors instead of our instructions. `about` is what
    metrics.json is to say besides: the model's name and revision, the fingerprint of the dataset.
    """
    results = []
    for questions in sets:
        told = partial(progress, f"{questions.name} {questions.task}") if progress else None
        results.append(_result(model, adapter, options, questions, out, native, told))
    report = Report({**_about(adapter, options, native), **(about or {})}, results)
    write_report(out, report)
    return report


def other_evaluation(
    out: Path, adapter: Adapter, options: Eval, sets: Sequence[QuestionSet], native: bool, model: str
) -> str | None:
    """What a folder holds, in words, if this evaluation would lose scores of it; None if it would not.

    The same evaluation again loses none, nor does one of more sets, or of more of the same questions.
    """
    if not (out / METRICS).exists():
        return None
    try:
        found = read_report(out)
    except UserError as error:
        return f"{out} holds scores that cannot be read: {error}"
    now = _about(adapter, options, native) | {"model": model}
    asked = {f"{questions.name} {questions.task}": questions for questions in sets}
    changes = [
        f"{name} was {_said(found.about[name])} and is now {_said(now[name])}"
        for name in ("model", "dialect", "prompts", "judge")
        if name in found.about and found.about[name] != now[name]
    ]
    for result in found.results:
        what, old = f"{result.name} {result.task}", result.questions
        new = asked.get(what)
        if new is None:
            changes.append(f"{what} would not be asked")
        elif new.digest() != old["sha256"]:
            counts = _counts(new)
            if counts["of"] != old["of"] or counts["n"] <= old["n"]:
                changes.append(
                    f"{what} was asked {old['n']:,} questions and would be asked {counts['n']:,} others"
                )
    if not changes:
        return None
    more = f", and {len(changes) - 3} more" if len(changes) > 3 else ""
    return f"{out} holds another evaluation: {'; '.join(changes[:3])}{more}"


def _said(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _counts(questions: QuestionSet) -> dict[str, int]:
    return {"n": len(questions.asks), "of": questions.drawn_from or len(questions.asks)}


def _result(
    model: Any,
    adapter: Adapter,
    options: Eval,
    questions: QuestionSet,
    out: Path,
    native: bool,
    progress: Callable[[int, int], None] | None,
) -> TaskResult:
    name, task = questions.name, questions.task
    answers = answer(
        model,
        adapter,
        questions,
        native=native,
        batch_size=options.batch_size,
        max_new_tokens=options.max_new_tokens,
        progress=progress,
    )
    scorer = Scorer(questions, answers, adapter, options.resamples, options.seed)
    # Before anything is scored: a judge or a scorer that fails must not cost the answers.
    write_predictions(out, name, task, scorer.rows())
    scored = scorer.score(_judge(options, out, name) if task == "judge" else None)
    write_outcomes(out, name, task, scored.outcomes)
    images = {ask.question.image for ask in questions.asks}
    bad = {ask.question.image for ask, said in zip(questions.asks, answers, strict=True) if said.problem}
    asked = {
        **_counts(questions),
        "images": len(images),
        "bad_images": len(bad),
        "sha256": questions.digest(),
    }
    return TaskResult(name, task, asked, scored.scores, scored.baselines, scored.missing)


def _judge(options: Eval, out: Path, name: str) -> Grader | None:
    if options.judge is None:
        return None
    return Grader(options.judge.model, OpenAIJudge(options.judge, out / f"judge-{name}.jsonl").grade)


def _about(adapter: Adapter, options: Eval, native: bool) -> dict[str, Any]:
    return {
        "dialect": adapter.dialect.name,
        "prompts": "native" if native else "instruction",
        "options": options.model_dump(include={"limit", "max_new_tokens", "batch_size", "resamples", "seed"}),
        "judge": None
        if options.judge is None
        else {"model": options.judge.model, "prompt": prompts.digest(PROMPT)},
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
