"""The Batch API on top of `ChatServer`: files, batches, results out of order, and what can go wrong."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from chat_server import ChatServer, _send


@dataclass
class BatchServer(ChatServer):
    """Each look at a batch brings it a step further: `looks` of them until it ends."""

    looks: int = 1
    ends: list[str] = field(default_factory=list)
    """How the first batches end; `completed` for all others. `expired` ones get half done, `cancelled`
    ones nothing."""
    forgets: bool = False
    """The first batch is created, but the connection is cut before anybody hears of it."""
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    async def answer(
        self,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
    ) -> bool:
        path = path.split("?")[0]
        if path == "/v1/files":
            boundary = headers["content-type"].split("boundary=")[1].encode()
            parts = {_name(part): part.split(b"\r\n\r\n", 1)[1][:-2] for part in _parts(body, boundary)}
            name = f"file-{len(self.files)}"
            self.files[name] = parts["file"]
            await _send(writer, 200, {"id": name, "object": "file", "purpose": "batch"})
        elif path.startswith("/v1/files/"):
            await _send(writer, 200, self.files[path.split("/")[3]])
        elif path == "/v1/batches" and method == "POST":
            batch = self._create(json.loads(body))
            if self.forgets and len(self.batches) == 1:
                return False
            await _send(writer, 200, batch)
        elif path == "/v1/batches":
            await _send(writer, 200, {"object": "list", "data": list(self.batches.values())[::-1]})
        elif path.startswith("/v1/batches/"):
            batch = self.batches[path.split("/")[3]]
            self._go_on(batch)
            await _send(writer, 200, batch)
        else:
            return await super().answer(writer, method, path, headers, body)
        return True

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = f"batch-{len(self.batches)}"
        batch = {
            "id": name,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "created_at": 0,
            "metadata": asked["metadata"],
            "status": "validating",
            "looks": 0,
            "end": self.ends.pop(0) if self.ends else "completed",
        }
        self.batches[name] = batch
        return batch

    def _go_on(self, batch: dict[str, Any]) -> None:
        batch["looks"] += 1
        if batch["status"] in ("validating", "in_progress"):
            batch["status"] = "in_progress"
            if batch["looks"] > self.looks:
                self._end(batch)

    def _end(self, batch: dict[str, Any]) -> None:
        batch["status"] = batch["end"]
        if batch["end"] == "failed":
            batch["errors"] = {"data": [{"code": "token_limit_exceeded", "message": "Enqueued too much"}]}
            return
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if batch["end"] != "completed":
            lines = lines[: len(lines) // 2] if batch["end"] == "expired" else []
        good, bad = [], []
        for line in reversed(lines):  # in no order that one could rely on
            digest = line["custom_id"]
            fault = self.fault(digest, self._times[digest])
            self._times[digest] += 1
            result: dict[str, Any] = {"custom_id": digest, "error": None}
            if fault in ("400", "500"):
                error = {"error": {"message": f"Fault {fault}", "code": fault}}
                bad.append({**result, "response": {"status_code": int(fault), "body": error}})
                continue
            value = self.completion(line["body"], digest, fault)
            usage = value["usage"]
            call = self._call(digest, (usage["prompt_tokens"], usage["completion_tokens"]))
            self.calls.append(call)
            good.append({**result, "response": {"status_code": 200, "body": self.change(value)}})
        for kind, results in (("output_file_id", good), ("error_file_id", bad)):
            if results:
                batch[kind] = f"file-{len(self.files)}"
                self.files[batch[kind]] = "\n".join(map(json.dumps, results)).encode()

    def _call(self, digest: str, tokens: tuple[int, int]) -> Any:
        from chat_server import Call

        return Call(digest, None, tokens)


def _parts(body: bytes, boundary: bytes) -> list[bytes]:
    return [part for part in body.split(b"--" + boundary) if b"\r\n\r\n" in part]


def _name(part: bytes) -> str:
    found = re.search(rb'name="([^"]+)"', part)
    assert found is not None
    return found[1].decode()
