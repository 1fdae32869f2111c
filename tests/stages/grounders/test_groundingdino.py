"""The original Grounding DINO: our side with a stand-in for its package, which has the same interface."""

import io
import sys
import types

import pytest
import torch
from PIL import Image

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.common.detector import DetectorInput
from gritmill.stages.grounders.groundingdino import grounder as grounder_module
from gritmill.stages.grounders.groundingdino.grounder import GroundingDinoGrounder

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a the dog cat big . ?".split()
CENTERS = [[0.5, 0.5, 0.2, 0.4], [0.25, 0.25, 0.1, 0.1]]


class Backbone(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.patch_embed = torch.nn.Module()
        self.patch_embed.proj = torch.nn.Conv2d(3, 96, 4)


class Model(torch.nn.Module):
    """As groundingdino's: it tokenizes by itself, and gives 256 logits for each query.

    The first query is sure of every "dog" (id 7), the second of every "cat" and "big".
    """

    def __init__(self, args):
        super().__init__()
        parts = sys.modules["groundingdino.util.get_tokenlizer"]
        self.tokenizer = parts.get_tokenlizer(args.text_encoder_type)
        self.bert = parts.get_pretrained_language_model(args.text_encoder_type)
        self.backbone = torch.nn.ModuleList([Backbone()])

    def forward(self, samples, targets=None, **options):
        assert isinstance(samples, torch.Tensor) and len(options["captions"]) == len(samples)
        tokens = self.tokenizer(options["captions"], padding="longest", return_tensors="pt").to(
            samples.device
        )
        ids = tokens["input_ids"]
        assert (
            set(tokens) == {"input_ids", "attention_mask", "token_type_ids"} and tokens.attention_mask.any()
        )
        logits = torch.full((len(samples), 2, 256), -float("inf"))
        logits[:, :, : ids.shape[1]] = -4
        logits[:, 0, : ids.shape[1]][ids == WORDS.index("dog")] = 4
        logits[:, 1, : ids.shape[1]][(ids == WORDS.index("cat")) | (ids == WORDS.index("big"))] = 2
        return {"pred_logits": logits, "pred_boxes": torch.tensor([CENTERS] * len(samples))}


def refuse(name):
    raise AssertionError(f"{name} would have been fetched from the hub")


@pytest.fixture
def package(monkeypatch):
    """`groundingdino` can be imported, beside a transformers that it works with."""

    def module(name, **names):
        made = types.ModuleType(name)
        made.__dict__.update(names)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    parts = module("groundingdino.util.get_tokenlizer", get_tokenlizer=refuse)
    parts.get_pretrained_language_model = refuse
    module("groundingdino")
    module("groundingdino.util", get_tokenlizer=parts)
    module("groundingdino.models", build_model=Model)
    module("groundingdino.config")
    module("groundingdino.config.GroundingDINO_SwinT_OGC", text_encoder_type="bert-base-uncased")
    monkeypatch.setattr(grounder_module, "versions", lambda: {"transformers": "4.57.1"})


@pytest.fixture
def files(tmp_path, package):
    import transformers

    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    config.save_pretrained(folder)
    parts = sys.modules["groundingdino.util.get_tokenlizer"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "get_tokenlizer", lambda name: tokenizer)
        patch.setattr(parts, "get_pretrained_language_model", lambda name: transformers.BertModel(config))
        weights = Model(types.SimpleNamespace(text_encoder_type="bert-base-uncased")).state_dict()
    # As published: names as DistributedDataParallel makes them, and a leftover of training.
    published = {f"module.{name}": tensor for name, tensor in weights.items()}
    torch.save({"model": published | {"module.label_enc.weight": torch.zeros(2)}}, tmp_path / "swint.pth")
    return tmp_path


def stage(files, **options):
    return GroundingDinoGrounder(
        model=str(files / "swint.pth"), tokenizer=str(files / "bert"), gpus=0, **options
    )


class Picture:
    def __init__(self, width, height):
        file = io.BytesIO()
        Image.new("RGB", (width, height), "red").save(file, "png")
        self.read = file.getvalue


def ground(grounder, *rows):
    grounder.setup()
    pictures, captions, chunks = zip(*rows)
    columns = {"image": list(pictures), "caption": list(captions), "noun_chunks": list(chunks)}
    return grounder.process(columns)["candidates"]


@pytest.mark.parametrize("at_once", [1, 2])
def test_phrases_get_the_boxes_of_their_own_tokens(at_once, files):
    both = (Picture(8, 6), "a dog, a big cat", [Span(0, 5), Span(7, 16)])
    alone = (Picture(8, 6), "the dog", [Span(0, 7)])
    first, second = ground(stage(files, score_threshold=0.5, images_at_once=at_once), both, alone)
    high, low = round(1 / (1 + 2.718281828**-4), 6), round(1 / (1 + 2.718281828**-2), 6)
    assert [(c.span, c.phrase, c.score) for c in first] == [
        (Span(0, 5), "a dog", high),
        (Span(7, 16), "a big cat", low),
    ]
    assert first[0].box == Box(0.4, 0.3, 0.6, 0.7)
    assert first[0].model.startswith("swint.pth@") and len(first[0].model) == len("swint.pth@") + 12
    assert [(c.span, c.score) for c in second] == [(Span(0, 7), high)]


def test_only_questions_with_the_same_masks_share_a_pass(files):
    grounder = stage(files)
    grounder.setup()
    pixels = torch.zeros(3, 8, 8)
    kinds = [
        grounder._detector.kind(DetectorInput(pixels, phrases, (8, 8)))
        for phrases in (["a dog", "big cat"], ["the cat", "a dog"], ["a big dog", "cat"], ["a dog"])
    ]
    assert kinds[0] == kinds[1] and len(set(kinds)) == 3


def test_a_phrase_s_score_can_be_the_mean_of_its_tokens(files):
    [[found, *_]] = ground(stage(files, aggregation="mean"), (Picture(8, 6), "a big cat", [Span(0, 9)]))
    a, big = 1 / (1 + 2.718281828**4), 1 / (1 + 2.718281828**-2)
    assert found.score == pytest.approx((a + 2 * big) / 3, abs=1e-6)


def test_images_are_seen_as_by_the_authors_code(files):
    grounder = stage(files)
    grounder.setup()
    seen = grounder._detector.pixels(Image.new("RGB", (640, 480), (255, 0, 0)))
    assert seen.shape == (3, 800, 1066)
    assert seen[:, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])


