"""Labelled boxes, drawn by people or by a detector, for the noun chunks whose head noun means their label."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from gritmill import prompts
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Parse, Span
from gritmill.schemas.parses import root_of
from gritmill.stages.grounders.base import Ground
from gritmill.stages.grounders.common.lexicon import labels, quantity
from gritmill.stages.grounders.common.lexicon.labels import Meaning, Present
from gritmill.stages.grounders.common.lexicon.quantity import Number, Sentence

SAME = 1.0
BROADER = 0.5

Ambiguous = Literal["drop", "all", "largest"]


class LabelledBox(NamedTuple):
    """A box and what it is said to hold.

    >>> LabelledBox("dog", Box(0.1, 0.2, 0.5, 0.9), False, 0.83)
    """

    label: str
    box: Box
    crowd: bool
    """A box around many objects of the label."""
    score: float
    """How sure its maker was, 0..1; people are."""


class ChunkMatch(NamedTuple):
    """A noun chunk with the boxes that it is for."""

    span: Span
    boxes: list[LabelledBox]
    """In the image, each once; `ambiguous` may have left none."""
    weight: float
    """`SAME` for a word for the label, `BROADER` for one that says less."""


class LabelGrounder(Ground):
    """Noun chunks -> the labelled boxes of the image whose label their head noun means.

    A word for the label (by inflection, spelling or `prompts/label_synonyms.txt`) keeps the box's score,
    a broader one ("animal" for a dog) halves it.
    A quantity takes the boxes of what it is of: "a group" in "a group of people" those of people. Parts
    ("a man's hand", "the back of a truck") are not their whole and take none.
    A box around a crowd serves only mentions of several. Boxes without area in the image are passed over.
    """

    ambiguous: Ambiguous = "drop"
    """What to do where it is not clear which boxes are meant: "a dog" among three, "two dogs" with
    three boxes or one, "dogs" with one, "men" beside "women" where all are persons. `drop` leaves the
    chunk without a box, `all` gives it all of the label, `largest` as many as it says, largest first."""

    def revision(self) -> dict[str, str]:
        return {table: prompts.digest(table) for table in (labels.TABLE, quantity.TABLE)}


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


def matches(
    caption: str, chunks: Iterable[Span], parse: Parse, boxes: Iterable[LabelledBox], ambiguous: Ambiguous
) -> Iterator[ChunkMatch]:
    """Each chunk that names a label of the image, in order, with its boxes; see `LabelGrounder`."""
    by_label: dict[str, list[LabelledBox]] = {}
    for box in boxes:
        by_label.setdefault(labels.key(box.label), []).append(box)
    mentions = _mentions(caption, chunks, parse, by_label)
    for mention in mentions:
        weight = BROADER if mention.meaning.broader else SAME
        yield ChunkMatch(mention.span, _choose(mention, mentions, by_label, ambiguous), weight)


def _choose(
    mention: Mention,
    mentions: Sequence[Mention],
    by_label: dict[str, list[LabelledBox]],
    ambiguous: Ambiguous,
) -> list[LabelledBox]:
    meant = [box for label in mention.meaning.labels for box in by_label[label]]
    boxes = _in_image(box for box in meant if not box.crowd)
    number = mention.number
    agrees = number in (len(boxes), "any")
    if isinstance(number, str):
        crowds = _in_image(box for box in meant if box.crowd)
        agrees |= bool(crowds) or len(boxes) > 1
        boxes += crowds
    is_clear = agrees and not any(_are_apart(mention, other) for other in mentions)
    if number == 0 or (ambiguous == "drop" and not is_clear):
        return []
    if ambiguous == "largest" and not is_clear:
        largest_first = sorted(boxes, key=lambda labelled: -labelled.box.area)
        return largest_first[:number] if isinstance(number, int) else largest_first
    return boxes


def _mentions(
    caption: str, chunks: Iterable[Span], parse: Parse, by_label: dict[str, list[LabelledBox]]
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


def _in_image(boxes: Iterable[LabelledBox]) -> list[LabelledBox]:
    """The parts of the boxes that lie in the image, each once, without those of no area."""
    clipped = (labelled._replace(box=labelled.box.clipped()) for labelled in boxes)
    once: dict[Box, LabelledBox] = {}
    for labelled in clipped:
        if labelled.box.is_valid:
            once.setdefault(labelled.box, labelled)
    return list(once.values())
