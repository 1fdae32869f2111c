"""Generative grounders: tiny models of the real architectures that have learnt a few pictures by heart."""

import io
import math
import shutil
from typing import Any

import pytest
from PIL import Image

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, Reject, Span, from_arrow, to_arrow
from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.generative.grounder import GenerativeGrounder, PhraseAnswer
from gritmill.stages.grounders.generative.labellers import LABELLERS

torch = pytest.importorskip("torch", reason="needs the extra `grounders`")
pytest.importorskip("transformers", reason="needs the extra `grounders`")

FAMILIES = ("florence2", "kosmos-2", "qwen2_5_vl", "qwen3_vl")
BOXES = [Box(0.1, 0.2, 0.5, 0.9), Box(0.55, 0.05, 0.95, 0.45)]
SIZES = [(120, 80), (80, 120)]
CAPTION = "a red ball on a table"
PHRASES = ("a red ball", "a table")


class Bytes:
    def __init__(self, image, **options):
        out = io.BytesIO()
        image.save(out, "PNG", **options)
        self.data = out.getvalue()

    def read(self):
        return self.data


def shown(number: int) -> Image.Image:
    """A red rectangle at the box of this number, on another grey for each."""
    size = SIZES[number]
    image = Image.new("RGB", size, (99 * number, 99 * number, 99 * number))
    x1, y1, x2, y2 = BOXES[number].scaled(*size)
    image.paste((250, 20, 20), (round(x1), round(y1), round(x2), round(y2)))
    return image


def mirrored(box: Box) -> Box:
    """Where the table of a picture is: the ball's box, mirrored."""
    return Box(1 - box.x2, box.y1, 1 - box.x1, box.y2)


def tiny(model_type: str, folder):
    if model_type == "florence2":
        import tiny_florence2

        tiny_florence2.save(folder)
    elif model_type == "kosmos-2":
        import tiny_vlms

        tiny_vlms.kosmos2(folder)
    else:
        import tiny_qwen

        tiny_qwen.save(model_type, folder, 16 if model_type == "qwen3_vl" else 14)


@pytest.fixture(scope="module", params=FAMILIES)
def new(request, tmp_path_factory):
    """A model with random weights."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / f"tiny-{request.param}"
    tiny(request.param, folder)
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def learnt(new, tmp_path_factory):
    """The same with the boxes of both phrases of two pictures known by heart."""
    stage = loaded(new)
    learn(stage)
    folder = shutil.copytree(new, tmp_path_factory.mktemp("learnt") / new.name)
    stage._answers.model.save_pretrained(folder)
    return folder


def loaded(folder, **options) -> Any:
    stage = GenerativeGrounder(model=str(folder), **options)
    assert stage.problems() == []
    stage.setup()
    return stage


def learn(stage) -> None:
    """Training as plain as can be: the stage's own questions, and behind them what is to be said."""
    labeller, model = stage._answers.labeller, stage._answers.model
    rows = []
    for number, box in enumerate(BOXES):
        for phrase, its in zip(PHRASES, (box, mirrored(box))):
            question = labeller.question(phrase, CAPTION[: CAPTION.index(phrase)])
            rows.append((shown(number), question, spelled(labeller, phrase, its, SIZES[number])))
    images, questions, answers = map(list, zip(*rows))
    tokenizer = labeller.processor.tokenizer
    if labeller.model_type == "florence2":
        tensors = labeller.inputs(images, questions)
        labels = tokenizer(answers, padding=True, return_tensors="pt")["input_ids"]
        tensors["labels"] = labels.masked_fill(labels == tokenizer.pad_token_id, -100)
    else:
        ends = "</s>" if labeller.model_type == "kosmos-2" else "<|im_end|>"
        tensors = labeller.inputs(images, [q + a + ends for q, a in zip(questions, answers)])
        tensors["labels"] = torch.full_like(tensors["input_ids"], -100)
        for row, answer in zip(range(len(rows)), answers):
            count = len(tokenizer(answer + ends, add_special_tokens=False)["input_ids"])
            tensors["labels"][row, -count:] = tensors["input_ids"][row, -count:]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0)
    model.train()
    for _ in range(600):
        loss = model(**tensors).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if loss < 0.02:
            break
    model.eval()


def spelled(labeller, phrase: str, box: Box, size) -> str:
    if labeller.model_type == "kosmos-2":  # the phrase is in the question
        return labeller.dialect.encode_boxes([box], size)
    return labeller.dialect.encode_caption(phrase, [(Span(0, len(phrase)), [box])], size)


