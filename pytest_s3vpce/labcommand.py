"""The commands `s3vpce lab`: serve a lab, and stand somewhere in the network of one that runs."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from pytest_s3vpce.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.lab.client import RunningLab

READY_VARIABLE: Final = "S3VPCE_LAB_READY"
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_FOLLOW_SECONDS: Final = 20.0
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
"""As `env` and shells tell them: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/env.html"""


def _ready_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--ready-file", type=_FILE, envvar=READY_VARIABLE, help=f"of the running lab (default: ${READY_VARIABLE})"
    )(function)


def _groups_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--security-group", "groups", multiple=True, metavar="SG", help="may be repeated (default: the VPC's own)"
    )(function)


@click.group(invoke_without_command=True)
@click.option("--ready-file", type=_FILE, metavar="FILE", help="written when the lab is ready; holds its keys")
@click.option("--account", "accounts", multiple=True, metavar="NAME=ID[@REGION]", help="an account; may be repeated")
@click.option("--region", default="us-east-1", show_default=True, help="of accounts that name none")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="of the loopback address (default: a free one)")
@click.option("--organization", type=_FILE, metavar="FILE", help="units, accounts and policies, made at the start")
@click.option("--terraform", type=_FOLDER, metavar="FOLDER", help="a root module, applied before it is ready")
@click.option(
    "--provision", type=_FILE, metavar="FILE", help="a script with provision(accounts), run before it is ready"
)
@click.option(
    "--enforce",
    type=click.Choice(["default", "all"]),
    default="default",
    help="authorise S3, STS and invocations (default), or all calls of every service",
)
@click.option(
    "--trail-delay", type=click.FloatRange(min=0), default=0.5, metavar="SECONDS", help="until a trail writes (0.5)"
)
@click.option(
    "--function-delay",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="until a function is Active (0)",
)
@click.option(
    "--calibration", type=_FILE, metavar="FILE", help="of `s3vpce calibrate`: what AWS documents nowhere is as it says"
)
@click.option("--log-requests", "log", type=_FILE, metavar="FILE", help="append a JSON line for each request")
@click.pass_context
def lab(
    context: click.Context,
    /,
    *,
    ready_file: Path | None,
    accounts: tuple[str, ...],
    region: str,
    enforce: str,
    trail_delay: float,
    function_delay: float,
    **served: Any,
) -> None:
    """Serves the embedded AWS look-alike. It goes on until SIGTERM or Ctrl-C; the commands use one that runs."""
    context.obj = ready_file
    if context.invoked_subcommand is not None:
        return
    from pytest_s3vpce.lab.delays import Delays
    from pytest_s3vpce.lab.enforcement import Enforcement
    from pytest_s3vpce.lab.process import check_packages
    from pytest_s3vpce.lab.serving import Settings, accounts_of, serve, told_to_end

    if ready_file is None:
        raise LabError("no ready file is named", remedy="add --ready-file FILE, which the lab's clients read")
    if not accounts:
        raise LabError("no account is named", remedy="add --account main=111122223333")
    check_packages()
    settings = Settings(
        ready_file=ready_file,
        accounts=accounts_of(accounts, region=region),
        enforce=Enforcement(enforce),
        delays=Delays(records=trail_delay, functions=function_delay),
        **served,
    )
    with told_to_end() as stop:
        serve(settings, stop=stop, announce=lambda ready: _announce(ready, ready_file))


@lab.command()
@click.argument("subnet", metavar="SUBNET_ID")
@_groups_option
@_ready_option
@click.pass_obj
def path(named: Path | None, *, subnet: str, groups: tuple[str, ...], ready_file: Path | None) -> None:
    """Prints the lab's addresses as seen from a subnet. For an instance there, http is port 80 and https port 443."""
    found = _running(ready_file or named).path(subnet, security_group_ids=groups)
    click.echo(json.dumps({name: found[name] for name in ("endpoint_url", "https_endpoint_url", "proxy_url")}))


