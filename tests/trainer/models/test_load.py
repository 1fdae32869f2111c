"""Checkpoints that cannot be used are refused in a sentence."""

import json
import shutil

import pytest

from gritmill.schemas.errors import UserError
from gritmill.trainer import provenance
from gritmill.trainer.models.llava import LlavaAdapter
from gritmill.trainer.models.load import load
from gritmill.trainer.models.registry import ADAPTERS, adapter_for


@pytest.fixture
def copied(checkpoints, tmp_path):
    return shutil.copytree(checkpoints["llava"], tmp_path / "copy")


def test_every_family_in_the_table_has_its_adapter():
    for model_type in ADAPTERS:
        assert model_type in adapter_for(model_type).model_types


def test_a_family_without_adapter(copied):
    (copied / "config.json").write_text(json.dumps({"model_type": "blip"}))
    with pytest.raises(
        UserError, match="'blip' cannot be trained here; those that can are .*kosmos-2, llava"
    ):
        load(str(copied))


def test_a_checkpoint_that_lacks_weights(copied):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copied / "model.safetensors")
    gone = sorted(tensors)[3]
    save_file({n: t for n, t in tensors.items() if n != gone}, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="lacks 1 of its model's weights"):
        load(str(copied))


def test_weights_that_are_pickles_are_not_read(copied):
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    with pytest.raises(UserError, match="weights of .* cannot be used"):
        load(str(copied))


def test_a_damaged_file_of_weights(copied):
    (copied / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(UserError, match="weights of .* cannot be used"):
        load(str(copied))


def test_a_folder_without_processor(copied):
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (copied / name).unlink()
    with pytest.raises(UserError, match="processor in .* cannot be used"):
        load(str(copied))


def test_an_unknown_dialect(copied):
    with pytest.raises(UserError, match="no dialect 'kosmos3'; `pipeline dialects`"):
        load(str(copied), dialect="kosmos3")


def test_the_dialect_of_our_own_training_is_kept(copied):
    assert load(str(copied)).adapter.dialect.name == "shikra"
    (copied / "gritmill.json").write_text(json.dumps({"dialect": "digits"}))
    assert load(str(copied)).adapter.dialect.name == "digits"
    assert load(str(copied), dialect="pink").adapter.dialect.name == "pink"


def test_a_model_that_nobody_has(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="neither a folder nor"):
        load("nobody/has-this-model")


def test_generation_stops_at_what_ends_an_answer(loaded):
    model, adapter, _ = loaded
    config = getattr(model, "text_model", model).generation_config
    assert set(config.eos_token_id) == adapter.ends
    assert config.pad_token_id == adapter.processor.tokenizer.pad_token_id


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_of_the_type_that_is_asked_for(copied, dtype):
    assert str(load(str(copied), dtype=dtype).model.dtype) == f"torch.{dtype}"


class Parrot(LlavaAdapter):
    """An adapter of somebody's own."""


def test_an_adapter_of_ones_own_is_named_by_its_class(checkpoints):
    loaded = load(str(checkpoints["llava"]), family=f"{__name__}:Parrot")
    assert type(loaded.adapter).__name__ == "Parrot"
    with pytest.raises(UserError, match=r"'json:loads' is no adapter; name a class that builds on Adapter$"):
        load(str(checkpoints["llava"]), family="json:loads")


def test_a_checkpoint_brings_no_import(copied):
    (copied / "config.json").write_text(json.dumps({"model_type": "this_is_theirs:Adapter"}))
    with pytest.raises(UserError, match="models of type 'this_is_theirs:Adapter' cannot be trained here"):
        load(str(copied))


def test_a_dialect_that_a_checkpoint_names_is_not_imported(copied, monkeypatch):
    monkeypatch.setattr(provenance, "read", lambda folder: {"dialect": "this_is_theirs:DIALECT"})
    with pytest.raises(UserError, match="which is not ours; say it: dialect: this_is_theirs:DIALECT$"):
        load(str(copied))
