"""The web server: GET only, on this machine only, for pages that it sent itself.

A page elsewhere may make the browser send requests here, even under a name of its own that it had
rebound to this machine's address. So the name must be one that nobody else can own, answers may be used
by no other origin, and the page may load nothing but from here and run nothing but its two scripts.
"""

import ipaddress
import re
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from gritmill.pipeline.engine.terminal import print_exception
from gritmill.pipeline.view.app import Response, Viewer
from gritmill.schemas.errors import UserError

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # The next dataset may have the same addresses.
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """Serves a view at `url` until it is shut down."""

    daemon_threads = True

    def __init__(self, view: Viewer, host: str = "127.0.0.1", port: int = 0) -> None:
        self.view = view
        self.host = host
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UserError(
                f"cannot listen at {host}:{port}: {error.strerror}. Choose another --port or --host."
            ) from error

    @property
    def url(self) -> str:
        """What to open in a browser."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{self.server_port}/"

    def is_ours(self, host: str) -> bool:
        """True for a `Host` that is an address, `localhost` or the name we were told to listen at.

        The port does not count: it changes on the way through a tunnel.
        """
        match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", host, re.ASCII)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        if name in ("localhost", self.host.lower()):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is no error."""
        error = sys.exception()
        if error and not isinstance(error, (ConnectionError, TimeoutError)):
            print_exception(error)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30
    # An answer leaves in one piece: the second of two waits 40 ms for the first to be acknowledged.
    wbufsize = -1
    disable_nagle_algorithm = True
    # What we run on is nobody's business.
    server_version, sys_version = "gritmill", ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not self.server.is_ours(hosts[0]):
            self._send(Response(403, "text/plain; charset=utf-8", b"this host name is not served here"))
        elif "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body would be taken for the next request
            self._send(Response(400, "text/plain; charset=utf-8", b"a request with a body"))
        else:
            try:
                path, query = urlsplit(self.path)[2:4]
            except ValueError:
                path, query = "", ""
            self._send(self.server.view.answer(path, query))

    do_HEAD = do_GET

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _send(self, answer: Response) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
