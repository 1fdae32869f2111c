"""The zero-shot detectors of the transformers library: which there are, and how one is loaded."""

from pathlib import Path
from typing import Any

from gritmill.pipeline.storage.checkpoints import Checkpoint
from gritmill.schemas.errors import UserError
from gritmill.stages.common.local_models import (
    check_architecture,
    check_tokenizer,
    image_processor,
    load_model,
    load_part,
)
from gritmill.stages.grounders.common.detector import Detector, DetectorClass
from gritmill.stages.grounders.common.token_span import TokenSpanDetector
from gritmill.stages.grounders.transformers.phrase_query import OmDetTurboDetector, OwlDetector

FAMILIES: dict[str, DetectorClass] = {
    "grounding-dino": TokenSpanDetector,
    "mm-grounding-dino": TokenSpanDetector,
    "omdet-turbo": OmDetTurboDetector,
    "owlvit": OwlDetector,
    "owlv2": OwlDetector,
}
"""Which class reads an architecture's output. LLMDet's checkpoints are of type mm-grounding-dino."""


def load(checkpoint: Checkpoint, device: str, precision: str) -> Detector:
    """Model, image processor and tokenizer, ready to answer. Raises `UserError` for a broken checkpoint."""
    check_architecture(checkpoint, FAMILIES)
    model = load_model(checkpoint, "AutoModelForZeroShotObjectDetection")
    images, tokenizer = load_part(checkpoint, image_processor), load_part(checkpoint, _tokenizer)
    if not tokenizer.is_fast:
        raise UserError(f"model {checkpoint.source!r} has a tokenizer without character offsets")
    family = FAMILIES[checkpoint.model_type]
    return family(model.to(device), images, tokenizer, device, precision)


def _tokenizer(folder: Path) -> Any:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    check_tokenizer(tokenizer)
    return tokenizer
