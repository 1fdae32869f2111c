"""Procedural scenes: drawn images with true captions and exact boxes, from nothing but a seed.

    source: {type: scenes, count: 200, seed: 0}

No file is read and no picture drawn until somebody asks for its bytes: captions and boxes follow
from a scene's layout. Scene number 12 of a seed is always the same, whatever `count` is.
"""

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gritmill.pipeline.sources.base import Part, Source
from gritmill.pipeline.sources.images import DRAWN
from gritmill.pipeline.sources.scene.captions import Caption, describe
from gritmill.pipeline.sources.scene.colours import COLOURS, Colour
from gritmill.pipeline.sources.scene.layout import Scene, compose
from gritmill.pipeline.sources.scene.simple import NOUNS, compose_simple, list_things
from gritmill.schemas.columns import SAMPLE_COLUMNS, Annotation, Columns, ImageRef

SCHEME = "scenes:"
Style = Literal["varied", "simple"]
VERSION = 1
"""To be raised whenever the same options would give another layout, caption or picture."""


class _Series(BaseModel):
    """All that decides the pictures, as it stands in the uri of an image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(default=VERSION, ge=VERSION, le=VERSION)
    seed: int
    size: int = Field(ge=32, le=2048)
    min_objects: int = Field(ge=1, le=8)
    max_objects: int = Field(ge=1, le=8)
    style: Style = "varied"
    colours: tuple[str, ...] = tuple(COLOURS)

    @field_validator("colours", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value

    def uri(self) -> str:
        said = self.model_dump(exclude_defaults=True) | {"version": self.version}
        if "colours" in said:
            said["colours"] = ",".join(self.colours)
        order = [name for name in type(self).model_fields if name in said]
        return SCHEME + urlencode({name: said[name] for name in order})

    def scene(self, index: int) -> Scene:
        rng = _rng(self.seed, index, "layout")
        if self.style == "varied":
            return compose(rng, self.min_objects, self.max_objects)
        return compose_simple(rng, self.min_objects, self.max_objects, self.colours)

    def captions(self, scene: Scene, index: int, count: int) -> list[Caption]:
        say = describe if self.style == "varied" else list_things
        return say(scene, _rng(self.seed, index, "captions"), count)


class ScenesSource(Source):
    """Coloured shapes on varied backgrounds, drawn on demand, with true captions and exact boxes.

    The `metadata` of a sample holds the truth of its caption, whatever a parser makes of it:

        {"phrases": [{"span": [0, 12], "boxes": [[0.1, 0.2, 0.3, 0.4]]}]}    # "a red circle ..."
    """

    type: Literal["scenes"]
    """Which source this is."""
    count: int = Field(default=200, ge=1)
    """Number of images."""
    seed: int = 0
    """Another seed gives other images."""
    size: int = Field(default=224, ge=32, le=2048)
    """Pixels of the longer side; half of the images are square, the others 4:3 or 3:4."""
    min_objects: int = Field(default=1, ge=1, le=8)
    """Fewest objects in an image."""
    max_objects: int = Field(default=5, ge=1, le=8)
    """Most objects in an image."""
    style: Style = "varied"
    """`varied`: anything goes. `simple`: upright shapes on plain ground, apart from each other, no noun
    twice, and captions that list them all: what a small model can learn from nothing."""
    colours: tuple[Colour, ...] = Field(default=get_args(Colour), min_length=1)
    """Colours of the objects; fewer than all only for `simple` scenes."""
    captions_per_image: int = Field(default=2, ge=1, le=20)
    """Captions of an image; they differ, but for `simple` ones of few objects."""
    per: Literal["caption", "image"] = "caption"
    """What a sample is: each caption of an image, or the image with its first caption."""
    part_size: int = Field(default=500, ge=1)
    """Images in a part."""

    @model_validator(mode="after")
    def _objects_in_order(self) -> "ScenesSource":
        if self.min_objects > self.max_objects:
            raise ValueError("min_objects is more than max_objects; lower it or raise the other")
        if self.style == "simple" and self.max_objects > len(NOUNS):
            raise ValueError(f"a simple scene has {len(NOUNS)} objects at most; lower max_objects")
        if self.style == "varied" and set(self.colours) != set(COLOURS):
            raise ValueError("colours can be chosen for simple scenes only; add style: simple")
        return self

    def targets(self) -> list[str]:
        """Another picture under the same uri is another sample."""
        return [DRAWN["scenes"]]

    def provides(self) -> dict[str, Any]:
        """The sample's columns, and a box for each object."""
        return {**SAMPLE_COLUMNS, "annotations": list[Annotation]}

    def parts(self) -> Iterator[Part]:
        """`{"uri": "scenes:version=1&seed=0&...", "start": 0, "stop": 500}`: images by number."""
        for start in range(0, self.count, self.part_size):
            stop = min(start + self.part_size, self.count)
            yield {"uri": self._series().uri(), "start": start, "stop": stop}

    def read(self, part: Part) -> Columns:
        """Keys are `scene-00000012` for an image and `scene-00000012_1` for its second caption."""
        columns: Columns = {name: [] for name in self.provides()}
        series = self._series()
        uri = series.uri()
        for index in range(part["start"], part["stop"]):
            scene = series.scene(index)
            captions = series.captions(scene, index, self.captions_per_image)
            texts = [caption.text for caption in captions]
            image_id = f"scene-{index:08d}"
            annotations = [Annotation(thing.noun, thing.box, False, []) for thing in scene.things]
            for i, caption in enumerate(captions if self.per == "caption" else captions[:1]):
                row = {
                    "key": f"{image_id}_{i}" if self.per == "caption" else image_id,
                    "image_id": image_id,
                    "image": ImageRef(uri, index, 0),
                    "caption": caption.text,
                    "captions": texts,
                    "metadata": _metadata(scene, caption),
                    "annotations": annotations,
                }
                for name, value in row.items():
                    columns[name].append(value)
        return columns

    def _series(self) -> _Series:
        return _Series.model_validate(self.model_dump(include=set(_Series.model_fields)))


def draw(uri: str, index: int) -> bytes:
    """The image with this number of a `scenes:` uri, as JPEG. The same bytes with one Pillow release.

    Raises `ValueError` for a uri that this version did not write.
    """
    from gritmill.pipeline.sources.scene.drawing import paint

    series = _parsed(uri)
    encoded = io.BytesIO()
    paint(series.scene(index), series.size).save(encoded, "JPEG", quality=92, subsampling=0)
    return encoded.getvalue()


@lru_cache(maxsize=16)
def _parsed(uri: str) -> _Series:
    if not uri.startswith(SCHEME):
        raise ValueError(f"{uri!r} is not a {SCHEME} uri")
    return _Series.model_validate(dict(parse_qsl(uri[len(SCHEME) :])))


def _rng(seed: int, index: int, use: str) -> Random:
    """Seeded by text, which Python hashes with SHA-512: the same numbers on every machine."""
    return Random(f"{seed}:{index}:{use}")  # noqa: S311 (nothing secret here)


def _metadata(scene: Scene, caption: Caption) -> str:
    phrases = [
        {"span": phrase.span, "boxes": [scene.things[i].box for i in phrase.things]}
        for phrase in caption.phrases
    ]
    return json.dumps({"phrases": phrases})
