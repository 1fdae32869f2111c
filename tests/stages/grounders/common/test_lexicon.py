"""Words -> labels, plurals -> singulars, and the tables behind them."""

import pytest

from gritmill import prompts
from gritmill.stages.grounders.common.lexicon import labels, quantity
from gritmill.stages.grounders.common.lexicon.inflection import singulars
from gritmill.stages.grounders.common.lexicon.labels import Present

CATEGORIES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe,
backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite,
baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake,
chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
hair drier, toothbrush
"""
COCO = [label.strip() for label in CATEGORIES.split(",")]

BROADER = "~"


def label_of(phrase: str, present: list[str]) -> str | None:
    """The labels that a phrase means, a `~` before them if it is broader; "X of Y" has an object."""
    phrase, _, of = phrase.partition(" of ")
    found = labels.meaning(labels.words_of(phrase), of, Present.of(present))
    return found and BROADER * found.broader + ", ".join(found.labels)


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("dogs", "dog"),
        ("buses", "bus"),
        ("benches", "bench"),
        ("puppies", "puppy"),
        ("ties", "tie"),
        ("knives", "knife"),
        ("calves", "calf"),
        ("skateboarders", "skateboarder"),
        ("women", "woman"),
        ("firemen", "fireman"),
        ("people", "person"),
        ("children", "child"),
        ("mice", "mouse"),
        ("geese", "goose"),
        ("bus", "bus"),
        ("s", "s"),
    ],
)
def test_singulars_hold_the_singular(plural: str, singular: str) -> None:
    assert singular in singulars(plural)
    assert singulars(plural)[0] == plural


@pytest.mark.parametrize(
    ("phrase", "label"),
    [
        ("a guy", "person"),
        ("the young woman", "person"),
        ("a skateboarder", "person"),
        ("SKATE BOARDERS", "person"),
        ("three children", "person"),
        ("baseball players", "person"),
        ("the bus driver", "person"),
        ("doughnuts", "donut"),
        ("a tennis racquet", "tennis racket"),
        ("his racquet", "tennis racket"),
        ("rackets", "tennis racket"),
        ("a leather sofa", "couch"),
        ("TVs", "tv"),
        ("the television", "tv"),
        ("a flat-screen television", "tv"),
        ("two monitors", "tv"),
        ("planes", "airplane"),
        ("a jet", "airplane"),
        ("jumbo jet airplanes", "airplane"),
        ("a cellphone", "cell phone"),
        ("her smart phone", "cell phone"),
        ("a puppy", "dog"),
        ("kittens", "cat"),
        ("a red stop sign", "stop sign"),
        ("a parking meter", "parking meter"),
        ("a polar bear", "bear"),
        ("a teddy bear", "teddy bear"),
        ("a stuffed bear", "teddy bear"),
        ("a hot dog", "hot dog"),
        ("hotdogs", "hot dog"),
        ("the table", "dining table"),
        ("a glass of wine", "wine glass"),
        ("wineglasses", "wine glass"),
        ("a glass of milk", "cup"),
        ("a hydrant", "fire hydrant"),
        ("stoplights", "traffic light"),
        ("a surf board", "surfboard"),
        ("a skate-board", "skateboard"),
        ("ski's", "skis"),
        ("two electric tooth brushes", "toothbrush"),
        ("a hair dryer", "hair drier"),
        ("a train car", "train"),
        ("a fire engine", "truck"),
        ("a stove top oven", "oven"),
        ("animals", "~bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe"),
        ("fruit", "~banana, apple, orange"),
        # Not what their last word says, or a thing that only has a part of its name from a label.
        ("a cutting board", None),
        ("a rocking horse", None),
        ("a toilet seat", None),
        ("a pitcher of beer", None),
        ("his glasses", None),
        ("a dog leash", None),
        ("a horse tail", None),
        ("a man's hand", None),
        ("a bus stop", None),
        ("a train station", None),
        ("a tree", None),
    ],
)
def test_meaning_among_all_of_coco(phrase: str, label: str | None) -> None:
    expected = label and BROADER * label.startswith(BROADER) + ", ".join(
        labels.key(name) for name in label.removeprefix(BROADER).split(", ")
    )
    assert label_of(phrase, COCO) == expected


@pytest.mark.parametrize(
    ("phrase", "present", "label"),
    [
        ("a bike", ["motorcycle", "bicycle"], "bicycle"),
        ("a bike", ["motorcycle"], "motorcycle"),
        ("a hot dog", ["dog"], None),
        ("a teddy bear", ["bear"], None),
        ("the bears", ["teddy bear"], "teddybear"),
        ("the bears", ["teddy bear", "bear"], "bear"),
        ("a german shepherd", ["person"], None),
        ("a mouse", ["cat"], None),
        ("the animals", ["dog", "person", "cat"], "~cat, dog"),
    ],
)
def test_a_word_means_only_what_is_present(phrase: str, present: list[str], label: str | None) -> None:
    assert label_of(phrase, present) == label


@pytest.mark.parametrize(
    ("phrase", "label", "score"),
    [
        ("a large red circle", "circle", ""),
        ("stars", "star", ""),
        ("two houses", "house", ""),
        ("the picture frames", "Picture frame", ""),
        ("a frame", "Picture frame", BROADER),
        ("street signs", "street_sign", ""),
        ("a mouse", "mouse_(computer_equipment)", ""),
        ("a knife-rack", "Knife Rack", ""),
        ("a picture", "Picture frame", None),
        ("a person", "Woman", BROADER),
        ("a man", "Woman", None),
        ("ein Bücherregal", "Bücherregal", ""),
        ("a dog", "", None),
        ("a dog", "...", None),
    ],
)
def test_labels_that_no_table_knows(phrase: str, label: str, score: str | None) -> None:
    assert label_of(phrase, [label]) == (None if score is None else score + labels.key(label))


def test_the_table_describes_all_of_coco() -> None:
    assert labels.table().labels == {labels.key(label) for label in COCO}
    assert len(COCO) == 80


def test_the_table_repeats_nothing() -> None:
    lines = [line.partition(":") for line in prompts.word_list(labels.TABLE)]
    entries = [(label, labels.key(name)) for label, _, names in lines for name in names.split(",")]
    assert len(entries) == len(set(entries))
    assert all(name for _, name in entries)


def test_no_name_is_both_of_a_label_and_of_none() -> None:
    table = labels.table()
    assert not table.none & (table.same.keys() | table.broader.keys() | table.labels)


COMPOUNDS_OF_NONE = [
    name.strip()
    for line in prompts.word_list(labels.TABLE)
    if line.startswith(labels.NO_LABEL)
    for name in line.partition(":")[2].split(",")
    if " " in name.strip()
]


@pytest.mark.parametrize("name", COMPOUNDS_OF_NONE)
def test_names_of_none_are_needed(name: str) -> None:
    """Without the entry, a shorter name would have matched: "cutting board" a "board"."""
    assert label_of(name, COCO) is None
    head = labels.words_of(name.partition(" of ")[0])
    shorter = [head] if " of " in name else [head[i:] for i in range(1, len(head))]
    assert any(label_of(" ".join(words), COCO) for words in shorter)


def test_quantities_say_what_we_know_how_to_count() -> None:
    table = quantity.quantities()
    assert {value for value in table.values() if isinstance(value, str)} == {
        "several",
        "any",
        "counted",
        "mass",
    }
    assert table["couple"] == 2
