"""OpenAI's Batch API: half the price, answers within a day.

Waiting a day for each part of a dataset would take for ever, so it is a global stage: first the requests
of all parts are handed in, then all batches are waited for, then each part takes its replies.
"""

import contextlib
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from pydantic import Field, PrivateAttr

from gritmill.pipeline.storage import chat, whole
from gritmill.pipeline.storage.chat import error_of, shortened
from gritmill.schemas import completions
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.schemas.replies import Reply
from gritmill.stages.base import GlobalStage, Sketches
from gritmill.stages.generation.backends.base import Completion, Fault
from gritmill.stages.generation.backends.openai import (
    FILTERED,
    HOPELESS,
    Paid,
    chat_body,
    parsed_completion,
)
from gritmill.stages.generation.generate import as_reply
from gritmill.stages.generation.request import ChatRequest
from gritmill.stages.generation.spending import NOTHING, Budget, Tokens
from gritmill.stages.generation.store import ReplyStore

T = TypeVar("T")

MAX_REQUESTS = 50_000
MAX_BYTES = 200 * 10**6
"""Of a file, by OpenAI's limits (platform.openai.com/docs/guides/batch)."""
ENDPOINT = "/v1/chat/completions"
TAG = "gritmill"
"""Metadata of our batches: the name of their file."""
ENDED = {"completed", "expired", "cancelled", "failed"}
A_REPLY = 2**20
"""Bytes that a reply has at most on the average of a batch; what a file has beyond is not read."""


class BatchGenerate(Paid, GlobalStage):
    """Context (and image) -> the reply of a model, through OpenAI's Batch API.

    "A dog in a field." -> Reply("conversation", "Question:\\nWhat ...", "batch", "gpt-4o-2024-11-20", ...)

    Batches are found again by a later run, whatever became of this one; their replies are kept with those of
    all other backends, and what is kept already is not asked. What a batch did not get to before it expired
    is handed in again. A model is not asked again about its mistakes: `reask` must be 0.
    """

    writes: ClassVar[dict[str, Any]] = {"reply": Reply}
    sketches: ClassVar[dict[str, Any]] = {"request": str, "file": str}
    decides: ClassVar[dict[str, Any]] = {"request": str, "failure": str}
    run_options: ClassVar[frozenset[str]] = Paid.run_options | {"attempts", "poll", "wait"}

    backend: Literal["batch"] = "batch"
    """Who answers."""
    wait: bool = True
    """Whether to wait for batches that are not done; if not, the run ends there, to be run again later."""
    poll: float = Field(default=60, gt=0)
    """Seconds between two looks at a batch."""
    attempts: int = Field(default=3, ge=1)
    """How often a request is handed in before its sample is rejected."""
    reask: int = Field(default=0, ge=0, le=0)
    """A model behind the Batch API is not asked again."""

    _batches: "Batches" = PrivateAttr()
    _store: ReplyStore = PrivateAttr()

    def setup(self) -> None:
        self._store = ReplyStore(self.replies_folder)
        self._batches = Batches(
            BatchServer(self.base_url, self.api_key, self.timeout),
            self._store,
            self.make_budget(),
            attempts=self.attempts,
            image_tokens=self.image_tokens,
        )

    def sketch(self, part: Columns) -> Columns:
        requests = [self._request(*row) for row in zip(*(part[name] for name in self.reads), strict=True)]
        files = self._batches.hand_in(request for request in requests if request is not None)
        keys = [request.key if request else "" for request in requests]
        return {"request": keys, "file": [files.get(key, "") for key in keys]}

    def decide(self, sketches: Sketches) -> Iterator[Columns]:
        names = dict.fromkeys(name for part in sketches for name in part["file"] if name)
        failures: dict[str, str] = {}
        for name in names:
            failures |= self._batches.collect(name, self.poll if self.wait else None)
        for part in sketches:
            keys = part["request"]
            yield {"request": keys, "failure": [failures.get(key, "") for key in keys]}

    def process(self, batch: Columns) -> Columns:
        rows = zip(*(batch[name] for name in ("key", "request", "failure")), strict=True)
        return {"reply": [self._taken(*row) for row in rows]}

    def _taken(self, key: str, request: str, failure: str) -> Reply | Reject:
        if not request:
            return Reject("unreadable_image")
        answer = self._store.get(request)
        if answer is None:
            return Reject("server_error", failure or "the reply is no longer there")
        return as_reply(self.drawn(key), request, answer)

    def _request(self, key: str, context: str, image: Any) -> ChatRequest | None:
        try:
            request = self.request(self.drawn(key), context, image)
            # Here rather than in the middle of writing a file of thousands.
            chat_body(request, self.base_url is None)
        except (OSError, ValueError, Fault):
            return None
        return request


