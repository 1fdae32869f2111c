"""Shards as a map-style dataset, also in the workers of a loader and on an object store."""

import json
import os
import pickle
from pathlib import Path

import fsspec
import pytest
from torch.utils.data import DataLoader

from gritmill.pipeline.storage import ranges
from gritmill.schemas.errors import UserError
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.data.reading import BadSample
from gritmill.trainer.data.shards import Mixture, ShardDataset, checksums, open_split, split_shards
from tests.trainer.data.conftest import make_image, make_members, make_record, make_tar, write_shards


def test_what_the_pipeline_made_is_read_back(scenes: Path) -> None:
    dataset = open_split(str(scenes), "train")
    records = [json.loads(content) for content in _members(scenes, "train", ".json")]
    assert dataset.keys == [record["key"] for record in records]
    assert dataset.image_ids == [record["image_id"] for record in records]
    assert dataset.boxes.tolist() == [len(record["ref_exps"]) for record in records]
    assert len({*dataset._shard.tolist()}) > 1
    tasks = set()
    for i, record in enumerate(records):
        example = dataset[i]
        assert isinstance(example, Example), example
        assert (example.key, example.image_id) == (record["key"], record["image_id"])
        assert example.image.size == dataset.image(i).size == (record["width"], record["height"])
        assert dataset.record(i) == record
        tasks |= {turn.task for turn in example.conversation.turns}
    assert tasks == {"caption", "grounded_caption", "phrase_grounding", "rec", "reg"}
    held_out = open_split(str(scenes), "validation")
    assert not {*held_out.image_ids} & {*dataset.image_ids}


def _members(folder: Path, split: str, extension: str) -> list[bytes]:
    import tarfile

    found = []
    for path in sorted((folder / "data").glob(f"{split}-*.tar")):
        with tarfile.open(path) as tar:
            files_in = [tar.extractfile(member) for member in tar if member.name.endswith(extension)]
            found += [file.read() for file in files_in if file is not None]
    return found


def test_checksums_are_those_of_the_dataset(scenes: Path, tmp_path: Path) -> None:
    sums = checksums(split_shards(str(scenes), "train"))
    lines = (scenes / "SHA256SUMS").read_text().splitlines()
    listed = {line[66:]: line[:64] for line in lines}
    assert sums == {path: digest for path, digest in listed.items() if path.startswith("data/train")}
    assert sums
    [path] = write_shards(tmp_path, 1, 1)
    assert checksums([path]) == {}


def test_bad_samples_are_bad_and_the_others_good(tmp_path: Path) -> None:
    record = json.dumps(make_record(0)).encode()
    members = [
        *make_members([0]),
        ("b.jpg", b"broken"),
        ("b.json", json.dumps({"key": "its own key", **make_record(0)}).encode()),
        ("c.jpg", make_image()),
        ("c.json", b"{"),
        ("d.jpg", make_image()),
        ("e.json", record),
        *make_members([5]),
    ]
    path = tmp_path / "some.tar"
    path.write_bytes(make_tar(members))
    dataset = ShardDataset([str(path)])
    items = [dataset[i] for i in range(len(dataset))]
    assert [type(item) for item in items] == [Example, Bad, Bad, Bad, Bad, Example]
    reasons = [(bad.key, bad.reason.split(":")[0]) for bad in items if isinstance(bad, Bad)]
    assert reasons == [("its own key", "image"), ("c", "record"), ("d", "record"), ("e", "image")]
    with pytest.raises(BadSample, match="image"):
        dataset.image(1)
    with pytest.raises(BadSample, match="record"):
        dataset.record(2)


