"""Which adapter speaks to which family of models."""

from collections.abc import Mapping
from importlib import import_module

from gritmill.schemas.errors import UserError
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
    """The adapter of a family. Raises `UserError` for one that has none."""
    if model_type not in ADAPTERS:
        raise UserError(
            f"models of type {model_type!r} cannot be trained here; those that can are {', '.join(ADAPTERS)}"
        )
    module, name = ADAPTERS[model_type].split(":")
    adapter: type[Adapter] = getattr(import_module(module), name)
    return adapter
