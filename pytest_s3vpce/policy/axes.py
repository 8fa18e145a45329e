"""The values along the axes of a matrix of requests, each with the policies that come with it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.asked import Request
from pytest_s3vpce.policy.decision import decide
from pytest_s3vpce.policy.layers import Policies, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_s3vpce.policy.acl import Acl
    from pytest_s3vpce.policy.decision import Decision
    from pytest_s3vpce.policy.documents import Document

    Context = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: an ARN, `service:NAME` or `anonymous`, and the policies that come with it, as in `Policies`."""

    principal: str
    identity: tuple[Document, ...] | Unknown = ()
    permissions_boundary: tuple[Document, ...] | Unknown | None = None
    session: tuple[Document, ...] | Unknown | None = None
    scps: tuple[tuple[Document, ...], ...] | Unknown = ()
    principal_in_management_account: bool = False
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What is asked for: a bucket by its ARN, and the policies that come with it, as in `Policies`."""

    arn: str
    account: str
    resource: Document | Unknown | None = None
    access_point: Document | Unknown | None = None
    key: Document | Unknown | None = None
    acl: Acl | Unknown | None = None
    rcps: tuple[tuple[Document, ...], ...] | Unknown = ()
    restrict_public_buckets: bool = False
    ignore_public_acls: bool = False
    object_ownership: str | None = None
    resource_in_management_account: bool = False
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vantage:
    """Where from: the policy of the endpoint that requests pass, and the keys of the way."""

    vpc_endpoint: Document | Unknown | None = None
    endpoint_type: str | None = None
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One action that an operation needs. `path` follows the bucket's ARN: `` for the bucket, `/key` for an object."""

    action: str
    path: str = ""
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """What is done: every check must allow. The first denied one decides, else the first unknown one."""

    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        if not self.checks:
            raise PolicyError("an operation needs at least one check", remedy="name the action that it needs")


LAYERS: Final[Mapping[type, tuple[str, ...]]] = {
    kind: tuple(row.name for row in fields(kind) if row.name in {layer.name for layer in fields(Policies)})
    for kind in (Principal, Bucket, Vantage, Check)
}
"""Which fields of `Policies` come with which axis."""


@dataclass(frozen=True, slots=True)
class Axes:
    buckets: tuple[Bucket, ...]
    principals: tuple[Principal, ...]
    vantages: tuple[Vantage, ...]
    operations: tuple[Operation, ...]


class Cell:
    """One bucket, principal and vantage point, whose checks are decided one by one."""

    __slots__ = ("_bucket", "_context", "_policies", "_principal")

    def __init__(self, bucket: Bucket, principal: Principal, vantage: Vantage) -> None:
        self._bucket = bucket
        self._principal = principal.principal
        layers = {name: getattr(row, name) for row in (bucket, principal, vantage) for name in LAYERS[type(row)]}
        self._policies = Policies(**layers)
        self._context = {**lower(principal.context), **lower(bucket.context), **lower(vantage.context)}

    def decided(self, check: Check) -> Decision:
        request = Request(
            action=check.action,
            resource=self._bucket.arn + check.path,
            resource_account=self._bucket.account,
            principal=self._principal,
            context={**self._context, **lower(check.context)} if check.context else self._context,
        )
        return decide(request, self._policies)


def lower(context: Context) -> dict[str, Sequence[str]]:
    return {key.lower(): [value] if isinstance(value, str) else value for key, value in context.items()}
