"""Calls over the wire, to a server that does everything wrong that servers do."""

import asyncio
import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer
from PIL import Image

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.schemas.replies import Reply
from gritmill.stages.generation.backends.base import Completion, Fault
from gritmill.stages.generation.backends.openai import ChatServer as Client
from gritmill.stages.generation.backends.openai import (
    OpenAIGenerate,
    chat_body,
    parsed_completion,
    retry_after,
)
from gritmill.stages.generation.pictures import data_uri
from gritmill.stages.generation.request import ChatRequest, Message, Picture
from gritmill.stages.generation.spending import Tokens

MOST = Tokens(1234, 64)
REQUEST = ChatRequest("m", (Message("system", "Talk."), Message("user", "Hi")), max_tokens=64)
Samples = Callable[..., Columns]
MakeStage = Callable[..., OpenAIGenerate]


def complete(server: ChatServer, key: str = "none", timeout: float = 5.0) -> Completion:
    async def call() -> Completion:
        client = Client(server.url, key, timeout)
        try:
            return await client.complete(REQUEST)
        finally:
            await client.close()

    return asyncio.run(call())


def test_what_is_sent_is_what_was_asked() -> None:
    with ChatServer() as server:
        completion = complete(server)
    assert server.bodies == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Talk."}, {"role": "user", "content": "Hi"}],
            "max_tokens": 64,
        }
    ]
    assert completion.model == "m-2026-01-01"
    assert (completion.tokens_in, completion.tokens_out) == server.charged


@pytest.mark.parametrize(
    ("fault", "words", "again", "charged", "throttled"),
    [
        ("429", "HTTP 429 Slow down", True, False, True),
        ("429 with Retry-After", "HTTP 429 Slow down", True, False, True),
        ("500", "HTTP 500 Internal error", True, False, False),
        ("400", "HTTP 400 Too long", False, False, False),
        ("hang", "no reply in 0.5 seconds", True, True, False),
        ("cut", "RemoteProtocolError: peer closed connection", True, True, False),
        ("malformed JSON", 'not a chat completion: \'{"id"', True, True, False),
        ("wrong schema", 'not a chat completion: \'{"choices"', True, True, False),
        ("HTML", "not a chat completion: '<!doctype html>", True, True, False),
    ],
)
def test_faults_are_told_apart(fault: str, words: str, again: bool, charged: bool, throttled: bool) -> None:
    with ChatServer(fault=lambda digest, times: fault) as server, pytest.raises(Fault) as caught:
        complete(server, timeout=0.5 if fault == "hang" else 20)
    found = caught.value
    assert words in str(found)
    assert (found.again, found.charged, found.throttled) == (again, charged, throttled)
    assert found.wait == (0.05 if "After" in fault else None)


def test_nobody_at_the_address_is_charged_for_nothing() -> None:
    with ChatServer() as server:
        pass
    with pytest.raises(Fault) as caught:
        complete(server)
    assert not caught.value.charged


@pytest.mark.parametrize(
    ("odd", "finish_reason", "text"),
    [
        ("length", "length", "Question:"),
        ("content_filter", "content_filter", ""),
        ("refusal", "refusal", "I cannot help with that."),
        ("empty", "stop", ""),
        ("megabyte", "stop", "word word"),
    ],
)
def test_odd_replies_are_replies(odd: str, finish_reason: str, text: str) -> None:
    with ChatServer(fault=lambda digest, times: odd) as server:
        completion = complete(server, timeout=20)
    assert completion.finish_reason == finish_reason
    assert completion.text.startswith(text)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"content": [5]}}]}',
        b'{"error": {"message": "with status 200"}}',
    ],
)
def test_garbage_is_no_reply(content: bytes) -> None:
    with pytest.raises(Fault) as caught:
        parsed_completion("openai", content, MOST)
    assert caught.value.again


@pytest.mark.parametrize(
    "count", ["null", '"9"', "-5", "NaN", "Infinity", "1e12", "9" * 5000, "0.5", "true", "{}"]
)
def test_what_nobody_can_count_is_taken_to_be_the_most(count: str) -> None:
    body = (
        f'{{"choices": [{{"message": {{"content": "a"}}}}], "model": 3, "usage": {{"prompt_tokens": {count}, '
    )
    found = parsed_completion("openai", f'{body}"completion_tokens": 7.0}}}}'.encode(), MOST, "m")
    assert found == Completion("openai", "m", "a", "stop", MOST.tokens_in, 7)
    assert found.is_sound


@pytest.mark.parametrize("usage", ["null", "[]", "3", '"none"', "{}"])
def test_a_reply_without_an_account_is_booked_as_the_most_that_it_can_cost(
    make_stage: MakeStage, samples: Samples, usage: str
) -> None:
    with ChatServer(change=lambda value: {**value, "usage": json.loads(usage)}) as server:
        stage = make_stage(server.url, image=True, image_tokens=777, max_tokens=99)
        [reply] = stage.process(samples(1, picture((64, 48))))["reply"]
        budget = stage._caller.budget
    assert isinstance(reply, Reply) and budget is not None
    request = stage.request(
        stage.drawn("k0"), *(samples(1, picture((64, 48)))[n][0] for n in ("context", "image"))
    )
    assert reply.tokens_in == request.most_tokens_in(777) and reply.tokens_out == 99
    assert budget.account.committed == (reply.tokens_in, reply.tokens_out)


def test_a_reply_without_end_is_cut_and_bought_once(make_stage: MakeStage, samples: Samples) -> None:
    with ChatServer(fault=lambda digest, times: "endless") as server:
        stage = make_stage(server.url, timeout=60)
        [reply] = stage.process(samples(1))["reply"]
    assert (reply.reason, str(reply.value)) == ("too_long", "a reply of more than 16 MB")
    assert len(server.calls) == 1


