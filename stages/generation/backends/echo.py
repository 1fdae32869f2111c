"""A fake of a language model: says nothing new, costs nothing, always the same. For tests and first tries."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from gritmill.prompts.few_shot import FewShot
from gritmill.stages.generation.backends.base import Completion
from gritmill.stages.generation.calls import Caller
from gritmill.stages.generation.generate import Generate
from gritmill.stages.generation.limits import Pace
from gritmill.stages.generation.request import ChatRequest
from gritmill.stages.generation.tokens import likely_tokens

LABEL = "(echo, no model wrote this)"
"""Stands in every text, so that it is taken for a model's words nowhere downstream."""


class EchoGenerate(Generate):
    """Context -> its own first line in the form that the prompt asks for, labelled as no model's words.

    "A dog in a field." -> Reply("conversation", "Question:\\n(echo, no model ...", "echo", ...)

    Its replies cost nothing and are kept nowhere.
    """

    backend: Literal["echo"] = "echo"
    """Who answers: nobody."""

    def revision(self) -> dict[str, str]:
        # What a dataset says of its making: statistics, report.
        return {"backend": LABEL, **super().revision()}

    def make_caller(self) -> Caller:
        return Caller(Echo(), None, Pace(self.calls_at_once))

    def request_options(self, prompt: FewShot) -> dict[str, Any]:
        return {"model": "echo", "parameters": self.sampling}


class Echo:
    """The backend's interface without a model behind it."""

    async def complete(self, request: ChatRequest) -> Completion:
        said = " ".join(request.messages[-1].text.split("\n", 1)[0].split())[:500] or "Nothing"
        said = said if said.endswith((".", "!", "?")) else f"{said}."  # else it would look cut off
        text = _in_form(request, said)
        tokens_in = likely_tokens(message.text for message in request.messages)
        return Completion("echo", "echo", text, "stop", tokens_in, likely_tokens([text]))

    async def close(self) -> None:
        """Nothing to close."""


def _in_form(request: ChatRequest, said: str) -> str:
    if request.schema is not None:
        return json.dumps(_instance(request.schema, request.schema, f"{LABEL} {said}"))
    example = next((m.text for m in reversed(request.messages) if m.role == "assistant"), "")
    if example.startswith("Question:"):
        return f"Question:\n{LABEL} What is there to see?\n===\nAnswer:\n{LABEL} {said}"
    if example.startswith("{"):
        return json.dumps(_like(json.loads(example), f"{LABEL} {said}"))
    return f"{LABEL} {said}"


def _like(example: Any, text: str) -> Any:
    """The first of everything in an example, with other words."""
    if isinstance(example, dict):
        return {name: _like(value, text) for name, value in example.items()}
    if isinstance(example, list):
        return [_like(value, text) for value in example[:1]]
    return text if isinstance(example, str) else example


def _instance(schema: Mapping[str, Any], root: Mapping[str, Any], text: str) -> Any:
    """The smallest value that a schema of structured outputs allows."""
    if reference := schema.get("$ref"):
        return _instance(root["$defs"][reference.rsplit("/", 1)[-1]], root, text)
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _instance(schema["anyOf"][0], root, text)
    kind = schema.get("type")
    if kind == "object":
        return {name: _instance(each, root, text) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [_instance(schema["items"], root, text)]
    return {"string": text, "integer": 0, "number": 0.0, "boolean": False}.get(str(kind))
