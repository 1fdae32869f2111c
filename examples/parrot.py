from gritmill import DecoderAdapter
from gritmill.schemas.conversations import ASSISTANT
from gritmill.trainer.models.masking import TextSegment
from gritmill.trainer.models.turns import Turns


class ParrotAdapter(DecoderAdapter):
    """`Q: <image>Where is the dog? A: [0.1,0.2,0.3,0.4]</s>`."""

    model_types = ("parrot",)  # config.model_type
    default_dialect = "shikra"
    parts = {"vision": ("vision_tower.",), "connector": ("projector.",), "language": ("language_model.",)}
    lora_targets = ("q_proj", "v_proj")

    def segments(self, turns: Turns) -> list[TextSegment]:
        return [
            TextSegment(f" {text}{self.end}", True)
            if role == ASSISTANT
            else TextSegment(f"Q: {text} A:", False)
            for role, text in turns
        ]
