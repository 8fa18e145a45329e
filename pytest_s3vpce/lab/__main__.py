"""The lab's command line: `python -m pytest_s3vpce.lab`, usually started by `process.start_lab`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_s3vpce.errors import LabError, S3VpceError
from pytest_s3vpce.lab import reports
from pytest_s3vpce.lab.delays import USUAL, Delays
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.process import error_file
from pytest_s3vpce.lab.serving import Settings, accounts_of, serve, told_to_end, write

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m pytest_s3vpce.lab", description="The embedded AWS of pytest-s3vpce.")
    made.add_argument("--ready-file", type=Path, required=True, help="written when the lab is ready; holds its keys")
    made.add_argument(
        "--account", action="append", required=True, metavar="NAME=ID[@REGION]", help="an account; may be repeated"
    )
    made.add_argument("--region", default="us-east-1", help="of accounts that name none (default: %(default)s)")
    made.add_argument("--port", type=int, default=0, help="of the loopback address (default: any free one)")
    made.add_argument(
        "--organization", type=Path, metavar="FILE", help="units, accounts and policies, made at the start"
    )
    made.add_argument("--terraform", type=Path, metavar="FOLDER", help="a root module, applied before the lab is ready")
    made.add_argument("--stacks", type=Path, metavar="FILE", help="stacks of an inventory, written by its run")
    made.add_argument("--provision", type=Path, help="a script with provision(accounts), run before the lab is ready")
    made.add_argument(
        "--enforce", choices=[*Enforcement], default=Enforcement.DEFAULT, help="whose calls are authorised"
    )
    made.add_argument("--log-requests", type=Path, metavar="FILE", help="append a JSON line for each request")
    made.add_argument(
        "--trail-delay",
        type=float,
        default=USUAL.records,
        metavar="SECONDS",
        help="until a trail's records are written",
    )
    made.add_argument(
        "--function-delay",
        type=float,
        default=USUAL.functions,
        metavar="SECONDS",
        help="until a new or changed function is ready",
    )
    made.add_argument(
        "--calibration", type=Path, metavar="FILE", help="of `s3vpce calibrate`: what AWS documents nowhere is so"
    )
    made.add_argument("--folder", type=Path, help="for the lab's files (default: one that is removed at the end)")
    made.add_argument("--with-parent", action="store_true", help="end when standard input does")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a lab until it is told to end."""
    options = parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    with told_to_end() as stop:
        if options.with_parent:
            threading.Thread(target=_watch_parent, args=(stop,), name="lab-parent", daemon=True).start()
        try:
            serve(_settings(options), stop=stop)
        except S3VpceError as error:
            print(error, file=sys.stderr)  # noqa: T201 - a command's own output
            _report(error, options.ready_file)
            return 1
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        ready_file=options.ready_file,
        accounts=accounts_of(options.account, region=options.region),
        port=options.port,
        organization=options.organization,
        terraform=options.terraform,
        stacks=options.stacks,
        provision=options.provision,
        enforce=Enforcement(options.enforce),
        log=options.log_requests,
        delays=Delays(records=options.trail_delay, functions=options.function_delay),
        calibration=options.calibration,
        folder=options.folder,
    )


def _report(error: S3VpceError, ready_file: Path) -> None:
    """For `start_lab`, where there is a place for it."""
    try:
        write(error_file(ready_file), reports.dump(error))
    except LabError as unwritten:
        print(unwritten, file=sys.stderr)  # noqa: T201 - as above


def _watch_parent(stop: threading.Event) -> None:
    """The pipe ends with the parent, however it ends."""
    # Not by `sys.stdin`: a thread that waits in it would hold its lock while the interpreter ends.
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
