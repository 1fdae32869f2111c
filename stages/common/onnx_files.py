"""Models in ONNX files, on the CPU or a GPU."""

import importlib.metadata
from typing import Any, Literal

from gritmill.schemas.errors import UserError
from gritmill.stages.common.weight_files import WeightFile

Device = Literal["auto", "cpu", "cuda"]

GPU = "CUDAExecutionProvider"
WANTED = "the path of an ONNX file"


def session(file: WeightFile, device: Device, cpus: float) -> Any:
    """The model, ready to run. Raises `UserError` where it cannot be loaded or the device is not there."""
    import onnxruntime as ort

    gpu = [GPU] if device != "cpu" and GPU in ort.get_available_providers() else []
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, int(cpus))
    options.log_severity_level = 4  # what goes wrong is raised; its log would only repeat it
    content = file.read()
    try:
        # From the bytes that were hashed. So it cannot read other files that the model may name, either.
        made = ort.InferenceSession(content, options, providers=[*gpu, "CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no class in common
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{file} cannot be loaded by onnxruntime, {reason}; give a whole ONNX file"
        ) from error
    if device == "cuda" and GPU not in made.get_providers():
        raise UserError(
            "device is cuda, but onnxruntime has no CUDA here; pip install onnxruntime-gpu in place of "
            "onnxruntime, see that the worker has a GPU, or set device: auto"
        )
    return made


def versions(*libraries: str) -> dict[str, str]:
    """The installed versions of some libraries, for `Stage.revision`; those that are missing left out."""
    installed = {}
    for library in libraries:
        try:
            installed[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:  # `packages` says so
            continue
    return installed
