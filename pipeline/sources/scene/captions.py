"""English for a scene: captions of varied grammar that are true, and what each noun phrase means.

A caption is a template with its slots filled. A slot is a word and the referents that it is about:
`{a x}` is "a red circle" or "two stars", `{rel x y}` something true of x and y such as "above".
A slot that has nothing true to say refuses, as does a condition (`{?twins x y}`) that does not hold,
and another template is tried.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from gritmill.pipeline.sources.scene import relations
from gritmill.pipeline.sources.scene.layout import Scene, meet
from gritmill.pipeline.sources.scene.phrasebook import (
    BACKGROUNDS,
    COMPARISONS,
    FRAGMENTS,
    NUMBERS,
    PICTURES,
    PREPOSITIONS,
    SENTENCES,
    SIZE_WORDS,
    TELLING,
)
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span


class ScenePhrase(NamedTuple):
    """A noun phrase of a caption and the objects that it means, by index into the scene."""

    span: Span
    things: tuple[int, ...]


class Caption(NamedTuple):
    """A sentence or a fragment, with all noun phrases that mention objects."""

    text: str
    phrases: list[ScenePhrase]


HOW_MANY = (0, 2, 8, 6, 2, 1)
"""How often a caption speaks of so many referents, where the scene has them."""
TRIES = 8
"""How often another caption is made up before a repeated one is taken."""
ORDERS = 4
"""How many orders of the referents a template is tried with."""


def describe(scene: Scene, rng: Random, count: int) -> list[Caption]:
    """So many captions of a scene, all different unless it is too simple for that."""
    speaker = _Speaker(scene, rng)
    captions: list[Caption] = []
    for _ in range(count):
        for _ in range(TRIES):
            caption = _caption(speaker)
            if all(caption.text != other.text for other in captions):
                break
        captions.append(caption)
    return captions


class _Refusal(Exception):
    """A slot has nothing true to say."""


class _Referent(NamedTuple):
    """Objects that are spoken of together, all of one noun."""

    things: tuple[int, ...]
    noun: str
    size: str
    """Their size, or "" if they differ; the same goes for the colour."""
    colour: str
    ways: tuple[tuple[bool, bool], ...] = ()
    """Whether to say the size and the colour: all choices after which no other object is meant."""


_Said = str | tuple[str, tuple[int, ...]]
"""Words, or a noun phrase with the objects that it means."""


class _Speaker:
    """Fills slots: a method for each, named as the slot."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        self.scene = scene
        self.rng = rng
        self.groupings: dict[int, list[_Referent]] = {}

    def referents(self) -> list[_Referent]:
        """The objects; those alike in noun, colour and size, or in fewer of these, are taken together."""
        features = self.rng.choices((1, 2, 3), (7, 8, 5))[0]
        if features not in self.groupings:
            self.groupings[features] = _referents(self.scene, features)
        return self.groupings[features]

    def ordered(self, referents: list[_Referent]) -> list[_Referent]:
        """In random order, but half of the time the first is followed by what it has to do with: its
        like ("the red star above the blue star"), what it covers, what is inside it."""
        x, *others = self.rng.sample(referents, len(referents))
        if self.rng.random() < 0.5:
            others.sort(key=lambda other: other.noun != x.noun and not self._touch(x, other))
        return [x, *others]

    def a(self, x: _Referent) -> _Said:
        words = self._words(x, self.rng.choice(x.ways))
        if len(x.things) > 1:
            number = "" if self.rng.random() < 0.1 else NUMBERS[len(x.things)] + " "
            return number + words, x.things
        return ("an " if words[0] in "aeiou" else "a ") + words, x.things

    def the(self, x: _Referent) -> _Said:
        return self._definite(x, self.rng.choice(x.ways))

    def uncoloured(self, x: _Referent) -> _Said:
        ways = [way for way in x.ways if not way[1]]
        if not ways or not x.colour:
            raise _Refusal
        return self._definite(x, self.rng.choice(ways))

    def bare(self, x: _Referent) -> _Said:
        return f"the {x.noun}", x.things

    def it(self, x: _Referent) -> _Said:
        return "it" if len(x.things) == 1 else "them"

    def be(self, x: _Referent) -> _Said:
        return "is" if len(x.things) == 1 else "are"

    def colour(self, x: _Referent) -> _Said:
        if not x.colour:
            raise _Refusal
        return x.colour

    def rel(self, x: _Referent, y: _Referent) -> _Said:
        return self._relation(x, y, PREPOSITIONS)

    def than(self, x: _Referent, y: _Referent) -> _Said:
        return self._relation(x, y, COMPARISONS)

    def place(self, x: _Referent) -> _Said:
        """Where in the image it is: only a place that is right for all of its objects."""
        options = [_places(self.scene.things[i].box) for i in x.things]
        known = [place for place in options[0] if all(place in others for others in options)]
        if not known:
            raise _Refusal
        return self.rng.choice(known)

    def picture(self) -> _Said:
        return self.rng.choice(PICTURES)

    def tail(self) -> _Said:
        if self.rng.random() < 0.6:
            return ""
        pattern, tone = self.scene.background
        return " " + self.rng.choice(BACKGROUNDS[pattern]).format(tone=tone.name)

    def between(self, x: _Referent, y: _Referent, z: _Referent) -> _Said:
        for before, after in (("left", "right"), ("right", "left"), ("above", "below"), ("below", "above")):
            if before in self._relations(y, x) and after in self._relations(z, x):
                return ""
        raise _Refusal

    def twins(self, x: _Referent, y: _Referent) -> _Said:
        """x and y are the two objects of one noun, x to the left."""
        things = sorted(i for i, thing in enumerate(self.scene.things) if thing.noun == x.noun)
        if things != sorted(x.things + y.things) or len(things) != 2 or "left" not in self._relations(x, y):
            raise _Refusal
        return ""

    def _definite(self, x: _Referent, way: tuple[bool, bool]) -> _Said:
        article = "the"
        if len(x.things) > 1:
            number = NUMBERS[len(x.things)]
            article = self.rng.choice(
                ("the", f"the {number}", "both" if number == "two" else f"all {number}")
            )
        return f"{article} {self._words(x, way)}", x.things

    def _words(self, x: _Referent, way: tuple[bool, bool]) -> str:
        with_size, with_colour = way
        words = [self.rng.choice(SIZE_WORDS[x.size])] if with_size else []
        words += [x.colour] if with_colour else []
        return " ".join([*words, x.noun if len(x.things) == 1 else _plural(x.noun)])

    def _relations(self, x: _Referent, y: _Referent) -> list[str]:
        return relations.shared(self.scene, x.things, y.things)

    def _relation(self, x: _Referent, y: _Referent, words: dict[str, tuple[str, ...]]) -> str:
        known = [name for name in self._relations(x, y) if name in words]
        if not known:
            raise _Refusal
        telling = [name for name in known if name in TELLING]
        return self.rng.choice(words[self.rng.choice(telling or known)])

    def _touch(self, x: _Referent, y: _Referent) -> bool:
        things = self.scene.things
        return any(meet(things[i].box, things[j].box) for i in x.things for j in y.things)


