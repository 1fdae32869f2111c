"""What calls cost, and a limit that is never exceeded.

Before a call, the most that it can cost is set aside; after it, what it did cost is booked instead. Both
are lines of an account: a file that is only ever appended to, so that a run which was killed finds what
it has spent, and takes for spent what it had set aside.

    {"call":"b01c...","most":[3120,1024]}                tokens in and out, set aside
    {"call":"b01c...","cost":[812,143]}                  what they were
"""

import asyncio
import hashlib
import json
import uuid
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from gritmill.schemas.errors import UserError


class Prices(BaseModel):
    """What a million tokens cost, in any currency: `{in: 2.5, out: 10}`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    tokens_in: float = Field(alias="in", ge=0, allow_inf_nan=False)
    tokens_out: float = Field(alias="out", ge=0, allow_inf_nan=False)

    def cost(self, tokens: "Tokens") -> float:
        return (tokens.tokens_in * self.tokens_in + tokens.tokens_out * self.tokens_out) / 1e6


class Tokens(NamedTuple):
    """In and out."""

    tokens_in: int
    tokens_out: int

    def plus(self, other: "Tokens") -> "Tokens":
        return Tokens(self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out)

    def minus(self, other: "Tokens") -> "Tokens":
        return Tokens(self.tokens_in - other.tokens_in, self.tokens_out - other.tokens_out)


NOTHING = Tokens(0, 0)


class OverBudgetError(Exception):
    """The next call might cost more than is left."""


class Account:
    """The calls of a recipe, over all times that it was run."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.spent = NOTHING
        """By calls that are settled."""
        self.aside = NOTHING
        """For calls that are under way, or were when an earlier run died."""
        self._open: dict[str, Tokens] = {}
        if file.exists():
            self._read()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._handle = file.open("ab", buffering=0)

    @classmethod
    def named(cls, replies: Path, name: str) -> "Account":
        """The account of this name, kept beside the replies."""
        return cls(replies / "accounts" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.jsonl")

    @property
    def committed(self) -> Tokens:
        """The most that can have been spent when all that is under way has ended."""
        return self.spent.plus(self.aside)

    def set_aside(self, most: Tokens, call: str | None = None) -> str:
        """Returns the name of the call, drawn if there is none."""
        call = call or uuid.uuid4().hex
        self._write({"call": call, "most": most})
        self._opened(call, most)
        return call

    def settle(self, call: str, cost: Tokens | None) -> None:
        """None where nobody will ever know the cost: then all that was set aside counts."""
        cost = self._open[call] if cost is None else cost
        self._write({"call": call, "cost": cost})
        self._closed(call, cost)

    def aside_for(self, call: str) -> Tokens:
        """What is set aside for a call; nothing once it is settled."""
        return self._open.get(call, NOTHING)

    def is_open(self, call: str) -> bool:
        """True for a call that was not settled yet, by this run or an earlier one."""
        return call in self._open

    def _opened(self, call: str, most: Tokens) -> None:
        self._open[call] = most
        self.aside = self.aside.plus(most)

    def _closed(self, call: str, cost: Tokens) -> None:
        self.aside = self.aside.minus(self._open.pop(call))
        self.spent = self.spent.plus(cost)

    def _write(self, entry: dict[str, object]) -> None:
        # One write for a line: no kill tears it.
        self._handle.write((json.dumps(entry, separators=(",", ":")) + "\n").encode())

    def _read(self) -> None:
        with self.file.open("rb") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                    if "most" in entry:
                        self._opened(str(entry["call"]), Tokens(*map(int, entry["most"])))
                    else:
                        self._closed(str(entry["call"]), Tokens(*map(int, entry["cost"])))
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(
                        f"{self.file} has a line that makes no sense, so what was spent is not known. "
                        "Mend the line, or remove the file to begin a new account."
                    ) from error


class Budget:
    """An account with a limit. Without a limit, calls are only booked."""

    def __init__(self, account: Account, prices: Prices | None = None, max_cost: float | None = None) -> None:
        self.account = account
        self.prices = prices
        self.max_cost = max_cost
        self._under_way = 0
        self._settled = asyncio.Event()

    @property
    def spent(self) -> float:
        return self.prices.cost(self.account.committed) if self.prices else 0.0

    def fits(self, most: Tokens) -> bool:
        """True if the limit holds whatever becomes of this call and all that are under way."""
        if self.max_cost is None or self.prices is None:
            return True
        return self.prices.cost(self.account.committed.plus(most)) <= self.max_cost

    async def set_aside(self, most: Tokens) -> str:
        """Waits for calls under way, which mostly cost less than was set aside for them.

        Raises `OverBudgetError` if the call does not fit when they have ended.
        """
        while not self.fits(most):
            if not self._under_way:
                raise OverBudgetError
            self._settled.clear()
            await self._settled.wait()
        self._under_way += 1
        return self.account.set_aside(most)

    def settle(self, call: str, cost: Tokens | None) -> None:
        """See `Account.settle`."""
        self.account.settle(call, cost)
        self._under_way -= 1
        self._settled.set()
