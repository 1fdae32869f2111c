"""How many objects a noun of a caption speaks of, and which noun a quantity ("a bunch") is of."""

from functools import cache

import prompts
from schemas.columns import Parse
from stages.grounders.lexicon.inflection import singulars

TABLE = "quantity_nouns"
REACH = 32
"""Tokens looked at to either side of a noun; keeps a hostile caption from costing its length squared."""

Number = int | None
"""None stands for several: no number is said."""

ANY = -1
"""A number is said, but not which."""

INDEFINITE = frozenset({"a", "an", "another"})
COUNT = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMERALS: dict[str, int] = {
    "no": 0,
    "both": 2,
    **dict.fromkeys(INDEFINITE | {"this", "that", "single", "lone"}, 1),
    **{word: i for i, word in enumerate(COUNT, start=1)},
}
SEVERAL = frozenset(
    {"several", "many", "few", "some", "multiple", "various", "numerous", "countless", "all", "these"}
    | {"those", "every", "each", "more", "most"}
)


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
        while _quantity(self.words[noun]) not in (None, "mass"):
            inner = self.object_of(noun)
            if inner is None:
                break
            noun = inner
        return noun

    def is_new(self, noun: int) -> bool:
        """True if an indefinite article introduces the noun."""
        before = range(max(0, noun - REACH), noun)
        return any(self.parse.heads[i] == noun and self.words[i] in INDEFINITE for i in before)

    def number(self, noun: int, plural: bool) -> Number:
        """How many the noun speaks of; `plural` is its form.

        Said of it ("two dogs", "several dog"), or of the quantity that it is the object of ("a pair of
        dogs", "a slice of pizza"), or else by its form.
        """
        # "Scissors" are one thing with a plural name, and a pair of them is one.
        is_pair = not plural and self.parse.lemmas[noun].lower() != self.words[noun]
        while True:
            quantity = _quantity(self.words[noun])
            said = self._said_of(noun)
            if quantity == "several":
                return None
            if isinstance(quantity, int):
                units = 1 if said is None else said
                return units if is_pair and quantity == 2 else units * quantity
            if said is not None:
                return None if said == ANY else said
            outer = self._quantity_over(noun)
            if outer is None:
                return None if plural or quantity == "mass" else 1
            noun, plural = outer, self.words[outer] not in quantities()

    def _said_of(self, noun: int) -> int | None:
        """The number that words before the noun say of it: ANY for "several", None if they say none."""
        found: list[int] = []
        for i in range(noun - 1, max(-1, noun - REACH), -1):
            if self.parse.heads[i] != noun:
                continue
            word = self.words[i]
            if word in SEVERAL:
                return ANY
            if word in NUMERALS:
                found.append(NUMERALS[word])
            elif self.parse.deps[i] == "nummod":
                number = _quantity(word)
                is_short = word.isascii() and word.isdecimal() and len(word) < 4
                found.append(int(word) if is_short else number if isinstance(number, int) else ANY)
        # "Another two": the article adds nothing. "No two": none at all.
        return None if not found else min(found) if min(found) <= 0 else max(found)

    def _quantity_over(self, noun: int) -> int | None:
        """The quantity that the noun is the object of: `bunch` for `bananas` in "a bunch of bananas"."""
        of = self.parse.heads[noun]
        outer = self.parse.heads[of]
        if not outer < of < noun or self.words[of] != "of":
            return None
        return outer if _quantity(self.words[outer]) not in (None, "mass") else None


@cache
def quantities() -> dict[str, int | str]:
    """Nouns of quantity and what they say, read once: `{"couple": 2, "group": "several", ...}`."""
    pairs = (line.split(":") for line in prompts.word_list(TABLE))
    return {noun.strip(): int(value) if value.strip().isdecimal() else value.strip() for noun, value in pairs}


def _quantity(word: str) -> int | str | None:
    return next((quantities()[form] for form in singulars(word) if form in quantities()), None)
