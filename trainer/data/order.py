"""Which sample comes when in a whole training: decided by numbers alone, so that any of it can be repeated.

order = TrainingOrder([dataset.boxes], [1.0], steps=1000, batch=64, seed=0)
DataLoader(Mixture([dataset]), sampler=order, batch_size=64)
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import CurriculumStep

_BLOCK = 2**16


class _Phase(NamedTuple):
    """A part of the training in which the same samples may be drawn."""

    start: int
    """Its first sample, counted from the training's beginning."""
    stop: int
    allowed: list[np.ndarray]
    """Of each dataset, the numbers of its samples in the mixture."""
    weights: list[float]
    """How often each is drawn; 0 for one that has none of them."""


class TrainingOrder(Sampler[int]):
    """The numbers, in a `Mixture`, of all samples of a training: `steps` times `batch` of them.

    `boxes` holds, for each dataset, the boxes of each sample; `weights`, how often each is drawn;
    `batch`, the samples of an optimiser's step on all devices. Each dataset passes in a new order every
    time, all of it before any sample comes again; a step of the curriculum begins anew with the samples
    that it allows. Of two datasets each has its share of any beginning within one sample. Is a function
    of the arguments alone, so that a training goes on by leaving out what it has seen, which takes a
    second for ten million samples. Raises `UserError` for a curriculum that leaves nothing.
    """

    def __init__(
        self,
        boxes: Sequence[np.ndarray],
        weights: Sequence[float],
        steps: int,
        batch: int,
        curriculum: Sequence[CurriculumStep] = (),
        seed: int = 0,
    ) -> None:
        self.seed = seed
        self.total = steps * batch
        limits: list[tuple[int, int | None]] = [
            (round(step.until * steps) * batch, step.max_boxes) for step in curriculum
        ]
        limits.append((self.total, None))
        self._phases: list[_Phase] = []
        self._permutations: dict[int, tuple[tuple[int, int], np.ndarray]] = {}
        start = 0
        for stop, most in limits:
            if stop > start:
                self._phases.append(_phase(start, stop, boxes, weights, most))
                start = stop

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[int]:
        for start in range(0, self.total, _BLOCK):
            yield from self.numbers(start, min(start + _BLOCK, self.total)).tolist()

    def numbers(self, start: int, stop: int) -> np.ndarray:
        """Those of the samples `start` to `stop` of the training, int64."""
        parts = [np.empty(0, np.int64)]
        for number, phase in enumerate(self._phases):
            first, last = max(start, phase.start), min(stop, phase.stop)
            if first < last:
                parts.append(self._of_phase(number, first - phase.start, last - phase.start))
        return np.concatenate(parts)

    def _of_phase(self, number: int, start: int, stop: int) -> np.ndarray:
        phase = self._phases[number]
        dataset, draw = interleaved(phase.weights, start, stop)
        drawn = np.empty(stop - start, np.int64)
        for which in np.unique(dataset).tolist():
            here = np.flatnonzero(dataset == which)
            epoch, place = np.divmod(draw[here], len(phase.allowed[which]))
            for turn in np.unique(epoch).tolist():
                now = epoch == turn
                drawn[here[now]] = self._permutation(number, which, turn)[place[now]]
        return drawn

    def _permutation(self, phase: int, dataset: int, epoch: int) -> np.ndarray:
        """That of an epoch of a dataset. The last one is kept, for blocks that follow each other."""
        known, permutation = self._permutations.get(dataset, (None, None))
        if permutation is None or known != (phase, epoch):
            text = f"{self.seed}:{dataset}:{phase}:{epoch}"
            seed = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32)
            # The one generator whose numbers numpy promises never to change (NEP 19).
            permutation = np.random.RandomState(seed).permutation(self._phases[phase].allowed[dataset])
            self._permutations[dataset] = ((phase, epoch), permutation)
        return permutation


def interleaved(weights: Sequence[float], start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of several sources has its turn, and for how many times before, at `start` to `stop`.

    Of n turns the first source has had its share, rounded; of those that are left to the others the
    second has had its share, rounded; and so on.

    >>> interleaved([3, 1], 0, 8)
    (array([0, 0, 1, 0, 0, 0, 1, 0]), array([0, 1, 0, 2, 3, 4, 1, 5]))
    """
    turn = np.arange(start, stop)
    source, before = np.empty_like(turn), np.empty_like(turn)
    undecided = np.arange(stop - start)
    *others, last = [which for which, weight in enumerate(weights) if weight]
    for which in others:
        share = weights[which] / sum(weights[which:])
        had, has = (np.floor(t * share + 0.5).astype(np.int64) for t in (turn, turn + 1))
        taken = has > had
        source[undecided[taken]], before[undecided[taken]] = which, had[taken]
        undecided, turn = undecided[~taken], (turn - had)[~taken]
    source[undecided], before[undecided] = last, turn
    return source, before


def _phase(
    start: int, stop: int, boxes: Sequence[np.ndarray], weights: Sequence[float], most: int | None
) -> _Phase:
    allowed, first = [], 0
    for of_dataset in boxes:
        fits = np.arange(len(of_dataset)) if most is None else np.flatnonzero(of_dataset <= most)
        allowed.append(fits + first)
        first += len(of_dataset)
    there = [weight if len(fits) else 0.0 for weight, fits in zip(weights, allowed, strict=True)]
    if not any(there):
        raise UserError(f"no sample has {most} boxes or fewer; raise max_boxes of the curriculum's step.")
    return _Phase(start, stop, allowed, there)
