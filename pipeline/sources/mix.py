"""`mix`: several sources, or the shards of finished runs, as one.

source:
  type: mix
  sources:
    llava:      {type: finished, shards: out/llava_instruct/data/*.tar}
    sharegpt4v: {type: finished, shards: out/sharegpt4v/data/*.tar}
  keep: {llava: 0.5}

A column `origin` says where a sample comes from; the stage `balance_origins` holds each to a number.
"""

import hashlib
import importlib.util
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, get_origin

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator

from gritmill.pipeline.sources.base import Part, Source
from gritmill.pipeline.sources.keys import safe_key
from gritmill.schemas.columns import Columns
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import BESIDE_BOXES


def _built(options: object) -> object:
    """The options of a source -> the source."""
    from gritmill.pipeline.sources.registry import source_class, source_options

    if not isinstance(options, dict):
        return options
    try:
        cls = source_class(str(options.get("type")))
        return cls.model_validate(source_options(cls, options))
    except UserError as error:
        raise ValueError(str(error)) from error
    except ValidationError as error:
        wrong = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        raise ValueError("; ".join(f"{place}: {message}" for place, message in wrong)) from error


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,30}$")]
Share = Annotated[float, Field(gt=0, le=1)]


class MixSource(Source):
    """Reads several sources, part by part, as each of them is read alone.

    sample 000000139 of the source `llava` -> key "llava-000000139", origin "llava"

    Columns that only some have are empty lists, or null, in the samples of the others.
    """

    type: Literal["mix"]
    """Which source this is."""
    sources: dict[Name, Annotated[SerializeAsAny[Source], BeforeValidator(_built)]] = Field(min_length=1)
    """The sources by a name of your own, each with its options."""
    keep: dict[Name, Share] = {}
    """Share of a source's images that are read at all, chosen by a hash of the image; 1 for those not named.
    For an exact number, and for shares of what the filters leave, take the stage `balance_origins`."""
    seed: int = 0
    """Another number keeps other images."""
    same_images: bool = False
    """The ids of images mean the same image in all sources, as COCO's do: captions of one image from two
    sources then stay in one split. Otherwise the source's name goes before the ids, too."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for name in self.keep:
            if name not in self.sources:
                raise ValueError(
                    f"keep names {name}, which is no source; there are: {', '.join(self.sources)}"
                )
        return self

    def identity(self) -> dict[str, Any]:
        return {"type": self.type, "sources": {name: one.identity() for name, one in self.sources.items()}}

    def inner(self) -> list[Source]:
        return [inner for one in self.sources.values() for inner in (one, *one.inner())]

    def problems(self) -> list[str]:
        found: list[str] = []
        for name, source in self.sources.items():
            missing = {p: e for p, e in source.packages.items() if importlib.util.find_spec(p) is None}
            found += [f"{name} needs {p}: pip install 'gritmill[{e}]'" for p, e in missing.items()]
            found += [f"{name}: {problem}" for problem in ([] if missing else source.problems())]
        types: dict[str, Any] = {}
        for name, source in self.sources.items():
            for column, kind in source.provides().items():
                if types.setdefault(column, kind) != kind:
                    found.append(f"{name} has column {column} of another type than the sources before it")
        return found

    def provides(self) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for source in self.sources.values():
            columns |= source.provides()
        return columns | {"origin": str}

    def parts(self) -> Iterator[Part]:
        """`{"origin": "llava", "part": {"uri": "00000.tar", ...}}`, source after source."""
        for name, source in self.sources.items():
            for part in source.parts():
                rows = part.get("rows")
                hint = {"rows": round(rows * self.keep.get(name, 1))} if isinstance(rows, int) else {}
                yield {"origin": name, "part": part, **hint}

    def read(self, part: Part) -> Columns:
        name = part["origin"]
        columns = self.sources[name].read(part["part"])
        chosen = [i for i, image_id in enumerate(columns["image_id"]) if self._keeps(name, image_id)]
        columns = {column: [values[i] for i in chosen] for column, values in columns.items()}
        for column in ("key",) if self.same_images else ("key", "image_id"):
            columns[column] = [safe_key(f"{name}-{value}") for value in columns[column]]
        for column, kind in self.provides().items():
            if column not in columns:
                is_empty = get_origin(kind) is list and column not in BESIDE_BOXES
                columns[column] = [[] if is_empty else None for _ in chosen]
        return columns | {"origin": [name] * len(chosen)}

    def _keeps(self, name: str, image_id: str) -> bool:
        share = self.keep.get(name, 1.0)
        digest = hashlib.sha256(f"{self.seed}:{name}:{image_id}".encode("utf-8", "replace")).digest()
        return share == 1 or int.from_bytes(digest[:8], "big") < share * 2**64
