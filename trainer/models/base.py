"""What an adapter must do: how one family of models is spoken to, and what it answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from PIL.Image import Image as PILImage

from gritmill.schemas.boxes import Box
from gritmill.schemas.dialects import Dialect, Parsed, Size
from gritmill.trainer.data.examples import Bad, Example

Tensors = dict[str, Any]
"""Named torch tensors, as a model's forward takes them."""
LLAMA_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Linear layers of Llama and of the many that are built like it: Qwen, Gemma, SmolLM."""


class Batch(NamedTuple):
    """Examples as tensors. `tensors` holds `labels`, -100 wherever nothing is to be learnt."""

    tensors: Tensors
    bad: list[Bad]
    """Examples that are not in it: no answer left, none within the length, no image."""
    left_out: int = 0
    """Answers of the other examples that are not in it, for they are beyond the length."""


class NothingLeft(ValueError):
    """No example of a batch can be trained on; `bad` says of each why."""

    def __init__(self, bad: Sequence[Bad]) -> None:
        super().__init__(f"none of {len(bad)} examples can be trained on: {list(bad)}")
        self.bad = list(bad)


class Prompt(NamedTuple):
    """A question of an evaluation, before a model's family puts it in its own words.

    >>> Asked("rec", {"expression": "a dog in a field", "definite": "the dog in a field"}, [])
    """

    task: str
    """As in `prompts/tasks/`: rec, phrase_grounding, reg, caption, grounded_caption; or vqa."""
    words: dict[str, str]
    """What the task's templates have slots for; of vqa, `question`."""
    boxes: list[Box]
    """What `{region}` stands for; of vqa, those that its question has in its text, as floats of 0..1."""


class Adapter(ABC):
    """How one family of models is spoken to.

    Encodes examples and questions with the family's own processor and reads what the model generates.
    Is made in every worker of a data loader too, so that it holds no model.
    """

    model_types: ClassVar[tuple[str, ...]]
    """`config.model_type` of the checkpoints that it serves."""
    default_dialect: ClassVar[str]
    """What its checkpoints were trained to write; of those that write no boxes, what they learn best."""
    parts: ClassVar[Mapping[str, tuple[str, ...]]]
    """`vision`, `connector`, `language` -> prefixes of the names of the model's parameters."""
    lora_targets: ClassVar[tuple[str, ...]]
    """Linear layers of the language model, the default of `lora.targets`."""
    native: ClassVar[Mapping[str, str]] = {}
    """Task -> the words that its authors trained it with; slots as in `prompts/tasks/`."""

    def __init__(self, processor: Any, dialect: Dialect, max_length: int) -> None:
        self.processor = processor
        self.dialect = dialect
        self.max_length = max_length

    @classmethod
    def load_processor(cls, source: str, **options: Any) -> Any:
        """The family's processor, from the Hub or a folder; `options` are those of `from_pretrained`."""
        from transformers import AutoProcessor

        return AutoProcessor.from_pretrained(source, trust_remote_code=False, **options)

    @classmethod
    def mended(cls, model: Any) -> Any:
        """A model as loaded, with what the library has wrong about the family put right."""
        return model

    @cached_property
    def special_tokens(self) -> list[str]:
        """What no text of a user may hold, since it is more than text to the tokenizer."""
        return [t.content for t in self.processor.tokenizer.added_tokens_decoder.values() if t.special]

    @property
    def ends(self) -> set[int]:
        """The ids that end an answer."""
        return {self.processor.tokenizer.eos_token_id}

    @property
    def stops(self) -> set[int]:
        """The ids that end an answer, and padding."""
        return self.ends | {self.processor.tokenizer.pad_token_id}

    @abstractmethod
    def train_batch(self, examples: Sequence[Example]) -> Batch:
        """Tensors with labels on the answers alone. Raises `NothingLeft` if no example is left."""

    @abstractmethod
    def ask_batch(self, images: Sequence[PILImage], asked: Sequence[Prompt], native: bool) -> Tensors:
        """What `model.generate` takes; padded on the left where it goes on from the prompt."""

    @abstractmethod
    def answers(self, generated: Any, inputs: Tensors) -> list[str]:
        """The generated token ids -> what the model said, markup kept, without prompt and padding."""

    def parse(self, text: str, size: Size) -> Parsed:
        """What the model said -> caption, phrases and boxes; `size` is the image's, in pixels."""
        return self.dialect.parse(text, size)
