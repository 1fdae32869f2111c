"""Data as others publish them: recognised, read, and written back from our shards as they were."""

import json
import tarfile
from typing import Any

import pytest

from gritmill.pipeline.convert.registry import FORMATS, read, sniff
from gritmill.pipeline.convert.sample import Losses
from gritmill.pipeline.storage.foreign.flickr30k import parse_sentence
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.conversations import TurnRegion

GRIT: dict[str, Any] = {
    "key": "000373938",
    "clip_similarity_vitb32": 0.353271484375,
    "clip_similarity_vitl14": 0.2958984375,
    "id": 1795296605919,
    "url": "https://www.thestrapsaver.com/wp-content/uploads/customerservice-1.jpg",
    "caption": "a wire hanger with a paper cover that reads we heart our customers",
    "width": 1024,
    "height": 693,
    "noun_chunks": [
        [
            19,
            32,
            0.019644069503434333,
            0.31054004033406574,
            0.9622142865754519,
            0.9603442351023356,
            0.79298526,
        ],
        [
            0,
            13,
            0.019422357885505368,
            0.027634161214033764,
            0.9593302408854166,
            0.969467560450236,
            0.67520964,
        ],
    ],
    "ref_exps": [
        [
            19,
            66,
            0.019644069503434333,
            0.31054004033406574,
            0.9622142865754519,
            0.9603442351023356,
            0.79298526,
        ],
        [
            0,
            66,
            0.019422357885505368,
            0.027634161214033764,
            0.9593302408854166,
            0.969467560450236,
            0.67520964,
        ],
    ],
}


@pytest.fixture
def through_ours(tmp_path):
    """(format, path) -> what the data are after a stay in our shards, as a path."""

    def go(name, path, images=None):
        losses = Losses()
        for folder in ("ours", "back"):
            (tmp_path / folder).mkdir()
        FORMATS["webdataset"].write(read(path, name, losses, images), tmp_path / "ours", losses)
        FORMATS[name].write(read(str(tmp_path / "ours"), None, losses), tmp_path / "back", losses)
        assert not losses.rows
        return tmp_path / "back"

    return go


def members(path):
    with tarfile.open(path) as tar:
        return {m.name: file.read() for m in tar if (file := tar.extractfile(m))}


def test_grit_beside_images(make_file, make_picture, through_ours, tmp_path):
    make_file("in/00000/000373938.jpg", make_picture())
    make_file("in/00000/000373938.json", GRIT)
    make_file("in/00000/000373938.txt", GRIT["caption"])
    path = str(tmp_path / "in")
    assert sniff(path) == "kosmos2"
    [sample] = read(path)
    assert [s.of(GRIT["caption"]) for s in sample.expressions] == [
        "a paper cover that reads we heart our customers",
        GRIT["caption"],
    ]
    assert sample.image == make_picture()
    back = members(through_ours("kosmos2", path) / "00000.tar")
    assert json.loads(back["000373938.json"]) == GRIT
    assert back["000373938.jpg"] == make_picture() and back["000373938.txt"] == GRIT["caption"].encode()


def test_grit_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([GRIT]), tmp_path / "coyo_0_snappy.parquet")
    assert sniff(str(tmp_path)) == "kosmos2_parquet"
    (tmp_path / "back").mkdir()
    samples = list(read(str(tmp_path / "coyo_0_snappy.parquet")))
    assert samples[0].image is None and samples[0].record["source"]["uri"] == GRIT["url"]
    FORMATS["kosmos2_parquet"].write(samples, tmp_path / "back", Losses())
    assert pq.read_table(tmp_path / "back").to_pylist() == [GRIT]


def test_grit_table_with_images_that_were_fetched(make_file, make_picture, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([GRIT]), tmp_path / "grit.parquet")
    make_file("photos/000373938.png", make_picture(image_format="png"))
    [sample] = read(str(tmp_path / "grit.parquet"), images=str(tmp_path / "photos"))
    assert sample.image == make_picture(image_format="png") and sample.record["image_format"] == "png"


