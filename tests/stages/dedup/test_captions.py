"""Captions that come more than once."""

import random
from typing import Any

import numpy as np
import pytest
from parts_of import run_in_parts

from gritmill.schemas.columns import Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.dedup import minhash
from gritmill.stages.dedup.captions import ExactCaptions, MinHashCaptions
from gritmill.stages.dedup.components import Components
from gritmill.stages.dedup.texts import normalised


def columns(captions: list[str], **further: list[Any]) -> dict[str, list[Any]]:
    return {"key": [f"k{i}" for i in range(len(captions))], "caption": [*captions], **further}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A dog.", "a  dog", True),
        ("a dog", "a dogs", False),
        ("Straße", "STRASSE", True),
        ("ﬁne №3", "fine no3", True),
        ("!!!", "???", False),
        ("!!!", "!!!", True),
        ("犬がいる。", "犬がいる", True),
        ("snow_man", "snow man", True),
    ],
)
def test_captions_are_compared_as_they_read(one, other, same):
    assert (normalised(one) == normalised(other)) is same


@pytest.mark.parametrize("part_size", [1, 2, 10])
def test_the_lowest_key_of_equal_captions_stays_whatever_the_parts(part_size):
    given = columns(["A dog.", "a cat", "a dog", "a bird", "a DOG!"])
    given["key"] = ["k4", "k1", "k0", "k3", "k2"]
    out = run_in_parts(ExactCaptions(), given, part_size)
    assert out["caption_cluster"] == ["k0", "k1", "k0", "k3", "k0"]
    gone = Reject("duplicate_caption", "duplicate of k0", "same text")
    assert out["caption_cluster_size"] == [gone, 1, 3, 1, gone]


def test_measuring_drops_nothing():
    out = run_in_parts(ExactCaptions(mode="measure"), columns(["a dog", "a dog"]), 1)
    assert out == {"caption_cluster": ["k0", "k0"], "caption_cluster_size": [2, 2]}


@pytest.mark.parametrize(("keep", "stays"), [("lowest_key", "k0"), ("largest", "k1"), ("similarity", "k2")])
def test_the_keeper_follows_the_rule(keep, stays):
    further: dict[str, list[Any]] = {
        "width": [10, 40, 20],
        "height": [10, 30, 30],
        "similarity": [None, 0.1, 0.3],
    }
    stage = ExactCaptions(keep=keep)
    out = run_in_parts(stage, columns(["a dog"] * 3, **further), 2)
    assert set(out["caption_cluster"]) == {stays}
    assert [isinstance(size, int) for size in out["caption_cluster_size"]].count(True) == 1


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_nothing_speaks_for_what_has_no_number(order):
    scores: list[Any] = [float("nan"), -5.0, None]
    given = {"key": [f"k{i}" for i in order], "caption": ["a dog"] * 3, "score": [scores[i] for i in order]}
    assert set(run_in_parts(ExactCaptions(keep="score"), given, 1)["caption_cluster"]) == {"k1"}


@pytest.mark.parametrize("values", [["high", "low"], [[1.0], [2.0]]])
def test_a_rule_by_what_is_no_number_is_the_users_mistake(values):
    with pytest.raises(UserError, match="keep names the column score, whose values are no numbers"):
        run_in_parts(ExactCaptions(keep="score"), columns(["a dog"] * 2, score=values), 2)


def test_a_stage_reads_what_its_rule_goes_by():
    assert ExactCaptions.reads == ("key", "caption")
    assert ExactCaptions(keep="largest").reads == ("key", "caption", "width", "height")
    assert ExactCaptions(keep="clip").reads == ("key", "caption", "clip")


def test_near_captions_are_found_with_their_jaccard():
    captions = [
        "a man rides a horse along a sandy beach at sunset",
        "two plates of pasta stand on a wooden table",
        "a man rides the horse along a sandy beach at sunset",
        "a woman reads a newspaper in a crowded tram",
    ]
    out = run_in_parts(MinHashCaptions(min_jaccard=0.7), columns(captions), 2)
    assert out["caption_cluster"] == ["k0", "k1", "k0", "k3"]
    assert out["caption_jaccard"] == [
        1.0,
        1.0,
        pytest.approx(jaccard(captions[0], captions[2]), abs=0.1),
        1.0,
    ]
    reject = out["caption_cluster_size"][2]
    assert reject == Reject(
        "duplicate_caption", f"duplicate of k0 (jaccard {out['caption_jaccard'][2]:.4g})", "min_jaccard 0.7"
    )


def jaccard(one: str, other: str, size: int = 4) -> float:
    a, b = ({text[i : i + size] for i in range(len(text) - size + 1)} for text in (one, other))
    return len(a & b) / len(a | b)


def sentences(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8))) for _ in range(3000)]
    return [" ".join(rng.choices(words, k=rng.randint(6, 20))) for _ in range(count)]


def edited(text: str, rng: random.Random, share: float) -> str:
    return "".join(rng.choice("xyz") if rng.random() < share else letter for letter in text)


def test_the_estimate_is_near_the_true_jaccard():
    rng = random.Random(1)
    texts = sentences(300, 0)
    others = [edited(text, rng, rng.choice([0.01, 0.03, 0.1])) for text in texts]
    a, b = (as_array(minhash.signatures(some, 4)) for some in (texts, others))
    wrong = minhash.jaccard(a, b) - [jaccard(*pair) for pair in zip(texts, others)]
    assert abs(wrong.mean()) < 0.01
    assert wrong.std() < 0.05


def as_array(signatures: list[bytes]) -> minhash.Signatures:
    return np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, minhash.SIZE)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_pairs_above_the_threshold_are_found(threshold):
    rng = random.Random(2)
    texts = sentences(400, 3)
    texts += [edited(text, rng, rng.choice([0.01, 0.02, 0.04])) for text in texts]
    signatures = as_array(minhash.signatures(texts, 4))
    components, expected = Components(len(texts)), Components(len(texts))
    minhash.join_near(signatures, threshold, components)
    alike = [minhash.jaccard(signatures[i], signatures[i + 1 :]) >= threshold for i in range(len(texts) - 1)]
    pairs = [(i, i + 1 + j) for i, row in enumerate(alike) for j in np.flatnonzero(row).tolist()]
    expected.join(*np.array(pairs).T)
    assert len(pairs) > 50
    found = [i for i, j in pairs if components.roots(np.array([i])) == components.roots(np.array([j]))]
    assert len(found) >= 0.97 * len(pairs)
    joined = np.flatnonzero(components.all() != np.arange(len(texts)))
    assert (expected.all()[joined] == expected.all()[components.all()[joined]]).all()


def test_a_signature_depends_on_its_text_alone(monkeypatch):
    texts = ["", "a", "ab", "a dog in a field", "\ud800 lone", "犬" * 5, *sentences(50, 5)]
    alone = [minhash.signatures([text], 4)[0] for text in texts]
    assert minhash.signatures(texts, 4) == alone
    monkeypatch.setattr(minhash, "_BLOCK", 100)
    assert minhash.signatures(texts, 4) == alone


def test_a_template_of_many_captions_ends_in_good_time():
    captions = [f"photograph number {i} of the collection in the archive of the museum" for i in range(4000)]
    out = run_in_parts(MinHashCaptions(mode="measure", min_jaccard=0.6), columns(captions), 1000)
    assert max(out["caption_cluster_size"]) > 3900
