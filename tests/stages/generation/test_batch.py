"""The Batch API: handed in once, found again, joined by name, whatever becomes of a batch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_server import BatchServer

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.schemas.replies import Reply
from gritmill.stages.generation.backends import batch as module
from gritmill.stages.generation.backends.batch import BatchGenerate
from gritmill.stages.generation.backends.openai import OpenAIGenerate

Samples = Callable[..., Columns]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., BatchGenerate]:
    def made(url: str, **options: Any) -> BatchGenerate:
        given = {"prompts": "conversation", "poll": 0.01, **options}
        stage = BatchGenerate(model="m", base_url=url, replies=str(tmp_path), **given)
        stage.setup()
        return stage

    return made


class Sketched:
    """The sketches of parts, as the engine hands them over."""

    def __init__(self, parts: list[Columns]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Columns]:
        return iter(self.parts)


def finish(stage: BatchGenerate, parts: list[Columns], sketches: list[Columns] | None = None) -> list[Any]:
    """All replies of all parts."""
    sketched = Sketched(sketches or [stage.sketch(part) for part in parts])
    decisions = list(stage.decide(sketched))
    return [
        reply
        for part, decision in zip(parts, decisions, strict=True)
        for reply in stage.process({**part, **decision})["reply"]
    ]


def test_replies_are_joined_by_name(make: Any, samples: Samples, tmp_path: Path) -> None:
    parts = [samples(7), samples(5, start=7)]
    with BatchServer() as server:
        replies = finish(make(server.url), parts)
        assert len(server.batches) == 2 and not server.bodies
        assert all(isinstance(reply, Reply) and reply.backend == "batch" for reply in replies)
        # The text says which request it answers.
        assert [r.text.split("number ")[1].rstrip(".") for r in replies] == [
            str(int(r.request[:6], 16)) for r in replies
        ]
        # They are good for every other backend, and for the next run.
        assert finish(make(server.url), parts) == replies
        other = OpenAIGenerate(model="m", base_url=server.url, replies=str(tmp_path), prompts="conversation")
        other.setup()
        assert other.process(parts[0])["reply"] == replies[:7]
    assert len(server.batches) == 2 and not server.bodies


def test_files_are_split_at_the_limits(make: Any, samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REQUESTS", 3)
    with BatchServer() as server:
        stage = make(server.url)
        assert len(finish(stage, [samples(8)])) == 8
        sizes = [len(server.files[b["input_file_id"]].splitlines()) for b in server.batches.values()]
        assert sizes == [3, 3, 2]
        monkeypatch.setattr(module, "MAX_BYTES", 2 * len(server.files["file-0"].splitlines()[0]) + 10)
        assert len(finish(stage, [samples(4, start=100)])) == 4
        data = [server.files[b["input_file_id"]] for b in server.batches.values()]
        assert [len(d.splitlines()) for d in data[3:]] == [2, 2]
        assert all(len(d) <= module.MAX_BYTES for d in data[3:])


def test_a_batch_is_found_by_the_next_run(make: Any, samples: Samples) -> None:
    part = samples(4)
    with BatchServer(looks=3) as server:
        sketches = [make(server.url).sketch(part)]
        with pytest.raises(UserError, match="batch-0 is in_progress. Run again when it is done"):
            list(make(server.url, wait=False).decide(Sketched(sketches)))
        # A part that is sketched anew, since its result was lost, finds the batch, too.
        assert make(server.url).sketch(part) == sketches[0]
        assert len(finish(make(server.url), [part], sketches)) == 4
    assert len(server.batches) == 1


def test_a_batch_that_nobody_noted_is_found_by_its_tag(make: Any, samples: Samples, tmp_path: Path) -> None:
    with BatchServer() as server:
        sketch = make(server.url).sketch(samples(4))
        for file in (tmp_path / "batches").iterdir():
            file.unlink()  # as if the run had died between creating the batch and writing this
        assert make(server.url).sketch(samples(4)) == sketch
    assert len(server.batches) == 1


def test_a_batch_whose_creation_was_cut_off_is_not_created_twice(make: Any, samples: Samples) -> None:
    with BatchServer(forgets=True) as server:
        assert len(finish(make(server.url), [samples(4)])) == 4
    assert len(server.batches) == 1


@pytest.mark.parametrize(("end", "left"), [("expired", 3), ("cancelled", 6)])
def test_what_a_batch_did_not_get_to_is_handed_in_again(
    make: Any, samples: Samples, end: str, left: int
) -> None:
    with BatchServer(ends=[end]) as server:
        replies = finish(make(server.url), [samples(6)])
        assert all(isinstance(reply, Reply) for reply in replies)
        sizes = [len(server.files[b["input_file_id"]].splitlines()) for b in server.batches.values()]
    assert sizes == [6, left]
    assert len({call.digest for call in server.calls}) == len(server.calls) == 6


def test_requests_fail_by_themselves(make: Any, samples: Samples) -> None:
    kinds = ["400", "500", "content_filter", "refusal", None, None]

    def fault(digest: str, times: int) -> str | None:
        return kinds[int(digest[:4], 16) % len(kinds)]

    with BatchServer(fault=fault) as server:
        replies = finish(make(server.url, attempts=2), [samples(60)])
        assert len(server.batches) == 2
    for reply in replies:
        if isinstance(reply, Reject):
            assert reply.reason == "server_error"
            assert reply.value in ("400 Fault 400", "500 Fault 500")
        else:
            kind = kinds[int(reply.request[:4], 16) % len(kinds)]
            assert reply.finish_reason == (kind or "stop")
    assert {r.value for r in replies if isinstance(r, Reject)} == {"400 Fault 400", "500 Fault 500"}


def test_a_batch_that_failed_says_why_and_can_be_mended(make: Any, samples: Samples) -> None:
    with BatchServer(ends=["failed", "failed"]) as server:
        stage = make(server.url)
        sketches = [stage.sketch(samples(3))]
        with pytest.raises(UserError, match="failed: Enqueued too much"):
            list(stage.decide(Sketched(sketches)))
        assert len(finish(make(server.url), [samples(3)], sketches)) == 3
    assert len(server.batches) == 3


def test_a_batch_beyond_the_budget_is_not_handed_in(make: Any, samples: Samples) -> None:
    options = {"prices": {"in": 1, "out": 10}, "max_tokens": 100}
    with BatchServer() as server:
        with pytest.raises(UserError, match="max_cost of 0.01 does not allow a batch of 5 requests"):
            make(server.url, max_cost=0.01, **options).sketch(samples(5))
        assert not server.batches
        stage = make(server.url, max_cost=0.1, **options)
        assert len(finish(stage, [samples(5)])) == 5
        # Once it is done, what was set aside is free again, but for what it did cost.
        assert stage._batches.budget.account.committed == server.charged


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": None, "completion_tokens": "9"}, "none"])
def test_a_good_reply_is_kept_whatever_its_account(make: Any, samples: Samples, usage: Any) -> None:
    def change(value: dict[str, Any]) -> dict[str, Any]:
        message = value["choices"][0]["message"]
        parts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": message["content"]}]
        choice = {"message": {**message, "content": parts}, "finish_reason": "stop"}
        return {**value, "choices": [choice], "usage": usage}

    with BatchServer(change=change) as server:
        stage = make(server.url, prices={"in": 1, "out": 10}, max_tokens=100)
        replies = finish(stage, [samples(5)])
        assert len(server.batches) == 1
    assert all(isinstance(reply, Reply) and reply.text.startswith("Question:") for reply in replies)
    # All that was set aside, to the rounding: nobody knows better.
    [request] = {stage._request(stage.drawn("k0"), samples(1)["context"][0], None).most_tokens_in(0)}
    assert stage._batches.budget.account.committed == (5 * request, 500)


def test_a_file_without_end_is_read_to_a_size(
    make: Any, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "A_REPLY", 200)
    long = {"content": "word " * 1000}

    def change(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "choices": [{"message": long, "finish_reason": "stop"}]}

    with BatchServer(change=change) as server:
        replies = finish(make(server.url), [samples(4)])
        assert len(server.batches) == 1
    assert [r for r in replies if isinstance(r, Reject)] == [
        Reject("server_error", "not among what was read of a file without end")
    ] * 4


def test_a_refused_key_is_the_user_s(make: Any, samples: Samples) -> None:
    with BatchServer(key="sk-right") as server:
        server.answer = lambda writer, *a: super(BatchServer, server).answer(writer, *a)  # type: ignore
        with pytest.raises(UserError, match="the Batch API cannot be used: HTTP 401 Wrong key"):
            make(server.url).sketch(samples(1))


def test_an_image_that_cannot_be_read_costs_its_row(make: Any, samples: Samples) -> None:
    part = samples(2)
    with BatchServer() as server:
        replies = finish(make(server.url, image=True), [part])
    assert replies == [Reject("unreadable_image")] * 2 and not server.batches


@pytest.mark.slow
def test_a_whole_run_hands_in_all_parts_before_it_waits(
    write_recipe: Callable[..., Path], cli: Callable[..., Any], tmp_path: Path
) -> None:
    replies = tmp_path / "replies"
    with BatchServer(looks=2) as server:
        options = f"backend: batch, model: m, base_url: '{server.url}', replies: {replies}, wait: false"
        recipe = write_recipe(
            "type: scenes, count: 6, part_size: 2, captions_per_image: 1",
            [
                "image_check: {min_side: 16}",
                "context: {boxes: none}",
                f"generate: {{{options}, prompts: conversation}}",
                "parse_replies: {}",
            ],
        )
        for _ in range(20):
            ran = cli("run", recipe, "--runner", "local")
            if ran.returncode == 0:
                break
            assert ran.returncode == 2 and "Run again when it is done" in ran.stderr, ran.stderr
            assert len(server.batches) == 3
        assert ran.returncode == 0
        assert len(server.batches) == 3
        assert len(server.calls) == 6
    assert (tmp_path / "out" / "report.md").exists()