def test_its_workers_have_an_older_transformers(files, monkeypatch):
    assert GroundingDinoGrounder.pinned_packages["transformers"].startswith("4.")
    monkeypatch.setattr(grounder_module, "versions", lambda: {"transformers": "5.23.0"})
    with pytest.raises(UserError, match=r"does not work with transformers 5\.23\.0; `pipeline run` on Ray"):
        stage(files).setup()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no weights", "cannot be loaded as weights"),
        ({"model": {"a": torch.zeros(2)}}, "holds no Grounding DINO of a size that is known"),
        ({"model": {"backbone.0.patch_embed.proj.weight": torch.zeros(96, 3, 4, 4)}}, "lacks .* weights"),
        ({"model": [1]}, "holds no tensors by name"),
        ({"model": {"backbone.0.patch_embed.proj.weight": torch.zeros(96, 3, 7, 7)}}, "does not fit"),
        ({"model": types.SimpleNamespace(a=1)}, "cannot be loaded as weights"),
    ],
)
def test_a_file_that_will_not_do_is_a_sentence(content, message, files):
    if isinstance(content, bytes):
        (files / "swint.pth").write_bytes(content)
    else:
        torch.save(content, files / "swint.pth")
    with pytest.raises(UserError, match=message):
        stage(files).setup()


def test_a_file_that_is_not_there_is_a_problem(tmp_path):
    grounder = GroundingDinoGrounder(model=str(tmp_path / "none.pth"), tokenizer=str(tmp_path), gpus=0)
    assert "is no file that can be read" in grounder.problems()[0]
    assert "releases" in grounder.problems()[0]
