"""What each layer of the caller's side, of the organizations and of the endpoint says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.naive.statements import ALLOW, DENY, SILENT, effect, named_effect, names

if TYPE_CHECKING:
    from tests.naive.caller import Caller
    from tests.naive.patterns import Json


@dataclass(frozen=True)
class Asked:
    """One action on one resource, in one reading of the layers that could not be read: the kindest or the harshest."""

    action: str
    resource: str
    owner: str
    caller: Caller
    context: Json
    policies: Json
    kindest: bool

    @property
    def unreadable(self) -> str:
        return ALLOW if self.kindest else DENY

    @property
    def within_account(self) -> bool:
        return self.caller.account == self.owner

    def of(self, resource: str) -> Asked:
        return replace(self, resource=resource)

    def what(self) -> tuple[str, str, Json]:
        return self.action, self.resource, self.context


def documents(named: list[Json]) -> list[Json]:
    return [item["policy"] for item in named]


def own(asked: Asked, given: Any) -> str:
    """A list of the caller's own policies."""
    return asked.unreadable if given == "unknown" else effect(documents(given), *asked.what())


def identity(asked: Asked) -> str:
    if asked.caller.account is None or asked.caller.kind == "root":
        return ALLOW  # services and anonymous callers have no policies of their own, and root needs none
    return own(asked, asked.policies.get("identity") or [])


def permissions_boundary(asked: Asked) -> str:
    given = asked.policies.get("permissions_boundary")
    if asked.caller.account is None or asked.caller.kind == "root" or given is None:
        return ALLOW
    return own(asked, given)


def session(asked: Asked) -> str:
    given = asked.policies.get("session")
    if asked.caller.kind == "federated" and given is None:
        return SILENT  # a federated user's session without a policy may do nothing by itself
    return ALLOW if asked.caller.account is None or given is None else own(asked, given)


def scp(asked: Asked) -> str:
    levels = asked.policies.get("scps") or []
    exempt = asked.policies.get("principal_in_management_account") or asked.caller.linked
    if exempt or asked.caller.account is None or not levels:
        return ALLOW
    if levels == "unknown":
        return asked.unreadable
    said = [effect(documents(level["policies"]), *asked.what()) for level in levels]
    return DENY if DENY in said else SILENT if SILENT in said else ALLOW


def rcp(asked: Asked) -> str:
    levels = asked.policies.get("rcps") or []
    if asked.policies.get("resource_in_management_account") or asked.caller.linked:
        return ALLOW
    if asked.action.lower() == "kms:retiregrant":
        return ALLOW
    if levels == "unknown":
        return asked.unreadable
    said = {
        named_effect(policy, *asked.what(), lambda _: {"everyone"})[0]  # an RCP's principal is always "*"
        for level in levels
        for policy in documents(level["policies"])
    }
    return DENY if DENY in said else ALLOW  # RCPFullAWSAccess is attached everywhere


def vpc_endpoint(asked: Asked) -> str:
    policy = asked.policies.get("vpc_endpoint")
    if policy is None:
        return ALLOW
    if policy == "unknown":
        return asked.unreadable

    def reaches(statement: Json) -> set[str]:
        how = names(statement, asked.caller, bounded=False)
        if asked.policies.get("endpoint_type") == "gateway" and asked.caller.kind != "root":
            how -= {"account"}  # at a gateway endpoint an account's number means its root user alone
        return how

    return named_effect(policy, *asked.what(), reaches)[0]
