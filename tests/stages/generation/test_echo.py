"""The fake takes part in everything, and is taken for nothing else."""

import json

import pytest

from gritmill.schemas.columns import Columns
from gritmill.schemas.replies import Exchanges, Reply, exchanges_schema
from gritmill.stages.generation.backends.echo import LABEL, EchoGenerate, _instance
from gritmill.stages.replies.checks import problems


class NoImage:
    def read(self) -> bytes:
        raise OSError("an echo looks at no image")


@pytest.mark.parametrize(
    "prompt", ["conversation", "detail_description", "complex_reasoning", "caption/general"]
)
def test_replies_are_labelled_and_pass_for_replies(prompt: str) -> None:
    stage = EchoGenerate(prompts=prompt)
    stage.setup()
    batch: Columns = {"key": ["a"], "context": ["A brown dog runs across a field."], "image": [NoImage()]}
    [reply] = stage.process(batch)["reply"]
    assert isinstance(reply, Reply)
    assert (reply.backend, reply.model, reply.finish_reason) == ("echo", "echo", "stop")
    assert LABEL in reply.text and "brown dog" in reply.text
    assert stage.process(batch) == {"reply": [reply]}
    assert problems(reply.text, batch["context"][0], stage.drawn("a").format) == []


def test_structured_replies_follow_the_schema() -> None:
    schema = exchanges_schema()
    made = Exchanges.model_validate_json(json.dumps(_instance(schema, schema, LABEL)))
    assert made.turns[0].answer == LABEL
