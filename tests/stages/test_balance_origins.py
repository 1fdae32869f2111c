import pytest

from gritmill.schemas.columns import Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.balance_origins import BalanceOrigins


def judged(parts, **options):
    """Parts of (key, origin) -> the keys that are kept, and the rejects by key."""
    stage = BalanceOrigins(**options)
    columns = [{"key": [k for k, _ in part], "origin": [o for _, o in part]} for part in parts]
    decisions = stage.decide([stage.sketch(part) for part in columns])
    kept, gone = [], {}
    for part, decision in zip(columns, decisions, strict=True):
        for key, lot in zip(part["key"], stage.process(part | decision)["lot"], strict=True):
            if isinstance(lot, Reject):
                gone[key] = lot
            else:
                kept.append(key)
    return kept, gone


PARTS = [
    [(f"a{i}", "a") for i in range(50)],
    [(f"b{i}", "b") for i in range(20)] + [(f"a{i}", "a") for i in range(50, 60)],
    [],
]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, (60, 20)),
        ({"most": {"a": 7}}, (7, 20)),
        ({"most": {"a": 0, "b": 99}}, (0, 20)),
        ({"shares": {"a": 1, "b": 1}}, (20, 20)),
        ({"shares": {"a": 0.9, "b": 0.1}}, (60, 6)),
        ({"shares": {"a": 1, "b": 3}, "most": {"b": 15}}, (5, 15)),
    ],
)
def test_numbers_are_exact(options, numbers):
    kept, gone = judged(PARTS, **options)
    assert tuple(sum(key.startswith(o) for key in kept) for o in "ab") == numbers
    assert len(kept) + len(gone) == 80


def test_who_goes_does_not_depend_on_the_parts_but_on_the_seed():
    kept, gone = judged(PARTS, most={"a": 7})
    assert set(gone.values()) == {Reject("origin_full", 60, 7)}
    one = [row for part in reversed(PARTS) for row in part]
    assert sorted(judged([one], most={"a": 7})[0]) == sorted(kept)
    assert sorted(judged(PARTS, most={"a": 7}, seed=1)[0]) != sorted(kept)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most": {"c": 1}}, "names c, which has no samples; there are: a, b"),
        ({"shares": {"a": 1}}, "gives no share to b; give one to every origin"),
    ],
)
def test_origins_that_are_not_there_are_a_sentence(options, message):
    with pytest.raises(UserError, match=message):
        judged(PARTS, **options)
