"""How families of generative models are asked for the boxes of a phrase, each in its own words.

Words, picture and dialect are those with which the trainer asks them, too. What it has trained itself is
asked in the words that it learnt from (`prompts/tasks/rec.txt`), not in those of its family's authors.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from gritmill import prompts
from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.conversations import HUMAN, shielded, with_image
from gritmill.schemas.dialects import DIALECTS, Dialect
from gritmill.schemas.expressions import as_definite
from gritmill.schemas.families import chat, llava
from gritmill.schemas.families.pictures import picture
from gritmill.schemas.families.words import WORDS
from gritmill.stages.common import local_models
from gritmill.stages.grounders.common.phrases import fitted

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor

Tensors = dict[str, Any]

PHRASE_TOKENS = 64
"""More than any noun chunk has; longer phrases lose leading words."""

INSTRUCTIONS = "tasks/rec"
"""What a model of our trainer's is asked: the first that fits, as `pipeline eval` does."""

CONTEXT_TOKENS = 128
"""Of the caption before the phrase, where a model is told it; the words nearest to the phrase."""


class Labeller(ABC):
    """One family: its processor, its question for a phrase, and its part of what `generate` gives back."""

    model_type: ClassVar[str]
    dialect_name: ClassVar[str]
    all_groups: ClassVar[bool] = True
    """Every box of an answer is the phrase's. Otherwise only those of its first group are: further ones
    belong to other words, that the model chose itself."""

    def __init__(self, processor: Any, dialect: Dialect, instructed: bool) -> None:
        self.processor = processor
        self.dialect = dialect
        """How its answers are read."""
        self.instructed = instructed
        """Asked with `INSTRUCTIONS`, not in the words of the family's authors."""
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token

    @classmethod
    def load(cls, folder: Path, dialect: str | None = None) -> Self:
        """From a folder; `dialect` by its name, None for that of the checkpoint. Raises whatever is wrong."""
        processor = cls.load_processor(folder)
        local_models.check_tokenizer(processor.tokenizer)
        learnt = checkpoints.dialect_of(folder)
        spelled = DIALECTS[dialect or learnt or cls.dialect_name]
        return cls(processor, cls.shown(spelled, processor), instructed=learnt is not None)

    @classmethod
    def load_processor(cls, folder: Path) -> Any:
        """From a folder."""
        return local_models.processor(folder)

    @classmethod
    def mended(cls, model: Any) -> Any:
        """A model as loaded, with what the library has wrong about the family put right."""
        return model

    @classmethod
    def shown(cls, dialect: Dialect, processor: Any) -> Dialect:
        """A dialect with the geometry of what this processor shows of an image."""
        return dialect

    @property
    def end(self) -> str:
        """The token that ends an answer."""
        return str(self.processor.tokenizer.eos_token)

    @property
    def ends(self) -> set[int]:
        """The ids that end an answer."""
        return {
            self.processor.tokenizer.convert_tokens_to_ids(self.end),
            self.processor.tokenizer.eos_token_id,
        }

    def asked(self, phrase: str) -> str:
        """The phrase as the model is asked for it: no markup, single blanks, not too long."""
        return self._fitted(phrase, PHRASE_TOKENS)

    def question(self, phrase: str, before: str) -> str:
        """What the model is asked; `before` is the caption up to the phrase."""
        if self.instructed:
            return self.instruction(_instruction(phrase))
        words = WORDS[self.model_type]
        template = words.get("phrase_grounding", words["rec"])
        return self.native(
            template.format(phrase=phrase, expression=phrase, before=self._fitted(before, CONTEXT_TOKENS))
        )

    def native(self, text: str) -> str:
        """A question in its authors' words as its processor takes it."""
        return text

    def instruction(self, text: str) -> str:
        """One of ours."""
        return self.native(text)

    @abstractmethod
    def inputs(self, images: Sequence["PILImage"], questions: Sequence[str]) -> Tensors:
        """One call of the processor, an RGB image a question."""

    @abstractmethod
    def answered(self, generated: "Tensor", inputs: Tensors) -> "Tensor":
        """[answers, tokens]: of what `generate` gave, the tokens that were chosen, one for each step."""

    def _fitted(self, text: str, limit: int) -> str:
        return fitted(shielded(text).translate(self.dialect.shield), self._count, limit)

    def _count(self, text: str) -> int:
        return len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])


