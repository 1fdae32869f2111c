"""Florence-2: an encoder reads the image and one question, a decoder writes the answer."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from PIL.Image import Image as PILImage

from gritmill.schemas.families.pictures import picture
from gritmill.schemas.families.words import WORDS
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.models.base import Adapter, Batch, NothingLeft, Prompt, Tensors
from gritmill.trainer.models.decoder import until
from gritmill.trainer.models.masking import IGNORED, Unfit
from gritmill.trainer.models.turns import pairs, question, spelled


class _Row(NamedTuple):
    """A question with its answer, and the image that both are about."""

    image: PILImage
    question: str
    answer: list[int]
    """With `<s>` before and `</s>` behind it: published checkpoints generate both."""


class Florence2Adapter(Adapter):
    """`Florence2ForConditionalGeneration`, the one within transformers (checkpoints of florence-community).

    Each question of a conversation becomes a row of its own, since the model was trained on single ones.
    The processor writes a task such as `<CAPTION>` out as the sentence that it stands for.
    """

    model_types: ClassVar[tuple[str, ...]] = ("florence2",)
    default_dialect: ClassVar[str] = "florence2"
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "vision": ("model.vision_tower.",),
        "connector": ("model.multi_modal_projector.",),
        "language": ("model.language_model.", "lm_head."),
    }
    lora_targets: ClassVar[tuple[str, ...]] = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    native: ClassVar[Mapping[str, str]] = WORDS["florence2"]

    @cached_property
    def special_tokens(self) -> list[str]:
        # The processor refuses a text with a task's name in it.
        tasks = (self.processor.task_prompts_without_inputs, self.processor.task_prompts_with_input)
        return [*super().special_tokens, *(name for named in tasks for name in named)]

    def train_batch(self, examples: Sequence[Example]) -> Batch:
        rows: list[_Row] = []
        bad: list[Bad] = []
        left_out = 0
        for example in examples:
            try:
                asked = pairs(spelled(example, self.dialect))
            except Unfit as error:
                bad.append(Bad(example.key, str(error)))
                continue
            fitting = list(self._fitting(example.image, asked))
            if fitting:
                rows += fitting
                left_out += len(asked) - len(fitting)
            else:
                bad.append(Bad(example.key, f"no answer within {self._limit} tokens"))
        if not rows:
            raise NothingLeft(bad)
        tensors = self._encoded([row.image for row in rows], [row.question for row in rows])
        tensors["labels"] = _padded([row.answer for row in rows])
        return Batch(tensors, bad, left_out)

    def ask_batch(self, images: Sequence[PILImage], asked: Sequence[Prompt], native: bool) -> Tensors:
        words = self.native if native else None
        texts = [
            question(a, words, self.dialect, image.size, self.special_tokens)
            for a, image in zip(asked, images, strict=True)
        ]
        return self._encoded(images, texts)

    def answers(self, generated: Any, inputs: Tensors) -> list[str]:
        # What it generates begins with the token that starts the decoder, which is `</s>`, and `<s>`.
        return [self._text(ids) for ids in generated[:, 1:].tolist()]

    def _fitting(self, image: PILImage, asked: Sequence[tuple[str, str]]) -> Iterator[_Row]:
        """The questions that are short enough, and so are their answers."""
        tokenizer = self.processor.tokenizer
        for text, answer in asked:
            ids = tokenizer(answer).input_ids
            prompt = self.processor.num_image_tokens + len(tokenizer(text).input_ids)
            if max(prompt, len(ids)) <= self._limit:
                yield _Row(image, text, ids)

    @property
    def _limit(self) -> int:
        """Its positions are learnt: there are none beyond the tokenizer's `model_max_length`."""
        return min(self.max_length, self.processor.tokenizer.model_max_length)

    def _encoded(self, images: Sequence[PILImage], texts: Sequence[str]) -> Tensors:
        return dict(
            self.processor(
                images=[picture(image, self.dialect.geometry) for image in images],
                text=list(texts),
                padding=True,
                padding_side="right",  # its positions are counted from the first token, padding or not
                return_tensors="pt",
            )
        )

    def _text(self, ids: list[int]) -> str:
        """Location tokens are special tokens to its tokenizer, and kept."""
        tokenizer = self.processor.tokenizer
        said = [i for i in until(ids, self.stops) if i != tokenizer.bos_token_id]
        return str(tokenizer.decode(said, skip_special_tokens=False)).strip()


def _padded(rows: list[list[int]]) -> Any:
    import torch

    width = max(map(len, rows))
    return torch.tensor([row + [IGNORED] * (width - len(row)) for row in rows])
