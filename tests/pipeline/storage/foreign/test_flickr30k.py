import pytest

from gritmill.pipeline.storage.foreign.flickr30k import parse_annotation
from gritmill.schemas.boxes import Box

XML = """<annotation><size><width>640</width><height>480</height><depth>3</depth></size>
<object><name>1</name><name>2</name>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>640</xmax><ymax>240</ymax></bndbox></object>
<object><name>1</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>640</xmax><ymax>240</ymax></bndbox></object>
<object><name>3</name><scene>1</scene><nobndbox>0</nobndbox></object></annotation>"""


def test_corners_count_from_one_and_are_inside() -> None:
    size, boxes, unboxed = parse_annotation(XML)
    whole_width = Box(0.0, 0.0, 1.0, 0.5)
    assert size == (640, 480) and unboxed == {"3"}
    assert boxes == {"1": [whole_width, None], "2": [whole_width]}


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("", "no XML"),
        (XML[:100], "cannot be read"),
        ('<!DOCTYPE a [<!ENTITY b "bb">]>' + XML, "document type"),
        (XML.replace("640", "wide", 1), "size"),
        (XML.replace("640", "1e9", 1), "size"),
    ],
)
def test_other_xml_is_refused(xml: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_annotation(xml)
