"""A dataset's description in Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html).

Every file with its checksum, and where in the files the fields of a sample are.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from gritmill.pipeline.card.body import summary
from gritmill.pipeline.card.citation import citation
from gritmill.pipeline.card.facts import Facts
from gritmill.pipeline.output.formats import EXTENSIONS

Field = tuple[str, str, str, dict[str, str]]
"""Name, type, description, and how it is taken from its file."""
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
VERSION = "1.0.0+"
"""What the version of every description of ours begins with; the fingerprint of the files follows."""
_VOCABULARY = "http://mlcommons.org/croissant/"
_TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet"),
    *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
    *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
    "transform",
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": _VOCABULARY,
    "rai": f"{_VOCABULARY}RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in _TERMS},
}
_ENCODINGS = {".tar": "application/x-tar", ".parquet": "application/x-parquet", ".json": "application/json"}
_RECORDS = "records"
_CONTENT = {"fileProperty": "content"}
_FILE: Field = (
    "file",
    "sc:Text",
    "Name of the member; a sample's have the same up to the dot.",
    {"fileProperty": "filename"},
)
_MIME = {extension: f"image/{name}" for name, extension in EXTENSIONS.items()}
_FIELDS = {
    "key": ("sc:Text", "Name of the sample."),
    "caption": ("sc:Text", "The caption, as the source has it."),
    "width": ("sc:Integer", "Of the image, in pixels."),
    "height": ("sc:Integer", "Of the image, in pixels."),
    "image_id": ("sc:Text", "The same for all samples of an image."),
    "split": ("sc:Text", "Split that the sample is in."),
    "metadata": ("sc:Text", "JSON object with what else the source says of the sample."),
}
_REGIONS = {
    "noun_chunks": "Noun chunks of the caption: [start, end, x1, y1, x2, y2, score].",
    "ref_exps": "The same boxes with the expressions that refer to them.",
}


def croissant(facts: Facts) -> dict[str, Any]:
    """The JSON-LD document. The addresses of the files are relative to its own.

    Says nothing of when it was written or published, so that equal datasets have equal descriptions.
    """
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": facts.name,
        "description": summary(facts),
        "license": facts.card.license_url or facts.card.license,
        "version": f"{VERSION}{facts.fingerprint}",
        "citeAs": citation(facts),
        "inLanguage": facts.languages,
        "distribution": [*_files(facts), *_file_sets(facts)],
        "recordSet": list(_record_sets(facts)),
    }
    return {name: value for name, value in document.items() if value}


def _files(facts: Facts) -> Iterator[dict[str, Any]]:
    for name, sha256 in sorted(facts.files.items()):
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{facts.sizes[name]} B",
            "encodingFormat": _ENCODINGS[name[name.rindex(".") :]],
            "sha256": sha256,
        }


def _file_sets(facts: Facts) -> Iterator[dict[str, Any]]:
    if facts.has(".tar"):
        yield _file_set(facts, _RECORDS, "*.json", "application/json")
        for extension in facts.image_extensions:
            yield _file_set(facts, f"images-{extension}", f"*.{extension}", _MIME[extension])


def _file_set(facts: Facts, name: str, includes: str, encoding: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "containedIn": [{"@id": file} for file in sorted(facts.files) if file.endswith(".tar")],
        "encodingFormat": encoding,
        "includes": includes,
    }


def _record_sets(facts: Facts) -> Iterator[dict[str, Any]]:
    """What mlcroissant can load: the rows of each Parquet file, and whole members of the shards.

    It merges only files that lie in archives, and does not look into JSON that does.
    """
    columns = [(*field, {"column": field[0]}) for field in _fields(facts)]
    for i, name in enumerate(file for file in sorted(facts.files) if file.endswith(".parquet")):
        yield _record_set(f"samples-{i}", {"fileObject": {"@id": name}}, columns)
    if facts.has(".tar"):
        record = ("record", "sc:Text", "JSON object with everything about a sample but its image.", _CONTENT)
        yield _record_set("sample-records", {"fileSet": {"@id": _RECORDS}}, [_FILE, record])
    for extension in facts.image_extensions:
        image = ("image", "sc:ImageObject", "The image, as the source has it.", _CONTENT)
        source = {"fileSet": {"@id": f"images-{extension}"}}
        yield _record_set(f"sample-images-{extension}", source, [_FILE, image])


def _fields(facts: Facts) -> Iterator[tuple[str, str, str]]:
    yield from ((name, *described) for name, described in _FIELDS.items())
    if facts.stats.boxes:
        # Lists of seven numbers each, for which Croissant 1.0 has no type.
        yield from ((name, "sc:Text", description) for name, description in _REGIONS.items())
    if facts.stats.conversations:
        yield "conversations", "sc:Text", "JSON list of conversations about the image."


def _record_set(name: str, files: dict[str, Any], fields: Iterable[Field]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{field}",
                "name": field,
                "description": description,
                "dataType": kind,
                "source": {**files, "extract": extract},
            }
            for field, kind, description, extract in fields
        ],
    }
