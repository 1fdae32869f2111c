"""The section of a card that shows samples: a picture each, and what was found in it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gritmill.pipeline.card.choose import choose, expressions, stated
from gritmill.pipeline.card.draw import COLOURS, drawn
from gritmill.pipeline.card.markdown import link, picture, plain, table
from gritmill.pipeline.storage.store import Store
from gritmill.schemas import conversations
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import Record

PICTURES = "samples"
"""The folder beside the card that they lie in."""
_URLS = ("url", "flickr_url", "coco_url")
"""Where sources say that an image is from."""
_MOST_LETTERS = 300


class CardPicture(NamedTuple):
    """A sample as the card shows it: `samples/1.jpg`."""

    path: str
    jpeg: bytes
    record: Record


def make_pictures(output: Store, shards: Iterable[str], count: int) -> list[CardPicture]:
    """Draws up to `count` samples. Raises `UserError` where the image of one cannot be decoded."""
    made = []
    for number, sample in enumerate(choose(output, shards, count), 1):
        try:
            jpeg = drawn(sample.image, expressions(sample.record).values())
        except OSError as error:
            raise UserError(
                f"the image of sample {sample.record['key']!r} cannot be decoded ({error}). "
                "`pipeline verify` finds all that is wrong."
            ) from error
        made.append(CardPicture(f"{PICTURES}/{number}.jpg", jpeg, sample.record))
    return made


def pictures_section(pictures: Sequence[CardPicture]) -> str:
    """A row each: the picture, then its caption and every expression in the colour of its boxes."""
    if not pictures:
        return ""
    rows = [("picture", "caption and what was found")]
    rows += [(picture(one.record["caption"], one.path), "<br>".join(_lines(one.record))) for one in pictures]
    return table(rows)


def is_picture(path: str) -> bool:
    """True for the path of one of these pictures: `samples/3.jpg`."""
    return re.fullmatch(rf"{PICTURES}/\d+\.jpg", path) is not None


def _lines(record: Record) -> Iterator[str]:
    caption = record["caption"]
    yield _short(caption)
    squares = list(COLOURS)
    for number, span in enumerate(expressions(record)):
        yield f"{squares[number % len(squares)]} {_short(span.of(caption))}"
    if "conversations" in record:
        for turn in conversations.from_json(record["conversations"])[0].turns[:2]:
            yield f"{turn.role}: {_short(turn.text)}"
    if origin := list(_origin(record)):
        yield ", ".join(origin)


def _origin(record: Record) -> Iterator[str]:
    """What most licences ask for: their name, and where the image is from."""
    if licence := stated(record, "license"):
        yield _linked(plain(licence), stated(record, "license_url"))
    urls = (stated(record, name) for name in _URLS)
    if url := next(filter(None, urls), ""):
        yield _linked("source", url)


def _linked(text: str, url: str) -> str:
    return link(text, url) if re.match("https?://", url) else text


def _short(text: str) -> str:
    return plain(text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…")
