"""A local vision-language model of the transformers library, for captions of many images."""

import asyncio
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from gritmill.pipeline.storage import checkpoints
from gritmill.pipeline.storage.checkpoints import Checkpoint
from gritmill.prompts.few_shot import FewShot
from gritmill.schemas.conversations import shielded
from gritmill.schemas.errors import UserError
from gritmill.schemas.families import chat
from gritmill.schemas.images import decode
from gritmill.schemas.reasoning import is_mark
from gritmill.schemas.weights import Weights
from gritmill.stages.common.local_models import (
    Device,
    chosen_device,
    chosen_precision,
    load_model,
    load_part,
    revision_of,
)
from gritmill.stages.generation.backends.base import Completion, Fault
from gritmill.stages.generation.calls import Caller
from gritmill.stages.generation.generate import Generate
from gritmill.stages.generation.limits import Pace
from gritmill.stages.generation.request import ChatRequest
from gritmill.stages.generation.store import ReplyStore

GATHERING = 0.02
"""Seconds in which requests come together before a batch begins."""


class TransformersGenerate(Generate):
    """Context (and image) -> the reply of a model in this worker, by its chat template.

    "A dog in a field." -> Reply("caption/general", "A brown dog ...", "transformers", ...)

    Any image-text-to-text model. Replies come in batches; which samples share one may change a word now
    and then, as padding changes last digits. Angle brackets in a context become round ones, since the
    template could take what they hold for the model's own tags.
    """

    packages: ClassVar[dict[str, str]] = {"torch": "grounders", "transformers": "grounders"}
    run_options: ClassVar[frozenset[str]] = Generate.run_options | {"device", "generation_batch"}

    # No limit of anybody's to share: every GPU gets a model.
    one_worker: ClassVar[bool] = False

    gpus: float | None = Field(default=None, ge=0)

    backend: Literal["transformers"] = "transformers"
    """Who answers."""
    model: str = Field(min_length=1)
    """Hub id or folder of an image-text-to-text model."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts."""
    image: bool = True
    """Whether the model is shown the image itself."""
    max_side: int = Field(default=2048, ge=32)
    """Larger images are scaled down to this many pixels before the model's own processor gets them."""
    generation_batch: int = Field(default=8, ge=1)
    """Most replies that are generated at once."""
    device: Device = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""

    def problems(self) -> list[str]:
        found = super().problems()
        try:
            checkpoints.find(self.model, self.model_revision)
        except UserError as error:
            found.append(str(error))
        except ModuleNotFoundError:  # `packages` says so
            pass
        return found

    def revision(self) -> dict[str, str]:
        return super().revision() | revision_of(self.model, self.model_revision)

    def needed_weights(self) -> list[Weights]:
        return [checkpoints.weights(self.model, self.model_revision)]

    def make_caller(self) -> Caller:
        import torch

        torch.set_num_threads(max(1, int(self.cpus)))
        checkpoint = checkpoints.find(self.model, self.model_revision)
        model = LocalModel(checkpoint, self.device, self.generation_batch)
        return Caller(model, ReplyStore(self.replies_folder), Pace(self.calls_at_once))

    @property
    def calls_at_once(self) -> int:
        return self.generation_batch

    def request_options(self, prompt: FewShot) -> dict[str, Any]:
        return {
            "model": self.model,
            "model_revision": revision_of(self.model, self.model_revision)["model"],
            "parameters": self.sampling,
            "max_side": self.max_side if self.image else 0,
        }


