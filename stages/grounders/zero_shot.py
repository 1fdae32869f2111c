"""The zero-shot detectors of transformers behind one interface: pixels and phrases in, scores out.

Two families answer the same question. One reads all phrases as a single text and scores each of its
tokens (Grounding DINO, MM-Grounding-DINO); which tokens are whose is known from character offsets,
never from decoded strings, which merge neighbouring phrases. The other embeds each phrase by itself
(OWL-ViT, OWLv2).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from schemas.checkpoints import Checkpoint, fetch
from schemas.errors import UserError
from stages.grounders.phrases import fitted, joined, packed, spelled, tokens_within

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor

CANVAS_STEP = 64
"""Images are padded to a multiple of this. So their padding, which a vision backbone can see a little
of, is their own affair, and images of nearly the same shape still share a batch."""

QUERIES_AT_ONCE = 64
"""Most phrases for one pass of a model that embeds each by itself; bounds memory, changes no score."""


class Answer(NamedTuple):
    """What a model says of one image and one prompt."""

    scores: "Tensor"
    """[queries, phrases], 0..1, float32 on the CPU."""
    centers: "Tensor"
    """[queries, 4]: centre x, centre y, width, height in 0..1 of the image, or of a square around it
    if the model pads to one (see `Detector.stretch`)."""


class Detector:
    """A loaded model. `answer` maps images and prompts, paired one to one, to answers."""

    delimiters = ""
    """Marks that end a phrase for the model and so must not occur in one."""

    def __init__(self, model: Any, image_processor: Any, tokenizer: Any, device: str) -> None:
        self.model = model
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.device = device

    def asked(self, phrase: str) -> str:
        """The phrase as the model is asked for it; empty if it holds nothing that the model knows."""
        text = fitted(spelled(phrase, self.delimiters), self._count, self._room_for_phrase())
        known = set(self._ids(text)) - {self.tokenizer.unk_token_id}
        return text if known else ""

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        """Phrases, as `asked` gives them, divided so that each prompt is within the model's limit."""
        raise NotImplementedError

    def pixels(self, image: "PILImage") -> "Tensor":
        """An RGB image -> what the model sees of it, [3, height, width]."""
        return self.image_processor(images=image, return_tensors="pt")["pixel_values"][0]

    def canvas(self, pixels: "Tensor") -> tuple[int, int]:
        """(height, width) of the image in a batch; only images of one canvas can share a batch."""
        height, width = pixels.shape[-2:]
        return height, width

    def stretch(self, width: int, height: int) -> tuple[float, float]:
        """Factors for x and y from 0..1 of what the model sees to 0..1 of the image."""
        return 1.0, 1.0

    def answer(self, pixels: Sequence["Tensor"], prompts: Sequence[Sequence[str]]) -> list[Answer]:
        """One answer for each pair of image and prompt; all images must be of one canvas."""
        raise NotImplementedError

    def _room_for_phrase(self) -> int:
        raise NotImplementedError

    def _room(self) -> int:
        """Tokens that the model's text may have beside the special ones at its ends."""
        text = self.model.config.text_config.max_position_embeddings
        limit = min(text, getattr(self.model.config, "max_text_len", text))
        return limit - self.tokenizer.num_special_tokens_to_add()

    def _ids(self, text: str) -> list[int]:
        # Split: "<|endoftext|>" in a caption is text and must not end the prompt.
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def _count(self, text: str) -> int:
        return len(self._ids(text))


