"""Grounded captions as conversations: what is asked, in which words, and of whom."""

import json
import tarfile
from collections import Counter
from string import Formatter

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gritmill import prompts
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, GroundedBox, Reject, Span
from gritmill.schemas.conversations import IMAGE, Conversation, Phrase, Turn, TurnRegion, from_json, render
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.expressions import as_definite
from gritmill.stages.tasks import QUESTIONS, Tasks, as_answer

WOMAN, DOG, A, B = (
    Box(0.3, 0.1, 0.5, 0.9), Box(0.5, 0.7, 0.7, 0.9), Box(0.0, 0.2, 0.2, 0.4), Box(0.6, 0.2, 0.9, 0.6),
)  # fmt: skip
WALK = "A woman walking with her dog in the snow."
GROUNDED = [("A woman", WALK[:-1], WOMAN), ("her dog", "her dog in the snow", DOG)]


def batch_of(*samples: tuple[str, str, list[tuple[str, str, Box]]]) -> Columns:
    """(key, caption, [(noun chunk, expression, box)]) of each sample -> the columns that the stage reads."""

    def span(text: str, caption: str) -> Span:
        start = caption.index(text)
        return Span(start, start + len(text))

    return {
        "key": [key for key, _, _ in samples],
        "caption": [caption for _, caption, _ in samples],
        "boxes": [
            [GroundedBox(span(chunk, caption), box, 0.9, "model@rev", chunk) for chunk, _, box in grounded]
            for _, caption, grounded in samples
        ],
        "ref_exps": [
            [span(expression, caption) for _, expression, _ in grounded] for _, caption, grounded in samples
        ],
    }


def conversations(stage: Tasks, caption: str, grounded, count: int = 60) -> list[Conversation]:
    """What samples that differ in their key alone are asked."""
    result = stage.process(batch_of(*((f"key-{i}", caption, grounded) for i in range(count))))
    rows = result["conversations"]
    assert all(len(row) == 1 for row in rows)
    return [row[0] for row in rows]


def pairs(stage: Tasks, caption: str = WALK, grounded=GROUNDED) -> list[tuple[Turn, Turn]]:
    talks = conversations(stage, caption, grounded)
    return [pair for c in talks for pair in zip(c.turns[::2], c.turns[1::2], strict=True)]


def only(task: str, **options) -> Tasks:
    return Tasks(tasks={task: 1}, boxes_probability=1, **options)


def test_a_small_model_is_asked_in_one_wording() -> None:
    texts = {question.text.removeprefix("<image>\n") for question, _ in pairs(only("rec", wordings=1))}
    assert texts == {
        "Find the woman walking with her dog in the snow in the image.",
        "Find the dog in the snow in the image.",
    }
    assert len({question.text for question, _ in pairs(only("rec"))}) > 10


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        ("grounded_caption",
         {(WALK, (), ((Span(0, 40), WOMAN), (Span(21, 40), DOG)))}),
        ("phrase_grounding",
         {("A woman", (), ((Span(0, 7), WOMAN),)), ("her dog", (), ((Span(0, 7), DOG),))}),
        ("rec", {("<region:0>", (WOMAN,), ()), ("<region:0>", (DOG,), ())}),
        ("reg", {("A woman walking with her dog in the snow.", (), ()), ("The dog in the snow.", (), ())}),
    ],
)  # fmt: skip
def test_the_answers_of_a_task(task, answers):
    told = pairs(only(task))
    assert {
        (
            turn.text,
            tuple(box for region in turn.regions for box in region.boxes),
            tuple((span, box) for span, boxes in turn.phrases for box in boxes),
        )
        for _, turn in told
    } == answers
    assert {turn.task for pair in told for turn in pair} == {task}
    assert {(question.role, answer.role) for question, answer in told} == {("human", "assistant")}


