"""The command `s3vpce operations`: the catalogue, and how each operation is probed without changing anything."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import click

from pytest_s3vpce.errors import S3VpceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.operations import Form, Operation


class Layout(StrEnum):
    """How the catalogue is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


@click.command()
@click.argument("names", nargs=-1, metavar="[OPERATION]...")
@click.option("--format", "form", type=click.Choice([form.value for form in Layout]), default="text", show_default=True)
def operations(names: tuple[str, ...], *, form: str) -> None:
    """Lists operations, and how each is probed. Those named by operation or action, else the whole catalogue."""
    from pytest_s3vpce.operations import OPERATIONS

    rows = [described(row) for row in (map(_named, names) if names else OPERATIONS.values())]
    click.echo(_WRITERS[Layout(form)](rows))


def _named(name: str) -> Operation:
    from pytest_s3vpce.faults import Fault
    from pytest_s3vpce.questions import row_of

    try:
        return row_of(name)
    except Fault as fault:
        raise S3VpceError(fault.what, remedy=fault.remedy) from fault


def described(row: Operation) -> dict[str, Any]:
    """A row of the catalogue as plain values."""
    return {
        "operation": row.name,
        "action": row.default_of,
        "requires": [_requirement(requirement) for requirement in row.requires],
        "writes": row.writes,
        "safe": None if row.safe is None else _form(row.safe),
        "unsafe": row.unsafe or None,
        "mutating": None if row.mutating is None else _form(row.mutating),
        "source": row.source,
    }


def _requirement(requirement: Any) -> dict[str, str]:
    found = {"action": requirement.action, "resource": requirement.resource.value}
    found |= {name: value for name in ("when", "versioned") if (value := getattr(requirement, name))}
    return found


def _form(form: Form) -> dict[str, Any]:
    return {
        "kind": "documented" if form.documented else "inferred",
        "parameters": _plain(form.parameters),
        "document": None if form.document is None else form.document.decode(),
        "helpers": [helper.action for helper in form.helpers],
        "authorised": list(form.authorised),
        "note": form.note,
        "source": form.source,
    }


def _plain(value: Any) -> Any:
    """Values of parameters as JSON takes them; what is filled in later stands in angle brackets."""
    if isinstance(value, dict):
        return {name: _plain(row) for name, row in value.items()}
    if isinstance(value, list):
        return [_plain(row) for row in value]
    return value.decode() if isinstance(value, bytes) else value


_HEADERS: Final = ("operation", "actions", "safe form", "its helpers", "mutating form", "what it sends, or why nothing")


def _cells(row: Mapping[str, Any]) -> list[str]:
    safe, mutating = row["safe"], row["mutating"]
    return [
        row["operation"],
        ", ".join(requirement["action"] for requirement in row["requires"] if "when" not in requirement),
        safe["kind"] if safe else "none",
        ", ".join(safe["helpers"]) if safe else "",
        mutating["kind"] if mutating else "none",
        _says(row),
    ]


def _says(row: Mapping[str, Any]) -> str:
    safe = row["safe"]
    if safe is None:
        return str(row["unsafe"])
    if safe["note"]:
        return str(safe["note"])
    sent = ", ".join(f"{name}={value}" for name, value in safe["parameters"].items())
    return f"with {sent}" if sent else "the request as it is"


def _text(rows: list[dict[str, Any]]) -> str:
    from tabulate import tabulate

    return tabulate([_cells(row) for row in rows], headers=_HEADERS)


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2)


def _markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| operation | actions | safe form | what it sends, or why nothing | authorised when | source |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        name, actions, kind, helpers, _, says = _cells(row)
        safe = row["safe"]
        answers = ", ".join([*([] if row["writes"] else ["2xx"]), *safe["authorised"]]) if safe else ""
        kind = f"{kind}; helper {helpers}" if helpers else kind
        source = (safe or row)["source"]
        lines.append(f"| {name} | {actions} | {kind} | {says} | {answers} | [AWS]({source}) |")
    return "\n".join(lines)


_WRITERS: Final[Mapping[Layout, Callable[[list[dict[str, Any]]], str]]] = {
    Layout.TEXT: _text,
    Layout.JSON: _json,
    Layout.MARKDOWN: _markdown,
}
