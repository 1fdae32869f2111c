"""A server that answers as the Hugging Face hub does, for the calls that reading and writing a dataset takes.

Writing is the hub's own protocol: `preupload` says what goes to the file storage, git LFS's batch call where
to put it, whole or (above `part_size`) in parts, and a commit is a line of JSON for each file. Faults can be
set for any of its requests.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_thisIsTheSecretOfTheTests"
USER = "someone"


class Blob(NamedTuple):
    """A file of a commit."""

    data: bytes
    lfs: bool = False

    def entry(self, path: str) -> dict[str, Any]:
        oid = hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()
        entry: dict[str, Any] = {"type": "file", "oid": oid, "size": len(self.data), "path": path}
        if self.lfs:
            sha256 = hashlib.sha256(self.data).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(self.data), "pointerSize": 130}
        return entry


Tree = dict[str, Blob]


@dataclass
class Repo:
    """A dataset repository: its commits, and the names of some of them."""

    commits: dict[str, Tree] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False

    @property
    def files(self) -> dict[str, bytes]:
        """What the main branch holds."""
        return {path: blob.data for path, blob in self.commits[self.refs["main"]].items()}

    def add(self, tree: Tree) -> str:
        commit = hashlib.sha1(f"{len(self.commits)}{sorted(tree)}".encode()).hexdigest()
        self.commits[commit] = tree
        self.refs["main"] = commit
        return commit


@dataclass
class Fault:
    """Answers a request otherwise than it should; `status` 0 cuts the connection instead."""

    request: str
    """A pattern that `"POST /api/..."` is searched for."""
    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    """Do as asked, and only then fail."""
    skip: int = 0
    """Requests that still go well."""


@dataclass
class Hub:
    """What the server knows and what it has seen."""

    repos: dict[str, Repo] = field(default_factory=dict)
    storage: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 -> content, of what has been uploaded."""
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    """SHA-256 of each upload that came to its end."""
    part_size: int = 10**9
    """Larger files are uploaded in parts of so many bytes."""
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    """SHA-256 -> the parts of an upload that is under way."""
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, request: str, status: int, **options: Any) -> None:
        self.faults.append(Fault(request, status, **options))

    def fault_of(self, request: str) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times and re.search(fault.request, request):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def hub(revisions: dict[str, Path], name: str = "someone/photos") -> Iterator[str]:
    """Serves folders as the revisions of one dataset; gives the address."""
    repo = Repo()
    for number, (revision, folder) in enumerate(revisions.items()):
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        commit = f"{COMMIT[:-1]}{number}"
        repo.refs[revision] = commit
        repo.commits[commit] = {
            file.relative_to(folder).as_posix(): Blob(file.read_bytes()) for file in files
        }
    with serve(Hub({name: repo})) as state:
        yield state.address


