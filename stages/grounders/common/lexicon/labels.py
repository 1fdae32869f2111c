"""Which of an image's labels a noun means: "doughnuts" -> donut, "guy" -> person.

A label matches its own name, in any number and spelt as one word, as several or with hyphens; that
needs no table and holds for any label. The table `prompts/label_synonyms.txt` adds the other names of
COCO's categories and the compounds that are not what their last word says.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple, Self

from gritmill import prompts
from gritmill.stages.grounders.common.lexicon.inflection import singulars

TABLE = "label_synonyms"
NO_LABEL = "-"
MAX_WORDS = 4


class Meaning(NamedTuple):
    """The labels that a noun means in an image.

    >>> Meaning(("dog", "cat"), broader=True, plural=True)  # "animals", of a picture of both
    """

    labels: tuple[str, ...]
    """As `key` spells them."""
    broader: bool
    """The noun says less than the label: "animal" for a dog, "frame" for a label "picture frame"."""
    plural: bool
    """The noun's form is a plural of the name that was found."""


class LabelTable(NamedTuple):
    labels: frozenset[str]
    """The labels that the table describes."""
    same: dict[str, tuple[str, ...]]
    """Name -> the labels that it is a word for, in the order of the file."""
    broader: dict[str, tuple[str, ...]]
    none: frozenset[str]
    """Names that mean none of the labels."""
    known: frozenset[str]
    """Every name in the table."""


class Present(NamedTuple):
    """The labels of an image."""

    keys: frozenset[str]
    outside: tuple[tuple[str, str], ...]
    """Those that the table does not describe, in the order given, each with the key of its last word."""

    @classmethod
    def of(cls, labels: Iterable[str]) -> Self:
        """
        >>> Present.of(["dog", "Picture frame"]).outside
        (('pictureframe', 'frame'),)
        """
        lasts = {key(label): last_word(label) for label in labels}
        outside = [(label, last) for label, last in lasts.items() if label not in table().labels]
        return cls(frozenset(lasts), tuple(outside))


@lru_cache(maxsize=65536)
def key(name: str) -> str:
    """What a name is looked up by: its letters and digits, with no case and nothing between them.

    A parenthesis at the end, which LVIS uses to tell meanings apart, is left out. A name without
    letters or digits has none and gives "".

    >>> key("Tennis racket"), key("street_sign"), key("mouse_(computer_equipment)")
    ('tennisracket', 'streetsign', 'mouse')
    """
    return "".join(_words_of_name(name))


@lru_cache(maxsize=65536)
def last_word(label: str) -> str:
    """The key of a label's last word: "frame" of "Picture frame"."""
    return _words_of_name(label)[-1]


def _words_of_name(name: str) -> list[str]:
    return words_of(re.sub(r"\(.*\)\s*$", "", name)) or [""]


def words_of(text: str) -> list[str]:
    """Lower-case words; hyphens, apostrophes and other marks part them."""
    return re.findall(r"[^\W_]+", text.lower())


@cache
def table() -> LabelTable:
    """The table of synonyms, read once."""
    same: dict[str, dict[str, None]] = {}
    broader: dict[str, dict[str, None]] = {}
    labels: dict[str, None] = {}
    none: set[str] = set()
    for line in prompts.word_list(TABLE):
        label, _, names = line.partition(":")
        for name in names.split(","):
            name = name.strip()
            if label == NO_LABEL:
                none.add(key(name))
            elif name.startswith("~"):
                broader.setdefault(key(name), {})[key(label)] = None
            else:
                same.setdefault(key(name), {})[key(label)] = None
        if label != NO_LABEL:
            labels[key(label)] = None
    return LabelTable(
        frozenset(labels),
        {name: tuple(found) for name, found in same.items()},
        {name: tuple(found) for name, found in broader.items()},
        frozenset(none),
        frozenset(none | same.keys() | broader.keys() | labels.keys()),
    )


def meaning(words: Sequence[str], of: str, present: Present) -> Meaning | None:
    """The labels, among those present, of the noun that ends `words`; None if it means none of them.

    `words` are the noun and those before it, lower case; `of` is the object of an "of" behind it, or
    "". The longest known name decides: "hot dog" never matches a dog.

    >>> meaning(["a", "young", "woman"], "", Present.of(["person", "traffic light"]))
    Meaning(labels=('person',), broader=False, plural=False)
    """
    for names in _names(tuple(words[-MAX_WORDS:]), of):
        for i, name in enumerate(names):
            if name in present.keys:
                return Meaning((name,), broader=False, plural=i > 0)
            for label in table().same.get(name, ()):
                if label in present.keys:
                    return Meaning((label,), broader=False, plural=i > 0)
            if name in table().none:
                return None
        for i, name in enumerate(names):
            broader = _labels_under(name, present)
            if broader:
                return Meaning(tuple(broader), broader=True, plural=i > 0)
        if not table().known.isdisjoint(names):
            return None
    return None


@lru_cache(maxsize=65536)
def _names(words: tuple[str, ...], of: str) -> tuple[tuple[str, ...], ...]:
    """Names to look up, longest first, each in its possible singulars.

    >>> _names(("hot", "dogs"), "")
    (('hotdogs', 'hotdog'), ('dogs', 'dog'))
    """
    last = singulars(words[-1])
    with_of = [tuple(f"{noun}of{thing}" for noun in last for thing in singulars(of))] if of else []
    prefixes = ["".join(words[i:-1]) for i in range(len(words))]
    return (*with_of, *(tuple(prefix + noun for noun in last) for prefix in prefixes))


def _labels_under(name: str, present: Present) -> list[str]:
    """The labels that say more than `name` does.

    Outside the table those are labels that end in it ("picture frame" for "frame") and words for a
    label of that name ("man" and "woman" for "person", where the image has no such label).
    """
    found = [label for label in table().broader.get(name, ()) if label in present.keys]
    for label, last in present.outside:
        if name == last or name in table().same.get(label, ()):
            found.append(label)
    return found
