"""LLaVA's json, as LLaVA's own loader takes it apart."""

import io
import json
import tarfile
from functools import partial

import pytest

from gritmill.pipeline.output.llava import LlavaWriter, merge
from gritmill.pipeline.output.webdataset import WebdatasetWriter
from gritmill.schemas.boxes import Box, Point
from gritmill.schemas.columns import Span
from gritmill.schemas.conversations import Conversation, Phrase, Turn, TurnRegion

DOG = Box(0.1, 0.2, 0.5, 0.9)


def talk(*texts, regions=(), phrases=()):
    """A conversation whose last turn has the regions and phrases given."""
    turns = [
        Turn(("human", "assistant")[i % 2], "conversation", text, [], []) for i, text in enumerate(texts)
    ]
    last = turns[-1]._replace(regions=list(regions), phrases=list(phrases))
    return Conversation([*turns[:-1], last])


def fragment(samples, extension="jpg"):
    file = io.BytesIO()
    writer = LlavaWriter(file, extension)
    for sample in samples:
        writer.add(sample, b"")
    writer.close()
    return file.getvalue()


def joined(*shards):
    out = io.BytesIO()
    merge([partial(io.BytesIO, fragment(samples)) for samples in shards], out)
    return json.loads(out.getvalue())


@pytest.fixture
def sample(make_sample):
    return make_sample(7, conversations=[talk("<image>\nWhat is it?", "A dog.", "Is it big?", "Yes.")])


@pytest.mark.parametrize(
    "turn",
    [
        Turn("system", "", "Look.", [], []),
        Turn("assistant", "", "<region:0>", [TurnRegion(points=[Point(0.5, 0.5)])], []),
        Turn("assistant", "", "<region:0>", [TurnRegion([DOG], picture=1)], []),
    ],
)
def test_what_llava_has_no_words_for_is_left_out(turn, make_sample):
    told = talk("<image>\nWhat is it?", "A dog.")
    odd = Conversation([told.turns[0], turn])
    [entry] = joined([make_sample(7, conversations=[odd, told])])
    assert (entry["id"], entry["conversations"][1]["value"]) == ("000007", "A dog.")


def test_an_entry_is_one_of_llavas(sample):
    assert joined([sample]) == [
        {
            "id": "000007",
            "image": "000007.jpg",
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is it?"},
                {"from": "gpt", "value": "A dog."},
                {"from": "human", "value": "Is it big?"},
                {"from": "gpt", "value": "Yes."},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        (
            talk("<image>\nWhere?", "At <region:0>.", regions=[TurnRegion([DOG])]),
            "At [0.100, 0.200, 0.500, 0.900].",
        ),
        (
            talk("<image>\nWhere?", "a dog", phrases=[Phrase(Span(0, 5), [DOG])]),
            "a dog: [0.100, 0.200, 0.500, 0.900]",
        ),
        (talk("<image>\nWhat?", "naïve\n猫 \"'\\"), "naïve\n猫 \"'\\"),
    ],
)
def test_boxes_are_written_as_in_llavas_data_and_text_stays(answer, written, make_sample):
    [entry] = joined([make_sample(0, conversations=[answer])])
    assert entry["conversations"][1]["value"] == written


def test_every_conversation_is_an_entry_with_an_id_of_its_own(make_sample):
    two = [talk("<image>\na?", "b"), talk("<image>\nc?", "d")]
    keys = ["dog", "dog_1", "dog.1", "a/b.c"]
    samples = [make_sample(i, key=key, conversations=two) for i, key in enumerate(keys)]
    entries = joined(samples, [make_sample(9, conversations=[])])
    assert [entry["id"] for entry in entries][:3] == ["dog", "dog.1", "dog_1"]
    assert len({entry["id"] for entry in entries}) == len(entries) == 8
    assert len({entry["image"] for entry in entries}) == 4


def test_images_are_members_of_the_shards(make_sample):
    sample = make_sample(0, key="a/b.c", conversations=[talk("<image>\na?", "b")])
    shard = io.BytesIO()
    writer = WebdatasetWriter(shard, "png")
    writer.add(sample, b"pixels")
    writer.close()
    shard.seek(0)
    with tarfile.open(fileobj=shard) as tar:
        assert json.loads(fragment([sample], "png"))["image"] in tar.getnames()


def test_a_split_does_not_depend_on_how_it_is_cut(make_sample):
    samples = [make_sample(i, conversations=[talk("<image>\na?", str(i))]) for i in range(5)]
    assert joined(samples) == joined(samples[:2], [], samples[2:]) != []
    assert joined() == joined([], []) == []
