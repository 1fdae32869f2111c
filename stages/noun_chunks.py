"""Captions -> noun chunks and dependency parses, with spaCy."""

from functools import cache
from operator import add
from typing import Any

from pydantic import Field, PrivateAttr

from gritmill import prompts
from gritmill.schemas.columns import Columns, Parse, Reject, Span
from gritmill.schemas.weights import Weights
from gritmill.stages.base import Stage
from gritmill.stages.common import spacy_models

LISTS = ("abstract_nouns", "pronouns", "relative_pronouns")

PIPE_BATCH = 128
"""Captions that spaCy's components see at once. More is slower: their arrays fall out of the cache."""

MAX_NEW_WORDS = 100_000
"""spaCy keeps every word it has ever seen, in several caches; after this many the model is loaded
afresh, so that a worker's memory stays level. A memory zone around each batch would do it too, but has
to learn the common words again every time, which costs 7 % of the speed."""


class NounChunks(Stage):
    """Caption -> noun chunks that may name something in the picture, with character offsets.

    "a dog in a field" -> [Span(0, 5), Span(9, 16)]

    A chunk goes if its head is a pronoun or, by lemma, one of the 14 abstract nouns of Kosmos-2, or
    has no letter ("2019"). Punctuation, white space, emoji and relative pronouns are cut from the ends
    of a chunk. A caption with nothing left is rejected as `no_noun_chunk`.
    """

    reads = ("caption",)
    writes = {"noun_chunks": list[Span], "parse": Parse}
    offsets_into = {"noun_chunks": "caption", "parse": "caption"}
    packages = {"spacy": "nlp"}

    batch_size: int = Field(default=1024, ge=1)
    """Rows handed to one call; captions that are the same in all of them are parsed once."""
    model: str = "en_core_web_sm"
    """A spaCy model with a parser: an installed package or a folder. GRIT used en_core_web_trf."""

    _nlp: Any = PrivateAttr(default=None)
    _names: "_Names" = PrivateAttr()
    _vocabulary_limit: int = PrivateAttr(default=0)

    def problems(self) -> list[str]:
        return spacy_models.problems(self.model)

    def revision(self) -> dict[str, str]:
        return spacy_models.revision(self.model) | {name: prompts.digest(name) for name in LISTS}

    def needed_weights(self) -> list[Weights]:
        return [spacy_models.weights(self.model)]

    def setup(self) -> None:
        self._nlp = spacy_models.load(self.model, self.gpus)
        self._names = _Names(self._nlp.vocab.strings)
        self._vocabulary_limit = len(self._nlp.vocab) + MAX_NEW_WORDS

    def process(self, batch: Columns) -> Columns:
        if len(self._nlp.vocab) > self._vocabulary_limit:
            self.setup()
        chunks_of: dict[str, list[Span] | Reject] = {}
        parse_of: dict[str, Parse] = {}
        iterate = self._nlp.Defaults.syntax_iterators["noun_chunks"]
        # By length, so that captions parsed together need little padding.
        captions = sorted(set(batch["caption"]), key=lambda caption: (len(caption), caption))
        for caption, doc in zip(captions, self._nlp.pipe(captions, batch_size=PIPE_BATCH), strict=True):
            parse_of[caption] = parse = _plain(caption, doc, self._names)
            chunks = [_trim(caption, parse, first, last) for first, last, _ in iterate(doc)]
            chunks_of[caption] = [
                Span(parse.starts[first], parse.ends[last - 1])
                for first, last in chunks
                if first < last and _names_something(caption, parse, first, last)
            ] or Reject("no_noun_chunk")
        return {
            "noun_chunks": [chunks_of[caption] for caption in batch["caption"]],
            "parse": [parse_of[caption] for caption in batch["caption"]],
        }


class _Names(dict[int, str]):
    """spaCy's strings by their hash, signed; a dict is quicker than its store."""

    def __init__(self, strings: Any) -> None:
        self._strings = strings

    def __missing__(self, key: int) -> str:
        name = self[key] = self._strings[key % 2**64]
        return name


def _plain(caption: str, doc: Any, names: _Names) -> Parse:
    """A spaCy `Doc` -> plain lists, by one array instead of a walk over its tokens."""
    from spacy.attrs import DEP, HEAD, IDX, LEMMA, LENGTH, POS

    table = doc.to_array([IDX, LENGTH, HEAD, DEP, POS, LEMMA]).view("int64")
    starts, lengths, heads, deps, tags, lemmas = table.T.tolist()
    name = names.__getitem__
    parse = Parse(
        starts,
        list(map(add, starts, lengths)),
        [i + offset for i, offset in enumerate(heads)],
        list(map(name, deps)),
        list(map(name, tags)),
        list(map(name, lemmas)),
    )
    if all(parse.lemmas):
        return parse
    # The model has no lemmatizer: words do.
    words = zip(parse.lemmas, parse.starts, parse.ends, strict=True)
    return parse._replace(lemmas=[lemma or caption[start:end].lower() for lemma, start, end in words])


def _trim(caption: str, parse: Parse, first: int, last: int) -> tuple[int, int]:
    """Tokens `first` to `last` (exclusive) without the ends that are no words of the phrase."""
    while first < last and not _opens_phrase(caption[parse.starts[first] : parse.ends[first]]):
        first += 1
    while first < last and not any(map(str.isalnum, caption[parse.starts[last - 1] : parse.ends[last - 1]])):
        last -= 1
    return first, last


def _opens_phrase(word: str) -> bool:
    return any(map(str.isalnum, word)) and word.lower() not in _words("relative_pronouns")


def _names_something(caption: str, parse: Parse, first: int, last: int) -> bool:
    """False if the head of these tokens is a pronoun, an abstract noun, a number or the like."""
    head = next(i for i in reversed(range(first, last)) if _leaves(parse, i, first, last))
    word = caption[parse.starts[head] : parse.ends[head]].lower()
    return (
        parse.tags[head] not in ("PRON", "DET", "NUM", "PUNCT", "SYM", "SPACE")
        and any(map(str.isalpha, word))
        and word not in _words("pronouns")
        and parse.lemmas[head].lower() not in _words("abstract_nouns")
    )


def _leaves(parse: Parse, token: int, first: int, last: int) -> bool:
    """True if the token depends on none of the tokens `first` to `last`."""
    return parse.heads[token] == token or not first <= parse.heads[token] < last


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(prompts.word_list(name))
