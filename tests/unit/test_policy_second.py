"""The engine and the naive evaluator of tests/ were written apart from each other: they must agree."""

from __future__ import annotations

import json
import os
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.policy import answer
from tests.naive.decision import evaluate
from tests.randomly.lines import random_line

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

CASES = sorted((Path(__file__).parents[1] / "cases").glob("*.json"))
BLOCK = 1000
BLOCKS = 20 if os.environ.get("S3VPCE_SOAK") else 2
LEAST = {
    ("allow", None): 0.2,
    ("unknown", None): 0.02,
    ("explicit_deny", "scp"): 0.01,
    ("explicit_deny", "rcp"): 0.03,
    ("explicit_deny", "vpc_endpoint"): 0.02,
    ("explicit_deny", "resource"): 0.01,
    ("explicit_deny", "block_public_access"): 0.02,
    ("explicit_deny", "identity"): 0.02,
    ("explicit_deny", "permissions_boundary"): 0.01,
    ("explicit_deny", "session"): 0.01,
    ("implicit_deny", "scp"): 0.005,
    ("implicit_deny", "vpc_endpoint"): 0.02,
    ("implicit_deny", "identity"): 0.03,
    ("implicit_deny", "resource"): 0.05,
    ("implicit_deny", "permissions_boundary"): 0.01,
    ("implicit_deny", "session"): 0.01,
    ("explicit_deny", "kms"): 0.002,
    ("implicit_deny", "kms"): 0.01,
}
"""What share of the random requests each answer must have at least: else they would show nothing about it."""


def engine(line: Json) -> Json:
    output, ok = answer(json.dumps(line))
    assert ok, output
    decided = json.loads(output)
    return {"decision": decided["decision"], "layer": decided["layer"]}


def disagreement(line: Json) -> str | None:
    ours, second = engine(line), evaluate(line)
    return None if ours == second else f"engine: {ours}, second: {second}"


def without_one(value: Any) -> Iterator[Any]:
    """The value with one of its members, at any depth, left out."""
    if not isinstance(value, dict | list):
        return
    for place in list(value) if isinstance(value, dict) else range(len(value)):
        shorter = value.copy()
        del shorter[place]
        yield shorter
        for smaller in without_one(value[place]):
            changed = value.copy()
            changed[place] = smaller
            yield changed


def still_disagrees(line: Json) -> bool:
    try:
        return disagreement(line) is not None
    except Exception:  # noqa: BLE001 - something necessary was left out
        return False


def smallest(line: Json) -> Json:
    """What remains of a disagreement when nothing more can be left out of it."""
    smaller = next((candidate for candidate in without_one(deepcopy(line)) if still_disagrees(candidate)), None)
    return line if smaller is None else smallest(smaller)


def told(line: Json) -> str:
    line = smallest(line)
    return f"{disagreement(line)}\n{json.dumps(line, indent=1)}"


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_both_agree_on_the_cases(file: Path) -> None:
    for case in json.loads(file.read_text()):
        line = {name: case[name] for name in ("id", "request", "policies")}
        assert not disagreement(line), told(line)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_both_agree_on_random_requests(block: int) -> None:
    seen: Counter[tuple[str, str | None]] = Counter()
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        line = random_line(number)
        decided = evaluate(line)
        assert engine(line) == decided, told(line)
        seen[decided["decision"], decided["layer"]] += 1
    rare = {kind: seen[kind] for kind, share in LEAST.items() if seen[kind] < share * BLOCK}
    assert not rare, f"the random requests say little: {rare}"