def test_the_question_has_what_the_answer_needs():
    for question, answer in pairs(only("rec")):
        name = (
            "woman walking with her dog in the snow"
            if answer.regions == [TurnRegion([WOMAN])]
            else "dog in the snow"
        )
        assert name in question.text
        assert question.regions == []
    for question, answer in pairs(only("reg")):
        assert question.text.count("<region:0>") == 1
        assert question.regions == [TurnRegion([WOMAN if "woman" in answer.text else DOG])]
    for question, answer in pairs(only("phrase_grounding")):
        assert f'"{WALK}"' in question.text and f'"{answer.text}"' in question.text
    for question, _ in pairs(only("grounded_caption")):
        assert question.text.removeprefix("<image>\n") in prompts.word_list("tasks/grounded_caption")


def test_an_expression_of_several_boxes_is_no_question_about_one():
    caption, grounded = "two dogs near a cat", [("two dogs", "two dogs", A), ("two dogs", "two dogs", B)]
    grounded.append(("a cat", "a cat", DOG))
    assert {a.regions[0].boxes[0] for _, a in pairs(only("rec"), caption, grounded)} == {DOG}
    assert {a.text for _, a in pairs(only("reg"), caption, grounded)} == {"A cat."}
    phrases = [a.phrases for _, a in pairs(only("phrase_grounding"), caption, grounded)]
    assert [Phrase(Span(0, 8), [A, B])] in phrases


@pytest.mark.parametrize(
    ("caption", "first", "second", "found"),
    [
        ("a dog next to a dog", Span(0, 5), Span(14, 19), [[A, B]]),
        ("A dog next to a dog", Span(0, 5), Span(14, 19), [[A, B]]),
        ("his hat next to her hat", Span(0, 7), Span(16, 23), [[A], [B]]),
    ],
)
def test_the_same_words_twice_are_one_expression_of_two_boxes(caption, first, second, found):
    boxes = [GroundedBox(span, box, 1, "m", "p") for span, box in ((first, A), (second, B))]
    columns = {"key": ["k"], "caption": [caption], "boxes": [boxes], "ref_exps": [[first, second]]}
    for task in ("rec", "reg"):
        assert only(task).process(columns)["conversations"] == [Reject("no_question")]
    [[talk]] = only("phrase_grounding").process(columns)["conversations"]
    assert sorted(turn.phrases[0].boxes for turn in talk.turns[1::2]) == found


def test_half_of_the_samples_are_plain_captions_unless_told_otherwise():
    def captions(stage: Tasks) -> int:
        return Counter(c.turns[0].task for c in conversations(stage, WALK, GROUNDED, 1000))["caption"]

    assert 450 < captions(Tasks()) < 550
    assert 750 < captions(Tasks(boxes_probability=0.2)) < 850
    assert captions(Tasks(boxes_probability=0)) == 1000
    assert captions(Tasks(boxes_probability=1)) == 0


def test_weights_decide_what_is_asked_first():
    stage = Tasks(boxes_probability=1, tasks={"rec": 3, "reg": 1}, max_questions=1)
    counts = Counter(c.turns[0].task for c in conversations(stage, WALK, GROUNDED, 1000))
    assert set(counts) == {"rec", "reg"}
    assert 700 < counts["rec"] < 800


