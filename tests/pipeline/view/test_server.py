"""Requests that no page of ours makes, answered over a real socket."""

import http.client
import io
import json
import socket
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from gritmill.pipeline.view import Server
from gritmill.pipeline.view.thumbnails import SIDE
from gritmill.schemas.errors import UserError
from tests.pipeline.view.conftest import picture, record

SECURE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@pytest.fixture
def server(serve, write_shard) -> Server:
    return serve(write_shard(record("1_0", "a dog", (0, 5, 0.8)), record("2_0", "a cat", (0, 5, 0.4))))


@pytest.fixture
def get(server) -> Callable[..., tuple[http.client.HTTPResponse, bytes]]:
    """Asks for an address exactly as it is written."""

    def ask(address: str, method: str = "GET", host: str | None = None, **headers: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.putrequest(method, address, skip_host=True)
        for name, value in ({"Host": "127.0.0.1" if host is None else host} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    return ask


def raw(server: Server, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def rows(body: bytes) -> list[str]:
    return [row["entries"][0]["key"] for row in json.loads(body)["rows"]]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?list=dropped&text=%3Cscript%3E", "text/html; charset=utf-8"),
        ("/view.js", "text/javascript; charset=utf-8"),
        ("/view.css", "text/css; charset=utf-8"),
        ("/gallery.js", "text/javascript; charset=utf-8"),
        ("/gallery.css", "text/css; charset=utf-8"),
        ("/favicon.ico", "image/svg+xml; charset=utf-8"),
        ("/about", "application/json"),
        ("/page", "application/json"),
        ("/image/0", "image/jpeg"),
    ],
)
def test_what_there_is(get, address, kind):
    answer, body = get(address)
    assert answer.status == 200 and body and answer.headers["Content-Type"] == kind
    assert {name: answer.headers[name] for name in SECURE} == SECURE
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == "'self'"
    head, nothing = get(address, "HEAD")
    assert head.status == 200 and nothing == b"" and head.headers["Content-Type"] == kind


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765", "192.168.1.7", "10.0.0.1:99"],
)
def test_names_that_nobody_else_can_own_are_served(get, host):
    assert get("/about", host=host)[0].status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "",
        " ",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:80:80",
        "user@127.0.0.1",
        "127.0.0.1/x",
        "[::1",
        "[x]",
        "0x7f.1",
        "2130706433",
        "127.1",
        "localhost.",
        "127.0.0.1, evil.example",
    ],
)
def test_a_name_that_somebody_else_may_own_is_refused(get, host):
    answer, body = get("/page", host=host)
    assert answer.status == 403 and b"dog" not in body
    assert {name: answer.headers[name] for name in SECURE} == SECURE


def test_the_name_that_was_given_is_served(serve, write_shard):
    server = serve(write_shard(record("1", "a dog")), host="localhost")
    assert server.is_ours("localhost:80") and not server.is_ours("elsewhere")


@pytest.mark.parametrize(
    "lines", [b"", b"Host: 127.0.0.1\r\nHost: evil.example\r\n", b"host: evil.example\r\nHost: localhost\r\n"]
)
def test_no_host_or_two_are_refused(server, lines):
    assert raw(server, b"GET /page HTTP/1.1\r\n" + lines + b"\r\n").startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "address",
    [
        "/..",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/image/../../etc/passwd",
        "/image/0/../1",
        "/image/%30",
        "/image/",
        "/image/-1",
        "/image/+1",
        "/image/1e3",
        "/image/%D9%A3",
        "/image/0x0",
        "/image/0/",
        "/image/0%00",
        "/image/999",
        "/image/999999999999999",
        "/image/1000000000000000000000",
        "/view.js/",
        "/VIEW.JS",
        "/view.js%00",
        "/page.html",
        "/app.py",
        "/file:///etc/passwd",
        "/C:/windows/win.ini",
        "/about/",
        "/ABOUT",
        "/static/gallery.js",
        "/.index/x",
    ],
)
def test_no_address_leads_anywhere_else(get, address):
    answer, body = get(address)
    assert answer.status == 404 and answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"root:" not in body and {name: answer.headers[name] for name in SECURE} == SECURE


