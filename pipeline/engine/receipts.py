"""What is known of a finished task, and the sum over all of them: the funnel."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Receipt:
    """How one part fared in one step. It lies in the result's own file.

    >>> Receipt("noun_chunks", "5f0c", 1000, 990, {"no_noun_chunk": 9}, {"ValueError": 1}, 1.3, {}, {})
    """

    step: str
    part: str
    rows_in: int
    rows_out: int
    rejected: dict[str, int]
    """Rows dropped on purpose, by reason."""
    failed: dict[str, int]
    """Rows dropped because something raised, by exception."""
    seconds: float
    versions: dict[str, str]
    """What did it: models, libraries, prompt files."""
    details: dict[str, int | str]
    """Whatever else a step measured, such as bytes written."""
    passed: dict[str, int] = field(default_factory=dict)
    """Of the rows out those to which the step had nothing to append, by reason."""

    def __post_init__(self) -> None:
        out = self.rows_out + sum(self.rejected.values()) + sum(self.failed.values())
        if out != self.rows_in:
            raise AssertionError(
                f"{self.step}, part {self.part}: {self.rows_in} rows in, {out} accounted for"
            )

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Receipt":
        return cls(**json.loads(text))


@dataclass
class Total:
    """One step of the funnel: the sum of its receipts."""

    parts: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, receipt: Receipt) -> None:
        self.parts += 1
        self.rows_in += receipt.rows_in
        self.rows_out += receipt.rows_out
        self.rejected.update(receipt.rejected)
        self.failed.update(receipt.failed)
        self.passed.update(receipt.passed)
        self.seconds += receipt.seconds

    @property
    def failures(self) -> int:
        return self.failed.total()

    def reasons(self) -> list[tuple[str, int]]:
        """Why rows went, most frequent first; failures are marked as such."""
        reasons = Counter(self.rejected) + Counter({f"failed: {k}": n for k, n in self.failed.items()})
        return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def total(receipts: Iterable[Receipt]) -> Total:
    result = Total()
    for receipt in receipts:
        result.add(receipt)
    return result
