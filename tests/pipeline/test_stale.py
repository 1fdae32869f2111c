"""Pages of a state of the dataset that is no more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.card import CARD, CROISSANT, write_card
from gritmill.pipeline.card.yours import EMPTY
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.stale import drop_stale_pages
from gritmill.pipeline.storage.store import Store

pytest.importorskip("spacy", reason="needs the extra nlp")

Write = Callable[..., Path]
GRIT = ["image_check", "noun_chunks", "ground: {grounder: annotations}", "select_boxes"]
REPORT = '<meta name="generator" content="gritmill"> dataset 0123456789abcdef'


def made(recipe: Path, *overrides: str) -> Path:
    job = load_recipe(str(recipe), overrides)
    run(job, Store(f"{job.output.dir}.work"), LocalRunner(), Progress(), replace=True)
    return Path(job.output.dir)


def dropped(out: Path) -> list[str]:
    return list(drop_stale_pages(Store(str(out))))


def test_what_told_of_another_state_goes_with_it(write_recipe: Write) -> None:
    recipe = write_recipe("type: scenes, count: 6, size: 96", GRIT)
    out = made(recipe)
    write_card(Store(str(out)))
    (out / "report.html").write_text(REPORT)
    assert [line.partition(",")[0] for line in dropped(out)] == [f"removed {out / 'report.html'}"]
    assert dropped(out) == []
    assert {CARD, CROISSANT, "samples"} <= {path.name for path in out.iterdir()}

    made(recipe, "source.seed=1")
    assert [line.partition(",")[0] for line in dropped(out)] == [
        f"removed {out / CARD}",
        f"removed {out / CROISSANT}",
    ]
    assert not (out / CARD).exists() and not list(out.glob("samples/*"))


def test_what_the_user_wrote_stays(write_recipe: Write) -> None:
    recipe = write_recipe("type: scenes, count: 6, size: 96", GRIT)
    out = made(recipe)
    write_card(Store(str(out)))
    card = (out / CARD).read_text().replace(EMPTY, "\nTaken in our garden.\n")
    (out / CARD).write_text(card)
    (out / "report.html").write_text("<h1>My own page</h1>")
    (out / CROISSANT).write_text("{}")
    made(recipe, "source.seed=1")
    assert dropped(out) == [
        f"{out / CARD} tells of an earlier state; `pipeline card` writes it anew and keeps your text"
    ]
    assert (out / CARD).read_text() == card and list(out.glob("samples/*"))
    assert (out / "report.html").exists() and (out / CROISSANT).exists()
