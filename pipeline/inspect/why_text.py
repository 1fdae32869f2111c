"""A sample's story as lines of text: spans as the words they are, boxes short, long things cut."""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from gritmill.pipeline.engine.terminal import one_line
from gritmill.pipeline.inspect.why import Chapter, Story

_MOST_BOXES = 8
_MOST_CHARACTERS = 160


def story_lines(story: Story) -> Iterator[str]:
    """
    scene-00000012_0, row 24 of part f2b4e65cd844870b
      source                   kept
          caption        The square is blue.
      noun_chunks              kept
          noun_chunks    "The square" [0:10]
      select_boxes             rejected: no_box, measured 0.5, threshold 0.65
          options        min_score 0.65, nms_iou 0.5, ...
    """
    return map(one_line, _lines(story))


def _lines(story: Story) -> Iterator[str]:
    caption = ""
    yield f"{story.key}, row {story.row} of part {story.part}"
    for chapter in story.chapters:
        caption = chapter.columns.get("caption", caption)
        yield f"  {chapter.step:<24} {_verdict(chapter)}"
        if chapter.options:
            yield _line("options", ", ".join(f"{k} {_short(v)}" for k, v in chapter.options.items()))
        if chapter.replaced:
            yield _line("replaces", f"the conversations of {', '.join(chapter.replaced)}")
        for name, value in chapter.columns.items():
            show = _SHOWN.get(name, _plainly)
            for i, text in enumerate(show(value, caption)):
                yield _line(name if i == 0 else "", text)


def _line(name: str, text: str) -> str:
    return f"      {name:<14} {text}"


def _verdict(chapter: Chapter) -> str:
    text = chapter.verdict
    if chapter.reason:
        text += f": {chapter.reason}"
    if chapter.value:
        is_number = re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", chapter.value)
        text += f", measured {chapter.value}" if is_number else f", {chapter.value}"
    if chapter.threshold:
        text += f", threshold {chapter.threshold}"
    return text


def _plainly(value: Any, caption: str) -> Iterator[str]:
    yield _short(value)


def _short(value: Any) -> str:
    if isinstance(value, float):
        value = round(value, 4)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"


def _spans(value: Any, caption: str) -> Iterator[str]:
    yield ", ".join(_quoted(span, caption) for span in value)


def _quoted(span: dict[str, int], caption: str) -> str:
    start, end = span["start"], span["end"]
    return f'"{caption[start:end]}" [{start}:{end}]'


def _grounded(value: Any, caption: str) -> Iterator[str]:
    best = sorted(value, key=lambda box: -box["score"])[:_MOST_BOXES]
    for box in best:
        place = f"{_quoted(box['span'], caption)} {_corners(box['box'])}"
        yield f"{place} score {box['score']:.3f} by {box['model']}"
    yield from _rest(len(value) - len(best))


def _dropped(value: Any, caption: str) -> Iterator[str]:
    for lost in value[:_MOST_BOXES]:
        [place] = _grounded([lost["box"]], caption)
        yield f"{place}: {lost['reason']} {lost['value']}, threshold {lost['threshold']}"
    yield from _rest(len(value) - _MOST_BOXES)


def _checks(value: Any, caption: str) -> Iterator[str]:
    """A line for each box, in the order of `boxes`. A check that a run carried over has no value."""
    for checks in value[:_MOST_BOXES]:
        yield ", ".join(
            c["check"]
            + ("" if math.isnan(c["value"]) else f" {c['value']}")
            + ("" if c["passed"] else " (failed)")
            for c in checks
        )
    yield from _rest(len(value) - _MOST_BOXES)


def _annotations(value: Any, caption: str) -> Iterator[str]:
    for annotation in value[:_MOST_BOXES]:
        crowd = " (a crowd)" if annotation.get("crowd") else ""
        yield f"{annotation['label']} {_corners(annotation['box'])}{crowd}"
    yield from _rest(len(value) - _MOST_BOXES)


def _rest(count: int) -> Iterator[str]:
    if count > 0:
        yield f"and {count} more"


def _corners(box: dict[str, float]) -> str:
    return "[" + " ".join(f"{box[name]:.3f}" for name in ("x1", "y1", "x2", "y2")) + "]"


def _image(value: Any, caption: str) -> Iterator[str]:
    yield f"{value['uri']}, {value['length']:,} bytes at {value['offset']:,}"


def _words(value: Any, caption: str) -> Iterator[str]:
    words = zip(value["starts"], value["ends"], value["deps"], strict=True)
    yield " ".join(f"{caption[start:end]}/{dep}" for start, end, dep in words)


def _conversations(value: Any, caption: str) -> Iterator[str]:
    """Turns as they will be read, with the boxes of each behind it; then, where each conversation is from."""
    for conversation in value:
        for turn in conversation["turns"]:
            boxes = [box for region in turn["regions"] for box in region["boxes"]]
            boxes += [box for phrase in turn["phrases"] for box in phrase["boxes"]]
            spoken = _short(" ".join(turn["text"].split()))
            yield " ".join([f"{turn['role']}:", spoken, *map(_corners, boxes)])
        yield _maker(conversation["provenance"])


def _reply(value: Any, caption: str) -> Iterator[str]:
    yield _origin(value)
    yield _short(" ".join(value["text"].split()))


def _maker(value: dict[str, Any]) -> str:
    """Of the provenance of a conversation."""
    by = _origin(value) if value["model"] else " from ".join(filter(None, [value["task"], value["template"]]))
    since = f", rewritten by {value['rewritten_by']}" if value["rewritten_by"] else ""
    return f"made by {value['maker']}{': ' + by if by else ''}{since}"


def _origin(value: dict[str, Any]) -> str:
    """Of a reply or the provenance of a conversation that a language model wrote."""
    tokens = f"{value['tokens_in']:,} tokens in, {value['tokens_out']:,} out"
    kept = f"request {value['request'][:8]}, prompt {value['prompt'][:8]}"
    model = f"{value['model']} ({value['backend']})"
    return f"{value['task']} by {model}: {tokens}, {value['finish_reason']}, {kept}"


_SHOWN: dict[str, Callable[[Any, str], Iterator[str]]] = {
    "image": _image,
    "parse": _words,
    "noun_chunks": _spans,
    "ref_exps": _spans,
    "candidates": _grounded,
    "boxes": _grounded,
    "box_checks": _checks,
    "dropped_boxes": _dropped,
    "annotations": _annotations,
    "context_regions": _annotations,
    "conversations": _conversations,
    "reply": _reply,
}
