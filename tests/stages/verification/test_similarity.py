"""Similarity of regions and expressions, by tiny models of the real architectures."""

from pathlib import Path
from typing import Any

import pytest
from memory_images import noise, stored
from PIL import Image
from tiny_similarity import save_clip, save_siglip

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import BoxCheck, Columns, GroundedBox, Span
from gritmill.schemas.images import decode
from gritmill.stages.verification.similarity import RegionSimilarity, marked
from gritmill.stages.verification.verify_boxes import VerifyBoxes

torch = pytest.importorskip("torch", reason="needs the extra `grounders`")
pytest.importorskip("transformers", reason="needs the extra `grounders`")

CAPTION = "a dog in a field"
DOG, FIELD = Span(0, 5), Span(9, 16)
LEFT, RIGHT, ALL = Box(0.05, 0.1, 0.3, 0.9), Box(0.8, 0.1, 0.98, 0.9), Box(0, 0, 1, 1)


@pytest.fixture(scope="module", params=[save_clip, save_siglip], ids=["clip", "siglip"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = request.param(tmp_path_factory.mktemp("models") / "model")
    return found


def batch(*boxes: tuple[Box, Span], picture: Image.Image | None = None) -> Columns:
    return {
        "image": [stored(picture or noise(200, 80), "PNG")],
        "caption": [CAPTION],
        "boxes": [[GroundedBox(DOG, corners, 0.9, "model@1", "a dog") for corners, _ in boxes]],
        "ref_exps": [[span for _, span in boxes]],
    }


def similarities(folder: Path, given: Columns) -> list[list[float]]:
    stage = RegionSimilarity(model=str(folder), device="cpu")
    assert stage.problems() == []
    stage.setup()
    found: list[list[float]] = stage.process(given)["similarities"]
    return found


def test_it_is_twice_the_local_less_the_global_cosine(folder: Path) -> None:
    from transformers import AutoModel, AutoProcessor

    given = batch((LEFT, DOG), (RIGHT, FIELD), (LEFT, FIELD))
    [found] = similarities(folder, given)
    picture = decode(given["image"][0].read())
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)

    def cosine(view: Image.Image, text: str) -> float:
        square = view.resize((80, 80), Image.Resampling.BICUBIC)
        texts = processor(text=[text], padding="max_length", truncation=True, return_tensors="pt")
        if model.config.model_type == "siglip":
            texts.pop("attention_mask", None)
        with torch.inference_mode():
            out = model(**texts, **processor(images=[square], return_tensors="pt"))
        return float(torch.nn.functional.cosine_similarity(out.image_embeds, out.text_embeds))

    for value, (box, text) in zip(
        found, [(LEFT, "a dog"), (RIGHT, "a field"), (LEFT, "a field")], strict=True
    ):
        expected = 2 * cosine(marked(picture, box), text) - cosine(picture, text)
        assert value == pytest.approx(expected, abs=2e-4)
    assert len(set(found)) == 3


def test_a_box_at_the_side_of_a_wide_image_is_seen(folder: Path) -> None:
    """CLIP's processor cuts a square from the middle, in which neither of these boxes lies."""
    plain = Image.new("RGB", (200, 80), "skyblue")
    [[left, right, other]] = similarities(
        folder, batch((LEFT, DOG), (RIGHT, DOG), (Box(0.02, 0.4, 0.1, 0.6), DOG), picture=plain)
    )
    assert len({left, right, other}) == 3


def test_rows_do_not_depend_on_each_other(folder: Path) -> None:
    one, other = batch((LEFT, DOG)), batch((RIGHT, FIELD), (ALL, DOG), picture=noise(60, 90))
    both = {name: one[name] + other[name] for name in one}
    assert similarities(folder, both) == similarities(folder, one) + similarities(folder, other)


@pytest.mark.parametrize(("side", "width"), [(10, 1), (20, 2), (60, 4), (150, 5), (300, 6)])
def test_the_ellipse_fills_the_box_and_leaves_the_rest(side: int, width: int) -> None:
    picture = Image.new("RGB", (400, 400), "white")
    drawn = marked(picture, Box.from_pixels(50, 50, 50 + side, 50 + side, 400, 400))
    assert picture.getcolors() == [(160_000, (255, 255, 255))]
    middle = 50 + side // 2
    line = [x for x in range(400) if drawn.getpixel((x, middle)) == (255, 0, 0)]
    assert line[:width] == list(range(50, 50 + width)) and len(line) == 2 * width
    assert line[-1] == 50 + side
    assert drawn.getpixel((51, 51)) == (255, 255, 255)


def test_verify_boxes_measures_it(folder: Path) -> None:
    given = batch((LEFT, DOG), (RIGHT, FIELD))
    options: dict[str, Any] = {"similarity": {"model": str(folder), "device": "cpu"}}
    stage = VerifyBoxes.model_validate(options | {"min_similarity": -3, "max_area": 0.9})
    assert set(stage.reads) == set(given) and stage.gpus is None
    assert stage.revision()["1.model"]
    stage.setup()
    [[left, right]] = stage.process(given)["box_checks"]
    values = similarities(folder, given)[0]
    assert [left[1], right[1]] == [BoxCheck("similarity", True, value, -3.0) for value in values]
    highest = VerifyBoxes.model_validate(options | {"min_similarity": max(values)})
    highest.setup()
    assert [b.box for b in highest.process(given)["boxes"][0]] == [(LEFT, RIGHT)[values.index(max(values))]]


def test_a_checkpoint_of_another_kind_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    [problem] = RegionSimilarity(model=str(tmp_path)).problems()
    assert "is of type 'bert', which is not supported" in problem
