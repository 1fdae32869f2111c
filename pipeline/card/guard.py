"""What a card says of evaluation data: against which lists a dataset was guarded, and what was found."""

from collections.abc import Iterator, Mapping

from gritmill.pipeline.card.facts import Facts, StageFacts
from gritmill.pipeline.card.markdown import code
from gritmill.pipeline.stats.table import number

KIND = "contamination"


def guard(facts: Facts) -> Iterator[str]:
    """A sentence for each stage that had lists; one that says so where none had."""
    stages = [stage for stage in facts.stages if stage.kind == KIND and stage.options.get("against")]
    yield from (_told(facts, stage) for stage in stages)
    if not stages:
        yield (
            "Nothing was compared with evaluation data: images and questions of benchmarks may be among the "
            "samples."
        )


def _told(facts: Facts, stage: StageFacts) -> str:
    found = facts.summary["versions"].get(stage.name, {})
    lists = ", ".join(f"{code(name)} {described.partition(' ')[2]}" for name, described in found.items())
    if stage.options.get("mode") == "measure":
        return f"Compared with the evaluation lists {lists}; what was found was marked and not dropped."
    rejected: Mapping[str, int] = next(
        (row["rejected"] for row in facts.summary["funnel"] if row["step"] == stage.name), {}
    )
    by = {"id": "", "image": f" (radius {stage.options.get('radius')})"}
    by["text"] = f" ({stage.options.get('ngram')} words in a row)"
    counts = [f"{number(rejected.get(f'evaluation_{how}', 0))} by {how}{told}" for how, told in by.items()]
    return f"Guarded against the evaluation lists {lists}: dropped {', '.join(counts)}."
