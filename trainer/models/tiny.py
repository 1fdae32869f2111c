"""`train: {model: tiny}`: LLaVA's architecture, small enough for a CPU, from scratch.

CLIP's encoder over 8 x 8 patches of a 64-pixel picture, a projection, a Llama of four layers: 0.9 million
parameters. Its tokenizer is learnt from the conversations that it will be trained on.

What lets it learn to point within minutes: positions of patches, and tokens of coordinates, begin as
sinusoids of their place (Vaswani et al., 2017), so that near places look alike before anything is learnt;
all other weights begin larger than the library's 0.02, which is meant for widths of a thousand, and
embeddings larger still, so that words are not drowned by what attention adds to them; the language model
sees each patch twice, as it is and as the encoder has it (LLaVA's list of feature layers), because the
encoder forgets what finding things does not need at first, such as colours. docs/training.md has the
measurements.
"""

import math
from collections.abc import Iterable
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gritmill.schemas.conversations import IMAGE, render
from gritmill.schemas.dialects import DIALECTS, Dialect
from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Train
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.models.base import Adapter
from gritmill.trainer.models.llava import LlavaAdapter

NAME = "tiny"
DIALECT = "tiny"
VOCABULARY = 512
TEXTS = 2000
"""So many samples, spread over all, teach the tokenizer its words."""
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", IMAGE, "USER:", "ASSISTANT:")
ROPE_THETA = 100_000.0
"""Ten times the library's: most of a head then compares what things look like, however far apart."""
EMBEDDING_STD = 0.5
"""As large as what the picture's encoder gives; the last norm begins small instead."""
WAVES = 4
"""The finest sinusoid has 2**WAVES half periods over the picture."""


class TinyOptions(BaseModel):
    """`train.model_options` of the model `tiny`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    side: int = Field(default=64, ge=16, le=1024)
    """Pixels of the square that it sees."""
    patch: int = Field(default=8, ge=4)
    """Pixels of a patch's side."""
    width: int = Field(default=128, ge=16, multiple_of=16)
    """Of both transformers."""
    heads: int = Field(default=4, ge=1)
    """Attention heads of a layer of the language model."""
    vision_heads: int = Field(default=2, ge=1)
    """Attention heads of a layer of the picture's encoder."""
    vision_layers: int = Field(default=1, ge=1)
    """Layers of the picture's encoder."""
    layers: int = Field(default=4, ge=1)
    """Layers of the language model."""
    std: float = Field(default=0.06, gt=0)
    """Standard deviation of the weights at the beginning."""


