"""Any server that speaks OpenAI's chat completions: OpenAI, Azure, vLLM, SGLang, llama.cpp, Ollama."""

import asyncio
import itertools
import math
import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from gritmill.pipeline.storage import chat
from gritmill.pipeline.storage.chat import NO_KEY, error_of, shortened
from gritmill.prompts.few_shot import FewShot
from gritmill.schemas import completions
from gritmill.schemas.errors import UserError
from gritmill.schemas.replies import exchanges_schema
from gritmill.stages.generation.backends.base import Completion, Fault
from gritmill.stages.generation.calls import Caller
from gritmill.stages.generation.generate import Generate, loaded
from gritmill.stages.generation.limits import Pace
from gritmill.stages.generation.pictures import data_uri
from gritmill.stages.generation.request import ChatRequest, Message
from gritmill.stages.generation.spending import Account, Budget, Prices, Tokens
from gritmill.stages.generation.store import ReplyStore

CALLS_A_CLIENT = 8

HOPELESS = {
    "insufficient_quota",
    "invalid_api_key",
    "model_not_found",
    "unknown_parameter",
    "unsupported_parameter",
    "unsupported_value",
}
"""Error codes that every further call would end in as well."""
FILTERED = {"content_filter", "content_policy_violation"}


class Paid(Generate):
    """Options of all backends that reach a server by OpenAI's interface."""

    packages: ClassVar[dict[str, str]] = {"openai": "llm"}
    run_options: ClassVar[frozenset[str]] = Generate.run_options | {
        "account",
        "api_key_env",
        "base_url",
        "image_tokens",
        "max_cost",
        "prices",
        "timeout",
    }

    model: str = Field(min_length=1)
    """Name of the model, as the server knows it. A dated name (`gpt-4o-2024-11-20`) stays the same model."""
    model_revision: str = ""
    """Which weights answer, where the name does not say it: llama.cpp answers to any. Replies of another
    revision are not used again."""
    base_url: str | None = Field(default=None, pattern="^https?://")
    """Address of the server: `http://localhost:8000/v1`. Null is OpenAI's."""
    api_key_env: str | None = None
    """Environment variable that holds the key. Null is OPENAI_API_KEY for OpenAI, and none for other servers,
    so that no key goes where it does not belong."""
    parameters: dict[str, Any] = {}
    """Further parameters of the request, as they are: `{top_p: 0.9, reasoning_effort: low}`."""
    structured: bool = False
    """Whether the server holds the model to the JSON schema of our conversations (structured outputs). For
    prompt folders whose examples answer in JSON."""
    max_side: int = Field(default=2048, ge=32)
    """Larger images are scaled down to this many pixels before they are sent."""
    timeout: float = Field(default=120, gt=0)
    """Seconds that a call may take."""
    prices: Prices | None = None
    """What a million tokens cost: `{in: 2.5, out: 10}`."""
    max_cost: float | None = Field(default=None, gt=0)
    """Most that may be spent, in the currency of `prices`, over all times that the recipe is run. A call
    is only made if it fits at its longest."""
    image_tokens: int = Field(default=1500, ge=1)
    """Most tokens that an image counts for the model; 1,445 is the most for gpt-4o, and gpt-4o-mini counts up
    to 48,169. Estimates and `max_cost` build on it."""
    account: str = ""
    """Name that spending is booked under, the recipe's if left out; what has one name shares a `max_cost`."""

    def set_dataset(self, dataset: str) -> None:
        self.account = self.account or dataset

    def problems(self) -> list[str]:
        found = super().problems()
        if self.key_variable and not os.environ.get(self.key_variable):
            found.append(
                f"environment variable {self.key_variable} is not set; export the API key in it, or set "
                "base_url to a server of your own"
            )
        if self.max_cost is not None and self.prices is None:
            found.append("max_cost needs prices; give them for a million tokens: prices: {in: 2.5, out: 10}")
        if self.base_url and (urlsplit(self.base_url).password or urlsplit(self.base_url).username):
            found.append("base_url holds a password; put the key in an environment variable (api_key_env)")
        taken = {"model", "messages", "stream", "n", "max_tokens", "response_format", "temperature"}
        if clash := sorted(taken & set(self.parameters)):
            found.append(f"parameters: {clash[0]} cannot stand there; it has an option of its own or no use")
        if self.structured and not found:
            others = [name for name in self._weights if loaded(name).format != "json"]
            if others:
                found.append(f"structured needs examples in JSON, and {others[0]} has others; leave it out")
        return found

    def request_options(self, prompt: FewShot) -> dict[str, Any]:
        return {
            "model": self.model,
            "model_revision": self.model_revision,
            "parameters": {**self.parameters, **self.sampling},
            "schema": exchanges_schema() if self.structured else None,
            "max_side": self.max_side if self.image else 0,
        }

    @property
    def key_variable(self) -> str | None:
        """Name of the environment variable that must hold a key."""
        return self.api_key_env or (None if self.base_url else "OPENAI_API_KEY")

    @property
    def api_key(self) -> str:
        return os.environ.get(self.key_variable, NO_KEY) if self.key_variable else NO_KEY

    @property
    def price_table(self) -> Prices | None:
        return self.prices

    @property
    def tokens_of_image(self) -> int:
        return self.image_tokens

    def make_budget(self) -> Budget:
        name = self.account or self.model_dump_json(exclude=set(self.run_options))
        return Budget(Account.named(self.replies_folder, name), self.prices, self.max_cost)


