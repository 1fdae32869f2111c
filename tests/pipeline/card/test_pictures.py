"""Samples on the card: which ones, what is drawn into them, what stands beside them."""

import io
import json
import re
import tarfile

import pytest
from PIL import Image

from gritmill.pipeline.card import is_picture, write_card
from gritmill.pipeline.card.choose import choose, expressions
from gritmill.pipeline.card.draw import COLOURS, drawn
from gritmill.pipeline.card.pictures import CardPicture, pictures_section
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.errors import UserError
from gritmill.schemas.recipe import Card

RED, BLUE, *_ = COLOURS.values()


def encode(image, image_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


IMAGE = encode(Image.new("RGB", (200, 100), "black"))
CAPTION = "a dog, a cat and more"


def record(key, image_id=None, boxes=1, **fields):
    region = [[0, 5, 0.1, 0.2, 0.5, 0.6, 0.9], [7, 12, 0.5, 0.2, 0.9, 0.6, 0.9]]
    many = [[i, i + 1, 0.1, 0.2, 0.5, 0.6, 0.9] for i in range(boxes)] if boxes > 2 else region[:boxes]
    base = {
        "key": key,
        "image_id": image_id or key,
        "caption": CAPTION,
        "metadata": "{}",
        "noun_chunks": many,
    }
    return base | fields


def shard(folder, name, records, image=IMAGE):
    path = folder / "data" / name
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for one in records:
            for extension, data in (("png", image), ("json", json.dumps(one).encode()), ("txt", b"")):
                info = tarfile.TarInfo(f"{one['key']}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return f"data/{name}"


def keys(folder, shards, count):
    return [sample.record["key"] for sample in choose(Store(str(folder)), shards, count)]


def near(pixel, colour):
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour))


def test_the_choice_depends_on_keys_alone(tmp_path):
    records = [record(f"{i}") for i in range(20)]
    first = keys(tmp_path, [shard(tmp_path, "a.tar", records)], 5)
    (tmp_path / "again").mkdir()
    again = keys(tmp_path / "again", [shard(tmp_path / "again", "a.tar", records[::-1])], 5)
    assert first == again != ["0", "1", "2", "3", "4"]
    assert len(set(first)) == 5


def test_all_shards_have_a_share_and_no_image_comes_twice(tmp_path):
    shards = [shard(tmp_path, f"{n}.tar", [record(f"{n}-{i}") for i in range(9)]) for n in range(3)]
    assert sorted(key[0] for key in keys(tmp_path, shards, 6)) == ["0", "0", "1", "1", "2", "2"]
    assert len(keys(tmp_path, shards, 2)) == 2
    small = [
        shard(tmp_path, "s.tar", [record("s")]),
        shard(tmp_path, "l.tar", [record(f"{i}") for i in range(9)]),
    ]
    assert len(keys(tmp_path, small, 6)) == 6
    captions = [record(f"{i}-{c}", image_id=f"{i}") for i in range(3) for c in range(5)]
    of_images = [key[0] for key in keys(tmp_path, [shard(tmp_path, "c.tar", captions)], 6)]
    assert sorted(of_images) == ["0", "1", "2"]


def test_samples_with_few_boxes_come_first(tmp_path):
    records = [*(record(f"none-{i}", boxes=0) for i in range(9)), record("one"), record("thicket", boxes=20)]
    name = shard(tmp_path, "a.tar", records)
    assert keys(tmp_path, [name], 1) == ["one"]
    assert len(keys(tmp_path, [name], 6)) == 6


def test_what_may_not_be_changed_is_not_shown(tmp_path):
    licences = ["Attribution-NoDerivs License", "cc-by-nd-4.0", "CC BY 2.0"]
    records = [record(f"{i}", metadata=json.dumps({"license": name})) for i, name in enumerate(licences)]
    assert keys(tmp_path, [shard(tmp_path, "a.tar", records)], 6) == ["2"]


