"""What the segmenters share that run in PyTorch: where they run, in what precision, within what memory."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from gritmill.stages.common import local_models
from gritmill.stages.common.local_models import Device, Halving, Precision
from gritmill.stages.segmenters.base import BOXES_AT_ONCE, Segment
from gritmill.stages.segmenters.canvas import Array


class TorchSegment(Segment):
    """Boxes -> masks, by a model in PyTorch. Where a GPU's memory runs out, fewer boxes are done at once."""

    packages: ClassVar[dict[str, str]] = Segment.packages | {"torch": "grounders"}

    gpus: float | None = Field(default=None, ge=0)

    device: Device = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""
    precision: Precision = "auto"
    """Of the image encoder; auto is half precision on a GPU. Prompts and masks are always float32."""

    _model: Any = PrivateAttr()
    _device: str = PrivateAttr()
    _precision: str = PrivateAttr()
    _answered: Halving = PrivateAttr(default_factory=lambda: Halving(BOXES_AT_ONCE))

    def load(self) -> Any:
        """The model on the CPU, ready to answer; sets canvas and label, too."""
        raise NotImplementedError

    def features(self, pixels: Any) -> Any:
        """[1, 3, side, side] -> a tensor or a list of them."""
        raise NotImplementedError

    def answer(self, encoded: Any, corners: Any) -> tuple[Any, Any]:
        """Features and [boxes, 4] -> [boxes, choices, h, w] and [boxes, choices], as `decode` has them."""
        raise NotImplementedError

    def setup(self) -> None:
        import torch

        # No more threads than cores held, or workers that share cores wait for each other.
        torch.set_num_threads(max(1, int(self.cpus)))
        self._device = local_models.chosen_device(self.device)
        self._precision = local_models.chosen_precision(self.precision, self._device)
        self._model = self.load().to(self._device)

    def encode(self, pixels: Array) -> Any:
        import torch

        dtype = getattr(torch, self._precision)
        given = torch.from_numpy(pixels)[None].to(self._device)
        with torch.inference_mode(), torch.autocast(self._device, dtype, dtype != torch.float32):
            found = self.features(given)
        return [one.float() for one in found] if isinstance(found, (list, tuple)) else found.float()

    def decode(self, encoded: Any, corners: Array) -> tuple[Array, Array]:
        import torch

        def answer(some: Any) -> list[tuple[Array, Array]]:
            with torch.inference_mode():
                masks, scores = self.answer(encoded, torch.from_numpy(np.stack(some)).to(self._device))
            return list(zip(masks.cpu().numpy(), scores.cpu().numpy(), strict=True))

        logits, scores = zip(*self._answered(answer, list(corners)), strict=True)
        return np.stack(logits), np.stack(scores)
