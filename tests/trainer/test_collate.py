"""Bad samples go along beside the tensors, and a batch of nothing else moves no weight."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from gritmill.schemas.conversations import Conversation, Turn
from gritmill.trainer.collate import Collator
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.models.base import Adapter, Batch
from gritmill.trainer.models.load import load


@pytest.fixture(scope="module")
def adapter(llava: Path) -> Adapter:
    return load(str(llava), max_length=64).adapter


def example(key: str, answer: str = "A square.") -> Example:
    turns = [Turn("human", "caption", "<image>\nWhat?", [], []), Turn("assistant", "caption", answer, [], [])]
    return Example(key, key, Image.new("RGB", (40, 20), "red"), Conversation(turns))


def answers(adapter: Adapter, batch: Batch) -> list[str]:
    return [adapter.processor.tokenizer.decode(row[row != -100]).strip() for row in batch.tensors["labels"]]


def test_good_and_bad(adapter: Adapter) -> None:
    broken = Bad("c", "image: broken")
    batch = Collator(adapter)([example("a"), broken, example("b", "Red."), example("long", "word " * 100)])
    assert answers(adapter, batch) == ["A square.</s>", "Red.</s>"]
    assert batch.bad == [broken, Bad("long", "no answer within 64 tokens")]


@pytest.mark.parametrize("samples", [[Bad("c", "image: broken")], [example("long", "word " * 100)]])
def test_nothing_good(samples: list[Example | Bad], adapter: Adapter, llava: Path) -> None:
    batch = Collator(adapter)(samples)
    assert [bad.key for bad in batch.bad] == [samples[0].key]
    assert (batch.tensors["labels"] == -100).all()

    model = load(str(llava)).model
    loss = model(**batch.tensors, num_items_in_batch=torch.tensor(1)).loss
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_a_picture_that_the_processor_refuses_is_found_among_the_others(adapter: Adapter) -> None:
    class Picky(type(adapter)):  # type: ignore[misc]
        def train_batch(self, examples):
            if any(e.key == "odd" for e in examples):
                raise ValueError("aspect ratio must be smaller than 200")
            return super().train_batch(examples)

    picky = Picky(adapter.processor, adapter.dialect, adapter.max_length)
    batch = Collator(picky)([example("a"), example("odd"), example("b")])
    assert batch.bad == [Bad("odd", "aspect ratio must be smaller than 200")]
    assert len(batch.tensors["labels"]) == 2


def test_a_row_without_a_label_is_our_mistake(adapter: Adapter) -> None:
    class Careless(type(adapter)):  # type: ignore[misc]
        def train_batch(self, examples):
            batch = super().train_batch(examples)
            batch.tensors["labels"][0] = -100
            return batch

    careless = Careless(adapter.processor, adapter.dialect, adapter.max_length)
    with pytest.raises(AssertionError, match="a row through with nothing to learn"):
        Collator(careless)([example("a"), example("b")])
