"""Concept balance against a reference that is as plain as the paper's words."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from parts_of import run_in_parts

from gritmill.schemas.columns import Columns, Parse, Reject, Span
from gritmill.stages.concept_balance import ConceptBalance, lot, phrase_hash


def columns(captions: list[list[str]]) -> Columns:
    """Captions of one-word phrases, each with "a" before it: `["dog", "cat"]` is "a dog a cat"."""
    out: Columns = {"key": [], "caption": [], "noun_chunks": [], "parse": []}
    for i, phrases in enumerate(captions):
        starts, ends, tags, lemmas, chunks, text = [], [], [], [], [], ""
        for phrase in phrases:
            start = len(text)
            for word, tag in (("a", "DET"), (phrase, "NOUN")):
                starts.append(len(text))
                text += word
                ends.append(len(text))
                text += " "
                tags.append(tag)
                lemmas.append(word.lower().removesuffix("s"))
            chunks.append(Span(start, ends[-1]))
        out["key"].append(f"key{i:05d}")
        out["caption"].append(text)
        out["noun_chunks"].append(chunks)
        out["parse"].append(Parse(starts, ends, [0] * len(starts), [""] * len(starts), tags, lemmas))
    return out


def made_up(count: int, seed: int) -> list[list[str]]:
    """Phrases by Zipf's law, so that some are in most captions and most are in one or two."""
    rng = np.random.default_rng(seed)
    return [[f"thing{n}" for n in rng.zipf(1.35, rng.integers(0, 6)) % 50_000] for _ in range(count)]


def reference(
    captions: list[list[str]], few: int, many: int, order: str = "rarest", top_up: bool = False, seed: int = 0
) -> list[bool]:
    """Which captions stay."""
    containing: dict[str, list[int]] = defaultdict(list)
    for i, phrases in enumerate(captions):
        for phrase in set(phrases):
            containing[phrase].append(i)
    frequency = {phrase: len(rows) for phrase, rows in containing.items()}
    walk = sorted(frequency, key=phrase_hash)
    if order == "seeded":
        walk.sort(key=lambda phrase: drawn(phrase, None, seed))
    else:
        walk.sort(key=lambda phrase: frequency[phrase], reverse=order == "commonest")
    if order == "commonest":
        walk = sorted(frequency, key=lambda phrase: (-frequency[phrase], phrase_hash(phrase)))
    pool: set[int] = set()
    for phrase in walk:
        if frequency[phrase] < few:
            continue
        rows = sorted(containing[phrase], key=lambda i: drawn(phrase, f"key{i:05d}", seed))
        if top_up:
            have = len(pool & set(rows))
            pool |= set([i for i in rows if i not in pool][: max(0, many - have)])
        else:
            pool |= set(rows[:many])
    return [i in pool for i in range(len(captions))]


def drawn(phrase: str, key: str | None, seed: int) -> int:
    hashes = (np.array([phrase_hash(phrase)]), np.array([phrase_hash(key) if key else 0]))
    return int(lot(*hashes, seed)[0])


def stays(out: Columns) -> list[bool]:
    return [not isinstance(value, Reject) for value in out["concept_frequency"]]


@pytest.mark.parametrize("part_size", [997, 10_000])
def test_ten_thousand_captions_are_those_of_the_reference(part_size):
    captions = made_up(10_000, 0)
    out = run_in_parts(ConceptBalance(), columns(captions), part_size)
    expected = reference(captions, 3, 100)
    assert stays(out) == expected
    assert 1000 < sum(expected) < 9000
    reasons = Counter(value.reason for value in out["concept_frequency"] if isinstance(value, Reject))
    assert set(reasons) == {"common_concepts", "rare_concepts", "no_concept"}


@pytest.mark.parametrize("order", ["rarest", "commonest", "seeded"])
@pytest.mark.parametrize("top_up", [False, True])
def test_options_follow_the_reference(order, top_up):
    captions = made_up(1500, 1)
    stage = ConceptBalance(min_frequency=2, max_captions=20, order=order, top_up=top_up, seed=5)
    assert stays(run_in_parts(stage, columns(captions), 400)) == reference(captions, 2, 20, order, top_up, 5)


def test_the_order_matters_where_earlier_captions_count():
    captions = columns(made_up(1500, 1))
    kept = {
        order: sum(
            stays(run_in_parts(ConceptBalance(max_captions=20, top_up=True, order=order), captions, 500))
        )
        for order in ("rarest", "commonest")
    }
    assert kept["rarest"] != kept["commonest"]


def test_every_row_names_its_concept():
    captions = [["kite", "sea"]] * 3 + [["sea"]] * 4 + [["teapot", "sofa"], ["sofa"], []]
    out = run_in_parts(ConceptBalance(max_captions=4), columns(captions), 4)
    kept = stays(out)
    assert kept[:3] == [True] * 3
    assert out["concept"][:3] == ["kite"] * 3
    assert out["concept_frequency"][:3] == [3] * 3
    for row in range(3, 7):
        why = '"sea" is in 7 captions, of which others were drawn'
        said = 7 if kept[row] else Reject("common_concepts", why, "max_captions 4")
        assert (out["concept"][row], out["concept_frequency"][row]) == ("sea", said)
    why = 'its commonest phrase "sofa" is in 2 captions'
    assert out["concept_frequency"][7] == Reject("rare_concepts", why, "min_frequency 3")
    assert out["concept_frequency"][9] == Reject("no_concept")


def test_measuring_drops_nothing():
    out = run_in_parts(ConceptBalance(mode="measure"), columns([["dog"], ["cat"], []]), 2)
    assert out == {"concept": ["dog", "cat", None], "concept_frequency": [1, 1, 0]}


def test_another_seed_draws_others_and_the_draw_goes_by_key_not_by_order():
    captions = columns([["dog"]] * 300)
    one, other = (run_in_parts(ConceptBalance(seed=seed), captions, 100) for seed in (0, 1))
    assert sum(stays(one)) == sum(stays(other)) == 100
    assert stays(one) != stays(other)
    turned = run_in_parts(ConceptBalance(), {name: values[::-1] for name, values in captions.items()}, 100)
    assert stays(turned)[::-1] == stays(one)


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        ({}, ["dogs", "dog"]),
        ({"words": "lemma"}, ["dog"]),
        ({"words": "as_written"}, ["Dogs", "dogs", "dog"]),
        ({"determiners": True}, ["a dogs", "a dog"]),
        ({"determiners": True, "words": "as_written"}, ["a Dogs", "a dogs", "a dog"]),
    ],
)
def test_what_makes_two_phrases_one(options, phrases):
    [found] = ConceptBalance(**options).sketch(columns([["Dogs", "dogs", "dog"]]))["phrases"]
    assert found == phrases


def test_noun_chunks_of_spacy_are_balanced():
    pytest.importorskip("spacy")
    from gritmill.stages.noun_chunks import NounChunks

    rng = random.Random(0)
    captions = [f"a {rng.choice(['dog', 'cat'])} on the {rng.choice(['sofa', 'lawn'])}" for _ in range(12)]
    given: Columns = {"key": [str(i) for i in range(12)], "caption": captions}
    chunks = NounChunks()
    chunks.setup()
    out = run_in_parts(ConceptBalance(max_captions=3), given | chunks.process({"caption": captions}), 5)
    assert set(out["concept"]) <= {"dog", "cat", "sofa", "lawn"}
    assert 3 <= sum(stays(out)) <= 12
