"""How many objects a noun of a caption speaks of, and which noun a quantity ("a bunch") is of."""

from functools import cache
from typing import Literal, cast

from gritmill import prompts
from gritmill.schemas.columns import Parse
from gritmill.stages.grounders.common.lexicon.inflection import singulars

TABLE = "quantity_nouns"
REACH = 32
"""Tokens looked at to either side of a noun; keeps a hostile caption from costing its length squared."""
NESTED = 4
"""Quantities of quantities followed: "a group of a dozen kinds of birds"."""

Kind = Literal["several", "any", "counted", "mass"]
"""What a noun of quantity says; see `prompts/quantity_nouns.txt`."""

Number = int | Literal["several", "any"]
"""How many: so many, two or more, or one or more."""

COUNT = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMERALS: dict[str, int] = {
    "no": 0,
    "both": 2,
    **dict.fromkeys(("a", "an", "another", "this", "that", "single", "lone"), 1),
    **{word: i for i, word in enumerate(COUNT, start=1)},
}
SEVERAL = frozenset(
    (
        "several",
        "many",
        "few",
        "multiple",
        "various",
        "numerous",
        "countless",
        "these",
        "those",
        "every",
        "each",
    )
)
NEW = frozenset({"a", "an", "another", "other"})


class Sentence:
    """A parsed caption, asked about its nouns by the index of their token."""

    def __init__(self, caption: str, parse: Parse) -> None:
        self.parse = parse
        self.words = [caption[start:end].lower() for start, end in zip(parse.starts, parse.ends, strict=True)]

    def object_of(self, noun: int) -> int | None:
        """The object of an "of" behind the noun: `wine` for `glass` in "a glass of wine"."""
        heads = self.parse.heads
        end = min(len(heads), noun + REACH)
        for i in range(noun + 1, end):
            if heads[i] == noun and self.words[i] == "of":
                return next((k for k in range(i + 1, end) if heads[k] == i), None)
        return None

    def meant_by(self, noun: int) -> int:
        """The noun that a quantity is of: `bananas` for `bunch` in "a bunch of bananas".

        The noun itself if it is no quantity or stands alone.
        """
        for _ in range(NESTED):
            inner = None if _quantity(self.words[noun]) in (None, "mass") else self.object_of(noun)
            if inner is None:
                break
            noun = inner
        return noun

    def is_new(self, noun: int) -> bool:
        """True if it is said to be one that was not spoken of before: "a dog", "the other dog"."""
        before = range(max(0, noun - REACH), noun)
        return any(self.parse.heads[i] == noun and self.words[i] in NEW for i in before)

    def number(self, noun: int, plural: bool) -> Number:
        """How many the noun speaks of; `plural` is its form.

        Said of it ("two dogs", "several dog"), or of the quantity that it is the object of ("a pair of
        dogs", "a slice of pizza"), or else by its form.
        """
        # "Scissors" are one thing with a plural name, and a pair of them is one.
        is_pair = not plural and self.parse.lemmas[noun].lower() != self.words[noun]
        for _ in range(NESTED):
            quantity = _quantity(self.words[noun])
            said = self._said_of(noun)
            if quantity == "several" or quantity == "any":
                return quantity
            if isinstance(quantity, int):
                units = 1 if said is None else said
                return units if units == "several" or (is_pair and quantity == 2) else units * quantity
            if said is not None:
                return said
            outer = self._quantity_over(noun)
            if outer is None:
                break
            noun, plural = outer, self.words[outer] not in quantities()
        if plural:
            return "several"
        return "any" if _quantity(self.words[noun]) == "mass" else 1

    def _said_of(self, noun: int) -> int | Literal["several"] | None:
        """The number that words before the noun say of it, or None."""
        found: list[int] = []
        for i in range(noun - 1, max(-1, noun - REACH), -1):
            if self.parse.heads[i] != noun:
                continue
            word = self.words[i]
            if word in SEVERAL:
                return "several"
            if word in NUMERALS:
                found.append(NUMERALS[word])
            elif self.parse.deps[i] == "nummod":
                number = (
                    int(word) if word.isascii() and word.isdecimal() and len(word) < 4 else _quantity(word)
                )
                if not isinstance(number, int):
                    return "several"
                found.append(number)
        # "Another two": the article adds nothing. "No two": none at all.
        return None if not found else 0 if 0 in found else max(found)

    def _quantity_over(self, noun: int) -> int | None:
        """The quantity that the noun is the object of: `bunch` for `bananas` in "a bunch of bananas"."""
        of = self.parse.heads[noun]
        outer = self.parse.heads[of]
        if not outer < of < noun or self.words[of] != "of":
            return None
        return outer if _quantity(self.words[outer]) not in (None, "mass") else None


@cache
def quantities() -> dict[str, int | Kind]:
    """Nouns of quantity and what they say, read once: `{"couple": 2, "group": "several", ...}`."""
    table: dict[str, int | Kind] = {}
    for line in prompts.word_list(TABLE):
        noun, _, value = line.partition(": ")
        table[noun] = int(value) if value.isdecimal() else cast(Kind, value)
    return table


def _quantity(word: str) -> int | Kind | None:
    return next((quantities()[form] for form in singulars(word) if form in quantities()), None)