def test_no_call_goes_on_to_another_server(make_stage: MakeStage, samples: Samples) -> None:
    with ChatServer() as other, ChatServer(fault=lambda digest, times: "redirect") as server:
        server.elsewhere = f"{other.url}/chat/completions"
        with pytest.raises(
            UserError, match=f"127.0.0.1:{server.port} sends calls on to 127.0.0.1:{other.port}"
        ):
            make_stage(server.url, concurrency=1).process(samples(5))
    assert len(server.calls) <= 4 and not other.calls


def test_a_call_goes_on_within_its_server(make_stage: MakeStage, samples: Samples) -> None:
    with ChatServer(fault=lambda digest, times: None if times else "redirect") as server:
        server.elsewhere = "/v1/chat/completions"
        [reply] = make_stage(server.url, concurrency=1).process(samples(1))["reply"]
    assert isinstance(reply, Reply) and len(server.calls) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        (
            {"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"},
            30,
        ),
        ({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_refused_key_ends_the_run_at_once(
    make_stage: MakeStage, samples: Samples, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-wrong-key-0123456789")
    with ChatServer(key="sk-right") as server:
        stage = make_stage(server.url, api_key_env="MY_KEY", concurrency=2)
        with pytest.raises(UserError, match="refuses all calls: HTTP 401") as caught:
            stage.process(samples(50))
    assert "0123456789" not in str(caught.value)
    assert not server.calls


def test_a_model_that_is_not_there_ends_the_run_at_once(make_stage: MakeStage, samples: Samples) -> None:
    with ChatServer(fault=lambda digest, times: "404") as server:
        stage = make_stage(server.url, concurrency=2)
        with pytest.raises(UserError, match="No such model"):
            stage.process(samples(50))
    assert len(server.calls) <= 4


def test_keys_go_only_where_they_belong(
    make_stage: MakeStage, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-meant-for-openai")
    with ChatServer(key="none") as server:  # lets nobody in who sends another
        [reply] = make_stage(server.url).process(samples(1))["reply"]
    assert isinstance(reply, Reply)


def test_keys_are_nowhere_on_disk(
    make_stage: MakeStage, samples: Samples, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = "sk-secret-0123456789abcdef"
    monkeypatch.setenv("MY_KEY", secret)
    with ChatServer(key=secret, fault=lambda digest, times: "429" if times == 0 else None) as server:
        stage = make_stage(server.url, api_key_env="MY_KEY")
        assert all(isinstance(reply, Reply) for reply in stage.process(samples(5))["reply"])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 5
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert secret not in stage.model_dump_json() + repr(stage) + str(stage.revision())


def picture(size: tuple[int, int], kind: str = "JPEG", orientation: int = 1) -> bytes:
    image = Image.new("RGB", size, "red")
    exif = image.getexif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    return file.getvalue()


def test_images_are_sent_as_they_are() -> None:
    data = picture((64, 48))
    message = Message("user", "What is this?", Picture.of(lambda: data))
    [sent] = chat_body(ChatRequest("m", (message,), 8, max_side=64), is_openai=True)["messages"]
    assert (
        sent["content"][0]["image_url"]["url"] == "data:image/jpeg;base64," + base64.b64encode(data).decode()
    )
    assert sent["content"][1] == {"type": "text", "text": "What is this?"}


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (picture((200, 100)), (64, 32)),
        (picture((60, 40), orientation=6), (40, 60)),
        (picture((60, 40), kind="BMP"), (60, 40)),
    ],
)
def test_other_images_are_drawn_anew(data: bytes, size: tuple[int, int]) -> None:
    uri = data_uri(data, 64)
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    assert image.size == size and image.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("data", [b"", b"no image", picture((64, 48))[:300]])
def test_an_image_that_cannot_be_read_costs_its_row(
    make_stage: MakeStage, samples: Samples, data: bytes
) -> None:
    with ChatServer() as server:
        stage = make_stage(server.url, image=True, max_side=32)
        good, bad = samples(2, picture((64, 48))), samples(1, data, start=2)
        replies = stage.process({name: [*good[name], *bad[name]] for name in good})["reply"]
    assert [type(reply) for reply in replies] == [Reply, Reply, Reject]
    assert replies[2].reason == "unreadable_image"


def test_the_new_name_for_max_tokens_is_openai_s_alone() -> None:
    assert "max_completion_tokens" in chat_body(REQUEST, is_openai=True)
    assert "max_tokens" in chat_body(REQUEST, is_openai=False)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "environment variable OPENAI_API_KEY is not set"),
        ({"base_url": "http://localhost:1/v1", "api_key_env": "NO_SUCH"}, "variable NO_SUCH is not set"),
        ({"base_url": "http://localhost:1/v1", "max_cost": 3}, "max_cost needs prices"),
        ({"base_url": "http://me:secret@localhost:1/v1"}, "base_url holds a password"),
        ({"base_url": "http://localhost:1/v1", "prompts": "no_such"}, "there is no prompt folder 'no_such'"),
        ({"base_url": "http://localhost:1/v1", "parameters": {"n": 3}}, "parameters: n cannot stand there"),
        ({"base_url": "http://localhost:1/v1", "structured": True}, "structured needs examples in JSON"),
    ],
)
def test_mistakes_in_the_options(
    options: dict[str, object], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    [found] = OpenAIGenerate.model_validate({"model": "m", **options}).problems()
    assert problem in found


def test_good_options_have_no_problems() -> None:
    assert OpenAIGenerate(model="m", base_url="http://localhost:1/v1").problems() == []
