"""Checkpoints that our trainer has made, and others that write another dialect than their family's."""

import io
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `grounders`")
pytest.importorskip("transformers", reason="needs the extra `grounders`")

import tiny_florence2
import tiny_qwen
import tiny_vlms
import torch
from PIL import Image
from pydantic import ValidationError
from scene_questions import example, scenes

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, Span
from gritmill.schemas.errors import UserError
from gritmill.schemas.expressions import as_definite
from gritmill.stages.grounders.generative.grounder import GenerativeGrounder
from gritmill.stages.grounders.generative.labellers import LABELLERS
from gritmill.trainer import provenance
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.models.load import load
from gritmill.trainer.models.save import save

PHRASES = ("a red ball", "Two dogs")


def tiny(family: str, folder: Path) -> Path:
    if family == "florence2":
        tiny_florence2.save(folder)
    elif family.startswith("qwen"):
        tiny_qwen.save(family, folder, 16 if family == "qwen3_vl" else 14)
    else:
        {"kosmos-2": tiny_vlms.kosmos2, "llava": tiny_vlms.llava}[family](folder)
    return folder


def picture() -> Image.Image:
    return Image.radial_gradient("L").resize((90, 60)).convert("RGB")


@pytest.mark.parametrize("dialect", ["digits", "qwen2.5_vl"])
@pytest.mark.parametrize("family", LABELLERS)
def test_it_is_asked_as_the_trainer_asks_it(family: str, dialect: str, tmp_path: Path) -> None:
    folder = tiny(family, tmp_path / "model")
    provenance.write(folder, {"dialect": dialect})
    adapter = load(str(folder)).adapter
    labeller = LABELLERS[family].load(folder)
    spelled = [
        d.encode_boxes([Box(0.1, 0.2, 0.5, 0.9)], (90, 60)) for d in (labeller.dialect, adapter.dialect)
    ]
    assert spelled[0] == spelled[1]
    assert labeller.ends >= adapter.ends
    for phrase in PHRASES:
        words = {"expression": phrase, "definite": as_definite(phrase)}
        asked = Prompt("rec", {slot: text for slot, text in words.items() if text}, [])
        wanted = adapter.ask_batch([picture()], [asked], native=False)
        given = labeller.inputs([picture()], [labeller.question(labeller.asked(phrase), "On the left, ")])
        assert given.keys() == wanted.keys()
        assert all(torch.equal(torch.as_tensor(given[name]), wanted[name]) for name in wanted)


@pytest.mark.parametrize("family", LABELLERS)
def test_a_dialect_may_be_named_for_one_that_was_trained_elsewhere(family: str, tmp_path: Path) -> None:
    folder = tiny(family, tmp_path / "model")
    own, other = LABELLERS[family].load(folder), LABELLERS[family].load(folder, "digits")
    assert (own.dialect.name, other.dialect.name) == (LABELLERS[family].dialect_name, "digits")
    assert other.question("a dog", "") == own.question("a dog", ""), "in the words of the family's authors"


class Bytes:
    def __init__(self, image: Image.Image) -> None:
        out = io.BytesIO()
        image.save(out, "PNG")
        self.data = out.getvalue()

    def read(self) -> bytes:
        return self.data


def test_a_model_that_was_trained_here_grounds_the_next_dataset(tmp_path: Path) -> None:
    """Two pictures by heart, saved as `pipeline train` saves, and asked by the stage."""
    loaded = load(str(tiny("llava", tmp_path / "new")), dialect="digits")
    model, adapter = loaded.model, loaded.adapter
    shown = [scene._replace(expression="the red thing") for scene in scenes(2)]
    tensors = adapter.train_batch(
        [example(scene, question="Find the red thing in the image.") for scene in shown]
    ).tensors
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0)
    for _ in range(400):
        loss = model(**tensors).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if loss < 0.01:
            break
    folder = tmp_path / "trained"
    save(model.eval(), adapter, folder)
    provenance.write(folder, {"dialect": "digits"})

    stage = GenerativeGrounder(model=str(folder))
    assert stage.problems() == []
    stage.setup()
    batch: Columns = {
        "image": [Bytes(scene.image) for scene in shown],
        "caption": ["the red thing"] * 2,
        "noun_chunks": [[Span(0, 13)]] * 2,
    }
    for [found], scene in zip(stage.process(batch)["candidates"], shown, strict=True):
        [box] = adapter.parse(
            adapter.dialect.encode_boxes([scene.box], scene.image.size), scene.image.size
        ).boxes
        assert found.box == Box(*(round(v, 6) for v in box))
        assert found.score > 0.5


def test_a_dialect_that_is_none_is_one_sentence() -> None:
    with pytest.raises(ValidationError, match="there is no such dialect; there are: kosmos2, "):
        GenerativeGrounder(model="x", dialect="klingon")


def test_a_provenance_that_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    folder = tiny("llava", tmp_path / "model")
    (folder / provenance.FILE).write_text("[]")
    with pytest.raises(UserError, match="cannot be loaded: ValueError: its gritmill.json names no dialect"):
        GenerativeGrounder(model=str(folder)).setup()


@pytest.mark.parametrize(
    ("options", "learnt", "expected"),
    [
        ({"dialect": "pink"}, '{"dialect": "digits"}', {"PINK"}),
        ({}, '{"dialect": "digits"}', {"DIGITS"}),
        ({}, None, {"FLORENCE2", "KOSMOS2", "SHIKRA", "QWEN25_VL", "QWEN3_VL"}),
        ({}, "[]", {"FLORENCE2", "KOSMOS2", "SHIKRA", "QWEN25_VL", "QWEN3_VL"}),
        ({}, '{"dialect": "klingon"}', set()),
    ],
)
def test_the_dialect_that_is_read_is_part_of_the_identity(
    options: dict[str, str], learnt: str | None, expected: set[str], tmp_path: Path
) -> None:
    if learnt:
        (tmp_path / provenance.FILE).write_text(learnt)
    targets = GenerativeGrounder(model=str(tmp_path), **options).targets()
    assert {target.partition(":")[2] for target in targets} == expected
