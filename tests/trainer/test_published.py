"""The file of published scores says what it must, and is found by set and protocol alone."""

import pytest

from gritmill.trainer.metrics import Score
from gritmill.trainer.published import _file, beside, published_for


def test_every_number_names_its_source_and_whether_it_was_read_there() -> None:
    for entry in _file().scores:
        assert entry.source.strip()
        assert 0 < min(entry.scores.values()) <= max(entry.scores.values()) < 150
    unread = {entry.model for entry in _file().scores if not entry.verified}
    assert unread == {"Florence-2-L", "Florence-2-L, fine-tuned", "Qwen2.5-VL-7B", "Ferret-7B", "Ferret-13B"}


def test_no_model_has_two_numbers_for_one_thing() -> None:
    keys = [(entry.model, entry.protocol, name) for entry in _file().scores for name in entry.scores]
    assert len(keys) == len(set(keys))


def test_protocols_do_not_mix() -> None:
    names = {p: {e.model for e in published_for("flickr30k_test", f"phrase_grounding/{p}@R1")}
             for p in ("any_box", "merged_box")}  # fmt: skip
    assert names == {
        "any_box": {"Kosmos-2", "MDETR-R101", "MDETR-EB5"},
        "merged_box": {"MDETR-R101", "Ferret-7B", "Ferret-13B"},
    }
    assert published_for("refcoco_val", "rec/first_box@0.6") == []
    assert published_for("refcoco_val", "rec/first_box@0.5[small]") == []
    assert published_for("validation", "rec/first_box@0.5") == []


@pytest.mark.parametrize(("n", "warned"), [(14_481, False), (14_480, True)])
def test_another_number_of_questions_is_another_set(n: int, warned: bool) -> None:
    found = beside("flickr30k_test", Score("phrase_grounding/any_box@R1", 0.5, n, 1000, 0))
    assert len(found) == 3
    assert all((line.warning is not None) == warned for line in found)


def test_generated_text_is_counted_otherwise() -> None:
    [line, *_] = beside("refcocog_val", Score("reg/cider", 0.6, 2573, 1300, 0))
    assert line.warning is None


def test_question_counts_follow_from_published_digits() -> None:
    """Kosmos-2 prints recalls with 16 digits: hits / questions, and only one count makes whole hits."""
    recalls = {
        "flickr30k_val": (0.778355158317744, 0.7924201482713227, 0.7925587196009146),
        "flickr30k_test": (0.7871693943788413, 0.8011187072715973, 0.8013949312892756),
    }
    for name, digits in recalls.items():
        fits = [n for n in range(14_000, 15_000) if all(abs(v * n - round(v * n)) < 1e-6 for v in digits)]
        assert fits == [_file().sets[name].questions]
