"""The perceptual hash and the search for near ones."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from gritmill.pipeline.sources.scenes import ScenesSource, draw
from gritmill.stages.dedup.components import Components
from gritmill.stages.dedup.images import PerceptualImages
from gritmill.stages.dedup.perceptual import (
    MAX_RADIUS,
    RADIUS,
    Hashes,
    as_hashes,
    distance,
    hash_of_picture,
    mirrored,
    near_pairs,
    perceptual_hash,
)

SCENES = ScenesSource(type="scenes", count=20, seed=3)._series().uri()


def picture(index: int) -> Image.Image:
    return Image.open(io.BytesIO(draw(SCENES, index))).convert("RGB")


def hashes_of(pictures: list[Image.Image]) -> Hashes:
    return as_hashes([found for one in pictures if (found := hash_of_picture(one))])


@pytest.mark.parametrize(
    ("change", "most"),
    [
        pytest.param(lambda image: image.resize((image.width * 2, image.height * 2)), 6, id="twice the size"),
        pytest.param(lambda image: image.resize((100, 100)), 10, id="another shape"),
        pytest.param(lambda image: ImageEnhance.Brightness(image).enhance(0.8), 10, id="darker"),
        pytest.param(lambda image: image.convert("L"), 2, id="grey"),
        pytest.param(lambda image: image.crop((2, 2, image.width - 2, image.height - 2)), 20, id="cropped"),
    ],
)
def test_a_changed_image_keeps_most_of_its_bits(change, most):
    pictures = [picture(i) for i in range(12)]
    moved = distance(hashes_of(pictures), hashes_of([change(one) for one in pictures]))
    assert moved.max() <= most


def test_other_images_differ_in_many_bits():
    hashes = hashes_of([picture(i) for i in range(20)])
    apart = [distance(hashes[i], hashes[j]) for i in range(20) for j in range(i)]
    assert min(apart) > RADIUS


def test_the_mirrored_hash_is_that_of_the_mirrored_image():
    pictures = [picture(i) for i in range(12)]
    turned = hashes_of([ImageOps.mirror(one) for one in pictures])
    assert distance(mirrored(hashes_of(pictures)), turned).max() <= 5
    assert distance(hashes_of(pictures), turned).min() > RADIUS


@pytest.mark.parametrize(
    "plain",
    [
        Image.new("RGB", (300, 200), "white"),
        Image.new("RGB", (64, 64), (12, 200, 90)),
        Image.linear_gradient("L").convert("RGB"),
    ],
    ids=["white", "green", "gradient"],
)
def test_what_shows_nothing_has_no_hash(plain):
    assert hash_of_picture(plain) is None


def test_a_hash_is_the_same_for_bytes_and_picture():
    data = draw(SCENES, 0)
    found = perceptual_hash(data)
    assert found == hash_of_picture(picture(0))
    assert found is not None
    assert len(found) == 16
    with pytest.raises(OSError, match="not an image"):
        perceptual_hash(b"no image")


@pytest.mark.parametrize("radius", [0, 3, 7, 15, 16, MAX_RADIUS])
def test_pairs_are_those_of_an_exhaustive_search(radius):
    rng = np.random.default_rng(radius)
    centres = rng.integers(0, 2**63, (40, 2), np.uint64)
    hashes = np.repeat(centres, 8, axis=0)
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    for row in bits:
        row[rng.choice(128, rng.integers(0, 16), replace=False)] ^= 1
    hashes = np.packbits(bits, axis=1).view(np.uint64)
    queries = hashes[::3].copy()
    found = [pair for i, j in near_pairs(queries, hashes, radius) for pair in zip(i.tolist(), j.tolist())]
    expected = {
        (i, j)
        for i in range(len(queries))
        for j in range(len(hashes))
        if distance(queries[i], hashes[j]) <= radius
    }
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert len(expected) > len(queries) or radius == 0


def near_one(count, most, seed):
    """Hashes that differ from one in up to so many bits."""
    rng = np.random.default_rng(seed)
    centre = rng.integers(0, 2, 128, np.uint8)
    flips = rng.random((count, 128)).argsort(axis=1) < rng.integers(0, most + 1, (count, 1))
    return np.packbits(centre ^ flips, axis=1).view(np.uint64)


@pytest.mark.parametrize("most", [6, 14, 22])
@pytest.mark.parametrize("radius", [3, 7, 15, 18])
def test_components_are_those_of_all_pairs(radius, most):
    hashes = np.concatenate([near_one(150, most, seed) for seed in range(5)])
    apart = np.array([distance(one, hashes) for one in hashes])
    expected, found = Components(len(hashes)), Components(len(hashes))
    expected.join(*np.nonzero(apart <= radius))
    PerceptualImages(radius=radius, mirrored=False).join_near(hashes.view(np.uint8), found)
    assert found.all().tolist() == expected.all().tolist()


def test_a_crowd_of_near_images_ends_in_good_time():
    hashes = np.unique(near_one(10_000, 8, 0), axis=0)
    assert len(hashes) > 7_000
    components = Components(len(hashes))
    PerceptualImages().join_near(hashes.view(np.uint8), components)
    assert len(set(components.all().tolist())) == 1


def test_no_hashes_have_no_pairs():
    none = as_hashes([])
    assert [len(i) for i, _ in near_pairs(none, none)] in ([], [0] * 8 * 17)


def test_a_radius_beyond_reach_is_refused():
    with pytest.raises(ValueError, match="between 0 and 23"):
        next(near_pairs(as_hashes([]), as_hashes([]), 24))