class Batches:
    """Batches under way, each with a file that says what became of it: `replies/batches/NAME.json`.

    {"id": "batch_67...", "attempt": 1, "requests": ["3f9a...", ...], "failures": {}, "done": false}
    """

    def __init__(
        self,
        server: "BatchServer",
        store: ReplyStore,
        budget: Budget,
        *,
        attempts: int = 3,
        image_tokens: int = 0,
    ) -> None:
        self.server = server
        self.store = store
        self.budget = budget
        self.attempts = attempts
        self.image_tokens = image_tokens
        self.folder = store.folder / "batches"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._asked: dict[str, str] = {}
        for file in self.folder.glob("*.json"):
            entry = json.loads(file.read_bytes())
            if not entry["done"]:
                self._asked |= dict.fromkeys(entry["requests"], file.stem)

    def hand_in(self, requests: Iterable[ChatRequest]) -> dict[str, str]:
        """Hands in what is neither kept nor under way. Returns the name of the file of each request.

        Raises `UserError` where the budget does not allow it.
        """
        found: dict[str, str] = {}
        new: dict[str, ChatRequest] = {}
        for request in requests:
            if request.key in self._asked:
                found[request.key] = self._asked[request.key]
            elif request.key not in new and self.store.get(request.key) is None:
                new[request.key] = request
        lines = ((key, self._most(r), _line(r, self.server.is_openai)) for key, r in new.items())
        for some in _split(lines):
            name = _name(some)
            self._submit(name, some, attempt=1)
            found |= dict.fromkeys((key for key, _, _ in some), name)
            self._asked |= dict.fromkeys((key for key, _, _ in some), name)
        return found

    def collect(self, name: str, poll: float | None) -> dict[str, str]:
        """Waits for a batch and keeps its replies. Returns why requests failed for good, by key.

        `poll` None does not wait: raises `UserError` where a batch is not done.
        """
        resubmitted = False
        while not (entry := self._read(name))["done"]:
            batch = self.server.batch(entry["id"])
            if batch.status not in ENDED:
                if poll is None:
                    raise UserError(
                        f"batch {entry['id']} is {batch.status}. Run again when it is done: it will be found."
                    )
                time.sleep(poll)
            elif batch.status == "failed":
                if resubmitted:
                    raise UserError(
                        f"batch {entry['id']} failed: {shortened(_errors(batch))}. Mend that and run again."
                    )
                # What an earlier run was told may be mended by now: a limit raised, a model unlocked.
                resubmitted = True
                self._settle(name, entry, NOTHING)
                self._submit(name, self._lines(batch, set(entry["requests"])), entry["attempt"])
            else:
                self._take(name, entry, batch)
        failures: dict[str, str] = entry["failures"]
        return failures

    def _take(self, name: str, entry: dict[str, Any], batch: Any) -> None:
        """Keeps the replies of a batch that ended, and hands in what it did not get to."""
        failures: dict[str, str] = dict(entry["failures"])
        left = set(entry["requests"])
        # A request's share, for those whose tokens nobody counted.
        aside, count = self.budget.account.aside_for(f"{name}:{entry['attempt']}"), max(1, len(left))
        share = Tokens(math.ceil(aside.tokens_in / count), math.ceil(aside.tokens_out / count))
        cost = NOTHING
        whole = True
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            content = self.server.content(file, (count + 16) * A_REPLY)
            whole &= content.whole
            for line in content.lines:
                result = _result(line, share)
                if result is None or result.key not in left:
                    continue
                if result.completion is not None:
                    self.store.put(result.key, result.completion)
                    cost = cost.plus(Tokens(result.completion.tokens_in, result.completion.tokens_out))
                if result.completion is not None or not result.again:
                    left.discard(result.key)
                if result.completion is None:
                    failures[result.key] = result.words
                else:
                    failures.pop(result.key, None)
        self._settle(name, entry, cost)
        if not whole:
            failures |= dict.fromkeys(left, "not among what was read of a file without end")
        again = self._lines(batch, left) if left and whole and entry["attempt"] < self.attempts else []
        if again:
            self._submit(name, again, entry["attempt"] + 1, failures)
            return
        failures |= {key: failures.get(key) or f"batch {batch.status}" for key in left}
        self._write(name, {**entry, "requests": [], "failures": failures, "done": True})

    def _submit(
        self, name: str, lines: "list[Line]", attempt: int, failures: dict[str, str] | None = None
    ) -> None:
        most = Tokens(sum(m.tokens_in for _, m, _ in lines), sum(m.tokens_out for _, m, _ in lines))
        call = f"{name}:{attempt}"
        if not self.budget.account.is_open(call):
            if not self.budget.fits(most):
                raise UserError(
                    f"max_cost of {self.budget.max_cost:g} does not allow a batch of {len(lines):,} requests "
                    f"with up to {most.tokens_in:,} tokens in and {most.tokens_out:,} out. "
                    "Raise max_cost and run again: batches under way will be found."
                )
            self.budget.account.set_aside(most, call)
        batch = self.server.create(f"{name}-{attempt}", b"".join(line for _, _, line in lines))
        keys = [key for key, _, _ in lines]
        entry = {"id": batch.id, "attempt": attempt, "requests": keys, "failures": failures or {}}
        self._write(name, {**entry, "done": False})

    def _lines(self, batch: Any, keys: set[str]) -> "list[Line]":
        """Those of the batch's own input file."""
        found = []
        for line in self.server.content(batch.input_file_id, 2 * MAX_BYTES).lines:
            value = json.loads(line)
            if value["custom_id"] in keys:
                body = value["body"]
                tokens_out = body.get("max_completion_tokens") or body.get("max_tokens") or 0
                # The text of the line, images and all, has more bytes than the request has tokens.
                most = Tokens(len(line) + self.image_tokens, tokens_out)
                found.append((value["custom_id"], most, line.rstrip() + b"\n"))
        return found

    def _settle(self, name: str, entry: dict[str, Any], cost: Tokens) -> None:
        call = f"{name}:{entry['attempt']}"
        if self.budget.account.is_open(call):
            self.budget.account.settle(call, cost)

    def _most(self, request: ChatRequest) -> Tokens:
        return Tokens(request.most_tokens_in(self.image_tokens), request.max_tokens)

    def _read(self, name: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_bytes())
        return value

    def _write(self, name: str, entry: dict[str, Any]) -> None:
        whole.write(self.folder / f"{name}.json", json.dumps(entry).encode())


