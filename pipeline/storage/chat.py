"""Servers that speak OpenAI's interface: clients that lead no key astray, and what servers say of a failure.

What a reply holds is read in `schemas/completions.py`.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""The SDK wants a key even where the server wants none."""

_SECRET = re.compile(r"(?:sk|key|Bearer)[-_ ][\w*-]{8,}", re.IGNORECASE)


def client(base_url: str | None, api_key: str, *, retries: int, timeout: float) -> "openai.OpenAI":
    """For the server at an address, OpenAI's if there is none. `timeout` is in seconds.

    Reads replies as far as `servers.LONGEST` and follows no redirection to another host.
    """
    import openai

    from gritmill.pipeline.storage import servers

    return openai.OpenAI(
        # In any case: the SDK would take another one from the environment.
        base_url=base_url or OPENAI,
        api_key=api_key,
        max_retries=retries,
        timeout=timeout,
        http_client=servers.client(),
    )


def async_client(base_url: str | None, api_key: str, *, retries: int, timeout: float) -> "openai.AsyncOpenAI":
    """As `client`."""
    import openai

    from gritmill.pipeline.storage import servers

    return openai.AsyncOpenAI(
        base_url=base_url or OPENAI,
        api_key=api_key,
        max_retries=retries,
        timeout=timeout,
        http_client=servers.async_client(),
    )


def post(client: "openai.OpenAI | openai.AsyncOpenAI", body: dict[str, Any]) -> Any:
    """Asks for a completion: the response as it comes, of an asynchronous client to be awaited."""
    import httpx2

    # Not `chat.completions.create`: it goes through the messages word by word, to rename what needs no
    # other name, which took longer than everything else together.
    return client.post("/chat/completions", body=body, cast_to=httpx2.Response)


def words_of(error: "openai.OpenAIError", api_key: str) -> str:
    """Why a call failed, in the words of the server or of the connection, without the key."""
    status = getattr(error, "status_code", None)
    if status:
        words = f"HTTP {status} {error_of(getattr(error, 'body', None))[1]}"
    else:
        cause = error.__cause__ or error
        words = f"{type(cause).__name__}: {cause}"
    return shortened(words if api_key == NO_KEY else words.replace(api_key, "***"))


def error_of(body: object) -> tuple[str, str]:
    """(code, words) of an error's body, which may be anything."""
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict):
            words = inner.get("message") or inner.get("detail") or ""
            return str(inner.get("code") or inner.get("type") or ""), str(words)
        return "", str(inner)
    text = str(body or "")
    return "", "an HTML page" if text.lstrip()[:1] == "<" else text


def shortened(text: str) -> str:
    """A server's words for a log: one line, without anything that looks like a key."""
    return _SECRET.sub("***", " ".join(text.split()))[:200]
