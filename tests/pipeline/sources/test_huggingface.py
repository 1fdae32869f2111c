"""The huggingface source, on what `datasets` writes and on names as the hub has them."""

import io
import json
import os
import subprocess
import sys

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import COMMIT, hub
from PIL import Image
from source_files import CAPTIONS, image_bytes, jpeg, kept, read_all, reasons, write

from gritmill.pipeline.sources.huggingface import HuggingfaceSource, of_split
from gritmill.schemas.errors import UserError

PHOTOS = [jpeg(n) for n in range(len(CAPTIONS))]
FEATURES = datasets.Features(
    {
        "image": datasets.Image(),
        "caption": datasets.Value("string"),
        "others": datasets.List(datasets.Value("string")),
        "n": datasets.Value("int32"),
    }
)


def dataset(photos=PHOTOS, captions=CAPTIONS):
    return datasets.Dataset.from_dict(
        {
            "image": [photo and {"bytes": photo, "path": f"{n}.jpg"} for n, photo in enumerate(photos)],
            "caption": captions,
            "others": [["x", "y"]] * len(captions),
            "n": list(range(len(captions))),
        },
        features=FEATURES,
    )


def source(path, **options):
    return HuggingfaceSource(dataset=str(path), **options)


def check(columns, stem):
    assert reasons(columns) == {}
    assert kept(columns) == [(f"{stem}_{n:06d}", caption) for n, caption in enumerate(CAPTIONS)]
    assert columns["image_id"] == columns["key"]
    assert image_bytes(columns) == PHOTOS
    assert [json.loads(text) for text in columns["metadata"]] == [
        {"n": n, "others": ["x", "y"]} for n in range(4)
    ]


def test_saved_dataset(tmp_path):
    dataset().save_to_disk(tmp_path / "saved")
    check(read_all(source(tmp_path / "saved")), "data-00000-of-00001")


def test_saved_dataset_of_several_files_with_splits(tmp_path):
    splits = {"train": dataset(PHOTOS[::-1], CAPTIONS[::-1]), "test": dataset()}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved", num_shards={"train": 1, "test": 2})
    columns = read_all(source(tmp_path / "saved", split="test"))
    assert len(list(source(tmp_path / "saved", split="test").parts())) == 2
    assert columns["caption"] == CAPTIONS and image_bytes(columns) == PHOTOS
    assert read_all(source(tmp_path / "saved"))["caption"] == CAPTIONS[::-1]
    (problem,) = source(tmp_path / "saved", split="dev").problems()
    assert "no split 'dev'; it has: train, test" in problem


def test_saved_dataset_on_s3(s3, tmp_path):
    dataset().save_to_disk(tmp_path / "saved")
    fs, path = fsspec.core.url_to_fs(s3)
    fs.put(f"{tmp_path}/saved", f"{path}/saved", recursive=True)
    check(read_all(source(f"{s3}/saved")), "data-00000-of-00001")


def test_parquet_as_datasets_writes_it(tmp_path):
    dataset().to_parquet(tmp_path / "train.parquet", batch_size=2)
    check(read_all(source(tmp_path / "train.parquet")), "train")
    parts = list(source(tmp_path / "train.parquet", part_size=2).parts())
    assert [part["rows"] for part in parts] == [2, 2]


def test_a_folder_of_parquet_as_the_hub_has_it(tmp_path):
    for n, name in enumerate(["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"]):
        write(tmp_path / "data" / f"{name}.parquet", b"")
        dataset(PHOTOS[n : n + 1], CAPTIONS[n : n + 1]).to_parquet(tmp_path / "data" / f"{name}.parquet")
    assert read_all(source(tmp_path))["caption"] == CAPTIONS[:2]
    assert read_all(source(tmp_path, split="test"))["caption"] == CAPTIONS[2:3]


