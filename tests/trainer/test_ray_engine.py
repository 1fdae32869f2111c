"""A training on Ray is one under torchrun, started otherwise."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_training
from tiny_training import curve, options, weights

from gritmill.schemas.errors import UserError
from gritmill.trainer.train import train

pytestmark = pytest.mark.ray

ray = pytest.importorskip("ray", reason="needs ray")
pytest.importorskip("ray.train", reason="needs what Ray Train is made of")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_workers_of_ray_train_as_one_process(shards: Path, tmp_path: Path) -> None:
    from gritmill.trainer.ray_engine import train_on_ray

    still = tiny_training.save_llava(tmp_path / "still", dropout=0.0)
    train(options(still, accumulate=2, batch_size=2), str(shards), str(tmp_path / "one"), {})

    two = tmp_path / "two"
    trained = train_on_ray(options(still, batch_size=2), str(shards), str(two), {}, workers=2)

    assert trained.steps == 8 and trained.model_dir == two / "model"
    assert [line["loss"] for line in curve(two)] == pytest.approx(
        [line["loss"] for line in curve(tmp_path / "one")], rel=1e-4
    )
    before = weights(two / "model")
    again = train_on_ray(options(still, batch_size=2), str(shards), str(two), {}, workers=2)
    assert again == trained and weights(two / "model") == before


def test_a_mistake_is_told_in_a_sentence(llava: Path, tmp_path: Path) -> None:
    from gritmill.trainer.ray_engine import train_on_ray

    with pytest.raises(UserError, match="has no shards of a split 'train'"):
        train_on_ray(options(llava), str(tmp_path / "nothing"), str(tmp_path / "out"), {}, workers=1)
