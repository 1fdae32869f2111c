"""What is found wrong with replies, and what is not, by tables of cases."""

from pathlib import Path

import pytest

from gritmill import prompts
from gritmill.prompts import few_shot
from gritmill.schemas.columns import Reject
from gritmill.schemas.replies import Exchange, Reply
from gritmill.stages.replies import contexts, objects, phrases
from gritmill.stages.replies.checks import Rules, findings, problems
from gritmill.stages.replies.reply_check import LISTS, ReplyCheck

CONTEXT = """A man in a red jacket rides a horse along the beach.
A horse and its rider near the water at sunset.

person: [0.402, 0.211, 0.561, 0.604]
horse: [0.301, 0.352, 0.688, 0.913]"""
GOOD = (
    "A man in a red jacket rides a horse along the beach at sunset. The animal is in the middle of the "
    "image, with the water close behind it, and its rider sits upright."
)


def qa(*pairs: tuple[str, str]) -> str:
    return "\n".join(f"Question:\n{q}\n===\nAnswer:\n{a}\n===" for q, a in pairs)


def reasons(text: str, context: str = CONTEXT, format="answer", rules=None, task=None) -> list[str]:
    return [finding.reason for finding in findings(text, context, format, rules or Rules(), task)]


GOOD_REPLIES = [
    GOOD,
    "A notice on the door reads \"I'm sorry, we can't help you today\" in white letters.",
    "A woman apologises to a waiter; she seems sorry that she has spilled the water on the cloth.",
    "The label names a bear, a box and the sentence of a court, in the context of a joke.",
    "Three signs stand in a row:\n- a red one\n- a blue one\n- a third one, behind a bush in full flower",
    "Yes.",
    "Two",
    "There are 4 rows of seats (2, 4, 6 and 8 seats wide) in the small cinema that is shown here.",
    "A poster in Spanish reads “La vida es un sueño y los sueños, sueños son, dijo el poeta una noche”.",
    "The man coordinates the work of his team, and the order of the day hangs on a board behind him.",
    "The horse, which is brown; its rider; the sea: all of it lies in the last light of the day…",
    "No, there is no dog in the image. The only animal that can be seen is the horse in the middle.",
    "She has drawn a caption under each of the pictures, in letters that are too small to read.",
    "Please keep off the grass, the sign says, and nobody in the park is walking there at this time.",
]


THOUGHT = "<think>\nThe caption says that there is a dog. I'm sorry, I cannot see it.\n</think>\n\n"


def test_what_a_model_thought_is_not_judged() -> None:
    assert problems(THOUGHT + GOOD, CONTEXT, "answer", Rules(), "detail_description") == []
    assert problems(THOUGHT * 500 + GOOD, CONTEXT, "answer", Rules(max_characters=500)) == []
    assert reasons(THOUGHT + "I'm sorry, I cannot see the image.") == ["refusal"]
    assert reasons("<think>\nHm.") == ["bad_format"]


@pytest.mark.parametrize("text", GOOD_REPLIES)
def test_good_replies_have_no_problem(text: str) -> None:
    assert problems(text, CONTEXT, "answer", Rules(), "detail_description") == []
    assert problems(qa(("What is it?", text)), CONTEXT, "qa", Rules(), "conversation") == []


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot identify people.",
        "I cannot see the image.",
        "As an AI language model, I do not see pictures.",
        "Unfortunately, I am unable to view images.",
        "It seems you haven't attached an image yet.",
        "Your message is empty. How can I help?",
        "How can I assist you today?",
        "Please provide the image that you want described.",
        "The image shows a person. I'm sorry, but I can't say who that is.",
        "My apologies, the earlier answer was wrong.",
        "\"I'm sorry, I can't help with that.\"",
        qa(("Who is it?", "I can't tell who that is.")),
        qa(("Who is it?", "A man."), ("Who else?", "I apologize for the confusion.")),
    ],
)
def test_refusals_and_apologies(text: str) -> None:
    format = "qa" if text.startswith("Question") else "answer"
    # One that declines seldom keeps the format; the graver thing is said first.
    assert reasons(text, format=format)[0] == reasons(text, format="qa")[0] == "refusal"


@pytest.mark.parametrize("text", ["", " \n ", "...", "===", "😀"])
def test_empty(text: str) -> None:
    assert reasons(text) == reasons(text, format="qa") == ["empty"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.removesuffix("upright.") + "with his", ["truncated"]),
        (GOOD.removesuffix("."), ["truncated"]),
        (GOOD + '"', []),
        ("A man and a horse", []),
        ("犬が浜辺を走っています。", []),
    ],
)
def test_a_reply_that_stops_in_mid_sentence(text: str, expected: list[str]) -> None:
    assert reasons(text, rules=Rules(language=None)) == expected


def test_broken_format_says_how() -> None:
    [said] = problems("Question:\nWhat?\n===", CONTEXT, "qa", Rules())
    assert said == "The reply does not have the format of the examples: the last question has no answer."