@pytest.mark.parametrize(
    "query",
    [
        "from=-1",
        "from=1e3",
        "from=x",
        "from=%D9%A3",
        "from=9999999999999999",
        "count=-1",
        "count=1.5",
        "low=x",
        "low=nan",
        "high=inf",
        "low=-inf",
        "low=1e999",
        "list=passwords",
        "list=../kept",
        "text=%FF",
        "text=" + "x" * 201,
        "&".join(f"a{i}=1" for i in range(30)),
    ],
)
def test_queries_that_are_none(get, query):
    answer, body = get(f"/page?{query}")
    assert answer.status == 400 and b"Traceback" not in body


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("", ["1_0", "2_0"]),
        ("count=1", ["1_0"]),
        ("count=99999", ["1_0", "2_0"]),
        ("count=0", []),
        ("from=1", ["2_0"]),
        ("from=999999999999999", []),
        ("from=0&direction=backwards", ["1_0"]),
        ("text=CAT", ["2_0"]),
        ("low=0.5", ["1_0"]),
        ("text=%3Cscript%3E", []),
        ("stage=x%00y", []),
        ("list=kept&list=passwords", ["1_0", "2_0"]),
    ],
)
def test_queries(get, query, keys):
    answer, body = get(f"/page?{query}")
    assert answer.status == 200 and rows(body) == keys


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_nothing_but_reading(get, method):
    answer, body = get("/about", method)
    assert answer.status == 501 and b"<" not in body
    assert {name: answer.headers[name] for name in SECURE} == SECURE


@pytest.mark.parametrize("header", ["Content-Length: 40", "Transfer-Encoding: chunked"])
def test_a_body_is_not_taken_for_another_request(server, header):
    smuggled = b"GET /about HTTP/1.1\r\nHost: localhost\r\n\r\n"
    sent = f"GET /page HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode() + smuggled
    answer = raw(server, sent)
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\xfe\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % i for i in range(300)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET <script>alert(1)</script> HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_garbage_is_refused_and_the_server_goes_on(server, get, data):
    answer = raw(server, data)
    status = int(answer.split()[1]) if answer.startswith(b"HTTP/") else 400
    assert status >= 400 and b"<script" not in answer
    assert get("/about")[0].status == 200


def test_a_connection_serves_several_requests(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    for address in ("/about", "/nothing", "/page", "/image/0", "/image/77"):
        connection.request("GET", address)
        connection.getresponse().read()
        sock = connection.sock
        assert sock is not None


def bomb() -> bytes:
    """A PNG whose header announces 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = (30_000).to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6)))


@pytest.mark.parametrize(
    "image", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", picture()[:200], bomb()], ids=range(4)
)
def test_images_that_cannot_be_shown(serve, write_shard, image):
    server = serve(
        write_shard(members={"1.png": image, "1.txt": b"a dog", "2.jpg": picture(), "2.txt": b"b"})
    )
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", "/image/0")
    answer = connection.getresponse()
    body = answer.read()
    assert (
        answer.status == 500
        and answer.headers["Content-Type"].startswith("text/plain")
        and b"svg" not in body
    )
    connection.request("GET", "/page")
    assert rows(connection.getresponse().read()) == ["1", "2"]
    connection.request("GET", "/image/1")
    assert connection.getresponse().status == 200


def test_images_are_small_and_have_no_metadata(serve, write_shard):
    data = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home"
    Image.new("RGB", (3000, 1000), "red").save(data, "JPEG", exif=exif)
    server = serve(write_shard(members={"1.jpg": data.getvalue(), "1.txt": b"a dog"}))
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", "/image/0")
    small = Image.open(io.BytesIO(connection.getresponse().read()))
    assert small.format == "JPEG" and small.height == SIDE and small.width < SIDE / 2
    assert not small.getexif()
    connection.request("GET", "/page")
    [row] = json.loads(connection.getresponse().read())["rows"]
    assert row["entries"][0]["image"] == {"src": "/image/0", "width": 1000, "height": 3000}


def test_it_listens_on_this_machine_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/"


def test_a_port_that_is_taken_is_said(server):
    with pytest.raises(UserError, match="Choose another --port"):
        Server(server.view, port=server.server_port)


def test_images_of_both_sides_are_told_apart(serve, write_shard, runs):
    server = serve(write_shard(record("1_0", "a dog")), runs[0])
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    page: dict[str, Any] = {"rows": []}
    while not page["rows"]:
        connection.request("GET", "/page")
        page = json.loads(connection.getresponse().read())
    sizes = {}
    for row in page["rows"]:
        for side, entry in zip("lr", row["entries"]):
            if entry:
                connection.request("GET", entry["image"]["src"])
                sizes[side] = Image.open(io.BytesIO(connection.getresponse().read())).size
    assert sizes == {"l": (40, 30), "r": (640, 480)}
