"""The order of a training: every sample once an epoch, shares kept, the same again after a break."""

import hashlib
from collections import Counter
from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import CurriculumStep
from gritmill.trainer.data.order import TrainingOrder, interleaved


def order(sizes: list[int], weights: list[float], steps: int, batch: int = 1, **options) -> TrainingOrder:
    boxes = [np.arange(size) % 7 for size in sizes]
    return TrainingOrder(boxes, weights, steps, batch, **options)


def test_each_sample_comes_once_an_epoch_in_another_order() -> None:
    numbers = list(order([50], [1], 150))
    epochs = [numbers[i : i + 50] for i in (0, 50, 100)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(50)]}) == 4


def test_the_length_is_that_of_the_training() -> None:
    made = order([3], [1], steps=7, batch=4)
    assert len(made) == len(list(made)) == 28


@given(
    weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=6),
    start=st.integers(0, 10**9),
    length=st.integers(0, 500),
)
def test_every_source_has_its_share_at_any_time(weights: list[float], start: int, length: int) -> None:
    source, before = interleaved(weights, start, start + length)
    drawn = np.bincount(source, minlength=len(weights))
    for which, weight in enumerate(weights):
        turns = before[source == which]
        assert turns.tolist() == list(range(turns[0], turns[0] + drawn[which])) if len(turns) else True
        if len(turns):
            due = (start + np.flatnonzero(source == which)) * weight / sum(weights)
            assert np.abs(turns - due).max() <= (1 if len(weights) == 2 else 2)


def test_the_mixture_keeps_its_weights_and_its_epochs() -> None:
    numbers = list(order([10, 1000, 30], [1, 2, 0.5], 700))
    which = Counter(np.searchsorted([10, 1010], numbers, side="right").tolist())
    assert which == {0: 200, 1: 400, 2: 100}
    small = [n for n in numbers if n < 10]
    assert all(sorted(small[i : i + 10]) == list(range(10)) for i in range(0, 200, 10))
    assert len({n for n in numbers if 10 <= n < 1010}) == 400


def test_the_curriculum_allows_only_easy_samples_at_first() -> None:
    steps = [CurriculumStep(until=0.25, max_boxes=1), CurriculumStep(until=0.5, max_boxes=3)]
    made = order([70, 7], [1, 1], steps=100, batch=4, curriculum=steps)
    boxes = np.concatenate([np.arange(70) % 7, np.arange(7)])[list(made)]
    assert len(boxes) == 400
    assert (boxes[:100].max(), boxes[100:200].max(), boxes[200:].max()) == (1, 3, 6)
    assert sorted({*list(made)[:40]} & set(range(70))) == [n for n in range(70) if n % 7 <= 1]


def test_a_dataset_without_easy_samples_waits() -> None:
    boxes = [np.array([1, 2, 3]), np.array([5, 6]), np.array([1, 1])]
    steps = [CurriculumStep(until=0.5, max_boxes=1)]
    made = list(TrainingOrder(boxes, [1, 2, 1], steps=16, batch=1, curriculum=steps))
    assert Counter(made[:8]) == {0: 4, 5: 2, 6: 2}
    assert sum(number in (3, 4) for number in made[8:]) == 4
    with pytest.raises(UserError, match="no sample has 0 boxes or fewer"):
        TrainingOrder(boxes, [1, 2, 1], 16, 1, [CurriculumStep.model_construct(until=0.5, max_boxes=0)])


def test_the_seed_decides_and_nothing_else() -> None:
    def made(seed: int) -> list[int]:
        return list(order([40, 9], [1, 0.3], 200, seed=seed))

    assert made(0) == made(0) != made(1)
    # Written down, so that no machine, release or day makes it another one.
    digest = hashlib.sha256(np.array(made(0), "<i8").tobytes()).hexdigest()
    assert digest == "c3288daefe8589ca7e0529549b9403ff7ba0129b5d399c4acb2ba0ad35a37443"


@pytest.mark.parametrize("start", [0, 1, 999, 70_000, 131_072, 199_990])
def test_it_goes_on_anywhere(start: int) -> None:
    steps = [CurriculumStep(until=0.4, max_boxes=2)]
    made = order([1000, 333], [1, 0.7], 100_000, 2, curriculum=steps)
    expected = list(islice(made, start, start + 10))
    assert (
        order([1000, 333], [1, 0.7], 100_000, 2, curriculum=steps).numbers(start, start + 10).tolist()
        == expected
    )


@pytest.mark.parametrize("split", [False, True])
def test_ranks_share_each_step(split: bool) -> None:
    data_loader = pytest.importorskip("accelerate.data_loader")
    world, size = 4, 2
    made = order([64], [1], steps=8, batch=world * size)
    batches = BatchSampler(made, world * size if split else size, drop_last=False)
    ranks = [
        list(data_loader.BatchSamplerShard(batches, world, rank, split_batches=split))
        for rank in range(world)
    ]
    steps = [list(chain.from_iterable(parts)) for parts in zip(*ranks, strict=True)]
    assert list(chain.from_iterable(steps)) == list(made)
    assert all(len({*step}) == world * size for step in steps)
    seen = [{n for batch in rank for n in batch} for rank in ranks]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 64
