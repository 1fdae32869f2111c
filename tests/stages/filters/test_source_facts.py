"""Licences and opt-out lists: what goes by the words of the source."""

import hashlib
import json

import pytest
from memory_images import noise, stored

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.filters.licence import Licence
from gritmill.stages.filters.opt_out import OptOut

IMAGE = stored(noise())
SHA256 = hashlib.sha256(IMAGE.data).hexdigest()


def licence(metadata, **options):
    stage = Licence(**options)
    stage.setup()
    [found] = stage.process({"metadata": [metadata]})["licence"]
    return found


@pytest.mark.parametrize(
    ("metadata", "allow", "verdict"),
    [
        ('{"license": "CC BY 4.0"}', ["cc by 4.0"], "CC BY 4.0"),
        ('{"license": "CC BY-NC 4.0"}', ["cc by 4.0"], Reject("licence", "CC BY-NC 4.0", "cc by 4.0")),
        ('{"license": "xcc0"}', ["cc0"], Reject("licence", "xcc0", "cc0")),
        ('{"license": "cc0-1.0"}', ["cc-by*", "CC0*"], "cc0-1.0"),
        ('{"license": "", "license_url": "https://c.org/by/2.0/"}', ["*/by/*"], "https://c.org/by/2.0/"),
        ('{"license": 4}', ["4"], "4"),
        ("{}", ["cc0"], Reject("licence", "unknown", "cc0")),
        ("{}", ["cc0", "unknown"], "unknown"),
        ('{"license": ["cc0"]}', ["cc0"], Reject("licence", "unknown", "cc0")),
        ("[1]", ["cc0"], Reject("licence", "unknown", "cc0")),
        ("not json", ["cc0"], Reject("licence", "unknown", "cc0")),
        (None, ["cc0"], Reject("licence", "unknown", "cc0")),
        ("[" * 100_000, ["cc0"], Reject("licence", "unknown", "cc0")),
    ],
)
def test_only_licences_of_the_list_are_kept(metadata, allow, verdict):
    assert licence(metadata, allow=allow) == verdict


def test_measure_says_the_licence_and_drops_nothing():
    assert licence("{}", allow=["cc0"], mode="measure") == "unknown"


def opted_out(path, entries, mode="drop", **row):
    path.write_text("# a list\n\n" + "\n".join(entries), encoding="utf-8")
    stage = OptOut(lists=[str(path)], mode=mode)
    stage.setup()
    given = {"image_id": "139", "image": IMAGE, "metadata": '{"url": "https://a.org/x.jpg"}', **row}
    [found] = stage.process({name: [value] for name, value in given.items()})["opted_out"]
    return found


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("139", "139"),
        ("https://a.org/x.jpg", "https://a.org/x.jpg"),
        ("http://a.org/x.jpg/", "https://a.org/x.jpg"),
        ("a.org/x.jpg", "https://a.org/x.jpg"),
        (SHA256, SHA256),
        (SHA256.upper(), SHA256),
        ("13", None),
        ("https://a.org/", None),
        ("a" * 64, None),
    ],
)
def test_an_image_goes_by_id_url_or_digest(tmp_path, entry, named):
    others = [f"other-{i}" for i in range(1000)]
    assert opted_out(tmp_path / "list.txt", [*others, entry]) == (named and Reject("opted_out", named))
    assert opted_out(tmp_path / "list.txt", [entry], mode="measure") == named


def test_any_url_of_an_image_may_be_listed(tmp_path):
    told = {"coco_url": "http://coco.org/1.jpg", "flickr_url": "http://flickr.com/1.jpg", "URL": None}
    for url in (told["coco_url"], told["flickr_url"]):
        assert opted_out(tmp_path / "list.txt", [url], metadata=json.dumps(told)) == Reject("opted_out", url)


def test_a_byte_order_mark_is_no_part_of_an_entry(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeff139\r\n140\r\n".encode())
    stage = OptOut(lists=[str(path)])
    stage.setup()
    given: Columns = {"image_id": ["139", "14"], "image": [IMAGE] * 2, "metadata": ["{}"] * 2}
    assert stage.process(given)["opted_out"] == [Reject("opted_out", "139"), None]


def test_bytes_are_read_only_where_a_list_has_digests(tmp_path):
    assert opted_out(tmp_path / "list.txt", ["other"], image="no image") is None
    with pytest.raises(AttributeError):
        opted_out(tmp_path / "list.txt", [SHA256], image="no image")


def test_another_list_makes_another_fingerprint(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("1\n")
    before = OptOut(lists=[str(path)]).revision()
    path.write_text("1\n2\n")
    assert OptOut(lists=[str(path)]).revision() != before


def test_lists_that_are_none_are_a_sentence(tmp_path):
    [said] = OptOut(lists=[str(tmp_path / "nothing.txt")]).problems()
    assert "cannot be read" in said
    with pytest.raises(UserError, match="have no entry"):
        opted_out(tmp_path / "list.txt", [])
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        OptOut(lists=[str(tmp_path / "binary")]).setup()


def test_licences_of_real_photographs(coco_mini):
    from gritmill.pipeline.sources.coco import CocoSource

    source = CocoSource(images=str(coco_mini / "images"), captions=str(coco_mini / "captions.json"))
    [part] = source.parts()
    rows = source.read(part)["metadata"]
    stage = Licence(allow=["Attribution License"])
    stage.setup()
    found = stage.process({"metadata": rows})["licence"]
    kept = sum(value == "Attribution License" for value in found)
    assert 0 < kept < len(rows)
    assert json.loads(rows[0])["license"]
