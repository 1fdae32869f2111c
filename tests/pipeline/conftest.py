"""An S3 server for whatever reads and writes URLs, and a browser for pages."""

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest
from chromium import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_numbers = count()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server in this process."""
    server_module = pytest.importorskip("moto.server", reason="needs moto and flask")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket, which this process and those it starts can reach."""
    s3fs = pytest.importorskip("s3fs")
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    name = f"bucket-{next(_numbers)}"
    fs.mkdir(name)
    yield f"s3://{name}"
    fs.rm(name, recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One for the tests of a module: while Playwright runs, so does its event loop, and no other can."""
    with chromium() as found:
        yield found