def test_llava(make_file, make_picture, through_ours, tmp_path):
    entry = {
        "id": "000000033471",
        "image": "coco/train2017/000000033471.jpg",
        "conversations": [
            {"from": "human", "value": "Where is [0.100, 0.200, 0.500, 0.900]?\n<image>"},
            {"from": "gpt", "value": "It is the bus [0.123, 0.456, 0.789, 0.900]; 3 < 4 & <b>."},
        ],
        "model": "gpt-4",
    }
    text_only = {"id": "t", "conversations": entry["conversations"]}
    odd = {"id": "o", "image": "o.jpg", "conversations": entry["conversations"][:1]}
    make_file("images/coco/train2017/000000033471.jpg", make_picture())
    path = make_file("train.json", [entry, text_only, odd, "no object"])
    assert sniff(path) == "llava"
    losses = Losses()
    [sample] = read(path, losses=losses)
    assert sample.conversations[0].turns[1].text == "It is the bus <region:0>; 3 < 4 & <b>."
    assert sample.conversations[0].turns[1].regions == [TurnRegion([Box(0.123, 0.456, 0.789, 0.9)])]
    assert (sample.record["width"], sample.record["height"]) == (640, 480)
    assert losses.names == {
        ("row", "no image: text only"): ["t"],
        ("row", "no conversation of questions and answers in turn"): ["o"],
        ("row", "no JSON object"): ["entry 3"],
    }
    make_file("one.json", [entry])
    back = through_ours("llava", str(tmp_path / "one.json"))
    assert json.loads((back / "train.json").read_text()) == [entry]
    assert (back / "images" / entry["image"]).read_bytes() == make_picture()


def test_coco_captions_and_instances(coco_mini):
    captions, instances = (
        json.loads((coco_mini / f"{n}.json").read_text()) for n in ("captions", "instances")
    )
    assert sniff(str(coco_mini / "captions.json")) == sniff(str(coco_mini / "instances.json")) == "coco"
    losses = Losses()
    samples = list(read(str(coco_mini), "coco", losses))
    assert len(samples) == 80 and not losses.rows and not losses.parts
    assert sum(len(s.record["captions"]) for s in samples) == len(captions["annotations"])
    assert sum(len(s.annotations) for s in samples) == len(instances["annotations"])
    assert all(s.image and s.record["width"] for s in samples)


def test_coco_comes_back_from_coco(coco_mini, tmp_path):
    """Boxes, labels and outlines of COCO's instances, as pycocotools reads them."""
    coco_module = pytest.importorskip("pycocotools.coco")
    losses = Losses()
    FORMATS["coco"].write(read(str(coco_mini), "coco", losses), tmp_path, losses)
    before = coco_module.COCO(str(coco_mini / "instances.json"))
    after = coco_module.COCO(str(tmp_path / "train.json"))
    names = {i["file_name"]: i["id"] for i in after.dataset["images"]}
    labels = {c["id"]: c["name"] for c in after.dataset["categories"]}
    for image in before.dataset["images"]:
        expected = before.imgToAnns[image["id"]]
        found = after.imgToAnns[names[image["file_name"]]]
        assert (tmp_path / "images" / image["file_name"]).is_file()
        assert len(expected) == len(found)
        for a, b in zip(expected, found):
            assert before.cats[a["category_id"]]["name"] == labels[b["category_id"]]
            assert b["bbox"] == pytest.approx(a["bbox"], abs=0.011)
            if not a["iscrowd"]:
                assert after.annToMask(b).sum() == pytest.approx(before.annToMask(a).sum(), rel=0.02, abs=3)


MDETR = {
    "images": [
        {
            "id": 7,
            "file_name": "a.jpg",
            "width": 640,
            "height": 480,
            "caption": "two surfers on the shore",
            "dataset_name": "flickr",
            "tokens_negative": [[0, 24]],
        },
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 1,
            "iscrowd": 0,
            "area": 3.0,
            "bbox": [0, 48, 320, 240],
            "tokens_positive": [[0, 3], [4, 11]],
        },
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 0, 0], "tokens_positive": [[0, 3]]},
        {"id": 3, "image_id": 9, "category_id": 1, "bbox": [0, 0, 9, 9], "tokens_positive": [[0, 3]]},
    ],
    "categories": [{"id": 1, "name": "object"}],
}


def test_coco_with_the_fields_of_mdetr(make_file, make_picture):
    make_file("images/a.jpg", make_picture())
    path = make_file("final_flickr_separateGT_val.json", MDETR)
    assert sniff(path) == "coco"
    losses = Losses()
    [sample] = read(path, losses=losses)
    assert [(b.span, b.box) for b in sample.grounded] == [(Span(0, 11), (0.0, 0.1, 0.5, 0.6))]
    assert sample.record["split"] == "validation"
    assert json.loads(sample.record["metadata"]) == {"dataset_name": "flickr", "tokens_negative": [[0, 24]]}
    assert losses.parts == {
        "a box outside the image or without area": 1,
        "1 boxes of an image that is not listed": 1,
    }


