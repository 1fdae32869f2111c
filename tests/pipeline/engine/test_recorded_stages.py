"""Stages of a recipe that may be somebody else's."""

import sys
from pathlib import Path
from typing import Any

import pytest

from gritmill.pipeline.engine.recorded_stages import recorded_stage, stage_entry


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("noun_chunks", ("noun_chunks", "noun_chunks", {})),
        ({"noun_chunks": None}, ("noun_chunks", "noun_chunks", {})),
        ({"ground": {"as": "again", "score_threshold": 0.1}}, ("again", "ground", {"score_threshold": 0.1})),
    ],
)
def test_an_entry_has_a_name_a_kind_and_options(entry: Any, expected: object) -> None:
    assert stage_entry(entry) == expected


def test_ours_comes_with_its_options() -> None:
    stage = recorded_stage("image_check", {"min_side": 9})
    assert stage is not None and stage.model_dump()["min_side"] == 9


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("somebody.elses:Stage", {}),
        ("verify_boxes", {"agreement": {"somebody.elses:Grounder": {}}}),
        ("ground", {"grounder": "somebody.elses:Grounder"}),
        ("ground", {"grounder": "ensemble", "members": [{"somebody.elses:Grounder": None}]}),
        ("image_check", {"min_side": "${SIDE}"}),
        ("image_check", {"bake": 3}),
        ("no_such_stage", {}),
    ],
)
def test_anything_else_is_none_and_imports_nothing(
    kind: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / "elses.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert recorded_stage(kind, options) is None
    assert "somebody" not in sys.modules
