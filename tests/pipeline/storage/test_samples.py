"""Members -> samples, as webdataset has them."""

import io

import pytest
from source_files import tar_bytes

from gritmill.pipeline.storage.samples import NOWHERE, samples, split_name
from gritmill.pipeline.storage.tars import BrokenArchive

CASES: dict[str, tuple[list[str], list[tuple[str, list[str]]]]] = {
    "neighbours": (["a.jpg", "a.json", "b.txt"], [("a", ["jpg", "json"]), ("b", ["txt"])]),
    "capitals": (["a.JPG", "a.Json"], [("a", ["jpg", "json"])]),
    "folders": (["./s/a.jpg", "s/a.json", "t/a.jpg"], [("s/a", ["jpg", "json"]), ("t/a", ["jpg"])]),
    "dots in the folder": (["v1.0/a.jpg", "v1.0/a.json"], [("v1.0/a", ["jpg", "json"])]),
    "the first dot": (["a.seg.png", "a.jpg"], [("a", ["seg.png", "jpg"])]),
    "an extension again": (["a.jpg", "a.json", "a.jpg"], [("a", ["jpg", "json"]), ("a", ["jpg"])]),
    "apart": (["a.jpg", "b.jpg", "a.json"], [("a", ["jpg"]), ("b", ["jpg"]), ("a", ["json"])]),
    "no sample": (["README", "__meta__.json", ".hidden", "s/.a", "a."], []),
    "underscores": (["__a.jpg", "b__.jpg"], [("__a", ["jpg"]), ("b__", ["jpg"])]),
}


@pytest.mark.parametrize(("names", "expected"), CASES.values(), ids=CASES)
def test_members_of_one_stem_are_a_sample(names, expected):
    file = io.BytesIO(tar_bytes([(name, name.encode()) for name in names]))
    found = list(samples(file))
    assert [(sample.stem, list(sample.members)) for sample in found] == expected
    for sample in found:
        for extension, place in sample.members.items():
            name = place.read(file).decode().lower().removeprefix("./")
            assert name == f"{sample.stem}.{extension}"


def test_what_a_sample_has():
    names = ["a.seg.png", "a.txt", "a.png", "a.jpg", "a.json", "b.cls"]
    file = io.BytesIO(tar_bytes([(name, name.encode()) for name in names]))
    first, second = samples(file)
    assert [place.read(file) for place in (first.image, first.record, first.text)] == [
        b"a.png",
        b"a.json",
        b"a.txt",
    ]
    assert (second.image, second.record, second.text) == (NOWHERE, NOWHERE, NOWHERE)


def test_a_sample_that_damage_ends_is_left_out():
    data = tar_bytes([("a.jpg", bytes(9)), ("a.txt", b"a dog"), ("b.jpg", bytes(9)), ("b.txt", b"a cat")])
    found = []
    with pytest.raises(BrokenArchive):
        for sample in samples(io.BytesIO(data[: 7 * 512])):
            found.append(sample.stem)
    assert found == ["a"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.jpg", ("a", "jpg")),
        ("v1.0/a.seg.PNG", ("v1.0/a", "seg.png")),
        ("./a.b", ("./a", "b")),
        ("a/.b", ("a/", "b")),
        ("/.b", ("/", "b")),
        ("README", ("", "")),
        (".hidden", ("", "")),
        ("v1.0/.hidden", ("", "")),
        ("v1.0/a", ("", "")),
    ],
)
def test_names_are_taken_apart_as_webdataset_does(name, parts):
    from webdataset.tariterators import base_plus_ext

    key, extension = base_plus_ext(name)
    assert (key or "", (extension or "").lower()) == parts
    assert split_name(name) == parts
