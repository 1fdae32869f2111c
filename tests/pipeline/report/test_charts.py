"""Charts: what they say in words and numbers, and SVG that a strict page may hold."""

import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from gritmill.pipeline.report import charts
from gritmill.pipeline.report.charts import Chart
from gritmill.pipeline.report.survey import Counts

pytest.importorskip("vl_convert", reason="needs vl-convert")


def lengths(counts: dict[int, int]) -> Chart:
    return charts.lengths("Caption length", "captions", "words", counts)


@pytest.mark.parametrize(
    ("counts", "rows"),
    [
        ({5: 2}, [("5", "2")]),
        ({0: 1, 2: 3}, [("0", "1"), ("2", "3")]),
        ({1: 999, 5000: 1}, [("1", "1,000")]),
        ({1: 5, 100: 5}, [("0-2", "5"), ("99-101", "5")]),
    ],
)
def test_lengths_are_counted_and_the_longest_together(
    counts: dict[int, int], rows: list[tuple[str, str]]
) -> None:
    assert lengths(counts).rows == rows


def test_what_is_in_the_last_bar_is_said() -> None:
    assert lengths({1: 999, 5000: 1}).says == (
        "1,000 captions, 6.0 words on average, at most 5,000. The last bar holds 1 with more than 1."
    )


def test_areas_are_shares_on_a_scale_of_powers() -> None:
    counts = Counts()
    for side, score in [(0.1, 0.0), (0.1, 0.97), (1, 1.0)]:
        counts.add({"caption": "a dog", "image_id": "a", "noun_chunks": [[0, 5, 0, 0, side, side, score]]})
    assert counts.phrase_words == {2: 3}
    assert counts.image_boxes == {"a": 3}
    assert sum(counts.areas.values()) == 3 and max(counts.areas) == -1
    assert counts.scores == {0: 1, 19: 2}
    assert charts.areas(counts, 0.01).rows[-1] == ("63.1-100%", "1")
    assert charts.scores(counts, ["m"]).rows == [("0.00-0.05", "1"), ("0.95-1.00", "2")]


@pytest.mark.parametrize("name", ["dog", "<script>alert(1)</script>", "</svg><img src=x>", "日本"])
def test_the_svg_holds_no_script_no_style_and_nothing_from_outside(name: str) -> None:
    svg = charts.concepts({name: 3, "cat": 1}, 1.0).svg
    root = ElementTree.fromstring(svg)
    elements = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert elements <= {"svg", "g", "path", "line", "text", "rect", "title"}
    assert not re.search(r"\sstyle=|\son\w+=|href=|url\(", svg)
    assert name in "".join(root.itertext())


def test_equal_numbers_give_equal_bytes_in_the_colours_of_the_page() -> None:
    first, second = (lengths(Counter({3: 4, 5: 1})).svg for _ in range(2))
    assert first == second
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', first)) <= {
        *("none", "transparent"),
        *("var(--c0)", "var(--soft)", "var(--rule)"),
    }
