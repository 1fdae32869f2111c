"""Detectors that embed each phrase by itself: OWL-ViT, OWLv2, OMDet-Turbo."""

from collections.abc import Hashable, Sequence

from gritmill.stages.grounders.common.detector import Detections, Detector, DetectorInput
from gritmill.stages.grounders.common.phrases import packed

QUERIES_AT_ONCE = 64
"""Most phrases for one pass of a model that could take any number; bounds memory, changes no score."""


class OwlDetector(Detector):
    """OWL-ViT and OWLv2: every phrase is scored against every patch."""

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        return [[phrases[i] for i in prompt] for prompt in packed([1] * len(phrases), QUERIES_AT_ONCE)]

    def stretch(self, width: int, height: int) -> tuple[float, float]:
        if not getattr(self.image_processor, "do_pad", False):
            return 1.0, 1.0
        side = max(width, height)  # OWLv2 pads at the right and at the bottom
        return side / width, side / height

    def answer(self, questions: Sequence[DetectorInput]) -> list[Detections]:
        import torch

        most = max(len(question.phrases) for question in questions)
        texts = [text for q in questions for text in [*q.phrases, *[""] * (most - len(q.phrases))]]
        limit = self.model.config.text_config.max_position_embeddings
        encoded = self._tokens(texts, padding="max_length", max_length=limit).to(self.device)
        output = self._run(
            pixel_values=torch.stack([question.pixels for question in questions]).to(self.device),
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
        )
        scores = output.logits.float().sigmoid().cpu()
        centers = output.pred_boxes.float().cpu()
        return [Detections(scores[i, :, : len(q.phrases)], centers[i]) for i, q in enumerate(questions)]

    def _room_for_phrase(self) -> int:
        return self._room()


class OmDetTurboDetector(Detector):
    """OMDet-Turbo: phrases by themselves, and all of them once more in a task, "Detect a dog, a field."

    Its own processor does not load without torchvision, which it needs for nothing but its NMS; image
    processor and tokenizer do. The task is the processor's own.
    """

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        sizes = [self._count(f"{phrase},") for phrase in phrases]
        return [[phrases[i] for i in prompt] for prompt in packed(sizes, self._room_in_task())]

    def kind(self, question: DetectorInput) -> Hashable:
        # Missing phrases are filled up with zeros, which compete for the queries with those that are there.
        return super().kind(question), len(question.phrases)

    def answer(self, questions: Sequence[DetectorInput]) -> list[Detections]:
        import torch

        limit = self.model.config.text_config.max_position_embeddings
        tasks = self._tokens([_task(q.phrases) for q in questions], padding="max_length", max_length=limit)
        classes = self._tokens(
            [phrase for q in questions for phrase in q.phrases], padding="max_length", max_length=limit
        )
        inputs = {
            "pixel_values": torch.stack([question.pixels for question in questions]),
            "tasks_input_ids": tasks["input_ids"],
            "tasks_attention_mask": tasks["attention_mask"],
            "classes_input_ids": classes["input_ids"],
            "classes_attention_mask": classes["attention_mask"],
            "classes_structure": torch.tensor([len(question.phrases) for question in questions]),
        }
        output = self._run(**{name: tensor.to(self.device) for name, tensor in inputs.items()})
        scores = output.decoder_class_logits.float().sigmoid().cpu()
        centers = output.decoder_coord_logits.float().cpu()
        return [Detections(*pair) for pair in zip(scores, centers, strict=True)]

    def _room_in_task(self) -> int:
        return self._room() - self._count("Detect")

    def _room_for_phrase(self) -> int:
        return self._room_in_task() - 1  # its comma


def _task(phrases: Sequence[str]) -> str:
    return f"Detect {', '.join(phrases)}."
