"""COCO's 80 categories in what a language model wrote, and whether it had been told of them.

Works on words alone, by the table that matches captions to annotations (prompts/label_synonyms.txt).
Names that are often something else (prompts/replies/doubtful_names.txt) never accuse, nor do sentences
that deny, guess or speak in general (uncertain_words.txt), nor names before another noun ("a bus stop").
What is left over is worth a look, not a verdict: it knows no other things than those categories. On
COCO's own captions, each held against the other four and the boxes, it accuses 2 of 100; captions of
another photograph it finds out in 17 of 20.
"""

from collections.abc import Iterable, Iterator
from functools import cache

from gritmill import prompts
from gritmill.schemas.replies import Exchange
from gritmill.stages.grounders.common.lexicon import labels
from gritmill.stages.grounders.common.lexicon.inflection import singulars
from gritmill.stages.replies.contexts import ContextFacts
from gritmill.stages.replies.phrases import sentences, unquoted, words

_PERSONS = frozenset(("he", "she", "him", "her", "his", "they", "them", "their", "who"))


def unsupported(exchanges: Iterable[Exchange], context: ContextFacts) -> list[str]:
    """The categories that answers say are there and that neither captions nor boxes name, sorted.

    A broader word is support enough: "pet" or "animal" for a dog.
    """
    told = _told(context)
    found = {
        names[0]
        for exchange in exchanges
        for sentence in sentences(unquoted(exchange.answer))
        if _uncertain().isdisjoint(words(sentence))
        for names in _claims(labels.words_of(sentence))
        if told.isdisjoint(names)
    }
    return sorted(_spelling()[name] for name in found)


def _told(context: ContextFacts) -> set[str]:
    told = {labels.key(region.label) for region in context.regions}
    for line in [*context.captions, *(region.label for region in context.regions)]:
        said = labels.words_of(line)
        told.update(label for _, _, names in _named(said, labels.table().broader) for label in names)
        told.update(label for _, _, names in _named(said, _own()) for label in names)
        if not _PERSONS.isdisjoint(said):
            told.add("person")
    return told


def _claims(said: list[str]) -> Iterator[tuple[str, ...]]:
    """For each name in the words of a sentence the categories that it may mean."""
    for start, end, names in _named(said, _own()):
        # "Umbrellas stand": a plural says nothing of what follows.
        is_singular = "".join(said[start:end]) in _own()
        is_kind_of = is_singular and end < len(said) and said[end] in _heads()
        if not is_kind_of and _doubtful().isdisjoint(singulars(said[end - 1])):
            yield names


def _named(said: list[str], table: dict[str, tuple[str, ...]]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """(start, end, labels) of the names in some words; the longest known name counts, as in captions."""
    start = 0
    while start < len(said):
        end, names = _longest(said, start, table)
        if names:
            yield start, end, names
        start = end


def _longest(said: list[str], start: int, table: dict[str, tuple[str, ...]]) -> tuple[int, tuple[str, ...]]:
    for end in range(min(start + labels.MAX_WORDS, len(said)), start, -1):
        prefix = "".join(said[start : end - 1])
        for noun in singulars(said[end - 1]):
            if prefix + noun in labels.table().none:
                return end, ()
            if names := table.get(prefix + noun):
                return end, names
    return start + 1, ()


@cache
def _own() -> dict[str, tuple[str, ...]]:
    """Categories by all their names, their own among them."""
    return {**labels.table().same, **{label: (label,) for label in labels.table().labels}}


@cache
def _spelling() -> dict[str, str]:
    """Keys as the table spells them: `{"winegl...": "wine glass"}`."""
    found = (line.partition(":")[0] for line in prompts.word_list(labels.TABLE))
    return {labels.key(label): label for label in found if label != labels.NO_LABEL}


@cache
def _uncertain() -> frozenset[str]:
    return frozenset(prompts.word_list("replies/uncertain_words"))


@cache
def _doubtful() -> frozenset[str]:
    return frozenset(prompts.word_list("replies/doubtful_names"))


@cache
def _heads() -> frozenset[str]:
    return frozenset(prompts.word_list("replies/compound_heads"))
