"""The square that a model sees, against what the makers' own code makes of the same image."""

import numpy as np
import pytest

from gritmill.schemas.boxes import Box
from gritmill.stages.segmenters.canvas import Canvas

SIZES = [(160, 90), (90, 160), (64, 64), (333, 250)]


@pytest.mark.parametrize("size", SIZES)
def test_sam_sees_what_its_own_processor_gives(size, noise) -> None:
    hf = pytest.importorskip("transformers", reason="needs the extra `grounders`")
    square = {"height": 128, "width": 128}
    processor = hf.SamImageProcessorPil(size={"longest_edge": 128}, pad_size=square)
    picture = noise(*size)
    theirs = processor(picture, return_tensors="np")["pixel_values"][0]
    assert np.allclose(Canvas(128).pixels(picture), theirs, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["Sam2ImageProcessor", "Sam3ImageProcessor"])
def test_sam_2_and_3_see_nearly_what_their_own_processors_give(kind, size, noise) -> None:
    pytest.importorskip("torchvision", reason="needs torchvision, which these processors are built on")
    hf = pytest.importorskip("transformers", reason="needs the extra `grounders`")
    processor = getattr(hf, kind)(size={"height": 128, "width": 128})
    picture = noise(*size)
    theirs = processor(picture, return_tensors="pt")["pixel_values"][0].numpy()
    ours = Canvas(128, True, tuple(processor.image_mean), tuple(processor.image_std)).pixels(picture)
    step = 1 / 255 / min(processor.image_std)
    assert np.abs(ours - theirs).max() < 1.01 * step  # rounding of a colour


@pytest.mark.parametrize("size", SIZES)
def test_masks_come_back_as_from_sam_s_own_processor(size) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra `grounders`")
    hf = pytest.importorskip("transformers", reason="needs the extra `grounders`")
    coarse = torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    low = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    square = {"height": 128, "width": 128}
    processor = hf.SamImageProcessorPil(size={"longest_edge": 128}, pad_size=square)
    shown = processor._get_preprocess_shape(size[::-1], 128)
    [theirs] = processor.post_process_masks([low], [size[::-1]], [shown], pad_size=square)
    ours = Canvas(128).on_image(low[0, 0].numpy(), *size) > 0
    assert ours.shape == size[::-1]
    assert (ours != theirs[0, 0].numpy()).mean() < 0.01


@pytest.mark.parametrize(
    ("canvas", "size", "corners"),
    [
        (Canvas(100, stretch=True), (200, 50), [10, 20, 50, 100]),
        (Canvas(100), (200, 50), [10, 5, 50, 25]),
        (Canvas(100), (50, 200), [2.5, 20, 12.5, 100]),
        (Canvas(100), (1000, 1), [10, 0.2, 50, 1]),
    ],
)
def test_boxes_go_where_the_image_lies(canvas, size, corners) -> None:
    found = canvas.corners([Box(0.1, 0.2, 0.5, 1.0)], *size)
    assert found.dtype == np.float32
    assert found.tolist() == [pytest.approx(corners)]
