"""Each family learns eight pictures by heart: processor, dialect, labels, generation, parsing and score."""

import pytest
from scene_questions import example, say, scenes, score

pytestmark = pytest.mark.slow

STEPS = 900


def test_eight_pictures_are_learnt_by_heart(loaded):
    """One question for all, so that the answer is in the picture alone."""
    torch = pytest.importorskip("torch")
    model, adapter, _ = loaded
    shown = [scene._replace(expression="the thing") for scene in scenes(8)]
    truths = [adapter.dialect.encode_boxes([scene.box], scene.image.size) for scene in shown]
    tensors = adapter.train_batch([example(scene) for scene in shown]).tensors
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0)
    assert say(model, adapter, shown) != truths
    for step in range(1, STEPS + 1):
        model.train()
        model(**tensors).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        model.eval()
        if step % 100 == 0 and say(model, adapter, shown) == truths:
            break
    said = say(model, adapter, shown)
    assert said == truths
    assert score(adapter, shown, said).value == 1.0
