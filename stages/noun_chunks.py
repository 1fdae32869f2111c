"""Captions -> noun chunks and dependency parses, with spaCy."""

from typing import Any

from pydantic import Field, PrivateAttr

import prompts
from schemas.columns import Columns, Parse, Reject, Span
from stages import spacy_models
from stages.base import Stage

LISTS = ("abstract_nouns", "pronouns", "relative_pronouns")

PIPE_BATCH = 128
"""Captions that spaCy's components see at once. More is slower: their arrays fall out of the cache."""


class NounChunks(Stage):
    """Caption -> noun chunks that may name something in the picture, with character offsets.

    "a dog in a field" -> [Span(0, 5), Span(9, 16)]

    A chunk goes if its head is a pronoun or, by lemma, one of the 14 abstract nouns of Kosmos-2, or
    has no letter ("2019", an emoji). Punctuation, white space, emoji and relative pronouns are cut
    from a chunk's ends. A caption with nothing left is rejected as `no_noun_chunk`.
    """

    reads = ("caption",)
    writes = {"noun_chunks": list[Span], "parse": Parse}
    packages = {"spacy": "nlp"}

    batch_size: int = Field(default=1024, ge=1)
    model: str = "en_core_web_sm"
    """A spaCy model with a parser: an installed package or a folder. GRIT used en_core_web_trf."""

    _nlp: Any = PrivateAttr(default=None)
    _names: dict[int, str] = PrivateAttr(default_factory=dict)

    def problems(self) -> list[str]:
        return spacy_models.problems(self.model)

    def revision(self) -> dict[str, str]:
        model = spacy_models.find(self.model)
        found = f"{model.package} {model.version} {model.digest}" if model else ""
        return {
            "spacy": spacy_models.spacy_version(),
            "model": found,
            **{name: prompts.digest(name) for name in LISTS},
        }

    def setup(self) -> None:
        self._nlp = spacy_models.load(self.model, gpu=bool(self.gpus))

    def process(self, batch: Columns) -> Columns:
        captions = list(dict.fromkeys(batch["caption"]))
        found: dict[str, tuple[list[Span] | Reject, Parse]] = {}
        # Without the zone, spaCy keeps every word it has ever seen.
        with self._nlp.memory_zone():
            for caption, doc in zip(captions, self._nlp.pipe(captions, batch_size=PIPE_BATCH), strict=True):
                parse = self._parse(doc)
                chunks = [
                    Span(parse.starts[first], parse.ends[last - 1])
                    for first, last in (
                        _trim(caption, parse, chunk.start, chunk.end) for chunk in doc.noun_chunks
                    )
                    if first < last and _names_something(caption, parse, first, last)
                ]
                found[caption] = (chunks or Reject("no_noun_chunk"), parse)
        rows = [found[caption] for caption in batch["caption"]]
        return {"noun_chunks": [chunks for chunks, _ in rows], "parse": [parse for _, parse in rows]}

    def _parse(self, doc: Any) -> Parse:
        """A spaCy `Doc` -> plain lists, by one array instead of a walk over its tokens."""
        from spacy.attrs import DEP, HEAD, IDX, LEMMA, LENGTH, POS

        table = doc.to_array([IDX, LENGTH, HEAD, DEP, POS, LEMMA]).view("int64")
        starts, lengths, heads, _, _, _ = table.T.tolist()
        deps, tags, lemmas = table[:, 3:].astype("uint64").T.tolist()
        ends = [start + length for start, length in zip(starts, lengths, strict=True)]
        strings = doc.vocab.strings
        return Parse(
            starts,
            ends,
            [i + offset for i, offset in enumerate(heads)],
            [strings[dep] for dep in deps],
            [strings[tag] for tag in tags],
            # A model without a lemmatizer leaves 0.
            [
                strings[lemma] if lemma else doc.text[start:end].lower()
                for lemma, start, end in zip(lemmas, starts, ends, strict=True)
            ],
        )


def _trim(caption: str, parse: Parse, first: int, last: int) -> tuple[int, int]:
    """Tokens `first` to `last` (exclusive) without the ends that are no words of the phrase."""
    cut = prompts.word_list("relative_pronouns")
    while first < last and (
        not _has_letter_or_digit(word := caption[parse.starts[first] : parse.ends[first]])
        or word.lower() in cut
    ):
        first += 1
    while first < last and not _has_letter_or_digit(caption[parse.starts[last - 1] : parse.ends[last - 1]]):
        last -= 1
    return first, last


def _names_something(caption: str, parse: Parse, first: int, last: int) -> bool:
    """False for a pronoun, an abstract noun, a bare number or determiner."""
    head = next(
        i for i in range(last - 1, first - 1, -1) if not first <= parse.heads[i] < last or parse.heads[i] == i
    )
    word = caption[parse.starts[head] : parse.ends[head]].lower()
    return (
        parse.tags[head] not in ("PRON", "DET", "NUM", "PUNCT", "SYM", "SPACE")
        and any(map(str.isalpha, word))
        and word not in prompts.word_list("pronouns")
        and parse.lemmas[head].lower() not in prompts.word_list("abstract_nouns")
    )


def _has_letter_or_digit(word: str) -> bool:
    return any(map(str.isalnum, word))
