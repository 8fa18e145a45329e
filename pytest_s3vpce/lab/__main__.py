"""The lab's command line: `python -m pytest_s3vpce.lab`, usually started by `process.start_lab`."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import re
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_s3vpce.errors import LabError, S3VpceError
from pytest_s3vpce.lab import provisioning, reports
from pytest_s3vpce.lab.process import error_file

if TYPE_CHECKING:
    from collections.abc import Sequence

_ACCOUNT = re.compile(r"(?P<name>[^=]+)=(?P<id>[0-9]{12})(?:@(?P<region>[a-z0-9-]+))?")


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m pytest_s3vpce.lab", description="The embedded AWS of pytest-s3vpce.")
    made.add_argument("--ready-file", type=Path, required=True, help="written when the lab is ready; holds its keys")
    made.add_argument(
        "--account", action="append", required=True, metavar="NAME=ID[@REGION]", help="an account; may be repeated"
    )
    made.add_argument("--region", default="us-east-1", help="of accounts that name none (default: %(default)s)")
    made.add_argument("--port", type=int, default=0, help="of the loopback address (default: any free one)")
    made.add_argument("--provision", type=Path, help="a script with provision(accounts), run before the lab is ready")
    made.add_argument("--log-requests", type=Path, metavar="FILE", help="append a JSON line for each request")
    made.add_argument("--folder", type=Path, help="for the lab's files (default: one that is removed at the end)")
    made.add_argument("--with-parent", action="store_true", help="end when standard input does")
    return made


def accounts_of(texts: Sequence[str], *, region: str) -> dict[str, tuple[str, str]]:
    """Id and Region by name."""
    found: dict[str, tuple[str, str]] = {}
    for text in texts:
        match = _ACCOUNT.fullmatch(text)
        if match is None:
            raise LabError(f"`{text}` is no account", remedy="write NAME=ID, the id being twelve digits")
        if match["name"] in found:
            raise LabError(f"account `{match['name']}` is given twice", remedy="leave one out")
        found[match["name"]] = (match["id"], match["region"] or region)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a lab until it is told to end."""
    options = parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # the lab is no client of the user's AWS; a missing profile would stop botocore
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.with_parent:
        threading.Thread(target=_watch_parent, args=(stop,), name="lab-parent", daemon=True).start()
    try:
        if options.folder is not None:
            _serve(options, folder=options.folder, stop=stop)
        else:
            with tempfile.TemporaryDirectory(prefix="s3vpce-lab-") as folder:
                _serve(options, folder=Path(folder), stop=stop)
    except S3VpceError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's own output
        _write(error_file(options.ready_file), reports.dump(error))
        return 1
    return 0


def _watch_parent(stop: threading.Event) -> None:
    """The pipe ends with the parent, however it ends."""
    # Not by `sys.stdin`: a thread that waits in it would hold its lock while the interpreter ends.
    while os.read(0, 4096):
        pass
    stop.set()


def _serve(options: argparse.Namespace, *, folder: Path, stop: threading.Event) -> None:
    from pytest_s3vpce.lab.assembly import Lab

    accounts = accounts_of(options.account, region=options.region)
    lab = Lab(folder=folder, accounts=accounts, port=options.port, log=options.log_requests)
    try:
        outputs = {}
        if options.provision is not None:
            outputs = provisioning.run(
                options.provision, endpoint_url=lab.endpoint_url, accounts=lab.sessions(), folder=folder, stop=stop
            )
        if not stop.is_set():
            gc.freeze()  # what is loaded stays: neither requests nor the end need look through it again
            _write(options.ready_file, json.dumps(lab.ready(outputs), indent=1))
            stop.wait()
    finally:
        lab.close()
        options.ready_file.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, readable by this user only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as failure:
        raise LabError(f"`{path}` can't be written: {failure.strerror}", remedy="make its folder") from failure


if __name__ == "__main__":
    sys.exit(main())