def test_caption_columns(tmp_path):
    dataset().to_parquet(tmp_path / "a.parquet")
    columns = read_all(source(tmp_path / "a.parquet", caption=["caption", "others"]))
    assert columns["key"][:3] == ["a_000000_0", "a_000000_1", "a_000000_2"]
    assert columns["captions"][0] == [CAPTIONS[0], "x", "y"]
    assert json.loads(columns["metadata"][0]) == {"n": 0}


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_rows_that_cannot_be_used(tmp_path, kind):
    data = dataset([PHOTOS[0], None, PHOTOS[2], PHOTOS[3]], ["x", "y", None, " "])
    if kind == "arrow":
        data.save_to_disk(tmp_path / "saved")
    else:
        (tmp_path / "saved").mkdir()
        data.to_parquet(tmp_path / "saved" / "train.parquet")
    columns = read_all(source(tmp_path / "saved"))
    assert [caption for _, caption in kept(columns)] == ["x"]
    assert list(reasons(columns).values()) == ["missing_image", "missing_caption", "missing_caption"]


def test_decoded_images_are_saved_as_files_too(tmp_path):
    images = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = datasets.Dataset.from_dict({"image": images, "caption": ["red", "blue"]}).cast_column(
        "image", datasets.Image()
    )
    data.save_to_disk(tmp_path / "saved")
    found = image_bytes(read_all(source(tmp_path / "saved")))
    assert [Image.open(io.BytesIO(data)).getpixel((0, 0)) for data in found] == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize(
    ("names", "split", "subset", "chosen"),
    [
        (["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], "test", None, [1]),
        (["data/train-00000-of-00001-a1b2c3.parquet"], "train", None, [0]),
        (["data/train_sft-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"], "train", None, [1]),
        (
            ["data/train_sft-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"],
            "train_sft",
            None,
            [0],
        ),
        (
            ["default/train/0000.parquet", "default/train/0001.parquet", "default/val/0.parquet"],
            "train",
            None,
            [0, 1],
        ),
        (["en/train/0000.parquet", "fr/train/0000.parquet"], "train", "fr", [1]),
        (["en/train-00000-of-00001.parquet", "fr/train-00000-of-00001.parquet"], "train", "en", [0]),
        (["my_train_file.parquet", "my_test_file.parquet"], "train", None, [0]),
        (["train/a.parquet", "validation/a.parquet"], "validation", None, [1]),
        (["0.parquet", "1.parquet"], "train", None, [0, 1]),
        (["train-00001-of-00002.parquet", "train-00000-of-00002.parquet"], "train", None, [1, 0]),
    ],
)
def test_splits_by_name(names, split, subset, chosen):
    assert of_split(names, split, subset) == [names[i] for i in chosen]


@pytest.mark.parametrize(
    ("names", "split", "subset", "word"),
    [
        (["test.parquet"], "train", None, "no split 'train'"),
        (["0.parquet"], "test", None, "no split 'test'"),
        (["en/train/0.parquet", "fr/train/0.parquet"], "train", None, "several subsets: en, fr"),
        (["en/train/0.parquet"], "train", "de", "no subset 'de'"),
    ],
)
def test_splits_that_are_not_there(names, split, subset, word):
    with pytest.raises(UserError, match=word):
        of_split(names, split, subset)


def test_a_file_missing_from_a_saved_dataset(tmp_path):
    dataset().save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "data-00000-of-00001.arrow").unlink()
    assert "lacks its file data-00000-of-00001.arrow" in source(tmp_path / "saved").problems()[0]


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"_data_files": [{"filename": "../x.arrow"}]}, "lacks its file"),
        ({"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]}, "flatten_indices"),
        ({}, "no parquet"),
        ([], "cannot be read"),
    ],
)
def test_odd_saved_datasets(tmp_path, state, word):
    write(tmp_path / "x.arrow", b"x")
    write(tmp_path / "saved" / "state.json", json.dumps(state))
    assert word in source(tmp_path / "saved").problems()[0]


