"""What of a model is trained: all of it, some parts, low-rank adapters, new tokens."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Lora, Train
from gritmill.trainer.models.base import Adapter
from gritmill.trainer.models.load import with_room_for


class Parameters(NamedTuple):
    """>>> Parameters(trained=8_257_536, all=1_664_485_376)"""

    trained: int
    all: int


def prepare(model: Any, adapter: Adapter, options: Train) -> Any:
    """The model as it is to be trained, which with `lora` is a `peft` model around it.

    New tokens go to the adapter's tokenizer too. Raises `UserError` for options that contradict one another
    or name what the model does not have.
    """
    new = _add_tokens(model, adapter) if options.new_tokens else []
    if options.lora is not None:
        if "language" in options.freeze and options.lora.targets is None:
            raise UserError("`lora` adapts the language model, and `freeze` holds it; leave one of them out")
        return _with_lora(model, adapter, options.lora, options.freeze, new)
    if new and "language" in options.freeze:
        raise UserError("new tokens are part of the language model, and `freeze` holds it; add `lora`")
    for part in options.freeze:
        _freeze(model, adapter, part)
    if not trainable(model).trained:
        raise UserError("nothing of the model is left to train; take a part out of `freeze`")
    return model


def trainable(model: Any) -> Parameters:
    """How many parameters are trained, and how many there are."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return Parameters(sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes))


def _freeze(model: Any, adapter: Adapter, part: str) -> None:
    found = [p for name, p in model.named_parameters() if name.startswith(adapter.parts[part])]
    if not found:
        raise AssertionError(f"{type(model).__name__} has no parameters under {adapter.parts[part]}")
    for parameter in found:
        parameter.requires_grad_(False)


def _add_tokens(model: Any, adapter: Adapter) -> list[int]:
    """Ids of the dialect's tokens that were missing; each begins as the mean of the tokens there were."""
    import torch
    from tokenizers import AddedToken

    tokenizer, dialect = adapter.processor.tokenizer, adapter.dialect
    if not dialect.tokens():
        raise UserError(
            f"dialect {dialect.name!r} is plain text and has no tokens of its own; leave `new_tokens` out"
        )
    known = len(tokenizer)
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in dialect.tokens() if token not in vocabulary]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in missing])
    with_room_for(tokenizer, model)
    ids: list[int] = tokenizer.convert_tokens_to_ids(missing)
    layers = {id(w): w for w in (m.weight for m in _token_layers(model).values())}
    with torch.no_grad():
        for weight in layers.values():
            weight[ids] = weight[:known].mean(dim=0)
    return ids


def _with_lora(
    model: Any, adapter: Adapter, lora: Lora, frozen: Sequence[str], new_tokens: Sequence[int]
) -> Any:
    from peft import LoraConfig, get_peft_model

    names = [name for name, module in model.named_modules() if hasattr(module, "in_features")]
    targets = _targets(adapter, lora, frozen)
    if not any(re.fullmatch(targets, name) for name in names):
        ends = sorted({name.rpartition(".")[2] for name in names})
        raise UserError(f"no layer is called {lora.targets}; those of this model are {', '.join(ends)}")
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        trainable_token_indices={name: list(new_tokens) for name in _token_layers(model)}
        if new_tokens
        else None,
    )
    return get_peft_model(model, config)


def _targets(adapter: Adapter, lora: Lora, frozen: Sequence[str]) -> str:
    """A regular expression for the names of layers: `peft` takes bare names in all parts of the model."""
    if lora.targets is None:
        inside, names = _any_of(adapter.parts["language"]), adapter.lora_targets
    else:
        held = [prefix for part in frozen for prefix in adapter.parts[part]]
        inside, names = (f"(?!{_any_of(held)})" if held else ""), tuple(lora.targets)
    return rf"{inside}(?:.*\.)?{_any_of(names)}"


def _any_of(names: Sequence[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, names))})"


def _token_layers(model: Any) -> dict[str, Any]:
    """The layers with a row for each token, by name: the embedding, and the head unless it is the same."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    layers = {name: m for name, m in model.named_modules() if m is embedding or m is head}
    if head is not None and head.weight is embedding.weight:
        layers = {name: m for name, m in layers.items() if m is embedding}
    return layers
