"""Made-up captions of known phrases, and stages that take them for samples without an image or a parser."""

import random
import re
from collections.abc import Iterator

from pydantic import Field

from gritmill.schemas.columns import Columns, Parse, Span
from gritmill.stages.base import Stage

ADJECTIVES = (
    "red blue green white black brown yellow small large old young wooden metal plastic striped spotted "
    "tall short round square bright dark dusty shiny wet empty broken painted colorful furry"
).split()
NOUNS = (
    "dog cat man woman child horse bicycle train bus truck boat kite bench table chair lamp clock vase "
    "umbrella suitcase guitar pizza sandwich apple banana bottle cup bowl laptop keyboard phone camera "
    "bridge church tower fence garden kitchen window mirror pillow blanket jacket hat shoe glove ladder "
    "bucket basket barrel statue fountain tractor wagon saddle surfboard skateboard snowboard racket"
).split()
DOES = "standing|lying|waiting|resting|seen from above|half hidden|in the middle|alone".split("|")
WHERE = "next to|behind|in front of|on top of|far away from|to the left of|underneath|beside".split("|")
FOREIGN = (
    "Ein alter Mann sitzt mit seinem Hund auf einer Bank im Park und liest die Zeitung.",
    "Une femme marche avec son chien dans la neige devant une vieille église en pierre.",
    "Un niño come una manzana roja sentado a la mesa de la cocina con su madre.",
)
_WORD = re.compile(r"\w+")
_ADJECTIVES, _NOUNS = frozenset(ADJECTIVES), frozenset(NOUNS)


def captions(count: int, seed: int = 0) -> Iterator[str]:
    """Of a hundred: 10 repeat one of the last thousand, 10 do but for a word, 3 say too little, 3 are not
    English. Phrases are as uneven as Zipf's law has them."""
    rng = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(max(len(NOUNS), len(ADJECTIVES)))]
    recent: list[str] = []

    def phrase() -> str:
        [noun] = rng.choices(NOUNS, weights[: len(NOUNS)])
        return f"{rng.choice(ADJECTIVES)} {noun}"

    for row in range(count):
        kind = rng.randrange(100)
        if recent and kind < 20:
            caption = recent[rng.randrange(len(recent))]
            if kind < 10:
                words = caption.split()
                words[rng.randrange(1, 3)] = rng.choice(ADJECTIVES)
                caption = " ".join(words)
        elif kind < 23:
            caption = "a dog"
        elif kind < 26:
            caption = f"{rng.choice(FOREIGN)} {row}"
        else:
            caption = (
                f"A {phrase()} {rng.choice(DOES)} {rng.choice(WHERE)} a {phrase()}, {rng.choice(WHERE)} the "
                f"{phrase()} and {rng.randrange(2, 99)} others {rng.choice(WHERE)} a {phrase()}."
            )
            if len(recent) < 1000:
                recent.append(caption)
            else:
                recent[rng.randrange(1000)] = caption
        yield caption


class TextOnly(Stage):
    """Caption -> what shards ask of an image, without one: 1 x 1 pixels."""

    reads = ("caption",)
    writes = {"width": int, "height": int, "image_format": str, "image_bytes": int}

    batch_size: int = Field(default=4096, ge=1)

    def process(self, batch: Columns) -> Columns:
        count = len(batch["caption"])
        return {
            "width": [1] * count,
            "height": [1] * count,
            "image_format": ["png"] * count,
            "image_bytes": [1] * count,
        }


class KnownPhrases(Stage):
    """Caption -> what concept balance asks of a parser, without one.

    "A red dog near the kite." -> Span(0, 9), Span(15, 23)
    """

    reads = ("caption",)
    writes = {"noun_chunks": list[Span], "parse": Parse}

    batch_size: int = Field(default=4096, ge=1)

    def process(self, batch: Columns) -> Columns:
        rows = [_parsed(caption) for caption in batch["caption"]]
        return {
            "noun_chunks": [chunks for chunks, _ in rows],
            "parse": [parse for _, parse in rows],
        }


def _parsed(caption: str) -> tuple[list[Span], Parse]:
    """Chunks are an article, an adjective and a noun of the lists above."""
    words = [(match.start(), match.end(), match[0].lower()) for match in _WORD.finditer(caption)]
    chunks, tags = [], []
    for i, (_, end, word) in enumerate(words):
        tags.append("NOUN" if word in _NOUNS else "DET" if word in ("a", "the") else "ADJ")
        if word in _NOUNS:
            first = i
            while first and (words[first - 1][2] in _ADJECTIVES or words[first - 1][2] in ("a", "the")):
                first -= 1
            chunks.append(Span(words[first][0], end))
    deps = ["det" if tag == "DET" else "dep" for tag in tags]
    return chunks, Parse(
        [start for start, _, _ in words],
        [end for _, end, _ in words],
        list(range(len(words))),
        deps,
        tags,
        [word for _, _, word in words],
    )
