"""Organizations: which one an account belongs to, the policies of each level above it, and what new members begin with.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_inheritance_auth.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCP, _RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
_ADMINISTRATOR: Final = "arn:aws:iam::aws:policy/AdministratorAccess"
_ACCESS_ROLE: Final = "OrganizationAccountAccessRole"
_DEFAULTS: Final = ("p-FullAWSAccess", "p-RCPFullAWSAccess")

Level = tuple[tuple[str, str], ...]
"""The policies attached at one level, each as its ARN and its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """An account's place in its organization; `scps` and `rcps` are the levels from the root to the account."""

    organization: str
    management_account: str
    account: str
    path: str
    """The value of aws:PrincipalOrgPaths and its like.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed-view-data-orgs.html#access_policies_access-advisor-viewing-orgs-entity-path
    """
    scps: tuple[Level, ...]
    rcps: tuple[Level, ...]

    @property
    def is_management(self) -> bool:
        return self.account == self.management_account


def membership(backends: Any, account: str) -> Membership | None:
    """None where the account is in no organization; `backends` are those of Organizations, by account."""
    backend = _backend(backends, account)
    member = None if backend is None else next((row for row in list(backend.accounts) if row.id == account), None)
    if backend is None or member is None:
        return None
    levels = [*reversed(list(_above(backend, member))), member]
    units = "".join(f"{level.id}/" for level in levels[:-1])
    return Membership(
        organization=backend.org.id,
        management_account=backend.org.master_account_id,
        account=account,
        path=f"{backend.org.id}/{units}",
        scps=tuple(_attached(level, _SCP) for level in levels),
        rcps=tuple(_attached(level, _RCP) for level in levels),
    )


def _backend(backends: Any, account: str) -> Any:
    """The organization's own, which is its management account's."""
    owner = backends.master_accounts.get(account)
    if owner is not None:
        return backends[owner[0]][owner[1]]
    if account not in backends:
        return None
    return next((backend for backend in list(backends[account].values()) if backend.org is not None), None)


def _above(backend: Any, member: Any) -> Iterator[Any]:
    """The units that hold an account, from its own up to the root."""
    by_id = {unit.id: unit for unit in list(backend.ou)}
    unit = by_id.get(member.parent_id)
    while unit is not None:
        yield unit
        unit = by_id.get(unit.parent_id)


def _attached(level: Any, kind: str) -> Level:
    return tuple((policy.arn, policy.content) for policy in list(level.attached_policies) if policy.type == kind)


def enroll(backends: Any, account: str, *, management_account: str, name: str, parent: str | None = None) -> None:
    """Put an account that is there already into an organization, as an accepted invitation does.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_accept-decline-invite.html
    """
    backend = _backend(backends, management_account)
    if backend is None or backend.org.master_account_id != management_account:
        raise LabError(f"account `{management_account}` manages no organization")
    if membership(backends, account) is not None:
        raise LabError(f"account `{account}` is in an organization already")
    member = type(backend.accounts[0])(backend.org, AccountName=name, Email=f"{account}@example.com")
    member.id = account
    member.joined_method = "INVITED"
    member.parent_id = parent or backend.org.root_id
    backend.accounts.append(member)
    backends.master_accounts[account] = (management_account, backend.partition)
    for policy_id in _DEFAULTS:
        backend.attach_policy(PolicyId=policy_id, TargetId=account)


def mend_accounts(organizations_class: Any, *, iam: Any) -> None:
    """A new member has the role by which its management account administers it.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_access-cross-account-role.html
    """
    original = organizations_class.create_account

    def create_account(self: Any, **named: Any) -> Any:
        status = original(self, **named)
        backend = iam[self.accounts[-1].id][self.partition]
        role = backend.get_role(named.get("RoleName") or _ACCESS_ROLE)
        role.path = "/"
        backend.attach_role_policy(_ADMINISTRATOR.replace("arn:aws:", f"arn:{self.partition}:"), role.name)
        return status

    organizations_class.create_account = create_account
