"""Asks mmdetection's GLIP what the weights of `tests/support/tiny_glip.py` give, and keeps the answers.

mmdetection is an implementation of its own (other Swin, other pyramid, other head), known to reach the
published scores with the official weights. Its own converter of official checkpoints reads our names.
Compared are, for a GLIP with fusion and one without: the raw outputs of every level for a batch of two
images with prompts of different length, and the boxes that its whole pipeline gives for a picture. The names
and shapes of the full-size GLIP-T, GLIP-T (A) and GLIP-L are checked against its models and kept, too.

Made with Python 3.11 and torch 2.13.0+cpu, transformers 4.40.2, numpy 2.2.6, mmengine 0.10.7,
mmcv-lite 2.1.0 and mmdet 3.3.0. mmcv-lite has no operators: the deformable convolution's is compiled from the
source distribution of onedl-mmcv 2.3.6, which carries mmcv's on, and the suppression is written out below.

    pip download --no-deps onedl-mmcv==2.3.6 && tar xf onedl_mmcv-2.3.6.tar.gz
    PYTHONPATH=.:tests/support python tests/stages/grounders/glip/make_reference.py onedl_mmcv-2.3.6
"""

# mypy: ignore-errors
# ruff: noqa: C408 configs are written like this there

import ctypes
import importlib.util
import subprocess
import sys
import tempfile
import types
from functools import partial
from pathlib import Path

import numpy as np
import tiny_glip
import torch

from gritmill.stages.grounders.glip.config import GLIP_L, GLIP_T, GLIP_T_A, Config
from gritmill.stages.grounders.glip.model import Glip

HERE = Path(__file__).parent / "reference"
FULL = {"glip_t": GLIP_T, "glip_t_a": GLIP_T_A, "glip_l": GLIP_L}
WRAPPER = """
extern "C" void im2col(const float *image, const float *offset, const float *mask, int channels, int height,
                       int width, int stride, int height_col, int width_col, float *columns) {
  modulated_deformable_im2col_cpu_kernel<float>(
      channels * height_col * width_col, image, offset, mask, height, width, 3, 3, 1, 1, stride, stride, 1, 1,
      channels, 1, channels, 1, height_col, width_col, columns);
}
"""


class Stubs(types.ModuleType):
    """A module that has everything, for operators that GLIP does not use."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (torch.nn.Module,), {})


def compiled_kernel(source: Path, build: Path) -> ctypes.CDLL:
    """mmcv's own reading of the taps: the part of its file that needs no headers of torch."""
    text = (source / "mmcv/ops/csrc/pytorch/cpu/modulated_deform_conv.cpp").read_text()
    kernels = text[text.index("template <typename T>") : text.index("void modulated_deformable_im2col_cpu(")]
    (build / "kernel.cpp").write_text("#include <cmath>\n" + kernels + WRAPPER)
    command = ["g++", "-O2", "-shared", "-fPIC", build / "kernel.cpp", "-o", build / "kernel.so"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(build / "kernel.so"))


def install_operators(kernel: ctypes.CDLL) -> None:
    """Puts `mmcv.ops` in place: the two operators that matter, and stubs."""

    class ModulatedDeformConv2d(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor, offset: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            stride = self.stride[0]
            height, width = ((side + 2 - 3) // stride + 1 for side in x.shape[2:])
            out = []
            for image, image_offset, image_mask in zip(x.contiguous(), offset, mask):
                columns = torch.zeros(x.shape[1] * 9, height * width)
                pointers = [ctypes.c_void_p(t.data_ptr()) for t in (image, image_offset, image_mask)]
                kernel.im2col(
                    *pointers, *image.shape, stride, height, width, ctypes.c_void_p(columns.data_ptr())
                )
                out.append((self.weight.flatten(1) @ columns).unflatten(1, (height, width)))
            return torch.stack(out) + self.bias[:, None, None]

    def batched_nms(boxes, scores, labels, options, class_agnostic=False):
        kept = []
        for i in scores.argsort(descending=True, stable=True).tolist():
            rivals = [j for j in kept if labels[j] == labels[i]]
            if not rivals or box_iou(boxes[i], boxes[rivals]).max() <= options["iou_threshold"]:
                kept.append(i)
        return torch.cat([boxes[kept], scores[kept, None]], dim=1), torch.tensor(kept, dtype=torch.long)

    def box_iou(box, others):
        shared = torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])
        areas = [(b[..., 2:] - b[..., :2]).prod(-1) for b in (box, others)]
        shared = shared.clamp(min=0).prod(-1)
        return shared / (sum(areas) - shared)

    parts = ["carafe", "corner_pool", "deform_conv", "merge_cells", "modulated_deform_conv",
             "multi_scale_deform_attn", "nms", "point_sample", "roi_align", "roi_pool", "saconv"]  # fmt: skip
    for name in ["mmcv.ops", *(f"mmcv.ops.{part}" for part in parts)]:
        module = Stubs(name)
        module.__path__ = []
        module.__dict__.update(ModulatedDeformConv2d=ModulatedDeformConv2d, batched_nms=batched_nms)
        sys.modules[name] = module