Line = tuple[str, Tokens, bytes]
"""(key, the most that it costs, line of an input file)."""


class BatchServer:
    """The five calls of the Batch API that are needed."""

    def __init__(self, base_url: str | None, api_key: str, timeout: float) -> None:
        self.is_openai = base_url is None
        self._secret = api_key
        self._client = chat.client(base_url, api_key, retries=5, timeout=timeout)

    def create(self, tag: str, data: bytes) -> Any:
        """Hands in a file. A batch of this tag that is there already, made by a run that died before it
        could note it, is taken instead."""
        return self._found(tag) or self._asked(lambda: self._create(tag, data))

    def batch(self, number: str) -> Any:
        return self._asked(lambda: self._client.batches.retrieve(number))

    def content(self, file: str, longest: int) -> "_Content":
        """A file's lines, as far as they lie within its first `longest` bytes."""
        from gritmill.pipeline.storage import servers

        with servers.client(longest) as http:
            client = self._client.with_options(http_client=http)
            response = self._asked(lambda: client.files.content(file)).response
            lines = [line for line in io.BytesIO(response.read()) if line.strip()]
            return _Content(lines, not servers.is_cut(response))

    def _found(self, tag: str) -> Any:
        recent = self._asked(lambda: self._client.batches.list(limit=100))
        ours = (b for b in recent.data if (b.metadata or {}).get(TAG) == tag)
        return next((b for b in ours if b.status != "failed"), None)

    def _create(self, tag: str, data: bytes) -> Any:
        import openai

        file = self._client.files.create(file=(f"{tag}.jsonl", data), purpose="batch")
        # Without the SDK's retries: one that was in fact received would be paid for twice.
        client = self._client.with_options(max_retries=0)
        with contextlib.suppress(openai.APIConnectionError, openai.InternalServerError):
            return client.batches.create(
                input_file_id=file.id,
                endpoint=ENDPOINT,
                completion_window="24h",
                metadata={TAG: tag},
            )
        return self._found(tag) or client.batches.create(
            input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata={TAG: tag}
        )

    def _asked(self, call: Callable[[], T]) -> T:
        import openai

        try:
            return call()
        except openai.APIError as error:
            raise UserError(
                f"the Batch API cannot be used: {chat.words_of(error, self._secret)}. "
                "Mend that and run again: batches under way will be found."
            ) from error


