"""SAM 3 as a grounder: the real architecture, tiny, with random weights and planted scores."""

import io
import shutil
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_sam
from PIL import Image

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, Span
from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.sam3 import Sam3Grounder

torch = pytest.importorskip("torch", reason="needs the extra `grounders`")
pytest.importorskip("transformers", reason="needs the extra `grounders`")

LIMIT = 30
"""Tokens of a phrase; the text encoder reads 32 with its own two."""


@pytest.fixture(scope="module")
def sam3(tmp_path_factory):
    import transformers as hf
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    # Bytes and no merges: each character is a token.
    characters = list(bytes_to_unicode().values())
    tokens = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = hf.CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)}, merges=[], pad_token="<|endoftext|>"
    )
    return tiny_sam.save_sam3(tmp_path_factory.mktemp("models") / "tiny-sam3", tokenizer)


def loaded(folder, **options) -> Any:
    stage = Sam3Grounder(model=str(folder), **options)
    assert stage.problems() == []
    stage.setup()
    return stage


class Bytes:
    def __init__(self, seed=0, size=(96, 64), orientation=1):
        colours = torch.randint(0, 256, (8, 12, 3), generator=torch.Generator().manual_seed(seed))
        image = Image.fromarray(colours.to(torch.uint8).numpy()).resize(size)
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = io.BytesIO()
        image.save(file, "PNG", exif=exif)
        self.data = file.getvalue()

    def read(self):
        return self.data


def batch(*rows):
    columns: dict[str, list[Any]] = {"image": [], "caption": [], "noun_chunks": []}
    for image, caption, chunks in rows:
        columns["image"].append(image)
        columns["caption"].append(caption)
        columns["noun_chunks"].append([Span(caption.index(c), caption.index(c) + len(c)) for c in chunks])
    return columns


def ground(stage, *rows) -> list[list[GroundedBox]]:
    return stage.process(batch(*rows))["candidates"]


def plant(stage, monkeypatch, scores, presence=20.0, boxes=None):
    """`scores`: phrase -> {query: logit}. Query q's box is (q / 10, 0.2, q / 10 + 0.1, 0.6) of the image."""
    detector = stage._detector
    model, asked = detector.model, []

    def forward(vision_embeds, input_ids, attention_mask):
        real = model(vision_embeds=vision_embeds, input_ids=input_ids, attention_mask=attention_mask)
        texts = detector.tokenizer.batch_decode(input_ids, skip_special_tokens=True)
        asked.append([text.strip() for text in texts])
        logits = torch.full_like(real.pred_logits, -20.0)
        left = torch.arange(logits.shape[1]) / 10
        corners = torch.stack([left, left * 0 + 0.2, left + 0.1, left * 0 + 0.6], dim=-1)
        for row, text in enumerate(asked[-1]):
            for query, logit in scores.get(text, {}).items():
                logits[row, query] = logit
        return SimpleNamespace(
            pred_logits=logits,
            pred_boxes=corners.expand(len(logits), -1, -1),
            presence_logits=torch.full_like(real.presence_logits, presence),
        )

    monkeypatch.setattr(detector, "_run", forward)
    return asked


def test_each_phrase_gets_the_boxes_of_its_own_question(sam3, monkeypatch) -> None:
    stage = loaded(sam3)
    asked = plant(stage, monkeypatch, {"a dog": {1: 2.0, 4: 0.0}, "a cat": {2: 1.0}})
    [found] = ground(stage, (Bytes(), "A Dog and a cat", ["A Dog", "a cat"]))
    assert asked == [["a dog", "a cat"]]
    assert [(f.span, f.phrase) for f in found] == [
        (Span(0, 5), "a dog"),
        (Span(0, 5), "a dog"),
        (Span(10, 15), "a cat"),
    ]
    assert [f.score for f in found] == pytest.approx([0.880797, 0.5, 0.731059], abs=1e-6)
    for one, query in zip(found, (1, 4, 2), strict=True):
        assert one.box == pytest.approx(Box(query / 10, 0.2, query / 10 + 0.1, 0.6), abs=1e-5)
    assert {f.model.split("@")[0] for f in found} == {"tiny-sam3"}


@pytest.mark.parametrize(("size", "orientation"), [((200, 50), 1), ((50, 200), 1), ((96, 64), 6)])
def test_boxes_are_of_the_whole_image_whatever_its_shape(size, orientation, sam3, monkeypatch) -> None:
    stage = loaded(sam3)
    plant(stage, monkeypatch, {"a dog": {3: 2.0}})
    [[found]] = ground(stage, (Bytes(size=size, orientation=orientation), "a dog", ["a dog"]))
    assert found.box == pytest.approx(Box(0.3, 0.2, 0.4, 0.6), abs=1e-5)


