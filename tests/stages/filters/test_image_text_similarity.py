"""Similarity by tiny models of the real architectures, held against transformers' own forward pass."""

import pytest
from memory_images import noise, stored
from PIL import Image
from tiny_similarity import save_clip, save_siglip

from gritmill.schemas.columns import Reject
from gritmill.schemas.images import decode
from gritmill.stages.filters.image_text_similarity import ImageTextSimilarity

torch = pytest.importorskip("torch", reason="needs the extra `grounders`")
pytest.importorskip("transformers", reason="needs the extra `grounders`")

DOG, SKY = stored(noise(80, 60), "PNG"), stored(Image.new("RGB", (60, 80), "skyblue"), "PNG")
ROWS = [(DOG, "a dog"), (SKY, "a dog"), (DOG, "the sky, and far longer than the model can read"), (SKY, "")]


@pytest.fixture(scope="module", params=[save_clip, save_siglip], ids=["clip", "siglip"])
def folder(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("models") / "model")


def loaded(folder, **options):
    stage = ImageTextSimilarity(model=str(folder), device="cpu", **options)
    assert stage.problems() == []
    stage.setup()
    return stage


def batch(rows):
    return {"image": [image for image, _ in rows], "caption": [caption for _, caption in rows]}


def test_similarity_is_that_of_the_library(folder):
    from transformers import AutoModel, AutoProcessor

    found = loaded(folder, min_similarity=None).process(batch(ROWS))["similarity"]
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    for value, (image, caption) in zip(found, ROWS, strict=True):
        texts = processor(text=[caption], padding="max_length", truncation=True, return_tensors="pt")
        pixels = processor(images=[decode(image.read())], return_tensors="pt")
        if model.config.model_type == "siglip":
            texts.pop("attention_mask", None)
        with torch.inference_mode():
            out = model(**texts, **pixels)
        expected = torch.nn.functional.cosine_similarity(out.image_embeds, out.text_embeds).item()
        assert value == pytest.approx(expected, abs=2e-4)
    assert len(set(found)) == 4


def test_a_row_does_not_depend_on_its_batch(folder):
    stage = loaded(folder, min_similarity=None)
    together = stage.process(batch(ROWS))["similarity"]
    alone = [stage.process(batch([row]))["similarity"][0] for row in ROWS]
    assert together == pytest.approx(alone, abs=2e-4)


def test_captions_that_do_not_fit_are_dropped(folder):
    values = loaded(folder, min_similarity=1.0, mode="measure").process(batch(ROWS))["similarity"]
    between = sorted(values)[1] + 1e-4
    found = loaded(folder, min_similarity=between).process(batch(ROWS))["similarity"]
    dropped = [one for one in found if isinstance(one, Reject)]
    assert len(dropped) == 2
    assert {(one.reason, one.threshold) for one in dropped} == {("dissimilar", str(between))}


def test_a_model_of_another_kind_is_a_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    [said] = ImageTextSimilarity(model=str(tmp_path)).problems()
    assert "is of type 'bert', which is not supported; use one of type align" in said
