"""What speaks against a reply of a language model, as reasons and in words that it can mend it by.

for words in problems(reply.text, context, format, Rules(), reply.task): ...
The reply speaks of "bounding boxes". Say what is in the image, not how you know it.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from gritmill import prompts
from gritmill.prompts.few_shot import Format
from gritmill.schemas.reasoning import answer_of
from gritmill.schemas.replies import Exchange
from gritmill.stages.caption_check import script_share
from gritmill.stages.replies import contexts, formats, objects, phrases, regions

ECHO_WORDS = 12
"""So many words in a row that also stand in the prompt are copied from it."""
LONG_SENTENCE = 6
"""Fewest words of a sentence that nobody says twice in one answer by chance."""
LONG_ANSWER = 12
"""Fewest words of an answer that does not fit two questions by chance."""
ENGLISH_FROM = 20
"""Fewest words whose language is judged."""
ENGLISH_SHARE = 0.1
"""Least share of the words that are in prompts/replies/english_words.txt. English has 25 % or more of
them; lists of names and single words have fewer than prose, so the limit is low."""
SCRIPT_SHARE = 0.5
ENDS = tuple(".!?…。！？\"'”’)]*|`")


class ReplyFault(NamedTuple):
    """One thing that is wrong.

    >>> Finding("mention", "bounding boxes", 'The reply speaks of "bounding boxes". ...')
    """

    reason: str
    value: str
    words: str


class Rules(BaseModel):
    """What a reply may not do."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    max_characters: int | None = Field(default=20_000, ge=1)
    """Most characters of a reply, its reasoning not counted, which also bounds the time that the other
    tests take; null for any."""
    mentions: Literal["reject", "allow"] = "reject"
    """Whether a reply may speak of captions, descriptions, boxes or coordinates as where it knows the
    image from (prompts/replies/source_mentions.txt)."""
    boxes: Literal["known", "none", "any"] = "known"
    """Boxes that a reply may have: those of the context, none, or any."""
    unsupported: Literal["report", "reject"] = "report"
    """What to do with replies that name things of COCO's categories which neither captions nor boxes
    name. The test knows words, not sentences: look at its report before you reject."""
    language: Literal["en"] | None = "en"
    """Language that replies must be in, judged by their letters and commonest words from 20 words on:
    tells English from other languages, not good English from bad. null for any."""


DEFAULT = Rules()


def problems(
    text: str, context: str, format: Format, rules: Rules = DEFAULT, task: str | None = None
) -> list[str]:
    """What is wrong with a reply, one sentence or two for each thing, to be said to the model.

    With the prompt folder's name, copies of its instructions and examples are found, too.
    """
    return [finding.words for finding in findings(text, context, format, rules, task)]


def findings(
    text: str, context: str, format: Format, rules: Rules, task: str | None = None
) -> Iterator[ReplyFault]:
    """What is wrong with a reply, gravest first; nothing more about one that is no answer at all."""
    if not any(map(str.isalnum, text)):
        yield ReplyFault("empty", "", "The reply is empty. Write what was asked for.")
        return
    try:
        text = answer_of(text)
    except ValueError as error:
        yield ReplyFault("bad_format", str(error), "The reply has no answer in it. Think less, then answer.")
        return
    if rules.max_characters is not None and len(text) > rules.max_characters:
        yield ReplyFault("too_long", str(len(text)), "The reply is far too long. Write a much shorter one.")
        return
    try:
        exchanges = formats.exchanges(text, format)
    except ValueError as error:
        # A model that declines seldom does so in the format.
        yield from _refusals([text])
        yield ReplyFault(
            "bad_format", str(error), f"The reply does not have the format of the examples: {error}."
        )
        return
    answers = [exchange.answer for exchange in exchanges]
    yield from _refusals([text, *answers])
    yield from _cut_off(answers[-1])
    told = contexts.read(context)
    yield from _echoes(text, answers, context, told, task)
    yield from _repetitions(exchanges)
    said = phrases.unquoted("\n".join(part for e in exchanges for part in (e.question, e.answer)))
    if rules.mentions == "reject":
        yield from _mentions(said, told)
    yield from _boxes(text, told, rules)
    if rules.language:
        yield from _language(said)
    if rules.unsupported == "reject" and (found := objects.unsupported(exchanges, told)):
        listed = ", ".join(found)
        yield ReplyFault(
            "unsupported", listed, f"Nothing says that there is any {listed}. Leave out what is not told."
        )


def _refusals(texts: list[str]) -> Iterator[ReplyFault]:
    for text in texts:
        if phrase := phrases.phrases("replies/refusals").in_(phrases.unquoted(text)):
            yield ReplyFault(
                "refusal",
                phrase,
                f'The reply declines or apologises ("{phrase}"). Write the answer, and leave out what you '
                "cannot tell.",
            )
            return


