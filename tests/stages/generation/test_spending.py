"""What calls cost, over all times that a recipe is run."""

import asyncio
from pathlib import Path

import pytest

from gritmill.schemas.errors import UserError
from gritmill.stages.generation.spending import Account, Budget, OverBudgetError, Prices, Tokens

PRICES = Prices.model_validate({"in": 1, "out": 10})


def test_an_account_outlives_its_process(tmp_path: Path) -> None:
    account = Account.named(tmp_path, "grit")
    first = account.set_aside(Tokens(100, 50))
    account.set_aside(Tokens(200, 50))
    account.settle(first, Tokens(80, 10))
    assert (account.spent, account.aside) == (Tokens(80, 10), Tokens(200, 50))
    # Nobody knows what became of the call that was under way: it may have been paid for.
    again = Account.named(tmp_path, "grit")
    assert again.committed == account.committed == Tokens(280, 60)
    assert Account.named(tmp_path, "other").committed == Tokens(0, 0)


def test_an_unknown_cost_counts_in_full(tmp_path: Path) -> None:
    account = Account.named(tmp_path, "grit")
    account.settle(account.set_aside(Tokens(100, 50)), None)
    assert account.spent == Account.named(tmp_path, "grit").spent == Tokens(100, 50)


@pytest.mark.parametrize("line", ["{", "[]", '{"call":"x"}', '{"call":"never opened","cost":[1,2]}'])
def test_an_account_that_cannot_be_read_is_no_empty_one(tmp_path: Path, line: str) -> None:
    account = Account.named(tmp_path, "grit")
    account.file.write_text(line + "\n")
    with pytest.raises(UserError, match="what was spent is not known"):
        Account.named(tmp_path, "grit")


def test_a_call_that_does_not_fit_waits_for_those_under_way(tmp_path: Path) -> None:
    async def spend() -> list[str]:
        # 1,000 tokens out are 0.01: two calls fit at their longest, and many more at their real length.
        budget = Budget(Account.named(tmp_path, "grit"), PRICES, max_cost=0.02)
        log: list[str] = []

        async def call(number: int) -> None:
            name = await budget.set_aside(Tokens(0, 1000))
            log.append(f"begin {number}")
            await asyncio.sleep(0.001)
            budget.settle(name, Tokens(0, 100))
            log.append(f"end {number}")

        results = await asyncio.gather(*(call(n) for n in range(30)), return_exceptions=True)
        assert sum(isinstance(r, OverBudgetError) for r in results) == 30 - 11
        assert budget.spent == pytest.approx(0.011)
        return log

    log = asyncio.run(spend())
    # After ten short ones 0.01 is left: one more fits, and then none.
    assert sum(entry.startswith("end") for entry in log) == 11


def test_prices_are_written_as_in_and_out() -> None:
    assert PRICES.cost(Tokens(1_000_000, 100_000)) == 2
