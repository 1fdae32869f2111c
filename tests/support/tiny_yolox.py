"""Tiny ONNX files with the inputs and outputs of YOLOX, whose every anchor a test has written down."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.float32]
Written = tuple[int, Sequence[float]]

SIDE = 64
ANCHORS = 84
"""8 x 8 cells of stride 8, 4 x 4 of stride 16, 2 x 2 of stride 32."""


def raw_anchors(classes: int, *written: Written) -> Array:
    """[anchors, 5 + classes] of zeros but for those written: (anchor, its numbers)."""
    output = np.zeros((ANCHORS, 5 + classes), np.float32)
    for anchor, numbers in written:
        output[anchor] = numbers
    return output


def decoded_anchors(classes: int, *written: Written) -> Array:
    """The same with boxes in pixels: those not written lie on their cells."""
    output = np.zeros((ANCHORS, 5 + classes), np.float32)
    anchor = 0
    for stride in (8, 16, 32):
        for y in range(SIDE // stride):
            for x in range(SIDE // stride):
                output[anchor, :2] = (x + 0.5) * stride, (y + 0.5) * stride
                anchor += 1
    for anchor, numbers in written:
        output[anchor] = numbers
    return output


def save_yolox(
    path: Path,
    output: Array,
    batch: int | str = "N",
    sees: Array | None = None,
    shape: list[int | str] | None = None,
    half: bool = False,
) -> Path:
    """A model that says `output` of every image, plus `sees` times the image's mean colour (0..1)."""
    dtype: type[np.floating[Any]]
    dtype, kind = (np.float16, TensorProto.FLOAT16) if half else (np.float32, TensorProto.FLOAT)
    sees = np.zeros_like(output) if sees is None else sees
    constants = {
        "output_": output[None].astype(dtype),
        "sees": (sees[None] / 255).astype(dtype),
        "flat": np.array([-1, 1, 1], np.int64),
        "axes": np.array([1, 2, 3], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=1),
        helper.make_node("Reshape", ["mean", "flat"], ["colour"]),
        helper.make_node("Mul", ["colour", "sees"], ["seen"]),
        helper.make_node("Add", ["seen", "output_"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", kind, shape or [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", kind, [batch, *output.shape])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(path))
    return path
