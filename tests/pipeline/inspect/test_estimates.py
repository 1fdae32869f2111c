"""What a run's calls will cost, before any is made."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from gritmill.pipeline.engine.plan import Parts, make_plan
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.inspect.estimates import SAMPLES, cost_table, estimate_cost

Write = Callable[..., Path]
CONTEXT = ["image_check", "context: {boxes: none, min_captions: 1}"]


def cost_of(recipe: Path):
    job = load_recipe(str(recipe))
    return estimate_cost(make_plan(job, Parts.of(job.source.parts())))


def test_a_few_samples_stand_for_all(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody")
    asks = (
        "generate: {backend: openai, model: m, prompts: conversation, max_tokens: 100, "
        f"prices: {{in: 2, out: 8}}, replies: {tmp_path / 'replies'}}}"
    )
    source = "type: scenes, per: image, part_size: 50"
    some = cost_of(write_recipe(f"{source}, count: 100", [*CONTEXT, asks]))
    more = cost_of(write_recipe(f"{source}, count: 400", [*CONTEXT, asks]))
    assert some is not None and more is not None
    assert (some.calls, more.calls) == (100, 400)
    assert more.tokens_out == 4 * some.tokens_out == 400 * (some.tokens_out // 100)
    assert more.cost == pytest.approx((2 * more.tokens_in + 8 * more.tokens_out) / 1e6, rel=0.01)
    assert SAMPLES < 100
    assert not (tmp_path / "replies").exists() or not any((tmp_path / "replies").rglob("*.json"))

    console = Console(width=100)
    with console.capture() as shown:
        console.print(cost_table(more))
    assert f"{more.cost:,.2f}" in shown.get() and "400" in shown.get()


def test_without_calls_there_is_nothing_to_pay(write_recipe: Write) -> None:
    assert cost_of(write_recipe("type: scenes, count: 10", ["image_check"])) is None


def test_without_prices_the_tokens_are_told(write_recipe: Write) -> None:
    asks = "generate: {backend: echo, prompts: conversation}"
    cost = cost_of(write_recipe("type: scenes, per: image, count: 10", [*CONTEXT, asks]))
    assert cost is not None and cost.cost is None and cost.tokens_in > 0