class _Content(NamedTuple):
    lines: list[bytes]
    whole: bool


class _Result(NamedTuple):
    key: str
    completion: Completion | None
    words: str
    again: bool


def _result(line: bytes, most: Tokens) -> _Result | None:
    """A line of an output or error file; None for one that nobody can read."""
    try:
        value = completions.loads(line)
        key = str(value["custom_id"])
        response = value.get("response") or {}
        status, body = response.get("status_code") or 0, response.get("body") or {}
        if status == 200 or "choices" in body:
            completion = parsed_completion("batch", json.dumps(body).encode(), most)
            return _Result(key, completion, "", again=False)
        code, words = error_of(body if body else value)
    except Fault as fault:
        return _Result(key, None, str(fault), again=True)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if code in FILTERED:
        return _Result(key, Completion("batch", "", "", "content_filter", 0, 0), "", again=False)
    hopeless = code in HOPELESS or (400 <= status < 500 and status not in (408, 409, 429))
    return _Result(key, None, shortened(f"{status or code} {words}"), again=not hopeless)


def _line(request: ChatRequest, is_openai: bool) -> bytes:
    value = {
        "custom_id": request.key,
        "method": "POST",
        "url": ENDPOINT,
        "body": chat_body(request, is_openai),
    }
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _split(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines in files within OpenAI's limits."""
    some: list[Line] = []
    size = 0
    for line in lines:
        if some and (len(some) == MAX_REQUESTS or size + len(line[2]) > MAX_BYTES):
            yield some
            some, size = [], 0
        some.append(line)
        size += len(line[2])
    if some:
        yield some


def _name(lines: list[Line]) -> str:
    """The same for the same requests, so that a run that died and did not note its batch finds it."""
    return hashlib.sha256("".join(key for key, _, _ in lines).encode()).hexdigest()[:32]


def _errors(batch: Any) -> str:
    data = batch.errors.data if batch.errors else None
    return "; ".join(str(error.message) for error in data or []) or "without a reason"
