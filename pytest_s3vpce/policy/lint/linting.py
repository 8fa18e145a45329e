"""The rules in their order, and what they find in a document."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.lint import conditions, elements, transport, values, ways, whole
from pytest_s3vpce.policy.lint.findings import Finding, Hit, Kind, Rule
from pytest_s3vpce.policy.lint.kinds import guess
from pytest_s3vpce.policy.lint.subject import Subject
from pytest_s3vpce.policy.places import Located, RepeatedKeyError, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RULES: Final[tuple[Rule, ...]] = (
    *whole.RULES,
    *ways.RULES,
    *transport.RULES,
    *conditions.RULES,
    *values.RULES,
    *elements.RULES,
)
MOST_OF_A_RULE: Final = 100
"""More of one rule in one document tell nobody more; a document that is noise is done soon."""


def lint(document: str | Mapping[str, Any], *, kind: Kind | str | None = None, name: str = "") -> tuple[Finding, ...]:
    """What is wrong with a policy, in the order of its lines.

    Without `kind` it is guessed, see `guess`. `name` is the file's, for errors. PolicyError: the text is not JSON, or
    there is no such kind.
    """
    kind = None if kind is None else _kind(kind)
    if not isinstance(document, str):
        return _ordered(_findings(document, json.dumps(document), kind=kind, located=None))
    try:
        located = load(document, source=name)
    except RepeatedKeyError as error:
        return (_of_repeated_key(error), *lint(json.loads(document.lstrip("\ufeff")), kind=kind, name=name))
    return _ordered(_findings(located.data, document, kind=kind, located=located))


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError as error:
        raise PolicyError(f"there is no policy kind `{text}`", remedy=f"kinds are {', '.join(Kind)}") from error


def _ordered(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.line, finding.column, finding.code)))


def _findings(data: Any, text: str, *, kind: Kind | None, located: Located | None) -> Iterator[Finding]:
    subject = Subject(data, text=text, kind=kind or guess(data))
    for rule in RULES:
        if subject.kind in rule.kinds:
            for hit in islice(rule.check(subject), MOST_OF_A_RULE):
                yield _finding(rule, hit, located)


def _finding(rule: Rule, hit: Hit, located: Located | None) -> Finding:
    found = Finding(
        code=rule.code,
        slug=rule.slug,
        severity=rule.severity,
        statement=hit.row.name if hit.row else "",
        line=0,
        column=0,
        what=hit.what,
        consequence=hit.consequence,
        fix=hit.fix,
        doc=rule.doc,
    )
    if located is None:
        return found
    place = located.place(*hit.path)
    return replace(found, line=place.line, column=place.column)


def _of_repeated_key(error: RepeatedKeyError) -> Finding:
    hit = Hit(
        path=(),
        what=error.what,
        consequence="because JSON parsers drop the first without a word, AWS reads another policy than is written",
        fix="Keep one, or merge the two: under one operator, or as another statement",
    )
    assert error.place is not None
    return replace(_finding(whole.REPEATED_KEY, hit, None), line=error.place.line, column=error.place.column)
