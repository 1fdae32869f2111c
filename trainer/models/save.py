"""A trained model as a folder that `load`, and `transformers` itself, can read."""

from pathlib import Path
from typing import Any

from gritmill.trainer.models.base import Adapter

LORA_FOLDER = "adapter"


def save(model: Any, adapter: Adapter, folder: Path) -> Any:
    """Writes model and processor; gives back the model that `load(folder)` would.

    Low-rank adapters go into `adapter/`; beside them lies the model that they are merged into, and `model`
    itself is merged by that.

        out.model/config.json  model.safetensors  tokenizer.json  processor_config.json  ...
        out.model/adapter/adapter_config.json  adapter_model.safetensors  tokenizer.json  ...
    """
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(model, "merge_and_unload"):
        model.save_pretrained(folder / LORA_FOLDER, save_embedding_layers=False)
        adapter.processor.save_pretrained(folder / LORA_FOLDER)
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    adapter.processor.save_pretrained(folder)
    return model
