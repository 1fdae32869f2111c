"""What the models' own libraries make of our text, and whether we read theirs as they do."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects import DIALECTS, Size, smart_resize

PHOTO = (640, 480)
CAPTION = "A dog and two cats sit on a red sofa"
SPANS = [Span(0, 5), Span(10, 18), Span(26, 36)]


def some_boxes(rng: random.Random) -> list[Box]:
    found = []
    for _ in range(rng.randint(1, 3)):
        x, y = rng.uniform(0, 0.9), rng.uniform(0, 0.9)
        found.append(Box(x, y, rng.uniform(x + 0.02, 1), rng.uniform(y + 0.02, 1)))
    return found


@pytest.fixture(scope="module")
def kosmos2() -> Any:
    return pytest.importorskip("transformers.models.kosmos2.processing_kosmos2")


@pytest.mark.parametrize("seed", range(20))
def test_kosmos2_reads_our_text_as_we_do(kosmos2: Any, seed: int) -> None:
    rng = random.Random(seed)
    grounded = [(span, some_boxes(rng)) for span in SPANS if rng.random() < 0.8]
    text = DIALECTS["kosmos2"].encode_caption(CAPTION, grounded, PHOTO)
    read = kosmos2.Kosmos2Processor.post_process_generation
    caption, entities = read(SimpleNamespace(eoi_token="</image>"), f"<image></image>{text}")
    ours = DIALECTS["kosmos2"].parse(text, PHOTO)
    assert caption == ours.text == CAPTION
    assert entities == [(g.phrase, g.span, [tuple(box) for box in g.boxes]) for g in ours.groundings]
    assert [Span(*span) for _, span, _ in entities] == [span for span, _ in grounded]


@given(x=st.floats(0, 0.99), y=st.floats(0, 0.99), w=st.floats(0.001, 1), h=st.floats(0.001, 1))
@settings(deadline=None)
def test_kosmos2_writes_boxes_as_we_do(kosmos2: Any, x: float, y: float, w: float, h: float) -> None:
    box = Box(x, y, min(x + w, 1), min(y + h, 1))
    first, last = kosmos2.coordinate_to_patch_index(tuple(box), 32)
    ours = DIALECTS["kosmos2"].encode_boxes([box], PHOTO)
    assert ours == f"<object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
    [back] = DIALECTS["kosmos2"].parse(ours, PHOTO).boxes
    assert tuple(back) == kosmos2.patch_index_to_coordinate(first, last, 32)


BIG: Size = (10**6, 10**6)  # the library gives whole pixels


@pytest.fixture(scope="module")
def florence2() -> Any:
    pytest.importorskip("torch")
    module = pytest.importorskip("transformers.models.florence2.processing_florence2")
    tasks: dict[str, Any] = {"phrase_grounding": {}, "description_with_bboxes": {}}
    # Of the tokenizer it asks nothing but the names of its special tokens.
    return module.Florence2PostProcessor(tasks, SimpleNamespace(all_special_tokens=["<s>", "</s>", "<pad>"]))


@pytest.mark.parametrize("seed", range(20))
def test_florence2_reads_our_text_as_we_do(florence2: Any, seed: int) -> None:
    rng = random.Random(seed)
    grounded = [(span, some_boxes(rng)) for span in SPANS if rng.random() < 0.8]
    text = f"</s><s>{DIALECTS['florence2'].encode_caption(CAPTION, grounded, BIG)}</s>"
    theirs = florence2(text=text, image_size=BIG, parse_tasks="phrase_grounding")["phrase_grounding"]
    ours = DIALECTS["florence2"].parse(text, BIG)
    assert [found["cat_name"] for found in theirs] == [span.of(CAPTION) for span, _ in grounded]
    assert [found["cat_name"] for found in theirs] == [g.phrase for g in ours.groundings]
    for found, grounding in zip(theirs, ours.groundings, strict=True):
        for pixels, box in zip(found["bbox"], grounding.boxes, strict=True):
            assert [round(v * 10**6) for v in box] == pytest.approx(pixels, abs=1)


def test_florence2_rounds_boxes_as_we_do(florence2: Any) -> None:
    import torch

    rng = random.Random(3)
    boxes = [box for _ in range(50) for box in some_boxes(rng)]
    pixels = torch.tensor([[v * 10**6 for v in box] for box in boxes], dtype=torch.float64)
    theirs = florence2.quantize(pixels, BIG).tolist()
    text = DIALECTS["florence2"].encode_boxes(boxes, BIG)
    assert text == "".join(f"<loc_{v}>" for box in theirs for v in box)


def test_qwen_resizes_as_we_do() -> None:
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    rng = random.Random(5)
    for _ in range(2000):
        width, height = rng.randint(1, 5000), rng.randint(1, 5000)
        if max(width, height) <= 200 * min(width, height):
            theirs = module.smart_resize(height, width, 28, 56 * 56, 28 * 28 * 1280)
            assert smart_resize((width, height)) == theirs[::-1]


def test_of_broken_text_we_read_all_that_kosmos2_reads(kosmos2: Any) -> None:
    rng = random.Random(7)

    def piece() -> str:
        cells = [f"<patch_index_{rng.randrange(1024):04d}>" for _ in range(2)]
        box, phrase = "".join(cells), f"<phrase> {rng.choice(['a dog', 'two cats'])}</phrase>"
        group = f"<object>{box}</object>"
        broken = ["<phrase>", "</phrase>", "<object>", "</object>", cells[0], box, "</s>", " runs", "."]
        return rng.choice([phrase, group, phrase + group, phrase + group, rng.choice(broken)])

    read = 0
    for _ in range(3000):
        text = "".join(piece() for _ in range(rng.randint(1, 8)))
        _, entities = kosmos2.clean_text_and_extract_entities_with_bboxes(text)
        ours = DIALECTS["kosmos2"].parse(text, PHOTO)
        by_phrase = [(g.phrase, tuple(box)) for g in ours.groundings for box in g.boxes]
        for phrase, _, corners in entities:
            for box in corners:
                if Box(*box).is_valid:
                    read += 1
                    assert tuple(box) in [found for _, found in by_phrase]
                    assert phrase.startswith("<patch") or (phrase, tuple(box)) in by_phrase
    assert read > 1000
