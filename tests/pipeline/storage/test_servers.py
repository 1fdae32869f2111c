"""Clients against servers on loopback that send without end, compress, and send on."""

import asyncio
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gritmill.schemas.errors import UserError

servers = pytest.importorskip("gritmill.pipeline.storage.servers", reason="needs openai")


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str | None]] = []
        self.elsewhere = ""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Accept-Encoding")))
        kind, _, size = self.path[1:].partition("/")
        data = b"x" * int(size or 0)
        self.send_response(307 if kind == "on" else 200)
        if kind == "on":
            self.send_header("Location", self.server.elsewhere)
        if kind == "packed":
            data = gzip.compress(data)
            self.send_header("Content-Encoding", "gzip")
        if kind != "endless":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
            while kind == "endless":
                self.wfile.write(b"x" * 1000)
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


def fetched(url: str, longest: int, asynchronous: bool) -> tuple[bytes, bool]:
    async def fetch() -> Any:
        async with servers.async_client(longest) as client:
            return await client.get(url)

    if asynchronous:
        response = asyncio.run(fetch())
    else:
        with servers.client(longest) as client:
            response = client.get(url)
    return response.content, servers.is_cut(response)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_replies_end_at_a_size(server: Server, asynchronous: bool) -> None:
    assert fetched(f"{server.url}/plain/5000", 5000, asynchronous) == (b"x" * 5000, False)
    assert fetched(f"{server.url}/plain/5001", 5000, asynchronous) == (b"x" * 5000, True)
    assert fetched(f"{server.url}/endless", 5000, asynchronous) == (b"x" * 5000, True)
    assert fetched(f"{server.url}/packed/5000", 5000, asynchronous) == (b"x" * 5000, False)
    assert fetched(f"{server.url}/packed/5000000", 5000, asynchronous)[1]
    assert {asked for _, asked in server.seen} == {"identity"}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_calls_stay_with_their_server(server: Server, asynchronous: bool) -> None:
    server.elsewhere = "/plain/3"
    assert fetched(f"{server.url}/on", 5000, asynchronous) == (b"xxx", False)
    other = Server()
    try:
        for elsewhere in (f"{other.url}/plain/3", f"//localhost:{server.server_port}/", "https://127.0.0.1/"):
            server.elsewhere = elsewhere
            with pytest.raises(
                UserError, match=f"127.0.0.1:{server.server_port} sends calls on to .*Set base_url"
            ):
                fetched(f"{server.url}/on", 5000, asynchronous)
        assert other.seen == []
    finally:
        other.shutdown()
        other.server_close()