_SLOTS: dict[str, Callable[..., _Said]] = {
    "a": _Speaker.a,
    "the": _Speaker.the,
    "uncoloured": _Speaker.uncoloured,
    "bare": _Speaker.bare,
    "it": _Speaker.it,
    "is": _Speaker.be,
    "colour": _Speaker.colour,
    "rel": _Speaker.rel,
    "than": _Speaker.than,
    "place": _Speaker.place,
    "picture": _Speaker.picture,
    "tail": _Speaker.tail,
    "?between": _Speaker.between,
    "?twins": _Speaker.twins,
}


class _Slot(NamedTuple):
    fill: Callable[..., _Said]
    about: tuple[tuple[int, ...], ...]
    """Each argument as numbers of referents; `x+y` is two taken together."""


_Template = tuple[str | _Slot, ...]


def _compiled(template: str) -> _Template:
    """`"{a x} and more"` -> (slot, " and more")."""
    pieces: list[str | _Slot] = []
    for i, piece in enumerate(re.split(r"\{(.*?)\}", template)):
        if i % 2 == 0:
            pieces += [piece] if piece else []
        else:
            name, *arguments = piece.split()
            about = tuple(tuple("xyzwv".index(letter) for letter in a.split("+")) for a in arguments)
            pieces.append(_Slot(_SLOTS[name], about))
    return tuple(pieces)