def test_column_problems(tmp_path):
    dataset().save_to_disk(tmp_path / "saved")
    problems = source(tmp_path / "saved", image="photo", caption=["text", "n"]).problems()
    assert len(problems) == 2 and "no column 'photo'; it has: image, caption, others, n" in problems[0]
    assert "holds bytes" in source(tmp_path / "saved", image="others").problems()[0]


def test_broken_files_are_the_users_to_mend(tmp_path):
    write(tmp_path / "a.parquet", b"PAR1")
    write(tmp_path / "a.arrow", b"\xff\xff\xff\xff\x00")
    for name in ("a.parquet", "a.arrow"):
        assert name in source(tmp_path / name).problems()[0]
    assert "nothing is found" in source(tmp_path / "none-*.parquet").problems()[0]
    assert "holds no parquet" in source(tmp_path / "none" / "below" / "it").problems()[0]


def test_image_columns_of_paths_are_refused_row_by_row(tmp_path):
    pq.write_table(pa.table({"image": ["/etc/passwd"], "caption": ["x"]}), tmp_path / "a.parquet")
    assert list(reasons(read_all(source(tmp_path / "a.parquet"))).values()) == ["missing_image"]


def test_reading_does_not_need_datasets(tmp_path):
    dataset().save_to_disk(tmp_path / "saved")
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from gritmill.pipeline.sources.huggingface import HuggingfaceSource\n"
        f"source = HuggingfaceSource(dataset={str(tmp_path / 'saved')!r})\n"
        "print(sum(len(source.read(part)['key']) for part in source.parts()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "4", done.stderr


ON_HUB = """
import json, sys
from gritmill.pipeline.sources.images import StoredImage
from gritmill.pipeline.sources.huggingface import HuggingfaceSource
source = HuggingfaceSource(**json.loads(sys.argv[1]))
problems = source.problems()
captions, sizes, uris = [], [], []
for part in source.parts() if not problems else []:
    columns = source.read(part)
    captions += columns["caption"]
    sizes += [len(StoredImage(ref).read()) for ref in columns["image"]]
    uris += [ref.uri for ref in columns["image"]]
print(json.dumps([problems, captions, sizes, uris]))
"""


def read_from_hub(tmp_path, address, **options):
    env = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    call = [sys.executable, "-c", ON_HUB, json.dumps({"dataset": "someone/photos", **options})]
    done = subprocess.run(call, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_dataset_of_the_hub(tmp_path):
    parquet = "data/train-00000-of-00001.parquet"
    for folder, count in {"main": 3, "v1": 2}.items():
        (tmp_path / folder / "data").mkdir(parents=True)
        dataset(PHOTOS[:count], CAPTIONS[:count]).to_parquet(tmp_path / folder / parquet)
    with hub({"main": tmp_path / "main", "v1": tmp_path / "v1"}) as address:
        problems, captions, sizes, uris = read_from_hub(tmp_path, address)
        assert (problems, captions) == ([], CAPTIONS[:3])
        assert sizes == [len(photo) for photo in PHOTOS[:3]]
        assert uris[0] == f"hf://datasets/someone/photos@{COMMIT[:-1]}0/{parquet}#image"
        assert read_from_hub(tmp_path, address, revision="v1")[1] == CAPTIONS[:2]


def test_a_dataset_that_the_hub_has_converted(tmp_path):
    write(tmp_path / "main" / "images.zip", b"zip")
    (tmp_path / "parquet" / "default" / "train").mkdir(parents=True)
    dataset().to_parquet(tmp_path / "parquet" / "default" / "train" / "0000.parquet")
    with hub({"main": tmp_path / "main", "refs/convert/parquet": tmp_path / "parquet"}) as address:
        assert read_from_hub(tmp_path, address)[1] == CAPTIONS


def test_a_name_that_is_nowhere(tmp_path):
    with hub({"main": tmp_path}) as address:
        ((problem,), *_) = read_from_hub(tmp_path, address, dataset="someone/nothing")
    assert "someone/nothing is no path that is there, and cannot be had from the hub" in problem