class OpenAIGenerate(Paid):
    """Context (and image) -> the reply of a model behind OpenAI's chat completions interface.

    "A dog in a field." -> Reply("conversation", "Question:\\nWhat ...", "openai", "gpt-4o-2024-11-20", ...)

    OpenAI itself, or by `base_url` vLLM, SGLang, llama.cpp, Ollama, Azure. Calls run side by side; what fails
    for a moment (429, 5xx, time-outs, cut connections, garbage) is tried again, after the time that the
    server asks for. A key that is refused or a model that is not there stops the run at once.
    """

    run_options: ClassVar[frozenset[str]] = Paid.run_options | {
        "attempts",
        "concurrency",
        "first_wait",
        "rpm",
        "tpm",
    }

    backend: Literal["openai"] = "openai"
    """Who answers."""
    concurrency: int = Field(default=16, ge=1)
    """Most calls at once. Fewer, for a while, when the server says it has too much to do."""
    rpm: float | None = Field(default=None, gt=0)
    """Most requests a minute."""
    tpm: float | None = Field(default=None, gt=0)
    """Most tokens a minute, in and out, counted as estimated."""
    attempts: int = Field(default=8, ge=1)
    """How often a request is sent before its sample is rejected."""
    first_wait: float = Field(default=1.0, gt=0)
    """Seconds before the second attempt, where the server asks for no time; doubled for each further one."""

    def make_caller(self) -> Caller:
        return Caller(
            ChatServer(self.base_url, self.api_key, self.timeout, self.concurrency, self.image_tokens),
            ReplyStore(self.replies_folder),
            Pace(self.concurrency, self.rpm, self.tpm),
            self.make_budget(),
            attempts=self.attempts,
            first_wait=self.first_wait,
            image_tokens=self.image_tokens,
        )

    @property
    def calls_at_once(self) -> int:
        # Some are read from the disk or written to it while others are on the wire.
        return self.concurrency + self.concurrency // 4 + 2


