"""Conversations say which stage made them and which have rewritten them, whatever the stage itself says."""

from collections.abc import Callable
from typing import Any

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.conversations import Conversation
from gritmill.stages.base import Stage


def signing(stage: Stage, name: str) -> Callable[[Columns], Columns]:
    """Its `process`, which then puts `name` into the provenance of all conversations that come out."""
    signed = {column for column, kind in stage.writes.items() if kind == list[Conversation]}
    if not signed:
        return stage.process

    def process(batch: Columns) -> Columns:
        columns = stage.process(batch)
        for column in signed & columns.keys():
            sign = _rewritten if column in stage.reads and column not in stage.appends else _made
            columns[column] = [_row(value, sign, name) for value in columns[column]]
        return columns

    return process


def _row(value: Any, sign: Callable[[Conversation, str], Conversation], name: str) -> Any:
    if value is None or isinstance(value, Reject):
        return value
    return [sign(conversation, name) for conversation in value]


def _made(conversation: Conversation, name: str) -> Conversation:
    return conversation._replace(provenance=conversation.provenance._replace(maker=name))


def _rewritten(conversation: Conversation, name: str) -> Conversation:
    origin = conversation.provenance
    names = ", ".join(filter(None, [origin.rewritten_by, name]))
    return conversation._replace(provenance=origin._replace(rewritten_by=names))