class TokenSpanDetector(Detector):
    """Grounding DINO and its kin: "a dog. a field." in one text, a score for each token of it."""

    # The model's attention between words stops at these tokens.
    delimiters = ".?"

    aggregation: Literal["max", "mean"] = "max"

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        sizes = [self._count(f"{phrase}.") for phrase in phrases]
        return [[phrases[i] for i in prompt] for prompt in packed(sizes, self._room())]

    def canvas(self, pixels: "Tensor") -> tuple[int, int]:
        height, width = (-(-side // CANVAS_STEP) * CANVAS_STEP for side in pixels.shape[-2:])
        return height, width

    def answer(self, pixels: Sequence["Tensor"], prompts: Sequence[Sequence[str]]) -> list[Answer]:
        import torch

        texts, spans = zip(*(joined(prompt, end=".", gap=" ") for prompt in prompts))
        encoded = self.tokenizer(
            list(texts),
            padding=True,
            return_offsets_mapping=True,
            split_special_tokens=True,
            return_tensors="pt",
        )
        offsets = encoded.pop("offset_mapping").tolist()
        image, mask = self._on_canvas(pixels)
        with torch.inference_mode():
            output = self.model(pixel_values=image, pixel_mask=mask, **encoded.to(self.device))
        scores = output.logits.sigmoid().float().cpu()
        centers = output.pred_boxes.float().cpu()
        return [
            Answer(
                torch.stack(
                    [self._of(scores[i], tokens_within(offsets[i], *span)) for span in spans[i]], dim=1
                ),
                centers[i],
            )
            for i in range(len(prompts))
        ]

    def _of(self, scores: "Tensor", tokens: list[int]) -> "Tensor":
        """[queries, tokens of the text] -> [queries], the score of the phrase that these tokens are."""
        phrase = scores[:, tokens]
        return phrase.amax(dim=1) if self.aggregation == "max" else phrase.mean(dim=1)

    def _on_canvas(self, pixels: Sequence["Tensor"]) -> "tuple[Tensor, Tensor]":
        import torch

        height, width = self.canvas(pixels[0])
        image = torch.zeros(len(pixels), 3, height, width)
        mask = torch.zeros(len(pixels), height, width, dtype=torch.long)
        for i, one in enumerate(pixels):
            image[i, :, : one.shape[1], : one.shape[2]] = one
            mask[i, : one.shape[1], : one.shape[2]] = 1
        return image.to(self.device), mask.to(self.device)

    def _room_for_phrase(self) -> int:
        return self._room() - 1  # its full stop


class QueryDetector(Detector):
    """OWL-ViT and OWLv2: each phrase is embedded by itself and scored against every patch."""

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        return [[phrases[i] for i in prompt] for prompt in packed([1] * len(phrases), QUERIES_AT_ONCE)]

    def stretch(self, width: int, height: int) -> tuple[float, float]:
        if not getattr(self.image_processor, "do_pad", False):
            return 1.0, 1.0
        side = max(width, height)  # OWLv2 pads at the right and at the bottom
        return side / width, side / height

    def answer(self, pixels: Sequence["Tensor"], prompts: Sequence[Sequence[str]]) -> list[Answer]:
        import torch

        most = max(map(len, prompts))
        texts = [phrase for prompt in prompts for phrase in [*prompt, *[""] * (most - len(prompt))]]
        encoded = self.tokenizer(
            texts,
            padding="max_length",
            max_length=self.model.config.text_config.max_position_embeddings,
            split_special_tokens=True,
            return_tensors="pt",
        ).to(self.device)
        with torch.inference_mode():
            output = self.model(
                pixel_values=torch.stack(list(pixels)).to(self.device),
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
            )
        scores = output.logits.sigmoid().float().cpu()
        centers = output.pred_boxes.float().cpu()
        return [Answer(scores[i, :, : len(prompt)], centers[i]) for i, prompt in enumerate(prompts)]

    def _room_for_phrase(self) -> int:
        return self._room()


FAMILIES: dict[str, Callable[..., Detector]] = {
    "grounding-dino": TokenSpanDetector,
    "mm-grounding-dino": TokenSpanDetector,
    "owlvit": QueryDetector,
    "owlv2": QueryDetector,
}
"""Which family reads an architecture's output. LLMDet's checkpoints are of type mm-grounding-dino."""


def check_architecture(checkpoint: Checkpoint) -> None:
    """Raises `UserError` for a model that is none of ours."""
    if checkpoint.model_type not in FAMILIES:
        raise UserError(
            f"model {checkpoint.source!r} is of type {checkpoint.model_type!r}, which is not supported; "
            f"use one of type {', '.join(FAMILIES)}"
        )


def load(checkpoint: Checkpoint, device: str) -> Detector:
    """Model, image processor and tokenizer, ready to answer.

    Raises `UserError` where the checkpoint is broken: weights that are cut off, do not fit or are
    not all there, or files that are missing.
    """
    import transformers

    check_architecture(checkpoint)
    transformers.utils.logging.disable_progress_bar()
    try:
        folder = fetch(checkpoint)
        model, report = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True
        )
        # Always Pillow, so that scores do not depend on whether torchvision is installed.
        image_processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # half a dozen libraries have a say in it, each with errors of its own
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise UserError(f"model {checkpoint.source!r} cannot be loaded: {reason}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(
            f"model {checkpoint.source!r} lacks {len(missing)} of its weights, such as {missing[0]}; "
            "they would be random, so take a whole checkpoint"
        )
    if not tokenizer.is_fast:
        raise UserError(f"model {checkpoint.source!r} has a tokenizer without character offsets")
    return FAMILIES[checkpoint.model_type](model.eval().to(device), image_processor, tokenizer, device)
