import pytest

from gritmill.schemas.boxes import Box
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.dialects.ceiling import ceiling, ceiling_of


@pytest.mark.parametrize(
    ("side", "mean_iou", "at_50", "at_75"),
    [
        (0.03, 0.43, 0.28, 0.01),
        (0.05, 0.56, 0.70, 0.05),
        (0.08, 0.69, 0.97, 0.28),
        (0.10, 0.74, 1.00, 0.44),
        (0.20, 0.86, 1.00, 0.99),
        (0.50, 0.94, 1.00, 1.00),
    ],
)
def test_kosmos2_cannot_score_small_objects(side: float, mean_iou: float, at_50: float, at_75: float) -> None:
    """Measured before, independently, with other boxes."""
    measured = ceiling(DIALECTS["kosmos2"], side, boxes=2000)
    assert measured.mean_iou == pytest.approx(mean_iou, abs=0.02)
    assert measured.at_50 == pytest.approx(at_50, abs=0.04)
    assert measured.at_75 == pytest.approx(at_75, abs=0.05)


@pytest.mark.parametrize(("side", "mean_iou"), [(0.03, 0.968), (0.05, 0.981), (0.1, 0.990), (0.5, 0.998)])
@pytest.mark.parametrize("name", ["florence2", "digits", "qwen3_vl", "pink"])
def test_a_thousand_bins_keep_nearly_all(name: str, side: float, mean_iou: float) -> None:
    assert ceiling(DIALECTS[name], side).mean_iou == pytest.approx(mean_iou, abs=0.003)


def test_what_is_cropped_away_is_lost() -> None:
    left, middle = (Box(0, 0, 0.1, 1), (640, 480)), (Box(0.4, 0.3, 0.6, 0.7), (640, 480))
    assert ceiling_of(DIALECTS["kosmos2_paper"], [left, middle]).at_75 == 0.5
    assert ceiling_of(DIALECTS["shikra"], [left, middle]).at_90 == 1.0


def test_the_same_every_time() -> None:
    assert ceiling(DIALECTS["kosmos2"], 0.1) == ceiling(DIALECTS["kosmos2"], 0.1)
