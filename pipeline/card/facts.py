"""All that a card says, read from a finished dataset."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import yaml

from gritmill.pipeline.engine.finish import REPORT, STATS, fingerprint_of
from gritmill.pipeline.engine.recipes import RECORDED
from gritmill.pipeline.engine.recorded_stages import recorded_stage, stage_entry
from gritmill.pipeline.output.scores import scores_in
from gritmill.pipeline.stats.measure import Stats
from gritmill.pipeline.stats.read import finished_files
from gritmill.pipeline.storage.samples import IMAGES, samples
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import public
from gritmill.schemas.recipe import Card

_SPACY_MODEL = re.compile(r"([a-z]{2,3})_\w+_(sm|md|lg|trf)")


@dataclass(frozen=True)
class StageFacts:
    """A stage of the recipe, with every option that decides what it gives."""

    name: str
    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What is known of a finished dataset."""

    card: Card
    recipe: Mapping[str, Any]
    """As recorded beside the dataset, with nothing in it of the machine that made it."""
    stages: tuple[StageFacts, ...]
    summary: Mapping[str, Any]
    """`stats.json`: splits, funnel, versions."""
    stats: Stats
    files: Mapping[str, str]
    """{file: SHA-256}."""
    sizes: Mapping[str, int]
    image_extensions: tuple[str, ...]
    """Of the images in the shards; a split has only one."""
    scores: str
    """The section of the report, with its heading; empty if nothing was scored."""
    fingerprint: str
    """Of the checksums: the same for the same bytes."""

    @property
    def name(self) -> str:
        return str(self.recipe["name"])

    @property
    def splits(self) -> list[str]:
        return list(self.summary["splits"])

    @cached_property
    def languages(self) -> list[str]:
        """As the recipe's card says, or else that of the model which parsed the captions."""
        if self.card.language:
            return self.card.language
        models = [str(stage.options.get("model", "")) for stage in self.stages if stage.kind == "noun_chunks"]
        return sorted({match[1] for model in models if (match := _SPACY_MODEL.fullmatch(model))})

    @property
    def box_models(self) -> list[str]:
        """That found boxes; the source's own annotations are no model."""
        return [name for name in self.stats.box_models if name != "annotations"]

    def has_stage(self, kind: str) -> bool:
        """Whether the recipe has a stage of a kind."""
        return any(stage.kind == kind for stage in self.stages)

    def has(self, suffix: str) -> bool:
        """Whether there are files of a format: `has(".tar")`."""
        return any(name.endswith(suffix) for name in self.files)


def gather(output: Store, stats: Stats, card: Card | None) -> Facts:
    """Reads what a run left in its output folder. `card` stands in for that of the recorded recipe.

    Raises `UserError` where the dataset is not finished or what lies beside it is damaged.
    """
    files = finished_files(output)
    try:
        recipe = yaml.safe_load(output.read(RECORDED))
        summary = json.loads(output.read(STATS))
        if missing := {"gritmill", "splits", "funnel", "versions"} - summary.keys():
            raise KeyError(f"no {min(missing)}")
        chosen = card or Card.model_validate(recipe.get("card") or {})
        stages = tuple(map(_stage, recipe["stages"]))
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{RECORDED} or {STATS} in {output.root} is missing or damaged ({error}); "
            "`pipeline run` writes them anew"
        ) from error
    return Facts(
        card=chosen,
        recipe=public({key: value for key, value in recipe.items() if key != "card"}),
        stages=stages,
        summary=summary,
        stats=stats,
        files=files,
        sizes={name: output.size(name) or 0 for name in files},
        image_extensions=_image_extensions(output, files),
        scores=scores_in(output.read(REPORT).decode()) if output.exists(REPORT) else "",
        fingerprint=fingerprint_of(output),
    )


def _image_extensions(output: Store, files: Iterable[str]) -> tuple[str, ...]:
    """Read off the first sample of the first shard of every split."""
    found: set[str] = set()
    for name in files:
        if re.search(r"-00000-of-\d+\.tar$", name):
            with output.open(name) as file:
                for sample in islice(samples(file), 1):
                    found |= IMAGES & sample.members.keys()
    return tuple(sorted(found))


def _stage(entry: Any) -> StageFacts:
    """Options with their defaults; only those written down where the stage is not one of ours."""
    name, kind, options = stage_entry(entry)
    stage = recorded_stage(kind, options)
    if stage is not None:
        options = stage.model_dump(mode="json", exclude=set(stage.run_options))
    return StageFacts(name, kind, public(options))
