"""A zero-shot detector behind one interface: pixels and phrases in, scores and boxes out."""

from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from gritmill.stages.grounders.common.phrases import fitted, spelled

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor


class DetectorInput(NamedTuple):
    """What a model is asked in one pass: an image as it sees it, and phrases within its limit."""

    pixels: "Tensor"
    """[3, height, width], float32 on the CPU."""
    phrases: Sequence[str]
    size: tuple[int, int]
    """(width, height) of the image itself."""


class Detections(NamedTuple):
    """What a model says to one question."""

    scores: "Tensor"
    """[queries, phrases], 0..1, float32 on the CPU; below 0 where a query is no candidate for a phrase."""
    centers: "Tensor"
    """[queries, 4]: centre x, centre y, width, height in 0..1 of the image, or of a square around it
    if the model pads to one (see `Detector.stretch`)."""


BOX_HEADS = ("BoxPredictionHead", "MLPPredictionHead", "OmDetTurboMLP")
"""How the names of the modules end that say where a box is."""


class Detector:
    """A loaded model. With a `precision` of 16 bits, multiplications are done in it (autocast), but for
    those of the last layers that say where a box is: eight bits would move it by whole pixels."""

    delimiters = ""
    """Marks that end a phrase for the model and so must not occur in one."""

    def __init__(
        self, model: Any, image_processor: Any, tokenizer: Any, device: str, precision: str = "float32"
    ) -> None:
        self.model = model
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.device = device
        self.half = precision if precision != "float32" else None
        if self.half:
            for module in model.modules():
                if type(module).__name__.endswith(BOX_HEADS):
                    module.forward = self._in_full(module.forward)

    def asked(self, phrase: str) -> str:
        """The phrase as the model is asked for it; empty if it holds nothing that the model knows."""
        text = fitted(spelled(phrase, self.delimiters), self._count, self._room_for_phrase())
        known = set(self._ids(text)) - {self.tokenizer.unk_token_id}
        return text if known else ""

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        """Phrases, as `asked` gives them, divided so that each prompt is within the model's limit."""
        raise NotImplementedError

    def pixels(self, image: "PILImage") -> "Tensor":
        """An RGB image -> what the model sees of it, [3, height, width]. May be called from any thread."""
        return self.image_processor(images=image, return_tensors="pt")["pixel_values"][0]

    def kind(self, question: DetectorInput) -> Hashable:
        """Only questions of one kind can share a pass without a trace of each other in their answers."""
        return tuple(question.pixels.shape)

    def stretch(self, width: int, height: int) -> tuple[float, float]:
        """Factors for x and y from 0..1 of what the model sees to 0..1 of the image."""
        return 1.0, 1.0

    def answer(self, questions: Sequence[DetectorInput]) -> list[Detections]:
        """One answer for each question; all must be of one kind."""
        raise NotImplementedError

    def _run(self, **inputs: Any) -> Any:
        import torch

        half = torch.autocast(self.device, getattr(torch, self.half)) if self.half else nullcontext()
        with torch.inference_mode(), half:
            return self.model(**inputs)

    def _in_full(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        import torch

        def in_full(*args: Any) -> Any:
            with torch.autocast(self.device, enabled=False):
                return forward(*(arg.float() if torch.is_tensor(arg) else arg for arg in args))

        return in_full

    def _tokens(self, texts: Sequence[str], **options: Any) -> Any:
        # Split: "<|endoftext|>" in a caption is text and must not end the prompt.
        return self.tokenizer(list(texts), split_special_tokens=True, return_tensors="pt", **options)

    def _room_for_phrase(self) -> int:
        raise NotImplementedError

    def _room(self) -> int:
        """Tokens that the model's text may have beside the special ones at its ends."""
        text = self.model.config.text_config.max_position_embeddings
        limit = min(text, getattr(self.model.config, "max_text_len", text))
        return limit - self.tokenizer.num_special_tokens_to_add()

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def _count(self, text: str) -> int:
        return len(self._ids(text))


DetectorClass = Callable[..., Detector]
