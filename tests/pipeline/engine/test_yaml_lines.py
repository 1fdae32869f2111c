"""Where everything stood in a YAML file, and what is no YAML that we take."""

import pytest

from gritmill.pipeline.engine import yaml_lines
from gritmill.schemas.errors import UserError

RECIPE = """\
# a comment
name: x

source: {type: scenes,
         count: 3}
stages:
  - image_check
  - ground:
      grounder: annotations
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 2),
        (("name",), 2),
        (("source", "type"), 4),
        (("source", "count"), 5),
        (("stages", 0), 7),
        (("stages", 1, "ground", "grounder"), 9),
        # What is not in the file is near the closest thing around it that is.
        (("stages", 1, "ground", "score_threshold"), 8),
        (("stages", 7), 6),
        (("output",), 2),
    ],
)
def test_lines_are_those_of_an_editor(path: yaml_lines.Path, line: int) -> None:
    assert yaml_lines.load(RECIPE, "r.yaml").line(path) == line


def test_nothing_has_no_lines() -> None:
    assert yaml_lines.load("# nothing\n", "r.yaml") == (None, {})
    assert yaml_lines.load("", "r.yaml").line(("name",)) is None


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("1: one\nnull: none", {"1": "one", "None": "none"}),
        ("a: [1, 2.5, yes, ~, 'no', '🐕']", {"a": [1, 2.5, True, None, "no", "🐕"]}),
    ],
)
def test_data_is_what_yaml_says(text: str, data: object) -> None:
    assert yaml_lines.load(text, "r.yaml").data == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "r.yaml, line 1: this is not YAML"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "r.yaml, line 4: this is not YAML: 'c' stands twice"),
        ("a: 1\n---\nb: 2\n", "r.yaml, line 2: this is not YAML: but found another document"),
        ("a: *nowhere", "found undefined alias"),
        ("dir: ${HOME}/x}", None),
        ("output: {dir: ${HOME}/x}", 'inside { } write "${NAME}" in quotes'),
        ("a: !!python/object/apply:os.system [id]", "the tag tag:yaml.org,2002:python"),
        ("a: !!python/name:os.system x", "could not determine a constructor"),
        ("a: !!set {b}", "the tag tag:yaml.org,2002:set is not allowed"),
        ("a: \0", "r.yaml: this is not YAML"),
        ("a: 1\nrevision: 2024-13-01", "line 2: this is not YAML: '2024-13-01' is no timestamp"),
        ("a: !!int twelve", "'twelve' is no int; a text needs quotes"),
        ("a: !!timestamp soon", "'soon' is no timestamp"),
        (f"a: {'9' * 5000}", "is no int"),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_yaml_is_one_sentence(text: str, message: str | None) -> None:
    if message is None:
        yaml_lines.load(text, "r.yaml")
        return
    with pytest.raises(UserError) as caught:
        yaml_lines.load(text, "r.yaml")
    assert message in str(caught.value)


def test_aliases_cannot_grow_a_document_without_end() -> None:
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30))
    with pytest.raises(UserError, match=f"more than {yaml_lines.MAX_NODES} entries"):
        yaml_lines.load(f"a0: &a0 x\n{levels}", "r.yaml")
