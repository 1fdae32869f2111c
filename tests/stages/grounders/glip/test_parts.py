"""Parts worked out by hand, where they do not show in the whole."""

import pytest
import torch
from torch.nn import functional as F

from gritmill.schemas import boxes as scalar
from gritmill.schemas.boxes import Box
from gritmill.stages.grounders.glip.anchors import anchor_centers, decoded
from gritmill.stages.grounders.glip.bert import LIMIT, clamped
from gritmill.stages.grounders.glip.deform import deform_conv, output_size
from gritmill.stages.grounders.glip.dyhead import as_stored
from gritmill.stages.grounders.glip.fusion import BiAttention
from gritmill.stages.grounders.glip.head import Level
from gritmill.stages.grounders.glip.post import MAX_IOU, detections, suppressed

IMAGE = torch.arange(1.0, 13).reshape(1, 1, 3, 4)
"""
 1  2  3  4
 5  6  7  8
 9 10 11 12
"""


def read(down, right, gain=1.0, stride=1):
    """What a kernel reads that has nothing but its middle tap, moved everywhere by the same."""
    size = output_size(IMAGE, stride)
    offset = torch.zeros(1, 18, *size)
    offset[:, 8], offset[:, 9] = down, right  # the fifth of nine taps
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 1, 1] = 1
    out = deform_conv(IMAGE, offset, torch.full((1, 9, *size), gain), weight, torch.zeros(1), stride)
    return out[0, 0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"down": 0, "right": 0}, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]),
        ({"down": 1, "right": 0}, [[5, 6, 7, 8], [9, 10, 11, 12], [0, 0, 0, 0]]),
        ({"down": 0, "right": -1}, [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]]),
        ({"down": 0, "right": 0.5}, [[1.5, 2.5, 3.5, 2], [5.5, 6.5, 7.5, 4], [9.5, 10.5, 11.5, 6]]),
        ({"down": -0.5, "right": 0}, [[0.5, 1, 1.5, 2], [3, 4, 5, 6], [7, 8, 9, 10]]),
        ({"down": 0, "right": 0, "gain": 0.5}, [[0.5, 1, 1.5, 2], [2.5, 3, 3.5, 4], [4.5, 5, 5.5, 6]]),
        ({"down": 0, "right": 0, "stride": 2}, [[1, 3], [9, 11]]),
        ({"down": 100, "right": -100}, [[0] * 4] * 3),
    ],
)
def test_taps_read_where_they_are_moved_to(arguments, expected):
    torch.testing.assert_close(read(**arguments), torch.tensor(expected).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (8, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_unmoved_taps_are_those_of_a_convolution(size, stride):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, *size), torch.randn(4, 3, 3, 3), torch.randn(4)
    out = output_size(x, stride)
    ours = deform_conv(x, torch.zeros(2, 18, *out), torch.ones(2, 9, *out), weight, bias, stride)
    torch.testing.assert_close(ours, F.conv2d(x, weight, bias, stride, padding=1), atol=1e-5, rtol=1e-5)


def test_offsets_of_a_finer_level_are_read_as_they_lie_in_memory():
    x = torch.arange(2 * 2 * 4.0).reshape(1, 2, 2, 4)  # two channels of eight values
    # The kernel, told of a 1x2 map, takes two values for each channel, from the beginning.
    assert as_stored(x, (1, 2)).tolist() == [[[[0, 1]], [[2, 3]]]]
    assert torch.equal(as_stored(x, (2, 4)), x)


def test_anchors_stand_in_the_middle_of_their_pixels():
    centers = anchor_centers(2, 3, 8, like=torch.zeros(1))
    assert centers.tolist() == [[3.5, 3.5], [11.5, 3.5], [19.5, 3.5], [3.5, 11.5], [11.5, 11.5], [19.5, 11.5]]


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ((0, 0, 0, 0), (-28, -28, 35, 35)),  # 64 pixels of which the last one belongs to the box
        ((10, -5, 0, 0), (36, -60, 99, 3)),  # moved by 64 and -32
        ((0, 0, 5 * 0.6931472, 0), (-60, -28, 67, 35)),  # twice as wide
        ((0, 0, 1000, 0), (3.5 - 1999.5, -28, 3.5 + 1999.5, 35)),  # 1000 / 16 times as wide at most
    ],
)
def test_boxes_are_differences_from_anchors(differences, expected):
    found = decoded(torch.tensor([differences]).float(), torch.tensor([[3.5, 3.5]]), 8)
    torch.testing.assert_close(found[0], torch.tensor(expected).float(), atol=1e-3, rtol=0)