REFS = [
    {
        "ref_id": 1,
        "ann_id": 1,
        "image_id": 1,
        "category_id": 2,
        "split": "testA",
        "file_name": "a.jpg",
        "sent_ids": [0, 1],
        "sentences": [
            {"sent_id": 0, "sent": "lady in blue", "raw": "Lady in BLUE.", "tokens": ["lady", "in", "blue"]},
            {"sent_id": 1, "sent": "left", "raw": "left", "tokens": ["left"]},
        ],
    },
    {
        "ref_id": 2,
        "ann_id": 2,
        "image_id": 1,
        "category_id": 3,
        "split": "val",
        "file_name": "a.jpg",
        "sent_ids": [2],
        "sentences": [{"sent_id": 2, "sent": "dog", "raw": "dog", "tokens": ["dog"]}],
    },
]
INSTANCES = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 2,
            "iscrowd": 0,
            "area": 76800.0,
            "bbox": [0.0, 48.0, 320.0, 240.0],
            "segmentation": [],
        },
        {
            "id": 2,
            "image_id": 1,
            "category_id": 3,
            "iscrowd": 0,
            "area": 100.0,
            "bbox": [1.0, 2.0, 10.0, 10.0],
            "segmentation": [],
        },
    ],
    "categories": [{"id": 1, "name": "object"}, {"id": 2, "name": "person"}, {"id": 3, "name": "dog"}],
}


def test_refcoco(make_file, make_picture, through_ours, tmp_path):
    make_file("in/refs.json", REFS)
    make_file("in/instances.json", INSTANCES)
    make_file("in/images/a.jpg", make_picture())
    path = str(tmp_path / "in")
    assert sniff(path) == sniff(f"{path}/refs.json") == "refcoco"
    samples = list(read(path))
    assert [s.record["caption"] for s in samples] == ["lady in blue", "left", "dog"]
    assert [s.record["split"] for s in samples] == ["test", "test", "validation"]
    assert samples[0].record["captions"] == ["lady in blue", "left"]
    back = through_ours("refcoco", path)
    # Splits are written one after the other in our shards, and so the dog comes last or first.
    refs = json.loads((back / "refs.json").read_text())
    boxes = {a["id"]: a for a in json.loads((back / "instances.json").read_text())["annotations"]}
    told = {
        (r["split"], tuple((s["sent"], s["raw"]) for s in r["sentences"]), tuple(boxes[r["ann_id"]]["bbox"]))
        for r in refs
    }
    assert told == {
        ("testA", (("lady in blue", "Lady in BLUE."), ("left", "left")), (0.0, 48.0, 320.0, 240.0)),
        ("val", (("dog", "dog"),), (1.0, 2.0, 10.0, 10.0)),
    }


def test_refs_and_instances_fit_together(make_file, make_picture, tmp_path):
    """What refer.py joins: each ref's annotation is of the ref's image and category."""
    make_file("in/refs.json", REFS)
    make_file("in/instances.json", INSTANCES)
    make_file("in/images/a.jpg", make_picture())
    (tmp_path / "out").mkdir()
    FORMATS["refcoco"].write(read(str(tmp_path / "in")), tmp_path / "out", Losses())
    assert json.loads((tmp_path / "out" / "instances.json").read_text()) == INSTANCES
    assert json.loads((tmp_path / "out" / "refs.json").read_text()) == REFS


SENTENCE = (
    "[/EN#42550/people/other A group of friends] are sitting on [/EN#42555/other a couch] "
    "in [/EN#1/scene a room] ."
)
XML = """<annotation><filename>36979.jpg</filename>
<size><width>640</width><height>480</height><depth>3</depth></size>
<object><name>42550</name><name>42551</name>
<bndbox><xmin>1</xmin><ymin>49</ymin><xmax>320</xmax><ymax>288</ymax></bndbox></object>
<object><name>42550</name><bndbox><xmin>321</xmin><ymin>1</ymin><xmax>640</xmax><ymax>480</ymax></bndbox></object>
<object><name>42555</name><bndbox><xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
<object><name>1</name><scene>1</scene><nobndbox>0</nobndbox></object></annotation>"""


