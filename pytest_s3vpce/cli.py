"""The `s3vpce` command: filters and small tools around the plugin; thin."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from pytest_s3vpce import __version__
from pytest_s3vpce.calibratecommand import calibrate
from pytest_s3vpce.commandoptions import INVENTORY, LAB_READY, environment_of, inventory_at
from pytest_s3vpce.errors import RunError, S3VpceError
from pytest_s3vpce.jsonlines import answer_lines
from pytest_s3vpce.keepcommand import deploy, undeploy
from pytest_s3vpce.labcommand import lab
from pytest_s3vpce.lintcommand import lint
from pytest_s3vpce.operationscommand import operations
from pytest_s3vpce.permissionscommand import permissions
from pytest_s3vpce.reportcommands import diff, history, merge, report
from pytest_s3vpce.snapshotcommand import snapshot, why
from pytest_s3vpce.sweepcommand import sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase

    from pytest_s3vpce.model import Answer

_FIELDS: Final = {
    "status": (int, "a whole number"),
    "headers": (dict, "an object"),
    "body": (str, "a text"),
    "failure": (str, "a text"),
    "operation": (str, "a text"),
}


class _Group(click.Group):
    """Our own errors are one line on stderr and exit status 2; a reader that goes away ends the command quietly."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except S3VpceError as error:
            click.echo(f"s3vpce: {error}", err=True)
            ctx.exit(2)
        except BrokenPipeError:
            # Python would complain once more when it closes what is left.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)


@click.group(cls=_Group)
@click.version_option(__version__, prog_name="pytest-s3vpce")
def main() -> None:
    """Live access tests for Amazon S3: tools around the pytest plugin."""


main.add_command(calibrate)
main.add_command(deploy)
main.add_command(diff)
main.add_command(history)
main.add_command(undeploy)
main.add_command(lab)
main.add_command(lint)
main.add_command(operations)
main.add_command(merge)
main.add_command(permissions)
main.add_command(report)
main.add_command(snapshot)
main.add_command(sweep)
main.add_command(why)


@main.command()
def classify() -> None:
    """Classifies answers of S3: JSON lines on stdin and stdout."""
    _filter(_classified)


@main.command()
def decide() -> None:
    """Decides requests by policies: JSON lines on stdin and stdout."""
    from pytest_s3vpce.policy import answer

    _filter(answer)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="all that led to the decision, as JSON")
def explain(file: Path, *, as_json: bool) -> None:
    """Says why a request is decided as it is. FILE holds a decision request, whose policies may be names of files."""
    from pytest_s3vpce.policy import decide as decided
    from pytest_s3vpce.policy import read_request

    found = decided(*read_request(file)).explain()
    click.echo(json.dumps(found.mapping(), indent=2) if as_json else str(found))


@main.command()
@click.option("--output", type=click.Path(path_type=Path), help="a folder to write the schemas into, instead of stdout")
def schema(output: Path | None) -> None:
    """Prints JSON Schemas. Of inventories and expectation files, for editors; of reports and snapshots."""
    from pytest_s3vpce.expectations import schemas
    from pytest_s3vpce.matrix import schema as of_reports
    from pytest_s3vpce.snapshot.state import schema as of_snapshots

    written = {"report.schema.json": of_reports(), "snapshot.schema.json": of_snapshots()}
    for name, content in {**schemas(), **written}.items():
        text = json.dumps(content, indent=2) + "\n"
        if output is None:
            click.echo(text, nl=False)
        else:
            _write(output / name, text)
            click.echo(f"{output / name}")


@main.command()
@INVENTORY
@LAB_READY
def doctor(inventory: Path | None, lab_ready: Path | None) -> None:
    """Checks all that an inventory names, without probing. Exit status 1 where something is in the way of a run."""
    from pytest_s3vpce.run.doctor import examine, table

    checks = examine(inventory_at(inventory), environment_of(lab_ready))
    click.echo(table(checks))
    if any(check.in_the_way for check in checks):
        sys.exit(1)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"`{path}` can't be written: {error.strerror}", remedy="name a folder") from error


def _filter(answer: Callable[[str], tuple[str, bool]]) -> None:
    """Exit status 1 where a line could not be answered."""
    if not answer_lines(cast("BufferedIOBase", sys.stdin.buffer), sys.stdout, answer=answer):
        sys.exit(1)


def _classified(line: str) -> tuple[str, bool]:
    from pytest_s3vpce.outcome import classify as outcome_of

    name = None
    try:
        row = _row_of(line)
        name = row.get("id")
        answer = _answer_of(row)
    except ValueError as error:
        return json.dumps({"id": name, "error": f"no answer can be read from this line: {error}"}), False
    outcome = outcome_of(answer, operation=row.get("operation"))
    found = {
        "id": name,
        "outcome": outcome.kind.value,
        "layer": outcome.layer.value if outcome.layer else None,
        "explicit": outcome.explicit,
        "code": outcome.code,
        "reason": outcome.reason,
    }
    return json.dumps(found), True


def _row_of(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg.lower()}, at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(row, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - all that is wrong with a line is one kind of error
    return row


def _no_constant(text: str) -> None:
    raise ValueError(f"`{text}` is not JSON")


def _answer_of(row: dict[str, Any]) -> Answer:
    from pytest_s3vpce.model import Answer, FailureKind

    for field, (kind, words) in _FIELDS.items():
        value = row.get(field)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"`{field}` is not {words}")
    failure = row.get("failure")
    if failure is None and row.get("status") is None:
        raise ValueError("neither `status` nor `failure` is given")
    if failure is not None and failure not in list(FailureKind):
        raise ValueError(f"there is no failure `{failure}`; known are {', '.join(FailureKind)}")
    return Answer(
        id=str(row.get("id")),
        status=row.get("status"),
        headers={name.lower(): str(value) for name, value in (row.get("headers") or {}).items()},
        body=(row.get("body") or "").encode("utf-8", errors="replace"),
        failure=None if failure is None else FailureKind(failure),
    )


if __name__ == "__main__":
    main()
