"""Scores by tiny models: ONNX graphs whose answers can be worked out, ViTs of the real architecture."""

import numpy as np
import pytest
from memory_images import noise, stored
from PIL import Image

from gritmill.schemas.columns import Reject
from gritmill.schemas.errors import UserError
from gritmill.schemas.images import decode
from gritmill.stages.filters.image_score import Aesthetic, Nsfw, Watermark

RED, BLUE = (stored(Image.new("RGB", (64, 48), name), "PNG") for name in ("red", "blue"))
PLAIN = {"image_mean": (0, 0, 0), "image_std": (1, 1, 1)}


@pytest.fixture
def save_onnx(tmp_path):
    """Writes a model that gives the mean of each channel: red 1, 0, 0."""
    onnx = pytest.importorskip("onnx", reason="makes models with onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    from onnx import TensorProto, helper

    def save(shape=("n", 3, 32, 32), axes=(2, 3), name="model.onnx"):
        given = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
        made = helper.make_tensor_value_info("scores", TensorProto.FLOAT, (shape[0], 3))
        node = helper.make_node("ReduceMean", ["image", "axes"], ["scores"], keepdims=0)
        over = helper.make_tensor("axes", TensorProto.INT64, [2], axes)
        graph = helper.make_graph([node], "mean", [given], [made], [over])
        path = tmp_path / name
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, path)
        return str(path)

    return save


def scored(kind, images, **options):
    stage = kind(device="cpu", **options)
    assert stage.problems() == []
    stage.setup()
    [column] = stage.process({"image": images}).values()
    return column


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        (("n", 3, 32, 32), (2, 3)),
        (("n", 3, "h", "w"), (2, 3)),
        ((1, 3, 32, 32), (2, 3)),
        ((4, 3, 32, 32), (2, 3)),
        (("n", 32, 32, 3), (1, 2)),
    ],
)
def test_an_onnx_file_of_any_usual_shape_gives_its_score(save_onnx, shape, axes):
    model = save_onnx(shape, axes)
    found = scored(Aesthetic, [RED, BLUE, RED], model=model, label=0, min_aesthetic=0.5, **PLAIN)
    assert found == [1.0, Reject("ugly", 0.0, 0.5), 1.0]


@pytest.mark.parametrize(("activation", "value"), [("none", 1.0), ("sigmoid", 0.7311), ("softmax", 0.5761)])
def test_logits_become_scores_where_asked(save_onnx, activation, value):
    options = {"model": save_onnx(), "label": 0, "activation": activation, **PLAIN}
    assert scored(Nsfw, [RED], max_nsfw=None, **options) == [value]
    assert scored(Nsfw, [RED], max_nsfw=0.5, **options) == [Reject("nsfw", value, 0.5)]
    assert scored(Nsfw, [RED], max_nsfw=0.5, mode="measure", **options) == [value]


def test_the_middle_is_cut_out_or_the_whole_squeezed(save_onnx):
    banner = Image.new("RGB", (300, 100), "blue")
    banner.paste("red", (100, 0, 200, 100))
    options = {"model": save_onnx(), "label": 0, "max_watermark": None, **PLAIN}
    [cut] = scored(Watermark, [stored(banner, "PNG")], **options)
    [whole] = scored(Watermark, [stored(banner, "PNG")], crop=False, **options)
    assert cut > 0.95 and whole == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the model has 3 classes; let label say which of them counts"),
        ({"label": 3}, "label 3 is none of the model's 3 classes"),
        ({"label": "red"}, "label 'red' is none of the model's 3 classes"),
        ({"label": 0, "device": "cuda"}, "onnxruntime has no CUDA here"),
    ],
)
def test_what_does_not_fit_is_a_sentence_before_any_row_is_lost(save_onnx, options, message):
    stage = Nsfw(model=save_onnx(), max_nsfw=0.5, **options)
    with pytest.raises(UserError, match=message):
        stage.setup()


def test_files_that_are_no_models_are_a_sentence(save_onnx, tmp_path):
    [said] = Nsfw(model="no/such.onnx", max_nsfw=0.5).problems()
    assert said == "model 'no/such.onnx' is no file that can be read; give the path of an ONNX file"
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"model '.*broken.onnx' cannot be loaded"):
        Nsfw(model=str(tmp_path / "broken.onnx"), max_nsfw=0.5).setup()
    with pytest.raises(UserError, match="give one with a single image"):
        Nsfw(model=save_onnx(("n", 1, 32, 32), (2, 3)), max_nsfw=0.5, label=0).setup()


def test_another_file_makes_another_fingerprint(save_onnx):
    one = Nsfw(model=save_onnx(name="one.onnx"), max_nsfw=0.5)
    two = Nsfw(model=save_onnx((1, 3, 32, 32), name="two.onnx"), max_nsfw=0.5)
    assert one.revision()["model"] != two.revision()["model"]
    assert one.needed_weights()[0].origin == "disk"


@pytest.fixture(scope="module", params=["single", "multi", "one"])
def vit(request, tmp_path_factory):
    """A ViT of two classes, of two classes that may both hold, or of a single number."""
    torch = pytest.importorskip("torch", reason="needs the extra `grounders`")
    hf = pytest.importorskip("transformers", reason="needs the extra `grounders`")
    folder = tmp_path_factory.mktemp("vit")
    kinds = {"single": "single_label_classification", "multi": "multi_label_classification"}
    names = ["aesthetic"] if request.param == "one" else ["nsfw", "normal"]
    config = hf.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        problem_type=kinds.get(request.param),
    )
    torch.manual_seed(0)
    hf.ViTForImageClassification(config).save_pretrained(folder)
    hf.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder), request.param


def test_a_checkpoint_of_transformers_gives_its_score(vit):
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    folder, kind = vit
    images = [stored(noise(64, 64), "PNG"), RED]
    label = None if kind == "one" else "normal"
    found = scored(Aesthetic, images, model=folder, label=label, min_aesthetic=None)
    pixels = AutoImageProcessor.from_pretrained(folder)(
        [decode(i.read()) for i in images], return_tensors="pt"
    )
    with torch.inference_mode():
        logits = AutoModelForImageClassification.from_pretrained(folder).eval()(**pixels).logits
    expected = {
        "one": lambda: logits[:, 0],
        "single": lambda: logits.softmax(-1)[:, 1],
        "multi": lambda: logits.sigmoid()[:, 1],
    }[kind]()
    assert found == pytest.approx(expected.tolist(), abs=2e-4)
    assert not np.isclose(found[0], found[1], atol=1e-4)


def test_a_label_that_the_checkpoint_does_not_have_is_a_sentence(vit):
    folder, kind = vit
    with pytest.raises(UserError, match="label 'porn' is none of the model's; it has: "):
        Nsfw(model=folder, label="porn", max_nsfw=0.5).setup()
