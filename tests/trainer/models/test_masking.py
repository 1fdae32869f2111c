"""Labels by hand, with a tokenizer of bytes: a token a character, but "</s>" is one."""

import pytest

from gritmill.trainer.models.masking import Labels, TextSegment, Unfit, answer_labels

TALK = [
    TextSegment("Q1", False),
    TextSegment("a</s>", True),
    TextSegment("Q2", False),
    TextSegment("bc</s>", True),
]
IMAGE = [900, 901, 902]
"""What the processor puts before the text."""


@pytest.fixture(scope="module")
def tokenizer():
    hf = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    alphabet = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bpe = Tokenizer(models.BPE(vocab={**alphabet, "!?": 256}, merges=[("!", "?")]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return hf.PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>")


def ids_of(tokenizer, segments) -> list[int]:
    return IMAGE + tokenizer("".join(s.text for s in segments), add_special_tokens=False)["input_ids"]


def test_answers_and_their_ends_are_learnt(tokenizer):
    ids = ids_of(tokenizer, TALK)
    ignored = -100
    a, b, c, end = (tokenizer.convert_tokens_to_ids(t) for t in ("a", "b", "c", "</s>"))
    expected = [ignored] * 5 + [a, end] + [ignored] * 2 + [b, c, end]
    assert answer_labels(tokenizer, TALK, ids, 12) == Labels(expected, 0)
    assert answer_labels(tokenizer, TALK, ids, 11) == Labels(expected[:7], 1)
    assert answer_labels(tokenizer, TALK, ids, 7) == Labels(expected[:7], 1)


def test_an_answer_that_does_not_fit_whole_is_none(tokenizer):
    with pytest.raises(Unfit, match="no answer within 6 tokens"):
        answer_labels(tokenizer, TALK, ids_of(tokenizer, TALK), 6)


def test_what_follows_the_last_answer_is_cut_off(tokenizer):
    longer = [*TALK[:2], TextSegment("\n", False)]
    assert answer_labels(tokenizer, longer, ids_of(tokenizer, longer), 99).ids[-1] != -100


def test_a_token_of_question_and_answer_is_refused(tokenizer):
    both = [TextSegment("Q!", False), TextSegment("?</s>", True)]
    with pytest.raises(Unfit, match="both a question and its answer"):
        answer_labels(tokenizer, both, ids_of(tokenizer, both), 99)


def test_a_processor_that_changes_an_answer_is_our_mistake(tokenizer):
    ids = ids_of(tokenizer, TALK)
    with pytest.raises(AssertionError, match="not the tokenizer's"):
        answer_labels(tokenizer, TALK, [*ids[:-2], 7, ids[-1]], 99)
