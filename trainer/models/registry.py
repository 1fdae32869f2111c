"""Which adapter speaks to which family of models."""

from collections.abc import Mapping

from gritmill.schemas.errors import UserError
from gritmill.schemas.tables import load, target_of
from gritmill.trainer.models.base import Adapter

ADAPTERS: Mapping[str, str] = {
    "florence2": "gritmill.trainer.models.florence2:Florence2Adapter",
    "idefics3": "gritmill.trainer.models.smolvlm:Idefics3Adapter",
    "kosmos-2": "gritmill.trainer.models.kosmos2:Kosmos2Adapter",
    "llava": "gritmill.trainer.models.llava:LlavaAdapter",
    "paligemma": "gritmill.trainer.models.paligemma:PaliGemmaAdapter",
    "qwen2_5_vl": "gritmill.trainer.models.qwen:Qwen25VLAdapter",
    "qwen2_vl": "gritmill.trainer.models.qwen:Qwen2VLAdapter",
    "qwen3_vl": "gritmill.trainer.models.qwen:Qwen3VLAdapter",
    "smolvlm": "gritmill.trainer.models.smolvlm:SmolVLMAdapter",
}
"""`model_type` of a checkpoint's config.json -> its adapter's module and class."""


def adapter_for(model_type: str) -> type[Adapter]:
    """The adapter of a family: ours, or an entry point's. Raises `UserError` for one that has none.

    A checkpoint says its family, so that nothing is imported that it could name.
    """
    target = target_of(model_type, ADAPTERS, Adapter)
    if target is None:
        raise UserError(
            f"models of type {model_type!r} cannot be trained here; those that can are "
            f"{', '.join(ADAPTERS)}. An adapter of your own is named as family: package.module:Class"
        )
    return load(target, Adapter)  # type: ignore[type-abstract]


def family_adapter(family: str | None, model_type: str) -> type[Adapter]:
    """The adapter that a recipe names, a `model_type` or `package.module:Class`, or else the model's."""
    if family is not None and ":" in family:
        return load(family, Adapter)  # type: ignore[type-abstract]
    return adapter_for(family or model_type)
