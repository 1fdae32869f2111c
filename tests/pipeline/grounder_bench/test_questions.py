"""Which phrases are judged, against which boxes."""

from pathlib import Path

import pytest

pytest.importorskip("spacy", reason="needs the extra nlp")

from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.grounder_bench.questions import ask, questions_of
from gritmill.pipeline.grounder_bench.truth import Truth
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Annotation
from gritmill.schemas.errors import UserError
from gritmill.stages.noun_chunks import NounChunks

CHUNKS = "  - image_check: {min_side: 16}\n  - noun_chunks"
GROUND = "  - ground: {grounder: annotations}"


@pytest.fixture(scope="module")
def chunks() -> NounChunks:
    stage = NounChunks()
    stage.setup()
    return stage


def annotations_of(present: str) -> list[Annotation]:
    """ "2 dog, 1 person crowd" -> that many boxes side by side."""
    made: list[Annotation] = []
    for entry in present.split(", "):
        count, _, label = entry.partition(" ")
        for _ in range(int(count)):
            box = Box(len(made) / 10, 0.1, (len(made) + 1) / 10, 0.5)
            made.append(Annotation(label.removesuffix(" crowd"), box, label.endswith(" crowd"), []))
    return made


# Caption, what is annotated, and the boxes of each question: {phrase: (boxes, crowds)}.
CASES = [
    ("A dog sleeps.", "1 dog", {"A dog": (1, 0)}, {"A dog": (1, 0)}),
    ("A dog sleeps.", "3 dog", {}, {"A dog": (3, 0)}),
    ("Two puppies sleep on a couch.", "2 dog", {"Two puppies": (2, 0)}, {"Two puppies": (2, 0)}),
    ("A man and a woman walk.", "2 person", {}, {"A man": (2, 0), "a woman": (2, 0)}),
    ("An animal sleeps.", "1 dog", {}, {}),
    ("A dog sleeps.", "1 cat", {}, {}),
    ("A man walks.", "1 person, 1 person crowd", {"A man": (1, 1)}, {"A man": (1, 1)}),
    ("People walk.", "2 person, 1 person crowd", {"People": (2, 1)}, {"People": (2, 1)}),
    ("People walk.", "1 person crowd", {}, {}),
    ("No dogs sleep.", "2 dog", {}, {}),
]


@pytest.mark.parametrize(
    ("caption", "present", "clear", "category"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
def test_what_is_asked(
    chunks: NounChunks,
    caption: str,
    present: str,
    clear: dict[str, tuple[int, int]],
    category: dict[str, tuple[int, int]],
) -> None:
    found = chunks.process({"caption": [caption]})
    for truth, expected in ((Truth.clear, clear), (Truth.category, category)):
        questions = questions_of(
            3, caption, found["noun_chunks"][0], found["parse"][0], annotations_of(present), truth
        )
        asked = {q.span.of(caption): (len(q.boxes), len(q.crowds)) for q in questions if q.row == 3}
        assert asked == expected, truth


def recipe(tmp_path: Path, source: str, *stages: str) -> str:
    path = tmp_path / "recipe.yaml"
    lines = ["name: test", f"source: {source}", "stages:", *stages, f"output: {{dir: {tmp_path}/out}}"]
    path.write_text("\n".join(lines))
    return str(path)


def test_rejected_samples_are_not_asked(tmp_path: Path) -> None:
    scenes = "{type: scenes, count: 12, part_size: 5, captions_per_image: 2, size: 128}"
    all_ = ask(load_recipe(recipe(tmp_path, scenes, CHUNKS, GROUND)), Truth.clear)
    assert (all_.images, len(all_.columns["caption"])) == (12, 24)
    assert all_.phrases >= len(all_.questions) > 12
    assert {question.row for question in all_.questions} <= set(range(24))
    for question in all_.questions:
        drawn = [one.box for one in all_.columns["annotations"][question.row]]
        assert question.boxes and set(question.boxes) <= set(drawn)

    long = "  - caption_check: {min_words: 8}"
    some = ask(load_recipe(recipe(tmp_path, scenes, long, CHUNKS, GROUND)), Truth.clear)
    kept = [caption for caption in all_.columns["caption"] if len(caption.split()) >= 8]
    assert some.columns["caption"] == kept and 0 < len(kept) < 24

    few = ask(load_recipe(recipe(tmp_path, scenes, CHUNKS, GROUND)), Truth.clear, limit=7)
    assert few.columns["caption"] == all_.columns["caption"][:7]


@pytest.mark.parametrize(
    ("source", "stages", "message"),
    [
        ("{type: scenes, count: 3}", [CHUNKS], "no stage that writes candidates"),
        (
            "{type: folder, path: photos}",
            [CHUNKS, "  - ground: {grounder: transformers, model: tiny}"],
            "source folder gives no annotations to judge by; take one that has boxes",
        ),
        (
            "{type: scenes, count: 3}",
            [CHUNKS, "  - caption_check: {min_words: 50}", GROUND],
            "no caption speaks of anything that has a box",
        ),
    ],
)
def test_nothing_to_judge_by_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, stages: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text('{"model_type": "owlv2"}')
    with pytest.raises(UserError, match=message):
        ask(load_recipe(recipe(tmp_path, source, *stages)), Truth.clear)
