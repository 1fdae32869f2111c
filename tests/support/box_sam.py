"""SAM as ONNX files whose mask is the very box that was asked for: all of the interface, none of the weights.

`like="sam"` is as segment-anything exports it, one box at a time and with two kinds of masks; `like="sam2"`
takes any number of boxes and finer features, and gives three masks of which the second is the best.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
"""Of what the model sees; its masks have a fourth."""

FEATURES = {"sam": ["image_embeddings"], "sam2": ["image_embed", "high_res_feats_0", "high_res_feats_1"]}


def save_sam(folder: Path, like: Literal["sam", "sam2"]) -> dict[str, str]:
    """Writes both files; returns them as options of the segmenter."""
    paths = {"encoder": folder / f"{like}.encoder.onnx", "decoder": folder / f"{like}.decoder.onnx"}
    _save(_encoder(FEATURES[like]), paths["encoder"])
    _save(_decoder(like), paths["decoder"])
    return {option: str(path) for option, path in paths.items()}


def _encoder(features: list[str]) -> onnx.GraphProto:
    image = _tensor("image", [1, 3, SIDE, SIDE])
    # SAM 1's two files need not agree on a name.
    outputs = [_tensor(name if len(features) > 1 else "features", [1, 3, SIDE, SIDE]) for name in features]
    nodes = [helper.make_node("Identity", ["image"], [output.name]) for output in outputs]
    return helper.make_graph(nodes, "encoder", [image], outputs)


def _decoder(like: str) -> onnx.GraphProto:
    boxes = 1 if like == "sam" else "boxes"
    inputs = [_tensor(name, [1, 3, SIDE, SIDE]) for name in FEATURES[like]]
    inputs += [
        _tensor("point_coords", [boxes, "points", 2]),
        _tensor("point_labels", [boxes, "points"]),
        _tensor("mask_input", [boxes, 1, SIDE // 4, SIDE // 4]),
        _tensor("has_mask_input", [1]),
    ]
    if like == "sam":
        inputs.append(_tensor("orig_im_size", [2]))
    middle = (np.arange(SIDE // 4, dtype=np.float32) + 0.5) * 4
    constants = {
        "xs": middle.reshape(1, 1, 1, -1),
        "ys": middle.reshape(1, 1, -1, 1),
        "shape": np.array([-1, 4, 1, 1], np.int64),
        # Corners count only with their labels, 2 for the first and 3 for the second.
        "labels": np.array([[2, 3]], np.float32),
        "punish": np.float32(1000),
        "nothing": np.float32(-0.001),
        "sum_axis": np.array([1], np.int64),
        "label_shape": np.array([-1, 1, 1, 1], np.int64),
        **{f"at{i}": np.array([i], np.int64) for i in range(4)},
    }
    n = helper.make_node
    nodes = [
        n("Reshape", ["point_coords", "shape"], ["corners"]),
        *(n("Gather", ["corners", f"at{i}"], [f"c{i}"], axis=1) for i in range(4)),
        n("Sub", ["xs", "c0"], ["left"]),
        n("Sub", ["c2", "xs"], ["right"]),
        n("Sub", ["ys", "c1"], ["top"]),
        n("Sub", ["c3", "ys"], ["bottom"]),
        n("Min", ["left", "right"], ["across"]),
        n("Min", ["top", "bottom"], ["down"]),
        n("Min", ["across", "down"], ["inside"]),
        n("Sub", ["point_labels", "labels"], ["wrong"]),
        n("Abs", ["wrong"], ["wrong_by"]),
        n("ReduceSum", ["wrong_by", "sum_axis"], ["mislabelled"], keepdims=1),
        n("Mul", ["mislabelled", "punish"], ["fine"]),
        n("Reshape", ["fine", "label_shape"], ["fines"]),
        n("Sub", ["inside", "fines"], ["fair"]),
        n("Mul", ["fair", "nothing"], ["outside"]),
    ]
    scores = np.array([[0.9]] if like == "sam" else [[0.1, 0.8, 0.3]], np.float32)
    constants["scores"] = scores
    if like == "sam":
        nodes += [
            n("Identity", ["fair"], ["low_res_masks"]),
            n("Identity", ["outside"], ["masks"]),  # stretched to the image; not what is wanted
            n("Mul", ["scores", "has_not"], ["iou_predictions"]),
        ]
        constants["one"] = np.float32(1)
        nodes.insert(0, n("Sub", ["one", "has_mask_input"], ["has_not"]))
        outputs = ["masks", "iou_predictions", "low_res_masks"]
    else:
        nodes += [
            n("Concat", ["outside", "fair", "outside"], ["masks"], axis=1),
            n("Mul", ["mislabelled", "zero"], ["zeros"]),
            n("Add", ["zeros", "scores"], ["iou_predictions"]),
        ]
        constants["zero"] = np.float32(0)
        outputs = ["masks", "iou_predictions"]
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    return helper.make_graph(nodes, "decoder", inputs, [_tensor(name, None) for name in outputs], values)


def _tensor(name: str, shape: list[int | str] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
