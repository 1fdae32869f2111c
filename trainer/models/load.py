"""From the name of a checkpoint to a model and the adapter that speaks to it."""

from pathlib import Path
from typing import Any, NamedTuple

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.errors import UserError
from gritmill.trainer import provenance
from gritmill.trainer.models.base import Adapter
from gritmill.trainer.models.registry import family_adapter

LORA = "adapter_config.json"
"""The file that tells a folder of low-rank adapters from one of a whole model."""


class Loaded(NamedTuple):
    """A model, how to speak to it, and which one it is."""

    model: Any
    """A `transformers` model in evaluation mode, on the CPU."""
    adapter: Adapter
    name: str
    """`microsoft/kosmos-2-patch14-224@e91cfbcb4ce0`, or a folder's name and a digest of its content."""


def load(
    model: str,
    revision: str | None = None,
    dialect: str | None = None,
    max_length: int = 2048,
    dtype: str = "float32",
    family: str | None = None,
) -> Loaded:
    """A checkpoint of the Hub, of a folder, or of our own training, low-rank adapters included.

    Those are merged into the model that they were trained on. `dialect` is a name of `DIALECTS`; left out,
    what the checkpoint was trained with here, else its family's own. `family` is who speaks to it, see
    `family_adapter`. Weights are read from safetensors
    alone, and code of a checkpoint is never run. Raises `UserError` for a checkpoint that is not there,
    cannot be had, is of a family without adapter, or lacks weights.
    """
    folder = Path(model).expanduser()
    if (folder / LORA).is_file():
        return _with_lora(folder, dialect, max_length, dtype, family)
    checkpoint = checkpoints.find(model, revision)
    spoken = family_adapter(family, checkpoint.model_type)
    files = checkpoints.fetch(checkpoint)
    weights = spoken.mended(_weights(files, checkpoint, dtype))
    adapter = _adapter(spoken, files, dialect, max_length)
    for part in weights.modules():
        if hasattr(part, "generation_config"):  # of Kosmos-2, the decoder generates
            part.generation_config.eos_token_id = sorted(adapter.ends)
            part.generation_config.pad_token_id = adapter.processor.tokenizer.pad_token_id
    return Loaded(weights, adapter, checkpoint.label)


def _with_lora(folder: Path, dialect: str | None, max_length: int, dtype: str, family: str | None) -> Loaded:
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(str(folder))
    base = load(config.base_model_name_or_path, config.revision, dialect, max_length, dtype, family)
    adapter = _adapter(type(base.adapter), folder, dialect, max_length)
    with_room_for(adapter.processor.tokenizer, base.model)
    merged = PeftModel.from_pretrained(base.model, str(folder)).merge_and_unload()
    return Loaded(merged.eval(), adapter, f"{folder.resolve().name} on {base.name}")


def _adapter(family: type[Adapter], folder: Path, dialect: str | None, max_length: int) -> Adapter:
    made = provenance.read(folder)
    name = dialect or (made["dialect"] if made else family.default_dialect)
    if dialect is None and ":" in name:  # nothing is imported because a checkpoint says so
        raise UserError(
            f"{folder} was trained in the dialect {name!r}, which is not ours; say it: dialect: {name}"
        )
    if name not in DIALECTS:
        raise UserError(f"there is no dialect {name!r}; `pipeline dialects` lists them")
    try:
        # Pillow on every machine: torchvision's resizing gives other tensors.
        processor = family.load_processor(str(folder), backend="pil")
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(f"the processor in {str(folder)!r} cannot be used: {_one_line(error)}") from error
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return family(processor, DIALECTS[name], max_length)


def _weights(files: Path, checkpoint: checkpoints.Checkpoint, dtype: str) -> Any:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    try:
        model, found = AutoModelForImageTextToText.from_pretrained(
            str(files),
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"weights of {checkpoint.source!r} cannot be used: {_one_line(error)}") from error
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"{checkpoint.source!r} lacks {len(missing)} of its model's weights, such as {missing[0]}; "
            "give a checkpoint that is whole"
        )
    model.name_or_path = checkpoint.source  # what a low-rank adapter says it belongs to
    return model.eval()


def with_room_for(tokenizer: Any, model: Any) -> None:
    """Gives the model an embedding for every token. Published models often have more, never fewer."""
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
