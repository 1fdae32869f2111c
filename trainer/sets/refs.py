"""REFER's `refs` (lichengunc/refer), as JSON or JSON lines: RefCOCO, RefCOCO+, RefCOCOg.

    {"ref_id": 1, "ann_id": 1719310, "image_id": 581857, "file_name": "COCO_train2014_000000581857_16.jpg",
     "split": "val", "sentences": [{"sent_id": 0, "sent": "the lady with the blue shirt"}]}

Box and size of the image are the ref's own (`bbox`: [x, y, width, height] in pixels, `width`, `height`),
or those of REFER's `instances.json` beside it. The original refs(unc).p is a pickle and refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gritmill.pipeline.storage.foreign.refer import INSTANCES, Instances, read_refs
from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import Question
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.sets import files
from gritmill.trainer.sets.base import Ask, QuestionSet
from gritmill.trainer.sets.splits import expression_words

_OBJECT = re.compile(r"(?<=_\d{12})_\d+(?=\.jpg$)")
"""What REFER puts behind the name of COCO's image."""


def load(path: str, name: str, images: str, also: frozenset[str], split: str | None) -> list[QuestionSet]:
    """`rec`, an expression a question, and `reg`, an object a question, if it is among `also`."""
    file = _file(Path(path))
    refs = list(_refs(file, files.ImageFolder(images), split))
    rec = [
        Ask(Question(f"{name}/{sent_id}", ref.image, ref.box), _rec(sentence), ref.loader)
        for ref in refs
        for sent_id, sentence in ref.sentences
    ]
    sets = [QuestionSet(name, "rec", rec)]
    if "reg" in also:
        objects = [
            Ask(
                Question(f"{name}/reg/{ref.id}", ref.image, [sentence for _, sentence in ref.sentences]),
                Prompt("reg", {}, [ref.box]),
                ref.loader,
            )
            for ref in refs
            if ref.box.clipped().is_valid
        ]
        sets.append(QuestionSet(name, "reg", objects))
    return sets


class _Ref(NamedTuple):
    id: int | str
    image: str
    box: Box
    sentences: list[tuple[int | str, str]]
    loader: files.Loader


def _file(path: Path) -> Path:
    """The folder's only file of refs, if it is a folder."""
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.jsonl")) or sorted(path.glob("*.p"))
    if len(found) != 1:
        raise UserError(f"{path} has {len(found)} files of refs. Let `questions` name the one, a .jsonl.")
    return found[0]


def _refs(path: Path, images: files.ImageFolder, split: str | None) -> Iterator[_Ref]:
    rows = list(read_refs(str(path)))
    chosen = [(place, row) for place, row in rows if split is None or row.get("split") == split]
    if not chosen:
        splits = ", ".join(sorted({str(row.get("split")) for _, row in rows})) or "none"
        raise UserError(f"{path} has no split {split!r}, but: {splits}. Set `split` to one of them.")
    instances = (
        None if all({"bbox", "width", "height"} <= row.keys() for _, row in chosen) else _instances(path)
    )
    for place, row in chosen:
        known = row if instances is None else _completed(row, instances, place)
        file_name = _OBJECT.sub("", files.words(known, "file_name", place))
        sentences = row.get("sentences")
        if not isinstance(sentences, list) or not all(isinstance(entry, dict) for entry in sentences):
            raise UserError(f"{place} has no list `sentences` of objects. Check the `format` of this set.")
        yield _Ref(
            files.identifier(row, "ref_id", place),
            file_name,
            files.xywh(known, files.size(known, place), place),
            [(files.identifier(s, "sent_id", place), files.words(s, "sent", place)) for s in sentences],
            images.loader(file_name, place),
        )


def _instances(refs: Path) -> Instances:
    path = refs.with_name(INSTANCES)
    if not path.is_file():
        raise UserError(
            f"The lines of {refs} lack `bbox`, `width` or `height`. Write them into each line, "
            f"or put REFER's {INSTANCES} beside it."
        )
    return Instances(str(path))


def _completed(row: files.Row, instances: Instances, place: str) -> files.Row:
    known = instances.of(row)
    if known.image is None or known.annotation is None:
        raise UserError(
            f"{place} is about an object that {instances.uri} does not have. Take the same release."
        )
    given = {name: known.image.get(name) for name in ("width", "height", "file_name")}
    return {**row, **given, "bbox": known.annotation.get("bbox")}


def _rec(sentence: str) -> Prompt:
    return Prompt("rec", expression_words(sentence), [])