def rounded(stage, box: Box, size) -> Box:
    """A box as the family's numbers can say it."""
    dialect = stage._answers.labeller.dialect
    [read] = dialect.parse(dialect.encode_boxes([box], size), size).boxes
    return Box(*(round(v, 6) for v in read))


def batch(*rows):
    columns: dict[str, list[Any]] = {"image": [], "caption": [], "noun_chunks": []}
    for image, caption, phrases in rows:
        columns["image"].append(image if hasattr(image, "read") else Bytes(image))
        columns["caption"].append(caption)
        starts = [caption.index(phrase) for phrase in phrases]
        columns["noun_chunks"].append([Span(s, s + len(p)) for s, p in zip(starts, phrases)])
    return columns


def ground(stage, *rows) -> list[list[GroundedBox]]:
    return stage.process(batch(*rows))["candidates"]


@pytest.mark.slow
def test_boxes_that_were_learnt_come_out(learnt):
    stage = loaded(learnt)
    rows = [(shown(i), CAPTION, PHRASES) for i in range(2)]
    out = stage.process(batch(*rows))
    for i, (found, answers) in enumerate(zip(out["candidates"], out["grounding_answers"])):
        assert [f.phrase for f in found] == list(PHRASES)
        assert [f.span.of(CAPTION) for f in found] == list(PHRASES)
        expected = [rounded(stage, box, SIZES[i]) for box in (BOXES[i], mirrored(BOXES[i]))]
        assert [f.box for f in found] == expected
        assert all(0.5 < f.score < 1 for f in found)
        assert {f.model for f in found} == {f"{learnt.name}@{stage.revision()['model'][:12]}"}
        assert [(a.span, a.boxes, a.unreadable, a.whole) for a in answers] == [
            (f.span, 1, 0, True) for f in found
        ]
    column = out["grounding_answers"]
    assert from_arrow(to_arrow(column, list[PhraseAnswer]), list[PhraseAnswer]) == column


def test_eight_questions_together_are_answered_as_alone(learnt):
    rows = [(shown(i), CAPTION, PHRASES) for i in (0, 1, 1, 0)]
    together = ground(loaded(learnt, questions_at_once=8), *rows)
    alone = ground(loaded(learnt, questions_at_once=1), *rows)
    assert sum(map(len, together)) == 8
    for a, b in zip(together, alone):
        assert [(f.span, f.box, f.phrase) for f in a] == [(f.span, f.box, f.phrase) for f in b]
        assert all(abs(x.score - y.score) < 1e-3 for x, y in zip(a, b))


def test_exif_orientation_is_applied(learnt):
    stage = loaded(learnt)
    tags = Image.Exif()
    tags[0x0112] = 6  # turn right by 90 degrees to see it upright
    lying = Bytes(shown(0).transpose(Image.Transpose.ROTATE_90), exif=tags)
    upright, turned = ground(stage, (shown(0), CAPTION, PHRASES), (lying, CAPTION, PHRASES))
    assert upright == turned != []


def test_the_score_is_the_geometric_mean_of_the_probabilities_of_the_numbers(learnt):
    """Worked out again from the whole answer in one pass of the model."""
    stage = loaded(learnt)
    labeller, model = stage._answers.labeller, stage._answers.model
    tokenizer = labeller.processor.tokenizer
    question = labeller.question(PHRASES[0], "")
    answer = spelled(labeller, PHRASES[0], BOXES[0], SIZES[0])
    ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        if labeller.model_type == "florence2":
            labels = torch.tensor([[tokenizer.bos_token_id, *ids]])
            logits = model(**labeller.inputs([shown(0)], [question]), labels=labels).logits[0, 1:]
        else:
            logits = model(**labeller.inputs([shown(0)], [question + answer])).logits[0, -len(ids) - 1 : -1]
    chances = logits.softmax(-1)[range(len(ids)), ids].tolist()
    tokens = tokenizer.convert_ids_to_tokens(ids)
    numbers = [p for t, p in zip(tokens, chances) if any(map(str.isdigit, t)) and "bbox" not in t]
    if "qwen" in labeller.model_type:
        numbers = numbers[
            -sum(map(str.isdigit, answer.partition("[{")[2].partition("]")[0].partition(": ")[2])) :
        ]
    ((found, *_),) = ground(stage, (shown(0), CAPTION, PHRASES))
    assert math.isclose(found.score, math.prod(numbers) ** (1 / len(numbers)), abs_tol=2e-3)
    assert found.score < 1


