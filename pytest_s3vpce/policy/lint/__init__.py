"""The mistakes that people make in these policies: a table of rules, and what each finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_s3vpce.policy.lint.findings import Finding, Kind, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.policy.lint.kinds import guess
    from pytest_s3vpce.policy.lint.linting import RULES

__all__ = ["RULES", "Finding", "Kind", "Rule", "Severity", "guess", "lint"]


def lint(document: str | Mapping[str, Any], *, kind: Kind | str | None = None, name: str = "") -> tuple[Finding, ...]:
    """What is wrong with a policy, in the order of its lines.

    Without `kind` it is guessed, see `guess`. `name` is the file's, for errors. PolicyError: the text is not JSON, or
    there is no such kind.
    """
    from pytest_s3vpce.policy.lint import linting

    return linting.lint(document, kind=kind, name=name)


def __getattr__(name: str) -> Any:
    """The rules are loaded when they are asked for: who decides needs none of them."""
    if name not in ("RULES", "guess"):
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    from pytest_s3vpce.policy.lint import linting

    return getattr(linting, name)