def test_image_and_record_may_lie_far_apart(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    record = json.dumps(make_record(0)).encode()
    path.write_bytes(make_tar([("a.json", record), ("a.npy", bytes(200_000)), ("a.jpg", make_image())]))
    assert isinstance(ShardDataset([str(path)])[0], Example)


def test_members_larger_than_the_limit_are_not_read(tmp_path: Path, monkeypatch) -> None:
    [path] = write_shards(tmp_path, 1, 1)
    dataset = ShardDataset([path])
    monkeypatch.setattr("gritmill.trainer.data.shards.MAX_IMAGE", 10)
    bad = dataset[0]
    assert isinstance(bad, Bad)
    assert bad.reason.endswith("bytes are more than 10")


def test_a_shard_that_shrinks_under_way_gives_bad_samples(tmp_path: Path) -> None:
    [path] = write_shards(tmp_path, 1, 3)
    dataset = ShardDataset([path])
    os.truncate(path, 4096)
    assert isinstance(dataset[0], Example)
    assert dataset[2] == Bad("000002", f"image: {path} ends early")


def test_it_travels_with_nothing_open(tmp_path: Path) -> None:
    dataset = ShardDataset(write_shards(tmp_path, 2, 4))
    first = dataset[5]
    again = pickle.loads(pickle.dumps(dataset))
    assert not again._ranges._open
    assert again[5].key == first.key
    # Some dozen bytes for a sample, not its records.
    assert len(pickle.dumps(dataset)) < 5_000


def test_few_files_are_open_at_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ranges, "MAX_OPEN", 3)
    dataset = ShardDataset(write_shards(tmp_path, 8, 1))
    before = _open_files()
    assert all(isinstance(dataset[i % 8], Example) for i in range(24))
    assert _open_files() == before + 3
    del dataset
    assert _open_files() == before


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_loader_workers_read_the_same(tmp_path: Path) -> None:
    dataset = ShardDataset(write_shards(tmp_path, 2, 8))
    dataset[0]  # so that a file is open when the workers start
    loader = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=_keys_and_pixels)
    found = [pair for batch in loader for pair in batch]
    assert found == _keys_and_pixels([dataset[i] for i in range(16)])


def _keys_and_pixels(examples: list[Example | Bad]) -> list[tuple[str, bytes]]:
    return [(e.key, e.image.tobytes()[:3] if isinstance(e, Example) else b"") for e in examples]


def test_a_mixture_is_one_after_the_other(tmp_path: Path) -> None:
    one = ShardDataset(write_shards(tmp_path / "one", 2, 3, boxes=lambda n: 1))
    two = ShardDataset(write_shards(tmp_path / "two", 1, 4, boxes=lambda n: n))
    both = Mixture([one, two])
    assert [both[i].key for i in range(len(both))] == one.keys + two.keys
    assert [boxes.tolist() for boxes in both.boxes] == [[1] * 6, [0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no shards of a split 'train'; make it first"),
        (["test-00000-of-00001.tar", "validation-00000-of-00001.tar"], "it has test, validation"),
        (["train-00000-of-00003.tar", "train-00002-of-00003.tar"], "has 2 of 3 shards of train"),
        (["train-00000-of-00001.tar", "train-00000-of-00002.tar"], "train of 1 and of 2"),
    ],
)
def test_a_split_that_is_not_there_says_what_to_do(names: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in names:
        (tmp_path / "data" / name).touch()
    with pytest.raises(UserError, match=message):
        split_shards(str(tmp_path), "train")


def test_strangers_shards_may_lie_right_in_the_folder(tmp_path: Path) -> None:
    real = tmp_path / "blobs"
    real.mkdir()
    (real / "blob").write_bytes(make_tar(make_members(range(2))))
    (tmp_path / "train-00000-of-00001.tar").symlink_to(real / "blob")
    assert len(open_split(str(tmp_path), "train")) == 2


def test_shards_without_samples_are_an_error(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, 2, 0)
    with pytest.raises(UserError, match="there is no sample"):
        ShardDataset(paths)


def test_an_object_store_is_read_by_ranges(s3: str, tmp_path: Path) -> None:
    local = write_shards(tmp_path, 2, 5)
    fs = fsspec.filesystem("s3")
    for path in local:
        fs.put_file(path, f"{s3}/set/data/{Path(path).name}")
    (tmp_path / "SHA256SUMS").write_text(f"{'a' * 64}  data/{Path(local[0]).name}\n")
    fs.put_file(str(tmp_path / "SHA256SUMS"), f"{s3}/set/SHA256SUMS")
    dataset = open_split(f"{s3}/set", "train")
    assert fs.exists(f"{s3}/set/data/.index/train-00000-of-00002.tar.arrow")
    here = ShardDataset(local)
    assert dataset.keys == here.keys
    assert checksums(dataset.shards) == {"data/train-00000-of-00002.tar": "a" * 64}
    loader = DataLoader(dataset, batch_size=3, num_workers=2, collate_fn=_keys_and_pixels)
    found = [pair for batch in loader for pair in batch]
    assert found == _keys_and_pixels([here[i] for i in range(10)])
    with pytest.raises(UserError, match="has no shards"):
        open_split(f"{s3}/none", "train")
