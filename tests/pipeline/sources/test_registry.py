"""Sources by name, and what all of them have in common."""

import pytest
from pydantic import ValidationError

from gritmill.pipeline.sources.base import Source
from gritmill.pipeline.sources.keys import MAX_KEY, distinct_names, safe_key
from gritmill.pipeline.sources.registry import SOURCES, source_class
from gritmill.schemas.errors import UserError


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_there_and_documents_its_options(name):
    cls = source_class(name)
    assert issubclass(cls, Source) and cls.__doc__
    assert [
        field for field, info in cls.model_fields.items() if field != "type" and not info.description
    ] == []


@pytest.mark.parametrize("name", SOURCES)
def test_unknown_options_are_refused(name):
    with pytest.raises(ValidationError, match="nonsense"):
        source_class(name).model_validate({"type": name, "nonsense": 1})


def test_names():
    assert source_class("gritmill.pipeline.sources.coco:CocoSource") is source_class("coco")
    with pytest.raises(UserError, match="did you mean 'webdataset'"):
        source_class("webdatasets")
    with pytest.raises(UserError, match="there are: webdataset, coco"):
        source_class("xyz")


@pytest.mark.parametrize("text", ["000012345", "a_b-C9", "x" * MAX_KEY])
def test_safe_keys_stay(text):
    assert safe_key(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "a.b", "a/b", "../a", "a b", "é", "x" * (MAX_KEY + 1), "\ud800", "a\n", "\0", "-" * 200]
)
def test_other_keys_become_safe(text):
    key = safe_key(text)
    assert key != text and key == safe_key(text) == safe_key(key) and len(key) <= MAX_KEY


@pytest.mark.parametrize(
    ("uris", "names"),
    [
        (["/x/y/a.parquet"], ["a"]),
        (["s3://b/a.parquet", "s3://b/c.parquet"], ["a", "c"]),
        (["x/en/0.parquet", "x/fr/0.parquet"], ["en/0", "fr/0"]),
        (["0.parquet", "x/0.parquet"], ["0", "x/0"]),
        (["a/x/0.parquet", "b/x/0.parquet"], ["a/x/0", "b/x/0"]),
        ([], []),
    ],
)
def test_distinct_names(uris, names):
    assert distinct_names(uris) == names