class Scripted:
    """Stands for a model's weights: says a text, each token with a probability of one half."""

    def __init__(self, stage, text: str, ends: bool = True, room: int = 99):
        self.tokenizer = stage._answers.labeller.processor.tokenizer
        self.labeller = stage._answers.labeller
        self.dtype = stage._answers.model.dtype
        end = [self.tokenizer.convert_tokens_to_ids(self.labeller.end)] if ends else []
        self.ids = [*self.tokenizer(text, add_special_tokens=False)["input_ids"], *end]
        self.room = room
        self.passes: list[int] = []
        stage._answers.model = self

    def generate(self, input_ids, logits_processor, **_):
        self.passes.append(len(input_ids))
        if len(input_ids) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        for token in self.ids:
            scores = torch.full((len(input_ids), len(self.tokenizer)), -math.inf)
            scores[:, [token, (token + 1) % len(self.tokenizer)]] = 0.0
            logits_processor(input_ids, scores)
        said = torch.tensor([self.ids] * len(input_ids))
        before = torch.full((len(said), 1), 2) if self.labeller.model_type == "florence2" else input_ids
        return torch.cat([before, said], dim=1)


HALF = [0.5]
# family: what it says, whether it ends by itself -> how many candidates, or why the row goes
SAID: dict[str, list[tuple[str, bool, int | str]]] = {
    "florence2": [
        ("a red ball<loc_1><loc_2><loc_500><loc_600><loc_5><loc_6><loc_70><loc_80>", True, 2),
        ("a red ball<loc_1><loc_2><loc_500><loc_600>grass<loc_5><loc_6><loc_70><loc_80>", True, 1),
        ("a red ball", True, 0),
        ("", True, 0),
        ("a red ball<loc_500><loc_600><loc_1><loc_2>", True, "unreadable_answer"),
        ("a red ball<loc_1><loc_2><loc_500>", False, "unreadable_answer"),
    ],
    "kosmos-2": [
        ("<object><patch_index_0033><patch_index_0500></object>", True, 1),
        (
            "<object><patch_index_0033><patch_index_0500></delimiter_of_multi_objects/>"
            "<patch_index_0001><patch_index_0900></object> and <phrase>it</phrase>",
            True,
            2,
        ),
        (" is red", True, 0),
        (" is red and red and red", False, "unreadable_answer"),
    ],
    "qwen2_5_vl": [
        ('[{"bbox_2d": [1, 2, 50, 60], "label": "a"}, {"bbox_2d": [9, 9, 20, 20], "label": "b"}]', True, 2),
        ("[]", True, 0),
        ("There is no ball.", True, 0),
        ('[{"bbox_2d": [50, 60, 1, 2]}]', True, "unreadable_answer"),
        ('[{"bbox_2d": [50, 60, 1, 2]}, {"bbox_2d": [9, 9, 20, 20]}]', True, 1),
        ('[{"bbox_2d": [9, 9, 20, 20]}, {"bbox_2d": [1', False, 1),
        ('[{"bbox_2d": [1', False, "unreadable_answer"),
        ("1 " * 50, False, "unreadable_answer"),
    ],
}
SAID["qwen3_vl"] = SAID["qwen2_5_vl"]


def test_every_answer_is_accounted_for(new):
    stage = loaded(new)
    for text, ends, expected in SAID[stage._answers.labeller.model_type]:
        Scripted(stage, text, ends)
        out = stage.process(batch((shown(0), CAPTION, PHRASES[:1])))
        [found], [[answer]] = out["candidates"], out["grounding_answers"]
        assert (answer.text.strip() == text.strip(), answer.whole) == (True, ends) or "</object>" in text
        if isinstance(expected, str):
            assert isinstance(found, Reject) and found.reason == expected, text
            assert text.strip().startswith(found.value.strip())
        else:
            assert [f.score for f in found] == HALF * expected, text


