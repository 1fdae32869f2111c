"""What is cut off a reply, in all spellings, and what is left alone."""

import contextlib

import pytest

from gritmill.schemas.reasoning import answer_of, is_mark

THOUGHT = "The user wants a description. I should describe a dog."
ANSWER = "A brown dog runs across a field."
HARMONY = f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final"

PAIRS = [
    ("<think>", "</think>"),
    ("<THINK>", "</THINK>"),
    ("<thinking>", "</thinking>"),
    ('<think time="3">', "</think>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reasoning_process>", "</reasoning_process>"),
    ("<analysis>", "</analysis>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|think|>", "<|/think|>"),
    ("<|think|>", "<|end|><|begin|>assistant<|content|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("Here is my thought process:", "Here is my response:"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
]


@pytest.mark.parametrize(("begin", "end"), PAIRS)
def test_reasoning_goes_in_every_spelling(begin: str, end: str) -> None:
    for between in ("", "\n", "\n\n"):
        assert answer_of(f"{begin}{between}{THOUGHT}{between}{end}{between}{ANSWER}") == ANSWER
        assert answer_of(f"\n {begin}{between}{end}{between}{ANSWER}\n") == ANSWER
    assert answer_of(f'{begin}{THOUGHT}{end}{{"turns": []}}') == '{"turns": []}'
    for text in (f"{begin}{THOUGHT}", f"{begin}", f"{begin}{THOUGHT}{end}", f"{begin}{THOUGHT}{end}\n "):
        with pytest.raises(ValueError, match="reasoning without an answer"):
            answer_of(text)
    if "<|end|><|begin|>" not in end:
        # The chat template wrote the beginning.
        for between in ("", "\n", "\n\n"):
            assert answer_of(f"{THOUGHT}{between}{end}{between}{ANSWER}") == ANSWER


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (f"{HARMONY}<|message|>{ANSWER}<|return|>", ANSWER),
        (f"<|start|>assistant{HARMONY} <|constrain|>JSON<|message|>{{}}", "{}"),
        (f"analysis{THOUGHT}assistantfinal{ANSWER}", ANSWER),
        (f"<think>{THOUGHT}</think>\n<answer>\n{ANSWER}\n</answer>", ANSWER),
        (f"<|think|>{THOUGHT}<|end|><|begin|>assistant<|content|>{ANSWER}<|end|>", ANSWER),
        (f"<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>", ANSWER),
        (f"<SUMMARY>a</SUMMARY>\n<REASONING>b</REASONING>\n<CONCLUSION>{ANSWER}</CONCLUSION>", ANSWER),
        (f"<think>a</think>\n<think>b</think> {ANSWER}", ANSWER),
        (f"<think><think>a</think>b</think>{ANSWER}", ANSWER),
        (f"<think>I end with </think> as told. So.</think>{ANSWER}", ANSWER),
        (f"The tag is <think> here.\nSo.\n</think>\n{ANSWER}", ANSWER),
        (f"I describe a dog </think> {ANSWER}", ANSWER),
        (f"Sure!\n<think>\n{THOUGHT}\n</think>\n{ANSWER}", f"Sure!\n\n{ANSWER}"),
        (f"Answer: <think>{THOUGHT}</think> {ANSWER}", f"Answer:  {ANSWER}"),
        ('{"answer": "<think>Hm.\\n</think>\\nA dog."}', '{"answer": "\\nA dog."}'),
        (
            "Question:\nWhat?\n===\nAnswer:\n<think>\nHm.\n</think>\nA dog.\n===",
            "Question:\nWhat?\n===\nAnswer:\n\nA dog.\n===",
        ),
    ],
)
def test_the_answer_stays_whatever_is_around_it(text: str, answer: str) -> None:
    assert answer_of(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        ANSWER,
        'The sign says "<think>" in red.',
        "The sign says <think> before you speak.",
        "The sign says </think> in red.",
        "Its last word is </think>.",
        "A screen shows `</think>` and `<think>`.",
        "The tags <think> and </think> mark what a model thinks.",
        "An HTML page: <b>bold</b>, <answer>42</answer>",
        '{"turns": [{"question": "What does it say?", "answer": "It says </think>"}]}',
        '{"turns": [{"question": "What?", "answer": "<think>"}]}',
        "I think [think] is a button.",
        f"{ANSWER}<|end|>",
        "analysis of the picture: a dog",
        "Analysis shows a dog.",
        "A man in thought, <3.",
        "a < think > b",
    ],
)
def test_an_answer_may_speak_of_marks(text: str) -> None:
    assert answer_of(text) == text


def test_reasoning_within_the_answer_that_has_no_end_is_told() -> None:
    for text in (f"{ANSWER}\n<think>\nWait,", "analysisThe user wants a dog.", "A dog.\n</think>"):
        with pytest.raises(ValueError, match="reasoning without an answer"):
            answer_of(text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "\n<think>", "a <think> ", " </think> a", "<|end|>", "<|channel|>final "]
)
def test_a_hostile_reply_is_read_in_no_time(piece: str) -> None:
    with contextlib.suppress(ValueError):
        answer_of(piece * 200_000)


@pytest.mark.parametrize(
    "token", ["<think>", "[/THINK]", "◁think▷", "<|channel|>", "<|message|>", "<|channel>"]
)
def test_marks_among_special_tokens(token: str) -> None:
    assert is_mark(token)
    assert not any(map(is_mark, ("<s>", "<|im_end|>", "<image>", "<pad>", "[INST]")))
