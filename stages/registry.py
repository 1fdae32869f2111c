"""Which class a name in a recipe stands for. A plain table; nothing is imported until asked for."""

from collections.abc import Mapping
from typing import Any

from gritmill.schemas.entry_points import all_given
from gritmill.schemas.errors import UserError
from gritmill.schemas.tables import load, settings, suggestion, target_of
from gritmill.stages.base import Stage

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
    """The class for a stage of a recipe, or the one that an option chooses: `ground: {grounder: onnx}`.

    Both may be names of entry points, or `package.module:Class`. Raises `UserError` for a name that is not
    known.
    """
    if name in VARIANTS:
        return _variant(name, options)
    target = name if ":" in name else target_of(name, STAGES, Stage)
    if target is None:
        raise UserError(f"there is no stage {name!r}{suggestion(name, [*STAGES, *VARIANTS, *all_given()])}")
    return load(target, Stage)


def stage_options(cls: type[Stage], name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for the class that `stage_class` gave."""
    if name not in VARIANTS:
        return dict(options)
    field, choices = VARIANTS[name]
    return settings(cls, field, choices, options)


def _variant(name: str, options: Mapping[str, Any]) -> type[Stage]:
    field, choices = VARIANTS[name]
    choice = options.get(field)
    target = None
    if isinstance(choice, str):
        target = choice if ":" in choice else target_of(choice, choices, Stage)
    if target is None:
        given = "is missing" if choice is None else f"{choice!r} is not known"
        raise UserError(f"{name}: option {field} {given}; choose one of: {', '.join(choices)}")
    cls = load(target, Stage)
    if field not in cls.model_fields:
        raise UserError(
            f"{name}: {choice!r} has no option {field}; write it as `{target}: {{...}}` in place of {name}"
        )
    return cls


def all_stages() -> dict[str, type[Stage]]:
    """Every stage of ours by the name a recipe gives it, variants as `ground (annotations)`."""
    classes = {name: load(target, Stage) for name, target in STAGES.items()}
    for name, (_, choices) in VARIANTS.items():
        classes |= {f"{name} ({choice})": load(target, Stage) for choice, target in choices.items()}
    return classes
