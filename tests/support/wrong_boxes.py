"""Datasets with wrong boxes, to see whether a score notices: the same images and questions, other answers."""

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gritmill.schemas.boxes import Box
from gritmill.schemas.conversations import Conversation, Turn, TurnRegion, from_json, to_json

Wrong = Callable[[Sequence[Box], random.Random], list[Box]]
"""All answers of a dataset -> others, as many."""


def shuffled(boxes: Sequence[Box], rng: random.Random) -> list[Box]:
    """Each answer is that of another question, mostly of another image."""
    return rng.sample(list(boxes), len(boxes))


def half_jittered(boxes: Sequence[Box], rng: random.Random) -> list[Box]:
    """Half of the boxes are moved, by half their size to their whole size, either way."""
    return [_moved(box, rng) if rng.random() < 0.5 else box for box in boxes]


def with_wrong_boxes(dataset: Path, out: Path, wrong: Wrong, seed: int = 0) -> Path:
    """A copy of a dataset's `train` split whose conversations have other boxes for answers."""
    shards = sorted((dataset / "data").glob("train-*.tar"))
    found = [box for shard in shards for record in _records(shard) for box in _answers(record)]
    others = iter(wrong(found, random.Random(seed)))
    (out / "data").mkdir(parents=True, exist_ok=True)
    sums = []
    for shard in shards:
        path = out / "data" / shard.name
        _copy(shard, path, others)
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  data/{path.name}\n")
    (out / "SHA256SUMS").write_text("".join(sums))
    return out


def _moved(box: Box, rng: random.Random) -> Box:
    width, height = box.x2 - box.x1, box.y2 - box.y1
    dx, dy = (rng.choice((-1, 1)) * rng.uniform(0.5, 1.0) * side for side in (width, height))
    # Kept in the image whole, so that it is not its size that gives it away.
    x, y = min(max(box.x1 + dx, 0), 1 - width), min(max(box.y1 + dy, 0), 1 - height)
    return Box(x, y, x + width, y + height)


def _records(shard: Path) -> Iterator[dict[str, Any]]:
    with tarfile.open(shard) as tar:
        for member in tar:
            if member.name.endswith(".json"):
                file = tar.extractfile(member)
                assert file is not None
                yield json.load(file)


def _answers(record: dict[str, Any]) -> list[Box]:
    turns = [turn for conversation in from_json(record["conversations"]) for turn in conversation.turns]
    return [box for turn in turns[1::2] for region in turn.regions for box in region.boxes]


def _copy(shard: Path, path: Path, others: Iterator[Box]) -> None:
    with tarfile.open(shard) as source, tarfile.open(path, "w") as target:
        for member in source:
            file = source.extractfile(member)
            assert file is not None
            data = file.read()
            if member.name.endswith(".json"):
                record = json.loads(data)
                record["conversations"] = to_json(_rewritten(record, others))
                data = json.dumps(record).encode()
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))


def _rewritten(record: dict[str, Any], others: Iterator[Box]) -> list[Conversation]:
    return [
        Conversation([_answered(turn, others) if i % 2 else turn for i, turn in enumerate(talk.turns)])
        for talk in from_json(record["conversations"])
    ]


def _answered(turn: Turn, others: Iterator[Box]) -> Turn:
    return turn._replace(
        regions=[TurnRegion([next(others) for _ in region.boxes]) for region in turn.regions]
    )
