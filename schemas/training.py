"""What a recipe may say about training and evaluation: its `train:` and `eval:` blocks.

train: {model: microsoft/kosmos-2-patch14-224, preset: kosmos2_instruct, lora: {rank: 16}, max_steps: 10000}
eval: {sets: [validation], max_new_tokens: 64}
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Lora(_Options):
    """Low-rank adapters (Hu et al., 2021) instead of all weights; a merged copy is saved beside them."""

    rank: int = Field(default=16, ge=1)
    """Rank of the update of a weight matrix."""
    alpha: Positive = 32
    """The update is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs that are dropped."""
    targets: list[str] | None = None
    """Names of the linear layers to adapt. Left out: those of the language model that its adapter names."""


class CurriculumStep(_Options):
    """Easy images first: up to `until` of the training, only samples with so few boxes are drawn."""

    until: Share
    """Share of the training's steps."""
    max_boxes: int = Field(ge=1)
    """Most boxes of a sample."""


class Train(_Options):
    """How a model is trained on the shards. What is left out is the preset's, then the default here."""

    model: str = Field(min_length=1)
    """Id on the Hub, folder of a checkpoint, or `tiny`: a small model from scratch, for a CPU."""
    revision: str | None = None
    """Branch, tag or commit of a model on the Hub."""
    model_options: dict[str, Any] = {}
    """For `tiny`: its sizes."""
    dir: str | None = None
    """Folder of logs, checkpoints and the model.  [default: the output folder + .model]"""
    mix: dict[str, Positive] = {}
    """Other datasets (their folders) -> how often a sample of theirs is drawn for one of ours."""
    streaming: bool = False
    """Read shards from start to end instead of sample by sample: for an object store."""
    dialect: str | None = None
    """How boxes are spelled (`pipeline dialects`).  [default: the model's own]"""
    family: str | None = None
    """Who speaks to the model: an adapter of your own, package.module:Class.  [default: that of its type]"""
    new_tokens: bool = False
    """Give the model a token of its own for each of the dialect's tags that it lacks, and train them."""
    freeze: list[Literal["vision", "connector", "language"]] = []
    """Parts of the model that stay as they are."""
    lora: Lora | None = None
    """Train adapters only."""
    preset: str | None = None
    """Hyper-parameters of a published training (`trainer/presets.yaml`); what is said here goes first."""
    max_steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; left out, `epochs` decides."""
    epochs: Positive = 1.0
    """Times that every sample is seen."""
    batch_size: int = Field(default=8, ge=1)
    """Samples in a step of one device."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are summed before the optimiser's step."""
    learning_rate: Positive = 2e-5
    """Highest learning rate."""
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup: Share = 0.03
    """Share of the steps in which the learning rate rises to its highest."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Of AdamW."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Of AdamW."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Longer gradients are shortened to this; 0 leaves them."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto` is bf16 where the device is good at it."""
    gradient_checkpointing: bool = False
    """Less memory for more time."""
    max_length: int = Field(default=2048, ge=8)
    """Most tokens of a sample; the turns that do not fit are left out, and counted."""
    curriculum: list[CurriculumStep] = []
    """Easy images first."""
    workers: int = Field(default=2, ge=0)
    """Processes that decode and tokenize; 0 does it between the steps."""
    log_every: int = Field(default=10, ge=1)
    """Steps from one line of the log to the next."""
    save_every: int = Field(default=500, ge=1)
    """Steps from one checkpoint to the next."""
    keep: int = Field(default=2, ge=1)
    """Checkpoints that are kept."""
    report_to: list[Literal["trackio", "tensorboard", "wandb"]] = []
    """Where the log goes besides log.jsonl."""
    seed: int = 0
    """Order of the samples, new weights, dropout."""
    trainer: dict[str, Any] = {}
    """Further options of transformers.TrainingArguments, such as fsdp and deepspeed."""

    @model_validator(mode="after")
    def _curriculum_in_order(self) -> "Train":
        ends = [step.until for step in self.curriculum]
        if ends != sorted(set(ends)):
            raise ValueError("the steps of a curriculum follow one another: let each `until` be later")
        return self


class EvalSet(_Options):
    """Questions from outside: their file, in a format that others write, and the folder of their images."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """What it is called in metrics.json."""
    format: Literal["mdetr", "refs", "flickr30k", "locout", "pope", "captions", "judge"]
    """Which format (`trainer/sets/`)."""
    questions: str
    """The file, or for some formats the folder, of the questions."""
    images: str
    """Folder of the images."""
    split: str | None = None
    """Which part of it, for formats that hold several."""


class Judge(_Options):
    """A language model that grades answers. Its name is part of the metric's name."""

    model: str
    """Model id, such as gpt-4o-2024-11-20."""
    base_url: str | None = None
    """An OpenAI-compatible server."""
    max_tokens: int = Field(default=512, ge=1)
    """Most tokens of a reply, of which the grades are the first line; a model that reasons before it answers
    needs some thousands."""


class Eval(_Options):
    """How a model is scored."""

    model: str | None = None
    """Id on the Hub or folder of a checkpoint.  [default: what `train` made]"""
    revision: str | None = None
    """Branch, tag or commit of a model on the Hub."""
    dialect: str | None = None
    """How boxes are spelled.  [default: as the model was trained, else the model's own]"""
    family: str | None = None
    """Who speaks to the model: an adapter of your own, package.module:Class.  [default: that of its type]"""
    data: str | None = None
    """Folder of the dataset whose splits are asked: one for all runs that are to be compared.
    [default: the recipe's own]"""
    sets: list[Literal["validation", "test", "train"] | EvalSet] = Field(default=["validation"], min_length=1)
    """Splits of the dataset, and sets from outside."""
    tasks: list[Literal["rec", "phrase_grounding", "reg", "caption"]] = Field(default=["rec"], min_length=1)
    """What is asked about a split of the dataset."""
    prompts: Literal["auto", "native", "instruction"] = "auto"
    """The words of the model's authors, or those of our instructions; `auto` asks a model that was
    trained here in the latter, and any other in the former."""
    limit: int | None = Field(default=None, ge=1)
    """Most questions of a set and task, chosen by a seed; all if left out."""
    batch_size: int = Field(default=16, ge=1)
    """Questions answered at once."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Longest answer."""
    resamples: int = Field(default=1000, ge=100)
    """Of the bootstrap."""
    judge: Judge | None = None
    """Who grades the sets of format `judge`."""
    seed: int = 0
    """Of the choice under `limit` and of the bootstrap."""
