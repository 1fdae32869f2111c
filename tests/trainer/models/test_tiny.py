"""The small model from scratch: what it begins as, what it is asked, and that it comes back from disk."""

from pathlib import Path

import pytest
import torch

from gritmill.pipeline.sources.scenes import ScenesSource, draw
from gritmill.schemas.conversations import Conversation, Turn, TurnRegion
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.images import decode
from gritmill.trainer.data.examples import Example
from gritmill.trainer.models import tiny
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.models.load import load

OPTIONS = tiny.TinyOptions(width=32, heads=2, vision_layers=1, layers=1)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    source = ScenesSource(
        type="scenes", style="simple", size=64, count=12, max_objects=3, captions_per_image=1
    )
    [part] = source.parts()
    columns = source.read(part)
    found = []
    for number, annotations in enumerate(columns["annotations"]):
        turns: list[Turn] = []
        for annotation in annotations:
            start = "" if turns else "<image>\n"
            ask = f"{start}Find the {annotation.label} in the image."
            turns += [
                Turn("human", "rec", ask, [], []),
                Turn("assistant", "rec", "<region:0>", [TurnRegion([annotation.box])], []),
            ]
        image = decode(draw(columns["image"][number].uri, number))
        found.append(Example(str(number), str(number), image, Conversation(turns)))
    return found


def test_the_tokenizer_knows_the_shards_words_and_every_bin(examples: list[Example]) -> None:
    _, adapter = tiny.build(examples, OPTIONS, DIALECTS["tiny"], 256)
    tokenizer = adapter.processor.tokenizer
    assert tokenizer.tokenize("Find the circle<bin_3></s>") == ["Find", "Ġthe", "Ġcircle", "<bin_3>", "</s>"]
    ids = tokenizer.convert_tokens_to_ids(DIALECTS["tiny"].tokens())
    assert len(set(ids)) == 32 and tokenizer.unk_token_id not in ids


def test_near_places_look_alike_from_the_beginning(examples: list[Example]) -> None:
    model, adapter = tiny.build(examples, OPTIONS, DIALECTS["tiny"], 256)
    rows = adapter.processor.tokenizer.convert_tokens_to_ids([f"<bin_{n}>" for n in (3, 4, 20)])
    three, four, twenty = model.get_input_embeddings().weight[rows]
    near, far = (torch.cosine_similarity(three, other, dim=0) for other in (four, twenty))
    assert near > 0.7 > 0.3 > far
    [positions] = [m for name, m in model.named_modules() if name.endswith("position_embedding")]
    grid = positions.weight[1:].reshape(8, 8, 32)
    assert torch.equal(grid[0, 5, :16], grid[7, 5, :16])  # the column, in whatever row
    assert torch.equal(grid[5, 0, 16:], grid[5, 7, 16:])


def test_the_same_seed_gives_the_same_model(examples: list[Example]) -> None:
    def built() -> dict[str, torch.Tensor]:
        torch.manual_seed(7)
        return tiny.build(examples, OPTIONS, DIALECTS["tiny"], 256)[0].state_dict()

    one, other = built(), built()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_it_is_trained_on_answers_asked_and_read_back(examples: list[Example], tmp_path: Path) -> None:
    model, adapter = tiny.build(examples, OPTIONS, DIALECTS["tiny"], 256)
    batch = adapter.train_batch(examples)
    assert not batch.bad
    live = batch.tensors["labels"] != -100
    answers = sum(len(example.conversation.turns) // 2 for example in examples)
    assert int(live.sum()) == 6 * answers  # a space, four bins, the end
    loss = model(**batch.tensors).loss
    loss.backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if "language_model" in name)

    model.save_pretrained(tmp_path)
    adapter.processor.save_pretrained(tmp_path)
    loaded = load(str(tmp_path), dialect="tiny")
    asked = [Prompt("rec", {"expression": "a circle", "definite": "the circle"}, [])] * 2
    images = [example.image for example in examples[:2]]
    texts = []
    for one, speaker in ((model.eval(), adapter), (loaded.model, loaded.adapter)):
        inputs = speaker.ask_batch(images, asked, native=False)
        generated = one.generate(**inputs, do_sample=False, max_new_tokens=6)
        texts.append(speaker.answers(generated, inputs))
    assert texts[0] == texts[1]
