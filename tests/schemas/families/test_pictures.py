"""A box drawn into an image lies in the model's picture where the geometry says."""

import pytest
from PIL import Image, ImageDraw

from gritmill.schemas.boxes import Box
from gritmill.schemas.dialects import CROP, PAD, STRETCH
from gritmill.schemas.families.pictures import picture

RED = (255, 0, 0)
BOX = Box(0.4, 0.25, 0.6, 0.75)


@pytest.mark.parametrize("geometry", [STRETCH, PAD, CROP], ids=lambda g: g.name)
@pytest.mark.parametrize("size", [(160, 80), (80, 160), (100, 100), (161, 80)])
@pytest.mark.parametrize("side", [None, 64])
def test_boxes_are_where_the_dialect_says(geometry, size, side):
    image = Image.new("RGB", size, (0, 0, 255))
    x1, y1, x2, y2 = BOX.scaled(*size)
    ImageDraw.Draw(image).rectangle((round(x1), round(y1), round(x2) - 1, round(y2) - 1), RED)
    shown = picture(image, geometry, side)
    assert side is None or shown.size == (side, side)
    red = shown.convert("RGB").point(lambda v: 255 * (v > 127)).getchannel("R")
    blue = shown.point(lambda v: 255 * (v > 127)).getchannel("B")
    found = Image.composite(Image.new("L", shown.size), red, blue).getbbox()
    expected = geometry.view(size).shown(BOX)
    width, height = shown.size
    assert found == pytest.approx(expected.scaled(width, height), abs=1.5)


def test_an_image_that_is_shown_whole_is_not_copied():
    image = Image.new("RGB", (30, 20))
    assert picture(image, STRETCH) is image
