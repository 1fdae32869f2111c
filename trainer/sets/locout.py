"""Kosmos-2's evaluation prompts (microsoft/unilm, kosmos-2/evaluation): a prompt a line, no truth.

    [image]IMAGES/train2014/COCO_train2014_000000581857.jpg<tab><grounding><phrase>the lady in blue</phrase>
    [image]IMAGES/1007129816.jpg<tab><grounding>The man wears <phrase>an orange hat</phrase>

`cook_data.py` there makes them from MDETR's JSON, line by line in its order, `<tab>` spelled out, and puts
`.locout` or `.inline.locout` behind its name. So the truth is that JSON's, which must lie beside: what is
read here is checked against it line by line, phrase and file name; the questions are those of `mdetr`.
"""

import posixpath
import re
from pathlib import Path

from gritmill.pipeline.storage.texts import MAX_LINE, read_text
from gritmill.schemas.errors import UserError
from gritmill.trainer.sets import files, mdetr
from gritmill.trainer.sets.base import QuestionSet

_LINE = re.compile(r"\[image\](?P<image>.*?)<tab>(?:<grounding>)?.*<phrase>(?P<phrase>.*?)</phrase>\s*")


def load(path: str, name: str, images: str, also: frozenset[str], split: str | None) -> list[QuestionSet]:
    """The questions of the JSON beside, once every line is found to be one of them."""
    prompts = Path(path)
    truth = Path(re.sub(r"(\.inline)?\.locout$", "", path))
    if truth == prompts or not truth.is_file():
        raise UserError(
            f"{path} has prompts but no boxes: the truth is in MDETR's JSON that it was made from. "
            f"Put that beside it, under its name without `.locout`, or give it with format `mdetr`."
        )
    sets = mdetr.load(str(truth), name, images, also, split)
    asks = sets[0].asks
    lines = read_text(str(prompts)).rstrip("\n").split("\n")
    if len(lines) != len(asks):
        raise UserError(
            f"{path} has {len(lines):,} lines for {len(asks):,} questions of {truth}. Make it anew."
        )
    for number, (line, ask) in enumerate(zip(lines, asks, strict=True), 1):
        place = f"{path}, line {number}"
        found = _LINE.fullmatch(line) if len(line) <= MAX_LINE else None
        if found is None:
            raise UserError(
                f"{place} is no `[image]PATH<tab><grounding>... <phrase>...</phrase>`. Make it anew."
            )
        told = ask.asked.words.get("expression") or ask.asked.words["phrase"]
        image = posixpath.basename(ask.question.image)
        if (files.clean(found["phrase"], place), posixpath.basename(found["image"])) != (told, image):
            raise UserError(f"{place} asks other than {truth} there: {told!r} of {image}. Make it anew.")
    return sets
