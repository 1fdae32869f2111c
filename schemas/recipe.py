"""What a recipe may say, apart from the options of source, stages, train and eval, which are their own.

name: grit
source: {type: coco, images: photos/, captions: captions.json}
stages:
  - image_check: {min_side: 64}
  - noun_chunks
output: {dir: out/grit, formats: [webdataset, parquet], shard_size: 1GB, splits: {validation: 0.02}}
train: {model: microsoft/kosmos-2-patch14-224}
eval: {sets: [validation]}
card: {license: cc-by-4.0, source: "Photographs of COCO, each under its own licence."}
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_size(value: object) -> object:
    """`"500MB"` -> 500000000, `"1GiB"` -> 1073741824; numbers are bytes already."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9.]+)\s*([kmg]i?)?b?\s*", value.lower())
    if match is None:
        raise ValueError("a size is written like 500MB or 1GiB")
    return int(float(match[1]) * _UNITS[match[2] or ""])


Size = Annotated[int, BeforeValidator(parse_size)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Splits(Model):
    """Shares of the images that are held out; the rest is `train`."""

    validation: float = Field(default=0.0, ge=0, lt=1)
    """Share of the images in the validation split."""
    test: float = Field(default=0.0, ge=0, lt=1)
    """Share of the images in the test split."""

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> "Splits":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must be less than 1")
        return self


class Output(Model):
    """Where the dataset goes and how it is cut."""

    dir: str = Field(min_length=1)
    """Folder or URL of the finished dataset."""
    formats: list[str] = Field(default=["webdataset"], min_length=1)
    """What to write: webdataset, parquet, coco, llava."""
    shard_size: Size = Field(default=10**9, ge=1)
    """Bytes that a shard holds, about."""
    splits: Splits = Splits()
    """Chosen by a hash of the image, so that an image never stands in two splits."""
    split_seed: int = 0
    """Another number deals the images to the splits anew."""
    keep: list[str] = []
    """Columns that stages measured (`sharpness`, `language`, ...) and that stay with the sample: in the
    record under `measured`, in Parquet as columns of their own."""


class Card(Model):
    """What only its maker can say of a dataset, for the card that is published with it."""

    license: str = Field(default="unknown", pattern=r"^[a-z0-9][a-z0-9.-]*$")
    """Of the whole dataset, as the Hub spells it: `cc-by-4.0`, `apache-2.0`, `other`, `unknown`."""
    license_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Where the licence can be read, needed for `other`."""
    language: list[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$")]] = []
    """Of the captions, such as `[en]`.  [default: that of the model which parses them]"""
    source: str = ""
    """Where images and captions come from, and under which terms."""
    citation: str = ""
    """How to cite the dataset, in BibTeX."""
    pictures: int = Field(default=6, ge=0, le=24)
    """Samples that the card shows with their boxes drawn in; 0 where their images may not be shown."""


class Recipe(Model):
    """A recipe as written, before its source and stages are looked up."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What the dataset is called; letters, digits, `.`, `_`, `-`."""
    source: dict[str, Any]
    """`type` and the options of that source."""
    stages: list[Any]
    """Stages in their order, `- name: {options}` or just `- name`."""
    output: Output
    train: dict[str, Any] | None = None
    """Options of `pipeline train` (`schemas/training.py`)."""
    eval: dict[str, Any] | None = None
    """Options of `pipeline eval` (`schemas/training.py`)."""
    card: Card = Card()
    max_failed_fraction: float = Field(default=0.05, ge=0, le=1)
    """The run stops when more than this share of the rows of a stage failed with an exception."""