@lab.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--subnet", required=True, metavar="SUBNET_ID", help="where the command stands")
@_groups_option
@click.option("--account", metavar="NAME", help="whose root keys it gets (default: those of the subnet's account)")
@click.option("--role", metavar="ARN", help="whose session's keys it gets instead; the role must trust its account")
@click.option(
    "--via",
    type=click.Choice(["proxy", "endpoint"]),
    default="proxy",
    show_default=True,
    help="`endpoint` sets AWS_ENDPOINT_URL, for SDKs that know no proxies",
)
@_ready_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def execute(
    named: Path | None,
    *,
    subnet: str,
    groups: tuple[str, ...],
    account: str | None,
    role: str | None,
    via: str,
    ready_file: Path | None,
    command: tuple[str, ...],
) -> None:
    """Runs a command as if it stood in a subnet. The exit status is the command's."""
    from pytest_s3vpce.lab.rolesession import assume
    from pytest_s3vpce.lab.surroundings import Via, of_command

    if account and role:
        raise LabError("--account and --role exclude each other", remedy="leave one out")
    running = _running(ready_file or named)
    found = running.path(subnet, security_group_ids=groups)
    keys = running.account(account) if account else running.account_of(_owner(role) or found["account_id"])
    environment = of_command(os.environ, urls=found, ca_bundle=running.ca_bundle, keys=keys, via=Via(via))
    if role:
        environment |= assume(running, role)
    _become(command, {**environment, READY_VARIABLE: str(running.file.resolve())})


def _owner(role: str | None) -> str | None:
    """The account of a role's ARN, whose Region the command gets."""
    return ":".join((role or "").split(":")[4:5]) or None


@lab.command()
@click.option("--follow", "-f", is_flag=True, help="go on until Ctrl-C or the lab's end")
@click.option("--json", "as_json", is_flag=True, help="JSON lines, as --log-requests writes them")
@_ready_option
@click.pass_obj
def log(named: Path | None, *, follow: bool, as_json: bool, ready_file: Path | None) -> None:
    """Shows who asked what. From where, by which path, the decision and its reason."""
    from pytest_s3vpce.lab.logline import line

    running = _running(ready_file or named)
    with suppress(KeyboardInterrupt):
        for note in _noted(running, seconds=_FOLLOW_SECONDS if follow else 0.0):
            click.echo(json.dumps(note) if as_json else line(note))


def _noted(running: RunningLab, *, seconds: float) -> Iterator[Mapping[str, Any]]:
    """All that the lab remembers; with `seconds` to wait at a time, also what comes, until the lab ends."""
    number, waiting = 0, 0.0
    while True:
        try:
            following, notes = running.log(number, seconds=waiting)
        except LabError:
            if seconds and not running.file.exists():  # it ended as it should
                return
            raise
        if lost := following - len(notes) - number:
            click.echo(f"({lost} older requests are forgotten)", err=True)
        yield from notes
        number, waiting = following, seconds
        if not notes and not seconds:
            return


def _running(ready_file: Path | None) -> RunningLab:
    from pytest_s3vpce.lab.client import running_lab

    if ready_file is None:
        raise LabError("no lab is named", remedy=f"add --ready-file FILE, or set {READY_VARIABLE}")
    return running_lab(ready_file)


def _become(command: tuple[str, ...], environment: Mapping[str, str]) -> NoReturn:
    """This process goes on as the command: its signals, terminal and exit status are its own."""
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - that is what it is for
    except OSError as failure:
        click.echo(f"s3vpce: `{command[0]}` can't be run: {failure.strerror}", err=True)
        sys.exit(_NOT_FOUND if isinstance(failure, FileNotFoundError) else _NOT_EXECUTABLE)


def _announce(ready: Mapping[str, Any], ready_file: Path) -> None:
    """What the ready file says, for people."""
    from pytest_s3vpce.lab.client import running_lab
    from pytest_s3vpce.lab.surroundings import credentials, exports

    running = running_lab(ready_file)
    lines = [f"the lab is ready: `{ready_file}` says where it is; Ctrl-C ends it", ""]
    lines += exports({READY_VARIABLE: str(ready_file.resolve()), "AWS_CA_BUNDLE": running.ca_bundle})
    for number, (name, keys) in enumerate(running.accounts.items()):
        lines += ["", f"# account {name}, {keys.account_id}: its root user"]
        lines += [text if number == 0 else f"# {text}" for text in exports(credentials(keys))]
    lines += ["", "# for AWS CLI and SDKs: from the public internet"]
    lines += exports({"AWS_ENDPOINT_URL": ready["endpoint_url"]})
    lines += [
        "",
        "# or, under AWS's own names, for Terraform and whatever else knows proxies (without AWS_ENDPOINT_URL)",
    ]
    lines += [f"# {text}" for text in exports({"HTTPS_PROXY": ready["proxy_url"], "HTTP_PROXY": ready["proxy_url"]})]
    lines += ["", "# from an instance in a subnet: s3vpce lab exec --subnet SUBNET_ID -- COMMAND..."]
    try:
        click.echo("\n".join(lines))
    except BrokenPipeError:  # nobody reads; the lab serves all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
