"""All that decides about requests, as it was read from the accounts: frozen values, written and read back as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from pytest_s3vpce.network.topology import Topology  # noqa: TC001 - pydantic reads annotations
from pytest_s3vpce.storing import Stored

FORMAT: Final = "s3vpce-snapshot/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Stands for what exists, or may exist, and could not be read; `unread` says why. Never taken for an allow."""

    unread: str


Unread.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
# Read back, `{"unread": "..."}` is one of these before it is a mapping of anything.
Tags = Annotated[Unread | Mapping[str, str], Field(union_mode="left_to_right")]
AccessList = Annotated[Unread | Mapping[str, Any] | None, Field(union_mode="left_to_right")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """A policy document by its name; `source` is the file that it is made from, where the inventory says so."""

    name: str
    document: Mapping[str, Any]
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRow:
    """The settings of Block Public Access that decide about requests."""

    restrict_public_buckets: bool = False
    ignore_public_acls: bool = False


Rows = tuple[PolicyRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationRow:
    """An account's place in its organization: levels from the root to the account, each with its policies."""

    id: str
    management_account: str
    path: str | Unread
    """The value of aws:PrincipalOrgPaths and its like."""
    scps: tuple[Rows, ...] | Unread
    rcps: tuple[Rows, ...] | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """An account of the inventory. `organization` is None where it is in none."""

    name: str
    id: str
    region: str
    organization: OrganizationRow | Unread | None
    block: BlockRow | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalRow:
    """Who signs. `kind` is `role`, `user`, `root`, `anonymous`, `ambient`, `presigned` or `unknown`."""

    name: str
    kind: str
    account: str = ""
    """The account's id."""
    arn: str = ""
    """Of the role, user or root; empty for those who have none of their own."""
    id: str | Unread = ""
    """The unique id, `AROA...` or `AIDA...`, that aws:userid holds."""
    tags: Tags = field(default_factory=dict)
    identity: Rows | Unread = ()
    boundary: PolicyRow | Unread | None = None
    session: PolicyRow | None = None
    """The inventory's own session policy."""
    session_name: str | None = None
    source_identity: str | None = None
    mfa: bool = False
    """Whether it signs in with a code: what its sessions then say of that is not known."""
    by: str = ""
    """Who signs the URL, of a presigned one."""
    age: int = 0
    """Seconds since the URL was signed."""
    why: str = ""
    """Of an unknown one: why it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRow:
    """What of an object decides."""

    encryption: str | None = None
    key: str | None = None
    bucket_key: bool | None = None
    """Whether it is under an S3 Bucket Key; None where that was not read."""
    tags: Tags = field(default_factory=dict)
    acl: AccessList = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionRow:
    """A bucket's default encryption."""

    algorithm: str
    key: str | None = None
    bucket_key: bool | None = None
    """Whether S3 Bucket Keys are on; None where that was not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPointRow:
    """An access point; `vpc` is the one that it is bound to."""

    arn: str
    account: str
    vpc: str | None
    policy: PolicyRow | Unread | None
    block: BlockRow


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRow:
    """A bucket of the inventory, or a control bucket under `control:ACCOUNT`."""

    label: str
    name: str
    account: str
    """The account's name in the inventory."""
    account_id: str
    region: str
    key: str
    """The canary's."""
    keys: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    policy: PolicyRow | Unread | None
    block: BlockRow | Unread
    ownership: str | Unread
    acl: AccessList
    encryption: EncryptionRow | Unread | None
    objects: Mapping[str, ObjectRow | Unread | None] = field(default_factory=dict)
    """By key; None where there is no such object."""
    points: Mapping[str, AccessPointRow | Unread] = field(default_factory=dict)
    """Access points among the hosts, by ARN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageRow:
    """Where requests are sent from. `kind` is the inventory's; `why` says what is not known of an unknown place."""

    name: str
    kind: str
    account: str = ""
    """The account's name in the inventory."""
    region: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    private_ip: str | None = None
    public_ip: str | None = None
    ipv6: str | None = None
    dual_stack: bool = False
    role: PrincipalRow | None = None
    """Whose credentials `ambient` signs with."""
    brought: Mapping[str, str] | None = None
    """The condition keys that those credentials carry wherever they are used; None where they are not known."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow:
    """The network of an account and Region."""

    account: str
    """The account's id."""
    region: str
    topology: Topology | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A KMS key by the name that buckets, objects or cells give it; `arn` is the key's own."""

    named: str
    arn: str
    account: str
    policy: PolicyRow | Unread
    managed: bool = False
    """AWS's own key of an account's S3, which serves that account alone."""

    @property
    def region(self) -> str:
        """Empty of an alias that nobody could look up."""
        return self.arn.split(":")[3] if self.arn.startswith("arn:") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything, in the inventory's order. `mode` is `lab` or `live`; `taken_at` counts from the epoch."""

    mode: str
    taken_at: float
    inventory: str = ""
    accounts: tuple[AccountRow, ...] = ()
    principals: tuple[PrincipalRow, ...] = ()
    buckets: tuple[BucketRow, ...] = ()
    vantages: tuple[VantageRow, ...] = ()
    networks: tuple[NetworkRow, ...] = ()
    keys: tuple[KeyRow, ...] = ()
    endpoint_sources: Mapping[str, str] = field(default_factory=dict)
    """Files that endpoints' policies are made from, by the endpoints' ids."""

    def account(self, name: str) -> AccountRow | None:
        return next((row for row in self.accounts if row.name == name), None)

    def account_by_id(self, account_id: str) -> AccountRow | None:
        return next((row for row in self.accounts if row.id == account_id), None)

    def principal(self, name: str) -> PrincipalRow | None:
        return next((row for row in self.principals if row.name == name), None)

    def bucket(self, label: str) -> BucketRow | None:
        return next((row for row in self.buckets if row.label == label), None)

    def vantage(self, name: str) -> VantageRow | None:
        return next((row for row in self.vantages if row.name == name), None)

    def network(self, account_id: str, region: str) -> NetworkRow | None:
        return next((row for row in self.networks if (row.account, row.region) == (account_id, region)), None)

    def key(self, named: str, *, account_id: str, region: str) -> KeyRow | None:
        """The key of that name; an alias alone is one of this account and Region."""
        rows = [row for row in self.keys if named in (row.named, row.arn)]
        if named.startswith("alias/"):
            rows = [row for row in rows if row.account == account_id and row.region in ("", region)]
        return next(iter(rows), None)

    def to_json(self) -> str:
        """As text of format FORMAT; rows are in the inventory's order."""
        return stored().text(self) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Back from `to_json`; RunError where it is no snapshot, or one of another format."""
        return stored().read(text)


@cache
def stored() -> Stored[Snapshot]:
    """The snapshot's file."""
    return Stored(
        Snapshot,
        "snapshot",
        FORMAT,
        "A snapshot of pytest-s3vpce: what decides about requests",
        writer="`s3vpce snapshot`",
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of a snapshot of format FORMAT."""
    return stored().schema()


def unread(value: Any) -> list[tuple[str, str]]:
    """Every layer that could not be read, as its place in the snapshot and why."""
    return list(_unread(stored().plain(value), ""))


def _unread(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        if set(value) == {"unread"}:
            yield where, value["unread"]
            return
        for name, row in value.items():
            yield from _unread(row, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for number, row in enumerate(value):
            label = row.get("label") or row.get("name") or row.get("id") if isinstance(row, dict) else None
            yield from _unread(row, f"{where}[{label or number}]")
