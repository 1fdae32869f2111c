"""The filters of the curation benchmark as a stage; in a module of its own, so that workers find it."""

from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.base import Stage
from tests.bench.filters import FILTERS


class Filtered(Stage):
    """One of the filters: "a dog" -> Reject("words")."""

    reads = ("caption",)
    writes = {"fine": bool}

    filter: str

    def process(self, batch: Columns) -> Columns:
        keep = FILTERS[self.filter]
        return {"fine": [keep(caption) or Reject(self.filter) for caption in batch["caption"]]}