class Florence2Labeller(Labeller):
    """`<CAPTION_TO_PHRASE_GROUNDING>a dog` -> `a dog<loc_52><loc_332><loc_932><loc_774>`."""

    model_type = "florence2"
    dialect_name = "florence2"
    all_groups = False

    def inputs(self, images: Sequence["PILImage"], questions: Sequence[str]) -> Tensors:
        # Its positions are counted from the first token, padding or not.
        return dict(
            self.processor(
                images=list(images),
                text=list(questions),
                padding=True,
                padding_side="right",
                return_tensors="pt",
            )
        )

    def answered(self, generated: "Tensor", inputs: Tensors) -> "Tensor":
        return generated[:, 1:]  # the first token starts the decoder


class DecoderLabeller(Labeller):
    """A family whose language model goes on from a prompt that holds the image: padded on the left."""

    @property
    def side(self) -> int | None:
        """Pixels of the square that the vision encoder takes; None if it takes any shape."""
        return None

    def inputs(self, images: Sequence["PILImage"], questions: Sequence[str]) -> Tensors:
        self.processor.tokenizer.padding_side = "left"
        pictures = [picture(image, self.dialect.geometry, self.side) for image in images]
        return dict(self.processor(images=pictures, text=list(questions), padding=True, return_tensors="pt"))

    def answered(self, generated: "Tensor", inputs: Tensors) -> "Tensor":
        return generated[:, inputs["input_ids"].shape[1] :]


class Kosmos2Labeller(DecoderLabeller):
    """`<grounding>a dog in <phrase>a field</phrase>` -> `<object><patch_index_0044>...</object>`.

    It is told the caption up to the phrase, as it was trained, and stops behind the phrase's boxes.
    """

    model_type = "kosmos-2"
    dialect_name = "kosmos2"

    @classmethod
    def mended(cls, model: Any) -> Any:
        from gritmill.schemas.families import kosmos2

        return kosmos2.mended(model)

    @property
    def side(self) -> int:
        from gritmill.schemas.families import kosmos2

        return kosmos2.side(self.processor)

    @property
    def ends(self) -> set[int]:
        return {*super().ends, self.processor.tokenizer.convert_tokens_to_ids("</object>")}

    def instruction(self, text: str) -> str:
        return f" Question: {text} Answer:"


class LlavaLabeller(DecoderLabeller):
    """`USER: <image>\nFind the dog in the image. ASSISTANT:` -> `[0.1,0.2,0.3,0.4]`, or its chat template.

    The model `tiny` of our trainer is of this family.
    """

    model_type = "llava"
    dialect_name = "shikra"

    @property
    def side(self) -> int:
        return llava.side(self.processor)

    def native(self, text: str) -> str:
        asked = with_image(text, before=True)
        if self.processor.chat_template:
            return chat.rendered(self.processor, [chat.message(HUMAN, asked)])
        return llava.QUESTION.format(asked)


class QwenLabeller(DecoderLabeller):
    """A question in the chat format -> `[{"bbox_2d": [77, 119, 283, 391], "label": "a dog"}]`."""

    processor_name: ClassVar[str]

    @classmethod
    def load_processor(cls, folder: Path) -> Any:
        from gritmill.schemas.families import qwen

        return getattr(qwen, cls.processor_name).from_pretrained(folder, backend="pil")

    @classmethod
    def shown(cls, dialect: Dialect, processor: Any) -> Dialect:
        from gritmill.schemas.families import qwen

        return qwen.shown(dialect, processor.image_processor)

    @property
    def end(self) -> str:
        return "<|im_end|>"

    def native(self, text: str) -> str:
        return chat.rendered(self.processor, [chat.message(HUMAN, with_image(text, before=True))])


class Qwen25Labeller(QwenLabeller):
    """Boxes in pixels of the resized image."""

    model_type = "qwen2_5_vl"
    dialect_name = "qwen2.5_vl"
    processor_name = "Qwen2_5_VLProcessor"


class Qwen3Labeller(QwenLabeller):
    """Boxes in thousandths."""

    model_type = "qwen3_vl"
    dialect_name = "qwen3_vl"
    processor_name = "Qwen3VLProcessor"


LABELLERS: dict[str, type[Labeller]] = {
    labeller.model_type: labeller
    for labeller in (Florence2Labeller, Kosmos2Labeller, LlavaLabeller, Qwen25Labeller, Qwen3Labeller)
}
"""By `model_type` of a checkpoint's config.json."""


def _instruction(phrase: str) -> str:
    """`Find the dog in the image.`; without an article, `Which region does "dogs" describe?`"""
    definite = as_definite(phrase)
    slot = "{definite}" if definite else "{expression}"
    template = next(line for line in prompts.word_list(INSTRUCTIONS) if slot in line)
    return template.format(definite=definite, expression=phrase)