@contextmanager
def serve(state: Hub) -> Iterator[Hub]:
    """Serves what there is, and takes what is pushed with `TOKEN`."""

    class Handler(_Handler):
        hub = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Failure(Exception):
    """An error that the hub answers with: status, message and, at times, a code."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.target, self.query = unquote(path), parse_qs(query)
        fault = self.hub.fault_of(f"{self.command} {self.target}")
        length = int(self.headers.get("Content-Length") or 0)
        if fault and not fault.status and not fault.after:
            self.rfile.read(length // 2)
            return self.cut()
        body = self.rfile.read(length)
        if fault and not fault.after:
            return self.fail(fault)
        self.muted = fault is not None
        try:
            self.answer(body)
        except _Failure as failure:
            self.send({"error": str(failure)}, failure.status, {"X-Error-Code": failure.code})
        if fault:
            return self.fail(fault) if fault.status else self.cut()
        return None

    do_HEAD = do_POST = do_PUT = do_GET

    def cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def fail(self, fault: Fault) -> None:
        self.muted = False
        said = f"as told: {self.headers.get('Authorization')}"  # the worst that a server can say
        self.send({"error": said}, fault.status, fault.headers)

    def answer(self, body: bytes) -> None:
        if self.target == "/api/repos/create":
            return self.create(json.loads(body))
        if self.target == "/api/validate-yaml":
            return self.send({"errors": [], "warnings": []})
        if match := re.fullmatch(r"/storage/(\w+)/(\d+)", self.target):
            return self.put_part(match[1], int(match[2]), body)
        if match := re.fullmatch(r"/storage/(\w+)/all", self.target):
            return self.join_parts(match[1], json.loads(body))
        if match := re.fullmatch(r"/storage/(\w+)", self.target):
            return self.put(match[1], body)
        if match := re.fullmatch(r"/datasets/(.+)\.git/info/lfs/objects/batch", self.target):
            return self.batch(json.loads(body))
        for name, repo in self.hub.repos.items():
            if repo.private and not self.is_known:
                continue
            if self.target.startswith(f"/datasets/{name}/resolve/"):
                tree, commit, path = self.find(repo, self.target.removeprefix(f"/datasets/{name}/resolve/"))
                return self.file(tree, commit, path)
            if self.target == f"/api/datasets/{name}":
                return self.info(name, repo, repo.refs["main"])
            if self.target.startswith(f"/api/datasets/{name}/"):
                return self.about(name, repo, self.target.removeprefix(f"/api/datasets/{name}/"), body)
        raise _Failure(404, "not found", "RepoNotFound")

    def about(self, name: str, repo: Repo, rest: str, body: bytes) -> None:
        what, _, rest = rest.partition("/")
        if what == "refs":
            branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.refs["main"]}]
            return self.send({"branches": branches, "converts": [], "tags": []})
        if what not in ("revision", "tree", "paths-info", "preupload", "commit", "tag"):
            raise _Failure(404, "not found")
        tree, commit, path = self.find(repo, rest)
        if what == "revision":
            return self.info(name, repo, commit)
        if what == "tree":
            return self.tree(tree, path)
        if what == "paths-info":
            wanted = parse_qs(body.decode()).get("paths", [])
            return self.send([tree[path].entry(path) for path in wanted if path in tree])
        self.check_token()
        if what == "preupload":
            return self.preupload(json.loads(body), tree)
        if what == "commit":
            return self.commit(name, tree, [json.loads(line) for line in body.splitlines()])
        tag = json.loads(body)["tag"]
        if tag in repo.refs:
            raise _Failure(409, "the tag is there")
        repo.refs[tag] = commit
        return self.send({})

    @property
    def is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def check_token(self) -> None:
        if not self.is_known:
            raise _Failure(401, "Invalid credentials in Authorization header")

    def find(self, repo: Repo, rest: str) -> tuple[Tree, str, str]:
        """`main/data/a.tar` -> the commit's files, its id, and the path."""
        names = {**repo.refs, **{commit: commit for commit in repo.commits}}
        for name, commit in names.items():
            if rest == name or rest.startswith(f"{name}/"):
                return repo.commits[commit], commit, rest[len(name) + 1 :]
        raise _Failure(404, "no such revision", "RevisionNotFound")

    def info(self, name: str, repo: Repo, commit: str) -> None:
        self.send({"id": name, "sha": commit, "siblings": [], "private": repo.private})

    def tree(self, tree: Tree, folder: str) -> None:
        prefix = f"{folder}/" if folder else ""
        inside = [path for path in sorted(tree) if path.startswith(prefix)]
        if folder and not inside:
            raise _Failure(404, "no such folder", "EntryNotFound")
        if self.query.get("recursive", ["false"])[0].lower() not in ("true", "1"):
            steps = dict.fromkeys(path.removeprefix(prefix).partition("/")[0] for path in inside)
            inside = [prefix + step for step in steps if prefix + step in tree]
            folders = [prefix + step for step in steps if prefix + step not in tree]
        else:
            folders = sorted({path.rpartition("/")[0] for path in inside} - {"", folder})
        found = [
            {"type": "directory", "oid": hashlib.sha1(f.encode()).hexdigest(), "path": f} for f in folders
        ]
        self.send([*found, *(tree[path].entry(path) for path in inside)])

    def create(self, asked: dict[str, Any]) -> None:
        self.check_token()
        if asked.get("organization") not in (None, USER):
            raise _Failure(403, "you may not write there")
        name = f"{USER}/{asked['name']}"
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        with self.hub.lock:
            is_new = name not in self.hub.repos
            if is_new:
                self.hub.repos[name] = Repo(private=private)
                self.hub.repos[name].add({".gitattributes": Blob(b"*.tar filter=lfs\n")})
        found = {"url": f"{self.hub.address}/datasets/{name}", "name": name}
        self.send(found if is_new else {**found, "error": "the repository is there"}, 200 if is_new else 409)

    def preupload(self, asked: dict[str, Any], tree: Tree) -> None:
        files = []
        for file in asked["files"]:
            there = tree.get(file["path"])
            entry = there.entry(file["path"]) if there else {}
            lfs = file["path"].endswith((".tar", ".parquet")) or file["size"] > 10_000_000
            oid = entry.get("lfs", entry).get("oid")
            mode = "lfs" if lfs else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.send({"files": files})

    def batch(self, asked: dict[str, Any]) -> None:
        self.check_token()
        objects = [self.upload_of(one["oid"], one["size"]) for one in asked["objects"]]
        in_parts = any("/all" in json.dumps(one) for one in objects)
        self.send({"transfer": "multipart" if in_parts else "basic", "objects": objects})

    def upload_of(self, oid: str, size: int) -> dict[str, Any]:
        """Where to put an object; nowhere if it is there."""
        entry: dict[str, Any] = {"oid": oid, "size": size}
        if oid in self.hub.storage:
            return entry
        href = f"{self.hub.address}/storage/{oid}"
        if size <= self.hub.part_size:
            return {**entry, "actions": {"upload": {"href": href}}}
        numbers = range(1, -(-size // self.hub.part_size) + 1)
        header = {f"{number:05d}": f"{href}/{number}" for number in numbers}
        header["chunk_size"] = str(self.hub.part_size)
        return {**entry, "actions": {"upload": {"href": f"{href}/all", "header": header}}}

    def put_part(self, oid: str, number: int, body: bytes) -> None:
        with self.hub.lock:
            self.hub.parts.setdefault(oid, {})[number] = body
        self.send({}, headers={"ETag": hashlib.md5(body).hexdigest()})

    def join_parts(self, oid: str, told: dict[str, Any]) -> None:
        if oid in self.hub.storage:  # asked again, since the answer was lost
            return self.send({})
        parts = self.hub.parts.pop(oid, {})
        tags = [(number, hashlib.md5(parts[number]).hexdigest()) for number in sorted(parts)]
        if tags != [(part["partNumber"], part["etag"]) for part in told["parts"]] or told["oid"] != oid:
            raise _Failure(400, "these are other parts")
        return self.put(oid, b"".join(parts[number] for number in sorted(parts)))

    def put(self, oid: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise _Failure(400, "these are other bytes")
        with self.hub.lock:
            self.hub.storage[oid] = body
            self.hub.uploads.append(oid)
        self.send({})

    def commit(self, name: str, tree: Tree, lines: list[dict[str, Any]]) -> None:
        repo = self.hub.repos[name]
        with self.hub.lock:
            new = dict(tree)
            for line in lines:
                key, value = line["key"], line["value"]
                if key == "header" and value.get("parentCommit", repo.refs["main"]) != repo.refs["main"]:
                    raise _Failure(412, "the branch has moved")
                if key == "file":
                    new[value["path"]] = Blob(base64.b64decode(value["content"]))
                elif key == "lfsFile":
                    if value["oid"] not in self.hub.storage:
                        raise _Failure(400, "the content has not been uploaded")
                    new[value["path"]] = Blob(self.hub.storage[value["oid"]], lfs=True)
                elif key == "deletedFile":
                    del new[value["path"]]
            commit = repo.add(new)
        self.send({"commitUrl": f"{self.hub.address}/datasets/{name}/commit/{commit}", "commitOid": commit})

    def file(self, tree: Tree, commit: str, path: str) -> None:
        if path not in tree:
            raise _Failure(404, "no such file", "EntryNotFound")
        data = tree[path].data
        start, stop = 0, len(data)
        span = self.headers.get("Range")
        if span:
            first, _, last = span.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1 if last else len(data), len(data))
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[start:stop])

    def send(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        if self.muted:
            return
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in (headers or {}).items():
            if text:
                self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    muted = False

    def log_message(self, format: str, *args: object) -> None:
        pass
