"""Reads an account's place in its organization, and the policies of each level above it.

Only the management account and delegated administrators may read them:
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_permissions_iam-policies.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.snapshot.asking import asked, joined, policy
from pytest_s3vpce.snapshot.state import OrganizationRow, Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.snapshot.state import Rows

ACTIONS: Final = (
    "organizations:DescribeOrganization",
    "organizations:ListParents",
    "organizations:ListPoliciesForTarget",
    "organizations:DescribePolicy",
)
_ALONE: Final = "AWSOrganizationsNotInUseException"
_SCP: Final = "SERVICE_CONTROL_POLICY"
_RCP: Final = "RESOURCE_CONTROL_POLICY"
_NO_TYPE: Final = ("PolicyTypeNotEnabledException",)


def place_of(client: Any, account_id: str, *, of_management: Mapping[str, Any]) -> OrganizationRow | Unread | None:
    """`client` is of the account itself; `of_management` has the clients of accounts that may be the management's."""
    found = asked(lambda: client.describe_organization()["Organization"], absent=(_ALONE,))
    if found is None or isinstance(found, Unread):
        return found
    management = found["MasterAccountId"]
    asks = of_management.get(management, client)
    above = asked(lambda: _above(asks, account_id))
    if above is None or isinstance(above, Unread):
        why = above or Unread(unread="there is no answer")
        return OrganizationRow(id=found["Id"], management_account=management, path=why, scps=why, rcps=why)
    levels = [*above, account_id]
    return OrganizationRow(
        id=found["Id"],
        management_account=management,
        path=f"{found['Id']}/" + "".join(f"{unit}/" for unit in above),
        scps=_levels(asks, levels, kind=_SCP),
        rcps=_levels(asks, levels, kind=_RCP),
    )


def controls_over(client: Any, account_id: str, *, of_management: Mapping[str, Any]) -> tuple[Rows, ...] | Unread:
    """The resource control policies over an account's buckets, level by level; those of a management account have none.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
    """
    found = asked(lambda: client.describe_organization()["Organization"], absent=(_ALONE,))
    if isinstance(found, Unread):
        return found
    if found is None or found["MasterAccountId"] == account_id:
        return ()
    asks = of_management.get(found["MasterAccountId"], client)
    above = asked(lambda: _above(asks, account_id))
    if above is None or isinstance(above, Unread):
        return above or Unread(unread="there is no answer")
    return _levels(asks, [*above, account_id], kind=_RCP)


class Clients(dict[str, Any]):
    """Clients of the accounts that the inventory knows, by the accounts' ids, made when they are asked for."""

    def __init__(self, names: Mapping[str, str], make: Callable[[str], Any]) -> None:
        super().__init__()
        self._names = names
        self._make = make

    def get(self, account_id: str, default: Any = None) -> Any:
        name = self._names.get(account_id)
        return default if name is None else self._make(name)


def _above(client: Any, account_id: str) -> list[str]:
    """The root and the units above an account, from the root down; each has one, but there may be empty pages before.

    https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListParents.html
    """
    found: list[str] = []
    child = account_id
    while not child.startswith("r-"):
        pages = client.get_paginator("list_parents").paginate(ChildId=child)
        child = next(str(row["Id"]) for page in pages for row in page["Parents"])
        found.insert(0, child)
    return found


def _levels(client: Any, levels: list[str], *, kind: str) -> tuple[Rows, ...] | Unread:
    """Without the type in use there are no levels of it."""
    found: list[Rows] = []
    for target in levels:
        row = asked(lambda target=target: _attached(client, target, kind), absent=_NO_TYPE)  # type: ignore[misc]
        if isinstance(row, Unread):
            return row
        if row is None:
            return ()
        found.append(row)
    return tuple(found)


def _attached(client: Any, target: str, kind: str) -> Rows | Unread:
    pages = client.get_paginator("list_policies_for_target").paginate(TargetId=target, Filter=kind)
    rows = [row for page in pages for row in page["Policies"]]
    return joined(
        [policy(client.describe_policy(PolicyId=row["Id"])["Policy"]["Content"], name=row["Arn"]) for row in rows]
    )
