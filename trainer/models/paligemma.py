"""PaliGemma 1 and 2: a SigLIP encoder and a Gemma that sees image and question at once, both ways."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from PIL.Image import Image as PILImage

from gritmill.schemas.conversations import IMAGE
from gritmill.schemas.families.pictures import picture
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.models.base import LLAMA_LINEARS, Adapter, Batch, NothingLeft, Prompt, Tensors
from gritmill.trainer.models.decoder import until
from gritmill.trainer.models.masking import IGNORED, Unfit
from gritmill.trainer.models.turns import pairs, question, spelled


class PaliGemmaAdapter(Adapter):
    """`<image>detect a dog\\n` -> `<loc0211><loc0450><loc0255><loc0604> a dog<eos>`.

    Attention is causal in the answer only, so that a sequence holds one question: each of a conversation is
    a row of its own. Its processor puts the labels on what it calls the suffix.
    Source: google-research/big_vision, configs/proj/paligemma/README.md.
    """

    model_types: ClassVar[tuple[str, ...]] = ("paligemma",)
    default_dialect: ClassVar[str] = "paligemma"
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "vision": ("model.vision_tower.",),
        "connector": ("model.multi_modal_projector.",),
        "language": ("model.language_model.", "lm_head."),
    }
    lora_targets: ClassVar[tuple[str, ...]] = LLAMA_LINEARS
    native: ClassVar[Mapping[str, str]] = {
        "rec": "detect {expression}",
        "phrase_grounding": "detect {phrase}",
        "caption": "caption en",
        "vqa": "answer en {question}",
    }

    def train_batch(self, examples: Sequence[Example]) -> Batch:
        bad: list[Bad] = []
        rows: list[tuple[Example, str, str]] = []
        for example in examples:
            try:
                rows += [(example, q, a) for q, a in pairs(spelled(example, self.dialect))]
            except Unfit as error:
                bad.append(Bad(example.key, str(error)))
        if rows:
            tensors = self._processed(
                [q for _, q, _ in rows],
                [e.image for e, _, _ in rows],
                "right",
                suffix=[a for _, _, a in rows],
            )
            lengths = tensors["attention_mask"].sum(dim=1)
            fits = lengths <= self.max_length
            learnt = {rows[i][0].key for i in fits.nonzero().flatten().tolist()}
            keys = dict.fromkeys(example.key for example, _, _ in rows)
            bad += [Bad(k, f"no answer within {self.max_length} tokens") for k in keys if k not in learnt]
            if learnt:
                longest = int(lengths[fits].max())
                kept = {name: tensor[fits] for name, tensor in tensors.items()}
                shape = kept["input_ids"].shape
                cut = {n: t[:, :longest] if t.shape == shape else t for n, t in kept.items()}
                cut["labels"] = cut["labels"].masked_fill(cut["attention_mask"] == 0, IGNORED)
                return Batch(cut, bad, left_out=int((~fits).sum()))
        raise NothingLeft(bad)

    def ask_batch(self, images: Sequence[PILImage], asked: Sequence[Prompt], native: bool) -> Tensors:
        words = self.native if native else None
        texts = [
            question(a, words, self.dialect, image.size, self.special_tokens)
            for a, image in zip(asked, images, strict=True)
        ]
        tensors = self._processed(texts, images, "left")
        del tensors["labels"]
        return tensors

    def answers(self, generated: Any, inputs: Tensors) -> list[str]:
        tokenizer = self.processor.tokenizer
        new = generated[:, inputs["input_ids"].shape[1] :].tolist()
        return [tokenizer.decode(until(ids, self.stops), skip_special_tokens=False).strip() for ids in new]

    def _processed(
        self, texts: Sequence[str], images: Sequence[PILImage], padding_side: str, **options: Any
    ) -> Tensors:
        return dict(
            self.processor(
                images=[[picture(image, self.dialect.geometry)] for image in images],
                text=[IMAGE + text for text in texts],
                padding=True,
                padding_side=padding_side,
                return_tensors="pt",
                **options,
            )
        )
