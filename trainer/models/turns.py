"""Examples and questions as text, before a model's family puts its own format around them."""

import string
from collections.abc import Mapping

from prompts import word_list
from schemas.conversations import IMAGE, render, shielded
from schemas.dialects import Dialect, Size
from schemas.errors import UserError
from trainer.data.examples import Example
from trainer.models.base import Asked
from trainer.models.masking import Unfit

Turns = list[tuple[str, str]]
"""(role, text), `human` and `assistant` in turns; the image's placeholder in the first."""


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


def question(asked: Asked, native: Mapping[str, str] | None, dialect: Dialect, size: Size) -> str:
    """A question in the words of a model's authors (`native`), or of our first instruction that fits.

    Without the image's placeholder. Raises `UserError` where its authors trained no such task.

    >>> question(Asked("rec", {"expression": "a dog"}, []), {"rec": "detect {expression}"}, ...)
    'detect a dog'
    """
    slots = {name: shielded(text).translate(dialect.shield) for name, text in asked.words.items()}
    if asked.boxes:
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


def _slots(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}
