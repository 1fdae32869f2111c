"""Floors of recall and precision on planted duplicates; tests/bench/planted_duplicates.py has the tables."""

import pytest

from gritmill.stages.dedup.captions import ExactCaptions, MinHashCaptions
from gritmill.stages.dedup.images import EmbeddingImages, ExactImages, PerceptualImages
from tests.bench.planted_duplicates import (
    CAPTION_CHANGES,
    IMAGE_CHANGES,
    SAME,
    Planted,
    planted_captions,
    planted_images,
    score,
)


@pytest.fixture(scope="module")
def images() -> Planted:
    return planted_images(108, seed=1, size=160)


@pytest.fixture(scope="module")
def captions() -> Planted:
    return planted_captions(1400, seed=1)


def test_exact_images(images):
    found = score(ExactImages(), images, part_size=50)
    assert found.recall == {SAME: 1.0} | dict.fromkeys(IMAGE_CHANGES, 0.0)
    assert found.precision == 1.0


def test_perceptual_images(images):
    found = score(PerceptualImages(), images, part_size=50)
    # The 6 copies of each change: one of them may show too little to have a hash.
    assert {change: recall for change, recall in found.recall.items() if recall < 0.8} == {}
    assert sum(found.recall.values()) / len(found.recall) >= 0.95
    assert found.precision >= 0.95


def test_mirror_images_alone_are_left_without_the_option(images):
    found = score(PerceptualImages(mirrored=False), images, part_size=50)
    assert found.recall["mirrored"] == 0
    assert found.recall["cropped by 2 %"] >= 0.8
    assert found.precision == 1.0


def test_embeddings(images, tmp_path):
    """Random weights see only how alike pictures are, which is enough for what hardly changes them."""
    pytest.importorskip("faiss")
    from tiny_clip import save_clip

    stage = EmbeddingImages(model=str(save_clip(tmp_path)), min_cosine=0.9995, device="cpu")
    found = score(stage, images, part_size=50)
    assert min(found.recall[change] for change in (SAME, "recompressed at 40", "resized to 3/2")) >= 0.8


def test_exact_captions(captions):
    found = score(ExactCaptions(), captions, part_size=500)
    assert found.recall["case and punctuation"] == 1.0
    assert max(recall for change, recall in found.recall.items() if change != "case and punctuation") < 0.1
    assert found.precision == 1.0


@pytest.mark.parametrize(
    ("min_jaccard", "recall", "precision"),
    [(0.8, dict.fromkeys(CAPTION_CHANGES, 0.95), 0.9), (0.9, {"another article": 0.95}, 0.98)],
)
def test_minhash_captions(captions, min_jaccard, recall, precision):
    found = score(MinHashCaptions(min_jaccard=min_jaccard), captions, part_size=500)
    assert {
        change: found.recall[change] for change, least in recall.items() if found.recall[change] < least
    } == {}
    assert found.precision >= precision
