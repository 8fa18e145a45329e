"""`s3vpce report`, `merge`, `diff` and `history`: reports that are there already, shown, joined and compared."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_s3vpce.redaction import Level
from pytest_s3vpce.wording import counted

if TYPE_CHECKING:
    from pytest_s3vpce.matrix import Matrix

_REDACT = click.option(
    "--redact",
    type=click.Choice([level.value for level in Level]),
    default=Level.SECRETS.value,
    show_default=True,
    help="what is taken out: secrets, account ids as well, bucket names as well, IP addresses as well",
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", help="a report to write instead (.json, .html, .md, .csv), or `github`: the job's summary")
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    help="what `s3vpce snapshot` wrote: explains by it what failed, claims too",
)
@click.option("-v", "--verbose", count=True, help="what claims rest on; twice: every cell's evidence")
@click.option("-q", "--quiet", count=True, help="the verdicts alone")
@_REDACT
def report(file: Path, *, output: str | None, snapshot: Path | None, verbose: int, quiet: int, redact: str) -> None:
    """Shows a JSON report, or makes another format of it. FILE is what `--s3vpce-report=FILE.json` wrote."""
    from pytest_s3vpce.report import writer_of

    found = _read(file, redact, snapshot=snapshot)
    if output is not None:
        writer_of(output)(found, Path(output))
        return
    click.echo(_for_terminal(found, verbosity=verbose - quiet))


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--output", type=click.Path(path_type=Path), help="the report to write, instead of JSON on stdout")
@_REDACT
def merge(files: tuple[Path, ...], *, output: Path | None, redact: str) -> None:
    """Joins the reports of one run's shards. Exit status 1 where anything failed or a shard is missing."""
    from pytest_s3vpce.joining import joined, missing, ordered
    from pytest_s3vpce.report import writer_of
    from pytest_s3vpce.report.reading import counts

    found = ordered(joined([_read(file, redact) for file in files]))
    if output is None:
        click.echo(found.to_json())
    else:
        writer_of(str(output))(found, output)
        cells, claims = counted(len(found.cells), "cell"), counted(len(found.claims), "claim")
        click.echo(f"{output}: {cells} and {claims} of {counted(len(files), 'report')}")
    absent = missing(found.shards)
    if absent:
        click.echo(f"no report of shard {', '.join(absent)} was given: what it was to measure is missing", err=True)
    if not counts(found).holds:
        sys.exit(1)


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@_REDACT
def diff(old: Path, new: Path, *, form: str, redact: str) -> None:
    """Tells what changed between two reports. Nothing where nothing did; exit status 1 where anything opened."""
    from pytest_s3vpce.report.compare import FORMATS, changes, has_opened

    found = changes(_read(old, redact), _read(new, redact))
    click.echo(FORMATS[form](found), nl=False)
    if has_opened(found):
        sys.exit(1)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("history.html"), show_default=True, help="the page"
)
@_REDACT
def history(folder: Path, *, output: Path, redact: str) -> None:
    """Draws each claim's verdict over many runs, as a page. FOLDER holds their JSON reports."""
    from pytest_s3vpce.report.history import find, write

    runs = [_read(path, redact) for path in find(folder)]
    write(runs, output)
    claims, names = {claim.id for run in runs for claim in run.claims}, {(run.started, run.run_id) for run in runs}
    click.echo(f"{output}: {counted(len(claims), 'claim')} in {counted(len(names), 'run')}")


def _read(path: Path, redact: str, *, snapshot: Path | None = None) -> Matrix:
    from pytest_s3vpce.redaction import names_of, redacted
    from pytest_s3vpce.report.json import read

    found = read(path)
    if snapshot is not None:
        from pytest_s3vpce.run import afterwards, asking

        found = afterwards.explained_by(found, asking.read(snapshot))
    return redacted(found, level=Level(redact), names=names_of(found))


def _for_terminal(matrix: Matrix, *, verbosity: int) -> str:
    from pytest_s3vpce.report.terminal import Colour, render_here

    colour = Colour.ANSI if _is_watched() and not os.environ.get("NO_COLOR") else Colour.PLAIN
    return render_here(matrix, colour=colour, verbosity=verbosity)


def _is_watched() -> bool:
    return sys.stdout.isatty()
