from gritmill import AtMost, Columns, Filter


class Capitals(Filter):
    """Caption -> its share of capital letters; drops what is shouted.

    "A DOG" -> Reject("shouted", 1.0, 0.5)
    """

    reads = ("caption",)
    writes = {"capitals": float}
    bounds = (AtMost("capitals", "max_capitals", "shouted"),)

    max_capitals: float | None = 0.5
    """Largest share of capitals that a caption may have; null for any."""

    def measure(self, batch: Columns) -> Columns:
        letters = [[c for c in caption if c.isalpha()] for caption in batch["caption"]]
        return {"capitals": [sum(map(str.isupper, found)) / max(1, len(found)) for found in letters]}
