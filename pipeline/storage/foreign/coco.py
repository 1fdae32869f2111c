"""COCO's JSON files in memory, by image."""

from array import array
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

from gritmill.pipeline.storage.texts import read_json
from gritmill.schemas.boxes import Box, outline_from_pixels
from gritmill.schemas.columns import Annotation
from gritmill.schemas.errors import UserError

_LARGEST = 1e7
"""Coordinates beyond it, in pixels, are no coordinates."""

Id = int | str


class Photo(NamedTuple):
    """What the files say of an image."""

    id: Id
    key: str
    file_name: object
    captions: list[object]
    metadata: dict[str, Any]


class Instance(NamedTuple):
    """An entry of the instances file, unchecked but for its polygons."""

    category: object
    bbox: object
    crowd: bool
    polygons: list["array[float]"]


class Coco(NamedTuple):
    """Both files, joined; images sorted by id."""

    images: list[Photo]
    instances: dict[Id, list[Instance]]
    sizes: dict[Id, tuple[float, float]]
    categories: dict[Id, str]

    def annotations(self, image: Photo) -> tuple[list[Annotation], int]:
        """The usable boxes of an image, clipped to it, and how many were not usable."""
        found = []
        instances = self.instances.get(image.id, [])
        width, height = self.sizes.get(image.id, (0, 0))
        for instance in instances if width and height else []:
            label = self.categories.get(_id(instance.category))
            box = _box(instance.bbox, width, height)
            if label and box:
                polygons = [outline_from_pixels(p, width, height) for p in instance.polygons]
                found.append(Annotation(label, box, instance.crowd, polygons))
        return found, len(instances) - len(found)


# Parsing takes seconds, and a worker reads many parts of the same files.
@lru_cache(maxsize=1)
def load(captions: str, instances: str | None, versions: tuple[str, ...]) -> Coco:
    """Parses both files; `versions` tell their contents from earlier ones.

    Raises `UserError` for a file that is not COCO's JSON.
    """
    told = _parse(captions)
    boxes = _parse(instances) if instances else {}
    by_image: dict[Id, list[Instance]] = {}
    for entry in _entries(boxes, "annotations"):
        crowd, polygons = bool(entry.get("iscrowd")), entry.get("segmentation")
        instance = Instance(entry.get("category_id"), entry.get("bbox"), crowd, polygons or [])
        by_image.setdefault(_id(entry.get("image_id")), []).append(instance)
    sizes = [*_entries(boxes, "images"), *_entries(told, "images")]
    return Coco(
        _photos(told),
        by_image,
        {_id(entry.get("id")): size for entry in sizes if (size := _size(entry))},
        {_id(entry.get("id")): str(entry.get("name") or "") for entry in _entries(boxes, "categories")},
    )


def _photos(told: dict[str, Any]) -> list[Photo]:
    """All images, those included that only a caption speaks of."""
    captions: dict[Id, list[object]] = {}
    for entry in _entries(told, "annotations"):
        captions.setdefault(_id(entry.get("image_id")), []).append(entry.get("caption"))
    licences = {_id(entry.get("id")): entry for entry in _entries(told, "licenses")}
    images = [(_id(entry.get("id")), entry) for entry in _entries(told, "images")]
    unknown = sorted(captions.keys() - {id_ for id_, _ in images}, key=str)
    photos = [
        Photo(
            id_,
            f"{id_:012d}" if isinstance(id_, int) else id_,
            entry.get("file_name"),
            captions.get(id_, []),
            _metadata(entry, licences),
        )
        for id_, entry in [*images, *((id_, {}) for id_ in unknown)]
    ]
    return sorted(photos, key=lambda photo: (isinstance(photo.id, str), photo.id))


def _metadata(entry: dict[str, Any], licences: dict[Id, dict[str, Any]]) -> dict[str, Any]:
    """The image's own fields, the number of its licence replaced by what it stands for."""
    fields = {name: value for name, value in entry.items() if name not in ("id", "license")}
    licence = licences.get(_id(entry.get("license")))
    return fields | ({"license": licence.get("name"), "license_url": licence.get("url")} if licence else {})


def _parse(uri: str) -> dict[str, Any]:
    fields = read_json(uri, _compact)
    if not isinstance(fields, dict) or not {"images", "annotations"} <= fields.keys():
        raise UserError(f"{uri} has no lists `images` and `annotations`. Give a file in COCO's format.")
    return fields


def _compact(entry: dict[str, Any]) -> dict[str, Any]:
    """Polygons as arrays, a quarter of the memory; a mask (RLE) is no polygon."""
    if "segmentation" in entry:
        outlines = entry["segmentation"]
        entry["segmentation"] = [
            outline
            for item in (outlines if isinstance(outlines, list) else [])
            if (outline := _outline(item))
        ]
    return entry


def _outline(points: object) -> "array[float] | None":
    """Three points or more, all finite; else None."""
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        return None
    return array("d", points) if all(map(_is_number, points)) else None


def _size(image: dict[str, Any]) -> tuple[float, float] | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if _is_number(width) and _is_number(height) and width > 0 < height else None


def _box(bbox: object, width: float, height: float) -> Box | None:
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        return None
    x, y, w, h = bbox
    box = Box.from_xywh_pixels(x, y, w, h, width, height).clipped()
    return box if box.is_valid else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and abs(value) <= _LARGEST  # not for NaN and infinity


def _entries(fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = fields.get(name)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _id(value: object) -> Id:
    return value if isinstance(value, int) else str(value)
