"""HTTP clients for OpenAI's SDK: a reply without end is cut, and no call is sent on to another host."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import openai

from gritmill.schemas.errors import UserError

LONGEST = 16 * 2**20
"""Bytes of a reply."""
_UNPACKED = 16
"""How much smaller a reply must be that is compressed though nobody asked for it."""
_CUT = "gritmill.cut"
_PLAIN = {"Accept-Encoding": "identity"}
"""What is compressed may be of any size."""


def client(longest: int = LONGEST) -> httpx2.Client:
    """For `openai.OpenAI(http_client=...)`."""

    def guard(response: httpx2.Response) -> None:
        _stay(response)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Cut(response, response.stream, longest)

    return openai.DefaultHttpxClient(headers=_PLAIN, event_hooks={"response": [guard]})


def async_client(longest: int = LONGEST) -> httpx2.AsyncClient:
    """For `openai.AsyncOpenAI(http_client=...)`."""

    async def guard(response: httpx2.Response) -> None:
        _stay(response)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncCut(response, response.stream, longest)

    return openai.DefaultAsyncHttpxClient(headers=_PLAIN, event_hooks={"response": [guard]})


def is_cut(response: httpx2.Response) -> bool:
    """Whether a reply was longer than its client reads."""
    return _CUT in response.extensions


def _stay(response: httpx2.Response) -> None:
    if not response.has_redirect_location:
        return
    here = response.request.url
    try:
        there = here.join(response.headers["Location"])
    except httpx2.InvalidURL:  # nobody can follow it
        return
    same = (here.scheme, here.port) == (there.scheme, there.port)
    upgraded = (here.scheme, there.scheme, here.port, there.port) == ("http", "https", None, None)
    if there.host != here.host or not (same or upgraded):
        raise UserError(
            f"the server at {_place(here)} sends calls on to {_place(there)}, where the key must not go "
            "unasked. Set base_url to the server that answers."
        )


def _place(url: httpx2.URL) -> str:
    return url.netloc.decode()[:100]


class _Room:
    """Counts the bytes of a reply that may still come."""

    def __init__(self, response: httpx2.Response, longest: int) -> None:
        packed = response.headers.get("Content-Encoding", "identity") != "identity"
        self.left = longest // _UNPACKED if packed else longest
        self.response = response

    def take(self, chunk: bytes) -> bytes:
        if len(chunk) > self.left:
            self.response.extensions[_CUT] = True
        chunk = chunk[: self.left]
        self.left -= len(chunk)
        return chunk


class _Cut(httpx2.SyncByteStream):
    def __init__(self, response: httpx2.Response, stream: httpx2.SyncByteStream, longest: int) -> None:
        self._stream = stream
        self._room = _Room(response, longest)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            yield self._room.take(chunk)
            if is_cut(self._room.response):
                return

    def close(self) -> None:
        self._stream.close()


class _AsyncCut(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, stream: httpx2.AsyncByteStream, longest: int) -> None:
        self._stream = stream
        self._room = _Room(response, longest)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield self._room.take(chunk)
            if is_cut(self._room.response):
                return

    async def aclose(self) -> None:
        await self._stream.aclose()
