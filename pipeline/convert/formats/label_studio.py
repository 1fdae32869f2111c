"""`label_studio`: Label Studio's tasks with predictions: rectangles in percent, spans of the caption.

    [{"data": {"image": "/data/local-files/?d=images/000000000139.jpg", "caption": "a dog in a field"},
      "predictions": [{"model_version": "IDEA-Research/grounding-dino-tiny@a2bb814", "result": [
        {"id": "box0", "type": "rectanglelabels", "from_name": "box", "to_name": "image",
         "original_width": 640, "original_height": 480, "image_rotation": 0, "score": 0.83,
         "value": {"x": 10.0, "y": 20.0, "width": 40.0, "height": 70.0, "rotation": 0,
                   "rectanglelabels": ["phrase"]}},
        {"id": "chunk0", "type": "labels", "from_name": "span", "to_name": "caption",
         "value": {"start": 0, "end": 5, "text": "a dog", "labels": ["noun chunk"]}},
        {"type": "relation", "from_id": "box0", "to_id": "chunk0", "direction": "right"}]}]}]

As in https://labelstud.io/guide/predictions and https://labelstud.io/guide/task_format. Beside the tasks
lies `label_config.xml`, the labelling interface for them. Images are found where the folder is a local
storage, https://labelstud.io/guide/storage. Reading takes what Label Studio exports, too: `annotations`,
the work of people, before `predictions`.
"""

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from gritmill.pipeline.convert.groundings import Groundings
from gritmill.pipeline.convert.reading import (
    Images,
    image_folders,
    json_files,
    measured,
    objects,
    rest_of,
    size_of,
    text_of,
    texts,
    xywh_box,
)
from gritmill.pipeline.convert.sample import HUMAN, Losses, Sample, Unusable, make_sample
from gritmill.pipeline.convert.writing import Pictures, json_list
from gritmill.pipeline.storage.texts import read_json
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.errors import UserError

LOSES = {
    "masks": "there are none",
    "models": "a prediction has one: that of the first box",
    "phrases": "boxes do not say what the model was asked for, where that is not the noun chunk",
    "source": "where the image was taken from is not said",
    "image_format": "told by the file's extension alone",
    "conversations": "there are none",
    "provenance": "there is none",
    "annotations": "outlines and crowds are not said, boxes and labels stay",
}
TASKS = "tasks.json"
CONFIG = """<View>
  <Text name="caption" value="$caption"/>
  <Labels name="span" toName="caption">
    <Label value="noun chunk"/>
    <Label value="referring expression"/>
  </Labels>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image">
    <Label value="phrase"/>
  </RectangleLabels>
  <Relations/>
</View>
"""
_FIELDS = ("image", "caption", "key", "captions", "image_id", "split")
_CHUNK, _EXPRESSION, _PHRASE = "noun chunk", "referring expression", "phrase"


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """The tasks are in memory as a whole."""
    for file in json_files(path):
        tasks = read_json(file)
        if not isinstance(tasks, list):
            raise UserError(f"{file} is no list of tasks; export them from Label Studio as JSON.")
        found = Images(image_folders(file, images))
        for number, task in enumerate(tasks):
            name = f"task {number}"
            try:
                yield _sample(task, f"{number:08d}", found, losses)
            except Unusable as error:
                losses.row(name, str(error))


def recognises(entry: dict[str, Any]) -> bool:
    """True if an entry is a task."""
    return isinstance(entry.get("data"), dict)


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """Tasks, written as they go, and the labelling interface; returns how many tasks there are."""
    written = 0
    pictures = Pictures(folder / "images", losses, copy_images)
    (folder / "label_config.xml").write_text(CONFIG, encoding="utf-8")
    with json_list(folder / TASKS) as add:
        for sample in samples:
            record = sample.record
            if not (record["width"] and record["height"]):
                losses.row(record["key"], "the size of its image is not known")
                continue
            add(_task(sample, f"/data/local-files/?d=images/{quote(pictures.put(sample))}"))
            written += 1
    return written


