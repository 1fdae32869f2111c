"""The original segment-anything: its builder at a tiny width, its .pth, its predictor to compare with."""

import hashlib
import pickle

import numpy as np
import pytest

from gritmill.schemas.errors import UserError
from gritmill.stages.segmenters import segment_anything as ours
from gritmill.stages.segmenters.segment_anything import SegmentAnythingSegmenter

torch = pytest.importorskip("torch", reason="needs the extra `sam`")
pytest.importorskip("torchvision", reason="needs torchvision, which segment-anything imports")
theirs = pytest.importorskip("segment_anything", reason="needs the extra `sam`")
pytest.importorskip("pycocotools", reason="needs the extra `masks`")

BOXES = [(0.1, 0.2, 0.6, 0.9), (0.4, 0.1, 0.9, 0.5)]
WIDTH = 32


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint of a model a hundredth as large as ViT-B, whose width is known to both."""
    from segment_anything.build_sam import _build_sam

    def tiny(checkpoint=None):
        return _build_sam(WIDTH, 2, 2, [1], checkpoint)

    monkeypatch.setitem(theirs.sam_model_registry, "vit_tiny", tiny)
    monkeypatch.setitem(ours.WIDTHS, WIDTH, "vit_tiny")
    torch.manual_seed(0)
    path = tmp_path / "sam_vit_tiny.pth"
    torch.save(tiny().state_dict(), path)
    return path


def loaded(path) -> SegmentAnythingSegmenter:
    stage = SegmentAnythingSegmenter(checkpoint=str(path))
    assert stage.problems() == []
    stage.setup()
    return stage


@pytest.mark.parametrize("size", [(640, 400), (400, 640)])
def test_masks_are_those_of_its_own_predictor(size, checkpoint, encoded, noise, rows) -> None:
    picture = noise(*size)
    [masks] = loaded(checkpoint).process(rows((encoded(picture), BOXES)))["masks"]
    predictor = theirs.SamPredictor(theirs.sam_model_registry["vit_tiny"](checkpoint))
    predictor.set_image(np.asarray(picture))
    for mask, box in zip(masks, BOXES, strict=True):
        corners = np.array(box) * [*size, *size]
        wanted, scores, _ = predictor.predict(box=corners, multimask_output=False)
        assert mask.score == pytest.approx(float(scores[0]), abs=1e-4)
        assert (mask.pixels() != wanted[0]).mean() < 0.01
        assert mask.model.startswith("sam_vit_tiny.pth@")


class Bomb:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK not really", "cannot be read"),
        (pickle.dumps({"x": Bomb()}), "cannot be read"),
        ({"backbone.weight": torch.zeros(3)}, "holds no SAM of a size that is known"),
        ({ours.WIDTH_KEY: torch.zeros(999, 3, 16, 16)}, "holds no SAM of a size that is known"),
        ({ours.WIDTH_KEY: torch.zeros(WIDTH, 3, 16, 16)}, "is no whole SAM"),
    ],
    ids=["broken", "code", "another model", "another size", "not whole"],
)
def test_a_file_that_is_no_sam_is_one_sentence(content, message, checkpoint, capsys) -> None:
    if isinstance(content, bytes):
        checkpoint.write_bytes(content)
    else:
        torch.save(content, checkpoint)
    with pytest.raises(UserError, match=message) as raised:
        SegmentAnythingSegmenter(checkpoint=str(checkpoint)).setup()
    assert "\n" not in str(raised.value)
    assert "ran" not in capsys.readouterr().out


def test_the_digest_may_be_pinned(checkpoint) -> None:
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    pinned = SegmentAnythingSegmenter(checkpoint=str(checkpoint), sha256=digest)
    assert pinned.problems() == [] and [weights.unpinned for weights in pinned.needed_weights()] == [""]
    other = SegmentAnythingSegmenter(checkpoint=str(checkpoint), sha256="0" * 64)
    [problem] = other.problems()
    assert f"has the SHA-256 {digest}, but sha256 is 000" in problem and "\n" not in problem
    with pytest.raises(UserError, match="but sha256 is 000"):
        other.setup()


def test_a_cut_file_is_one_sentence(checkpoint) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-2000])
    with pytest.raises(UserError, match="cannot be read"):
        SegmentAnythingSegmenter(checkpoint=str(checkpoint)).setup()
