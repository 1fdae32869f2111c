"""Digests of plain data, and what is written down of an identity."""

import pytest

from gritmill.pipeline.engine.identity import Code, Identity, digest


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), "4f53cda18c2baa0c"),
        (("a", 1, {"b": [None, True, 2.5], "a": "é"}), "2bf3a173328a580d"),
        (("half a pair: \ud800",), "f10ffbe437280627"),
    ],
)
def test_a_digest_is_the_same_in_every_process(values: tuple[object, ...], expected: str) -> None:
    assert digest(*values) == expected


def test_the_order_of_keys_does_not_count_and_all_else_does() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    different = [digest(x) for x in ([1, 2], [2, 1], ["1", 2], [[1], 2], {"a": [1, 2]}, 1, 1.5, "1", None)]
    assert len(set(different)) == len(different)


def test_what_holds_a_secret_is_written_down_as_a_digest() -> None:
    options = {
        "base_url": "https://ann:password@host/v1",
        "api_key": "secret",
        "min_score": 0.5,
        "mode": "drop",
    }
    told = Identity(options, Code({}, {}), {"model": "https://ann:password@host/m"}).told()
    assert (told["options"]["min_score"], told["options"]["mode"]) == (0.5, "drop")
    assert "password" not in str(told) and "secret" not in str(told)
    other = Identity(options | {"api_key": "other"}, Code({}, {})).told()
    assert told["options"]["api_key"] != other["options"]["api_key"]
