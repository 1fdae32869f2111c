"""What others may see of a recipe, a path or a URL."""

import pytest

from schemas.public import is_private, public, public_text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"images": "/home/ann/photos/"}, {"images": ".../photos"}),
        ({"images": "~/photos"}, {"images": ".../photos"}),
        ({"images": "C:\\Users\\ann\\photos"}, {"images": ".../photos"}),
        ({"images": "file:///home/ann/photos"}, {"images": ".../photos"}),
        ({"images": "photos/train"}, {"images": "photos/train"}),
        ({"url": "https://ann:pw@host/a.tar?sig=1"}, {"url": "https://host/a.tar"}),
        ({"shards": ["s3://bucket/{0..9}.tar"]}, {"shards": ["s3://bucket/{0..9}.tar"]}),
        ({"a": {"hub_token": "hf_abc", "max_tokens": 5}}, {"a": {"hub_token": "***", "max_tokens": 5}}),
        ({"url": "https://[broken"}, {"url": "***"}),
        ({"/home/ann/prompts/mine": "9f2c"}, {".../mine": "9f2c"}),
        ({"model": "/home/ann/parser 3.8.0 9f2c"}, {"model": ".../parser 3.8.0 9f2c"}),
        (5, 5),
    ],
)
def test_plain_data(value, shown):
    assert public(value) == shown
    assert public(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/00037.tar", ".../00037.tar"),
        ("/data/train.parquet#image", ".../train.parquet#image"),
        ("s3://bucket/train.parquet#image", "s3://bucket/train.parquet#image"),
        ("hf://datasets/me/photos@main/a.parquet#image", "hf://datasets/me/photos@main/a.parquet#image"),
        ("scenes:version=1&seed=0", "scenes:version=1&seed=0"),
        ("IDEA-Research/grounding-dino-tiny@a2bb814dd30d", "IDEA-Research/grounding-dino-tiny@a2bb814dd30d"),
    ],
)
def test_addresses(text, shown):
    assert public_text(text) == shown


@pytest.mark.parametrize(
    ("text", "private"),
    [("/data", True), ("~/x", True), ("file:///x", True), ("photos", False), ("https://host/home", False)],
)
def test_places(text, private):
    assert is_private(text) is private
