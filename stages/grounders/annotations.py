"""Boxes that the source came with, matched to the noun chunks of the caption by their words."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import prompts
from schemas.boxes import Box
from schemas.columns import Annotation, Columns, GroundedBox, Parse, Span
from schemas.parses import root_of
from stages.grounders.base import Ground
from stages.grounders.lexicon import labels, quantity
from stages.grounders.lexicon.labels import Meaning, Present
from stages.grounders.lexicon.quantity import Number, Sentence

SAME = 1.0
BROADER = 0.5


class Mention(NamedTuple):
    """A noun chunk that names labels of the image."""

    span: Span
    noun: int
    """The token that carries the meaning: `bananas` for the chunk "a bunch" of "a bunch of bananas"."""
    lists: frozenset[int]
    """First tokens of the coordinations that it stands in ("a man and a woman")."""
    word: str
    is_new: bool
    """Said to be one not spoken of before: "a dog" after "a dog" is another."""
    meaning: Meaning
    number: Number


class AnnotationGrounder(Ground):
    """Noun chunks -> the boxes of the annotations whose label their head noun means.

    "two guys" -> [GroundedBox(Span(0, 8), Box(.1, .2, .5, .9), 1.0, "annotations", "two guys"), ...]

    The score is 1.0 for a word for the label (by inflection, spelling or `prompts/label_synonyms.txt`)
    and 0.5 for a broader one ("animal" for a dog); the usual threshold of 0.65 leaves the latter out.
    A quantity takes the boxes of what it is of: "a group" in "a group of people" those of people. Parts
    ("a man's hand", "the back of a truck") are not their whole and take none.
    A box around a crowd serves only mentions of several. Annotations without area in the image are
    passed over.
    """

    reads = ("caption", "noun_chunks", "parse", "annotations")

    grounder: Literal["annotations"] = "annotations"
    """Where the boxes come from."""
    ambiguous: Literal["drop", "all", "largest"] = "drop"
    """What to do where it is not clear which boxes are meant: "a dog" among three, "two dogs" with
    three boxes or one, "dogs" with one, "men" beside "women" where all are persons. `drop` leaves the
    chunk without a box, `all` gives it all of the label, `largest` as many as it says, largest first."""

    def revision(self) -> dict[str, str]:
        return {table: prompts.digest(table) for table in (labels.TABLE, quantity.TABLE)}

    def process(self, batch: Columns) -> Columns:
        rows = zip(*(batch[name] for name in self.reads), strict=True)
        return {"candidates": [self._ground(*row) for row in rows]}

    def _ground(
        self, caption: str, chunks: list[Span], parse: Parse, annotations: list[Annotation]
    ) -> list[GroundedBox]:
        by_label: dict[str, list[Annotation]] = {}
        for annotation in annotations:
            by_label.setdefault(labels.key(annotation.label), []).append(annotation)
        mentions = _mentions(caption, chunks, parse, by_label)
        return [
            GroundedBox(mention.span, box, score, "annotations", mention.span.of(caption))
            for mention in mentions
            if (score := BROADER if mention.meaning.broader else SAME) >= self.floor
            for box in self._choose(mention, mentions, by_label)
        ]

    def _choose(
        self, mention: Mention, mentions: Sequence[Mention], by_label: dict[str, list[Annotation]]
    ) -> list[Box]:
        meant = [annotation for label in mention.meaning.labels for annotation in by_label[label]]
        boxes = _boxes(annotation for annotation in meant if not annotation.crowd)
        number = mention.number
        agrees = number in (len(boxes), "any")
        if isinstance(number, str):
            crowds = _boxes(annotation for annotation in meant if annotation.crowd)
            agrees |= bool(crowds) or len(boxes) > 1
            boxes += crowds
        is_clear = agrees and not any(_are_apart(mention, other) for other in mentions)
        if number == 0 or (self.ambiguous == "drop" and not is_clear):
            return []
        if self.ambiguous == "largest" and not is_clear:
            largest_first = sorted(boxes, key=lambda box: -box.area)
            return largest_first[:number] if isinstance(number, int) else largest_first
        return boxes


def _mentions(
    caption: str, chunks: Iterable[Span], parse: Parse, by_label: dict[str, list[Annotation]]
) -> list[Mention]:
    if not by_label:
        return []
    present = Present.of(same[0].label for same in by_label.values())
    sentence = Sentence(caption, parse)
    mentions = []
    for span in chunks:
        head = root_of(parse, span)
        if head < 0:
            continue
        noun = sentence.meant_by(head)
        start = span.start if noun == head else parse.starts[head]
        words = labels.words_of(caption[start : parse.ends[noun]])
        thing = sentence.object_of(noun)
        meaning = (
            labels.meaning(words, "" if thing is None else sentence.words[thing], present) if words else None
        )
        if meaning:
            mentions.append(
                Mention(
                    span,
                    noun,
                    lists=frozenset((_first_of_list(parse, head), _first_of_list(parse, noun))),
                    word=words[-1],
                    is_new=sentence.is_new(noun),
                    meaning=meaning,
                    number=sentence.number(noun, meaning.plural),
                )
            )
    return mentions


def _first_of_list(parse: Parse, token: int) -> int:
    """`man` for `woman` in "a man and a woman"."""
    while parse.deps[token] == "conj" and parse.heads[token] < token:
        token = parse.heads[token]
    return token


def _are_apart(a: Mention, b: Mention) -> bool:
    """True if `b` takes some of the boxes that `a` seems to take.

    Two nouns of one list are two things ("a man and a woman"), so are "a dog" and another "a dog",
    and a mention of several seldom includes the other ("people", "a woman"). But two of one may well be
    the same ("a boy", "the skateboarder").
    """
    if a.noun == b.noun or a.meaning.broader or b.meaning.broader or a.meaning.labels != b.meaning.labels:
        return False
    later = max(a, b, key=lambda mention: mention.noun)
    is_another = a.word == b.word and later.is_new
    return isinstance(a.number, str) or is_another or not a.lists.isdisjoint(b.lists)


def _boxes(annotations: Iterable[Annotation]) -> list[Box]:
    """The parts of the boxes that lie in the image, each once, without those of no area."""
    clipped = (annotation.box.clipped() for annotation in annotations)
    return list(dict.fromkeys(box for box in clipped if box.is_valid))
