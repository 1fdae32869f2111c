"""SAM 3 as a detector: a noun phrase in, every instance of it out; its masks are not asked for."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.weights import Weights
from gritmill.stages.common import local_models
from gritmill.stages.common.local_models import Device, Precision
from gritmill.stages.grounders.common.detecting import DetectorGrounder
from gritmill.stages.grounders.common.detector import Detections, Detector, DetectorInput
from gritmill.stages.segmenters.canvas import Canvas
from gritmill.stages.segmenters.transformers import canvas_of

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor


TYPES = ("sam3", "sam3_video")
"""That for video holds the one for images; the hub's `facebook/sam3` is of it."""


class Sam3Grounder(DetectorGrounder):
    """Noun chunks -> candidate boxes, by SAM 3: every instance of a phrase, one question a phrase.

    "a dog in a field" asked for "a dog", then "a field" ->
    [GroundedBox(Span(0, 5), Box(.1, .2, .5, .9), 0.83, "facebook/sam3@3c879f...", "a dog"), ...]

    Its text encoder reads 32 tokens, two of them its own marks. What phrases go through is
    `DetectorGrounder`'s to say. Masks for the boxes that are chosen are for `segment` to make.
    """

    packages = {"torch": "grounders", "transformers": "grounders"}

    grounder: Literal["sam3"] = "sam3"
    """Where the boxes come from."""
    model: str = "facebook/sam3"
    """Hub id or folder of a SAM 3 checkpoint."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts. Give a
    commit where a recipe is to give the same boxes next year."""
    device: Device = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""
    precision: Precision = "auto"
    """What the model multiplies in; auto is bfloat16 on a GPU (float16 where it lacks that), else float32."""

    def problems(self) -> list[str]:
        return local_models.problems_of(self.model, self.model_revision, TYPES)

    def revision(self) -> dict[str, str]:
        return local_models.revision_of(self.model, self.model_revision)

    def needed_weights(self) -> list[Weights]:
        return [checkpoints.weights(self.model, self.model_revision)]

    def _load(self) -> tuple[Detector, str]:
        device = local_models.chosen_device(self.device)
        precision = local_models.chosen_precision(self.precision, device)
        checkpoint = checkpoints.find(self.model, self.model_revision)
        local_models.check_architecture(checkpoint, TYPES)
        model = local_models.load_model(checkpoint, "Sam3Model")
        canvas = local_models.load_part(checkpoint, canvas_of)
        tokenizer = local_models.load_part(checkpoint, _tokenizer)
        return Sam3Detector(model.to(device), canvas, tokenizer, device, precision), checkpoint.label


class Sam3Detector(Detector):
    """Each phrase, of 32 tokens at most, is a prompt of its own; phrases of an image share its features.

    The score of a box is that of its query times that of the phrase being there at all, as in
    `post_process_object_detection` of transformers. `image_processor` is a `Canvas`: the library's own
    wants torchvision.
    """

    image_processor: Canvas

    def __init__(
        self, model: Any, image_processor: Canvas, tokenizer: Any, device: str, precision: str = "float32"
    ) -> None:
        super().__init__(model, image_processor, tokenizer, device, precision)
        if self.half:
            model.detr_decoder.box_head.forward = self._in_full(model.detr_decoder.box_head.forward)
        # A mask for each query would take more memory than all the rest; `segment` makes the few wanted.
        model.mask_decoder.forward = _no_masks
        self._seen: list[tuple[Tensor, Any]] = []

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        return [[phrase] for phrase in phrases]

    def pixels(self, image: "PILImage") -> "Tensor":
        import torch

        return torch.from_numpy(self.image_processor.pixels(image))

    def answer(self, questions: Sequence[DetectorInput]) -> list[Detections]:
        import torch

        limit = self.model.config.text_config.max_position_embeddings
        texts = [phrase for question in questions for phrase in question.phrases]
        encoded = self._tokens(texts, padding="max_length", max_length=limit).to(self.device)
        output = self._run(
            vision_embeds=self._features([question.pixels for question in questions]),
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
        )
        is_there = output.presence_logits.float().sigmoid()
        scores = (output.pred_logits.float().sigmoid() * is_there).cpu()
        x1, y1, x2, y2 = output.pred_boxes.float().cpu().unbind(-1)
        centers = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], dim=-1)
        return [Detections(one[:, None], boxes) for one, boxes in zip(scores, centers, strict=True)]

    def _features(self, pixels: "Sequence[Tensor]") -> Any:
        """What the image encoder makes of each; kept of the call before, for its other phrases."""
        import torch

        seen: list[tuple[Tensor, Any]] = []
        rows = []
        for image in pixels:
            if not any(image is one for one, _ in seen):
                known = [entry for entry in self._seen if entry[0] is image]
                seen.append(known[0] if known else (image, self._encoded(image)))
            rows.append(next(features for one, features in seen if one is image))
        self._seen = seen[-1:]
        return SimpleNamespace(
            fpn_hidden_states=tuple(map(torch.cat, zip(*(row.fpn_hidden_states for row in rows)))),
            fpn_position_encoding=tuple(map(torch.cat, zip(*(row.fpn_position_encoding for row in rows)))),
            hidden_states=None,
            attentions=None,
        )

    def _encoded(self, image: "Tensor") -> Any:
        import torch

        half = torch.autocast(self.device, getattr(torch, self.half or "float32"), bool(self.half))
        with torch.inference_mode(), half:
            return self.model.get_vision_features(pixel_values=image[None].to(self.device))

    def _room_for_phrase(self) -> int:
        return self._room()


def _tokenizer(folder: Path) -> Any:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    local_models.check_tokenizer(tokenizer)
    return tokenizer


def _no_masks(**inputs: Any) -> SimpleNamespace:
    return SimpleNamespace(pred_masks=None, semantic_seg=None, attentions=None)
