"""The zero-shot detectors of the transformers library: which there are, and how one is loaded."""

from pathlib import Path
from typing import Any

from schemas.checkpoints import Checkpoint
from schemas.errors import UserError
from stages.grounders.detector import Detector, DetectorClass
from stages.grounders.phrase_query import OmDetTurboDetector, OwlDetector
from stages.grounders.token_span import TokenSpanDetector
from stages.local_models import check_architecture, check_tokenizer, image_processor, load_model, load_part

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