def test_one_readable_answer_keeps_the_sample(new):
    """The other phrase has no candidates, and its answer says why."""
    stage = loaded(new, questions_at_once=1)
    good, *_ = (s for s in SAID[stage._answers.labeller.model_type] if s[2] == 1)
    bad, *_ = (s for s in SAID[stage._answers.labeller.model_type] if s[2] == "unreadable_answer")
    model = stage._answers.model
    texts = iter([good, bad])

    class Both:
        dtype = model.dtype

        def generate(self, **inputs):
            text, ends, _ = next(texts)
            stage._answers.model = model
            said = Scripted(stage, text, ends).generate(**inputs)
            stage._answers.model = self
            return said

    stage._answers.model = Both()
    out = stage.process(batch((shown(0), CAPTION, PHRASES)))
    assert [f.phrase for f in out["candidates"][0]] == ["a red ball"]
    assert [a.boxes for a in out["grounding_answers"][0]] == [1, 0]


def test_the_floor(new):
    stage = loaded(new, score_threshold=0.6)
    text, *_ = SAID[stage._answers.labeller.model_type][0]
    Scripted(stage, text)
    out = stage.process(batch((shown(0), CAPTION, PHRASES[:1])))
    assert out["candidates"] == [[]]
    assert out["grounding_answers"][0][0].boxes > 0


def test_a_batch_beyond_the_memory_is_halved(new):
    stage = loaded(new)
    model = Scripted(stage, SAID[stage._answers.labeller.model_type][0][0], room=3)
    found = ground(stage, *((shown(i % 2), CAPTION, PHRASES) for i in range(4)))
    assert model.passes == [8, 4, 2, 2, 2, 2]
    assert all(found)


def test_a_phrase_that_occurs_twice_is_asked_once_where_it_is_the_same_question(new):
    stage = loaded(new)
    model = Scripted(stage, SAID[stage._answers.labeller.model_type][0][0])
    columns = batch((shown(0), "a dog and a dog", ["a dog"]))
    columns["noun_chunks"] = [[Span(0, 5), Span(10, 15)]]
    (found,) = stage.process(columns)["candidates"]
    assert {f.span for f in found} == {Span(0, 5), Span(10, 15)}
    assert model.passes == ([2] if stage._answers.labeller.model_type == "kosmos-2" else [1])


HOSTILE = ["<|im_end|>", "</phrase>", "<loc_1>", "</s>", "<|image_pad|>", "<image>", "</grounding>"]


@pytest.mark.parametrize("phrase", HOSTILE)
def test_a_caption_cannot_write_markup(phrase, new):
    labeller = loaded(new)._answers.labeller
    tokenizer = labeller.processor.tokenizer
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()} - {tokenizer.unk_token_id}

    def marks(words):
        text = labeller.question(labeller.asked(words), words)
        return [i for i in labeller.inputs([shown(0)], [text])["input_ids"][0].tolist() if i in special]

    assert marks(phrase) == marks("a dog")


def test_a_long_phrase_loses_leading_words_and_says_so(new):
    stage = loaded(new)
    Scripted(stage, SAID[stage._answers.labeller.model_type][0][0])
    caption = "the " * 300 + "ball"
    (found,) = ground(stage, (shown(0), caption, [caption]))
    for f in found:
        assert f.span == Span(0, len(caption))
        assert f.phrase.endswith("the ball") and f.phrase.count("the") < 64


def test_images_without_phrases_are_not_read(new):
    class Unreadable:
        def read(self):
            raise OSError("gone")

    stage = loaded(new)
    assert ground(stage, (Unreadable(), "beautiful", [])) == [[]]
    with pytest.raises(OSError, match="gone"):
        ground(stage, (Unreadable(), CAPTION, PHRASES))


def cut_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


BROKEN = {
    "weights cut off": (cut_weights, "a weight file is corrupt .*; download it again"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded: OSError"),
    "no tokenizer": (lambda f: [p.unlink() for p in f.glob("*token*")], "cannot be loaded"),
    "no processor": (lambda f: [p.unlink() for p in f.glob("*processor*")], "cannot be loaded"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_one_sentence(name, new, tmp_path):
    damage, message = BROKEN[name]
    folder = shutil.copytree(new, tmp_path / "model")
    damage(folder)
    with pytest.raises(UserError, match=message) as raised:
        GenerativeGrounder(model=str(folder)).setup()
    assert "\n" not in str(raised.value)


def test_another_architecture_is_known_before_anything_loads(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "paligemma"}')
    (problem,) = GenerativeGrounder(model=str(tmp_path)).problems()
    assert "type 'paligemma', which is not supported; use one of type " + ", ".join(LABELLERS) in problem


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="the worker sees no GPU; set device: auto, or gpus: 1"):
        GenerativeGrounder(model=str(tmp_path), device="cuda").setup()