def _cut_off(answer: str) -> Iterator[ReplyFault]:
    """A long answer that stops without a mark; items of a list need none."""
    last = answer.splitlines()[-1].strip()
    is_item = last.startswith(("-", "*", "•")) or last[:1].isdigit()
    if len(phrases.words(answer)) >= LONG_SENTENCE * 2 and not is_item and not last.endswith(ENDS):
        yield ReplyFault(
            "truncated", last[-40:], "The reply stops in the middle of a sentence. Finish it, or be shorter."
        )


def _echoes(
    text: str, answers: list[str], context: str, told: contexts.ContextFacts, task: str | None
) -> Iterator[ReplyFault]:
    lines = {line.strip() for line in text.splitlines()}
    copied = next(
        (line for line in context.splitlines() if contexts.read(line).regions and line in lines), None
    )
    if copied is None and task is not None:
        copied = next((" ".join(run) for run in _runs(text) if run in _prompt_runs(task)), None)
    if copied is None:
        captions = {tuple(phrases.words(caption)) for caption in told.captions}
        said = [tuple(phrases.words(line)) for answer in answers for line in phrases.sentences(answer)]
        if len(said) > 1 and captions.issuperset(said):
            copied = " ".join(said[0])
    if copied is not None:
        yield ReplyFault(
            "echo", copied, f'The reply copies what you were given ("{copied}"). Write your own text.'
        )


def _repetitions(exchanges: list[Exchange]) -> Iterator[ReplyFault]:
    said = [(phrases.words(exchange.question), phrases.words(exchange.answer)) for exchange in exchanges]
    asked = Counter(tuple(question) for question, _ in said if question)
    answered = Counter(tuple(answer) for _, answer in said if len(answer) >= LONG_ANSWER)
    sentences = (
        Counter(tuple(phrases.words(sentence)) for sentence in phrases.sentences(exchange.answer))
        for exchange in exchanges
    )
    long = Counter[tuple[str, ...]]()
    for counts in sentences:
        long |= Counter({said: n for said, n in counts.items() if len(said) >= LONG_SENTENCE})
    for counted in (asked, answered, long):
        again = next((" ".join(words) for words, count in counted.items() if count > 1), None)
        if again is not None:
            yield ReplyFault("repeated", again, f'The reply says "{again}" more than once. Say it once.')
            return


def _mentions(said: str, told: contexts.ContextFacts) -> Iterator[ReplyFault]:
    for phrase in phrases.unexcused("replies/source_mentions", said, "\n".join(told.captions)):
        yield ReplyFault(
            "mention",
            phrase,
            f'The reply speaks of "{phrase}". Say what is in the image, not how you know it.',
        )
        return


def _boxes(text: str, told: contexts.ContextFacts, rules: Rules) -> Iterator[ReplyFault]:
    written = regions.mentions(text)
    if rules.boxes == "none" and written:
        yield ReplyFault(
            "box", written[0], f"The reply has coordinates, {written[0]}. Say in words where things are."
        )
    elif rules.boxes == "known":
        try:
            list(regions.split(text, told.regions))
        except regions.UnknownBox as box:
            yield ReplyFault(
                "unknown_box", str(box), f"There is no box {box} among those given. Use only those."
            )


def _language(said: str) -> Iterator[ReplyFault]:
    share = script_share(said, "latin")
    if share < SCRIPT_SHARE and sum(map(str.isalpha, said)) >= ENGLISH_FROM:
        yield ReplyFault(
            "language", f"{share:.2f} Latin letters", "The reply is not in English. Write English."
        )
        return
    found = phrases.words(said)
    if len(found) >= ENGLISH_FROM:
        share = sum(word in _english() for word in found) / len(found)
        if share < ENGLISH_SHARE:
            yield ReplyFault(
                "language", f"{share:.2f} English words", "The reply is not in English. Write English."
            )


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    said = phrases.words(text)
    yield from zip(*(said[start:] for start in range(ECHO_WORDS)), strict=False)


@cache
def _prompt_runs(task: str) -> frozenset[tuple[str, ...]]:
    """Runs of words of a prompt folder; what several of its replies have in common is their form."""
    prompt = formats.prompt_of(task)
    counts = Counter(run for shot in prompt.shots for run in set(_runs(shot.wanted)))
    examples = {run for run, count in counts.items() if count == 1}
    shown = {run for shot in prompt.shots for run in _runs(shot.shown)}
    return frozenset({*_runs(prompt.system), *examples, *shown})


@cache
def _english() -> frozenset[str]:
    return frozenset(prompts.word_list("replies/english_words"))
