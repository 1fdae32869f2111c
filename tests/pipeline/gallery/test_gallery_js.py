"""What `gallery.js` draws, in a real browser."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from chromium import problems

from gritmill.pipeline.gallery import asset

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BOX = [0.1, 0.2, 0.5, 0.9]
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    page = browser.new_page()
    said = problems(page)
    page.set_content(f"<style>{asset('gallery.css')}</style><script>{asset('gallery.js')}</script>")
    yield page
    page.close()
    assert not said


def entry(caption: str, *spans: tuple[int, int], **more: Any) -> dict[str, Any]:
    boxes = [{"box": BOX, "score": 0.5, "model": "m", "phrase": "p", "checks": {}}]
    return {
        "key": "k",
        "image": {"src": PIXEL, "width": 640, "height": 480},
        "caption": caption,
        "phrases": [{"start": start, "end": end, "boxes": boxes} for start, end in spans],
        "turns": [],
        **dict.fromkeys(("stage", "reason", "value", "threshold")),
        "provenance": {},
        **more,
    }


def draw(page: "Page", value: dict[str, Any]) -> None:
    page.evaluate("entry => document.body.append(gallery.renderEntry(entry))", value)


# For each number the text that lies in its marks, and the nesting as brackets around the text.
READ = """() => {
  const spell = (node) => node.nodeType === 3 ? node.data : node.tagName === "BUTTON" ? ""
    : (node.dataset.n ? `[${node.dataset.n} ` : "") + [...node.childNodes].map(spell).join("")
      + (node.dataset.n ? "]" : "");
  return spell(document.querySelector(".caption"));
}"""


@pytest.mark.parametrize(
    ("caption", "spans", "drawn"),
    [
        ("a dog", [], "a dog"),
        ("a dog", [(0, 5)], "[1 a dog]"),
        ("a dog in a field", [(0, 16), (0, 5), (9, 16)], "[1 [2 a dog] in [3 a field]]"),
        ("abcdef", [(0, 4), (2, 6)], "[1 ab[2 cd]][2 ef]"),
        ("abcdef", [(0, 6), (1, 4), (3, 5)], "[1 a[2 bc[3 d]][3 e]f]"),
        ("abc", [(0, 3), (0, 3)], "[1 [2 abc]]"),
        ("a 🐶 and a 👩‍🚒.", [(0, 3), (8, 13)], "[1 a 🐶] and [2 a 👩‍🚒]."),
        ("abc", [(1, 99)], "a[1 bc]"),
        ("abc", [(2, 2), (5, 9), (-3, 1)], "[3 a]bc"),
        ("", [(0, 4)], ""),
    ],
)
def test_spans_are_marked_nested_and_crossing(
    page: "Page", caption: str, spans: list[tuple[int, int]], drawn: str
) -> None:
    draw(page, entry(caption, *spans))
    assert page.evaluate(READ) == drawn


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt;"])
def test_whatever_a_sample_says_stays_text(page: "Page", text: str) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    turns = [{"role": text, "text": text, "boxes": []}]
    drop = {"stage": text, "reason": text, "value": text, "threshold": text}
    value = entry(text, (0, 4), turns=turns, provenance={text: [text]}, **drop) | {"key": text}
    value["phrases"][0]["boxes"][0] |= {"model": text, "phrase": text, "checks": {text: False}}
    draw(page, value)
    page.click("summary")
    page.locator(".tree .tree").wait_for()
    article = page.locator("article")
    assert article.locator("h3").inner_text() == text
    assert article.locator("script, b, img:not(.frame img)").count() == 0
    assert article.inner_text().count(text) >= 8
    assert not said


def test_pointing_at_a_span_shows_its_box_and_the_other_way_round(page: "Page") -> None:
    value = entry("a dog in a field", (0, 5), (9, 16))
    other: dict[str, Any] = {
        "box": [0.6, 0.1, 0.9, 0.4],
        "score": None,
        "model": "m",
        "phrase": "p",
        "checks": {},
    }
    value["phrases"][1]["boxes"] = [other]
    draw(page, value)
    shown = "() => [...document.querySelectorAll('.is-shown')].map(n => n.tagName + n.dataset.n)"
    page.hover("mark[data-n='2']")
    assert page.evaluate(shown) == ["g2", "MARK2", "BUTTON2"]
    page.hover(".box[data-n='1'] .line", position={"x": 40, "y": 60})
    assert page.evaluate(shown) == ["g1", "MARK1", "BUTTON1"]
    page.hover("h3")
    assert page.evaluate(shown) == []


def test_a_tap_or_a_key_keeps_it_shown(page: "Page") -> None:
    draw(page, entry("a dog in a field", (0, 5), (9, 16)))
    pressed = "() => [...document.querySelectorAll('.badge[aria-pressed=true]')].map(n => n.textContent)"
    page.click("mark[data-n='1']")
    assert page.evaluate(pressed) == ["1"]
    page.keyboard.press("Tab")
    page.locator(".badge", has_text="2").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(pressed) == ["2"]
    page.keyboard.press("Escape")
    assert page.evaluate(pressed) == []


def test_boxes_lie_where_they_are(page: "Page") -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    draw(page, entry("a dog", (0, 5)))
    image, line = page.locator("img").bounding_box(), page.locator(".line").bounding_box()
    assert image and line
    found = [
        (line["x"] - image["x"]) / image["width"],
        (line["y"] - image["y"]) / image["height"],
        (line["x"] + line["width"] - image["x"]) / image["width"],
        (line["y"] + line["height"] - image["y"]) / image["height"],
    ]
    assert found == pytest.approx(BOX, abs=0.01)


def test_conversations_share_the_numbers_of_the_caption(page: "Page") -> None:
    turns = [
        {
            "role": "human",
            "text": "<image>\nWhat is <region:0>, and <region:1>?",
            "boxes": [BOX, [0, 0, 1, 1]],
        },
        {"role": "assistant", "text": "A dog, <region:7> and <b>.", "boxes": []},
    ]
    draw(page, entry("a dog", (0, 5), turns=turns))
    assert page.locator(".turns .badge").all_inner_texts() == ["1", "2"]
    assert page.locator(".turns dd").last.inner_text() == "A dog, <region:7> and <b>."
    # What only the conversation speaks of is drawn when it is pointed at.
    spoken = page.locator(".box.spoken")
    assert spoken.evaluate("node => getComputedStyle(node).opacity") == "0"
    page.emulate_media(reduced_motion="reduce")
    page.hover(".turns .badge >> nth=1")
    assert spoken.evaluate("node => getComputedStyle(node).opacity") == "1"


def test_a_sample_without_an_image_says_so(page: "Page") -> None:
    draw(page, entry("a dog", (0, 5)) | {"image": None})
    assert "not at hand" in page.locator("article").inner_text()


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({}, []),
        ({"min_area": True}, ["passed min_area"]),
        ({"agreement": False}, ["failed agreement"]),
        (
            {"min_area": True, "agreement": False, "max_area": True, "similarity": False},
            ["failed agreement, similarity; passed min_area, max_area"],
        ),
    ],
)
def test_provenance_says_of_each_box_what_was_checked(
    page: "Page", checks: dict[str, bool], said: list[str]
) -> None:
    value = entry("a dog in a field", (0, 5), (9, 16))
    value["phrases"][1]["boxes"] = [{**value["phrases"][1]["boxes"][0], "checks": checks}]
    draw(page, value)
    page.click("summary")
    rows = page.locator(".provenance tbody tr")
    rows.first.wait_for()
    assert rows.count() == 2 + len(said)
    assert page.locator(".provenance .checks").all_inner_texts() == [f"\t{text}" for text in said]
    assert page.locator(".checks strong").count() == (False in checks.values())
