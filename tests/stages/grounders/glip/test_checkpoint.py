"""Checkpoint files as they are published, and ones that are not."""

import pytest
import tiny_glip
import torch

from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.glip.checkpoint import load


class Anything:
    """What a pickle could run."""

    def __reduce__(self):
        return (print, ("executed",))


def tensors(prefix="module."):
    return {k: torch.from_numpy(v) for k, v in tiny_glip.weights(tiny_glip.FUSED, prefix).items()}


def as_published():
    """With what the official files hold beside the weights that are used."""
    unused = {
        "module.language_backbone.body.model.pooler.dense.weight": torch.zeros(2, 2),
        "module.language_backbone.body.model.embeddings.position_ids": torch.arange(64)[None],
        "module.rpn.anchor_generator.cell_anchors.0": torch.zeros(1, 4),
        "module.rpn.head.cls_logits.weight": torch.zeros(80, 32, 1, 1),
        "module.backbone.body.layers.0.blocks.0.attn.relative_position_index": torch.zeros(16, 16).long(),
    }
    return {"model": tensors() | unused, "optimizer": {"state": {0: torch.zeros(3)}}, "iteration": 5}


FORMS = {
    "as published": as_published,
    "bare": tensors,
    "without the wrapper": lambda: {"model": tensors(prefix="")},
    "half precision": lambda: {"model": {k: v.half() for k, v in tensors().items()}},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [True, False])
def test_forms_of_a_checkpoint(form, zipped, tmp_path):
    path = tmp_path / "glip.pth"
    torch.save(FORMS[form](), path, _use_new_zipfile_serialization=zipped)
    state = load(path).state_dict()
    expected = tensors(prefix="")
    assert state.keys() == expected.keys()
    tolerance = 1e-3 if form == "half precision" else 0
    for name, tensor in state.items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, expected[name], atol=tolerance, rtol=tolerance)


def without(*parts):
    return {k: v for k, v in tensors().items() if not any(part in k for part in parts)}


WRONG = {
    "a weight is missing": (
        lambda: without("fpn_inner3.bias"),
        "lacks 1 of GLIP's weights, such as backbone.fpn.fpn_inner3.bias",
    ),
    "a whole part is missing": (lambda: without("language_backbone"), "no checkpoint of GLIP: no usable"),
    "no layers": (lambda: without("body.layers"), "no usable .*backbone.body.layers.0.blocks.0.attn"),
    "another detector": (
        lambda: {"model": {"bbox_embed.0.weight": torch.zeros(4, 4)}},
        "no checkpoint of GLIP",
    ),
    "one weight too many": (
        lambda: tensors() | {"module.roi_heads.mask.weight": torch.zeros(2)},
        "holds 1 weights that GLIP has not, such as roi_heads.mask.weight",
    ),
    "another shape": (
        lambda: tensors() | {"module.rpn.head.centerness.weight": torch.zeros(1, 16, 1, 1)},
        r"centerness.weight is \[1, 16, 1, 1\] where \[1, 32, 1, 1\] is due",
    ),
    "no tensors": (lambda: {"model": {"a": 1}}, "holds no tensors by name"),
    "a list": (lambda: [torch.zeros(2)], "holds no tensors by name"),
    "something to execute": (lambda: {"model": Anything()}, "cannot be loaded as weights"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_checkpoint_of_glip(name, tmp_path, capsys):
    content, message = WRONG[name]
    path = tmp_path / "glip.pth"
    torch.save(content(), path)
    with pytest.raises(UserError, match=message) as raised:
        load(path)
    assert "\n" not in str(raised.value)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_is_cut_off(share, tmp_path):
    path = tmp_path / "glip.pth"
    torch.save(as_published(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match="cannot be loaded as weights") as raised:
        load(path)
    assert "\n" not in str(raised.value)
