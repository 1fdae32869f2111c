"""Recall and precision of every deduplicator on duplicates that were put there.

    python -m tests.bench.planted_duplicates [--images 400] [--captions 4000] [--model FOLDER]

Images: drawn scenes, half of them once more, each changed in one way: the same bytes, resized, recompressed,
cropped, mirrored, brighter or darker. Captions: sentences put together from parts, half of them once more,
reworded in one way. Recall of a change: copies that ended in the cluster of their original. Precision: of all
pairs that ended in one cluster, those that belong together; things that nobody copied are most of the set.
"""

import argparse
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from PIL import Image, ImageEnhance, ImageOps

from gritmill.pipeline.sources.scenes import ScenesSource, draw
from gritmill.schemas.columns import Columns, from_arrow, to_arrow
from gritmill.stages.base import GlobalStage
from gritmill.stages.dedup.captions import ExactCaptions, MinHashCaptions
from gritmill.stages.dedup.images import EmbeddingImages, ExactImages, PerceptualImages
from tests.bench.tables import print_table


class Planted(NamedTuple):
    """A set with its truth."""

    columns: Columns
    origin: list[int]
    """Rows of one origin are duplicates of one another."""
    change: list[str | None]
    """How a copy was changed; None for what is no copy."""


class Score(NamedTuple):
    """What a deduplicator did to a planted set."""

    recall: dict[str, float]
    """By the change."""
    precision: float


@dataclass(frozen=True)
class Bytes:
    """An image in memory, behind the interface that stages see."""

    data: bytes

    def read(self) -> bytes:
        return self.data


def _cropped(image: Image.Image, share: float) -> Image.Image:
    """`share` of the width and of the height less, the same from each side."""
    x, y = image.width * share / 2, image.height * share / 2
    return image.crop((round(x), round(y), image.width - round(x), image.height - round(y)))


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


IMAGE_CHANGES: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "resized to half": (lambda image: _scaled(image, 0.5), 90),
    "resized to 3/2": (lambda image: _scaled(image, 1.5), 90),
    "recompressed at 40": (lambda image: image, 40),
    "cropped by 2 %": (lambda image: _cropped(image, 0.02), 90),
    "cropped by 4 %": (lambda image: _cropped(image, 0.04), 90),
    "mirrored": (ImageOps.mirror, 90),
    "a fifth brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.2), 90),
    "a fifth darker": (lambda image: ImageEnhance.Brightness(image).enhance(0.8), 90),
}
"""What is done to a copy, and the quality of its JPEG."""
SAME = "same bytes"


def planted_images(count: int, seed: int = 0, size: int = 224) -> Planted:
    """`count` scenes, and half of them once more, changed in turn in each of the ways."""
    [uri, *_] = {part["uri"] for part in ScenesSource(type="scenes", count=1, seed=seed, size=size).parts()}
    columns: Columns = {name: [] for name in ("key", "image_id", "image", "width", "height")}
    planted = Planted(columns, [], [])

    def add(image_id: str, data: bytes, origin: int, change: str | None) -> None:
        width, height = Image.open(io.BytesIO(data)).size
        for name, value in zip(columns, (image_id, image_id, Bytes(data), width, height), strict=True):
            columns[name].append(value)
        planted.origin.append(origin)
        planted.change.append(change)

    changes = itertools.cycle([SAME, *IMAGE_CHANGES])
    for index in range(count):
        data = draw(uri, index)
        add(f"scene{index:06d}", data, index, None)
        if index % 2:
            change = next(changes)
            add(f"copy{index:06d}", data if change == SAME else _changed(data, change), index, change)
    return _shuffled(planted, seed)


def _changed(data: bytes, change: str) -> bytes:
    work, quality = IMAGE_CHANGES[change]
    buffer = io.BytesIO()
    work(Image.open(io.BytesIO(data)).convert("RGB")).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


WHO = "man|woman|boy|girl|farmer|nurse|young couple|group of tourists|little child|street musician".split("|")
DOES = (
    "holds a large umbrella|rides a bicycle|feeds the pigeons|reads a newspaper|carries a wooden box|waits "
    "for the bus|takes a photograph|eats an ice cream|walks a small dog|paints the fence|plays the violin|"
    "sells oranges"
).split("|")
WHERE = (
    "in front of a shop|beside an old fountain|on a crowded platform|near the railway bridge|under the "
    "plane trees|at the edge of a lake|behind the town hall|along the sandy beach|in a narrow lane|on the "
    "steps of a church"
).split("|")
WHEN = "at sunset|in heavy rain|on a sunny morning|during the festival|after the match|in deep snow".split(
    "|"
)

SYNONYMS = {"large": "big", "little": "small", "old": "ancient", "crowded": "busy", "near": "close to"}

CAPTION_CHANGES: dict[str, Callable[[str, Random], str]] = {
    "case and punctuation": lambda text, _: text.upper().replace(",", "") + "!",
    "a typing error": lambda text, rng: _mistyped(text, rng),
    "another article": lambda text, _: text.replace("A ", "The ", 1),
    "a word more": lambda text, rng: text.replace(" ", f" {rng.choice(['tall', 'calm', 'busy'])} ", 1),
    "words of introduction": lambda text, _: f"There is {text[0].lower()}{text[1:]}",
    "parts in another order": lambda text, _: _turned(text),
    "a synonym": lambda text, _: _with_synonym(text),
}