@pytest.mark.parametrize("name", few_shot.names())
def test_copies_of_the_prompt(name: str) -> None:
    prompt = few_shot.load(name)
    for copied in (prompt.system, prompt.shots[0].wanted, prompt.shots[1].wanted):
        text = copied if prompt.format == "answer" or copied.startswith("Q") else qa(("What?", copied))
        assert "echo" in reasons(text, format=prompt.format, task=name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONTEXT, True),
        ("A horse.\nhorse: [0.301, 0.352, 0.688, 0.913]", True),
        (" ".join(CONTEXT.splitlines()[:2]), True),
        (CONTEXT.splitlines()[0], False),
        (GOOD, False),
        (CONTEXT.splitlines()[0] + " The sun is low.", False),
    ],
)
def test_copies_of_the_context(text: str, expected: bool) -> None:
    assert ("echo" in reasons(text)) is expected


@pytest.mark.parametrize(
    ("text", "context", "expected"),
    [
        ("The caption says that a man rides.", CONTEXT, "caption says"),
        ("According to the descriptions, a man rides.", CONTEXT, "according to the descriptions"),
        ("A horse, with a bounding box around it.", CONTEXT, "bounding box"),
        ("Going by the coordinates given, it is on the left.", CONTEXT, "the coordinates"),
        ("Based on the provided information, a man rides.", CONTEXT, "the provided information"),
        ("The Captions mention a horse.", CONTEXT, "captions mention"),
        ("The detected objects are a man and a horse.", CONTEXT, "detected objects"),
        ("The caption is printed below the cartoon.", CONTEXT, "the caption"),
        ("The caption is printed below the cartoon.", "A cartoon with a caption about cats.", None),
        ("The caption is printed below the cat.", "A meme of a cat.", None),
        ("The coordinates are written on a map.", "Two people bend over a map.", None),
        ("The caption says that a man rides.", "A meme of a man on a horse.", "caption says"),
        ('The page reads "According to the caption, this is a horse".', CONTEXT, None),
        ("A man draws a box around a word.", CONTEXT, None),
        ("He gives a description of the scene to a friend.", CONTEXT, None),
        ("In the context of the race, the red jacket is a signal.", CONTEXT, None),
        ("An artist adds a caption to a cartoon.", CONTEXT, None),
    ],
)
def test_mentions_of_what_the_writer_was_told(text: str, context: str, expected: str | None) -> None:
    found = [finding for finding in findings(text, context, "answer", Rules()) if finding.reason == "mention"]
    assert [finding.value for finding in found] == ([expected] if expected else [])
    assert "mention" not in reasons(text, context, rules=Rules(mentions="allow"))


def test_questions_may_not_mention_it_either() -> None:
    assert reasons(qa(("What do the captions say?", "Little.")), format="qa") == ["mention"]


@pytest.mark.parametrize(
    ("text", "known", "none", "any"),
    [
        ("The horse [0.301, 0.352, 0.688, 0.913] runs.", [], ["box"], []),
        ("The dog [0.1, 0.2, 0.3, 0.4] runs.", ["unknown_box"], ["box"], []),
        ("The dog at (0.10, 0.20, 0.30, 0.40) runs.", ["unknown_box"], ["box"], []),
        ("Lines 1, 2, 3 and 4 (1, 2, 3, 4) are blue.", [], [], []),
    ],
)
def test_boxes(text: str, known: list[str], none: list[str], any: list[str]) -> None:
    assert reasons(text) == known
    assert reasons(text, rules=Rules(boxes="none")) == none
    assert reasons(text, rules=Rules(boxes="any")) == any


LONG = "The man rides along the beach on his horse in the late evening light."


