"""Images that come more than once."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from parts_of import run_in_parts
from PIL import Image, ImageOps

from gritmill.pipeline.sources.scenes import ScenesSource, draw
from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.dedup import embeddings
from gritmill.stages.dedup.images import EmbeddingImages, ExactImages, PerceptualImages

SCENES = ScenesSource(type="scenes", count=20, seed=3)._series().uri()


@dataclass
class Bytes:
    """An image in memory."""

    data: bytes

    def read(self) -> bytes:
        if not self.data:
            raise OSError("no such file")
        return self.data


def picture(index: int) -> Image.Image:
    return Image.open(io.BytesIO(draw(SCENES, index))).convert("RGB")


def encoded(image: Image.Image, quality: int = 90) -> Bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Bytes(buffer.getvalue())


def columns(images: list[Bytes], ids: list[str] | None = None) -> Columns:
    sizes = []
    for image in images:
        try:
            sizes.append(Image.open(io.BytesIO(image.data)).size)
        except OSError:
            sizes.append((1, 1))
    ids = ids or [f"i{n}" for n in range(len(images))]
    return {
        "key": [f"{image_id}_{n}" for n, image_id in enumerate(ids)],
        "image_id": ids,
        "image": images,
        "width": [width for width, _ in sizes],
        "height": [height for _, height in sizes],
    }


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("faiss")
    from tiny_clip import save_clip

    return str(save_clip(tmp_path_factory.mktemp("clip")))


@pytest.mark.parametrize("part_size", [1, 3, 100])
def test_the_same_bytes_under_another_id_go(part_size):
    images = [encoded(picture(0)), encoded(picture(1)), encoded(picture(0)), encoded(picture(0), quality=91)]
    out = run_in_parts(ExactImages(), columns(images), part_size)
    assert out["image_cluster"] == ["i0", "i1", "i0", "i3"]
    gone = Reject("duplicate_image", "duplicate of i0", "same bytes")
    assert out["image_cluster_size"] == [2, 1, gone, 1]


def test_captions_of_one_image_are_no_duplicates_and_go_together():
    one, other = encoded(picture(0)), encoded(picture(1))
    given = columns([one, one, other, one, one], ["b", "b", "c", "a", "a"])
    out = run_in_parts(ExactImages(), given, 2)
    assert out["image_cluster"] == ["a", "a", "c", "a", "a"]
    assert [isinstance(size, Reject) for size in out["image_cluster_size"]] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert out["image_cluster_size"][3] == 2


def test_near_images_form_a_cluster_around_the_largest():
    large = picture(0).resize((448, 336))
    images = [encoded(large.resize((200, 150))), encoded(large), encoded(ImageOps.mirror(large), 60)]
    out = run_in_parts(PerceptualImages(), columns([*images, encoded(picture(1))]), 2)
    assert out["image_cluster"] == ["i1", "i1", "i1", "i3"]
    assert out["image_distance"][1] == 0
    assert max(out["image_distance"]) <= 15
    assert [isinstance(size, Reject) for size in out["image_cluster_size"]] == [True, False, True, False]
    reject = out["image_cluster_size"][0]
    assert reject.reason == "duplicate_image"
    assert reject.value == f"duplicate of i1 (distance {out['image_distance'][0]})"
    assert reject.threshold == "radius 15"


def test_mirror_images_may_be_kept():
    images = [encoded(picture(0)), encoded(ImageOps.mirror(picture(0)))]
    out = run_in_parts(PerceptualImages(mirrored=False), columns(images), 2)
    assert out["image_cluster"] == ["i0", "i1"]


def test_what_shows_nothing_is_nobodys_duplicate():
    images = [encoded(Image.new("RGB", (64, 64), "white")), encoded(Image.new("RGB", (80, 80), "white"))]
    out = run_in_parts(PerceptualImages(), columns(images), 1)
    assert out == {
        "image_cluster": ["i0", "i1"],
        "image_cluster_size": [1, 1],
        "image_distance": [None, None],
    }


@pytest.mark.parametrize("mode", ["drop", "measure"])
@pytest.mark.parametrize("kind", [ExactImages, PerceptualImages])
def test_an_unreadable_image_costs_its_own_rows(kind, mode):
    stage = kind(mode=mode)
    out = run_in_parts(stage, columns([Bytes(b""), encoded(picture(0)), Bytes(b"")]), 2)
    gone = Reject("unreadable", "no such file")
    assert out["image_cluster_size"] == [gone, 1, gone]


def test_the_lowest_id_stays_where_the_rule_says_so():
    images = [encoded(picture(0)), encoded(picture(0).resize((100, 100)))]
    given = columns(images, ["b", "a"])
    assert run_in_parts(PerceptualImages(), given, 1)["image_cluster"] == ["b", "b"]
    assert run_in_parts(PerceptualImages(keep="lowest_key"), given, 1)["image_cluster"] == ["a", "a"]


def test_rows_do_not_depend_on_parts_nor_on_order():
    images = [encoded(picture(i % 7).resize((150 + i, 150))) for i in range(21)]
    given = columns(images)
    whole = run_in_parts(PerceptualImages(), given, 100)
    assert run_in_parts(PerceptualImages(), given, 4) == whole
    turned = run_in_parts(PerceptualImages(), {name: values[::-1] for name, values in given.items()}, 5)
    assert {name: values[::-1] for name, values in turned.items()} == whole
    assert len(set(whole["image_cluster"])) == 7


def test_embeddings_find_what_a_model_takes_for_the_same(clip):
    images = [encoded(picture(i)) for i in range(6)] + [encoded(picture(i), 50) for i in range(3)]
    stage = EmbeddingImages(model=clip, min_cosine=0.9995, device="cpu")
    assert stage.problems() == []
    out = run_in_parts(stage, columns(images), 4)
    assert out["image_cluster"] == ["i0", "i1", "i2", "i3", "i4", "i5", "i0", "i1", "i2"]
    assert all(0.9995 <= cosine <= 1 for cosine in out["image_cosine"])
    assert out["image_cluster_size"][6].threshold == "min_cosine 0.9995"


def test_an_unreadable_image_goes_by_the_model(clip):
    images = [encoded(picture(0)), Bytes(b""), encoded(picture(1))]
    out = run_in_parts(EmbeddingImages(model=clip, device="cpu", min_cosine=1), columns(images), 3)
    assert out["image_cluster_size"] == [1, Reject("unreadable", "no such file"), 1]


def test_vision_models_without_text_serve_too(tmp_path):
    pytest.importorskip("faiss")
    from tiny_clip import save_dinov2

    model = str(save_dinov2(tmp_path))
    images = [encoded(picture(0)), encoded(picture(1)), encoded(picture(0), 60)]
    out = run_in_parts(EmbeddingImages(model=model, min_cosine=0.999, device="cpu"), columns(images), 2)
    assert out["image_cluster"] == ["i0", "i1", "i0"]


def test_a_model_that_is_not_there_is_named():
    stage = EmbeddingImages(model="nobody/nothing-there")
    assert "nobody/nothing-there" in stage.problems()[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_neighbours_are_those_of_an_exhaustive_search(threads):
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((900, 64))
    vectors = np.concatenate([centres, centres[:300] + rng.standard_normal((300, 64)) * 0.1])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    features = vectors.astype(np.float16).view(np.uint8)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    found = {p for a, b in embeddings.near_pairs(features, 0.95, 8) for p in zip(a.tolist(), b.tolist())}
    faiss.omp_set_num_threads(before)
    halves = features.view(np.float16).astype(np.float32)
    expected = set(map(tuple, np.argwhere(np.triu(halves @ halves.T, 1) >= 0.95).tolist()))
    assert found <= expected
    assert len(found) >= 0.98 * len(expected)
    assert len(expected) > 250
    said = hashlib.sha256(repr(sorted(found)).encode()).hexdigest()
    assert _SAID.setdefault("pairs", said) == said


_SAID: dict[str, Any] = {}
