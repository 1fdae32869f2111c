"""Samples of a batch -> tensors, in the workers of a data loader; bad samples go along beside them."""

from collections.abc import Sequence
from copy import copy
from functools import cached_property

from PIL.Image import Image as PILImage

from gritmill.schemas.conversations import ASSISTANT, HUMAN, Conversation, Turn, with_image
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.models.base import Adapter, Batch, NothingLeft, Tensors
from gritmill.trainer.models.masking import IGNORED


class Collator:
    """What a `torch.utils.data.DataLoader` calls with the samples of a batch."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter

    def __call__(self, samples: Sequence[Example | Bad]) -> Batch:
        """The good samples as tensors; where none is left, tensors from which nothing is learnt."""
        bad = [sample for sample in samples if isinstance(sample, Bad)]
        good = [sample for sample in samples if isinstance(sample, Example)]
        batch, unfit = self._fitting(good)
        if batch is None:
            return Batch(self._nothing, bad + unfit)
        if not (batch.tensors["labels"] != IGNORED).any(dim=1).all():
            raise AssertionError(f"{type(self.adapter).__name__} lets a row through with nothing to learn")
        return Batch(batch.tensors, bad + unfit + batch.bad, batch.left_out)

    def _fitting(self, examples: Sequence[Example]) -> tuple[Batch | None, list[Bad]]:
        """One call for all; where that fails, each example is asked alone whose fault it is."""
        if not examples:
            return None, []
        try:
            return self.adapter.train_batch(examples), []
        except NothingLeft as error:
            return None, error.bad
        except ValueError as error:  # a processor refuses a picture, say for its shape
            if len(examples) == 1:
                return None, [Bad(examples[0].key, str(error))]
        bad = [bad for example in examples for bad in self._fitting([example])[1]]
        if not bad:
            raise AssertionError("examples that can be trained on one by one, and not together")
        keys = {sample.key for sample in bad}
        batch, more = self._fitting([example for example in examples if example.key not in keys])
        return batch, bad + more

    @cached_property
    def _nothing(self) -> Tensors:
        """A batch that moves no weight. Each device must take its step along with the others, so that a
        batch without a good sample cannot be skipped."""
        from PIL import Image

        roomy = copy(self.adapter)
        roomy.max_length = 2**30
        tensors = roomy.train_batch([_blank(Image.new("RGB", (64, 64), "gray"))]).tensors
        tensors["labels"] = tensors["labels"].new_full(tensors["labels"].shape, IGNORED)
        return tensors


def _blank(image: PILImage) -> Example:
    turns = [
        Turn(HUMAN, "caption", with_image("What is it?", before=True), [], []),
        Turn(ASSISTANT, "caption", "A blank.", [], []),
    ]
    return Example("blank", "blank", image, Conversation(turns))
