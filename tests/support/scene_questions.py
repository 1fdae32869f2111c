"""Drawn scenes and what is asked about them, for models that learn them by heart."""

import io
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image

from gritmill.pipeline.sources.scenes import ScenesSource, draw
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.conversations import ASSISTANT, HUMAN, Conversation, Turn, TurnRegion, with_image
from gritmill.trainer.data.examples import Example
from gritmill.trainer.metrics import Question, Score, first_box
from gritmill.trainer.models.base import Adapter, Prompt
from gritmill.trainer.models.masking import IGNORED


class Scene(NamedTuple):
    """A drawn image, and an expression of its caption that means one box."""

    key: str
    image: Image.Image
    expression: str
    box: Box

    @property
    def asked(self) -> Prompt:
        return Prompt("rec", {"expression": self.expression}, [])


def scenes(count: int, size: int = 96) -> list[Scene]:
    """Of different shapes and contents; the same every time."""
    source = ScenesSource(
        type="scenes", count=count, seed=3, size=size, captions_per_image=1, min_objects=1, max_objects=2
    )
    [part] = source.parts()
    rows = source.read(part)
    found = []
    for key, ref, caption, metadata in zip(
        rows["key"], rows["image"], rows["caption"], rows["metadata"], strict=True
    ):
        phrase = next(p for p in json.loads(metadata)["phrases"] if len(p["boxes"]) == 1)
        image = Image.open(io.BytesIO(draw(ref.uri, ref.offset)))
        found.append(Scene(key, image, Span(*phrase["span"]).of(caption), Box(*phrase["boxes"][0])))
    return found


def example(scene: Scene, *more: tuple[str, str], question: str | None = None) -> Example:
    """The scene as it would come from a shard; `more` are further questions with their answers."""
    asked = question or f'Which region does "{scene.expression}" describe?'
    turns = [
        Turn(HUMAN, "rec", with_image(asked, before=True), [], []),
        Turn(ASSISTANT, "rec", "<region:0>", [TurnRegion([scene.box])], []),
    ]
    for text, answer in more:
        turns += [Turn(HUMAN, "vqa", text, [], []), Turn(ASSISTANT, "vqa", answer, [], [])]
    return Example(scene.key, scene.key, scene.image, Conversation(turns))


def learn(model: Any, adapter: Adapter, examples: Sequence[Example], steps: int, rate: float) -> None:
    """Training as plain as can be, all examples in each step, until every token is the likeliest."""
    tensors = adapter.train_batch(examples).tensors
    learnt = math.log(2) / int((tensors["labels"] != IGNORED).sum())
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    model.train()
    for _ in range(steps):
        loss = model(**tensors).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if loss < learnt:
            break
    model.eval()


def say(model: Any, adapter: Adapter, scenes: Sequence[Scene], native: bool = False) -> list[str]:
    """What the model answers, all scenes in one batch."""
    inputs = adapter.ask_batch([s.image for s in scenes], [s.asked for s in scenes], native)
    return adapter.answers(model.generate(**inputs, max_new_tokens=48, do_sample=False), inputs)


def score(adapter: Adapter, scenes: Sequence[Scene], said: Sequence[str], threshold: float = 0.5) -> Score:
    """`rec/first_box` of what was said."""
    questions = [Question(s.key, s.key, s.box) for s in scenes]
    boxes = {s.key: adapter.parse(text, s.image.size).boxes for s, text in zip(scenes, said, strict=True)}
    return first_box(questions, boxes, threshold).score()


def check_parts(model: Any, adapter: type[Adapter]) -> None:
    """Each parameter is vision, connector or language, and each prefix is there for some."""
    prefixes = [prefix for part in adapter.parts.values() for prefix in part]
    for name, _ in model.named_parameters():
        assert sum(name.startswith(prefix) for prefix in prefixes) == 1, name
    for part in adapter.parts.values():
        assert any(name.startswith(part) for name, _ in model.named_parameters()), part
    layers = [name.rpartition(".")[2] for name, _ in model.named_modules() if "language_model" in name]
    assert set(adapter.lora_targets) <= set(layers)
