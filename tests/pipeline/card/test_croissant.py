"""The Croissant description: its structure by the specification, and mlcroissant's word where it is there."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gritmill.pipeline.card import write_card
from gritmill.pipeline.storage.store import Store


@pytest.fixture
def document(dataset):
    write_card(Store(str(dataset)))
    return json.loads((dataset / "croissant.json").read_text(encoding="utf-8"))


def test_every_file_has_its_checksum_and_size(dataset, document):
    files = [one for one in document["distribution"] if one["@type"] == "cr:FileObject"]
    assert {one["contentUrl"] for one in files} == {
        str(path.relative_to(dataset))
        for folder in ("data", "parquet", "coco")
        for path in (dataset / folder).iterdir()
    }
    for one in files:
        content = (dataset / one["contentUrl"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert one["contentSize"] == f"{len(content)} B"


def test_it_has_what_the_specification_demands(document):
    assert document["@type"] == "sc:Dataset"
    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    for field in ("name", "description", "license", "distribution", "recordSet", "citeAs", "version"):
        assert document[field]
    for one in document["distribution"]:
        assert one["@id"] and one["encodingFormat"]
        assert one["contentUrl"] if one["@type"] == "cr:FileObject" else one["includes"]


def test_every_reference_leads_somewhere(document):
    ids = [one["@id"] for one in document["distribution"]]
    ids += [one["@id"] for one in document["recordSet"]]
    fields = [field for one in document["recordSet"] for field in one["field"]]
    ids += [field["@id"] for field in fields]
    assert len(ids) == len(set(ids))
    for field in fields:
        [target] = (value["@id"] for name, value in field["source"].items() if name != "extract")
        assert target in ids
    for one in document["distribution"]:
        for archive in one.get("containedIn", []):
            assert archive["@id"].endswith(".tar")
            assert archive["@id"] in ids


def test_every_column_is_in_the_parquet_files(dataset, document):
    pq = pytest.importorskip("pyarrow.parquet")
    tables = [one for one in document["recordSet"] if one["@id"].startswith("samples-")]
    assert len(tables) == len(list((dataset / "parquet").iterdir()))
    for one in tables:
        for field in one["field"]:
            name = field["source"]["fileObject"]["@id"]
            assert field["source"]["extract"]["column"] in pq.read_schema(dataset / name).names


def test_every_term_that_it_uses_is_in_its_context(document):
    context = document["@context"]

    def terms(value):
        if isinstance(value, dict):
            yield from (name for name in value if not name.startswith("@"))
            for item in value.values():
                yield from terms(item)
        elif isinstance(value, list):
            for item in value:
                yield from terms(item)

    used = set(terms({name: value for name, value in document.items() if name != "@context"}))
    schema_org = {"name", "description", "license", "version", "inLanguage", "distribution", "contentUrl"}
    schema_org |= {"contentSize", "encodingFormat", "sha256", "containedIn"}
    assert used - schema_org <= context.keys()


def test_mlcroissant_finds_nothing_wrong_and_loads_it(dataset, document):
    mlcroissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant, which the extra dev installs")
    read = mlcroissant.Dataset(str(dataset / "croissant.json"))
    assert not read.metadata.ctx.issues.errors
    for one in document["recordSet"]:
        assert next(iter(read.records(one["@id"])))


def test_the_command_that_hubs_validate_with_accepts_it(dataset, document):
    pytest.importorskip("mlcroissant", reason="needs mlcroissant, which the extra dev installs")
    command = [str(Path(sys.executable).with_name("mlcroissant")), "validate", "--jsonld"]

    def validate(path):
        offline = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
        return subprocess.run([*command, str(path)], capture_output=True, text=True, env=offline)

    done = validate(dataset / "croissant.json")
    assert done.returncode == 0, done.stderr
    document["recordSet"][0]["field"][0]["source"]["fileObject"] = {"@id": "nowhere"}
    (dataset / "broken.json").write_text(json.dumps(document))
    assert validate(dataset / "broken.json").returncode != 0
