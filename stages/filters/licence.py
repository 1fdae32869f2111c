"""Keeps images under licences of an allow-list, as far as the source says what they are under."""

import re
from fnmatch import translate

from pydantic import Field, PrivateAttr

from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.filters.base import Filter
from gritmill.stages.filters.source_facts import facts, first_text

UNKNOWN = "unknown"


class Licence(Filter):
    """Metadata -> the image's licence; drops those that are not allowed.

    {"license": "CC BY 4.0"}, allow: ["cc by 4.0"]    -> "CC BY 4.0"
    {"license": "CC BY-NC 4.0"}                       -> Reject("licence", "CC BY-NC 4.0", "cc by 4.0")
    {}                                                -> Reject("licence", "unknown", "cc by 4.0")

    Nothing is looked up: a source that says nothing of licences, or the wrong thing, is taken at its word.
    """

    reads = ("metadata",)
    writes = {"licence": str}

    batch_size: int = Field(default=4096, ge=1)
    allow: list[str] = Field(min_length=1)
    """Licences that are kept, in the source's own spelling; letter case does not matter and `*` stands for
    anything, so that `cc-by*` allows `cc-by-nc-nd-4.0`, too. `unknown` keeps images of no known licence."""
    fields: list[str] = Field(default=["license", "licence", "license_name", "license_url"], min_length=1)
    """Fields of the metadata; the first that says anything counts."""

    _allowed: re.Pattern[str] = PrivateAttr()

    def setup(self) -> None:
        self._allowed = re.compile("|".join(translate(pattern.casefold()) for pattern in self.allow))

    def measure(self, batch: Columns) -> Columns:
        return {"licence": [first_text(facts(m), self.fields) or UNKNOWN for m in batch["metadata"]]}

    def process(self, batch: Columns) -> Columns:
        measured = self.measure(batch)
        if self.mode == "drop":
            measured["licence"] = [
                found
                if self._allowed.match(found.casefold())
                else Reject("licence", found, ", ".join(self.allow))
                for found in measured["licence"]
            ]
        return measured
