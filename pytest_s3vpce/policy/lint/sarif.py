"""Findings as SARIF 2.1.0, for code scanning: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_s3vpce.policy.lint.findings import Finding, Rule

VERSION: Final = "2.1.0"
SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(
    found: Mapping[Path, Sequence[Finding]], *, rules: Sequence[Rule], version: str, failures: Sequence[str] = ()
) -> dict[str, Any]:
    """The log of one run. `version` is the tool's, `failures` say which files could not be read and why."""
    index = {rule.code: number for number, rule in enumerate(rules)}
    driver = {
        "name": "s3vpce lint",
        "semanticVersion": version,
        "informationUri": "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-management.html",
        "rules": [_rule(rule) for rule in rules],
    }
    notifications = [{"level": "error", "message": {"text": text}} for text in failures]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not failures, "toolExecutionNotifications": notifications}],
        "results": [_result(path, finding, index) for path, findings in found.items() for finding in findings],
    }
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    kinds = ", ".join(sorted(rule.kinds))
    title = rule.title[:1].upper() + rule.title[1:]
    return {
        "id": rule.code,
        "name": "".join(part.capitalize() for part in rule.slug.split("-")),
        "shortDescription": {"text": f"{title}."},
        "help": {
            "text": f"{title}. In policies of kind {kinds}. See {rule.doc}",
            "markdown": f"{title}. In policies of kind {kinds}. [AWS documentation]({rule.doc})",
        },
        "helpUri": rule.doc,
        "defaultConfiguration": {"level": str(rule.severity)},
        "properties": {"tags": ["security", "s3", "policy"]},
    }


def _result(path: Path, finding: Finding, index: Mapping[str, int]) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": _uri(path)},
        "region": {"startLine": finding.line, "startColumn": finding.column},
    }
    return {
        "ruleId": finding.code,
        "ruleIndex": index[finding.code],
        "level": str(finding.severity),
        "message": {"text": f"{finding.message}."},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: Path) -> str:
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