_FRAGMENTS = tuple(tuple(map(_compiled, templates)) for templates in FRAGMENTS)
_SENTENCES = tuple(tuple(map(_compiled, templates)) for templates in SENTENCES)


def _caption(speaker: _Speaker) -> Caption:
    rng = speaker.rng
    while True:  # Ends for sure: `{a x}` never refuses.
        referents = speaker.referents()
        known = range(1, min(len(referents), len(HOW_MANY) - 1) + 1)
        about = rng.choices(known, [HOW_MANY[k] for k in known])[0]
        whole = rng.random() < 0.55
        template = rng.choice((_SENTENCES if whole else _FRAGMENTS)[about])
        for _ in range(ORDERS):
            try:
                return _styled(_filled(template, speaker, speaker.ordered(referents)), whole, rng)
            except _Refusal:
                continue


def _filled(template: _Template, speaker: _Speaker, referents: Sequence[_Referent]) -> Caption:
    text, phrases = "", []
    for piece in template:
        said = piece if isinstance(piece, str) else piece.fill(speaker, *_arguments(piece, referents))
        if not isinstance(said, str):
            said, things = said
            phrases.append(ScenePhrase(Span(len(text), len(text) + len(said)), things))
        text += said
    return Caption(text, phrases)


def _arguments(slot: _Slot, referents: Sequence[_Referent]) -> Iterator[_Referent]:
    for numbers in slot.about:
        if len(numbers) == 1:
            yield referents[numbers[0]]
        else:
            yield _Referent(tuple(i for n in numbers for i in referents[n].things), "", "", "")


def _styled(caption: Caption, whole: bool, rng: Random) -> Caption:
    """Upper-case start and full stop, as people do or do not write them; keeps all offsets."""
    text = caption.text
    tidy, roll = (0.75 if whole else 0.3), rng.random()
    if roll < tidy + 0.1:
        text = text[0].upper() + text[1:]
    if roll < tidy:
        text += "."
    return Caption(text, caption.phrases)


def _referents(scene: Scene, features: int) -> list[_Referent]:
    """The scene's objects, told apart by the noun alone, or by the first 2 or 3 features."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, thing in enumerate(scene.things):
        groups.setdefault((thing.noun, thing.colour, thing.size)[:features], []).append(i)
    return [_referent(scene, things) for things in groups.values()]


def _referent(scene: Scene, members: list[int]) -> _Referent:
    things = [scene.things[i] for i in members]
    sizes, colours = {thing.size for thing in things}, {thing.colour for thing in things}
    size, colour = min(sizes) if len(sizes) == 1 else "", min(colours) if len(colours) == 1 else ""
    alike = [
        (thing.size == size, thing.colour == colour) for thing in scene.things if thing.noun == things[0].noun
    ]
    ways = [
        (with_size, with_colour)
        for with_size, with_colour in ((False, True), (False, False), (True, False), (True, True))
        if (size or not with_size)
        and (colour or not with_colour)
        and len(things) == sum((s or not with_size) and (c or not with_colour) for s, c in alike)
    ]
    # Nobody says "medium-sized" without need.
    plain = [way for way in ways if not way[0]] if size == "medium" else ways
    return _Referent(tuple(members), things[0].noun, size, colour, tuple(plain or ways))


def _places(box: Box) -> list[str]:
    """Where in the image a box is, going by its middle: "on the left", or the corner if far in it."""
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    if 0.38 < x < 0.62 and 0.38 < y < 0.62:
        return ["in the middle", "in the center"]
    column, row = "left" if x < 0.5 else "right", "top" if y < 0.5 else "bottom"
    across, down = abs(x - 0.5), abs(y - 0.5)
    if across > 0.2 and down > 0.2:
        return [f"in the {row} {column} corner"]
    if across > 0.16:
        return [f"on the {column}", f"on the {column} side"]
    return [f"at the {row}", f"near the {row}"] if down > 0.16 else []


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("x", "ss")) else "s")
