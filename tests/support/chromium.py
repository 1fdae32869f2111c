"""A real browser for tests of pages, and a judge of their accessibility."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_SERIOUS = {"serious", "critical"}


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A headless Chromium: the system's, or else the one that Playwright installed. Skips without one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
        except sync_api.Error as error:
            reason = str(error).strip().splitlines()[0]
            pytest.skip(f"needs Chromium (`playwright install chromium`): {reason}")
        yield browser
        browser.close()


def faults(page: "Page") -> list[str]:
    """What axe-core finds wrong with a page and calls serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
        for fault in found
        if fault["impact"] in _SERIOUS
        for node in fault["nodes"]
    ]


def problems(page: "Page") -> list[str]:
    """A list that fills with what the page's console complains of, errors and refused loads."""
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    return said
