"""Finished datasets from Python."""

import hashlib
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from gritmill import Dataset, UserError, load_recipe, open_dataset, run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over some drawn scenes."""
    folder = tmp_path_factory.mktemp("made") / "out"
    options = [f"output.dir={folder}", "source.count=20", "output.splits.validation=0.3"]
    run(load_recipe("quickstart", options))
    return folder


def test_samples_are_typed_and_whole(made: Path) -> None:
    samples = list(open_dataset(made))
    assert samples
    for sample in samples:
        assert sample.picture().size == (sample.width, sample.height)
        assert sample.caption in sample.captions
        assert len(sample.ref_exps) == len(sample.boxes) > 0
        assert all(0 <= value <= 1 for box in sample.boxes for value in box.box)
        assert all(box.span.of(sample.caption) for box in sample.boxes)
        assert (sample.conversations, sample.masks, sample.measured) == ([], None, {})
    [shard] = (made / "data").glob("train-*.tar")
    with tarfile.open(shard) as tar:
        images = [tar.extractfile(name).read() for name in tar.getnames() if name.endswith(".jpg")]  # type: ignore[union-attr]
    digests = {hashlib.sha256(image).hexdigest() for image in images}
    assert digests == {hashlib.sha256(sample.image).hexdigest() for sample in open_dataset(made, "train")}


def test_places_and_splits(made: Path) -> None:
    def keys(dataset: Dataset) -> list[str]:
        return [sample.key for sample in dataset]

    everything = open_dataset(made)
    assert keys(everything) == keys(everything)
    train, validation = open_dataset(made, "train"), open_dataset(made, "validation")
    assert sorted(keys(everything)) == sorted(keys(train) + keys(validation))
    assert {sample.split for sample in validation} == {"validation"}
    tars = f"{made}/data/*.tar"
    assert keys(open_dataset(tars)) == keys(everything)
    assert keys(open_dataset(made / "data")) == keys(everything)
    assert keys(open_dataset(sorted((made / "data").iterdir()), "train")) == keys(train)


def test_splits_of_tars_that_are_called_otherwise_are_told_by_their_records(
    made: Path, tmp_path: Path
) -> None:
    for number, shard in enumerate(sorted((made / "data").iterdir())):
        shutil.copy(shard, tmp_path / f"{number}.tar")
    wanted = [sample.key for sample in open_dataset(made, "validation")]
    assert [sample.key for sample in open_dataset(tmp_path, "validation")] == wanted
    with pytest.raises(UserError, match=r"^there is no split 'val'; there are: train, validation$"):
        list(open_dataset(tmp_path, "val"))


def test_what_is_no_dataset_is_said_in_a_sentence(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no dataset: there is no shard"):
        open_dataset(tmp_path)
    with pytest.raises(UserError, match=r"^there is no split 'val'; there are: train, validation$"):
        open_dataset(made, "val")

    shard = next((made / "data").glob("train-*.tar"))
    cut = tmp_path / "cut.tar"
    cut.write_bytes(shard.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"cut\.tar: .*; `pipeline verify` says what is wrong$"):
        list(open_dataset(cut))


@pytest.mark.parametrize(
    "record", [b"", b"[]", b'{"key": "a"}', b'{"key": 3, "caption": null}', b"[" * 99999]
)
def test_a_record_that_is_none_is_said_in_a_sentence(record: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "foreign.tar", "w") as tar:
        for name, data in (("a.jpg", b"image"), ("a.json", record)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    with pytest.raises(UserError, match=r"foreign\.tar: a is no sample of a run \("):
        list(open_dataset(tmp_path / "foreign.tar"))
