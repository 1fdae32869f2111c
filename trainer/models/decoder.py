"""What the families have in common whose language model goes on from a prompt that holds the image."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from PIL.Image import Image as PILImage

from gritmill.schemas.conversations import HUMAN, with_image
from gritmill.schemas.families.pictures import picture
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.models.base import Adapter, Batch, NothingLeft, Prompt, Tensors
from gritmill.trainer.models.masking import IGNORED, Labels, TextSegment, Unfit, answer_labels
from gritmill.trainer.models.turns import Turns, question, spelled


class DecoderAdapter(Adapter):
    """A family with a decoder-only language model: says its format, the rest is here."""

    @abstractmethod
    def segments(self, turns: Turns) -> list[TextSegment]:
        """A conversation in the family's format; one that ends with a question, as a prompt."""

    @property
    def end(self) -> str:
        """The token that ends an answer."""
        return str(self.processor.tokenizer.eos_token)

    @property
    def side(self) -> int | None:
        """Pixels of the square that the vision encoder takes; None if it takes any shape."""
        return None

    def process(self, texts: Sequence[str], pictures: Sequence[PILImage]) -> Tensors:
        """One call of the processor, a picture a text; padded on the tokenizer's `padding_side`."""
        return dict(
            self.processor(images=list(pictures), text=list(texts), padding=True, return_tensors="pt")
        )

    def prompt(self, asked: Prompt, image: PILImage, native: bool) -> str:
        """A question as the model is asked it."""
        words = self.native if native else None
        text = question(asked, words, self.dialect, image.size, self.special_tokens)
        return _text(self.segments([(HUMAN, with_image(text, before=True))]))

    def train_batch(self, examples: Sequence[Example]) -> Batch:
        bad: list[Bad] = []
        rows: list[tuple[Example, list[TextSegment]]] = []
        for example in examples:
            try:
                rows.append((example, self.segments(spelled(example, self.dialect))))
            except Unfit as error:
                bad.append(Bad(example.key, str(error)))
        while rows:
            tensors = self._processed([_text(s) for _, s in rows], [e.image for e, _ in rows], "right")
            labels: list[Labels] = []
            fitting = []
            for i, (example, segments) in enumerate(rows):
                ids = tensors["input_ids"][i, : int(tensors["attention_mask"][i].sum())].tolist()
                try:
                    labels.append(answer_labels(self.processor.tokenizer, segments, ids, self.max_length))
                    fitting.append((example, segments))
                except Unfit as error:
                    bad.append(Bad(example.key, str(error)))
            if len(fitting) == len(rows):
                left_out = sum(row.left_out for row in labels)
                return Batch(self._cut(tensors, [row.ids for row in labels]), bad, left_out)
            rows = fitting  # once more: how many tensors an image fills is the processor's business
        raise NothingLeft(bad)

    def ask_batch(self, images: Sequence[PILImage], asked: Sequence[Prompt], native: bool) -> Tensors:
        prompts = [self.prompt(a, image, native) for a, image in zip(asked, images, strict=True)]
        return self._processed(prompts, images, "left")

    def answers(self, generated: Any, inputs: Tensors) -> list[str]:
        tokenizer = self.processor.tokenizer
        new = generated[:, inputs["input_ids"].shape[1] :].tolist()
        return [tokenizer.decode(until(ids, self.stops), skip_special_tokens=False).strip() for ids in new]

    @property
    def ends(self) -> set[int]:
        return {self.processor.tokenizer.convert_tokens_to_ids(self.end), *super().ends}

    def _processed(self, texts: Sequence[str], images: Sequence[PILImage], padding_side: str) -> Tensors:
        self.processor.tokenizer.padding_side = padding_side
        return self.process(texts, [picture(image, self.dialect.geometry, self.side) for image in images])

    def _cut(self, tensors: Tensors, labels: Sequence[Sequence[int]]) -> Tensors:
        """Each row down to its labels, and all to the longest; the labels as a tensor."""
        import torch

        shape, longest = tensors["input_ids"].shape, max(map(len, labels))
        for name, tensor in tensors.items():
            if tensor.shape == shape:  # one value a token
                tensors[name] = tensor[:, :longest].clone()
        tensors["labels"] = torch.full((len(labels), longest), IGNORED)
        for i, row in enumerate(labels):
            tensors["labels"][i, : len(row)] = torch.tensor(row)
            tensors["input_ids"][i, len(row) :] = self.processor.tokenizer.pad_token_id
            tensors["attention_mask"][i, len(row) :] = 0
        return tensors


def until(ids: Sequence[int], stops: set[int]) -> list[int]:
    """Ids before the first that ends an answer."""
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return list(ids[:end])


def _text(segments: Sequence[TextSegment]) -> str:
    return "".join(segment.text for segment in segments)