class ChatServer:
    """A server by its address."""

    def __init__(
        self,
        base_url: str | None,
        api_key: str,
        timeout: float,
        concurrency: int = 1,
        image_tokens: int = 0,
    ) -> None:
        self.is_openai = base_url is None
        self.timeout = timeout
        self.image_tokens = image_tokens
        self._secret = api_key
        # Several, in turns: for each call, a client looks at all its connections that are idle.
        self._clients = [
            chat.async_client(base_url, api_key, retries=0, timeout=timeout)
            for _ in range(math.ceil(concurrency / CALLS_A_CLIENT))
        ]
        self._turns = itertools.cycle(self._clients)

    async def complete(self, request: ChatRequest) -> Completion:
        """Raises `UserError` for what no further call could mend: key, model, quota."""
        import openai

        from gritmill.pipeline.storage import servers

        if request.pictures:
            body = await asyncio.to_thread(chat_body, request, self.is_openai)
        else:
            body = chat_body(request, self.is_openai)
        try:
            # The SDK's time-out begins anew with every byte that comes; this one does not.
            async with asyncio.timeout(self.timeout):
                response = await chat.post(next(self._turns), body)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise Fault(f"no reply in {self.timeout:g} seconds", charged=True) from error
        except openai.APIStatusError as error:
            return self._failed(request, error)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            never_sent = type(cause).__name__ in ("ConnectError", "ConnectTimeout")
            raise Fault(chat.words_of(error, self._secret), charged=not never_sent) from error
        if servers.is_cut(response):
            words = f"a reply of more than {servers.LONGEST / 2**20:g} MB"
            raise Fault(words, reason="too_long", again=False, charged=True)
        most = Tokens(request.most_tokens_in(self.image_tokens), request.max_tokens)
        return parsed_completion("openai", response.content, most, request.model)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    def _failed(self, request: ChatRequest, error: Any) -> Completion:
        code, _ = error_of(error.body)
        words = chat.words_of(error, self._secret)
        if code in FILTERED:
            # Kept like a reply: the same request would be filtered again.
            return Completion("openai", request.model, "", "content_filter", 0, 0)
        if error.status_code in (401, 403, 404) or code in HOPELESS:
            raise UserError(
                f"the server at {error.request.url.host} refuses all calls: {words}. "
                "Check the key, the model and base_url."
            )
        throttled = error.status_code in (429, 503, 529)
        again = throttled or error.status_code in (408, 409, 425) or error.status_code >= 500
        reason = "server_error" if again else "bad_request"
        wait = retry_after(error.response.headers)
        raise Fault(words, reason=reason, again=again, wait=wait, throttled=throttled)


def chat_body(request: ChatRequest, is_openai: bool) -> dict[str, Any]:
    """The body of a call. Raises `Fault` for an image that cannot be sent."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message, request.max_side) for message in request.messages],
        # OpenAI's newer models refuse the old name; many other servers do not know the new one.
        "max_completion_tokens" if is_openai else "max_tokens": request.max_tokens,
        **request.parameters,
    }
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "reply", "strict": True, "schema": request.schema},
        }
    return body


def parsed_completion(backend: str, content: bytes, most: Tokens, model: str = "") -> Completion:
    """The body of a reply, which may be anything. Raises `Fault` for what is none.

    Where a server does not count tokens, or so that nobody can read it, `most` is taken; `model` where it
    does not name one.
    """
    try:
        said = completions.read(content)
    except ValueError as error:
        start = content[:60].decode("utf-8", "replace")
        raise Fault(f"not a chat completion: {shortened(start)!r}", charged=True) from error
    return Completion(
        backend,
        said.model or model,
        said.text,
        "refusal" if said.refused else said.finish_reason,
        most.tokens_in if said.tokens_in is None else said.tokens_in,
        most.tokens_out if said.tokens_out is None else said.tokens_out,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: `Retry-After-Ms`, or `Retry-After` in seconds or as a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        asked = parsedate_to_datetime(headers.get("retry-after", ""))
        sent = parsedate_to_datetime(headers.get("date", ""))
        # Between the server's own times: its clock need not be ours.
        return max(0.0, (asked - sent).total_seconds())
    except (TypeError, ValueError):
        return None


def _message(message: Message, max_side: int) -> dict[str, Any]:
    if message.picture is None:
        return {"role": message.role, "content": message.text}
    try:
        data = data_uri(message.picture.read(), max_side)
    except (OSError, ValueError) as error:
        raise Fault(str(error), reason="unreadable_image", again=False) from error
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": data}}]
    if message.text:
        parts.append({"type": "text", "text": message.text})
    return {"role": message.role, "content": parts}
