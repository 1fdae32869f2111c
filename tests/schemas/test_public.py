"""What others may see of a recipe, a path or a URL."""

from typing import Any

import pytest

from gritmill.schemas.public import (
    hidden,
    hide,
    hide_credentials,
    hide_variable,
    is_hidden,
    is_private,
    public,
    public_text,
    without_secrets,
)


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
        ({"url": "simplecache::s3://KEY:SE/CRET@bucket/x"}, {"url": "simplecache::s3://bucket/x"}),
        ({"url": "zip://a.jpg::https://ann:pw@h/x.zip?s=1"}, {"url": "zip://a.jpg::https://h/x.zip"}),
        ({"url": "zip://a.jpg::/home/ann/x.zip"}, {"url": "zip://a.jpg::.../x.zip"}),
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/photos has no images", "/home/ann/photos has no images"),
        ("what? is=it", "what? is=it"),
        ("hf://datasets/me/photos@main/a.parquet#image", "hf://datasets/me/photos@main/a.parquet#image"),
        ("http://host:8080/a@2x.jpg is gone", "http://host:8080/a@2x.jpg is gone"),
        ("https://ann:pw@host/a.tar, not found", "https://***@host/a.tar, not found"),
        ("https://ghp_abc@host/a.tar", "https://***@host/a.tar"),
        ("https://ann:p@w@host/a.tar", "https://***@host/a.tar"),
        ("(simplecache::s3://KEY:SE/CRET@bucket/x)", "(simplecache::s3://***@bucket/x)"),
        ("s3://a/b and zip://x::https://a:b@c/d", "s3://a/b and zip://x::https://***@c/d"),
        ("'https://h/a?v=1&X-Amz-Signature=ab%2F' 403", "'https://h/a?v=***&X-Amz-Signature=***' 403"),
        ("https://h/a?abcdef refused", "https://h/a?*** refused"),
        (
            "https://h/a?sig=ab;c; (https://h/a?sig=d), then",
            "https://h/a?sig=***; (https://h/a?sig=***), then",
        ),
        ("exceeded with url: /x.tar?sig=abc (Caused by", "exceeded with url: /x.tar?sig=*** (Caused by"),
        # What stands in for a secret tells nothing, and a recipe needs it.
        ("https://ann:${PW}@h/a?sig=${SIG}", "https://ann:${PW}@h/a?sig=${SIG}"),
        ("https://${TOKEN}@h/a", "https://${TOKEN}@h/a"),
    ],
)
def test_sentences_lose_secrets_and_keep_paths(text, shown):
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_plain_data_loses_secrets_and_keeps_paths():
    data = {"images": "/home/ann", "a": [{"api_key": "sk-1", "hub_token": "${HF}", "url": "s3://k:s@b/c"}]}
    shown: dict[str, Any] = {
        "images": "/home/ann",
        "a": [{"api_key": "***", "hub_token": "${HF}", "url": "s3://***@b/c"}],
    }
    assert without_secrets(data) == shown
    assert is_hidden(shown["a"][0]["api_key"]) and is_hidden(shown["a"][0]["url"])
    assert not any(map(is_hidden, ("a *** b", "s3://b/c", "${HF}")))


@pytest.mark.parametrize(
    ("name", "value", "text", "shown"),
    [
        ("TOKEN", "t0k", "in-t0k/a", "in-t0k/a"),
        ("TOKEN", "t0ken", "in-t0ken/a", "in-${TOKEN}/a"),
        ("SPLIT", "train", "train/a", "train/a"),
        ("WHERE", "vault-17-4", "s3://vault-17-4/a", "s3://${WHERE}/a"),
        ("TOKEN", "a/b+c d", "GET /a%2Fb%2Bc%20d: 404", "GET /${TOKEN}: 404"),
        ("TOKEN", 'say "x"\n', r'{"path": "say \"x\"\n"}', '{"path": "${TOKEN}"}'),
    ],
)
def test_the_value_of_a_variable_is_shown_as_the_variable(name, value, text, shown):
    hide_variable(name, value)
    assert without_secrets(text) == public_text(text) == shown


def test_of_values_within_one_another_the_longest_goes():
    hide({"token-1": "${A}", "token-1-of-2": "${B}"})
    assert without_secrets("token-1-of-2, token-1") == "${B}, ${A}"


def test_a_password_is_hidden_wherever_it_comes_again():
    hide_credentials("https://ann:PASSWORDpw9@host/a?sig=SIGNATUREsig9&download=true")
    assert without_secrets("user ann, PASSWORDpw9, SIGNATUREsig9, true") == "user ann, ***, ***, true"
    known = hidden()
    hide({})
    assert hidden() == known


def test_a_path_is_shortened_before_it_is_searched():
    hide_variable("HOME", "/home/ann")
    assert public_text("/home/ann/a.tar") == ".../a.tar"
    assert without_secrets("/home/ann/a.tar is gone") == "${HOME}/a.tar is gone"


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", ["a://", "://a:b", "?a", "a", "?a=", "@://"])
def test_no_text_takes_long(text):
    without_secrets(text * 30_000 + "://")
