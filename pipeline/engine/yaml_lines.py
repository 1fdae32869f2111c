"""YAML, loaded safely, that remembers on which line everything stood."""

from typing import Any, NamedTuple

import yaml

from gritmill.schemas.errors import UserError

Path = tuple[str | int, ...]
MAX_NODES = 20_000
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class Document(NamedTuple):
    """Plain data, and the line (from 1) of every key and list item by its path."""

    data: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int | None:
        """The line of a path, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def load(text: str, name: str) -> Document:
    """Parses one YAML document; `name` is what messages call it. Raises `UserError` for bad YAML.

    Duplicate keys and documents that grow past `MAX_NODES` by aliases are refused.
    """
    lines: dict[Path, int] = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        data = None if node is None else _build(loader, node, (), lines)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}, line {mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or str(error)
        if mark and "${" in "".join(text.splitlines()[mark.line : mark.line + 1]):
            problem += '; inside { } write "${NAME}" in quotes'
        raise UserError(f"{place}: this is not YAML: {problem}") from error
    except RecursionError as error:
        raise UserError(f"{name}: this is not YAML that can be read: it is nested too deeply") from error
    return Document(data, lines)


def _build(loader: yaml.SafeLoader, node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    if len(lines) > MAX_NODES:
        raise yaml.YAMLError(f"more than {MAX_NODES} entries")
    lines.setdefault(path, node.start_mark.line + 1)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
        raise yaml.MarkedYAMLError(problem=f"the tag {node.tag} is not allowed", problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node, deep=True))
            if key in mapping:
                raise yaml.MarkedYAMLError(problem=f"{key!r} stands twice", problem_mark=key_node.start_mark)
            lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = _build(loader, value_node, (*path, key), lines)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item, (*path, i), lines) for i, item in enumerate(node.value)]
    try:
        return loader.construct_object(node, deep=True)
    except (ValueError, AttributeError) as error:  # of PyYAML's own constructors: `2024-13-01`
        problem = f"{node.value[:40]!r} is no {node.tag.rpartition(':')[2]}; a text needs quotes"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error
