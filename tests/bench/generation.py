"""Calls side by side against the ideal, and memory as replies grow in number.

    python -m tests.bench.generation [--calls 2000] [--concurrency 64] [--latency 0.4] [--replies 20000]

The server answers after a fixed time, in a process of its own. Ideal is concurrency / latency; a plain
`openai` client with a semaphore, without disk, budget or pace, takes turns with ours. The second table is
one process that goes on asking, with answers at once: its memory must not grow with the replies.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from gritmill.schemas.columns import Columns
from gritmill.stages.generation.backends.openai import OpenAIGenerate
from tests.bench.tables import print_table

SERVER = Path(__file__).parent.parent / "support" / "chat_server.py"


class NoImage:
    def read(self) -> bytes:
        raise OSError("nobody looks")


@contextlib.contextmanager
def server(latency: float) -> Iterator[str]:
    """A server in a process of its own; gives its address."""
    command = [sys.executable, str(SERVER), "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def samples(count: int, start: int = 0) -> Columns:
    numbers = range(start, start + count)
    return {
        "key": [f"k{n}" for n in numbers],
        "context": [f"A dog, the {n}th, runs across a field." for n in numbers],
        "image": [NoImage()] * count,
    }


def stage(url: str, folder: str, concurrency: int) -> OpenAIGenerate:
    made = OpenAIGenerate(
        model="m", base_url=url, replies=folder, concurrency=concurrency, prompts="conversation"
    )
    made.setup()
    return made


def plain(url: str, count: int, concurrency: int) -> float:
    """Seconds of what a user would write."""
    import openai

    async def main() -> float:
        room = asyncio.Semaphore(concurrency)
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

            async def call(context: str) -> None:
                async with room:
                    await client.chat.completions.create(
                        model="m", messages=[{"role": "user", "content": context}], max_tokens=1024
                    )

            begun = time.perf_counter()
            await asyncio.gather(*(call(context) for context in samples(count)["context"]))
            return time.perf_counter() - begun

    return asyncio.run(main())


def throughput(calls: int, concurrency: int, latency: float, rounds: int) -> None:
    ideal = calls * latency / concurrency
    ours, theirs = [], []
    with server(latency) as url:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                made = stage(url, folder, concurrency)
                batch = samples(calls)
                begun = time.perf_counter()
                made.process(batch)
                ours.append(time.perf_counter() - begun)
                made._loop.run(made._caller.backend.close())
            theirs.append(plain(url, calls, concurrency))
    print_table(
        f"{calls:,} calls, {concurrency} at once, answered after {latency:g} s",
        ["arm", "seconds", "share of the ideal rate"],
        [
            ("ideal", f"{ideal:.2f}", "1.00"),
            (
                "generate: prompts of 1,300 tokens, kept on disk",
                f"{min(ours):.2f}",
                f"{ideal / min(ours):.2f}",
            ),
            ("plain client, one short message", f"{min(theirs):.2f}", f"{ideal / min(theirs):.2f}"),
        ],
    )


def memory(replies: int, concurrency: int) -> None:
    rows: list[tuple[str, str, str]] = []
    first = 0
    step = max(1, replies // 10)
    with server(0.0) as url, tempfile.TemporaryDirectory() as folder:
        made = stage(url, folder, concurrency)
        for start in range(0, replies, step):
            made.process(samples(step, start))
            used = psutil.Process().memory_info().rss
            first = first or used
            rows.append((f"{start + step:,}", f"{used / 1e6:.0f} MB", f"{used / first:.2f}"))
    print_table("memory of one process", ["replies", "resident", "ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--replies", type=int, default=20_000)
    options = parser.parse_args()
    throughput(options.calls, options.concurrency, options.latency, options.rounds)
    memory(options.replies, options.concurrency)


if __name__ == "__main__":
    main()
