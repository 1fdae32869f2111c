"""What images mean to a model, as vectors, and pairs of them with a high cosine."""

import importlib.metadata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gritmill.pipeline.storage import checkpoints
from gritmill.pipeline.storage.checkpoints import Checkpoint
from gritmill.schemas.errors import UserError
from gritmill.schemas.images import decode
from gritmill.stages.common import local_models

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]
E = TypeVar("E", bound=Exception)

_BLOCK = 8192
_SLACK = 0.01
"""What the index's 8 bits a dimension may take from a cosine; pairs are judged by 16 bits."""
_A_CELL = 64
"""Vectors for each cell when the cells are laid out."""


def problems(model: str, revision: str | None) -> list[str]:
    try:
        checkpoints.find(model, revision)
    except UserError as error:
        return [str(error)]
    except ModuleNotFoundError:  # `packages` says so
        return []
    return []


def versions() -> dict[str, str]:
    try:
        return {"faiss": importlib.metadata.version("faiss-cpu")}
    except importlib.metadata.PackageNotFoundError:
        return {}


class ImageTower:
    """The part of a model that turns images into vectors. Raises `UserError` for a model without one."""

    def __init__(self, checkpoint: Checkpoint, device: local_models.Device, at_once: int) -> None:
        self._device = local_models.chosen_device(device)
        self._processor = local_models.load_part(checkpoint, local_models.image_processor)
        self._model = local_models.load_model(checkpoint, "AutoModel").to(self._device)
        self._source = checkpoint.source
        self._at_once = at_once
        self._halving = local_models.Halving(at_once)

    def embedded(self, pictures: "Iterable[PILImage | E]") -> "Iterator[Vectors | E]":
        """Decoded images -> vectors of length 1, shape [dimensions]; exceptions among them stay."""
        waiting = iter(pictures)
        while some := list(islice(waiting, self._at_once)):
            decoded = [one for one in some if not isinstance(one, Exception)]
            vectors = iter(self._halving(self._vectors, decoded))
            yield from (one if isinstance(one, Exception) else next(vectors) for one in some)

    def _vectors(self, pictures: "Sequence[PILImage]") -> Sequence[Vectors]:
        import torch

        pixels = self._processor(images=list(pictures), return_tensors="pt")["pixel_values"].to(self._device)
        with torch.inference_mode():
            if hasattr(self._model, "get_image_features"):
                found = self._model.get_image_features(pixel_values=pixels)
            else:
                found = self._model(pixel_values=pixels)
        vectors: Any = found if isinstance(found, torch.Tensor) else getattr(found, "pooler_output", None)
        if vectors is None or vectors.ndim != 2:
            raise UserError(
                f"model {self._source!r} makes no vector of an image; take CLIP, SigLIP, DINOv2 or the like"
            )
        return list(torch.nn.functional.normalize(vectors.float(), dim=1).cpu().numpy())


def opened(data: bytes) -> "PILImage":
    """Encoded bytes -> an image that is no larger than models look at."""
    picture = decode(data)
    picture.thumbnail((1024, 1024))
    return picture


def packed(vector: Vectors) -> bytes:
    """A vector -> 2 bytes a dimension."""
    return vector.astype(np.float16).tobytes()


def cosine(a: bytes, b: bytes) -> float:
    """Of two packed vectors, to the four digits that 16 bits can say."""
    one, other = (np.frombuffer(packed, np.float16).astype(np.float32) for packed in (a, b))
    return round(min(1.0, float(one @ other)), 4)


def near_pairs(
    features: np.ndarray[Any, np.dtype[np.uint8]], least: float, probes: int
) -> Iterator[tuple[Numbers, Numbers]]:
    """Row numbers of packed vectors with a cosine of at least `least`, in blocks.

    Cells of an inverted index (faiss) are searched, `probes` of them for each vector, so that a pair across
    two far cells may be missed; vectors that are very near seldom are. Holds a byte for each dimension
    of each vector. The same pairs in every run, whatever the number of threads.
    """
    vectors = features.view(np.float16)
    if len(vectors) < 2:
        return
    index = _index(vectors)
    index.nprobe = probes
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK].astype(np.float32)
        ends, _, found = index.range_search(block, least - _SLACK)
        a = np.repeat(np.arange(start, start + len(block)), np.diff(ends.astype(np.int64)))
        once = a < found
        for some in np.array_split(np.flatnonzero(once), once.sum() // _BLOCK + 1):
            i, j = a[some], found[some]
            cosines = np.einsum("nd,nd->n", vectors[i].astype(np.float32), vectors[j].astype(np.float32))
            near = cosines >= least
            yield i[near], j[near]


def _index(vectors: Any) -> Any:
    import faiss

    count, dimensions = vectors.shape
    cells = max(1, min(int(4 * count**0.5), count // _A_CELL))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimensions),
        dimensions,
        cells,
        faiss.ScalarQuantizer.QT_8bit,
        faiss.METRIC_INNER_PRODUCT,
    )
    index.cp.seed = 1
    index.cp.min_points_per_centroid = 1  # or it warns of small sets
    step = max(1, count // (cells * _A_CELL))
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # sums in another order would lay out other cells
    index.train(vectors[::step].astype(np.float32))
    faiss.omp_set_num_threads(threads)
    for start in range(0, count, _BLOCK):
        index.add(vectors[start : start + _BLOCK].astype(np.float32))
    return index
