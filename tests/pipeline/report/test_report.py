"""`report.html` as text: what is in it, what is not, and that it is the same each time."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gritmill.pipeline.report import Choice, find_run, write_report
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

pytest.importorskip("vl_convert", reason="needs vl-convert")
pytest.importorskip("spacy", reason="needs spaCy")

LOG: list[dict[str, Any]] = [
    {"step": step, "samples": 8 * step, "loss": 4 / step, "learning_rate": 0.001, "bad": []}
    for step in (10, 20, 30)
]
SCORE = {"value": 0.58, "n": 3031, "interval": [0.567, 0.599], "ceiling": 0.99}
METRICS = {
    "format": 1,
    "sets": {"validation": {"rec": {"rec/first_box@0.5": SCORE, "rec/first_box@0.5[small]": SCORE}}},
    "baselines": {"validation": {"rec": {"rec/first_box@0.5": {"mean box": {"value": 0.03}}}}},
}


ALL = Choice()


def written(folder: Path | str, choice: Choice = ALL) -> str:
    return Path(write_report(find_run(str(folder)), choice)).read_text(encoding="utf-8")


def data(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    """The dataset alone, which the recipe inside it does not know of."""
    return Path(shutil.copytree(small, tmp_path / "copy"))


def test_a_page_of_somebody_else_s_is_left_alone(small: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(small.parent, tmp_path / "copy")) / small.name
    run = replace(find_run(str(small)), output=Store(str(copy)))
    write_report(run, ALL)
    write_report(run, ALL)
    (copy / "report.html").write_text("<h1>My own page</h1>")
    with pytest.raises(UserError, match=r"report.html is not ours to write over; move it away"):
        write_report(run, ALL)
    assert (copy / "report.html").read_text() == "<h1>My own page</h1>"


def test_kept_and_dropped_samples_are_all_there(small: Path) -> None:
    found = data(written(small))
    assert [len(entry["phrases"]) for entry in found["kept"]] != [0, 0, 0]
    assert sorted(entry["key"] for entry in found["kept"]) == [
        "000000000001_0",
        "000000000001_1",
        "000000000001_2",
    ]
    drops = {
        (e["stage"], e["reason"]): (e["caption"], e["value"], e["threshold"])
        for g in found["dropped"]
        for e in g
    }
    assert drops == {
        ("caption_check", "too_few_words"): ("dog", "1", "3"),
        ("select_boxes", "no_candidate"): ("Seven giraffes at a station.", None, None),
    }
    # One photograph, one picture, however many samples show it.
    assert len(found["pictures"]) == 1 and found["pictures"][0].startswith("data:image/webp;base64,")


def test_the_page_needs_nothing_from_outside_and_names_nothing_of_this_machine(small: Path) -> None:
    text = written(small)
    assert re.findall(r"https?://(?!www\.w3\.org/)[^\"'\s]+", text) == []
    assert str(small.parent) not in text
    assert "<script>alert" not in text


def test_only_the_styles_and_scripts_that_were_written_may_run(small: Path) -> None:
    text = written(small)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    for content, name in ((style, "style-src"), (script, "script-src")):
        [digest] = re.findall(rf"{name} 'sha256-([^']+)'", policy)
        assert digest == base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def test_the_same_run_gives_the_same_bytes_by_any_of_its_names(small: Path) -> None:
    first = written(small)
    assert written(small) == first
    assert written(f"{small}.work") == first
    assert written(small.parent / "small.yaml") == first


@pytest.mark.parametrize(("kept", "dropped", "counts"), [(0, 0, (0, 0)), (2, 1, (2, 2)), (9, 9, (3, 2))])
def test_as_many_as_asked_for(small: Path, kept: int, dropped: int, counts: tuple[int, int]) -> None:
    found = data(written(small, Choice(kept=kept, dropped=dropped)))
    assert (len(found["kept"]), sum(map(len, found["dropped"]))) == counts


def test_a_dataset_away_from_its_source_still_has_a_report(copy: Path) -> None:
    run = find_run(str(copy))
    assert "copy.work holds no run" in run.missing
    text = written(copy)
    assert len(data(text)["kept"]) == 3
    assert data(text)["dropped"] == []
    assert "Dropped samples were not at hand" in text


def test_a_dataset_whose_recipe_is_of_another_version_still_has_a_report(copy: Path) -> None:
    recipe = copy / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "bake: 3\n")
    assert "the recipe cannot be read here: line" in find_run(str(copy)).missing
    assert len(data(written(copy))["kept"]) == 3


def test_parquet_alone_shows_the_images_of_the_source(make_run: Callable[..., Path]) -> None:
    out = make_run("parquet")
    assert len(data(written(out))["kept"]) == 3


def test_a_run_that_has_not_ended_shows_how_far_it_is(make_run: Callable[..., Path]) -> None:
    out = make_run()
    (out / "SHA256SUMS").unlink()
    text = written(out)
    assert "there is no dataset yet" in text
    assert len(data(text)["dropped"]) == 2
    assert "<td>select_boxes</td>" in text


def test_what_was_trained_on_it_is_shown_with_its_scores(make_run: Callable[..., Path]) -> None:
    out = make_run()
    model = Path(f"{out}.model")
    assert 'id="training"' not in written(out)
    (model / "eval").mkdir(parents=True)
    (model / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG) + '{"step": 4')
    (model / "eval" / "metrics.json").write_text(json.dumps(METRICS))
    text = written(out)
    assert "30 steps, 240 samples; the last loss is 0.133." in text
    for cell in ("58.0%", "56.7%-59.9%", "3.0%", "3,031", "rec/first_box@0.5[small]"):
        assert f">{cell}</td>" in text
    (model / "eval" / "metrics.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match="another version"):
        written(out)


@pytest.mark.parametrize("name", ["nowhere", "quickstart"])
def test_what_was_never_run_has_no_report(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        find_run(name)


def test_a_damaged_shard_is_named(make_run: Callable[..., Path]) -> None:
    out = make_run()
    [shard] = (out / "data").glob("train*.tar")
    shard.write_bytes(shard.read_bytes()[:1500])
    with pytest.raises(UserError, match="verify"):
        written(out)


def test_the_command_says_where_it_is(small: Path, cli: Callable[..., Any]) -> None:
    done = cli("report", small, "--samples", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{small}/report.html\n"