def test_flickr30k(make_file, make_picture, through_ours, tmp_path):
    make_file("in/Sentences/36979.txt", f"{SENTENCE}\nNobody is here .\n")
    make_file("in/Annotations/36979.xml", XML)
    make_file("in/flickr30k-images/36979.jpg", make_picture())
    make_file("in/val.txt", "36979\n")
    path = str(tmp_path / "in")
    assert sniff(path) == "flickr30k"
    losses = Losses()
    first, second = read(path, losses=losses)
    assert not losses.rows and not losses.parts
    assert first.record["caption"] == "A group of friends are sitting on a couch in a room ."
    assert [(b.phrase, b.box) for b in first.grounded] == [
        ("A group of friends", (0.0, 0.1, 0.5, 0.6)),
        ("A group of friends", (0.5, 0.0, 1.0, 1.0)),
        ("a couch", (10 / 640, 20 / 480, 30 / 640, 40 / 480)),
    ]
    assert second.grounded == [] and first.record["split"] == "validation"
    back = through_ours("flickr30k", path)
    assert (back / "val.txt").read_text() == "36979\n"
    sentences = (back / "Sentences" / "36979.txt").read_text().splitlines()
    # Entities are numbered anew, and one without a box is no noun chunk.
    assert sentences == [
        "[/EN#1/people/other A group of friends] are sitting on [/EN#2/other a couch] in a room .",
        "Nobody is here .",
    ]
    again = list(read(str(back)))
    assert [b.box for b in again[0].grounded] == [b.box for b in first.grounded]


@pytest.mark.parametrize(
    "caption, span, line",
    [
        ("a dog, and", Span(0, 5), "[/EN#1/other a dog] , and"),
        ("the(dog)", Span(4, 7), "the( [/EN#1/other dog] )"),
        ("a [dog]", Span(3, 6), "a ( [/EN#1/other dog] )"),
        ("a\n big\tdog", Span(0, 10), "[/EN#1/other a big dog]"),
    ],
)
def test_sentences_are_taken_apart_at_white_space(caption, span, line, make_full, tmp_path):
    """As flickr30k_entities_utils.py does: a mark is at the beginning of a word and ends a word."""
    sample = make_full(boxes=[], ref_exps=[], masks=None, annotations=None, told=None)
    changes = {
        "caption": caption,
        "noun_chunks": [[*span, 0.1, 0.1, 0.5, 0.5, 1.0]],
        "ref_exps": [[*span, 0.1, 0.1, 0.5, 0.5, 1.0]],
        "boxes": [{"model": "m", "phrase": "p"}],
    }
    FORMATS["flickr30k"].write([sample._replace(record=sample.record | changes)], tmp_path, Losses())
    [file] = (tmp_path / "Sentences").iterdir()
    assert file.read_text() == f"{line}\n"
    text, [phrase] = parse_sentence(line)
    assert phrase.span.of(text).split() == span.of(caption).split()


ODVG: dict[str, Any] = {
    "filename": "a.jpg",
    "height": 480,
    "width": 640,
    "grounding": {
        "caption": "Two surfers walking down the shore.",
        "regions": [
            {
                "bbox": [[0, 48, 320, 288], [320, 0, 640, 480]],
                "phrase": "Two surfers",
                "tokens_positive": [[0, 3], [4, 11]],
            },
            {"bbox": [64, 48, 128, 96], "phrase": "the shore", "tokens_positive": [[25, 34]]},
        ],
    },
}
DETECTION = {"filename": "b.jpg", "height": 9, "width": 9, "detection": {"instances": []}}


def test_odvg(make_file, make_picture, through_ours):
    make_file("images/a.jpg", make_picture())
    lines = "\n".join(map(json.dumps, (ODVG, DETECTION))) + "\n{broken\n"
    path = make_file("train.jsonl", lines)
    assert sniff(path) == "odvg"
    losses = Losses()
    [sample] = read(path, losses=losses)
    assert [(b.phrase, b.box) for b in sample.grounded] == [
        ("Two surfers", (0.0, 0.1, 0.5, 0.6)),
        ("Two surfers", (0.5, 0.0, 1.0, 1.0)),
        ("the shore", (0.1, 0.1, 0.2, 0.2)),
    ]
    assert sorted(losses.rows) == ["no JSON object", "no `grounding`: the detection variant has no captions"]
    alone = make_file("one.jsonl", json.dumps(ODVG))
    line = json.loads((through_ours("odvg", alone) / "train.jsonl").read_text())
    first, second = line["grounding"]["regions"]
    assert first["bbox"] == ODVG["grounding"]["regions"][0]["bbox"] and first["phrase"] == "Two surfers"
    assert first["tokens_positive"] == [[0, 11]]
    assert second["bbox"] == [ODVG["grounding"]["regions"][1]["bbox"]]
    assert {k: line[k] for k in ("filename", "height", "width")} == {
        k: ODVG[k] for k in ("filename", "height", "width")
    }