def _task(sample: Sample, image: str) -> dict[str, Any]:
    record = sample.record
    data = {name: record[name] for name in ("caption", "key", "captions", "image_id", "split")}
    data |= {"image": image, "metadata": json.loads(record["metadata"])}
    result: list[dict[str, Any]] = []
    for i, (grounded, expression) in enumerate(zip(sample.grounded, sample.expressions, strict=True)):
        result.append(_rectangle(f"box{i}", grounded.box, _PHRASE, sample) | {"score": grounded.score})
        spans = [(f"chunk{i}", grounded.span, _CHUNK)]
        if expression != grounded.span:
            spans.append((f"expression{i}", expression, _EXPRESSION))
        for id_, span, label in spans:
            value = {**span._asdict(), "text": span.of(record["caption"]), "labels": [label]}
            result.append(
                {"id": id_, "type": "labels", "from_name": "span", "to_name": "caption", "value": value}
            )
            result.append(
                {"type": "relation", "from_id": f"box{i}", "to_id": id_, "direction": "right", "labels": []}
            )
    for i, annotation in enumerate(sample.annotations):
        result.append(_rectangle(f"label{i}", annotation.box, annotation.label, sample))
    model = sample.grounded[0].model if sample.grounded else HUMAN
    return {"data": data, "predictions": [{"model_version": model, "result": result}]}


def _rectangle(id_: str, box: Box, label: str, sample: Sample) -> dict[str, Any]:
    x, y, width, height = box.to_xywh_pixels(100, 100)
    return {
        "id": id_,
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "original_width": sample.record["width"],
        "original_height": sample.record["height"],
        "image_rotation": 0,
        "value": {
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "rotation": 0,
            "rectanglelabels": [label],
        },
    }


def _sample(task: object, key: str, images: Images, losses: Losses) -> Sample:
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise Unusable("no task with `data`")
    data: dict[str, Any] = task["data"]
    key = text_of(data.get("key")) or text_of(task.get("id")) or key
    name = _image_name(data.get("image"))
    caption = data.get("caption", data.get("text", ""))
    if not isinstance(caption, str):
        raise Unusable("the caption is no text")
    done = [each for each in objects(task.get("annotations")) if not each.get("was_cancelled")]
    answer = next(iter(done or objects(task.get("predictions"))), {})
    items = objects(answer.get("result"))
    model = HUMAN if done else text_of(answer.get("model_version")) or HUMAN
    found = _regions(items, caption, model, key, losses)
    where = images.find(name)
    sizes = (size_of(item, "original_width", "original_height") for item in items)
    return make_sample(
        key,
        caption,
        next((size for size in sizes if all(size)), None) or measured(where),
        where,
        name=name,
        image_id=text_of(data.get("image_id")) or name,
        split=text_of(data.get("split")) or "train",
        captions=texts(data.get("captions")),
        metadata=rest_of(data, _FIELDS),
        boxes=found.boxes,
        ref_exps=found.expressions,
        annotations=found.labels or None,
    )


def _regions(items: list[dict[str, Any]], caption: str, model: str, key: str, losses: Losses) -> Groundings:
    """Boxes with the spans that they are related to; boxes related to none are annotations."""
    words = {text_of(item.get("id")): _span(item) for item in items if item.get("type") == "labels"}
    related: dict[str, dict[str, Span]] = {}
    for item in items:
        ends = text_of(item.get("from_id")), text_of(item.get("to_id"))
        for rectangle, word in (ends, ends[::-1]) if item.get("type") == "relation" else ():
            if said := words.get(word):
                related.setdefault(rectangle, {})[said[1]] = said[0]
    found = Groundings(caption, key, losses)
    for item in items:
        value = item.get("value")
        if item.get("type") != "rectanglelabels" or not isinstance(value, dict):
            continue
        if value.get("rotation"):
            losses.part(key, "a box that is turned")
            continue
        told = related.get(text_of(item.get("id")), {})
        chunk = told.get(_CHUNK) or told.get(_EXPRESSION)
        if chunk is None:
            label = next(iter(texts(value.get("rectanglelabels"))), "object")
            found.add_label(label, _box(value))
        else:
            found.add(chunk, told.get(_EXPRESSION), _box(value), item.get("score", 1.0), model)
    return found


def _box(value: Mapping[str, Any]) -> Box | None:
    """Percent -> 0..1; None for what is no rectangle."""
    return xywh_box([value.get(name) for name in ("x", "y", "width", "height")], (100, 100))


def _span(item: dict[str, Any]) -> tuple[Span, str] | None:
    value = item.get("value")
    match value:
        case {"start": int(start), "end": int(end), "labels": [str(label), *_]}:
            return Span(start, end), label
    return None


def _image_name(value: object) -> str:
    """`/data/local-files/?d=images/1.jpg` -> `images/1.jpg`; other URLs stay, they are never fetched."""
    if not isinstance(value, str):
        raise Unusable("no image")
    try:
        url = urlsplit(value)
    except ValueError:
        return value
    if url.path.rstrip("/").endswith("/data/local-files"):
        return posixpath.normpath(parse_qs(url.query).get("d", [""])[0])
    return value
