"""The words in which models were asked by those who trained them, by `model_type` and task."""

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "florence2": {
        "rec": "<CAPTION_TO_PHRASE_GROUNDING>{expression}",
        # The phrase alone: of a whole caption, it grounds the phrases that it chooses itself.
        "phrase_grounding": "<CAPTION_TO_PHRASE_GROUNDING>{phrase}",
        "reg": "<REGION_TO_DESCRIPTION>{region}",
        "caption": "<CAPTION>",
    },
    "kosmos-2": {
        "rec": "<grounding><phrase>{expression}</phrase>",
        "phrase_grounding": "<grounding>{before} <phrase>{phrase}</phrase>",
        "caption": "An image of",
        "grounded_caption": "<grounding>An image of",
        "reg": "<grounding><phrase>It</phrase>{region} is",
        "vqa": "Question: {question} Answer:",
    },
    # Its instructions made of RefCOCO and Visual Genome.
    "llava": {
        "rec": (
            "Please provide the bounding box coordinate of the region this sentence describes: {expression}"
        ),
        "reg": "Please provide a short description for this region: {region}",
        "vqa": "{question}",
    },
    "qwen2_vl": {"caption": "Describe this image."},
    "qwen2_5_vl": {
        "rec": "Locate {expression}, output its bbox coordinates using JSON format.",
        "phrase_grounding": "Outline the position of {phrase} and output all the coordinates in JSON format.",
        "caption": "Describe this image.",
    },
    "qwen3_vl": {
        "rec": "Locate {expression}, output its bbox coordinates using JSON format.",
        "phrase_grounding": 'Locate every instance that belongs to the following categories: "{phrase}". '
        "Report bbox coordinates in JSON format.",
        "caption": "Describe this image.",
    },
}
"""Slots are those of `prompts/tasks/`; `before` is the caption up to the phrase.

Sources: the model cards of microsoft/Florence-2-large and microsoft/kosmos-2-patch14-224;
llava_v1_5_mix665k.json of liuhaotian/LLaVA-Instruct-150K; QwenLM's
cookbooks/spatial_understanding.ipynb (Qwen2.5-VL) and cookbooks/2d_grounding.ipynb (Qwen3-VL).
"""
