"""The corpus: decisions that AWS documents, as data in tests/cases/, each with its source and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_s3vpce.policy import answer

_FOLDER = Path(__file__).parent.parent / "cases"
_CASES: list[dict[str, Any]] = [
    case for path in sorted(_FOLDER.glob("*.json")) for case in json.loads(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in _CASES])
def test_case(case: dict[str, Any]) -> None:
    text, answered = answer(json.dumps({name: case[name] for name in ("id", "request", "policies")}))
    found = json.loads(text)
    assert answered, found
    assert {name: found[name] for name in ("decision", "layer")} == case["expected"], (case["reason"], found)


def test_corpus_is_whole() -> None:
    ids = [case["id"] for case in _CASES]
    assert len(ids) == len(set(ids)) >= 400
    assert all(case["source"].startswith("https://docs.aws.amazon.com/") and case["reason"] for case in _CASES)
