"""Which class a name in a recipe stands for. A plain table; nothing is imported until asked for."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

from gritmill.schemas.errors import UserError
from gritmill.stages.base import Stage

T = TypeVar("T")

STAGES: dict[str, str] = {
    "image_check": "gritmill.stages.image_check:ImageCheck",
    "caption_check": "gritmill.stages.caption_check:CaptionCheck",
    "contamination": "gritmill.stages.contamination.stage:Contamination",
    "image_quality": "gritmill.stages.filters.image_quality:ImageQuality",
    "text_area": "gritmill.stages.filters.text_area:TextArea",
    "nudenet": "gritmill.stages.filters.nudenet:NudeNet",
    "image_text_similarity": "gritmill.stages.filters.image_text_similarity:ImageTextSimilarity",
    "licence": "gritmill.stages.filters.licence:Licence",
    "opt_out": "gritmill.stages.filters.opt_out:OptOut",
    "language": "gritmill.stages.filters.language:Language",
    "profanity": "gritmill.stages.filters.profanity:Profanity",
    "personal_data": "gritmill.stages.filters.personal_data:PersonalData",
    "balance_origins": "gritmill.stages.balance_origins:BalanceOrigins",
    "noun_chunks": "gritmill.stages.noun_chunks:NounChunks",
    "concept_balance": "gritmill.stages.concept_balance:ConceptBalance",
    "caption_conversations": "gritmill.stages.caption_conversations:CaptionConversations",
    "select_boxes": "gritmill.stages.select_boxes:SelectBoxes",
    "referring_expressions": "gritmill.stages.referring_expressions:ReferringExpressions",
    "verify_boxes": "gritmill.stages.verification.verify_boxes:VerifyBoxes",
    "tasks": "gritmill.stages.tasks:Tasks",
    "reply_check": "gritmill.stages.replies.reply_check:ReplyCheck",
    "parse_replies": "gritmill.stages.replies.parse_replies:ParseReplies",
}

VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "context": (
        "boxes",
        {
            "none": "gritmill.stages.context:CaptionContext",
            "annotations": "gritmill.stages.context:AnnotationContext",
            "grounded": "gritmill.stages.context:GroundedContext",
        },
    ),
    "deduplicate_captions": (
        "by",
        {
            "exact": "gritmill.stages.dedup.captions:ExactCaptions",
            "minhash": "gritmill.stages.dedup.captions:MinHashCaptions",
        },
    ),
    "deduplicate_images": (
        "by",
        {
            "exact": "gritmill.stages.dedup.images:ExactImages",
            "perceptual": "gritmill.stages.dedup.images:PerceptualImages",
            "embedding": "gritmill.stages.dedup.images:EmbeddingImages",
        },
    ),
    "generate": (
        "backend",
        {
            "openai": "gritmill.stages.generation.backends.openai:OpenAIGenerate",
            "batch": "gritmill.stages.generation.backends.batch:BatchGenerate",
            "transformers": "gritmill.stages.generation.backends.transformers:TransformersGenerate",
            "echo": "gritmill.stages.generation.backends.echo:EchoGenerate",
        },
    ),
    "ground": (
        "grounder",
        {
            "annotations": "gritmill.stages.grounders.annotations:AnnotationGrounder",
            "ensemble": "gritmill.stages.grounders.ensemble.grounder:EnsembleGrounder",
            "groundingdino": "gritmill.stages.grounders.groundingdino.grounder:GroundingDinoGrounder",
            "glip": "gritmill.stages.grounders.glip.grounder:GlipGrounder",
            "onnx": "gritmill.stages.grounders.onnx.grounder:OnnxGrounder",
            "sam3": "gritmill.stages.grounders.sam3:Sam3Grounder",
            "transformers": "gritmill.stages.grounders.transformers.grounder:TransformersGrounder",
            "generative": "gritmill.stages.grounders.generative.grounder:GenerativeGrounder",
        },
    ),
    "image_score": (
        "score",
        {
            "aesthetic": "gritmill.stages.filters.image_score:Aesthetic",
            "nsfw": "gritmill.stages.filters.image_score:Nsfw",
            "watermark": "gritmill.stages.filters.image_score:Watermark",
        },
    ),
    "segment": (
        "segmenter",
        {
            "transformers": "gritmill.stages.segmenters.transformers:TransformersSegmenter",
            "segment_anything": "gritmill.stages.segmenters.segment_anything:SegmentAnythingSegmenter",
            "onnx": "gritmill.stages.segmenters.onnx:OnnxSegmenter",
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
