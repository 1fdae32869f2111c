"""`coco`: images, captions and boxes in the JSON format of COCO.

captions.json   {"images": [{"id": 139, "file_name": "000000000139.jpg", "width": 640, ...}],
                 "annotations": [{"image_id": 139, "caption": "a dog in a field"}]}
instances.json  {"annotations": [{"image_id": 139, "category_id": 18, "iscrowd": 0,
                 "bbox": [x, y, width, height], "segmentation": [[x, y, x, y, ...]]}],
                 "categories": [{"id": 18, "name": "dog"}]}
"""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.sources.captions import CaptionedSource, GrowingRows
from gritmill.pipeline.sources.listings import find_in, listed, reference_to
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.foreign.coco import Coco, load
from gritmill.schemas.columns import Annotation, Columns
from gritmill.schemas.errors import UserError


class CocoSource(CaptionedSource):
    """Reads COCO's captions, and its boxes as annotations; a part is a slice of the sorted image ids.

    Image keys are COCO's ids of twelve digits: `000000000139`.
    """

    place = ("images", "captions", "instances", "per")
    type: Literal["coco"] = "coco"
    images: str
    """Folder or URL that the images' file names are relative to."""
    captions: str
    """Captions JSON."""
    instances: str | None = None
    """Instances JSON: boxes, polygons and categories; null goes without."""
    part_size: int = Field(default=1000, ge=1)
    """Images of a part."""

    def provides(self) -> dict[str, Any]:
        columns = super().provides()
        return columns | {"annotations": list[Annotation]} if self.instances else columns

    def problems(self) -> list[str]:
        try:
            wanted = {"captions": self.captions, "instances": self.instances}
            problems = [
                f"there is no file {uri}; let `{option}` name COCO's JSON"
                for option, uri in wanted.items()
                if uri and not files.stat(uri)
            ]
            if not files.exists(self.images):
                problems.append(
                    f"there is nothing at {self.images}; let `images` name the folder of the images"
                )
        except UserError as error:
            return [str(error)]
        return problems

    def parts(self) -> Iterator[Part]:
        coco, versions = self._load()
        found = find_in(self.images, [image.file_name for image in coco.images])
        for start in range(0, len(coco.images), self.part_size):
            some = found[start : start + self.part_size]
            yield versions | {"start": start, "stop": start + len(some)} | listed(some)

    def read(self, part: Part) -> Columns:
        samples = GrowingRows(self)
        coco, _ = self._load()
        for image, size in zip(coco.images[part["start"] : part["stop"]], part["sizes"], strict=True):
            more: dict[str, Any] = {}
            metadata = dict(image.metadata)
            if self.instances:
                more["annotations"], invalid = coco.annotations(image)
                metadata |= {"invalid_boxes": invalid} if invalid else {}
            reference = reference_to(self.images, image.file_name, size)
            samples.add(image.key, reference, image.captions, metadata, **more)
        return samples.columns

    def _load(self) -> tuple[Coco, dict[str, str]]:
        """The parsed files, and their versions by option."""
        versions = {}
        for option, uri in {"captions": self.captions, "instances": self.instances}.items():
            file = files.stat(uri) if uri else None
            if uri and not file:
                raise UserError(f"there is no file {uri}; let `{option}` name COCO's JSON")
            if file:
                versions[option] = file.version
        return load(self.captions, self.instances, tuple(versions.values())), versions
