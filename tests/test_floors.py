"""Each floor of the house imports only what lies below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS: dict[str, tuple[str, ...]] = {
    "schemas": (),
    "prompts": ("schemas",),
    "pipeline/storage": ("schemas",),
    "stages": ("schemas", "prompts", "pipeline.storage"),
    "pipeline/sources": ("schemas", "prompts", "pipeline.storage", "stages"),
    "pipeline/output": ("schemas", "prompts", "pipeline.storage", "stages"),
    "pipeline/engine": (
        "schemas",
        "prompts",
        "pipeline.storage",
        "stages",
        "pipeline.sources",
        "pipeline.output",
    ),
    "trainer": ("schemas", "prompts", "pipeline.storage"),
}
"""What a folder may import of ours beside itself; folders that are not named may import all."""


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports of ours are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_what_lies_below_it(floor: str) -> None:
    allowed = tuple(f"gritmill.{name}" for name in (floor.replace("/", "."), *FLOORS[floor]))
    upwards = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / floor).rglob("*.py"))
        for module in imported(path)
        if is_within(module, ("gritmill",)) and not is_within(module, allowed)
    ]
    assert upwards == []
