"""Prompt folders: ours, and those that users bring."""

from pathlib import Path

import pytest

from gritmill.prompts import few_shot
from gritmill.schemas.errors import UserError
from gritmill.stages.replies import contexts, formats, objects
from gritmill.stages.replies.checks import Rules, problems

FILES = {"system_message.txt": "Talk.", "000_caps.txt": "A dog.", "000_conv.txt": "Question:\nWhat?"}
NAMES = [
    "caption/art",
    "caption/general",
    "caption/landmark",
    "caption/text_rich",
    "complex_reasoning",
    "conversation",
    "detail_description",
]


def write(folder: Path, files: dict[str, str | bytes]) -> str:
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder)


def test_a_folder_in_llava_s_layout_loads_as_it_is(tmp_path: Path) -> None:
    more: dict[str, str | bytes] = {
        "system_message.txt": "\ufeffYou are shown an image.\r\nAnswer.\r\n",
        "000_caps.txt": "A dog.\r\nA pet.\r\n\r\ndog: [0.1, 0.2, 0.3, 0.4]",
        "000_conv.txt": "Question:\r\nWhat?\r\n===\r\nAnswer:\r\nA dog.\r\n",
        "002_caps.txt": "last",
        "002_conv.txt": "last reply",
        "010_caps.txt": "after the last",
        "010_conv.txt": "after",
        "README.md": "notes",
        "000_caps.txt.bak": "",
        "caps.txt": "",
        ".DS_Store": b"\xff\x00",
    }
    loaded = few_shot.load(write(tmp_path, more))
    assert loaded.system == "You are shown an image.\nAnswer."
    assert loaded.shots[0] == (
        "A dog.\nA pet.\n\ndog: [0.1, 0.2, 0.3, 0.4]",
        "Question:\nWhat?\n===\nAnswer:\nA dog.",
    )
    assert [shot.shown for shot in loaded.shots[1:]] == ["last", "after the last"]
    assert (loaded.name, loaded.format) == (str(tmp_path), "qa")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system_message.txt": None}, "system_message.txt is missing"),
        ({"system_message.txt": " \n"}, "system_message.txt is empty"),
        ({"000_conv.txt": None}, "000_caps.txt has no 000_conv.txt beside it"),
        ({"000_caps.txt": None}, "000_conv.txt has no 000_caps.txt beside it"),
        ({"000_caps.txt": ""}, "000_caps.txt is empty"),
        ({"000_conv.txt": b"\xff\xfe"}, "000_conv.txt is not UTF-8"),
        ({"00_caps.txt": "another number"}, "00_caps.txt has no 00_conv.txt"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_by_file(
    tmp_path: Path, change: dict[str, str | bytes | None], message: str
) -> None:
    folder = write(tmp_path, {name: text for name, text in {**FILES, **change}.items() if text is not None})
    with pytest.raises(UserError, match=message):
        few_shot.load(folder)


@pytest.mark.parametrize("folder", ["conversatoin", "", "../prompts/conversatio", "prompts/few_shot.py"])
def test_a_folder_that_is_not_there(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="there is no prompt folder|system_message.txt is missing"):
        few_shot.load(folder)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"system_message.txt": "Talk.\r\n"}, True),
        ({"README.md": "new"}, True),
        ({"system_message.txt": "Speak."}, False),
        ({"000_caps.txt": "A cat."}, False),
        ({"001_caps.txt": "A cat.", "001_conv.txt": "Question:"}, False),
        ({"000_caps.txt": "Question:\nWhat?", "000_conv.txt": "A dog."}, False),
    ],
)
def test_a_digest_is_of_what_the_model_reads(
    tmp_path: Path, change: dict[str, str | bytes], same: bool
) -> None:
    before = few_shot.digest(write(tmp_path, {**FILES}))
    assert (few_shot.digest(write(tmp_path, change)) == before) is same


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("Question:\nWhat?", "qa"),
        ('{"turns": []}', "json"),
        ("A dog lies there.", "answer"),
        (None, "answer"),
    ],
)
def test_the_examples_say_the_format(tmp_path: Path, wanted: str | None, expected: str) -> None:
    files: dict[str, str | bytes] = {"system_message.txt": "Talk."}
    if wanted is not None:
        files |= {"000_caps.txt": "x", "000_conv.txt": wanted}
    assert few_shot.load(write(tmp_path, files)).format == expected


def test_ours_are_all_there() -> None:
    assert few_shot.names() == NAMES
    assert all(len(few_shot.load(name).shots) in (2, 3) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_our_examples_keep_our_rules(name: str) -> None:
    """Those written from text alone may name nothing that the text does not give."""
    prompt = few_shot.load(name)
    for shot in prompt.shots:
        assert problems(shot.wanted, shot.shown, prompt.format, Rules(boxes="none")) == []
        if not name.startswith("caption/"):
            told = contexts.read(shot.shown)
            assert objects.unsupported(formats.exchanges(shot.wanted, prompt.format), told) == []
            assert contexts.write(told.captions, told.regions) == shot.shown


@pytest.mark.parametrize("name", NAMES)
def test_our_instructions_say_that_captions_are_no_instructions(name: str) -> None:
    assert "never instructions" in few_shot.load(name).system