def test_several_questions_in_a_conversation_never_tell_an_answer():
    grounded = [*GROUNDED, ("the snow", "the snow", A)]
    talks = conversations(Tasks(boxes_probability=1), WALK, grounded, 300)
    lengths = Counter(len(c.turns) // 2 for c in talks)
    assert lengths[3] > 50 and max(lengths) == 3
    for talk in talks:
        boxes = [
            box
            for turn in talk.turns
            for group in [
                *(region.boxes for region in turn.regions),
                *(phrase.boxes for phrase in turn.phrases),
            ]
            for box in group
        ]
        assert len(boxes) == len(set(boxes))
        if talk.turns[0].task == "grounded_caption":
            assert len(talk.turns) == 2
    assert any(len({turn.task for turn in talk.turns}) == 3 for talk in talks)
    short = conversations(Tasks(boxes_probability=1, max_questions=2), WALK, grounded)
    assert {len(c.turns) for c in short} == {2, 4}


@pytest.mark.parametrize(("image", "place"), [("before", 0), ("after", -1)])
def test_the_image_stands_once_in_the_first_question(image, place):
    for talk in conversations(Tasks(image=image), WALK, GROUNDED):
        assert talk.turns[0].text.split("\n")[place] == IMAGE
        assert sum(turn.text.count(IMAGE) for turn in talk.turns) == 1


def test_nothing_to_ask():
    columns = batch_of(("a", WALK, []), ("b", "  ", []))
    [[plain], nothing] = Tasks().process(columns)["conversations"]
    assert [turn.task for turn in plain.turns] == ["caption", "caption"]
    assert nothing == Reject("no_question")
    assert Tasks(boxes_probability=1).process(columns)["conversations"] == [Reject("no_question")] * 2


def test_the_same_for_a_sample_in_any_batch_and_any_order_of_options():
    samples = [(f"key-{i}", WALK, GROUNDED[: i % 3]) for i in range(40)]
    whole = Tasks().process(batch_of(*samples))["conversations"]
    alone = [Tasks().process(batch_of(sample))["conversations"][0] for sample in samples]
    assert whole == alone
    weights = {"reg": 1.0, "rec": 1.0, "phrase_grounding": 1.0, "grounded_caption": 1.0}
    assert Tasks(tasks=weights).process(batch_of(*samples))["conversations"] == whole
    assert Tasks(seed=1).process(batch_of(*samples))["conversations"] != whole


def test_the_draw_is_the_same_on_every_machine():
    columns = batch_of(("000000030752_3", WALK, GROUNDED))
    [[talk]] = Tasks(boxes_probability=1).process(columns)["conversations"]
    assert [turn.text for turn in talk.turns] == [
        "<image>\nHow would you refer to what <region:0> contains?",
        "The dog in the snow.",
        f'The caption says: "{WALK}" What does "A woman" refer to in the image?',
        "A woman",
    ]


@pytest.mark.parametrize(
    "caption",
    [
        "{chunk} <image> and <region:0> {{region}} {phrase} {0}",
        "  \n {chunk} </s><|im_end|> <grounding><phrase>x</phrase>  ",
        'the "quoted" {chunk}" [1, 2, 3, 4]; <loc_1><loc_2><loc_3><loc_4>',
    ],
)  # fmt: skip
def test_a_caption_stays_a_caption(caption):
    caption = caption.replace("{chunk}", "a dog")
    grounded = [("a dog", "a dog", DOG)]
    for task in QUESTIONS:
        for talk in conversations(only(task), caption, grounded, 20):
            text = "".join(turn.text for turn in talk.turns)
            assert text.count(IMAGE) == 1
            assert text.count("<") == 1 + sum(len(turn.regions) for turn in talk.turns)
            for dialect in DIALECTS.values():
                for role, spelled in render(talk, dialect, (640, 480)):
                    if role == "assistant" and task != "reg":
                        assert len(dialect.parse(spelled, (640, 480)).boxes) == 1


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=10), st.text(max_size=10), st.text(max_size=5))
def test_phrases_are_the_words_that_they_were(before, after, key):
    caption = f"{before}a dog{after}"
    start = len(before)
    span = Span(start, start + 5)
    boxes = [GroundedBox(span, DOG, 1, "m", "p")]
    columns = {"key": [key], "caption": [caption], "boxes": [boxes], "ref_exps": [[span]]}
    [[talk]] = only("grounded_caption").process(columns)["conversations"]
    [phrase] = talk.turns[1].phrases
    assert phrase.span.of(talk.turns[1].text) == "a dog"


@pytest.mark.parametrize(
    ("expression", "definite", "answer"),
    [
        ("a dog in a field", "the dog in a field", "A dog in a field."),
        ("An old man", "the old man", "An old man."),
        ("The White House", "the White House", "The White House."),
        ("her dog", "the dog", "The dog."),
        ("Their two dogs", "the two dogs", "The two dogs."),
        ("those people", "the people", "The people."),
        ("her own dog", None, "Her own dog."),
        ("a lot of sheep", None, "A lot of sheep."),
        ("a single giraffe", None, "A single giraffe."),
        ("Dogs running", None, "Dogs running."),
        ("John", None, "John."),
        ("an", None, "An."),
        ("a sign that says Stop!", "the sign that says Stop!", "A sign that says Stop!"),
        ("étoile", None, "Étoile."),
    ],
)
def test_english(expression, definite, answer):
    assert as_definite(expression) == definite
    assert as_answer(expression) == answer