def mmdet_model(config: Config, bert: Path) -> torch.nn.Module:
    """mmdetection's GLIP of these sizes, as its configs/glip make one, random weights."""
    from mmdet.models.dense_heads import atss_vlfusion_head
    from mmdet.models.utils import VLFuse
    from mmdet.registry import MODELS
    from mmengine.config import ConfigDict

    # Its sizes are not among its options.
    atss_vlfusion_head.VLFuse = partial(
        VLFuse, v_dim=config.channels, l_dim=config.text_channels, embed_dim=config.fusion_channels
    )
    widths = [config.swin_channels * 2**i for i in range(1, 4)]
    model = MODELS.build(
        dict(
            type="GLIP",
            data_preprocessor=dict(
                type="DetDataPreprocessor",
                mean=[103.53, 116.28, 123.675],
                std=[57.375, 57.12, 58.395],
                bgr_to_rgb=False,
                pad_size_divisor=32,
            ),
            backbone=dict(
                type="SwinTransformer",
                embed_dims=config.swin_channels,
                depths=list(config.swin_depths),
                num_heads=list(config.swin_heads),
                window_size=config.swin_window,
                out_indices=(1, 2, 3),
                convert_weights=False,
            ),
            neck=dict(
                type="FPN",
                in_channels=widths,
                out_channels=config.channels,
                start_level=0,
                relu_before_extra_convs=True,
                add_extra_convs="on_output",
                num_outs=5,
            ),
            bbox_head=dict(
                type="ATSSVLFusionHead",
                lang_model_name=str(bert),
                num_classes=80,
                in_channels=config.channels,
                feat_channels=config.channels,
                num_dyhead_blocks=config.blocks,
                early_fuse=config.fusion_channels > 0,
                anchor_generator=dict(
                    type="AnchorGenerator",
                    ratios=[1.0],
                    octave_base_scale=8,
                    scales_per_octave=1,
                    strides=[8, 16, 32, 64, 128],
                    center_offset=0.5,
                ),
                bbox_coder=dict(
                    type="DeltaXYWHBBoxCoderForGLIP",
                    target_means=[0.0, 0.0, 0.0, 0.0],
                    target_stds=[0.1, 0.1, 0.2, 0.2],
                ),
            ),
            language_model=dict(
                type="BertModel", name=str(bert), max_tokens=min(256, config.positions), pad_to_max=False
            ),
            test_cfg=ConfigDict(
                nms_pre=1000,
                min_bbox_size=0,
                score_thr=0.05,
                nms=dict(type="nms", iou_threshold=0.6),
                max_per_img=1000,
            ),
        )
    )
    return model.eval()


