"""Local models: the real architectures, tiny and with random weights."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.schemas.reasoning import answer_of
from gritmill.schemas.replies import Reply
from gritmill.stages.generation.backends.transformers import LocalModel, TransformersGenerate

Samples = Callable[..., Columns]

TEMPLATE = (
    "{% for message in messages %}{{ message.role | upper }}: {% for part in message.content %}"
    "{{ part.text if part.type == 'text' else '<image>' }}{% endfor %}\n{% endfor %}ASSISTANT:"
)


def photo(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "PNG")
    return file.getvalue()


def save(family: str, folder: Path) -> Path:
    import tiny_qwen
    import tiny_vlms

    if family == "llava":
        return tiny_vlms.llava(folder, TEMPLATE)
    if family in ("smolvlm", "idefics3"):
        return tiny_vlms.smolvlm(folder, family)
    tiny_qwen.save(family, folder)
    return folder


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("short")
    texts = {"system_message": "Describe.", "000_caps": "a red ball", "000_conv": "A small red ball."}
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return str(folder)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("llava", tmp_path_factory.mktemp("models") / "llava")


def stage(model: Path, prompt: str, replies: Path, **options: object) -> TransformersGenerate:
    given = {"model": str(model), "prompts": prompt, "replies": str(replies), "max_tokens": 12, **options}
    made = TransformersGenerate.model_validate(given)
    assert made.problems() == []
    made.setup()
    return made


@pytest.mark.parametrize("family", ["llava", "idefics3", "smolvlm", "qwen2_vl"])
def test_real_architectures_answer(family: str, tmp_path: Path, prompt: str, samples: Samples) -> None:
    made = stage(save(family, tmp_path / family), prompt, tmp_path / "replies")
    replies = made.process(samples(5, photo("red")))["reply"]
    assert all(isinstance(reply, Reply) for reply in replies)
    for reply in replies:
        assert reply.backend == "transformers"
        assert reply.model.startswith(f"{family}@")
        assert reply.finish_reason in ("stop", "length")
        assert reply.tokens_out <= 12 and reply.tokens_in > 10


def test_replies_are_the_same_alone_and_in_a_batch(
    llava: Path, tmp_path: Path, prompt: str, samples: Samples
) -> None:
    rows = samples(6, photo("red"))
    rows["context"][0] = "a much longer context than that of all the others, so that these are padded"
    many = stage(llava, prompt, tmp_path / "a", generation_batch=6).process(rows)["reply"]
    alone = stage(llava, prompt, tmp_path / "b", generation_batch=1).process(rows)["reply"]
    assert many == alone
    assert len({reply.text for reply in many}) > 1


def test_replies_depend_on_the_image(llava: Path, tmp_path: Path, prompt: str, samples: Samples) -> None:
    made = stage(llava, prompt, tmp_path)
    [red] = made.process(samples(1, photo("red")))["reply"]
    [blue] = made.process(samples(1, photo("blue")))["reply"]
    assert red.request != blue.request and red.tokens_in == blue.tokens_in
    [blind] = stage(llava, prompt, tmp_path, image=False).process(samples(1))["reply"]
    assert blind.tokens_in < red.tokens_in


def test_replies_are_kept(
    llava: Path, tmp_path: Path, prompt: str, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stage(llava, prompt, tmp_path).process(samples(3, photo("red")))
    again = stage(llava, prompt, tmp_path)
    monkeypatch.setattr(again._caller.backend, "complete", None)  # cannot be asked
    assert again.process(samples(3, photo("red"))) == first


def test_sampling_says_the_same_again(llava: Path, tmp_path: Path, prompt: str, samples: Samples) -> None:
    options = {"temperature": 1.5, "generation_batch": 1}
    first = stage(llava, prompt, tmp_path / "a", **options).process(samples(2, photo("red")))
    assert stage(llava, prompt, tmp_path / "b", **options).process(samples(2, photo("red"))) == first


def test_marks_of_reasoning_are_kept_though_they_are_special_tokens(
    llava: Path, tmp_path: Path, prompt: str
) -> None:
    model = stage(llava, prompt, tmp_path)._caller.backend
    assert isinstance(model, LocalModel)
    tokenizer = model.processor.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]", "<|odd|>"]})
    text = "[THINK]a dog[/THINK]a red ball<|odd|>"
    ids = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    said = model._completion(ids, 9)
    assert answer_of(said.text) == "a red ball" and said.text.startswith("[THINK]")
    plain = tokenizer("a red ball", add_special_tokens=False).input_ids
    assert model._completion(plain, 9).text == tokenizer.decode(plain, skip_special_tokens=True)


def test_a_broken_image_costs_its_row(llava: Path, tmp_path: Path, prompt: str, samples: Samples) -> None:
    good, bad = samples(2, photo("red")), samples(1, b"no image", start=2)
    rows = {name: [*good[name], *bad[name]] for name in good}
    replies = stage(llava, prompt, tmp_path).process(rows)["reply"]
    assert [type(reply) for reply in replies] == [Reply, Reply, Reject]
    assert replies[2].reason == "unreadable_image"


def test_tags_in_a_context_are_words(llava: Path, tmp_path: Path, prompt: str, samples: Samples) -> None:
    rows = samples(2, photo("red"))
    # Another picture's place, which no picture would be there for.
    rows["context"][1] = "a sign that reads <image> and </s>"
    assert all(isinstance(r, Reply) for r in stage(llava, prompt, tmp_path).process(rows)["reply"])


def test_a_model_without_chat_template_is_refused(tmp_path: Path, prompt: str) -> None:
    import tiny_vlms

    model = tiny_vlms.llava(tmp_path / "plain")
    with pytest.raises(UserError, match="has no chat template"):
        stage(model, prompt, tmp_path / "replies")


def cut(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-100])


def without_one(weights: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    del tensors[next(name for name in tensors if "vision" in name)]
    save_file(tensors, weights, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(cut, "a weight file is corrupt"), (without_one, "lacks 1 of its weights"), (Path.unlink, "OSError")],
)
def test_weights_that_are_not_all_there_are_one_sentence(
    spoil: Callable[[Path], None], message: str, llava: Path, tmp_path: Path, prompt: str
) -> None:
    model = Path(shutil.copytree(llava, tmp_path / "spoilt"))
    spoil(model / "model.safetensors")
    with pytest.raises(UserError, match=message) as raised:
        stage(model, prompt, tmp_path / "replies")
    assert "\n" not in str(raised.value)


def test_a_model_that_is_not_there_is_a_problem(prompt: str) -> None:
    made = TransformersGenerate(model="/no/such/model", prompts=prompt)
    assert any("neither a folder nor a model" in problem for problem in made.problems())
