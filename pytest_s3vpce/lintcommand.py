"""The command `s3vpce lint`: files of policy documents in, their mistakes out."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pytest_s3vpce import __version__
from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.escaping import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.policy.lint import Finding, Kind

    Found = Mapping[Path, tuple[Kind, tuple[Finding, ...]]]

_ERRORS, _UNREADABLE = 1, 2


class Format(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


# Named here as well as in `policy.lint`, so that the other commands need not load the rules.
_KINDS: Final = ("bucket", "endpoint", "identity", "session", "boundary", "scp", "rcp", "trust", "key")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--kind", type=click.Choice(_KINDS), help="what kind of policies they are (default: guessed of each)")
@click.option("--format", "form", type=click.Choice([form.value for form in Format]), default="text", show_default=True)
def lint(files: tuple[Path, ...], *, kind: str | None, form: str) -> None:
    """Finds mistakes in policies. Exit status 1 where there are errors, 2 where a file can't be read."""
    from pytest_s3vpce.policy.lint import Kind, Severity

    found: dict[Path, tuple[Kind, tuple[Finding, ...]]] = {}
    failures = []
    for path in dict.fromkeys(files):
        try:
            found[path] = _checked(path, Kind(kind) if kind else None)
        except PolicyError as error:
            failures.append(escaped(str(error)))
    _WRITERS[Format(form)](found, failures)
    for failure in failures:
        click.echo(f"s3vpce: {failure}", err=True)
    if failures:
        sys.exit(_UNREADABLE)
    if any(finding.severity is Severity.ERROR for _, findings in found.values() for finding in findings):
        sys.exit(_ERRORS)


def _checked(path: Path, kind: Kind | None) -> tuple[Kind, tuple[Finding, ...]]:
    from pytest_s3vpce.policy.lint import guess
    from pytest_s3vpce.policy.lint import lint as findings_of

    text = _text(path)
    # Guessed from what JSON parsers make of it; `findings_of` says what is wrong with the text itself.
    findings = findings_of(text, kind=kind, name=str(path))
    return kind or guess(json.loads(text)), findings


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PolicyError(f"`{path}` is not UTF-8", remedy="save it as UTF-8") from error
    except OSError as error:
        raise PolicyError(f"`{path}` can't be read: {error.strerror}", remedy="name files of policies") from error


# --- the formats -----------------------------------------------------------------------------------------------------


def _write_text(found: Found, _failures: list[str]) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    for path, (_, findings) in found.items():
        for finding in findings:
            severity, rule = finding.severity.value, f"{finding.code} {finding.slug}"
            line = escaped(f"{path}:{finding.line}: {severity} {rule}: {finding.message}")
            click.echo(line.encode(encoding, "backslashreplace").decode(encoding))


def _write_json(found: Found, _failures: list[str]) -> None:
    rows = []
    for path, (kind, findings) in found.items():
        rows += [{"file": str(path), "kind": kind.value, **asdict(finding)} for finding in findings]
    click.echo(json.dumps(rows, indent=2))


def _write_sarif(found: Found, failures: list[str]) -> None:
    from pytest_s3vpce.policy.lint import RULES
    from pytest_s3vpce.policy.lint.sarif import sarif

    findings = {path: rows for path, (_, rows) in found.items()}
    click.echo(json.dumps(sarif(findings, rules=RULES, version=__version__, failures=failures), indent=2))


_WRITERS: Final[Mapping[Format, Callable[[Found, list[str]], None]]] = {
    Format.TEXT: _write_text,
    Format.JSON: _write_json,
    Format.SARIF: _write_sarif,
}
