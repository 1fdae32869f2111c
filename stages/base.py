"""What a stage is.

    class CaptionLength(Stage):
        \"\"\"Drops captions of fewer than `min_words` words.

        "dog" -> Reject("too_short", 1, 3)
        \"\"\"

        reads = ("caption",)
        writes = {"words": int}

        min_words: int = 3
        \"\"\"Fewest words that a caption may have.\"\"\"

        def process(self, batch: Columns) -> Columns:
            counts = [len(caption.split()) for caption in batch["caption"]]
            return {"words": [n if n >= self.min_words else Reject("too_short", n, self.min_words)
                              for n in counts]}

Facts about the class are plain class attributes; annotated fields are the options of the recipe,
each documented by the string under it.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from gritmill.schemas.columns import Columns
from gritmill.schemas.weights import Weights


class Stage(BaseModel):
    """Columns in, columns out; subclass it, declare `reads` and `writes`, write `process`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_default=True)

    reads: ClassVar[tuple[str, ...]] = ()
    """Columns that `process` finds in its batch."""
    writes: ClassVar[dict[str, Any]] = {}
    """Columns that it returns, with their types (see `schemas/columns.py`)."""
    appends: ClassVar[tuple[str, ...]] = ()
    """Those of `writes`, lists, that add to what earlier stages and the source have: the engine joins them in
    the order of the recipe. A `Reject` in one drops the row only if nothing is there to add to."""
    offsets_into: ClassVar[dict[str, str]] = {}
    """Columns it writes that count characters of another: `{"noun_chunks": "caption"}`. Rewriting that text
    makes them wrong."""
    aligned_with: ClassVar[dict[str, str]] = {}
    """Columns it writes with an entry for each of another's: `{"ref_exps": "boxes"}`. Choosing those anew
    makes them wrong."""
    keeps_order_of: ClassVar[tuple[str, ...]] = ()
    """Columns it writes with the same entries in the same order as it read them: masks refine boxes, say."""
    packages: ClassVar[dict[str, str]] = {}
    """Import names it needs beyond the core, each with the extra that installs it."""

    pinned_packages: ClassVar[dict[str, str]] = {}
    """Packages that its workers must have in versions of their own, `{"transformers": "4.57.1"}`, beside
    everything that is installed here. Only Ray makes such workers."""
    run_options: ClassVar[frozenset[str]] = frozenset({"batch_size", "cpus", "gpus"})
    """Options that say how it runs, never what it gives: left out of the identity."""
    one_worker: ClassVar[bool] = False
    """One worker does all of this stage in a run, so that what its calls share (a rate limit, a
    budget) is in one place."""

    batch_size: int = Field(default=256, ge=1)
    """Rows handed to one call."""
    cpus: float = Field(default=1, gt=0)
    """CPU cores that a worker of this stage holds."""
    gpus: float | None = Field(default=0, ge=0)
    """GPUs that a worker of this stage holds; null takes one if the machine has any."""

    def set_dataset(self, dataset: str) -> None:
        """Is told the name of the dataset once, before anything else. For stages that keep books."""

    def problems(self) -> list[str]:
        """Mistakes in the options that need a look at the machine: a model that is not installed,
        a missing file. One sentence with the fix for each. Must be quick and load no model."""
        return []

    def remarks(self) -> list[str]:
        """What a user should know before the run though nothing is wrong, one sentence each."""
        return []

    def revision(self) -> dict[str, str]:
        """Whatever else decides the result, for the identity and the receipts: versions of
        models and libraries, digests of prompt files. Must be quick and load no model."""
        return {}

    def inner(self) -> list["Stage"]:
        """The stages among its options, which it runs itself, and those within them. Their packages,
        problems and code count as its own; see `stages/common/nested.py`."""
        options = [getattr(self, name) for name in type(self).model_fields]
        values = [value for option in options for value in (option if isinstance(option, list) else [option])]
        own = [value for value in values if isinstance(value, Stage)]
        return [stage for one in own for stage in (one, *one.inner())]

    def targets(self) -> list[str]:
        """What its options choose from a table of names, as `package.module:NAME`: a dialect, say. What is in
        a table is no part of its users' code, so that a new line redoes nothing."""
        return []

    def needed_weights(self) -> list[Weights]:
        """The models that `setup` loads, for `pipeline plan`. Must be quick, load and download none."""
        return []

    def setup(self) -> None:
        """Loads what `process` needs. Called once in a worker; what it raises stops the run."""

    def process(self, batch: Columns) -> Columns:
        """Maps the columns of `reads` to those of `writes`, row by row, same length and order.

        A `Reject` in any column drops the row. Must not depend on which rows share a batch. If it
        raises, the engine finds the rows at fault by splitting and fails only those.
        """
        raise NotImplementedError


class Sketches(Protocol):
    """The sketches of all parts, in order; may be gone through more than once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Columns]: ...


class GlobalStage(Stage):
    """A stage that must have seen all parts before it can judge a row: deduplication, balancing.

    `sketch` runs on each part, `decide` once over all sketches, `process` on each part again with
    its share of the decision among the columns of the batch.
    """

    sketches: ClassVar[dict[str, Any]] = {}
    """Columns of a sketch, with their types. One row for a row of the part, or fewer."""
    decides: ClassVar[dict[str, Any]] = {}
    """Columns of a decision, with their types: one row for each row of the part; `process` reads
    them beside `reads`."""

    def sketch(self, part: Columns) -> Columns:
        """The columns of `reads` of a whole part -> what `decide` needs to know of it; keep it small."""
        raise NotImplementedError

    def decide(self, sketches: Sketches) -> Iterator[Columns]:
        """All sketches -> the decision for each part, in the same order, one row for each row."""
        raise NotImplementedError