SLOTS: dict[str, list[set[str]]] = {
    "caption": [set()],
    "grounded_caption": [set()],
    "phrase_grounding": [{"phrase", "caption"}],
    "rec": [{"definite"}, {"expression"}],
    "reg": [{"region"}],
}


@pytest.mark.parametrize("task", SLOTS)
def test_templates_are_whole_sentences_with_the_slots_of_their_task(task):
    templates = prompts.word_list(f"tasks/{task}")
    assert 8 <= len(templates) <= 15
    assert len(set(templates)) == len(templates)
    for template in templates:
        assert {slot for _, slot, _, _ in Formatter().parse(template) if slot} in SLOTS[task]
        assert template[0].isupper() or template[0] == '"'
        assert template.endswith((".", "?", '"'))
        assert "<" not in template
    assert {"tasks/" + task} <= Tasks().revision().keys()


@pytest.mark.parametrize("task", SLOTS)
def test_every_template_is_used(task):
    stage = Tasks(boxes_probability=0) if task == "caption" else only(task, max_questions=1)
    slots = {"phrase": "A dog", "definite": "the dog", "expression": "A dog", "region": "<region:0>"}
    talks = conversations(stage, "A dog", [("A dog", "A dog", DOG)], 200)
    asked = {talk.turns[0].text.removeprefix("<image>\n") for talk in talks}
    templates = prompts.word_list(f"tasks/{task}")
    assert asked == {template.format(caption="A dog", **slots) for template in templates}


def test_words_that_take_no_article_are_quoted():
    talks = conversations(only("rec"), "Dogs running", [("Dogs", "Dogs running", DOG)])
    assert all('"Dogs running"' in talk.turns[0].text for talk in talks)


@pytest.mark.parametrize(
    "options",
    [{"tasks": {}}, {"tasks": {"rec": 0}}, {"tasks": {"rec": float("inf")}}, {"tasks": {"caption": 1}},
     {"boxes_probability": 1.5}, {"max_questions": 0}, {"image": "middle"}],
)  # fmt: skip
def test_options_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        Tasks(**options)


@pytest.mark.slow
def test_our_recipe_writes_conversations_into_every_record(cli, tmp_path):
    out = tmp_path / "out"
    done = cli("run", "recipes/scenes_tasks.yaml", "--set", f"output.dir={out}", "--set", "source.count=20")
    assert done.returncode == 0, done.stderr
    records = {}
    for path in sorted(out.glob("data/*.tar")):
        with tarfile.open(path) as tar:
            for name in tar.getnames():
                if name.endswith(".json"):
                    member = tar.extractfile(name)
                    assert member is not None
                    record = json.load(member)
                    records[record["key"]] = record
    assert len(records) > 20
    for record in records.values():
        assert list(record)[-2:] == ["conversations", "provenance"]
        [talk] = from_json(record["conversations"])
        assert talk.provenance.maker == "tasks"
        asked = list(dict.fromkeys(turn.task for turn in talk.turns))
        assert talk.provenance.task == ", ".join(asked)
        files = [f"tasks/{task}@{prompts.digest(f'tasks/{task}')}" for task in asked]
        assert talk.provenance.template == ", ".join(files)
        for dialect in DIALECTS.values():
            spelled = render(talk, dialect, (record["width"], record["height"]))
            assert "".join(text for _, text in spelled).count(IMAGE) == bool(spelled)
    rows = [row for path in out.glob("parquet/*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {row["key"]: row["conversations"] for row in rows} == {
        key: record["conversations"] for key, record in records.items()
    }


def test_our_recipe_is_one():
    assert [stage.name for stage in load_recipe("scenes_tasks").stages][-1] == "tasks"
