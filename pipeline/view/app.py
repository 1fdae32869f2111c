"""What the browser may ask for and what it is answered; knows nothing of sockets.

    /                    the page; /view.js, /view.css, /gallery.js, /gallery.css
    /about               names, notes and counts, as far as the data has been looked at
    /page?list=kept&from=0&count=24&text=dog&low=0.3     samples
    /image/492           a thumbnail: a number that a sample came with

An address chooses among these and holds numbers and texts to compare with; none is ever part of a path.
"""

import json
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from gritmill.pipeline.gallery import GalleryEntry, asset
from gritmill.pipeline.view.listing import GrowingList, SampleListing
from gritmill.pipeline.view.pairs import CHANGES, Pairs
from gritmill.pipeline.view.search import Wanted, find_page
from gritmill.pipeline.view.side import Side
from gritmill.pipeline.view.thumbnails import thumbnail
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import without_secrets

MOST = 100
"""Most samples of one page."""
MAX_TEXT = 200
_LOOK_ON = 0.04
"""Seconds that each request of `/about` spends on looking further."""
_THUMBNAILS = 512


class Response(NamedTuple):
    """Status, type and body."""

    status: int
    type: str
    body: bytes


class Viewer:
    """One dataset, or two side by side."""

    def __init__(self, sides: Sequence[Side]) -> None:
        self._sides = list(sides)
        self._images: list[SampleListing[Any]] = []
        """All listings that have images; an image's number is the row's times their number, plus its own."""
        for side in self._sides:
            self._images += [side.kept, *([side.dropped] if side.dropped else [])]
        self._lists: dict[str, GrowingList[Any]] = {}
        if len(self._sides) == 2:
            self._lists["pairs"] = Pairs(self._sides[0], self._sides[1])
        else:
            self._lists["kept"] = self._sides[0].kept
            if self._sides[0].dropped:
                self._lists["dropped"] = self._sides[0].dropped
        self._static = _static_files()
        self._thumbnail = lru_cache(_THUMBNAILS)(self._make_thumbnail)

    def answer(self, path: str, query: str) -> Response:
        """The answer to a request. Never raises for what a request or the data can hold."""
        if path in self._static:
            return self._static[path]
        try:
            if path == "/about":
                return _json(self._about())
            if path == "/page":
                return _json(self._page(_fields(query)))
            if image := re.fullmatch(r"/image/([0-9]{1,15})", path, re.ASCII):
                return Response(200, "image/jpeg", self._thumbnail(int(image[1])))
        except _BadRequest as error:
            return _plain(400, str(error))
        except LookupError:
            return _plain(404, "there is no such sample")
        except (OSError, UserError) as error:
            return _plain(500, without_secrets(f"this cannot be read: {error}"))
        return _plain(404, "there is nothing at this address")

    def _about(self) -> object:
        lists = {}
        for name, listing in self._lists.items():
            if listing.is_near:
                listing.grow(_LOOK_ON)
            labels = sorted(listing.counts.items())
            lists[name] = {
                "known": len(listing.rows),
                "complete": listing.is_complete,
                "near": listing.is_near,
                "labels": [{**label._asdict(), "count": count} for label, count in labels],
            }
        sides = [without_secrets({"name": side.name, "notes": side.notes}) for side in self._sides]
        return {"sides": sides, "lists": lists, "changes": CHANGES}

    def _page(self, fields: dict[str, str]) -> object:
        name = fields.get("list", next(iter(self._lists)))
        if name not in self._lists:
            raise _BadRequest("there is no such list")
        listing = self._lists[name]
        texts = {key: fields.get(key, "") for key in ("text", "stage", "reason", "change")}
        if any(len(text) > MAX_TEXT for text in texts.values()):
            raise _BadRequest(f"more than {MAX_TEXT} characters")
        wanted = Wanted(low=_number(fields.get("low")), high=_number(fields.get("high")), **texts)
        count = min(_whole(fields.get("count"), 24), MOST)
        direction = fields.get("direction", "forwards")
        page = find_page(listing, wanted, _whole(fields.get("from"), 0), count, direction == "backwards")
        return {
            "rows": [self._row(listing, number) for number in page.rows],
            "next": page.next,
            "previous": page.previous,
            "known": len(listing.rows),
            "complete": listing.is_complete,
        }

    def _row(self, listing: GrowingList[Any], number: int) -> object:
        if isinstance(listing, Pairs):
            shown = [self._shown(*place) if place[0] else None for place in listing.places(number)]
        else:
            shown = [self._shown(listing, number)]
        return {"number": number, "change": listing.label(number).change, "entries": shown}

    def _shown(self, listing: Any, number: int) -> GalleryEntry:
        entry: GalleryEntry = listing.entry(number)
        try:
            width, height = listing.size(number)
        except OSError:
            return entry
        which = next(i for i, other in enumerate(self._images) if other is listing)
        source = f"/image/{number * len(self._images) + which}"
        entry["image"] = {"src": source, "width": width, "height": height}
        return entry

    def _make_thumbnail(self, number: int) -> bytes:
        row, which = divmod(number, len(self._images))
        return thumbnail(self._images[which].image(row))


class _BadRequest(Exception):
    """A request that no page of ours makes."""


def _fields(query: str) -> dict[str, str]:
    try:
        found = parse_qs(query, max_num_fields=20, errors="strict", encoding="utf-8")
    except ValueError as error:
        raise _BadRequest("the query cannot be read") from error
    return {name: values[0] for name, values in found.items()}


def _whole(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
        raise _BadRequest("from and count must be whole numbers")
    return int(text)


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise _BadRequest("a score must be a number") from error
    if not math.isfinite(value):
        raise _BadRequest("a score must be a number")
    return value


def _json(value: object) -> Response:
    return Response(200, "application/json", json.dumps(value, allow_nan=False).encode())


def _plain(status: int, text: str) -> Response:
    return Response(status, "text/plain; charset=utf-8", text.encode("utf-8", "replace"))


def _static_files() -> dict[str, Response]:
    own = files("gritmill.pipeline.view")
    texts = {
        "/": ("text/html", own.joinpath("page.html").read_text("utf-8")),
        "/view.js": ("text/javascript", own.joinpath("view.js").read_text("utf-8")),
        "/view.css": ("text/css", own.joinpath("view.css").read_text("utf-8")),
        "/gallery.js": ("text/javascript", asset("gallery.js")),
        "/gallery.css": ("text/css", asset("gallery.css")),
        "/favicon.ico": ("image/svg+xml", _ICON),
    }
    return {
        path: Response(200, f"{kind}; charset=utf-8", text.encode()) for path, (kind, text) in texts.items()
    }


_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke-width="2">'
    '<path stroke="#0b62b8" d="M2 2h9v9H2z"/><path stroke="#b3261e" d="M7 7h7v7H7z"/></svg>'
)
