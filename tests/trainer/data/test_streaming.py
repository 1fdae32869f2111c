"""Shards from start to end: everything once an epoch, however many readers there are."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import fsspec
import pytest
from torch.utils.data import DataLoader

from gritmill.schemas.errors import UserError
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.data.shards import ShardDataset, split_shards
from gritmill.trainer.data.streaming import StreamingMixture, StreamingShards
from tests.trainer.data.conftest import make_members, make_tar, write_shards


def keys(batch: list[Example | Bad]) -> list[str]:
    return [example.key for example in batch]


def read(stream: StreamingShards, workers: int) -> list[str]:
    loader = DataLoader(stream, batch_size=3, num_workers=workers, collate_fn=keys)
    return [key for batch in loader for key in batch]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_shards(tmp_path_factory.mktemp("set"), 5, 4)


@pytest.mark.parametrize(
    ("count", "world", "workers"),
    [(5, 1, 0), (5, 1, 2), (5, 2, 0), (5, 2, 2), (5, 5, 0), (1, 3, 0), (2, 2, 2), (4, 7, 1)],
)
@pytest.mark.parametrize("epochs", [1, 3])
def test_all_readers_together_read_everything_once_an_epoch(
    count: int, world: int, workers: int, epochs: int, shards: list[str]
) -> None:
    seen: Counter[str] = Counter()
    for rank in range(world):
        stream = StreamingShards(shards[:count], rank=rank, world=world, buffer=5, epochs=epochs)
        seen.update(read(stream, workers))
    assert seen == dict.fromkeys((f"{n:06d}" for n in range(4 * count)), epochs)


def test_readers_of_whole_shards_stay_together(shards: list[str]) -> None:
    """Of 5 shards in 4 epochs, each of 2 ranks reads 10, and not one 12 and the other 8."""
    read_by = [len(read(StreamingShards(shards, rank=rank, world=2, epochs=4), workers=0)) for rank in (0, 1)]
    assert read_by == [40, 40]


def test_it_never_ends_and_every_epoch_has_an_order_of_its_own(shards: list[str]) -> None:
    stream = StreamingShards(shards, buffer=6)
    found = keys(list(islice(stream, 60)))
    epochs = [tuple(found[i : i + 20]) for i in (0, 20, 40)]
    assert all(sorted(epoch) == [f"{n:06d}" for n in range(20)] for epoch in epochs)
    assert len({*epochs, tuple(sorted(epochs[0]))}) == 4
    assert keys(list(islice(StreamingShards(shards, buffer=6), 60))) == found
    assert keys(list(islice(StreamingShards(shards, buffer=6, seed=1), 60))) != found


def test_the_buffer_mixes_shards(shards: list[str]) -> None:
    def jumps(buffer: int) -> int:
        numbers = [int(key) // 4 for key in read(StreamingShards(shards, buffer=buffer, epochs=1), 0)]
        return sum(a != b for a, b in pairwise(numbers))

    assert jumps(buffer=0) == 4
    assert jumps(buffer=12) > 8


def test_a_reader_of_very_few_samples_gets_some(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, 1, 2)
    found = keys(list(islice(StreamingShards(paths, rank=6, world=7), 4)))
    assert len(found) == 4


def test_examples_are_those_of_the_map_style(scenes: Path) -> None:
    paths = split_shards(str(scenes), "train")
    mapped = ShardDataset(paths)
    here = {example.key: example for example in map(mapped.__getitem__, range(len(mapped)))}
    streamed = list(StreamingShards(paths, epochs=1))
    assert len(streamed) == len(here)
    for example in streamed:
        assert isinstance(example, Example)
        there = here[example.key]
        assert isinstance(there, Example)
        assert example._replace(image=there.image) == there
        assert example.image.tobytes() == there.image.tobytes()


def test_bad_samples_pass_through_and_damaged_shards_end_early(tmp_path: Path, caplog) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(make_tar([("a.jpg", b"broken"), ("a.json", b'{"caption": "a dog"}'), ("b.jpg", b"")]))
    cut = tmp_path / "cut.tar"
    cut.write_bytes(make_tar(make_members(range(3)))[:5000])
    found = list(StreamingShards([str(bad), str(cut)], epochs=1, buffer=0))
    kinds = {item.key: type(item) for item in found}
    assert kinds == {"a": Bad, "b": Bad, "000000": Example}
    assert "cut.tar is damaged" in caplog.text


def test_members_beyond_the_limit_are_not_read(shards: list[str], monkeypatch) -> None:
    monkeypatch.setattr("gritmill.trainer.data.streaming.MAX_IMAGE", 10)
    assert {type(item) for item in StreamingShards(shards, epochs=1)} == {Bad}


def test_shards_without_samples_do_not_run_for_ever(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, 2, 0)
    for world in (1, 5):
        with pytest.raises(UserError, match="there is no sample"):
            next(iter(StreamingShards(paths, world=world)))
    with pytest.raises(UserError, match=r"none\.tar cannot be reached"):
        next(iter(StreamingShards([str(tmp_path / "none.tar")])))


def test_a_mixture_draws_by_weight(shards: list[str], tmp_path: Path) -> None:
    other = write_shards(tmp_path, 1, 30, boxes=lambda n: 0)
    mixture = StreamingMixture([StreamingShards(shards), StreamingShards(other)], [1, 0.5])
    examples = [example for example in islice(mixture, 90) if isinstance(example, Example)]
    tasks = Counter(example.conversation.turns[0].task for example in examples)
    assert tasks == {"grounded_caption": 60, "caption": 30}
    loader = DataLoader(mixture, batch_size=5, num_workers=2, collate_fn=keys)
    assert len(list(islice(loader, 4))) == 4


def on(url: str, paths: list[str]) -> list[str]:
    fs, _ = fsspec.core.url_to_fs(url)
    for path in paths:
        fs.pipe_file(f"{url}/data/{Path(path).name}", Path(path).read_bytes())
    return split_shards(url, "train")


def test_an_object_store_is_read_as_a_disk_is(shards: list[str], s3: str) -> None:
    urls = on(f"{s3}/set", shards)
    assert read(StreamingShards(urls, epochs=1), 0) == read(StreamingShards(shards, epochs=1), 0)
    assert sorted(read(StreamingShards(urls, epochs=1), 2)) == [f"{n:06d}" for n in range(20)]


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://streaming-test"
    fsspec.filesystem("memory").rm("/streaming-test", recursive=True)


def test_any_filesystem_will_do(shards: list[str], memory: str) -> None:
    assert sorted(read(StreamingShards(on(memory, shards), epochs=1), 0)) == [f"{n:06d}" for n in range(20)]
