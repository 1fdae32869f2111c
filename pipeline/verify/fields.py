"""The fields that a record of ours must have, with their types (`schemas/records.py` tells of each)."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Json, ValidationError

_MARKS = ("image_id", "split", "image_format")
"""Fields that ours have and released GRIT, img2dataset and others do not."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Source(_Strict):
    uri: str
    offset: int
    length: int


class _Origin(_Strict):
    model: str
    phrase: str
    checks: dict[str, bool] = {}


class _Record(_Strict):
    key: str
    caption: str
    width: int
    height: int
    # Their items are told of one by one, see `sample.py`.
    noun_chunks: list[Any] = []
    ref_exps: list[Any] = []
    boxes: list[_Origin] = []
    image_id: str
    split: str
    image_format: str
    source: _Source
    captions: list[str]
    metadata: Json[dict[str, Any]]
    measured: Json[dict[str, Any]] | None = None
    conversations: str = ""
    provenance: list[dict[str, Any]] = []


def is_ours(record: Mapping[str, Any]) -> bool:
    """True for a record that a run wrote, or that somebody has made look so."""
    return all(name in record for name in _MARKS)


def field_mistakes(record: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the fields of a record of ours: `source.offset: Field required`."""
    try:
        _Record.model_validate(record)
    except ValidationError as error:
        for detail in error.errors():
            yield f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