def test_a_phrase_that_is_not_there_takes_its_boxes_with_it(sam3, monkeypatch) -> None:
    stage = loaded(sam3)
    plant(stage, monkeypatch, {"a dog": {1: 20.0}}, presence=-1.0)
    [[found]] = ground(stage, (Bytes(), "a dog", ["a dog"]))
    assert found.score == pytest.approx(0.268941, abs=1e-6)  # 1 / (1 + e)


@pytest.mark.parametrize(
    ("phrase", "asked"),
    [
        ("a" * LIMIT, "a" * LIMIT),
        ("the first " + "a" * (LIMIT - 1), "a" * (LIMIT - 1)),
        ("first " + "a" * (LIMIT - 5), "first " + "a" * (LIMIT - 5)),
        ("the first " + "a" * (LIMIT - 5), "first " + "a" * (LIMIT - 5)),
    ],
)
def test_phrases_beyond_the_limit_lose_leading_words(phrase, asked, sam3, monkeypatch) -> None:
    stage = loaded(sam3)
    texts = plant(stage, monkeypatch, {asked: {0: 3.0}})
    [[found]] = ground(stage, (Bytes(), phrase, [phrase]))
    assert found.phrase == asked
    assert texts == [[asked]]


def test_what_no_limit_lets_through_is_not_asked(sam3) -> None:
    assert ground(loaded(sam3), (Bytes(), "a" * (LIMIT + 1), ["a" * (LIMIT + 1)])) == [[]]


def test_the_image_is_encoded_once_for_all_of_its_phrases(sam3, monkeypatch) -> None:
    stage = loaded(sam3, images_at_once=2)
    encode = stage._detector._encoded
    images: list[Any] = []

    def counted(image):
        images.append(image)
        return encode(image)

    monkeypatch.setattr(stage._detector, "_encoded", counted)
    caption = "a dog, a cat, a man, a hat and a bus"
    ground(stage, *((Bytes(seed), caption, ["a dog", "a cat", "a man", "a hat", "a bus"]) for seed in (0, 1)))
    assert len(images) == 2


def test_a_batch_of_eight_gives_what_eight_of_one_give(sam3) -> None:
    stage = loaded(sam3, score_threshold=0)
    rows = [
        (Bytes(i, (64 + 16 * i, 160 - 8 * i)), "a dog and a cat", ["a dog", "a cat"][: 1 + i % 2])
        for i in range(8)
    ]
    together = ground(stage, *rows)
    alone = [ground(stage, row)[0] for row in rows]
    assert sum(map(len, together)) == sum(map(len, alone)) > 8
    for found, expected in zip(together, alone, strict=True):
        by_box = {(f.span, tuple(round(v, 3) for v in f.box)): f.score for f in found}
        for one in expected:
            assert by_box[one.span, tuple(round(v, 3) for v in one.box)] == pytest.approx(one.score, abs=1e-4)


def test_scores_and_boxes_are_those_of_the_library(sam3) -> None:
    stage = loaded(sam3, score_threshold=0)
    [found] = ground(stage, (Bytes(), "a dog", ["a dog"]))
    import transformers as hf

    model = hf.Sam3Model.from_pretrained(sam3).eval()
    detector = stage._detector
    picture = Image.open(io.BytesIO(Bytes().data)).convert("RGB")
    text = detector.tokenizer("a dog", padding="max_length", max_length=32, return_tensors="pt")
    with torch.inference_mode():
        output = model(pixel_values=detector.pixels(picture)[None], **text)
    scores = (output.pred_logits.sigmoid() * output.presence_logits.sigmoid())[0].sort(descending=True)
    assert [f.score for f in found] == pytest.approx(scores.values.tolist(), abs=1e-5)
    for one, box in zip(found, output.pred_boxes[0][scores.indices].tolist(), strict=True):
        assert one.box == pytest.approx(Box(*box).clipped(), abs=1e-4)


def test_a_broken_checkpoint_is_one_sentence(sam3, tmp_path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(sam3, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match="cannot be loaded") as raised:
        Sam3Grounder(model=str(folder)).setup()
    assert "\n" not in str(raised.value)


def test_a_sam_that_makes_masks_only_is_another_architecture(tmp_path) -> None:
    [problem] = Sam3Grounder(model=str(tiny_sam.save_sam3_tracker(tmp_path / "tracker"))).problems()
    assert "which is not supported; use one of type sam3" in problem