TASK = {
    "id": 17,
    "data": {"image": "/data/local-files/?d=photos/a%20b.jpg", "text": "a dog in a field"},
    "annotations": [
        {"was_cancelled": True, "result": []},
        {
            "completed_by": 1,
            "result": [
                {
                    "id": "x",
                    "type": "rectanglelabels",
                    "from_name": "tag",
                    "to_name": "img",
                    "original_width": 640,
                    "original_height": 480,
                    "image_rotation": 0,
                    "value": {
                        "x": 10,
                        "y": 20.0,
                        "width": 40,
                        "height": 50,
                        "rotation": 0,
                        "rectanglelabels": ["dog"],
                    },
                },
                {
                    "id": "y",
                    "type": "rectanglelabels",
                    "from_name": "tag",
                    "to_name": "img",
                    "original_width": 640,
                    "original_height": 480,
                    "value": {
                        "x": 0,
                        "y": 0,
                        "width": 5,
                        "height": 5,
                        "rotation": 30,
                        "rectanglelabels": ["cat"],
                    },
                },
                {"id": "z", "type": "choices", "value": {"choices": ["ok"]}},
            ],
        },
    ],
    "predictions": [{"result": [{"type": "rectanglelabels", "id": "p", "value": {}}]}],
}


def test_label_studio_export(make_file, make_picture):
    make_file("photos/a b.jpg", make_picture())
    path = make_file("tasks.json", [TASK, {"id": 1}])
    assert sniff(path) == "label_studio"
    losses = Losses()
    [sample] = read(path, losses=losses)
    assert sample.record["caption"] == "a dog in a field" and sample.record["key"] == "17"
    assert sample.image == make_picture()
    assert [(a.label, a.box) for a in sample.annotations] == [("dog", (0.1, 0.2, 0.5, 0.7))]
    assert losses.parts == {"a box that is turned": 1} and losses.rows == {"no task with `data`": 1}


def test_fiftyone_shows_phrases(make_full, tmp_path):
    """The phrase is the category, which FiftyOne writes at the box; file names are those in `data`."""
    FORMATS["fiftyone"].write([make_full(0)], tmp_path, Losses())
    caption = make_full(0).record["caption"]
    labels = json.loads((tmp_path / "labels.json").read_text())
    names = {c["id"]: c["name"] for c in labels["categories"]}
    shown = [names[a["category_id"]] for a in labels["annotations"]]
    assert shown == [*(s.of(caption) for s in (Span(7, 15), Span(26, 31), Span(7, 15), Span(22, 31))), "kite"]
    assert (tmp_path / "data" / labels["images"][0]["file_name"]).is_file()


def test_fiftyone_has_a_file_for_each_sample(make_full, tmp_path):
    """Its importer knows samples by their files: two captions of one image would get each other's boxes."""
    samples = [make_full(0), make_full(1, image_id=make_full(0).record["image_id"])]
    FORMATS["fiftyone"].write(samples, tmp_path, Losses())
    names = [image["file_name"] for image in json.loads((tmp_path / "labels.json").read_text())["images"]]
    assert len(set(names)) == 2 and all((tmp_path / "data" / name).is_file() for name in names)


def test_masks_stay_in_coco_pixel_by_pixel(make_full, tmp_path):
    before = make_full(0)
    FORMATS["coco"].write([before], tmp_path, Losses())
    losses = Losses()
    [after] = read(str(tmp_path), losses=losses)
    drawn = [mask["counts"] for mask in before.record["masks"]]
    assert [mask["counts"] for mask in after.record["masks"]] == drawn and not losses.parts


def test_masks_of_some_boxes_are_counted_as_lost(make_full, make_file, tmp_path):
    FORMATS["coco"].write([make_full(0)], tmp_path, Losses())
    content = json.loads((tmp_path / "validation.json").read_text())
    del content["annotations"][0]["segmentation"]
    content["annotations"][1]["segmentation"]["counts"] = "no run lengths"
    losses = Losses()
    [sample] = read(make_file("other.json", content), losses=losses)
    assert "masks" not in sample.record and len(sample.grounded) == 4
    assert losses.parts == {"a mask that is none": 1, "a mask, because not all boxes have one": 2}
