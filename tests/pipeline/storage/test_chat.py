import pytest

from gritmill.pipeline.storage.chat import NO_KEY, OPENAI, client, shortened, words_of

openai = pytest.importorskip("openai")


def test_the_address_is_openai_s_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with client(None, "secret", retries=0, timeout=1) as made:
        assert str(made.base_url).rstrip("/") == OPENAI


@pytest.mark.parametrize(("key", "said"), [("mine-12", "***"), (NO_KEY, NO_KEY)])
def test_a_failure_is_told_without_the_key(key: str, said: str) -> None:
    with (
        client("http://127.0.0.1:9/v1", key, retries=0, timeout=1) as made,
        pytest.raises(openai.APIConnectionError) as raised,
    ):
        made.models.list()
    assert words_of(raised.value, key).startswith("ConnectError: ")
    raised.value.__cause__ = OSError(f"no way for {key}")
    assert words_of(raised.value, key) == f"OSError: no way for {said}"


@pytest.mark.parametrize("secret", ["sk-proj-abcdefgh12345678", "Bearer abcdefgh12345678", "key-12345678abc"])
def test_words_of_a_server_hold_no_key(secret: str) -> None:
    assert secret.split()[-1] not in shortened(f"Incorrect API key provided: {secret}. Find it at ...")
