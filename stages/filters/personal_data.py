"""Takes e-mail addresses and telephone numbers out of captions."""

import importlib.metadata
import re
from typing import Any, NamedTuple

from pydantic import Field

from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.filters.base import AtMost, Filter

# What stands before the @ begins where a word does, and is bounded: any other way is quadratic on "aaaa...".
EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?![\w-])", re.I)
DIGITS = re.compile(r"\d")
MIN_DIGITS = 7
"""Of a telephone number; shorter ones are prices and years."""
MAX_CHARACTERS = 10_000
"""Longest caption that is searched, which takes a second or two at worst; longer ones are dropped."""


class Cleaned(NamedTuple):
    """A text without personal data, and how much of it there was."""

    text: str
    found: int


class PersonalData(Filter):
    """Captions -> the same with e-mail addresses and telephone numbers replaced, and how many there were.

    "call 212-555-0123 or ann@example.com" -> "call [phone] or [email]", 2

    Rewrites `caption` and `captions`, so it stands before all that counts characters of them
    (noun_chunks); `metadata` stays as the source gave it. Numbers are those that are valid by the rules of
    the International Telecommunication Union's members, as the library phonenumbers has them, so that
    dates, prices and sizes pass. Names and addresses of people are not looked for.
    """

    reads = ("caption", "captions")
    writes = {"caption": str, "captions": list[str], "personal_data": int}
    packages = {"phonenumbers": "filters"}
    bounds = (AtMost("personal_data", "max_found", "personal_data"),)

    batch_size: int = Field(default=1024, ge=1)
    max_found: int | None = Field(default=None, ge=0)
    """Drops samples whose caption had more; null drops none, and 0 all that had any."""
    email: str = "[email]"
    """What an e-mail address is replaced by."""
    phone: str = "[phone]"
    """What a telephone number is replaced by."""
    region: str = Field(default="US", pattern="^[A-Z]{2}$")
    """Country whose numbers are found without a +, by its ISO 3166 code."""

    def problems(self) -> list[str]:
        import phonenumbers

        if self.region in phonenumbers.SUPPORTED_REGIONS:
            return []
        return [f"region {self.region!r} has no telephone numbers; give an ISO 3166 code, such as US or DE"]

    def revision(self) -> dict[str, str]:
        try:
            return {"phonenumbers": importlib.metadata.version("phonenumbers")}
        except importlib.metadata.PackageNotFoundError:  # `packages` says so
            return {}

    def measure(self, batch: Columns) -> Columns:
        captions = batch["caption"]
        found: list[Any] = [_too_long(caption) or self.clean(caption) for caption in captions]
        counts = [one.found if isinstance(one, Cleaned) else one for one in found]
        if self.mode == "measure":
            return {name: list(batch[name]) for name in self.reads} | {"personal_data": counts}
        return {
            "caption": [one.text if isinstance(one, Cleaned) else one for one in found],
            "captions": [
                [self.clean(text).text for text in texts or [] if not _too_long(text)]
                for texts in batch["captions"]
            ],
            "personal_data": counts,
        }

    def clean(self, text: str) -> Cleaned:
        """A text without personal data, and how many pieces of it there were."""
        text, emails = EMAIL.subn(lambda _: self.email, text)
        pieces, end, phones = [], 0, 0
        for start, stop in self._phones(text):
            pieces += [text[end:start], self.phone]
            end, phones = stop, phones + 1
        return Cleaned("".join([*pieces, text[end:]]), emails + phones)

    def _phones(self, text: str) -> list[tuple[int, int]]:
        if len(DIGITS.findall(text)) < MIN_DIGITS:
            return []
        import phonenumbers

        return [(match.start, match.end) for match in phonenumbers.PhoneNumberMatcher(text, self.region)]


def _too_long(text: str) -> Reject | None:
    long = len(text) > MAX_CHARACTERS
    return Reject("too_many_characters", len(text), MAX_CHARACTERS) if long else None