def from_options(options: Train, dataset: Any) -> tuple[Any, Adapter]:
    """The model that a recipe asks for, to be trained on a `Mixture` or a stream. Raises `UserError`."""
    try:
        sizes = TinyOptions.model_validate(options.model_options)
    except ValidationError as error:
        [detail, *_] = error.errors()
        place = ".".join(map(str, detail["loc"]))
        raise UserError(f"train.model_options.{place}: {detail['msg']} (got {detail['input']!r})") from error
    name = options.dialect or DIALECT
    if name not in DIALECTS:
        raise UserError(f"there is no dialect {name!r}; `pipeline dialects` lists them")
    some = (
        (dataset[i] for i in range(0, len(dataset), max(1, len(dataset) // TEXTS)))
        if hasattr(dataset, "__len__")
        else islice(dataset, TEXTS)
    )
    return build(some, sizes, DIALECTS[name], options.max_length)


def build(
    samples: Iterable[Example | Bad], options: TinyOptions, dialect: Dialect, max_length: int
) -> tuple[Any, Adapter]:
    """A new model and its adapter; draws from torch's generator. `samples` teach the tokenizer."""
    adapter = LlavaAdapter(_processor(_texts(samples, dialect), options, dialect), dialect, max_length)
    return _model(adapter.processor.tokenizer, options, dialect, max_length), adapter


def _texts(samples: Iterable[Example | Bad], dialect: Dialect) -> Iterable[str]:
    for sample in samples:
        if isinstance(sample, Example):
            for _, text in render(sample.conversation, dialect, sample.image.size):
                yield text.replace(IMAGE, " ")


def _processor(texts: Iterable[str], options: TinyOptions, dialect: Dialect) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106 (no secret)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [*SPECIAL, *dialect.tokens()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    size = len(special) + len(alphabet) + VOCABULARY
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        additional_special_tokens=[IMAGE],
        clean_up_tokenization_spaces=False,
    )
    square = {"height": options.side, "width": options.side}
    images = CLIPImageProcessorPil(
        size=square, crop_size=square, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_center_crop=False
    )
    return LlavaProcessor(
        images,
        fast,
        patch_size=options.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def _model(tokenizer: Any, options: TinyOptions, dialect: Dialect, max_length: int) -> Any:
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    shape = {"hidden_size": options.width, "intermediate_size": 2 * options.width}
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in _IDS.items()}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            **shape,
            num_attention_heads=options.vision_heads,
            num_hidden_layers=options.vision_layers,
            image_size=options.side,
            patch_size=options.patch,
            projection_dim=options.width,
            hidden_act="gelu",
        ),
        text_config=LlamaConfig(
            **shape,
            **ids,
            num_attention_heads=options.heads,
            vocab_size=len(tokenizer),
            num_hidden_layers=options.layers,
            max_position_embeddings=max_length,
            initializer_range=options.std,
            attention_bias=True,
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
            tie_word_embeddings=True,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=[0, -1],
        vision_feature_select_strategy="default",
        image_seq_length=(options.side // options.patch) ** 2,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        _begin(model, options)
        _place(model, tokenizer, options, dialect)
    return model


_IDS = {"pad_token_id": "<pad>", "bos_token_id": "<s>", "eos_token_id": "</s>"}


def _begin(model: Any, options: TinyOptions) -> None:
    import torch

    for name, weight in model.named_parameters():
        if "patch_embedding" in name:
            torch.nn.init.normal_(weight, std=1 / math.sqrt(3 * options.patch**2))
        elif weight.ndim == 2 and "embed" not in name and "lm_head" not in name:
            torch.nn.init.normal_(weight, std=options.std)
        elif name.endswith(("q_proj.bias", "k_proj.bias", "v_proj.bias", "o_proj.bias")):
            torch.nn.init.zeros_(weight)
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=EMBEDDING_STD)
    torch.nn.init.constant_(model.model.language_model.norm.weight, options.std / EMBEDDING_STD)


def _place(model: Any, tokenizer: Any, options: TinyOptions, dialect: Dialect) -> None:
    """Sinusoids for the places of patches, first of x then of y, and for the tokens of coordinates."""
    import torch

    side = options.side // options.patch
    middles = (torch.arange(side) + 0.5) / side
    waves = _waves(middles, options.width // 2)
    x = waves.expand(side, side, -1)
    y = waves[:, None].expand(side, side, -1)
    positions = next(m for name, m in model.named_modules() if name.endswith("position_embedding"))
    positions.weight[1:] = torch.cat([x, y], dim=2).flatten(0, 1)
    numbers = dialect.numbers.all()
    bins = [t for t in dialect.tokens() if any(c.isdigit() for c in t)]
    if len(bins) == len(numbers):
        places = (torch.arange(len(bins)) + 0.5) / len(bins)
        rows = tokenizer.convert_tokens_to_ids(bins)
        scale = EMBEDDING_STD * math.sqrt(2)
        model.get_input_embeddings().weight[rows] = scale * _waves(places, options.width)


def _waves(places: Any, width: int) -> Any:
    """places (n), 0..1 -> (n, width): sines, then cosines, from half a period to 2**WAVES of them."""
    import torch

    frequencies = 2 ** torch.linspace(0, WAVES, width // 2)
    angles = math.pi * places[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
