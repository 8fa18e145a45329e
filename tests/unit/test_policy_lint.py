"""Lint: each rule finds its mistake and lets the near miss be; good policies are left in peace; nothing is raised."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_s3vpce.policy.lint import RULES, Kind, Rule, lint

PAGE = (Path(__file__).parent.parent.parent / "docs" / "lint.md").read_text(encoding="utf-8")
SECTIONS = {
    match[1]: match[0] for match in re.finditer(r"^### (S3V\d{3}) .*?(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
BUCKET = ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]
VPCE = "vpce-0a1b2c3d4e5f60718"
ROLE = "arn:aws:iam::111122223333:role/app"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def deny(condition: dict[str, Any], **others: Any) -> dict[str, Any]:
    row = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": BUCKET, "Condition": condition}
    return {**row, **others}


def allow(condition: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {**deny(condition), "Effect": "Allow", "Action": "s3:GetObject", "Resource": BUCKET[1], **others}


def large(size: int) -> str:
    """A policy of that many characters in all."""
    text = json.dumps(policy(deny({"Bool": {"aws:SecureTransport": "false"}}, Sid="x")))
    return text.replace('"x"', f'"{"x" * (size - len(text) + 1)}"')


def examples(code: str) -> tuple[str, str]:
    """What a rule finds and what it does not, as whole documents: from its section of the page, but for sizes."""
    if code in SIZES:
        return SIZES[code]
    bad, good = re.findall(r"```json\n(.*?)```", SECTIONS[code], re.DOTALL)
    return whole(bad), whole(good)


def whole(block: str) -> str:
    if '"Statement"' in block:
        return block
    return f'{{"Version": "2012-10-17", "Statement": {block}}}'


SIZES = {"S3V004": (large(20_481), large(20_480)), "S3V005": (large(18_500), large(18_400))}


def kind_for(rule: Rule) -> Kind:
    return Kind.BUCKET if Kind.BUCKET in rule.kinds else min(rule.kinds)


def codes(document: Any, kind: Kind = Kind.BUCKET) -> set[str]:
    return {finding.code for finding in lint(document, kind=kind)}


def by_code(rule: Rule) -> str:
    return rule.code


@pytest.mark.parametrize("rule", RULES, ids=by_code)
def test_a_rule_finds_its_mistake_and_not_the_near_miss(rule: Rule) -> None:
    bad, good = examples(rule.code)
    found = [finding for finding in lint(bad, kind=kind_for(rule)) if finding.code == rule.code]
    assert found
    assert rule.code not in codes(good, kind_for(rule))
    for finding in found:
        assert (finding.slug, finding.severity, finding.doc) == (rule.slug, rule.severity, rule.doc)
        assert 1 <= finding.line <= bad.count("\n") + 1
        assert finding.consequence.startswith("because ")
        assert not finding.message.endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=by_code)
def test_a_rule_has_a_section_on_the_page_that_says_what_the_table_says(rule: Rule) -> None:
    section = SECTIONS[rule.code]
    assert section.startswith(f"### {rule.code} {rule.slug}\n")
    assert f"({rule.severity}; kinds: " in section
    assert f"[AWS]({rule.doc})" in section
    assert rule.title.lower() in section.lower()
    assert "Fix: " in section
    assert f"| {rule.slug} | {rule.severity} | {rule.title} |" in PAGE


def test_the_table_is_one_and_the_page_has_no_other_rules() -> None:
    assert len(RULES) >= 25
    assert len({rule.code for rule in RULES}) == len({rule.slug for rule in RULES}) == len(RULES)
    assert list(SECTIONS) == [rule.code for rule in RULES]
    assert all(rule.doc.startswith("https://docs.aws.amazon.com/") for rule in RULES)
    assert all(len(re.findall("```json", SECTIONS[rule.code])) == 2 for rule in RULES if rule.code not in SIZES)
