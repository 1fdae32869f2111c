"""What an exception of the hub's library means to the user, and whether it may pass."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KEPT = "what is uploaded is kept"


@dataclass(frozen=True)
class Trouble:
    """Why something could not be done, and what helps."""

    sentence: str
    passes: bool = False
    """Whether trying again may help."""
    wait: int = 0
    """Seconds that the hub asks for."""


def trouble_with(error: BaseException, repo: str) -> Trouble | None:
    """What an exception means; None if it is none of the hub's."""
    from huggingface_hub.errors import HfHubHTTPError

    response = next((c.response for c in _causes(error) if isinstance(c, HfHubHTTPError)), None)
    if response is not None:
        message = response.headers.get("x-error-message") or getattr(error, "server_message", "")
        return _refusal(response.status_code, repo, _one_line(message or ""), _asked_wait(response.headers))
    # The HTTP client's own base class: which client it is differs between versions of the library.
    of_network = (HfHubHTTPError.__bases__[0], ConnectionError)
    if lost := next((cause for cause in _causes(error) if isinstance(cause, of_network)), None):
        return _lost_connection(lost, repo)
    if isinstance(error, ValueError) and str(error).startswith(("Invalid metadata", "LFS batch API")):
        return Trouble(f"the hub refuses what is pushed: {_one_line(error)}")
    return None


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an exception of the library carries."""
    return getattr(getattr(error, "response", None), "status_code", None)


def without_token(text: str) -> str:
    """A server that repeats what it was sent must not bring the token into a log."""
    from huggingface_hub import get_token

    token = get_token()
    return text.replace(token, "***") if token else text


def _lost_connection(lost: BaseException, repo: str) -> Trouble:
    # Xet, the hub's newer file storage, has a client of its own, which says all with a ConnectionError.
    xet = re.search(r"HTTP status \w+ error \((\d{3}).*/xet-\w+-token/", str(lost))
    if xet and xet[1] == "404":
        return Trouble("this hub has no Xet storage; set HF_HUB_DISABLE_XET=1 and push again")
    if xet:
        return _refusal(int(xet[1]), repo, "", 0)
    return Trouble(f"the hub cannot be reached ({_one_line(lost)}); push again, {KEPT}", passes=True)


def _refusal(status: int, repo: str, message: str, wait: int) -> Trouble:
    """What an answer other than yes means; `message` is what the hub says itself."""
    said = f" ({message})" if message else ""
    if status == 401:
        return Trouble(f"the hub does not accept the token{said}; `hf auth login`, or set HF_TOKEN anew")
    if status == 403:
        return Trouble(f"the token may not write to {repo}{said}; use one that may, or another --repo")
    if status == 404:
        return Trouble(f"the hub does not find {repo}{said}; check its name and what the token may see")
    if status in (409, 412):
        text = f"somebody else is writing to {repo}{said}; push again when that has ended"
        return Trouble(text, passes=True)
    if status == 429:
        text = f"the hub has had too many requests{said}; push again later, {KEPT}"
        return Trouble(text, passes=True, wait=wait)
    if status >= 500:
        text = f"the hub has a problem of its own, {status}{said}; push again later, {KEPT}"
        return Trouble(text, passes=True, wait=wait)
    return Trouble(f"the hub refuses what is pushed, {status}{said}")


def _asked_wait(headers: Any) -> int:
    """`Retry-After: 30`, or the hub's own `ratelimit: "api";r=0;t=55`; in seconds, 0 if neither is there."""
    after = str(headers.get("retry-after", ""))
    reset = re.search(r"\br=0\b.*\bt=(\d+)", str(headers.get("ratelimit", "")))
    return int(after) if after.isdecimal() else int(reset[1]) if reset else 0


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]
