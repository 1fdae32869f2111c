"""Models of the transformers library that run in the worker itself: found, loaded, kept within memory."""

import importlib.metadata
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from gritmill.pipeline.storage import checkpoints
from gritmill.pipeline.storage.checkpoints import Checkpoint, fetch
from gritmill.schemas.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)

LIBRARIES = ("pillow", "tokenizers", "torch", "transformers")
"""Decide, beside the checkpoint, what a model says."""

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


def versions() -> dict[str, str]:
    """The installed versions of `LIBRARIES`; empty for one that is missing, which `packages` says."""
    return {name: _version(name) for name in LIBRARIES}


def problems_of(model: str, revision: str | None, supported: Collection[str]) -> list[str]:
    """What is wrong with a checkpoint, without loading it: for `Stage.problems`."""
    try:
        check_architecture(checkpoints.find(model, revision), supported)
    except UserError as error:
        return [str(error)]
    except ModuleNotFoundError:  # `packages` says so
        return []
    return []


def revision_of(model: str, revision: str | None) -> dict[str, str]:
    """The commit or digest of a checkpoint and `versions()`: for `Stage.revision`."""
    try:
        found = checkpoints.find(model, revision).revision
    except (UserError, ModuleNotFoundError):  # `problems` or `packages` says so
        found = ""
    return {"model": found, **versions()}


def check_architecture(checkpoint: Checkpoint, supported: Collection[str]) -> None:
    """Raises `UserError` for a checkpoint of another architecture."""
    if checkpoint.model_type not in supported:
        raise UserError(
            f"model {checkpoint.source!r} is of type {checkpoint.model_type!r}, which is not supported; "
            f"use one of type {', '.join(supported)}"
        )


def chosen_device(wanted: Device) -> str:
    """`cpu` or `cuda`. Raises `UserError` where a GPU is asked for and there is none."""
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UserError("device is cuda, but the worker sees no GPU; set device: auto, or gpus: 1")
    return "cuda" if there and wanted != "cpu" else "cpu"


def chosen_precision(wanted: Precision, device: str) -> str:
    """The name of a torch type; `auto` takes half precision on a GPU, bfloat16 where it has that.

    Raises `UserError` for half precision on the CPU, where it is slower and gives other boxes.
    """
    import torch

    if wanted == "auto":
        if device == "cpu":
            return "float32"
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if wanted != "float32" and device == "cpu":
        raise UserError(
            f"precision is {wanted}, but the model runs on the CPU; set precision: auto, or device: cuda"
        )
    return wanted


def load_model(checkpoint: Checkpoint, auto_class: str, **options: Any) -> Any:
    """The weights of a checkpoint, by one of the library's Auto classes; on the CPU, ready to answer.

    Weights come from safetensors alone: pickled ones can run code, and code of a checkpoint is never run.
    Raises `UserError` where they are pickled, cut off, of another architecture, or not all there.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    source = checkpoint.source
    try:
        folder = fetch(checkpoint)
        model, report = getattr(transformers, auto_class).from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,  # left open, it would ask whoever sits at the terminal
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # half a dozen libraries have a say in it, each with errors of its own
        raise UserError(f"model {source!r} cannot be loaded: {_why(checkpoint, error)}") from error
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"model {source!r} lacks {len(missing)} of its weights, such as {missing[0]}; "
            "they would be random, so take a whole checkpoint of this architecture"
        )
    return model.eval()


def load_part(checkpoint: Checkpoint, load: Callable[[Path], T]) -> T:
    """What comes with the weights: tokenizer, image processor. Raises `UserError` if it cannot be had."""
    try:
        return load(fetch(checkpoint))
    except Exception as error:  # as above
        raise UserError(f"model {checkpoint.source!r} cannot be loaded: {_one_line(error)}") from error


def image_processor(folder: Path) -> Any:
    """A checkpoint's, for `load_part`. By Pillow everywhere: torchvision's resizing gives other numbers."""
    import transformers

    return transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)


def processor(folder: Path) -> Any:
    """The same with the tokenizer."""
    import transformers

    return transformers.AutoProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)


def check_tokenizer(tokenizer: Any) -> None:
    """Raises `ValueError` for one without vocabulary, as transformers loads it where files are missing."""
    if not set(tokenizer("a dog", add_special_tokens=False)["input_ids"]) - {tokenizer.unk_token_id}:
        raise ValueError("its tokenizer knows no words, so that its vocabulary must be missing")


class Halving:
    """Calls a model on so many questions at once as the GPU has memory for.

    Where that runs out, the batch is halved and the smaller size kept for all that follows. Raises
    `torch.OutOfMemoryError` where not even one question fits.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, model: Callable[[Sequence[T]], Sequence[R]], questions: Sequence[T]) -> list[R]:
        answers: list[R] = []
        while len(answers) < len(questions):
            some = questions[len(answers) : len(answers) + self.most]
            if (found := self._tried(model, some)) is None:
                self.most = len(some) // 2
                log.warning("out of GPU memory with %d at once: going on with %d", len(some), self.most)
            else:
                answers += found
        return answers

    def _tried(self, model: Callable[[Sequence[T]], Sequence[R]], some: Sequence[T]) -> Sequence[R] | None:
        import torch

        try:
            return model(some)
        except torch.OutOfMemoryError:
            if len(some) == 1:
                raise
        torch.cuda.empty_cache()  # only here: the exception held on to the tensors of the call
        return None


def ahead(work: Callable[[T], R], items: Iterable[T], threads: int, depth: int) -> Iterator[R]:
    """`map(work, items)`, done by threads up to `depth` items ahead of whoever takes the results."""
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _why(checkpoint: Checkpoint, error: Exception) -> str:
    folder = Path(checkpoint.source)
    if checkpoint.is_local and not list(folder.glob("*.safetensors")) and list(folder.glob("*.bin")):
        return "its weights are pickled, which can run code; save it with save_pretrained as safetensors"
    if type(error).__name__ == "SafetensorError":
        return f"a weight file is corrupt ({_one_line(error)}); download it again"
    if "ignore_mismatched_sizes" in str(error):
        return "its weights have other shapes than its config.json says; take a checkpoint of one piece"
    return _one_line(error)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""
