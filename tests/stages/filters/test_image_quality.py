import numpy as np
import pytest
from memory_images import MemoryImage, noise, stored
from PIL import Image, ImageFilter

from gritmill.schemas.columns import Reject
from gritmill.schemas.images import decode
from gritmill.stages.filters.image_quality import SIDE, ImageQuality, grey, laplacian, quality


def gradient(low=0, high=255, width=256, height=128):
    return Image.fromarray(np.tile(np.linspace(low, high, width).astype(np.uint8), (height, 1)))


def judged(image, **options):
    stage = ImageQuality(**options)
    found = stage.process({"image": [image]})
    row = [found[name][0] for name in stage.writes]
    return next((value for value in row if isinstance(value, Reject)), None)


def test_the_laplacian_is_that_of_the_definition():
    spot = np.zeros((5, 5), np.float32)
    spot[2, 2] = 1
    expected = np.zeros((5, 5))
    expected[2, 2] = -4
    expected[[1, 3, 2, 2], [2, 2, 1, 3]] = 1
    assert np.array_equal(laplacian(spot), expected)
    assert not laplacian(np.full((3, 4), 7, np.float32)).any()


@pytest.mark.parametrize(
    ("picture", "sharpness", "brightness", "clipped", "entropy"),
    [
        (Image.new("L", (64, 64), 0), 0.0, 0.0, 1.0, 0.0),
        (Image.new("L", (64, 64), 255), 0.0, 1.0, 1.0, 0.0),
        (Image.new("L", (64, 64), 102), 0.0, 0.4, 0.0, 0.0),
        (gradient(), None, 0.4981, 12 / 256, 8.0),
        (gradient(0, 255).point(lambda v: 255 * (v > 127)), None, 0.5, 1.0, 1.0),
        (Image.new("L", (1, 1), 102), 0.0, 0.4, 0.0, 0.0),
    ],
)
def test_measurements_are_those_of_the_definitions(picture, sharpness, brightness, clipped, entropy):
    found = quality(grey(stored(picture, "PNG")))
    assert sharpness is None or found.sharpness == sharpness
    assert found[1:] == pytest.approx((brightness, clipped, entropy), abs=0.003)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (noise(), None),
        (noise().filter(ImageFilter.GaussianBlur(8)), "blurred"),
        (noise().point(lambda v: v // 16), "dark"),
        (noise().point(lambda v: 240 + v // 16), "bright"),
        (noise().point(lambda v: 255 * (v > 127)), "clipped"),
        (noise().point(lambda v: v // 64 * 64), "plain"),
    ],
)
def test_each_fault_is_told_by_its_name(picture, reason):
    found = judged(stored(picture, "PNG"))
    assert (found and found.reason) == reason
    measured = judged(stored(picture, "PNG"), mode="measure")
    assert measured is None


def test_a_reason_carries_value_and_threshold():
    assert judged(stored(Image.new("L", (64, 64), 102), "PNG")) == Reject("blurred", 0.0, 30.0)
    only_plain = {"min_sharpness": None}
    assert judged(stored(Image.new("L", (64, 64), 102), "PNG"), **only_plain) == Reject("plain", 0.0, 3.0)


def test_large_images_are_measured_small(tmp_path):
    large = noise(2400, 1800)
    assert grey(stored(large)).shape == (384, SIDE)
    assert grey(stored(noise(100, 40))).shape == (40, 100)
    assert grey(stored(noise(3000, 1))).shape == (1, SIDE)
    # A JPEG is decoded at a fraction of its size, the same image as PNG at the whole; both say the same.
    decoded = decode(stored(large).read(), at_least=SIDE)
    assert min(decoded.size) >= SIDE and decoded.width < large.width
    whole = decode(stored(large).read())
    assert whole.size == large.size


def test_a_broken_image_raises_and_is_lost_alone_by_the_engine():
    with pytest.raises(OSError, match="truncated"):
        ImageQuality().process({"image": [MemoryImage(stored(noise()).data[:2000])]})


def test_photographs_pass_and_blurred_ones_do_not(coco_mini):
    photos = [MemoryImage(path.read_bytes()) for path in sorted((coco_mini / "images").glob("*.jpg"))]
    assert [photo for photo in photos if judged(photo)] == []
    blurred = [stored(decode(p.read()).filter(ImageFilter.GaussianBlur(4))) for p in photos[:20]]
    assert {getattr(judged(image), "reason", None) for image in blurred} == {"blurred"}
