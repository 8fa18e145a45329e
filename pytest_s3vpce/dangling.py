"""Names in an inventory that nothing declares, and ARNs of another account than the one they are said to be in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce import forms
from pytest_s3vpce.faults import Fault, KeyFault, accepted
from pytest_s3vpce.references import refers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.inventory import Bucket, Inventory

Path = tuple[str | int, ...]
NO_ROLE = (
    "`{}` is this machine, which has no role",
    "ambient credentials are those of a function, an instance or a container; for this machine's own name a `profile`",
)


def faults_of_names(inventory: Inventory) -> Iterator[Fault]:
    """What is wrong with how the inventory's items name each other, section by section."""
    for name, account in inventory.accounts.items():
        yield from _owner(inventory, account.role, name, ("accounts", name, "role"))
    for name, principal in inventory.principals.items():
        yield from _account(inventory, principal.account, ("principals", name, "account"))
        yield from _owner(inventory, principal.role, principal.account, ("principals", name, "role"))
        yield from _signer(inventory, name)
    for name, vantage in inventory.vantage_points.items():
        if vantage.lambda_ is not None:
            path = ("vantage_points", name, "lambda")
            yield from _account(inventory, vantage.account, (*path, "account"))
            yield from _owner(inventory, vantage.lambda_.role, vantage.account, (*path, "role"))
            yield from _owner(inventory, vantage.lambda_.function, vantage.account, (*path, "function"))
        if vantage.ec2 is not None:
            path = ("vantage_points", name, "ec2")
            yield from _account(inventory, vantage.account, (*path, "account"))
            yield from _owner(inventory, vantage.ec2.profile, vantage.account, (*path, "profile"))
    for name, bucket in inventory.buckets.items():
        yield from _account(inventory, bucket.account, ("buckets", name, "account"))
        yield from _canary(inventory, bucket, ("buckets", name, "canary"))
    for number, source in enumerate(inventory.evidence):
        yield from _account(inventory, source.account, ("evidence", number, "account"))
    for number, stack in enumerate(inventory.lab.stacks if inventory.lab else ()):
        yield from _account(inventory, stack.account, ("lab", "stacks", number, "account"))
    for name in inventory.controls:
        if name not in inventory.accounts:
            remedy = accepted(inventory.accounts, instead_of=name)
            yield KeyFault(f"unknown account `{name}`", path=("controls", name), remedy=remedy)


def _signer(inventory: Inventory, name: str) -> Iterator[Fault]:
    """A presigned URL's signer: one whose keys this machine has."""
    presigned = inventory.principals[name].presigned
    if presigned is None:
        return
    path = ("principals", name, "presigned", "by")
    signers = [other for other, row in inventory.principals.items() if row.signs_here]
    if presigned.by not in inventory.principals:
        yield Fault(f"unknown principal `{presigned.by}`", path=path, remedy=accepted(signers, instead_of=presigned.by))
    elif presigned.by not in signers:
        remedy = accepted(signers, instead_of=presigned.by)
        yield Fault(f"principal `{presigned.by}` signs no URLs: it has no keys here", path=path, remedy=remedy)


def who_fault(inventory: Inventory, who: str, path: Path = ()) -> Fault | None:
    """What is wrong with a `principal:vantage point`; None if both are declared and can go together."""
    principal, colon, vantage = who.partition(":")
    if not colon:
        return Fault(f"`{who}` is not {forms.WHO.what}", path=path, remedy=forms.WHO.remedy)
    if principal not in inventory.principals:
        remedy = accepted(inventory.principals, instead_of=principal)
        return Fault(f"unknown principal `{principal}` in `{who}`", path=path, remedy=remedy)
    if vantage not in inventory.vantage_points:
        remedy = accepted(inventory.vantage_points, instead_of=vantage)
        return Fault(f"unknown vantage point `{vantage}` in `{who}`", path=path, remedy=remedy)
    if not possible(inventory, principal=principal, vantage=vantage):
        return Fault(f"`{who}` can't exist: {NO_ROLE[0].format(vantage)}", path=path, remedy=NO_ROLE[1])
    return None


def possible(inventory: Inventory, *, principal: str, vantage: str) -> bool:
    """Whether the combination can exist: `ambient` only where the vantage point may have a role."""
    return not inventory.principals[principal].ambient or inventory.vantage_points[vantage].may_have_role


def implied(inventory: Inventory, *, principal: str, vantage: str) -> bool:
    """Whether it is meant where nobody is named: `ambient` only where the vantage point is known to have a role."""
    return not inventory.principals[principal].ambient or inventory.vantage_points[vantage].has_role


def check_who(inventory: Inventory, who: str, path: Path) -> None:
    """Raises the Fault of a `principal:vantage point`, if there is one."""
    fault = who_fault(inventory, who, path)
    if fault is not None:
        raise fault


def check_name(known: Iterable[str], name: str, word: str, path: Path) -> None:
    """Raises Fault where a name is not among the declared ones."""
    if name not in known:
        raise Fault(f"unknown {word} `{name}`", path=path, remedy=accepted(known, instead_of=name))


def _account(inventory: Inventory, name: str | None, path: Path) -> Iterator[Fault]:
    if name is not None and name not in inventory.accounts:
        yield Fault(f"unknown account `{name}`", path=path, remedy=accepted(inventory.accounts, instead_of=name))


def _owner(inventory: Inventory, arn: str | None, account: str | None, path: Path) -> Iterator[Fault]:
    """An ARN's fifth part is the owner: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    name = account or inventory.default_account
    if arn is None or not arn.startswith("arn:") or refers(arn) or name not in inventory.accounts:
        return
    wanted, found = inventory.accounts[name].id, arn.split(":")[4]
    if not refers(wanted) and wanted != found:
        owners = [other for other, row in inventory.accounts.items() if row.id == found]
        remedy = f"that is account `{owners[0]}`" if owners else "correct the ARN, or the account's id"
        yield Fault(f"`{arn}` is in account `{found}`, but `{name}` is `{wanted}`", path=path, remedy=remedy)


def _canary(inventory: Inventory, bucket: Bucket, path: Path) -> Iterator[Fault]:
    for field in ("create", "reader"):
        who = getattr(bucket.canary, field)
        fault = who_fault(inventory, who, (*path, field)) if who is not None else None
        if fault is not None:
            yield fault
