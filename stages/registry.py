"""Which class a name in a recipe stands for. A plain table; nothing is imported until asked for."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

from schemas.errors import UserError
from stages.base import Stage

T = TypeVar("T")

STAGES: dict[str, str] = {
    "image_check": "stages.image_check:ImageCheck",
    "caption_check": "stages.caption_check:CaptionCheck",
    "contamination": "stages.contamination.stage:Contamination",
    "image_quality": "stages.filters.image_quality:ImageQuality",
    "text_area": "stages.filters.text_area:TextArea",
    "nudenet": "stages.filters.nudenet:NudeNet",
    "image_text_similarity": "stages.filters.image_text_similarity:ImageTextSimilarity",
    "licence": "stages.filters.licence:Licence",
    "opt_out": "stages.filters.opt_out:OptOut",
    "language": "stages.filters.language:Language",
    "profanity": "stages.filters.profanity:Profanity",
    "personal_data": "stages.filters.personal_data:PersonalData",
    "balance_origins": "stages.balance_origins:BalanceOrigins",
    "noun_chunks": "stages.noun_chunks:NounChunks",
    "concept_balance": "stages.concept_balance:ConceptBalance",
    "caption_conversations": "stages.caption_conversations:CaptionConversations",
    "select_boxes": "stages.select_boxes:SelectBoxes",
    "referring_expressions": "stages.referring_expressions:ReferringExpressions",
    "verify_boxes": "stages.verify_boxes:VerifyBoxes",
    "tasks": "stages.tasks:Tasks",
    "reply_check": "stages.reply_check:ReplyCheck",
    "parse_replies": "stages.parse_replies:ParseReplies",
}

VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "context": (
        "boxes",
        {
            "none": "stages.context:CaptionContext",
            "annotations": "stages.context:AnnotationContext",
            "grounded": "stages.context:GroundedContext",
        },
    ),
    "deduplicate_captions": (
        "by",
        {
            "exact": "stages.dedup.captions:ExactCaptions",
            "minhash": "stages.dedup.captions:MinHashCaptions",
        },
    ),
    "deduplicate_images": (
        "by",
        {
            "exact": "stages.dedup.images:ExactImages",
            "perceptual": "stages.dedup.images:PerceptualImages",
            "embedding": "stages.dedup.images:EmbeddingImages",
        },
    ),
    "generate": (
        "backend",
        {
            "openai": "stages.generation.backends.openai:OpenAIGenerate",
            "batch": "stages.generation.backends.batch:BatchGenerate",
            "transformers": "stages.generation.backends.transformers:TransformersGenerate",
            "echo": "stages.generation.backends.echo:EchoGenerate",
        },
    ),
    "ground": (
        "grounder",
        {
            "annotations": "stages.grounders.annotations:AnnotationGrounder",
            "ensemble": "stages.grounders.ensemble:EnsembleGrounder",
            "groundingdino": "stages.grounders.groundingdino.grounder:GroundingDinoGrounder",
            "glip": "stages.grounders.glip.grounder:GlipGrounder",
            "onnx": "stages.grounders.onnx:OnnxGrounder",
            "sam3": "stages.grounders.sam3:Sam3Grounder",
            "transformers": "stages.grounders.transformers:TransformersGrounder",
            "generative": "stages.grounders.generative:GenerativeGrounder",
        },
    ),
    "image_score": (
        "score",
        {
            "aesthetic": "stages.filters.image_score:Aesthetic",
            "nsfw": "stages.filters.image_score:Nsfw",
            "watermark": "stages.filters.image_score:Watermark",
        },
    ),
    "segment": (
        "segmenter",
        {
            "transformers": "stages.segmenters.transformers:TransformersSegmenter",
            "segment_anything": "stages.segmenters.segment_anything:SegmentAnythingSegmenter",
            "onnx": "stages.segmenters.onnx:OnnxSegmenter",
        },
    ),
}
"""Stages whose class is chosen by one of their options: `ground: {grounder: annotations}`."""


def stage_class(name: str, options: Mapping[str, Any]) -> type[Stage]:
    """The class for a stage of a recipe; `package.module:Class` names one that is not ours.

    Raises `UserError` for a name that is not known.
    """
    if name in STAGES:
        return load(STAGES[name], Stage)
    if name in VARIANTS:
        field, choices = VARIANTS[name]
        choice = options.get(field)
        if isinstance(choice, str) and ":" in choice:
            raise UserError(
                f"{name}: option {field} chooses among ours; write one of your own as "
                f"`{choice}: {{...}}` in place of {name}"
            )
        if not isinstance(choice, str) or choice not in choices:
            given = "is missing" if choice is None else f"{choice!r} is not known"
            raise UserError(f"{name}: option {field} {given}; choose one of: {', '.join(choices)}")
        return load(choices[choice], Stage)
    if ":" in name:
        return load(name, Stage)
    raise UserError(f"there is no stage {name!r}{suggestion(name, [*STAGES, *VARIANTS])}")


def all_stages() -> dict[str, type[Stage]]:
    """Every stage of ours by the name a recipe gives it, variants as `ground (annotations)`."""
    classes = {name: load(target, Stage) for name, target in STAGES.items()}
    for name, (_, choices) in VARIANTS.items():
        classes |= {f"{name} ({choice})": load(target, Stage) for choice, target in choices.items()}
    return classes


def load(target: str, base: type[T]) -> type[T]:
    """`"package.module:Class"` -> the class. Raises `UserError` where there is none that builds on `base`."""
    module, _, name = target.partition(":")
    if not all(word.isidentifier() for word in [*module.split("."), name]):
        raise UserError(f"{target!r} names no class; write it as package.module:Class")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        missing = getattr(error, "name", None)
        if isinstance(error, ModuleNotFoundError) and missing and not module.startswith(missing):
            raise
        raise UserError(f"{target!r} cannot be imported: {error}") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise UserError(
            f"{target!r} is no {base.__name__.lower()}; name a class that builds on {base.__name__}"
        )
    return found


def suggestion(word: str, known: list[str]) -> str:
    """A tail for a message: `; did you mean 'ground'?`, or the whole list if nothing is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
