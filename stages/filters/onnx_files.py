"""Models in ONNX files that filters ask: found and loaded, on the CPU or a GPU."""

import importlib.metadata
import os
from pathlib import Path
from typing import Any, Literal

from schemas.errors import UserError

Device = Literal["auto", "cpu", "cuda"]

GPU = "CUDAExecutionProvider"


def found(model: str) -> Path:
    """The file of a model. Raises `UserError` if it is none."""
    path = Path(model).expanduser()
    if not path.is_file() or not os.access(path, os.R_OK):
        raise UserError(f"model {model!r} is no file that can be read; give the path of an ONNX file")
    return path


def session(path: Path, device: Device, cpus: float) -> Any:
    """The model, ready to run. Raises `UserError` where it cannot be loaded or the device is not there."""
    import onnxruntime as ort

    gpu = [GPU] if device != "cpu" and GPU in ort.get_available_providers() else []
    if device == "cuda" and not gpu:
        raise UserError("device is cuda, but onnxruntime has none here; install onnxruntime-gpu, or set auto")
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, int(cpus))
    options.log_severity_level = 4  # what goes wrong is raised; its log would only repeat it
    try:
        # From its bytes, so that it cannot read other files that the model may name.
        return ort.InferenceSession(path.read_bytes(), options, providers=[*gpu, "CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no class in common
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"model {path.name!r} cannot be loaded: {reason}; give a whole ONNX file") from error


def versions(*libraries: str) -> dict[str, str]:
    """The installed versions of some libraries, for `Stage.revision`; those that are missing left out."""
    installed = {}
    for library in libraries:
        try:
            installed[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:  # `packages` says so
            continue
    return installed