def planted_captions(count: int, seed: int = 0) -> Planted:
    """`count` different sentences, and half of them once more, reworded in turn in each of the ways."""
    rng = Random(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        who, does, where, when = map(rng.choice, (WHO, DOES, WHERE, WHEN))
        second = f", while a {rng.choice(WHO)} {rng.choice(DOES)} {rng.choice(WHERE)}"
        made[f"A {who} {does} {where} {when}{second}."] = None
    planted = Planted({"key": [], "caption": []}, [], [])
    changes = itertools.cycle(CAPTION_CHANGES)
    for index, text in enumerate(made):
        copies: list[tuple[str, str | None]] = [(text, None)]
        if index % 2:
            change = next(changes)
            copies.append((CAPTION_CHANGES[change](text, rng), change))
        for caption, change_made in copies:
            planted.columns["key"].append(f"caption{len(planted.origin):06d}")
            planted.columns["caption"].append(caption)
            planted.origin.append(index)
            planted.change.append(change_made)
    return _shuffled(planted, seed)


def _mistyped(text: str, rng: Random) -> str:
    at = rng.randrange(2, len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _turned(text: str) -> str:
    first, second = text.rstrip(".").split(", while ")
    return f"{second[0].upper()}{second[1:]}, while {first[0].lower()}{first[1:]}."


def _with_synonym(text: str) -> str:
    for word, other in SYNONYMS.items():
        if f" {word} " in text:
            return text.replace(f" {word} ", f" {other} ", 1)
    return text.replace(" a ", " one ", 1)


def _shuffled(planted: Planted, seed: int) -> Planted:
    order = list(range(len(planted.origin)))
    Random(seed).shuffle(order)
    columns = {name: [values[i] for i in order] for name, values in planted.columns.items()}
    return Planted(columns, [planted.origin[i] for i in order], [planted.change[i] for i in order])


def score(stage: GlobalStage, planted: Planted, part_size: int = 500) -> Score:
    """Runs the stage over the set, in parts, and holds its clusters against the truth."""
    [column] = [name for name in stage.writes if name.endswith("_cluster")]
    clusters = clustered(stage, planted.columns, part_size)[column]
    home = {o: c for o, c, change in zip(planted.origin, clusters, planted.change, strict=True) if not change}
    found: Counter[str] = Counter()
    copies: Counter[str] = Counter()
    for origin, cluster, change in zip(planted.origin, clusters, planted.change, strict=True):
        if change:
            copies[change] += 1
            found[change] += cluster == home[origin]
    together = _pairs(Counter(clusters).values())
    right = _pairs(Counter(zip(clusters, planted.origin, strict=True)).values())
    return Score(
        {change: found[change] / copies[change] for change in copies}, right / together if together else 1
    )


def _pairs(sizes: Iterable[int]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes)


class Sketched:
    """Sketches in memory, as those on disk are read."""

    def __init__(self, stage: GlobalStage, parts: Sequence[Columns]) -> None:
        self.types = stage.sketches
        sketches = (stage.sketch({name: part[name] for name in stage.reads}) for part in parts)
        self.arrays = [{n: to_arrow(s[n], kind) for n, kind in self.types.items()} for s in sketches]

    def __len__(self) -> int:
        return len(self.arrays)

    def __iter__(self) -> Any:
        for arrays in self.arrays:
            yield {name: from_arrow(arrays[name], kind) for name, kind in self.types.items()}


def clustered(stage: GlobalStage, columns: Columns, part_size: int) -> Columns:
    """What the stage decides, part by part, whatever it then drops."""
    measuring: Any = stage.model_copy(update={"mode": "measure"})
    count = len(next(iter(columns.values())))
    parts = [{n: v[i : i + part_size] for n, v in columns.items()} for i in range(0, count, part_size)]
    out: Columns = {name: [] for name in measuring.writes}
    measuring.setup()
    for part, decision in zip(parts, measuring.decide(Sketched(measuring, parts)), strict=True):
        for name, values in measuring.process({n: part[n] for n in measuring.reads} | decision).items():
            out[name] += values
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--captions", type=int, default=4000)
    parser.add_argument("--model", help="for embeddings: id or folder")
    options = parser.parse_args()
    images: dict[str, GlobalStage] = {"exact": ExactImages()}
    images |= {f"perceptual {radius}": PerceptualImages(radius=radius) for radius in (7, 11, 15)}
    images["15, not mirrored"] = PerceptualImages(mirrored=False)
    if options.model:
        for least in (0.93, 0.96, 0.98):
            images[f"embedding {least}"] = EmbeddingImages(
                model=options.model, min_cosine=least, device="cpu"
            )
    title = f"{options.images:,} drawn scenes, {options.images // 2:,} copies"
    _print(title, planted_images(options.images), images)
    captions = planted_captions(options.captions)
    stages: dict[str, GlobalStage] = {"exact": ExactCaptions()}
    stages |= {f"minhash {t}": MinHashCaptions(min_jaccard=t) for t in (0.6, 0.7, 0.8, 0.9)}
    _print(f"{options.captions:,} captions, {options.captions // 2:,} copies", captions, stages)


def _print(title: str, planted: Planted, stages: dict[str, GlobalStage]) -> None:
    scores = {name: score(stage, planted) for name, stage in stages.items()}
    changes = sorted(set(filter(None, planted.change)), key=planted.change.index)
    rows = [[change, *(f"{s.recall[change]:.1%}" for s in scores.values())] for change in sorted(changes)]
    rows.append(["precision of pairs", *(f"{s.precision:.1%}" for s in scores.values())])
    print_table(title, ["recall of copies", *scores], rows)


if __name__ == "__main__":
    main()
