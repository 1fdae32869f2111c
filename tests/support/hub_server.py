"""A server that answers as the Hugging Face hub does, for the few calls that reading files takes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(revisions: dict[str, Path], name: str = "someone/photos") -> Iterator[str]:
    """Serves folders as the revisions of one dataset; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        do_HEAD = do_POST = do_GET

        def answer(self) -> None:
            path = unquote(self.path.partition("?")[0])
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            for revision, folder in revisions.items():
                commit = f"{COMMIT[:-1]}{list(revisions).index(revision)}"
                if path in {f"/api/datasets/{name}/revision/{revision}", *self.main(revision)}:
                    return self.send({"id": name, "sha": commit, "siblings": []})
                if path.startswith(f"/api/datasets/{name}/revision/{commit}"):
                    return self.send({"id": name, "sha": commit, "siblings": []})
                if path.startswith(f"/api/datasets/{name}/tree/{commit}"):
                    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
                    return self.send([self.entry(file, folder) for file in files])
                prefix = f"/datasets/{name}/resolve/{commit}/"
                if path.startswith(prefix):
                    return self.file(folder / path.removeprefix(prefix), commit)
            return self.send({"error": "not found"}, 404)

        def main(self, revision: str) -> set[str]:
            return {f"/api/datasets/{name}"} if revision == "main" else set()

        def entry(self, file: Path, folder: Path) -> dict[str, object]:
            path = file.relative_to(folder).as_posix()
            return {"type": "file", "oid": f"oid-{path}", "size": file.stat().st_size, "path": path}

        def file(self, path: Path, commit: str) -> None:
            data = path.read_bytes()
            start, stop = 0, len(data)
            span = self.headers.get("Range")
            if span:
                first, _, last = span.removeprefix("bytes=").partition("-")
                start, stop = int(first), min(int(last) + 1 if last else len(data), len(data))
            self.send_response(206 if span else 200)
            self.send_header("Content-Length", str(stop - start))
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
            self.send_header("ETag", '"etag"')
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[start:stop])

        def send(self, value: object, status: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
