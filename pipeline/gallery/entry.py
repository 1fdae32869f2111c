"""A sample as pages show it, in JSON to `gallery.js`; from any dataset, kept or dropped.

{"key": "000000030752_3", "image": {"src": "data:image/webp;base64,...", "width": 640, "height": 426},
 "caption": "A woman walking with her dog in the snow.",
 "phrases": [{"start": 0, "end": 40, "boxes": [{"box": [0.3358, 0.1486, 0.5205, 0.8556], "score": 1.0,
                                                "model": "annotations", "phrase": "A woman",
                                                "checks": {"max_area": true, "agreement": false}}]}],
 "turns": [{"role": "human", "text": "<image>\\nWhat is in <region:0>?", "boxes": [[0.34, 0.15, 0.52, 0.86]]},
           {"role": "assistant", "text": "A woman.", "boxes": []}],
 "stage": null, "reason": null, "value": null, "threshold": null,
 "provenance": {"image_id": "000000030752", "split": "train"}}
"""

from typing import Any, TypedDict


class ImageView(TypedDict):
    """A picture in any size, upright as its boxes are."""

    src: str
    """`data:` or the path of a server; nothing else is loaded."""
    width: int
    height: int


class BoxView(TypedDict):
    """A box and where it came from."""

    box: list[float]
    """x1, y1, x2, y2 in 0..1 of the image."""
    score: float | None
    model: str
    phrase: str
    """What the model was asked for."""
    checks: dict[str, bool]
    """What was checked of it (`verify_boxes`), and whether it passed."""


class PhraseView(TypedDict):
    """Words of the caption and their boxes. Phrases may nest and overlap."""

    start: int
    end: int
    """`[start, end)` in characters (code points), as Python counts them."""
    boxes: list[BoxView]


class TurnView(TypedDict):
    """What one side says."""

    role: str
    """`human` or `assistant`."""
    text: str
    """With `<region:0>`, `<region:1>`, ... where `boxes[0]`, `boxes[1]`, ... stand."""
    boxes: list[list[float]]


class GalleryEntry(TypedDict):
    """One sample. `stage`, `reason`, `value` and `threshold` say where and why it was dropped, if it was."""

    key: str
    image: ImageView | None
    caption: str
    phrases: list[PhraseView]
    turns: list[TurnView]
    stage: str | None
    reason: str | None
    value: str | None
    threshold: str | None
    provenance: dict[str, Any]
    """Whatever else is known, shown as it is."""
