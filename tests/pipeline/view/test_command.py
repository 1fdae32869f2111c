"""`pipeline view` as a user starts and ends it."""

import json
import os
import signal
import subprocess
import sys
from urllib.request import urlopen

import pytest

from tests.pipeline.view.conftest import record


def test_it_says_where_it_is_and_ends_on_ctrl_c(write_shard):
    shard = write_shard(record("1_0", "a dog"))
    process = subprocess.Popen(
        [sys.executable, "-m", "gritmill.pipeline.cli", "view", str(shard), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a shell ignores the signal, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        url = process.stdout.readline().split()[0]
        assert url.startswith("http://127.0.0.1:")
        with urlopen(f"{url}page", timeout=30) as answer:
            assert json.load(answer)["rows"][0]["entries"][0]["key"] == "1_0"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "arguments", [["nothing.tar"], ["."], ["--host", "256.256.256.256", "a.tar"], ["a.tar", "nothing.json"]]
)
def test_what_cannot_be_shown_is_said_in_a_sentence(cli, write_shard, tmp_path, arguments):
    write_shard(record("1", "a dog"), name="folder/a.tar")
    (tmp_path / "empty").mkdir()
    where = tmp_path / ("empty" if arguments == ["."] else "folder")
    done = cli("view", *arguments, "--port", "0", cwd=where)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