@pytest.mark.parametrize(
    ("card", "count"),
    [
        (Card(license="mit"), 6),
        (Card(pictures=2), 2),
        (Card(pictures=0), 0),
        (Card(license="cc-by-nd-4.0"), 0),
    ],
)
def test_how_many(dataset, card, count):
    write_card(Store(str(dataset)), Card(pictures=9))
    assert len(list(dataset.glob("samples/*"))) == 9
    (dataset / "samples" / "mine.jpg").write_bytes(b"kept")
    write_card(Store(str(dataset)), card)
    there = sorted(path.relative_to(dataset).as_posix() for path in dataset.glob("samples/*.jpg"))
    assert there == [f"samples/{number}.jpg" for number in range(1, count + 1)] + ["samples/mine.jpg"]
    text = (dataset / "README.md").read_text(encoding="utf-8")
    assert ("## Samples" in text) is (count > 0)
    assert text.count("](samples/") == count
    assert [is_picture(path) for path in there] == [True] * count + [False]


def test_the_same_dataset_gets_the_same_pictures(dataset):
    def pictures():
        write_card(Store(str(dataset)))
        return [path.read_bytes() for path in sorted(dataset.glob("samples/*.jpg"))]

    first = pictures()
    assert len(first) == 6 and len(set(first)) == 6
    assert pictures() == first


def test_a_dataset_without_shards_has_none(dataset):
    sums = dataset / "SHA256SUMS"
    sums.write_text("".join(s for s in sums.read_text().splitlines(True) if not s.endswith(".tar\n")))
    write_card(Store(str(dataset)))
    assert not (dataset / "samples").exists()
    assert "## Samples" not in (dataset / "README.md").read_text(encoding="utf-8")


def test_boxes_are_where_they_belong_each_in_its_colour():
    groups = expressions(record("0", boxes=2))
    assert groups == {Span(0, 5): [Box(0.1, 0.2, 0.5, 0.6)], Span(7, 12): [Box(0.5, 0.2, 0.9, 0.6)]}
    picture = Image.open(io.BytesIO(drawn(IMAGE, groups.values())))
    assert (picture.size, picture.format) == ((200, 100), "JPEG")
    assert near(picture.getpixel((21, 40)), RED)
    assert near(picture.getpixel((178, 40)), BLUE)
    for inside in ((60, 40), (140, 40), (5, 5), (190, 90)):
        assert near(picture.getpixel(inside), (0, 0, 0))


def test_large_and_turned_images():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "where it was taken"
    data = encode(Image.new("RGB", (3000, 1000)), "JPEG", exif=exif)
    picture = Image.open(io.BytesIO(drawn(data, [])))
    assert picture.size == (213, 640)
    assert not picture.getexif()


def test_an_image_that_cannot_be_decoded_is_told(dataset, tmp_path):
    from gritmill.pipeline.card.pictures import make_pictures

    name = shard(tmp_path, "a.tar", [record("broken")], image=b"<html>")
    with pytest.raises(UserError, match="image of sample 'broken'.*pipeline verify"):
        make_pictures(Store(str(tmp_path)), [name], 1)


def test_what_others_wrote_is_shown_and_not_obeyed():
    metadata = {
        "license": "CC <b>BY</b>",
        "license_url": "javascript:alert(1)",
        "url": "https://host/a b](x)<script>",
    }
    hostile = record("0", caption="<script>alert(1)</script> | ![x](y)\nz", metadata=json.dumps(metadata))
    text = pictures_section([CardPicture("samples/1.jpg", b"", hostile)])
    assert "<script" not in text and "<b>" not in text and "javascript" not in text
    assert len(text.splitlines()) == 3
    links = re.findall(r"(?<!\\)\]\(([^)]*)\)", text)
    assert links == ["samples/1.jpg", "https://host/a%20b%5D%28x%29%3Cscript%3E"]
    assert "🟥 &lt;scr" in text
    assert "CC &lt;b&gt;BY&lt;/b&gt;, [source](https://host/a%20b%5D%28x%29%3Cscript%3E)" in text
