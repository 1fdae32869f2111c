"""Against mmdetection's GLIP, whose answers `make_reference.py` has kept."""

from pathlib import Path

import numpy as np
import pytest
import tiny_glip
import torch

from gritmill.stages.grounders.glip import config
from gritmill.stages.grounders.glip.model import Glip

REFERENCE = Path(__file__).parent / "reference"


def loaded(sizes):
    with torch.device("meta"):
        model = Glip(sizes)
    weights = tiny_glip.weights(sizes, prefix="")
    model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()}, assign=True)
    return model.eval()


@pytest.mark.parametrize("variant", tiny_glip.CONFIGS)
@pytest.mark.parametrize("height, width", tiny_glip.SIZES)
def test_outputs_are_those_of_mmdetection(variant, height, width):
    theirs = np.load(REFERENCE / f"{variant}_{height}x{width}.npz")
    pixels = torch.from_numpy(tiny_glip.pixels(height, width))
    with torch.inference_mode():
        levels = loaded(tiny_glip.CONFIGS[variant])(
            pixels, torch.from_numpy(theirs["ids"]), torch.from_numpy(theirs["mask"])
        )
    assert [level.size for level in levels][-1] == (-(-height // 128), -(-width // 128))
    padding = theirs["mask"][:, None, :] == 0
    ours = {
        "logits": np.where(padding, theirs["logits"], torch.cat([level.logits for level in levels], 1)),
        "boxes": torch.cat([level.differences for level in levels], 1).numpy(),
        "centredness": torch.cat([level.centredness for level in levels], 1).numpy(),
    }
    for name, values in ours.items():
        assert theirs[name].std() > 0.3, "an answer that is the same everywhere proves nothing"
        np.testing.assert_allclose(values, theirs[name], atol=2e-4, rtol=0, err_msg=name)


FULL = {"glip_t": config.GLIP_T, "glip_t_a": config.GLIP_T_A, "glip_l": config.GLIP_L}


@pytest.mark.parametrize("name", FULL)
def test_names_and_shapes_are_the_official_ones(name):
    """As listed when mmdetection's models took them all through its converter of official checkpoints."""
    with torch.device("meta"):
        ours = {f"module.{k}": v.shape for k, v in Glip(FULL[name]).state_dict().items()}
    lines = (REFERENCE / f"{name}.txt").read_text().splitlines()
    theirs = {k: tuple(map(int, shape.split("x"))) for k, shape in map(str.split, lines)}
    assert {k: tuple(shape) for k, shape in ours.items()} == theirs
    shapes = {k.removeprefix("module."): shape for k, shape in theirs.items()}
    assert config.config_of(shapes) == FULL[name]


PUBLISHED = {"glip_t": 232, "glip_l": 430}
"""Millions of parameters (Li et al., 2022, table 2)."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_those_of_the_paper(name):
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Glip(FULL[name]).parameters())
    assert round(parameters / 1e6) == PUBLISHED[name]
