"""A generative model's answers: greedy, in batches, each box with how likely its numbers were."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects import Parsed, Size
from gritmill.stages.grounders.generative.labellers import Labeller

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor


class BoxQuestion(NamedTuple):
    """A question about an image."""

    image: "PILImage"
    question: str


class ScoredBox(NamedTuple):
    """A box and the geometric mean of the probabilities of its location tokens, 0..1."""

    box: Box
    score: float


class BoxAnswer(NamedTuple):
    """What a model said, taken apart.

    >>> Answer("a dog<loc_52><loc_332><loc_932><loc_774>", [Scored(Box(.05, .33, .93, .77), 0.41)], 0, True)
    """

    text: str
    boxes: list[ScoredBox]
    """In the order in which they were written."""
    unreadable: int
    """How many boxes were there but are none: inverted, outside of the image."""
    whole: bool
    """It ended by itself, not at the limit of new tokens."""


class Answerer:
    """Asks a loaded model. Raises `ValueError` for an image that the family cannot be shown."""

    def __init__(self, model: Any, labeller: Labeller, device: str, max_new_tokens: int) -> None:
        self.model = model
        self.labeller = labeller
        self.device = device
        self.max_new_tokens = max_new_tokens

    def __call__(self, asked: Sequence[BoxQuestion]) -> list[BoxAnswer]:
        """One answer for each question; the most likely token is taken each time."""
        import torch
        import transformers

        inputs = self.labeller.inputs([a.image for a in asked], [a.question for a in asked])
        chosen = _Chosen()
        with torch.inference_mode():
            generated = self.model.generate(
                **self._moved(inputs),
                do_sample=False,
                num_beams=1,
                # A checkpoint's penalty on repeating itself would fall on coordinates.
                repetition_penalty=1.0,
                max_new_tokens=self.max_new_tokens,
                eos_token_id=sorted(self.labeller.ends),
                pad_token_id=self.labeller.processor.tokenizer.pad_token_id,
                logits_processor=transformers.LogitsProcessorList([chosen]),
            )
        tokens = self.labeller.answered(generated, inputs).tolist()
        log_probabilities = torch.stack(chosen.log_probabilities, dim=1).tolist()
        return [
            self._answer(ids, said, a.image.size)
            for ids, said, a in zip(tokens, log_probabilities, asked, strict=True)
        ]

    def _answer(self, ids: list[int], log_probabilities: list[float], size: Size) -> BoxAnswer:
        end = next((i for i, token in enumerate(ids) if token in self.labeller.ends), None)
        begin = self.labeller.processor.tokenizer.bos_token_id  # Florence-2 writes it
        said = [(i, p) for i, p in zip(ids[:end], log_probabilities) if i != begin]
        texts = list(self._growing([i for i, _ in said]))
        text = texts[-1] if texts else ""
        dialect = self.labeller.dialect
        parsed = dialect.parse(text, size)
        tokens = [(span, p) for span, (_, p) in zip(_spans(texts), said, strict=True)]
        boxes = [
            ScoredBox(box, round(_certainty(place, text, tokens), 6))
            for box, place in zip(parsed.written, dialect.places(text), strict=True)
            if box is not None
        ]
        if not self.labeller.all_groups:
            boxes = boxes[: _size_of_first_group(parsed)]
        return BoxAnswer(text, boxes, parsed.unreadable, end is not None)

    def _growing(self, ids: list[int]) -> Iterator[str]:
        """The text after each token: what a token adds is not what it is alone."""
        tokenizer = self.labeller.processor.tokenizer
        for length in range(1, len(ids) + 1):
            yield tokenizer.decode(ids[:length], skip_special_tokens=False)

    def _moved(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """To the model's device; pixels in its precision, which the processor cannot know."""
        return {
            name: value.to(self.device, dtype=self.model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }


class _Chosen:
    """Notes how likely the token was that greedy decoding takes at each step; keeps no other scores, which
    are a number for each word of the vocabulary."""

    def __init__(self) -> None:
        self.log_probabilities: list[Tensor] = []

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        self.log_probabilities.append(scores.float().log_softmax(dim=-1).amax(dim=-1))
        return scores


def _spans(texts: Sequence[str]) -> list[Span]:
    """Where in the last text each token stands."""
    lengths = [0, *map(len, texts)]
    return [Span(start, end) for start, end in pairwise(lengths)]


def _certainty(place: Span, text: str, tokens: Sequence[tuple[Span, float]]) -> float:
    """Geometric mean of the probabilities of the tokens with which a box's numbers are written.

    Those are the tokens with a digit: brackets and commas are nearly certain, whatever they enclose.
    """
    numbers = [
        probability
        for token, probability in tokens
        if token.start < place.end and place.start < token.end and any(map(str.isdigit, token.of(text)))
    ]
    return math.exp(sum(numbers) / len(numbers)) if numbers else 1.0


def _size_of_first_group(parsed: Parsed) -> int:
    return len(parsed.groundings[0].boxes) if parsed.groundings else 0
