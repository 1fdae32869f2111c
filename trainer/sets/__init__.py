"""What a model is asked in an evaluation: splits of our own datasets, and the public sets in their own files.

>>> [(asked.name, asked.task, len(asked.asks)) for asked in load_sets(options, "out/grit")]
[('validation', 'rec', 812), ('refcoco_val', 'rec', 10834)]
"""

from collections import Counter
from collections.abc import Callable

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Eval, EvalSet
from gritmill.trainer.sets import captions, flickr30k, judged, locout, mdetr, pope, refs, splits
from gritmill.trainer.sets.base import Ask, QuestionSet, Reference, Task

__all__ = ["FORMATS", "Ask", "QuestionSet", "Reference", "Task", "load_sets"]

Load = Callable[[str, str, str, frozenset[str], str | None], list[QuestionSet]]
"""(questions, name, images, also, split) -> the set's questions, a `QuestionSet` for each task."""

FORMATS: dict[str, Load] = {
    "mdetr": mdetr.load,
    "refs": refs.load,
    "flickr30k": flickr30k.load,
    "locout": locout.load,
    "pope": pope.load,
    "captions": captions.load,
    "judge": judged.load,
}
"""`EvalSet.format` -> its reader."""


def load_sets(options: Eval, dataset: str | None) -> list[QuestionSet]:
    """All that an evaluation asks, at most `limit` questions a set and task. Loads no image and no model.

    A split of the dataset in the folder `dataset` is asked `tasks`. A set from outside is asked what it was
    made for, and `reg` (RefCOCO) or `caption` (Flickr30k) besides if they are among `tasks`.
    Raises `UserError`, with file and line, for questions that are none.
    """
    names = [chosen.name if isinstance(chosen, EvalSet) else chosen for chosen in options.sets]
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"Two sets of `eval.sets` are called {repeated[0]!r}. Give each a name of its own.")
    found: list[QuestionSet] = []
    for chosen in options.sets:
        found += (
            _outside(chosen, options) if isinstance(chosen, EvalSet) else _split(chosen, options, dataset)
        )
    for questions in found:
        _check_ids(questions)
    return [questions.limited(options.limit, options.seed) for questions in found]


def _check_ids(questions: QuestionSet) -> None:
    times = Counter(ask.question.id for ask in questions.asks)
    if repeated := [id_ for id_, count in times.items() if count > 1]:
        raise UserError(f"Several questions of {questions.name} are {repeated[0]!r}. Give each its own id.")


def _split(name: str, options: Eval, dataset: str | None) -> list[QuestionSet]:
    from gritmill.trainer.data.shards import open_split

    if dataset is None:
        raise UserError(f"There is no dataset to take the split {name!r} from. Name one, or other sets.")
    samples = open_split(dataset, name)
    return [splits.questions(samples, name, task) for task in dict.fromkeys(options.tasks)]


def _outside(chosen: EvalSet, options: Eval) -> list[QuestionSet]:
    if chosen.format == "judge" and options.judge is None:
        raise UserError(f"Nobody grades the set {chosen.name}. Name a model: judge: {{model: ...}}.")
    also = frozenset[str](options.tasks)
    found = FORMATS[chosen.format](chosen.questions, chosen.name, chosen.images, also, chosen.split)
    if empty := [questions for questions in found if not questions.asks]:
        split = f" of the split {chosen.split!r}" if chosen.split else ""
        raise UserError(f"{chosen.questions} has no questions{split} for {empty[0].task!r}. Check the set.")
    return found