@pytest.mark.parametrize(
    ("text", "format", "expected"),
    [
        (qa(("What?", "A man."), ("what ?", "A horse.")), "qa", True),
        (qa(("What?", LONG), ("Who?", LONG)), "qa", True),
        (qa(("Is it a man?", "Yes."), ("Is he riding?", "Yes.")), "qa", False),
        (qa(("Where?", "On the beach."), ("Where is the man?", "On the beach.")), "qa", False),
        (f"{LONG} {LONG}", "answer", True),
        (f"{LONG} The sea is calm. {LONG.upper()}", "answer", True),
        ("He rides. He rides. It is late.", "answer", False),
        (GOOD, "answer", False),
    ],
)
def test_repetition(text: str, format, expected: bool) -> None:
    assert ("repeated" in reasons(text, format=format)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Ein Mann in einer roten Jacke reitet bei Sonnenuntergang am Strand entlang, und das Pferd wirft "
            "einen langen Schatten auf den nassen Sand vor dem Wasser.",
            True,
        ),
        (
            "Un hombre con una chaqueta roja monta a caballo por la playa al atardecer, y el animal deja "
            "huellas en la arena mojada cerca del agua que brilla.",
            True,
        ),
        (
            "Un homme en veste rouge monte à cheval le long de la plage au coucher du soleil, et l'animal "
            "laisse des traces dans le sable mouillé près de l'eau.",
            True,
        ),
        ("穿着红色夹克的男人在日落时分骑马沿着海滩行走，马在湿润的沙滩上留下了一串长长的脚印。", True),
        ("Мужчина в красной куртке едет верхом вдоль пляжа на закате.", True),
        (GOOD, False),
        ("Ein Mann reitet.", False),
        (
            "Red jacket, brown horse, white waves, wet sand, orange sky, dark rocks, tall grass, old posts, "
            "blue rope and an old boat with a broken mast near the dunes.",
            False,
        ),
        ("The sign reads «Осторожно, злая собака, не входить», and a dog lies in front of it.", False),
    ],
)
def test_language(text: str, expected: bool) -> None:
    assert ("language" in reasons(text)) is expected
    assert "language" not in reasons(text, rules=Rules(language=None))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (GOOD, []),
        ("A dog runs behind the horse.", ["dog"]),
        (
            "A golden retriever runs behind the horse, and two umbrellas stand in the sand.",
            ["dog", "umbrella"],
        ),
        ("The pony trots past, and the guy on it smiles.", []),
        ("There is no dog on the beach.", []),
        ("A dog might be waiting for them at home.", []),
        ("The rider wears a red jacket. Horses are often afraid of dogs.", []),
        ("They pass a bus stop and a dog park.", []),
        ("The sky is orange, and the waves bear some foam.", []),
        ('A sign says "dogs and cats".', []),
        ("He has a hot dog in his hand.", ["hot dog"]),
        ("She holds a glass of wine.", ["wine glass"]),
        ("There are surfboards, a surfboard and a kite.", ["kite", "surfboard"]),
    ],
)
def test_things_that_nobody_told_of(answer: str, expected: list[str]) -> None:
    told = contexts.read(CONTEXT)
    assert objects.unsupported([Exchange(question="Is there a giraffe?", answer=answer)], told) == expected
    assert ("unsupported" in reasons(answer, rules=Rules(unsupported="reject"))) is bool(expected)
    assert "unsupported" not in reasons(answer)


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("A pet on a sofa.", "The cat is asleep."),
        ("Someone on a sofa.", "A woman is asleep."),
        ("It lies there.\n\nstuffed_toy: [0.100, 0.100, 0.200, 0.200]", "A teddy bear lies there."),
        ("x\n\nperson (group): [0.100, 0.100, 0.200, 0.200]", "People walk there."),
        ("x\n\na brown dog: [0.100, 0.100, 0.200, 0.200]", "A dog lies there."),
    ],
)
def test_what_counts_as_support(context: str, answer: str) -> None:
    assert objects.unsupported([Exchange(question="", answer=answer)], contexts.read(context)) == []


QUESTION = "Question:\nWhat?\n==="


def reply(text: str, finish_reason: str = "stop", task: str = "detail_description") -> Reply:
    return Reply(task, text, "openai", "gpt-x", "3f9a", "b2c4", 812, 143, finish_reason)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (reply(GOOD), []),
        (reply("A dog runs behind the horse."), ["dog"]),
        (reply(GOOD, "length"), Reject("truncated", 143)),
        (reply("", "content_filter"), Reject("filtered", 143)),
        (reply("", "refusal"), Reject("refusal", 143)),
        (reply(""), Reject("empty")),
        (reply("I'm sorry, but I can't."), Reject("refusal", "i'm sorry")),
        (reply(QUESTION, task="conversation"), Reject("bad_format", "the last question has no answer")),
        (reply(qa(("What?", "A man.")), task="conversation"), []),
    ],
)
def test_the_stage_rejects_by_the_first_reason(given: Reply, expected: object) -> None:
    assert ReplyCheck().process({"reply": [given], "context": [CONTEXT]}) == {"unsupported": [expected]}


def test_every_list_is_part_of_the_fingerprint_and_well_formed() -> None:
    assert sorted(LISTS) == sorted(file.stem for file in (prompts.HERE / "replies").glob("*.txt"))
    assert {*LISTS} < ReplyCheck().revision().keys()
    for name in LISTS:
        lines = prompts.word_list(f"replies/{name}")
        assert len(set(lines)) == len(lines) > 10
        assert all(line == line.casefold() for line in lines)
    assert all(set(phrases.words(line)) for line in prompts.word_list("replies/refusals"))


def test_a_user_s_folder_may_repeat_its_own_phrases(tmp_path: Path) -> None:
    form = "This is what I can say about the picture after looking at it for a while: "
    files = {"system_message.txt": "Describe.", "000_caps.txt": "x", "001_caps.txt": "y"}
    files |= {"000_conv.txt": form + "a dog.", "001_conv.txt": form + "a cat."}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert reasons(form + "a horse.", task=str(tmp_path)) == []


@pytest.mark.parametrize(
    "text", ["a " * 500_000, '"' * 1_000_000, ". " * 300_000, "word. " * 150_000, "[0.1, " * 150_000]
)
def test_a_megabyte_is_too_long_to_look_at(text: str) -> None:
    assert reasons(f"a{text}") == ["too_long"]
    assert "too_long" not in reasons(
        f"a{text}"[:20_000], rules=Rules(unsupported="reject"), task="conversation"
    )
