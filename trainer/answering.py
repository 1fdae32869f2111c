"""A model answers the questions of a set: in batches, greedily, images decoded ahead by threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from PIL.Image import Image as PILImage

from gritmill.schemas.dialects import Size
from gritmill.schemas.errors import UserError
from gritmill.trainer.models.base import Adapter, Tensors
from gritmill.trainer.sets import Ask, QuestionSet

THREADS = 4
"""That decode images; Pillow leaves the interpreter to others while it does."""

Progress = Callable[[int, int], None]
"""Is called with (questions answered, questions)."""


class ModelAnswer(NamedTuple):
    """What a model said about an image.

    >>> Answer("<object><patch_index_0044><patch_index_0863></object>", (640, 480), None)
    """

    text: str
    size: Size | None
    """Of the image in pixels; None if it could not be read."""
    problem: str | None
    """Why the image could not be read: the answer is empty, and so wrong."""


def answer(
    model: Any,
    adapter: Adapter,
    questions: QuestionSet,
    *,
    native: bool,
    batch_size: int,
    max_new_tokens: int,
    progress: Progress | None = None,
) -> list[ModelAnswer]:
    """The answers in the order of the questions; `native` asks in the words of the model's authors.

    The most likely token is taken each time, so that the same model gives the same answers. Raises
    `UserError` if no image at all can be read: then it is the folder that is wrong.
    """
    answers: list[ModelAnswer] = []
    with _answering(model), ThreadPoolExecutor(THREADS) as pool:
        for batch, pictures in _ahead(pool, _batches(questions.asks, batch_size), adapter):
            answers += _answered(model, adapter, batch, pictures, native, max_new_tokens)
            if progress:
                progress(len(answers), len(questions.asks))
    if answers and all(answer.problem for answer in answers):
        first = f"{questions.asks[0].question.image}: {answers[0].problem}"
        raise UserError(f"No image of the set {questions.name} can be read ({first}). Check its `images`.")
    return answers


def _answered(
    model: Any,
    adapter: Adapter,
    batch: Sequence[Ask],
    pictures: "Sequence[PILImage | str]",
    native: bool,
    max_new_tokens: int,
) -> list[ModelAnswer]:
    shown = [(ask, picture) for ask, picture in zip(batch, pictures, strict=True) if _is_image(picture)]
    texts: Iterator[str] = iter(())
    if shown:
        asks, images = zip(*shown, strict=True)
        inputs = _moved(adapter.ask_batch(images, [ask.asked for ask in asks], native), model)
        generated = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens)
        texts = iter(adapter.answers(generated, inputs))
    return [
        ModelAnswer("", None, picture)
        if isinstance(picture, str)
        else ModelAnswer(next(texts), picture.size, None)
        for picture in pictures
    ]


def _is_image(picture: "PILImage | str") -> bool:
    return not isinstance(picture, str)


def _moved(inputs: Tensors, model: Any) -> Tensors:
    """To the model's device; pixels in its precision, which the processor cannot know."""
    return {
        name: value.to(model.device, dtype=model.dtype if value.is_floating_point() else None)
        if hasattr(value, "is_floating_point")
        else value
        for name, value in inputs.items()
    }


@contextmanager
def _answering(model: Any) -> Iterator[None]:
    """Without gradients and dropout; the model is left as it was."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def _batches(asks: Sequence[Ask], size: int) -> Iterator[Sequence[Ask]]:
    return (asks[start : start + size] for start in range(0, len(asks), size))


def _ahead(
    pool: ThreadPoolExecutor, batches: Iterator[Sequence[Ask]], adapter: Adapter
) -> "Iterator[tuple[Sequence[Ask], list[PILImage | str]]]":
    """Each batch with its pictures, those of the next one on their way. One image is decoded once a batch."""
    waiting: list[tuple[Sequence[Ask], dict[str, Future[PILImage | str]]]] = []
    for batch in batches:
        decoded: dict[str, Future[PILImage | str]] = {}
        for ask in batch:
            if ask.question.image not in decoded:
                decoded[ask.question.image] = pool.submit(_picture, ask, adapter)
        waiting.append((batch, decoded))
        if len(waiting) > 1:
            yield _arrived(*waiting.pop(0))
    if waiting:
        yield _arrived(*waiting.pop(0))


def _arrived(
    batch: Sequence[Ask], decoded: "dict[str, Future[PILImage | str]]"
) -> "tuple[Sequence[Ask], list[PILImage | str]]":
    return batch, [decoded[ask.question.image].result() for ask in batch]


def _picture(ask: Ask, adapter: Adapter) -> "PILImage | str":
    """The image, or why there is none that this model can be shown."""
    try:
        image = ask.image()
        adapter.dialect.geometry.view(image.size)
        return image
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
