"""What a card says against its dataset."""

from collections.abc import Iterator

from gritmill.pipeline.card.facts import Facts
from gritmill.pipeline.card.guard import guard
from gritmill.pipeline.stats.languages import MOST as CAPTIONS
from gritmill.pipeline.stats.table import number, share

_MEN = ("man", "boy", "guy", "gentleman", "father", "husband")
_WOMEN = ("woman", "girl", "lady", "mother", "wife")
_MOST = 10
_LOOKED_FOR = {
    "faces and nudity": {"nudenet"},
    "offensive words": {"profanity"},
    "addresses and telephone numbers in captions": {"personal_data"},
}
"""What may be in any dataset, and the stages that look for it."""


def limits(facts: Facts) -> Iterator[str]:
    """Generic ones where they apply, then those that can be computed."""
    stats = facts.stats
    if "limit" in facts.summary:
        yield f"Only the first {number(facts.summary['limit'])} samples of the source were taken."
    if stats.boxes:
        yield (
            "Phrases were found and matched with boxes by machine, and nobody checked the result. A phrase "
            "without a box may still be in the image, and an expression may fit other things in it, too."
        )
    if facts.box_models:
        yield "Scores are raw; those of different models cannot be compared."
    if stats.text_models:
        yield (
            "Conversations were written by a language model and checked by rules only. They may tell of what "
            "the image does not show."
        )
    yield from guard(facts)
    yield "Captions are as the source has them: they may be wrong, and leave most of an image out."
    used = {stage.name for stage in facts.stages}
    missed = [what for what, stages in _LOOKED_FOR.items() if not used & stages]
    if missed:
        yield f"Nothing was done to find {' or '.join(missed)}."
    if stats.languages:
        [(language, count), *_] = stats.languages.items()
        seen = sum(stats.languages.values())
        yield (
            f"By a guess at {number(seen)} captions (of {number(CAPTIONS)} at most, without the shortest) "
            f"{share(count / seen)} are in the language `{language}`."
        )
    yield from _computed(facts)


def _computed(facts: Facts) -> Iterator[str]:
    stats = facts.stats
    funnel = facts.summary["funnel"]
    if funnel and funnel[0]["rows_in"]:
        first, last = funnel[0]["rows_in"], funnel[-1]["rows_out"]
        yield f"{share(last / first)} of the source's {number(first)} rows are left."
    if stats.concepts:
        yield (
            f"The {_MOST} most frequent of {number(len(stats.concepts))} concepts have "
            f"{share(stats.coverage(_MOST))} of the boxes: {', '.join(list(stats.concepts)[:_MOST])}."
        )
        men, women = (sum(stats.concepts.get(word, 0) for word in words) for words in (_MEN, _WOMEN))
        if men or women:
            yield (
                f"{number(men)} boxes are of men or boys by their phrase and {number(women)} of women or "
                "girls, as those who wrote the captions took them."
            )
    if stats.area:
        yield (
            f"Half of the boxes cover less than {share(stats.area['0.5'])} of their image, and one in "
            f"twenty more than {share(stats.area['0.95'])}."
        )
    if stats.duplicate_captions:
        yield f"{number(stats.duplicate_captions)} samples repeat the caption of another."
    if stats.duplicate_images:
        yield f"{number(stats.duplicate_images)} images are byte for byte another one."