def converted(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Official names -> mmdetection's, by the converter that it ships."""
    import mmdet

    path = Path(mmdet.__file__).parent / ".mim" / "tools" / "model_converters" / "glip_to_mmdet.py"
    spec = importlib.util.spec_from_file_location("glip_to_mmdet", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.convert(weights)


def fits(model: torch.nn.Module, theirs: dict[str, torch.Tensor]) -> None:
    """Every parameter of the model is there, in its shape, and nothing else."""
    wanted = {k: v.shape for k, v in model.state_dict().items() if "relative_position_index" not in k}
    given = {k: v.shape for k, v in theirs.items()}
    assert wanted.keys() == given.keys(), wanted.keys() ^ given.keys()
    for name, shape in wanted.items():  # mmcv's Scale holds a number, the official one a vector of one
        assert shape == given[name] or (".scales." in name and given[name] == (1,)), (
            name,
            shape,
            given[name],
        )


def outputs(model: torch.nn.Module, height: int, width: int) -> dict[str, np.ndarray]:
    """What every level gives for two images with a prompt each."""
    texts = [". ".join(phrases) for phrases in tiny_glip.QUESTIONS.values()]
    pixels = torch.from_numpy(tiny_glip.pixels(height, width))
    language = model.language_model(texts)
    ids = model.language_model.tokenizer(texts, padding=True)
    logits, boxes, centredness = model.bbox_head(model.extract_feat(pixels), language)
    return {
        "ids": np.array(ids["input_ids"]),
        "mask": np.array(ids["attention_mask"]),
        "logits": torch.cat(logits, dim=1).numpy(),
        "boxes": torch.cat([x.flatten(2) for x in boxes], dim=2).transpose(1, 2).numpy(),
        "centredness": torch.cat([x.flatten(2) for x in centredness], dim=2)[:, 0].numpy(),
    }


def detections(model: torch.nn.Module, folder: Path) -> dict[str, np.ndarray]:
    """What its test pipeline finds on a picture: read, resized, padded, asked, suppressed, scaled back."""
    from mmcv.transforms import Compose
    from mmengine.dataset import pseudo_collate
    from PIL import Image

    path = folder / "picture.png"
    Image.fromarray(tiny_glip.picture(*tiny_glip.PICTURE)).save(path)
    import mmdet.datasets.transforms  # noqa: F401 registers them

    pipeline = Compose(
        [
            dict(type="LoadImageFromFile", imdecode_backend="pillow"),
            dict(type="mmdet.FixScaleResize", scale=(800, 1333), keep_ratio=True, backend="pillow"),
            dict(
                type="mmdet.PackDetInputs",
                meta_keys=("img_path", "ori_shape", "img_shape", "scale_factor", "text", "custom_entities"),
            ),
        ]
    )
    question = dict(img_path=str(path), text=". ".join(tiny_glip.QUESTIONS["several"]), custom_entities=True)
    (sample,) = model.test_step(pseudo_collate([pipeline(question)]))
    assert sample.img_shape == (800, 888), sample.img_shape
    found = sample.pred_instances
    return {k: getattr(found, k).numpy() for k in ("bboxes", "scores", "labels")}


@torch.no_grad()
def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install_operators(compiled_kernel(Path(sys.argv[1]), folder))
        import mmdet.models  # noqa: F401 registers them
        from mmengine.registry import init_default_scope
        from transformers import BertConfig, BertModel

        init_default_scope("mmdet")
        HERE.mkdir(exist_ok=True)
        bert = tiny_glip.vocabulary(folder / "bert")
        BertModel(BertConfig.from_pretrained(bert)).save_pretrained(bert)  # it insists on loading one
        for variant, config in tiny_glip.CONFIGS.items():
            model = mmdet_model(config, bert)
            theirs = converted({k: torch.from_numpy(v) for k, v in tiny_glip.weights(config).items()})
            fits(model, theirs)
            model.load_state_dict(theirs, strict=False)
            for height, width in tiny_glip.SIZES:
                answers = outputs(model, height, width)
                np.savez_compressed(HERE / f"{variant}_{height}x{width}.npz", **answers)
            np.savez_compressed(HERE / f"{variant}_detections.npz", **detections(model, folder))
        whole = folder / "bert-base"
        tiny_glip.vocabulary(whole)
        BertModel(BertConfig()).save_pretrained(whole)
        for variant, config in FULL.items():
            with torch.device("meta"):
                ours = Glip(config).state_dict()
            named = {f"module.{k}": torch.zeros(v.shape) for k, v in ours.items()}
            fits(mmdet_model(config, whole), converted(named))
            lines = [f"{k} {'x'.join(map(str, v.shape))}\n" for k, v in sorted(named.items())]
            (HERE / f"{variant}.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
