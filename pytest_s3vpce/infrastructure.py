"""What references to infrastructure stand for: outputs of stacks and of Terraform's folders, and stored parameters.

`${cfn:STACK.OUTPUT}`, `${tf:FOLDER#OUTPUT}` and `${ssm:/NAME}`; the first and the last may begin with `ACCOUNT:`. Each
is looked up once, where it is first used, with the account's own credentials and Region: in AWS and in the lab alike.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from pytest_s3vpce.faults import Fault, accepted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_s3vpce.accounts import Accounts
    from pytest_s3vpce.inventory import Inventory

_SECONDS: Final = 120
_STATE: Final = "terraform.tfstate"
_OUTPUTS: Final = ("output", "-json", "-no-color")


class Infrastructure:
    """Looks references up. Safe to use from several threads."""

    def __init__(self, inventory: Inventory, accounts: Accounts, *, provisioned: Mapping[str, Any] | None) -> None:
        self._inventory = inventory
        self._accounts = accounts
        self._provisioned = provisioned
        """The lab's outputs: there they stand for those of folders, whose state is that of the real thing."""
        self._locks = {kind: threading.Lock() for kind in _KINDS}
        self._known: dict[tuple[str, ...], Mapping[str, Any] | Fault] = {}

    def find(self, kind: str, parts: Mapping[str, str | None]) -> Any:
        """The value of a reference; Fault where it has none."""
        return _KINDS[kind](self, parts)

    def of_stack(self, parts: Mapping[str, str | None]) -> Any:
        account, stack = self._account(parts), str(parts["stack"])
        outputs = self._once("cfn", account, stack, read=lambda: self._stack(account, stack))
        return _row(outputs, str(parts["output"]), f"stack `{stack}` of account `{account}`")

    def of_folder(self, parts: Mapping[str, str | None]) -> Any:
        folder, output = str(parts["folder"]), str(parts["output"])
        if self._provisioned is not None:
            return _row(self._provisioned, output, "the lab")
        outputs = self._once("tf", folder, read=lambda: self._folder(folder))
        return _row(outputs, output, f"Terraform in `{folder}`")

    def of_store(self, parts: Mapping[str, str | None]) -> Any:
        account, name = self._account(parts), str(parts["name"])
        return self._once("ssm", account, name, read=lambda: self._parameter(account, name))["value"]

    def _account(self, parts: Mapping[str, str | None]) -> str:
        account = parts["account"] or self._inventory.default_account
        if account not in self._inventory.accounts:
            remedy = accepted(self._inventory.accounts, instead_of=account)
            raise Fault(f"unknown account `{account}`", remedy=remedy)
        return account

    def _once(self, kind: str, *name: str, read: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """What was read, also where that failed: it is told the same to everyone who asks."""
        with self._locks[kind]:
            key = (kind, *name)
            if key not in self._known:
                try:
                    self._known[key] = read()
                except Fault as fault:
                    self._known[key] = fault
            found = self._known[key]
        if isinstance(found, Fault):
            raise Fault(found.what, remedy=found.remedy)
        return found

    def _stack(self, account: str, stack: str) -> Mapping[str, Any]:
        """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html"""
        client = self._accounts.client("cloudformation", account=account)
        try:
            row = client.describe_stacks(StackName=stack)["Stacks"][0]
        except (ClientError, BotoCoreError) as error:
            raise _unread(f"stack `{stack}` of account `{account}`", error) from error
        return {output["OutputKey"]: output["OutputValue"] for output in row.get("Outputs", ())}

    def _parameter(self, account: str, name: str) -> Mapping[str, Any]:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html"""
        client = self._accounts.client("ssm", account=account)
        try:
            row = client.get_parameter(Name=name, WithDecryption=True)["Parameter"]
        except (ClientError, BotoCoreError) as error:
            raise _unread(f"parameter `{name}` of account `{account}`", error) from error
        return {"value": row["Value"].split(",") if row["Type"] == "StringList" else row["Value"]}

    def _folder(self, name: str) -> Mapping[str, Any]:
        """By Terraform itself, which knows where the state is; without it the state file of the folder.

        https://developer.hashicorp.com/terraform/cli/commands/output
        """
        folder = self._inventory.beside(name)
        if not folder.is_dir():
            raise Fault(f"there is no folder `{folder}`", remedy="name the one of a Terraform module")
        program = shutil.which("terraform")
        text = _kept(folder) if program is None else _printed([program, f"-chdir={folder}", *_OUTPUTS])
        try:
            found = json.loads(text)
            rows = found["outputs"] if program is None else found
            return {key: row["value"] for key, row in rows.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Fault(f"what Terraform says of `{folder}` is no JSON of outputs") from error


_KINDS: Final[Mapping[str, Callable[[Infrastructure, Mapping[str, str | None]], Any]]] = {
    "cfn": Infrastructure.of_stack,
    "tf": Infrastructure.of_folder,
    "ssm": Infrastructure.of_store,
}


def _printed(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired as late:
        raise Fault(f"`terraform output` was not done after {_SECONDS} s") from late
    if done.returncode:
        told = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise Fault(f"`terraform output` failed: {told}", remedy="run `terraform init` in the folder")
    return done.stdout


def _kept(folder: Path) -> str:
    try:
        return (folder / _STATE).read_text(encoding="utf-8")
    except OSError as error:
        what = f"there is neither `terraform` on the PATH nor a state file in `{folder}`"
        raise Fault(what, remedy="install Terraform") from error


def _row(outputs: Mapping[str, Any], name: str, whose: str) -> Any:
    if name not in outputs:
        remedy = accepted(sorted(outputs), instead_of=name)
        raise Fault(f"`{name}` is not among the outputs of {whose}", remedy=remedy)
    return outputs[name]


def _unread(what: str, error: Exception) -> Fault:
    told = error.response["Error"].get("Message", "") if isinstance(error, ClientError) else str(error)
    return Fault(f"{what} can't be read: {' '.join(told.split()) or type(error).__name__}")
