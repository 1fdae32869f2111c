"""The page in a real browser."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from chromium import faults, problems

from tests.pipeline.view.conftest import CAPTIONS, picture, record

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCRIPT = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'> a dog"


@pytest.fixture
def visit(browser: "Browser", serve: Callable[..., Any]) -> Iterator[Callable[..., "Page"]]:
    """Serves datasets and opens the page at an address; the console must have nothing to complain of."""
    pages = []

    def open_(*names: object, query: str = "", width: int = 1600) -> "Page":
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append((page, problems(page)))
        page.goto(f"{serve(*names).url}{query}")
        page.wait_for_function("() => document.getElementById('status').textContent.endsWith('.')")
        return page

    yield open_
    for page, said in pages:
        page.close()
        assert not said


def keys(page: "Page") -> list[str]:
    return page.locator("article .key").all_inner_texts()


def settled(page: "Page", count: int) -> None:
    page.wait_for_function("n => document.querySelectorAll('article').length === n", arg=count)
    page.wait_for_function("() => document.getElementById('status').textContent.endsWith('.')")


def options(page: "Page", count: int) -> list[str]:
    page.wait_for_function("n => document.querySelectorAll('#show option').length === n", arg=count)
    return page.locator("#show option").all_inner_texts()


def test_samples_are_drawn(visit, write_shard):
    page = visit(write_shard(record("1_0", "a dog in a field", (0, 5, 0.83), (9, 16, 0.5))))
    assert keys(page) == ["1_0"]
    assert page.locator("article svg.boxes g.box").count() == 2
    page.wait_for_function("() => document.querySelector('article img').naturalWidth > 0")
    image, boxes = page.locator("article img").bounding_box(), page.locator("svg.boxes").bounding_box()
    assert image and boxes and image["width"] == pytest.approx(boxes["width"], abs=1)
    assert page.locator("#status").inner_text() == "1 shown, number 1 of 1."
    assert not faults(page)


def test_what_captions_hold_stays_text(visit, write_shard):
    hostile = record("1_0", SCRIPT, (0, 8, 0.5), image_id=SCRIPT, split={SCRIPT: [SCRIPT]})
    hostile["boxes"][0]["model"] = SCRIPT
    talk = [{"turns": [{"role": "human", "task": "x", "text": SCRIPT, "regions": [], "phrases": []}]}]
    page = visit(write_shard(hostile | {"conversations": json.dumps(talk)}))
    page.locator("summary").click()
    assert SCRIPT in page.locator("article").inner_text()
    assert page.evaluate("window.pwned") is None
    assert page.locator("article script").count() == 0 and page.locator("article img").count() == 1


def test_a_sample_without_image_or_record_has_its_place(visit, write_shard):
    page = visit(write_shard(members={"1.txt": b"a dog", "2.jpg": picture(), "2.json": b"{", "3.jpg": b"x"}))
    assert keys(page) == ["1", "2", "3"]
    assert "bad_json" in page.locator("article").nth(1).inner_text()


def test_paging_there_and_back(visit, write_shard):
    page = visit(write_shard(*(record(f"{i:03d}", f"dog {i}") for i in range(60))))
    first, second, third = ([f"{i:03d}" for i in span] for span in (range(24), range(24, 48), range(48, 60)))
    assert keys(page) == first and page.locator("#previous").is_disabled()
    page.locator("#next").click()
    page.wait_for_url("**/*from=24*")
    settled(page, 24)
    assert keys(page) == second
    page.locator("#next").click()
    settled(page, 12)
    assert keys(page) == third and page.locator("#next").is_disabled()
    page.locator("#previous").click()
    settled(page, 24)
    assert keys(page) == second
    page.reload()
    settled(page, 24)
    assert keys(page) == second
    page.go_back()
    settled(page, 12)
    assert keys(page) == third
    page.locator("#number").fill("11")
    page.locator("#number").press("Enter")
    settled(page, 24)
    assert keys(page)[0] == "010"
    assert "of 60" in page.locator("#status").inner_text()


def test_searching_for_a_phrase_and_a_score(visit, write_shard):
    records = [record(str(i), "a cat, a dog", (0, 5, 0.3), (7, 12, i / 10)) for i in range(10)]
    page = visit(write_shard(*records))
    page.locator("#text").fill("A Dog")
    page.locator("#low").fill("0.75")
    page.get_by_role("button", name="Search").click()
    settled(page, 2)
    assert keys(page) == ["8", "9"]
    page.locator("#high").fill("0.85")
    page.locator("#high").press("Enter")
    settled(page, 1)
    assert keys(page) == ["8"]
    page.locator("#text").fill("zebra")
    page.locator("#text").press("Enter")
    settled(page, 0)
    assert page.locator("#status").inner_text() == "Nothing found among 10."
    assert page.locator("#low").input_value() == "0.75"


def test_a_search_that_takes_several_requests(visit, write_shard, monkeypatch):
    monkeypatch.setattr("gritmill.pipeline.view.search.SECONDS", 0)
    records = [record(f"{i:02d}", "a dog" if i % 10 else "a cat") for i in range(31)]
    page = visit(write_shard(*records), query="?text=cat")
    assert keys(page) == ["00", "10", "20", "30"]
    page = visit(write_shard(*records), query="?text=cat&from=29&direction=backwards")
    assert keys(page) == ["00", "10", "20"]


def test_what_a_run_dropped(visit, runs):
    page = visit(runs[0])
    assert options(page, 6) == [
        "kept (3)",
        "all that was dropped (2)",
        "caption_check (1)",
        "caption_check: too_few_words (1)",
        "select_boxes (1)",
        "select_boxes: no_candidate (1)",
    ]
    assert page.locator(".caption").nth(1).inner_text().endswith(" in a field")
    assert "<script>alert(1)</script>" in page.locator("main").inner_text()
    page.locator("#show").select_option(label="select_boxes: no_candidate (1)")
    settled(page, 1)
    assert "no_candidate" in page.locator(".verdict").inner_text()
    assert CAPTIONS[3].replace(" ", "") in page.locator(".caption").inner_text().replace(" ", "").replace(
        "1", ""
    ).replace("2", "")
    assert not faults(page)


@pytest.mark.parametrize("width", [390, 1600])
def test_two_runs_side_by_side(visit, runs, width):
    page = visit(*runs, width=width)
    shown = options(page, 6)
    assert shown[0] == "everything (4)" and "only right, dropped by caption_check: too_few_words (1)" in shown
    settled(page, 8)
    heads = page.locator("#heads span").all_inner_texts()
    assert heads == list(map(str, runs))
    page.locator("#show").select_option(label="only right (1)")
    settled(page, 2)
    left, right = page.locator("article").all()
    assert "too_few_words" in left.inner_text() and "too_few_words" not in right.inner_text()
    places = [box.bounding_box() for box in (left, right)]
    assert places[0] and places[1] and places[0]["x"] + places[0]["width"] <= places[1]["x"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not faults(page)


def test_what_has_changed_is_named(visit, write_shard):
    left = write_shard(record("1", "a dog", (0, 5, 0.8)), name="left/0.tar")
    right = write_shard(record("1", "a dog", (0, 5, 0.8), (2, 5, 0.6)), record("2", "b"), name="right/0.tar")
    page = visit(left, right)
    settled(page, 3)
    assert page.locator(".only").all_inner_texts() == ["only here: dog 0.60"]
    assert page.locator(".absent").all_inner_texts() == [f"not in {left}"]


def test_a_narrow_page_does_not_scroll_sideways(visit, write_shard):
    long = record("k" * 90, "x" * 500 + " a dog", (501, 506, 0.5), image_id="y" * 300)
    page = visit(write_shard(long), width=390)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_the_page_did_not_bring_has_no_effect(browser, serve, write_shard):
    page = browser.new_page()
    said = problems(page)
    page.goto(serve(write_shard(record("1", "a dog"))).url)
    page.wait_for_selector("article")
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.pwned = 1";
          const image = document.createElement("img");
          image.src = "http://127.0.0.1:9/x";
          document.body.append(script, image);
        }"""
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.pwned") is None
    assert sum("Content Security Policy" in message for message in said) == 2
    page.close()