def test_suppression_is_that_of_schemas_boxes():
    torch.manual_seed(1)
    corners = torch.rand(200, 2) * 0.5
    boxes = torch.cat([corners, corners + 0.1 + torch.rand(200, 2) * 0.4], dim=1)
    scores = (torch.rand(200) * 20).round() / 20  # with ties
    expected = scalar.nms([Box(*b) for b in boxes.tolist()], scores.tolist(), MAX_IOU)
    assert len(expected) < 150
    assert suppressed(boxes, scores, most=1000) == expected
    assert suppressed(boxes, scores, most=7) == expected[:7]
    assert suppressed(boxes[:0], scores[:0], most=7) == []


def answers(*places, tokens=3):
    """Levels of one place each, of which the first ones say something: (logits of tokens, centredness)."""
    silent = ((-50.0,) * tokens, 0.0)
    return [
        Level(torch.tensor([[logits]]), torch.zeros(1, 1, 4), torch.tensor([[centred]]), (1, 1))
        for logits, centred in [*places, *[silent] * (5 - len(places))]
    ]


def test_a_phrase_scores_the_mean_of_its_tokens_times_centredness():
    levels = answers(((0.0, 50.0, -50.0), 0.0))
    one, two = detections(levels, 0, [[0], [1, 2]], (64, 64), most=10)
    # sqrt(0.5 * 0.5) and sqrt((1 + 0) / 2 * 0.5)
    assert one.scores.tolist() == two.scores.tolist() == [pytest.approx(0.5)]
    assert one.boxes.tolist() == [[0, 0, 35, 35]], "cut at the image's border"


def test_candidates_are_chosen_by_their_phrase_alone():
    certain = ((50.0, -50.0, -50.0), -50.0)  # hardly centred, but a candidate all the same
    doubtful = ((-3.0, -50.0, -50.0), 50.0)  # sigmoid(-3) = 0.047
    (found,) = detections(answers(certain, doubtful), 0, [[0]], (4000, 4000), most=10)
    assert found.scores.tolist() == [pytest.approx(0, abs=1e-6)]


def test_only_the_best_of_a_phrase_are_given():
    levels = answers(((1.0, 0.0, 0.0), 0.0), ((2.0, 0.0, 0.0), 0.0), ((3.0, 0.0, 0.0), 0.0))
    (found,) = detections(levels, 0, [[0]], (4000, 4000), most=2)
    # The anchors of the third and the second level: 256 and 128 pixels around 15.5 and 7.5.
    assert found.boxes[:, 2].tolist() == [143, 71]
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_values_that_run_away_are_held():
    assert clamped(torch.tensor([1e9, -1e9, 3.0])).tolist() == [LIMIT, -LIMIT, 3]
    attention = BiAttention(8, 8, 16)
    with torch.no_grad():
        for projection in (attention.v_proj, attention.l_proj):
            projection.weight.fill_(1e15)
    places, text = attention(torch.ones(1, 4, 8), torch.ones(1, 3, 8), torch.tensor([[1, 1, 0]]))
    assert places.isfinite().all() and text.isfinite().all()


def test_the_image_does_not_see_padding_of_the_text():
    torch.manual_seed(0)
    attention = BiAttention(8, 8, 16)
    places, text = torch.randn(1, 5, 8), torch.randn(1, 4, 8)
    alone, _ = attention(places, text[:, :3], torch.ones(1, 3))
    padded, _ = attention(places, text, torch.tensor([[1, 1, 1, 0]]))
    torch.testing.assert_close(padded, alone)
