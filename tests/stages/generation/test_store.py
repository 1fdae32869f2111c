"""Replies on disk."""

import json
from pathlib import Path

import pytest

from gritmill.stages.generation.backends.base import Completion
from gritmill.stages.generation.store import ReplyStore, default_folder

KEY = "3f" + "9a" * 31
REPLY = Completion("openai", "gpt-4o-2024-11-20", "Ein Hund – läuft\n\x00", "stop", 812, 143)


def test_a_reply_is_found_by_its_key(tmp_path: Path) -> None:
    ReplyStore(tmp_path).put(KEY, REPLY)
    assert ReplyStore(tmp_path).get(KEY) == REPLY
    assert ReplyStore(tmp_path).get("00" * 32) is None
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.json")] == [f"3f/{'9a' * 31}.json"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_file_that_is_not_whole_is_no_reply(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path)
    store.put(KEY, REPLY)
    [file] = tmp_path.rglob("*.json")
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        assert store.get(KEY) is None, size
    store.put(KEY, REPLY)
    assert store.get(KEY) == REPLY


@pytest.mark.parametrize(
    "change",
    [
        {"key": "00" * 32},
        {"text": None},
        {"tokens_in": "812"},
        {"tokens_out": True},
        {"price": 3},
        {"model": ["gpt-4o"]},
    ],
)
def test_a_file_of_somebody_else_is_no_reply(tmp_path: Path, change: dict[str, object]) -> None:
    store = ReplyStore(tmp_path)
    store.put(KEY, REPLY)
    [file] = tmp_path.rglob("*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert store.get(KEY) is None


@pytest.mark.parametrize("content", ["[]", "null", "3", '"text"', "{}", "[" * 100_000])
def test_json_of_another_form_is_no_reply(tmp_path: Path, content: str) -> None:
    store = ReplyStore(tmp_path)
    store.put(KEY, REPLY)
    [file] = tmp_path.rglob("*.json")
    file.write_text(content)
    assert store.get(KEY) is None


def test_where_replies_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("GRITMILL_REPLIES", raising=False)
    assert default_folder() == Path("/home/somebody/.cache/gritmill/replies")
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    assert default_folder() == Path("/scratch/gritmill/replies")
    monkeypatch.setenv("GRITMILL_REPLIES", "/shared/replies")
    assert default_folder() == Path("/shared/replies")
