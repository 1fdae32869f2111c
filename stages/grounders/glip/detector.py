"""A loaded GLIP behind the interface of a zero-shot detector."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gritmill.stages.grounders.common.detector import Detections, Detector, DetectorInput
from gritmill.stages.grounders.common.phrases import joined, packed, tokens_within
from gritmill.stages.grounders.glip.post import PhraseBoxes, detections

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor

    from gritmill.stages.grounders.glip.model import Glip

SHORT, LONG = 800, 1333
"""Images are scaled so that their short side has the one number of pixels, but the long one not much more
than the other (INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST)."""
CANVAS_STEP = 32
"""And padded at the right and at the bottom to a multiple of this (DATALOADER.SIZE_DIVISIBILITY)."""
MEAN, STD = (103.530, 116.280, 123.675), (57.375, 57.120, 58.395)
"""Of blue, green and red, in this order, 0..255 (INPUT.PIXEL_MEAN, INPUT.PIXEL_STD)."""
MAX_TOKENS = 256
"""Of a prompt, with the two special ones at its ends (MODEL.LANGUAGE_BACKBONE.MAX_QUERY_LEN)."""
SEPARATOR = ". "
"""Between the phrases of a prompt (DATASETS.SEPARATION_TOKENS)."""


class GlipDetector(Detector):
    """Asked "a dog. a field"; the score of a phrase is the mean of its tokens' (SCORE_AGG: MEAN).

    Numbers and their names in capitals are those of the official configs. Everything is float32, as in the
    official evaluation.
    """

    model: "Glip"
    delimiters = "."

    def __init__(self, model: "Glip", tokenizer: Any, device: str, most: int) -> None:
        super().__init__(model.to(device), None, tokenizer, device)
        self.most = most

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        sizes = [self._count(phrase + SEPARATOR) for phrase in phrases]
        # The last phrase of a prompt goes without.
        packs = packed(sizes, self._room() + self._count(SEPARATOR))
        return [[phrases[i] for i in pack] for pack in packs]

    def pixels(self, image: "PILImage") -> "Tensor":
        small = image.resize(scaled_size(*image.size), resample=2)  # bilinear
        rgb = torch.from_numpy(np.array(small, dtype=np.float32))
        bgr = (rgb.flip(-1) - torch.tensor(MEAN)) / torch.tensor(STD)
        return bgr.permute(2, 0, 1)

    def kind(self, question: DetectorInput) -> Hashable:
        return canvas(question.pixels)

    def answer(self, questions: Sequence[DetectorInput]) -> list[Detections]:
        texts, spans = zip(
            *(joined(question.phrases, end="", gap=SEPARATOR) for question in questions), strict=True
        )
        encoded = self._tokens(texts, padding=True, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"].tolist()
        height, width = canvas(questions[0].pixels)
        image = torch.zeros(len(questions), 3, height, width)
        for i, question in enumerate(questions):
            image[i, :, : question.pixels.shape[1], : question.pixels.shape[2]] = question.pixels
        levels = self._run(
            pixels=image.to(self.device),
            ids=encoded["input_ids"].to(self.device),
            mask=encoded["attention_mask"].to(self.device),
        )
        if any(part.isnan().any() for level in levels for part in level[:3]):
            raise ValueError("GLIP gave NaN")
        answers = []
        for i, question in enumerate(questions):
            phrases = [tokens_within(offsets[i], *span) for span in spans[i]]
            height, width = question.pixels.shape[1:]
            answers.append(_answer(detections(levels, i, phrases, (height, width), self.most), question))
        return answers

    def _room_for_phrase(self) -> int:
        return self._room()

    def _room(self) -> int:
        return min(MAX_TOKENS, self.model.positions) - self.tokenizer.num_special_tokens_to_add()


def scaled_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) that the model sees of an image of this size.

    >>> scaled_size(640, 480)
    (1066, 800)
    """
    short, long = min(width, height), max(width, height)
    side = SHORT if long / short * SHORT <= LONG else max(round(LONG * short / long), 1)
    # Rounding of a side of a few pixels must not make the other one endless.
    other = min(int(side * long / short), 2 * LONG)
    return (side, other) if width < height else (other, side)


def canvas(pixels: "Tensor") -> tuple[int, int]:
    """(height, width) of the image with its padding, which depends on the image alone."""
    height, width = (-(-side // CANVAS_STEP) * CANVAS_STEP for side in pixels.shape[-2:])
    return height, width


def _answer(found: Sequence[PhraseBoxes], question: DetectorInput) -> Detections:
    """The boxes of all phrases one after the other, each scored for its own phrase alone."""
    height, width = question.pixels.shape[1:]
    boxes = torch.cat([each.boxes for each in found]).cpu()
    scores = torch.full((len(boxes), len(found)), -1.0)
    start = 0
    for phrase, each in enumerate(found):
        scores[start : start + len(each.scores), phrase] = each.scores.cpu()
        start += len(each.scores)
    corners = boxes / torch.tensor([width, height, width, height])
    # Their last pixel belongs to them, and is one of the image itself: in training, boxes were shrunk by
    # it before they were scaled with the image.
    first, last = corners[:, :2], corners[:, 2:] + 1 / torch.tensor(question.size)
    return Detections(scores, torch.cat([(first + last) / 2, last - first], dim=1))
