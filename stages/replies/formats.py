"""The formats that a language model answers in, read into questions and answers."""

import re
from collections.abc import Iterator
from functools import lru_cache

from pydantic import ValidationError

from gritmill.prompts import few_shot
from gritmill.prompts.few_shot import FewShot, Format
from gritmill.schemas.reasoning import answer_of
from gritmill.schemas.replies import Exchange, Exchanges

_LABEL = re.compile(r"[\s*_#>-]{0,6}(question|answer)(?: ?[0-9]{1,3})?[\s*_]{0,4}:[\s*_]{0,4}", re.I)
_BAR = re.compile(r"\s*={3,}\s*")
_FENCE = "```"

prompt_of = lru_cache(maxsize=64)(few_shot.load)
"""A prompt folder, read once in a process."""


def exchanges(text: str, format: Format) -> list[Exchange]:
    """The questions and answers of a reply, without its reasoning; a plain answer has an empty question.

    Raises `ValueError`, with words that the model can mend its reply by.

    >>> exchanges("Question:\\nWhat is it?\\n===\\nAnswer:\\nA dog.\\n===", "qa")
    [Exchange(question='What is it?', answer='A dog.')]
    """
    text = answer_of(text)
    if format == "answer":
        return [Exchange(question="", answer=text)]
    found = _from_json(text) if format == "json" else _from_pieces(list(_pieces(text)))
    if not found:
        raise ValueError("there is no question in the reply")
    for i, exchange in enumerate(found, start=1):
        for name, said in (("question", exchange.question), ("answer", exchange.answer)):
            if not said:
                raise ValueError(f"{name} {i} is empty")
    return found


def format_of(task: str) -> Format:
    """The format that the examples of a prompt folder show."""
    prompt: FewShot = prompt_of(task)
    return prompt.format


def _from_json(text: str) -> list[Exchange]:
    bare = text.strip()
    if bare.startswith(_FENCE) and bare.endswith(_FENCE):
        bare = bare.removesuffix(_FENCE).partition("\n")[2]
    try:
        turns = Exchanges.model_validate_json(bare).turns
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"the JSON does not fit its schema{place and f' at {place}'}: {first['msg']}"
        ) from error
    return [Exchange(question=turn.question.strip(), answer=turn.answer.strip()) for turn in turns]


def _from_pieces(pieces: list[tuple[str, str]]) -> list[Exchange]:
    for i, (label, _) in enumerate(pieces):
        if label != ("question", "answer")[i % 2]:
            raise ValueError(f'part {i + 1} is a second "{label.title()}:" in a row')
    if len(pieces) % 2:
        raise ValueError("the last question has no answer")
    texts = [text for _, text in pieces]
    return [Exchange(question=q, answer=a) for q, a in zip(texts[::2], texts[1::2], strict=True)]


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """`("question", "What is it?")`, `("answer", "A dog.")`, ... in their order."""
    label, lines = "", list[str]()
    for line in [*text.splitlines(), "==="]:
        found = _LABEL.match(line)
        if found or _BAR.fullmatch(line):
            if label:
                yield label, "\n".join(lines).strip()
            label, lines = (found[1].lower(), [line[found.end() :]]) if found else ("", [])
        elif label:
            lines.append(line)
        elif line.strip():
            raise ValueError(f'text stands outside of "Question:" and "Answer:" ({line.strip()[:40]!r})')
