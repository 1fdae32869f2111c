"""Examples and questions as text, before a model's family puts its own format around them."""

import re
import string
from collections.abc import Iterable, Mapping
from functools import lru_cache

from gritmill.prompts import word_list
from gritmill.schemas.boxes import Box
from gritmill.schemas.conversations import ASSISTANT, HUMAN, IMAGE, render
from gritmill.schemas.dialects import Dialect, Size
from gritmill.schemas.errors import UserError
from gritmill.trainer.data.examples import Example
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.models.masking import Unfit

Turns = list[tuple[str, str]]
"""(role, text), `human` and `assistant` in turns; the image's placeholder in the first."""

CONTROL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")
"""What begins and ends texts and turns, where no tokenizer says it."""

_NUMBER = r"\s{0,4}([01]?\.[0-9]{1,9})\s{0,4}"
_BOX = re.compile(rf"\[{','.join([_NUMBER] * 4)}\]")
_ROUND = str.maketrans("<>[]", "()()")


def spelled(example: Example, dialect: Dialect) -> Turns:
    """An example's conversation in a dialect. Raises `Unfit` for one that has no answer or is none.

    >>> spelled(example, DIALECTS["digits"])
    [('human', '<image>\\nWhere is the dog?'), ('assistant', '[120,250,440,820]')]
    """
    try:
        turns = render(example.conversation, dialect, example.image.size)
    except ValueError as error:
        raise Unfit(f"conversation: {error}") from error
    if not turns:
        raise Unfit("no answer is left: its boxes are outside of the picture")
    if untaught := {role for role, _ in turns} - {HUMAN, ASSISTANT}:
        raise Unfit(f"conversation: turns of {', '.join(sorted(untaught))} are not taught")
    first, *others = [text for _, text in turns]
    if first.count(IMAGE) != 1 or any(IMAGE in text for text in others):
        raise Unfit(f"conversation: {IMAGE} must stand once, in its first question")
    return [(role, text.strip()) for role, text in turns]


def pairs(turns: Turns) -> list[tuple[str, str]]:
    """Each question with its answer, for a model that is asked one thing at a time; no placeholder.

    >>> pairs([("human", "<image>\\nWhere is the dog?"), ("assistant", "[120,250,440,820]")])
    [('Where is the dog?', '[120,250,440,820]')]
    """
    texts = [text for _, text in turns]
    return [(q.replace(IMAGE, "").strip(), a) for q, a in zip(texts[::2], texts[1::2], strict=True)]


def question(
    asked: Prompt,
    native: Mapping[str, str] | None,
    dialect: Dialect,
    size: Size,
    special: Iterable[str] = CONTROL,
) -> str:
    """A question in the words of a model's authors (`native`), or of our first instruction that fits.

    Without the image's placeholder. What is asked stands as it is, but for `special` tokens of the model,
    which get round brackets, and boxes of an open question, which are spelled in the dialect. Raises
    `UserError` where its authors trained no such task.

    >>> question(Asked("rec", {"expression": "a <b> dog </s>"}, []), {"rec": "detect {expression}"}, ...)
    'detect a <b> dog (/s)'
    """
    tokens = _any_of((IMAGE, *special, *dialect.tokens()))
    slots = {
        name: tokens.sub(lambda token: token[0].translate(_ROUND), text) for name, text in asked.words.items()
    }
    if asked.boxes and asked.task == "vqa":
        slots["question"] = _with_boxes(slots["question"], dialect, size)
    elif asked.boxes:
        slots["region"] = dialect.encode_boxes(asked.boxes, size)
    if {"caption", "phrase"} <= slots.keys():
        slots["before"] = slots["caption"].partition(slots["phrase"])[0].rstrip()
    if native is not None and asked.task in native:
        templates: tuple[str, ...] = (native[asked.task],)
    elif asked.task == "vqa":
        templates = ("{question}",)
    elif native is None:
        templates = word_list(f"tasks/{asked.task}")
    else:
        raise UserError(
            f"the model has no words of its own for {asked.task!r}; ask with `prompts: instruction`"
        )
    fitting = next((t for t in templates if _slots(t) <= slots.keys()), None)
    if fitting is None:
        raise ValueError(f"no template of {asked.task!r} can be filled with {sorted(slots)}")
    return fitting.format(**slots)


def written_boxes(text: str) -> list[Box]:
    """Boxes that a question has in its text: "the dog [0.62, 0.08, 0.77, 0.13]" -> [Box(0.62, ...)]."""
    boxes = (Box(*map(float, found.groups())) for found in _BOX.finditer(text))
    return [box for box in boxes if box.is_valid]


def _with_boxes(text: str, dialect: Dialect, size: Size) -> str:
    """A text whose boxes are spelled in a dialect; those that its picture does not show stand as they are."""
    view = dialect.geometry.view(size)

    def spelled(written: re.Match[str]) -> str:
        shown = [box for box in written_boxes(written[0]) if view.shown(box)]
        return dialect.encode_boxes(shown, size) if shown else written[0]

    return _BOX.sub(spelled, text)


@lru_cache(maxsize=64)
def _any_of(tokens: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(set(tokens), key=lambda token: (-len(token), token))
    return re.compile("|".join(map(re.escape, longest_first)))


def _slots(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}
