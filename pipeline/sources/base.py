"""What a source is: it says which parts there are, and reads one of them.

A part is a JSON-able dict that says where some thousand samples lie: `{"uri": "00012.tar", ...}`.
It must hold whatever tells one content from another (size, time or digest of the file), because a
part that looks the same is not read again.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from schemas.columns import SAMPLE_COLUMNS, Columns

Part = dict[str, Any]


class Source(BaseModel):
    """Samples with the columns of `SAMPLE_COLUMNS` and perhaps more; see `provides`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_default=True)

    packages: ClassVar[dict[str, str]] = {}
    """Import names it needs beyond the core, each with the extra that installs it."""

    type: str
    """Which source this is."""

    def within(self) -> "list[Source]":
        """The sources that it reads from, and those within them; their code counts as its own."""
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
