"""What filters measured, from a run's results to the charts of its report."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.report import Choice, charts, find_run, write_report
from gritmill.pipeline.report.measured import MeasuredColumn, measured
from gritmill.pipeline.storage.store import Store

pytest.importorskip("vl_convert", reason="needs vl-convert")

CAPTIONS = ["dog", "a dog", "a dog in a field", "a dog in the field", "buy buy buy now and buy buy buy"]


@pytest.fixture
def finished(tmp_path: Path, coco_mini: Path, write_recipe: Callable[..., Path]) -> Callable[[str], Path]:
    """A run over the captions of one photograph with the options of caption_check; returns its recipe."""
    photo = sorted((coco_mini / "images").iterdir())[0].read_bytes()
    for number, caption in enumerate(CAPTIONS):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(photo)
        (tmp_path / "photos" / f"{number}.txt").write_text(caption)

    def make(options: str) -> Path:
        source = f"type: folder, path: {tmp_path}/photos, part_size: 2"
        recipe = write_recipe(source, ["image_check", f"caption_check: {{{options}}}"])
        run(load_recipe(str(recipe)), Store(f"{tmp_path}/out.work"), LocalRunner(), Progress())
        return recipe

    return make


def of(found: list[MeasuredColumn], column: str) -> MeasuredColumn:
    [one] = [one for one in found if one.column == column]
    return one


def test_dropped_values_are_told_from_kept_ones(finished: Callable[[str], Path]) -> None:
    found = measured(find_run(str(finished("min_words: 3, max_words: 40, max_repetition: 0.7"))))
    words = of(found, "words")
    assert words.bounds == [("at least 3", 3.0), ("at most 40", 40.0)]
    assert words.dropped == {1: 1, 2: 1}
    # The one that repeats itself has its number of words, too.
    assert words.kept == {5: 2, 8: 1}
    assert of(found, "repetition").dropped.total() == 1
    assert {one.column for one in found} == {
        "characters",
        "words",
        "alphabetic",
        "script_share",
        "repetition",
    }


def test_measuring_has_thresholds_and_drops_nothing(finished: Callable[[str], Path]) -> None:
    words = of(measured(find_run(str(finished("min_words: 3, mode: measure")))), "words")
    assert words.dropped == {} and words.kept == {1: 1, 2: 1, 5: 2, 8: 1}
    assert words.bounds[0] == ("at least 3", 3.0)


def test_a_filter_of_one_s_own_is_shown_without_being_imported(
    finished: Callable[[str], Path], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    source = f"type: folder, path: {finished('min_words: 1').parent}/photos, part_size: 2"
    recipe = write_recipe(
        source, ["image_check", "odd_stages:Letters: {min_letters: 8}"], name="own", folder="own"
    )
    run(load_recipe(str(recipe)), Store(f"{tmp_path}/own.work"), LocalRunner(), Progress())
    folder = tmp_path / "own.work" / "recipe.yaml"
    folder.write_text(folder.read_text().replace("odd_stages:", "nowhere_to_be_found:"))
    letters = of(measured(find_run(str(recipe))), "letters")
    assert letters.bounds == [("at least 8", 8.0)]
    assert letters.dropped == {3: 1, 5: 1} and letters.kept.total() == 3


def test_the_report_shows_a_chart_for_each_measurement(finished: Callable[[str], Path]) -> None:
    text = Path(write_report(find_run(str(finished("min_words: 3"))), Choice())).read_text()
    assert re.findall(r"<h3>(caption_check: \w+)</h3>", text) == [
        f"caption_check: {name}"
        for name in ("characters", "words", "alphabetic", "script_share", "repetition")
    ]
    assert "Asked for: at least 3 and at most 200. 3 rows within, 2 dropped (40.0%)." in text


@pytest.mark.parametrize(
    ("kept", "dropped", "bounds", "lines", "says"),
    [
        ({5.0: 3}, {1.0: 1}, [("at least 3", 3.0)], 1, "3 rows within, 1 dropped (25.0%)."),
        ({5.0: 3, 7.0: 1}, {}, [("at most 200", 200.0)], 0, "at most 200. 4 rows within"),
        ({5.0: 3}, {}, [], 0, "any value"),
        ({0.25: 3, 0.5: 1}, {0.1: 2}, [("at least 0.2", 0.2), ("at most 0.6", 0.6)], 2, "2 dropped (33.3%)"),
        ({1.5: 999}, {1e6: 1}, [("at most 10", 10.0)], 0, "The bars at the ends hold 1 beyond."),
        ({60.5: 2, 9000.0: 2}, {}, [("at least 50", 50.0)], 1, "4 rows within"),  # at the very edge
        ({0.0: 1}, {}, [("at least 0", 0.0)], 1, "1 rows within"),
    ],
)
def test_a_chart_has_bars_and_near_thresholds(
    kept: dict[float, int],
    dropped: dict[float, int],
    bounds: list[tuple[str, float]],
    lines: int,
    says: str,
) -> None:
    chart = charts.measurement(MeasuredColumn("check", "words", bounds, Counter(kept), Counter(dropped)))
    assert says in chart.says
    assert chart.svg.count("stroke-dasharray") == lines
    assert sum(int(n.replace(",", "")) for *_, n in chart.rows) == sum(kept.values()) + sum(dropped.values())


def test_values_of_many_sizes_are_drawn_in_powers_of_ten() -> None:
    found = MeasuredColumn("check", "sharpness", [("at least 50", 50.0)], Counter({60.5: 2, 9000.0: 2}))
    found.dropped[9.5] = 1
    chart = charts.measurement(found)
    assert chart.rows[0][0].startswith("9.5 to ") and chart.svg.count("stroke-dasharray") == 1
    middle = float(chart.rows[1][0].split(" to ")[0])
    assert 50 < middle < 60.5


@pytest.mark.parametrize("value", [0.75, -2.5, 1e-9])
def test_one_value_is_a_narrow_bar(value: float) -> None:
    found = MeasuredColumn("check", "share", [], Counter({value: 999, 0.25: 1}))
    [place] = [place for place, _, rows in charts.measurement(found).rows if rows == "999"]
    low, high = map(float, place.split(" to "))
    assert low <= value <= high and high - low < 0.01 * abs(value)


def test_no_more_bars_than_fit_whatever_was_measured() -> None:
    many = Counter({float(value): 1 for value in range(1, 5000)})
    assert len(charts.measurement(MeasuredColumn("check", "pixels", [], many, Counter())).rows) <= 33
