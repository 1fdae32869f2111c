"""What a source is: it says which parts there are, and reads one of them.

A part is a JSON-able dict that says where some thousand samples lie: `{"uri": "00012.tar", ...}`.
It must hold whatever tells one content from another (size, time or digest of the file), because a
part that looks the same is not read again.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from gritmill.schemas.columns import SAMPLE_COLUMNS, Columns

Part = dict[str, Any]


class Source(BaseModel):
    """Samples with the columns of `SAMPLE_COLUMNS` and perhaps more; see `provides`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_default=True)

    packages: ClassVar[dict[str, str]] = {}
    """Import names it needs beyond the core, each with the extra that installs it."""

    offsets_into: ClassVar[dict[str, str]] = {}
    """Columns it may give that count characters of another: `{"noun_chunks": "caption"}`. Rewriting that text
    makes them wrong."""
    aligned_with: ClassVar[dict[str, str]] = {}
    """Columns it may give with an entry for each of another's: `{"ref_exps": "boxes"}`. Choosing those anew
    makes them wrong."""
    place: ClassVar[tuple[str, ...]] = ()
    """Options that say which data it reads, beside its type; empty for all but `part_size`."""

    type: str
    """Which source this is."""

    def identity(self) -> dict[str, Any]:
        """What makes it another source: a change of anything else, or of the files there, is an edit."""
        told = self.model_dump(mode="json", exclude={"part_size"})
        chosen = ("type", *self.place) if self.place else told
        return {name: _plain(told[name]) for name in chosen}

    def digest(self) -> str:
        """SHA-256 of `identity`, 64 hex digits."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()

    def inner(self) -> "list[Source]":
        """The sources that it reads from, and those within them; their code counts as its own."""
        return []

    def targets(self) -> list[str]:
        """What else decides its samples by its code, as `package.module:NAME`; see `Stage.targets`."""
        return []

    def problems(self) -> list[str]:
        """Mistakes that need a look at the machine, such as a file that is not there; a sentence each."""
        return []

    def provides(self) -> dict[str, Any]:
        """The columns that it gives, with their types."""
        return dict(SAMPLE_COLUMNS)

    def parts(self) -> Iterator[Part]:
        """All parts, in an order that is always the same. Lists files, opens as few as it can."""
        raise NotImplementedError

    def read(self, part: Part) -> Columns:
        """The samples of one part; a row that cannot be used holds a `Reject` with the reason."""
        raise NotImplementedError


def _plain(value: Any) -> Any:
    """A path as others would spell it: `./photos/` is `photos`. Whose password opens a URL does not count."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"://[^/@]*@", "://", value) if "://" in value else posixpath.normpath(value)
