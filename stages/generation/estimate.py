"""What a stage's calls will cost, before any is made."""

from typing import NamedTuple


class Estimate(NamedTuple):
    """For the samples that it was made from.

    >>> Estimate(calls=100, tokens_in=81_200, tokens_out=14_300, cost=0.346)
    """

    calls: int
    """Requests whose reply is not kept already."""
    tokens_in: int
    tokens_out: int
    cost: float | None
    """None where the recipe gives no prices."""
