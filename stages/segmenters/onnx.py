"""Masks from SAM or SAM 2 as two ONNX files, an encoder for the image and a decoder for the boxes."""

import hashlib
from typing import Any, Literal

import numpy as np
from pydantic import PrivateAttr

from gritmill.schemas.errors import UserError
from gritmill.schemas.weights import Weights
from gritmill.stages.common.onnx_files import Device, session, versions
from gritmill.stages.common.weight_files import Sha256, WeightFile
from gritmill.stages.segmenters.base import Segment
from gritmill.stages.segmenters.canvas import Array, Canvas

CORNERS = (2.0, 3.0)
"""Labels by which a prompt says that its points are the corners of a box."""
PROMPTS = {"point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"}
"""Inputs of a decoder beside what the encoder says of the image."""
LOGITS = "low_res_masks"
"""Masks before they are stretched to the image, where a decoder gives both."""


class OnnxSegmenter(Segment):
    """Boxes -> masks, by SAM or SAM 2 exported to ONNX; small ones are quick enough without a GPU.

    Box(.1, .2, .5, .9) -> Mask(426, 640, "PXZ8...", 0.97, "sam2_hiera_tiny.encoder.onnx@86cde3b2c1f0")

    Decoders are read that take prompts as segment-anything's own export does (`point_coords`,
    `point_labels`), which those of SAM 2 follow: the encoder is asked for whatever else the decoder wants.
    Where a decoder gives several masks for a box, the one of the highest predicted IoU is taken.
    """

    packages = {"onnxruntime": "onnx", "pycocotools": "masks"}

    segmenter: Literal["onnx"] = "onnx"
    """What makes the masks."""
    encoder: str
    """ONNX file: an image [1, 3, side, side], normalised with ImageNet's mean and deviation -> features."""
    encoder_sha256: Sha256 | None = None
    """Digest that the encoder's file must have; null takes it as it is."""
    decoder: str
    """ONNX file: features and prompts -> masks and predicted IoU."""
    decoder_sha256: Sha256 | None = None
    """Digest that the decoder's file must have. The first digits of one made of both are in `model` of every
    mask."""
    device: Device = "auto"
    """Where the model runs; auto takes a GPU if onnxruntime has one. `cuda` needs gpus: 1."""

    _encoder: Any = PrivateAttr()
    _decoder: Any = PrivateAttr()

    def problems(self) -> list[str]:
        try:
            self._both()
        except UserError as error:
            return [str(error)]
        return []

    def revision(self) -> dict[str, str]:
        try:
            return {"model": self._both(), **versions("onnxruntime", "pillow")}
        except UserError:  # `problems` says so
            return {}

    def needed_weights(self) -> list[Weights]:
        return [file.weights() for file in self._files]

    def setup(self) -> None:
        self._label = self._both()
        self._encoder, self._decoder = (session(file, self.device, self.cpus) for file in self._files)
        side = self._side()
        self._check_decoder()
        # Only SAM 2 hands finer features on to its decoder; it stretches images, SAM pads them.
        self._canvas = Canvas(side, stretch=len(self._wanted() - PROMPTS) > 1)

    def encode(self, pixels: Array) -> dict[str, Array]:
        names = [output.name for output in self._encoder.get_outputs()]
        [given] = self._encoder.get_inputs()
        found = dict(zip(names, self._encoder.run(None, {given.name: pixels[None]}), strict=True))
        wanted = self._wanted() - PROMPTS
        if len(wanted) == len(found) == 1:  # then they need not agree on its name
            found = dict(zip(wanted, found.values(), strict=True))
        return {name: found[name] for name in wanted}

    def decode(self, encoded: dict[str, Array], corners: Array) -> tuple[Array, Array]:
        step = self._boxes_at_once() or len(corners)
        found = [self._decode(encoded, corners[i : i + step]) for i in range(0, len(corners), step)]
        logits, scores = zip(*found, strict=True)
        return np.concatenate(logits), np.concatenate(scores)

    def _decode(self, encoded: dict[str, Array], corners: Array) -> list[Array]:
        boxes = len(corners)
        prompts = {
            "point_coords": corners.reshape(boxes, 2, 2),
            "point_labels": np.tile(np.array(CORNERS, np.float32), (boxes, 1)),
            "mask_input": np.zeros((boxes, *map(int, self._shape("mask_input")[1:])), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            # The whole canvas: cutting the image out of it is our own affair.
            "orig_im_size": np.array([self._canvas.side] * 2, np.float32),
        }
        asked = {name: value for name, value in prompts.items() if name in self._wanted()}
        given = [output.name for output in self._decoder.get_outputs()]
        masks = LOGITS if LOGITS in given else "masks"
        return self._decoder.run([masks, "iou_predictions"], encoded | asked)

    @property
    def _files(self) -> tuple[WeightFile, WeightFile]:
        encoder = "the ONNX file of a SAM encoder", self.encoder_sha256, "encoder_sha256"
        decoder = "the ONNX file of a SAM decoder", self.decoder_sha256, "decoder_sha256"
        return WeightFile("encoder", self.encoder, *encoder), WeightFile("decoder", self.decoder, *decoder)

    def _both(self) -> str:
        """`sam2_hiera_tiny.encoder.onnx@86cde3b2c1f0`: name of the first, digest of both."""
        encoder, decoder = self._files
        digest = hashlib.sha256((encoder.digest() + decoder.digest()).encode()).hexdigest()
        return f"{encoder.path().name}@{digest[:12]}"

    def _side(self) -> int:
        shapes = [given.shape for given in self._encoder.get_inputs()]
        if len(shapes) == 1 and len(shapes[0]) == 4:
            _, channels, height, width = shapes[0]
            if channels == 3 and height == width and isinstance(height, int):
                return height
        raise UserError(f"encoder {self.encoder!r} takes {shapes}, not one square image [1, 3, side, side]")

    def _check_decoder(self) -> None:
        wanted = self._wanted()
        given = {output.name for output in self._decoder.get_outputs()}
        if not {"point_coords", "point_labels"} <= wanted or not {"masks", "iou_predictions"} <= given:
            raise UserError(
                f"decoder {self.decoder!r} takes {', '.join(sorted(wanted))} and gives "
                f"{', '.join(sorted(given))}; it should take point_coords and point_labels and give masks "
                "and iou_predictions, as segment-anything exports it"
            )
        features = {output.name for output in self._encoder.get_outputs()}
        missing = sorted(wanted - PROMPTS - features)
        if missing and not len(wanted - PROMPTS) == len(features) == 1:
            raise UserError(
                f"decoder {self.decoder!r} wants {', '.join(missing)}, which the encoder does not give; "
                "take both files from one export"
            )

    def _wanted(self) -> set[str]:
        return {given.name for given in self._decoder.get_inputs()}

    def _shape(self, name: str) -> list[int | str]:
        return {given.name: given.shape for given in self._decoder.get_inputs()}.get(name, [])

    def _boxes_at_once(self) -> int | None:
        """What a decoder of a fixed batch takes, such as the one of segment-anything; None for any."""
        [boxes, *_] = self._shape("point_coords")
        return boxes if isinstance(boxes, int) else None
