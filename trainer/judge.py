"""A language model that grades answers, over any server that speaks OpenAI's chat completions.

It reads context, question, a reference answer and the model's (`prompts/judge/relative.txt`) and writes two
grades on the first line of its answer: "8 6". What cannot be read as two grades of 1..10 is none, and counted
as such.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from gritmill import prompts
from gritmill.pipeline.storage import chat
from gritmill.schemas import completions
from gritmill.schemas.errors import UserError
from gritmill.schemas.reasoning import answer_of
from gritmill.schemas.records import to_json
from gritmill.schemas.training import Judge
from gritmill.trainer.metrics import Grades
from gritmill.trainer.sets import Ask

if TYPE_CHECKING:
    import openai

PROMPT = "judge/relative"
AT_ONCE = 8
"""Requests under way."""
RETRIES = 5
"""Of a request that the server was too busy for; the SDK waits as the server tells it."""
TIMEOUT = 600
"""Seconds that a reply may take, which is the SDK's own limit."""
KEY = "GRITMILL_JUDGE_API_KEY"
"""Environment variable with the key of a server of one's own. OpenAI's key goes to OpenAI only: a recipe
that names another server must not be able to ask for it."""

_GRADES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[,\s]\s*(\d+(?:\.\d+)?)\s*")


class OpenAIJudge:
    """Grades answers; every reply is written to a file before it is used, and is not asked for again."""

    def __init__(self, options: Judge, replies: Path) -> None:
        self._model = options.model
        self._max_tokens = options.max_tokens
        self._key = _key(options)
        self._client = _client(options, self._key)
        self._path = replies
        self._lock = threading.Lock()
        self._replies = _kept(replies)

    def grade(self, asks: Sequence[Ask], answers: Sequence[str]) -> dict[str, Grades | None]:
        """Grades by question id; None where the reply holds none.

        Raises `UserError` if the server cannot be reached or refuses, or if no reply at all can be read.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            replies = list(pool.map(self._reply, map(_prompt, asks, answers)))
        grades = {ask.question.id: grades_of(reply) for ask, reply in zip(asks, replies, strict=True)}
        if grades and not any(grades.values()):
            raise UserError(
                f"{self._model} gave no two grades in {len(grades):,} replies, such as {replies[0][:80]!r}. "
                "Name a judge that follows instructions, or raise `judge.max_tokens` if it reasons first."
            )
        return grades

    def _reply(self, prompt: str) -> str:
        key = hashlib.sha256(json.dumps([self._model, self._max_tokens, prompt]).encode()).hexdigest()
        if key not in self._replies:
            reply = self._asked(prompt)
            if reply is None:
                return ""
            with self._lock:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab") as file:
                    file.write(to_json({"key": key, "reply": reply}) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                self._replies[key] = reply
        return self._replies[key]

    def _asked(self, prompt: str) -> str | None:
        """None for what is no chat completion: it is not kept, and asked for again by the next run."""
        import openai

        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self._max_tokens,
        }
        try:
            response = chat.post(self._client, body)
        except openai.OpenAIError as error:
            raise UserError(
                f"The judge {self._model} cannot be asked: {chat.words_of(error, self._key)}. "
                "Check `judge.model`, `judge.base_url` and the key; replies so far are kept."
            ) from error
        try:
            return completions.read(response.content).text
        except ValueError:
            return None


def grades_of(reply: str) -> Grades | None:
    """The two grades of an answer's first line, 1..10: "8, 6.5" -> Grades(8, 6.5); "8/10" -> None."""
    try:
        found = _GRADES.fullmatch(answer_of(reply).split("\n", 1)[0])
    except ValueError:
        return None
    if found is None:
        return None
    grades = Grades(float(found[1]), float(found[2]))
    return grades if all(1 <= grade <= 10 for grade in grades) else None


def _prompt(ask: Ask, answer: str) -> str:
    reference = ask.question.truth
    slots = {
        "context": reference.context,
        "question": ask.asked.words["question"],
        "reference": reference.answer,
        "answer": answer,
    }
    # One pass: what is put in is never searched for slots of its own.
    return re.sub(
        r"\{(context|question|reference|answer)\}", lambda slot: slots[slot[1]], prompts.text(PROMPT)
    )


def _key(options: Judge) -> str:
    key = os.environ.get(KEY, chat.NO_KEY) if options.base_url else os.environ.get("OPENAI_API_KEY")
    if not key:
        raise UserError("The judge needs a key. Set OPENAI_API_KEY, or `judge.base_url`.")
    return key


def _client(options: Judge, key: str) -> "openai.OpenAI":
    try:
        return chat.client(options.base_url, key, retries=RETRIES, timeout=TIMEOUT)
    except ImportError as error:
        raise UserError("A judge needs the package openai. Run: pip install 'gritmill[llm]'") from error


def _kept(path: Path) -> dict[str, str]:
    """Replies of an earlier run; a line that was cut short is asked for again."""
    replies: dict[str, str] = {}
    for line in path.read_bytes().split(b"\n") if path.is_file() else []:
        try:
            row = json.loads(line)
            replies[str(row["key"])] = str(row["reply"])
        except (ValueError, KeyError, TypeError):
            continue
    return replies