class LocalModel:
    """A loaded model; requests that come at the same time share a batch."""

    def __init__(self, checkpoint: Checkpoint, device: Device, batch: int) -> None:
        self.checkpoint = checkpoint
        self.batch = batch
        self.device = chosen_device(device)
        self.processor, self.model = _loaded(checkpoint, self.device)
        self._waiting: list[tuple[ChatRequest, asyncio.Future[Completion]]] = []
        self._running: asyncio.Task[None] | None = None

    async def complete(self, request: ChatRequest) -> Completion:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Nothing to close."""

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHERING)
            some, self._waiting = self._waiting[: self.batch], self._waiting[self.batch :]
            ready: list[tuple[_Prepared, asyncio.Future[Completion]]] = []
            for request, future in some:
                try:
                    ready.append((await asyncio.to_thread(self._prepared, request), future))
                except Exception as error:  # the row's: whoever awaits it decides
                    future.set_exception(error)
            # Requests with and without image cannot share a call of `generate`.
            for group in _alike(ready):
                try:
                    answers = await asyncio.to_thread(self._generate, [row for row, _ in group])
                except Exception as error:
                    for _, future in group:
                        future.set_exception(error)
                else:
                    for (_, future), answer in zip(group, answers, strict=True):
                        future.set_result(answer)

    def _prepared(self, request: ChatRequest) -> "_Prepared":
        """Raises `Fault` for an image that cannot be read."""
        pictures = []
        try:
            for message in request.messages:
                if message.picture is not None:
                    picture = decode(message.picture.read())
                    picture.thumbnail((request.max_side, request.max_side))
                    pictures.append(picture)
        except (OSError, ValueError) as error:
            raise Fault(str(error), reason="unreadable_image", again=False) from error
        messages = [_message(message) for message in request.messages]
        return _Prepared(request, chat.rendered(self.processor, messages), pictures)

    def _generate(self, rows: "list[_Prepared]") -> list[Completion]:
        import torch

        images = {"images": [row.pictures for row in rows]} if rows[0].pictures else {}
        inputs = self.processor(
            text=[row.text for row in rows], padding=True, return_tensors="pt", **images
        ).to(self.device, dtype=self.model.dtype)
        request = rows[0].request
        temperature = request.parameters.get("temperature")
        sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        # Drawn by what is asked, so that the same batch says the same again.
        torch.manual_seed(int(request.key[:15], 16))
        with torch.inference_mode():
            output = self.model.generate(**inputs, max_new_tokens=request.max_tokens, **sampling)
        start = inputs["input_ids"].shape[1]
        sizes = inputs["attention_mask"].sum(dim=1).tolist()
        return [self._completion(ids, size) for ids, size in zip(output[:, start:].tolist(), sizes)]

    def _completion(self, ids: list[int], tokens_in: int) -> Completion:
        ends = self._ends
        length = next((i for i, token in enumerate(ids) if token in ends), len(ids))
        said = [token for token in ids[:length] if token not in self._silent]
        text = self.processor.tokenizer.decode(said, skip_special_tokens=False).strip()
        finish_reason = "stop" if length < len(ids) else "length"
        return Completion("transformers", self.checkpoint.label, text, finish_reason, tokens_in, length)

    @cached_property
    def _silent(self) -> set[int]:
        """Special tokens, without those that a model sets its reasoning apart by."""
        added = self.processor.tokenizer.added_tokens_decoder
        return {i for i, token in added.items() if token.special and not is_mark(token.content)}

    @property
    def _ends(self) -> set[int]:
        ends = self.model.generation_config.eos_token_id
        return set(ends) if isinstance(ends, list) else {ends}


class _Prepared(NamedTuple):
    request: ChatRequest
    text: str
    pictures: list[Any]


def _alike(
    rows: "list[tuple[_Prepared, asyncio.Future[Completion]]]",
) -> "list[list[tuple[_Prepared, asyncio.Future[Completion]]]]":
    groups: dict[Any, list[tuple[_Prepared, asyncio.Future[Completion]]]] = {}
    for row in rows:
        request = row[0].request
        kind = (request.max_tokens, str(request.parameters), len(row[0].pictures))
        groups.setdefault(kind, []).append(row)
    return list(groups.values())


def _message(message: Any) -> chat.Message:
    text = message.text if message.role == "system" else shielded(message.text)
    parts: list[dict[str, str]] = [{"type": "text", "text": text}] if text else []
    if message.picture is not None:
        parts.insert(0, {"type": "image"})
    return {"role": message.role, "content": parts}


def _loaded(checkpoint: Checkpoint, device: str) -> tuple[Any, Any]:
    import torch

    processor = load_part(checkpoint, _processor)
    if not getattr(processor, "chat_template", None):
        raise UserError(f"model {checkpoint.source!r} has no chat template; take one that is made for chats")
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    dtype = getattr(torch, chosen_precision("auto", device))
    return processor, load_model(checkpoint, "AutoModelForImageTextToText", dtype=dtype).to(device)


def _processor(folder: Path) -> Any:
    import transformers

    try:
        return transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except ImportError:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        base = transformers.PROCESSOR_MAPPING[type(config)]
        # The video processor of its family needs torchvision, and we have no videos.
        attributes = classmethod(lambda cls: ["image_processor", "tokenizer"])
        images_only: Any = type(base.__name__, (base,), {"get_attributes": attributes})
        return images_only.from_pretrained(folder, video_processor=None)
