"""A server that answers as OpenAI's does, as badly as it is told to, and keeps the books.

`python tests/support/chat_server.py --latency 0.4` runs it alone and prints its address.
"""

import argparse
import asyncio
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

REPLY = "Question:\nWhat is there?\n===\nAnswer:\nA scene, number {number}."

FAULTS = (
    "429",
    "429 with Retry-After",
    "500",
    "hang",
    "cut",
    "malformed JSON",
    "wrong schema",
    "HTML",
)
"""No reply comes of these; another try may bring one."""
ODD = ("length", "content_filter", "refusal", "empty", "megabyte")
"""Replies that are of little use, but are replies."""

Fault = Callable[[str, int], str | None]
"""(digest of the body, how often it came before) -> a fault or odd reply, or None."""


def some(share: float, seed: int = 0, kinds: tuple[str, ...] = FAULTS + ODD) -> Fault:
    """Faults for a share of all calls, drawn by what is asked."""

    def fault(digest: str, times: int) -> str | None:
        rng = Random(f"{seed}:{digest}:{times}")
        # An odd reply is the reply to its request: it does not depend on how often that was sent.
        odd = Random(f"{seed}:{digest}").choice(kinds)
        if odd in ODD:
            return odd if Random(f"{digest}:{seed}").random() < share else None
        failing = [kind for kind in kinds if kind in FAULTS]
        return rng.choice(failing) if rng.random() < share else None

    return fault


@dataclass
class Call:
    """A line of the server's log."""

    digest: str
    """Of the request's body."""
    fault: str | None
    tokens: tuple[int, int] = (0, 0)
    """What it is charged for."""
    answered: float = 0.0
    """When the last byte of a reply had been sent; 0 where none was."""


@dataclass
class ChatServer:
    """`with ChatServer() as server: ... server.url ... server.calls`."""

    fault: Fault = lambda digest, times: None
    latency: float = 0.0
    key: str | None = None
    """The only API key that is let in."""
    wordy: bool = False
    """Every reply is charged with `max_tokens`, every request with a token for each three bytes."""
    reply: str = REPLY
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda value: value
    """What becomes of a reply that is in the books before it is sent."""
    elsewhere: str = ""
    """Where the fault `redirect` sends a call on to."""
    calls: list[Call] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    keeps_bodies: bool = True

    def __enter__(self) -> Self:
        ready = threading.Event()

        def serve() -> None:
            asyncio.run(self._serve(ready))

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        assert ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def charged(self) -> tuple[int, int]:
        """Tokens in and out of all calls, by the server's own count."""
        return sum(call.tokens[0] for call in self.calls), sum(call.tokens[1] for call in self.calls)

    async def _serve(self, ready: threading.Event | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._times: Counter[str] = Counter()
        self._at_once = 0
        self._open: set[asyncio.Task[Any]] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**26, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        if ready:
            ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._open):
            task.cancel()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while True:
                method, path, headers, body = await _read_request(reader)
                if not await self.answer(writer, method, path, headers, body):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def answer(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> bool:
        """Returns whether the connection stays open."""
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            sent = headers.get("authorization", "")
            await _send(writer, 401, {"error": {"message": f"Wrong key: {sent}", "code": "invalid_api_key"}})
            return True
        if path != "/v1/chat/completions":
            await _send(writer, 404, {"error": {"message": f"no such path: {path}"}})
            return True
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._completion(writer, body)
        finally:
            self._at_once -= 1

    async def _completion(self, writer: asyncio.StreamWriter, body: bytes) -> bool:
        digest = hashlib.sha256(body).hexdigest()
        asked = json.loads(body)
        fault = self.fault(digest, self._times[digest])
        self._times[digest] += 1
        call = Call(digest, fault)
        self.calls.append(call)
        if self.keeps_bodies:
            self.bodies.append(asked)
        if fault == "429":
            await _send(writer, 429, {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}})
            return True
        if fault == "429 with Retry-After":
            await _send(writer, 429, {"error": {"message": "Slow down"}}, {"Retry-After-Ms": "50"})
            return True
        if fault == "500":
            await _send(writer, 500, {"error": {"message": "Internal error"}})
            return True
        if fault == "404":
            await _send(writer, 404, {"error": {"message": "No such model", "code": "model_not_found"}})
            return True
        if fault == "400":
            await _send(writer, 400, {"error": {"message": "Too long", "code": "context_length_exceeded"}})
            return True
        if fault == "redirect":
            await _send(writer, 307, {}, {"Location": self.elsewhere})
            return True
        if fault == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'{"choices": [')
            while True:
                writer.write(b" " * 2**20)
                await writer.drain()
        value = self.completion(asked, digest, fault)
        usage = value["usage"]
        call.tokens = (usage["prompt_tokens"], usage["completion_tokens"])
        await asyncio.sleep(3600 if fault == "hang" else self.latency)
        data = json.dumps(self.change(value)).encode()
        if fault == "cut":
            writer.write(_head(200, len(data)) + data[: len(data) // 2])
            await writer.drain()
            return False
        if fault == "malformed JSON":
            data = data[:-20]
        if fault == "wrong schema":
            data = json.dumps({"choices": [{"text": "old style"}]}).encode()
        if fault == "HTML":
            data = b"<!doctype html><html><h1>Bad gateway</h1></html>"
        kind = "text/html" if fault == "HTML" else "application/json"
        writer.write(_head(200, len(data), kind) + data)
        await writer.drain()
        if fault not in FAULTS:
            call.answered = time.time()
        return True

    def completion(self, asked: dict[str, Any], digest: str, fault: str | None) -> dict[str, Any]:
        """The body of a reply."""
        number = int(digest[:6], 16)
        text: str | None = self.reply.format(number=number)
        if fault == "megabyte":
            text = "word " * 200_000
        if fault in ("empty", "refusal", "content_filter"):
            text = None if fault == "refusal" else ""
        most = asked.get("max_tokens") or asked["max_completion_tokens"]
        size = len(json.dumps(asked["messages"], ensure_ascii=False).encode())
        tokens_in = size // (3 if self.wordy else 5)
        tokens_out = most if self.wordy else min(most, len((text or "").split()))
        return {
            "id": digest[:12],
            "object": "chat.completion",
            "model": f"{asked['model']}-2026-01-01",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": text,
                        "refusal": "I cannot help with that." if fault == "refusal" else None,
                    },
                    "finish_reason": fault if fault in ("length", "content_filter") else "stop",
                }
            ],
            "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out},
        }


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    pairs = (line.split(":", 1) for line in head[1:] if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def _send(
    writer: asyncio.StreamWriter, status: int, value: object, headers: dict[str, str] | None = None
) -> None:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    writer.write(_head(status, len(data), headers=headers) + data)
    await writer.drain()


def _head(
    status: int, length: int, kind: str = "application/json", headers: dict[str, str] | None = None
) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {kind}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args()
    server = ChatServer(latency=options.latency, keeps_bodies=False)

    async def serve() -> None:
        task = asyncio.create_task(server._serve())
        while not hasattr(server, "port"):
            await asyncio.sleep(0.01)
        print(server.url, flush=True)
        await task

    asyncio.run(serve())


if __name__ == "__main__":
    main()
