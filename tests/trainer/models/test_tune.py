"""Parts that stay, low-rank adapters, new tokens, and what is saved of them."""

from typing import Any

import pytest
import tiny_vlms
from scene_questions import example, learn, say, scenes

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Lora, Train
from gritmill.trainer.models.load import load
from gritmill.trainer.models.save import save
from gritmill.trainer.models.tune import prepare, trainable
from gritmill.trainer.presets import fill

LORA = ("llava", "kosmos2", "paligemma", "smolvlm")


def options(**chosen) -> Train:
    return Train(model="here", **chosen)


def weights(model) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def moved(before, after) -> set[str]:
    return {name for name, value in after.items() if not value.equal(before[name])}


def part_of(name, adapter) -> str:
    [part] = [part for part, prefixes in adapter.parts.items() if name.startswith(prefixes)]
    return part


def test_all_of_a_model_is_trained_unless_said_otherwise(loaded):
    model, adapter, _ = loaded
    prepare(model, adapter, options())
    count = sum(p.numel() for p in model.parameters())
    assert trainable(model) == (count, count)


@pytest.mark.parametrize("frozen", [["vision"], ["language"], ["vision", "connector"]])
def test_frozen_parts_do_not_move_and_all_others_can(loaded, frozen):
    model, adapter, _ = loaded
    prepare(model, adapter, options(freeze=frozen))
    before = weights(model)
    learn(model, adapter, [example(s) for s in scenes(2)], steps=2, rate=1e-2)
    parts = {part_of(name, adapter) for name in moved(before, weights(model))}
    assert parts == {"vision", "connector", "language"} - set(frozen)


@pytest.mark.parametrize(
    "preset",
    ["llava_instruct", "llava15_instruct", "llavar_instruct", "ferret", "sharegpt4v_instruct", "shikra"],
)
def test_presets_train_no_part_that_their_papers_freeze(checkpoints, preset):
    model, adapter, _ = load(str(checkpoints["llava"]))
    prepare(model, adapter, fill(options(preset=preset)).options)
    before = weights(model)
    learn(model, adapter, [example(s) for s in scenes(2)], steps=2, rate=1e-2)
    parts = {part_of(name, adapter) for name in moved(before, weights(model))}
    assert parts == {"connector", "language"}


@pytest.mark.parametrize("family", LORA)
def test_merged_and_saved_adapters_answer_as_before(checkpoints, tmp_path, family):
    import torch

    model, adapter, _ = load(str(checkpoints[family]))
    before = weights(model)
    tuned = prepare(model, adapter, options(lora=Lora(rank=4, alpha=16)))
    shown = scenes(2)
    examples = [example(scene) for scene in shown]
    learn(tuned, adapter, examples, steps=15, rate=2e-2)
    changed = {n.replace("base_model.model.", "").replace(".base_layer", "") for n, p in
               tuned.named_parameters() if p.requires_grad}  # fmt: skip
    assert changed and all("lora_" in name and part_of(name, adapter) == "language" for name in changed)
    tensors = adapter.train_batch(examples).tensors
    with torch.no_grad():
        logits = tuned(**tensors).logits
    said = say(tuned, adapter, shown)
    save(tuned, adapter, tmp_path / "model")
    for folder in (tmp_path / "model", tmp_path / "model" / "adapter"):
        again, its_adapter, _ = load(str(folder))
        with torch.no_grad():
            torch.testing.assert_close(again(**tensors).logits, logits, rtol=1e-4, atol=1e-4)
        assert say(again, its_adapter, shown) == said
        assert type(again) is type(model)
        other = moved(before, weights(again))
        assert other and {name.rpartition(".")[0].rpartition(".")[2] for name in other} <= set(
            adapter.lora_targets
        )


@pytest.mark.parametrize("lora", [None, Lora(rank=2)])
@pytest.mark.parametrize("tie", [False, True])
def test_new_tokens_are_learnt_and_saved(tmp_path, tie, lora):
    import torch

    folder = tiny_vlms.llava(tmp_path / "tied", tie=tie)
    model, adapter, _ = load(str(folder), dialect="florence2")
    words = len(adapter.processor.tokenizer)
    old = model.get_input_embeddings().weight.detach().clone()
    tuned = prepare(model, adapter, options(new_tokens=True, lora=lora))
    tokenizer = adapter.processor.tokenizer
    new = tokenizer.convert_tokens_to_ids([f"<loc_{i}>" for i in range(1000)])
    assert new == list(range(words, words + 1000))
    begun = model.get_input_embeddings().weight[new].detach().clone()
    torch.testing.assert_close(begun, old[:words].mean(dim=0).expand(1000, -1))
    shown = scenes(2)
    examples = [example(scene) for scene in shown]
    [row, _] = adapter.train_batch(examples).tensors["labels"].tolist()
    assert sum(label in new for label in row) == 4
    learn(tuned, adapter, examples, steps=15, rate=2e-2)
    said = say(tuned, adapter, shown)
    plain = save(tuned, adapter, tmp_path / "model")
    used = [label for label in row if label in new]
    for layer in (plain.get_input_embeddings(), plain.get_output_embeddings()):
        assert not torch.equal(layer.weight[used], begun[: len(used)])
    if lora is not None:
        assert torch.equal(plain.get_input_embeddings().weight[:words], old[:words])
    for saved in [tmp_path / "model", *([tmp_path / "model" / "adapter"] if lora else [])]:
        again, its_adapter, _ = load(str(saved), dialect="florence2")
        assert say(again, its_adapter, shown) == said
        assert (again.get_input_embeddings().weight is again.get_output_embeddings().weight) == tie


def test_layers_named_by_the_user_are_adapted_outside_of_frozen_parts(checkpoints):
    model, adapter, _ = load(str(checkpoints["llava"]))
    tuned = prepare(model, adapter, options(lora=Lora(targets=["q_proj", "linear_1"]), freeze=["vision"]))
    adapted = {n.removeprefix("base_model.model.") for n, p in tuned.named_parameters() if p.requires_grad}
    assert {part_of(name, adapter) for name in adapted} == {"language", "connector"}


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"freeze": ["vision", "connector", "language"]}, "nothing of the model is left to train"),
        ({"freeze": ["language"], "lora": Lora()}, "leave one of them out"),
        ({"freeze": ["language"], "new_tokens": True}, "add `lora`"),
        (
            {"lora": Lora(targets=["query"])},
            r"no layer is called \['query'\]; those of this model are .*q_proj",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(checkpoints, chosen, told):
    model, adapter, _ = load(str(checkpoints["llava"]), dialect="paligemma")
    with pytest.raises(UserError, match=told):
        prepare(model, adapter, options(**chosen))


def test_a_dialect_of_plain_text_has_no_tokens_to_add(checkpoints):
    model, adapter, _ = load(str(checkpoints["llava"]))
    with pytest.raises(UserError, match="dialect 'shikra' is plain text"):
        prepare(model, adapter, options(new_tokens=True))


def test_tokens_that_are_there_are_not_added_again(checkpoints):
    model, adapter, _ = load(str(checkpoints["kosmos2"]))
    before = len(adapter.processor.tokenizer)
    prepare(model, adapter, options(new_tokens=True, lora=Lora()))
    assert len(adapter.processor.tokenizer) == before
