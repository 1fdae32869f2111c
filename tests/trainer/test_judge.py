"""A judge behind a real server on the loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeAdapter, FakeModel
from PIL import Image

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Eval
from gritmill.trainer.evaluate import evaluate
from gritmill.trainer.judge import KEY, grades_of
from gritmill.trainer.metrics import Grades, Question
from gritmill.trainer.metrics_file import Report, load_outcomes
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.sets import Ask, QuestionSet, Reference

pytest.importorskip("openai", reason="needs openai")


class Server:
    """Answers chat completions; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.reply: Callable[[str], tuple[int, str]] = lambda prompt: (200, "9 6\nFine.")
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.asked.append(body)
                told.keys.add(self.headers.get("Authorization"))
                status, text = told.reply(body["messages"][0]["content"])
                choice = {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
                value = {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 0,
                    "model": "m",
                    "choices": [choice],
                }
                data = json.dumps(value if status == 200 else {"error": {"message": text}}).encode()
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", text)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def bench(count: int = 3) -> QuestionSet:
    asks = []
    for n in range(count):
        truth = Reference(f"a dog {n} on grass", "It is a {answer}.", "desc" if n else "reason")
        asked = Prompt("vqa", {"question": f"What is {n}?"}, [])
        asks.append(Ask(Question(f"bench/{n}", f"i{n}", truth), asked, lambda: Image.new("RGB", (64, 48))))
    return QuestionSet("bench", "judge", asks)


def run(out: Path, server: Server, said: str = "A dog.") -> Report:
    options = Eval(resamples=100, judge={"model": "some/judge", "base_url": server.url})
    adapter = FakeAdapter(lambda asked, image: said)
    return evaluate(FakeModel(), adapter, options, [bench()], out, native=False)


def test_grades_and_the_judge_in_the_name(tmp_path: Path, server: Server) -> None:
    report = run(tmp_path, server)
    score = report.score("bench", "judge/relative@some/judge")
    assert score.value == pytest.approx(6 / 9)
    assert (score.n, score.unparsable) == (3, 0)
    assert report.score("bench", "judge/relative@some/judge[desc]").n == 2
    assert report.about["judge"]["model"] == "some/judge" and report.about["judge"]["prompt"]
    body = server.asked[0]
    assert (body["model"], body["temperature"]) == ("some/judge", 0)
    prompt = body["messages"][0]["content"]
    order = ["on grass", "What is ", "It is a {answer}.", "A dog."]
    assert sorted(order, key=prompt.index) == order  # what is filled in is no template
    outcomes = load_outcomes(tmp_path)["bench"]["judge/relative@some/judge"]
    assert outcomes.score(resamples=100) == score


def test_what_cannot_be_read_is_counted_and_left_out(tmp_path: Path, server: Server) -> None:
    server.reply = lambda prompt: (200, "I would say 9 and 1" if "What is 1?" in prompt else "8 4\n")
    score = run(tmp_path, server).score("bench", "judge/relative@some/judge")
    assert (score.value, score.n, score.unparsable) == (0.5, 3, 1)


def test_nothing_is_bought_twice(tmp_path: Path, server: Server) -> None:
    first = run(tmp_path, server)
    with (tmp_path / "judge-bench.jsonl").open("a") as file:
        file.write('{"key": "cut sho')
    assert run(tmp_path, server) == first
    assert len(server.asked) == 3
    run(tmp_path, server, said="A cat.")
    assert len(server.asked) == 6


def test_a_judge_that_never_grades_is_an_error(tmp_path: Path, server: Server) -> None:
    server.reply = lambda prompt: (200, "Both are good.")
    with pytest.raises(
        UserError, match=r"some/judge gave no two grades in 3 replies, such as 'Both are good.'"
    ):
        run(tmp_path, server)
    assert (tmp_path / "predictions-bench-judge.jsonl").is_file()


def test_a_judge_that_reasons_is_given_room(tmp_path: Path, server: Server) -> None:
    server.reply = lambda prompt: (200, "<think>\nHm, 3 3?\n</think>\n\n8 4\nFine.")
    options = Eval(resamples=100, judge={"model": "some/judge", "base_url": server.url, "max_tokens": 4096})
    report = evaluate(
        FakeModel(), FakeAdapter(lambda asked, image: "A dog."), options, [bench()], tmp_path, native=False
    )
    score = report.score("bench", "judge/relative@some/judge")
    assert (score.value, score.unparsable) == (0.5, 0)
    assert {body["max_tokens"] for body in server.asked} == {4096}
    # Kept as it came.
    assert b"Hm, 3 3?" in (tmp_path / "judge-bench.jsonl").read_bytes()


def test_a_judge_may_answer_in_parts(tmp_path: Path, server: Server) -> None:
    parts: Any = [{"type": "thinking", "thinking": "3 3"}, {"type": "text", "text": "8 4\nFine."}]
    server.reply = lambda prompt: (200, parts)
    score = run(tmp_path, server).score("bench", "judge/relative@some/judge")
    assert (score.value, score.unparsable) == (0.5, 0)


def test_a_reply_that_is_none_is_no_grade_and_not_kept(tmp_path: Path, server: Server) -> None:
    odd: Any = 5
    server.reply = lambda prompt: (200, odd if "What is 1?" in prompt else "8 4\n")
    assert run(tmp_path, server).score("bench", "judge/relative@some/judge").unparsable == 1
    server.reply = lambda prompt: (200, "8 4\n")
    assert run(tmp_path, server).score("bench", "judge/relative@some/judge").unparsable == 0
    assert len(server.asked) == 4


def test_a_judge_s_server_sends_nobody_elsewhere(tmp_path: Path, server: Server) -> None:
    server.reply = lambda prompt: (307, "http://127.0.0.1:9/v1/chat/completions")
    with pytest.raises(UserError, match=r"sends calls on to 127.0.0.1:9, where the key must not go unasked"):
        run(tmp_path, server)


def test_a_server_that_refuses_is_told(tmp_path: Path, server: Server) -> None:
    server.reply = lambda prompt: (400, "no such model")
    with pytest.raises(UserError, match=r"cannot be asked: .*no such model"):
        run(tmp_path, server)


def test_openai_s_key_goes_to_openai_only(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    run(tmp_path, server)
    assert server.keys == {"Bearer none"}
    monkeypatch.setenv(KEY, "mine")
    run(tmp_path / "b", server)
    assert server.keys == {"Bearer none", "Bearer mine"}


@pytest.mark.parametrize(
    ("reply", "grades"),
    [
        ("8 6", (8, 6)),
        ("8, 6.5\nThe first", (8, 6.5)),
        (" 10\t1 ", (10, 1)),
        ("8 6 7", None),
        ("8/10 6/10", None),
        ("0 5", None),
        ("11 5", None),
        ("-1 -1", None),
        ("eight six", None),
        ("\n8 6", (8, 6)),
        ("<think>\nThe first is 9 5.\n</think>\n\n8 6\nFine.", (8, 6)),
        ("The first is good.\n</think>8 6", (8, 6)),
        ("<think>\n8 6", None),
        ("8 6\nThe second answer speaks of <think>.", (8, 6)),
        ("", None),
        ("9" * 100_000 + " 1", None),
    ],
)
def test_only_two_grades_are_grades(reply: str, grades: tuple[float, float] | None) -> None:
    assert grades_of(reply) == (Grades(*grades) if grades else None)
