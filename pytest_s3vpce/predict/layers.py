"""From a snapshot's rows to the engine's policies: documents that know their files' lines, unread ones unknown."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy import UNKNOWN, Document, Unknown, parse, parse_acl, read_document
from pytest_s3vpce.snapshot.asking import policy
from pytest_s3vpce.snapshot.state import BlockRow, OrganizationRow, PolicyRow, Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.network.topology import Endpoint
    from pytest_s3vpce.policy import Acl
    from pytest_s3vpce.policy.documents import Statement
    from pytest_s3vpce.snapshot.state import AccessPointRow, AccountRow, BucketRow, PrincipalRow, Rows

OPEN: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "FullAccess", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
    ],
}
"""The policy of an endpoint that was given none: https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html"""
_NO_POLICY: Final = PolicyRow(name="access point", document={"Version": "2012-10-17", "Statement": []})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A document and the row that it was made from: while the row is held, no other has its identity."""

    row: PolicyRow
    document: Document | Unknown
    why: str = ""
    """Why it is unknown."""


class Layers:
    """Compiles each document once. `unread` collects why layers are unknown."""

    def __init__(self, endpoint_sources: Mapping[str, str]) -> None:
        self._compiled: dict[tuple[int, str], _Compiled] = {}
        self._endpoints: dict[int, tuple[Endpoint, PolicyRow | Unread]] = {}
        self._endpoint_sources = endpoint_sources
        self.unread: dict[str, str] = {}

    def document(self, row: PolicyRow | Unread, *, name: str = "", layer: str) -> Document | Unknown:
        if isinstance(row, Unread):
            self.unread[layer] = row.unread
            return UNKNOWN
        key = (id(row), name or row.name)
        if key not in self._compiled:
            self._compiled[key] = _compiled(row, name=key[1])
        found = self._compiled[key]
        if found.why:
            self.unread[layer] = found.why
        return found.document

    def documents(self, rows: Rows | Unread, *, layer: str, form: str = "{}") -> tuple[Document, ...] | Unknown:
        """`form` makes a name for people of each policy's own."""
        if isinstance(rows, Unread):
            self.unread[layer] = rows.unread
            return UNKNOWN
        found = [self.document(row, name=form.replace("{}", row.name), layer=layer) for row in rows]
        return UNKNOWN if any(isinstance(row, Unknown) for row in found) else tuple(_known(found))

    def levels(self, rows: tuple[Rows, ...] | Unread, *, layer: str) -> tuple[tuple[Document, ...], ...] | Unknown:
        if isinstance(rows, Unread):
            self.unread[layer] = rows.unread
            return UNKNOWN
        found = [self.documents(row, layer=layer) for row in rows]
        return UNKNOWN if any(isinstance(row, Unknown) for row in found) else tuple(_known(found))

    # --- sides of a request ------------------------------------------------------------------------------------------

    def of_caller(self, row: PrincipalRow, *, session: str, account: AccountRow | None) -> dict[str, Any]:
        """Identity, boundary, session policy and SCPs."""
        if row.kind in ("anonymous", "root"):
            found: dict[str, Any] = {}
        else:
            boundary = row.boundary
            found = {
                "identity": self.documents(row.identity, layer="identity", form=f"identity policy {{}} of {row.name}"),
                "permissions_boundary": self._boundary(boundary, of=row.name),
            }
        if session:
            found["session"] = (parse(session, name=f"session policy of {row.name}"),)
        if row.kind == "anonymous":
            return found
        return {**found, **self._organization(organization_of(account), whose="principal")}

    def _boundary(self, row: PolicyRow | Unread | None, *, of: str) -> tuple[Document, ...] | Unknown | None:
        if row is None:
            return None
        name = "" if isinstance(row, Unread) else f"permissions boundary {row.name} of {of}"
        found = self.document(row, name=name, layer="permissions_boundary")
        return found if isinstance(found, Unknown) else (found,)

    def _organization(self, place: OrganizationRow | Unread | None, *, whose: str) -> dict[str, Any]:
        field, layer = {"principal": ("scps", "scp"), "resource": ("rcps", "rcp")}[whose]
        if place is None:
            return {field: ()}
        if isinstance(place, Unread):
            self.unread[layer] = place.unread
            return {field: UNKNOWN}
        return {field: self.levels(getattr(place, field), layer=layer)}

    def of_owner(self, account: AccountRow | None) -> dict[str, Any]:
        """The RCPs of the account that a bucket or a key is of."""
        return self._organization(organization_of(account), whose="resource")

    def of_bucket(
        self,
        row: BucketRow,
        *,
        account: AccountRow | None,
        point: AccessPointRow | Unread | None,
        acl: Acl | Unknown | None,
    ) -> dict[str, Any]:
        """The bucket's policy, Block Public Access, ownership, ACL and RCPs; `point` is what it is reached by."""
        blocks = blocks_of(row, account=account, point=point)
        return {
            "resource": None
            if row.policy is None
            else self.document(row.policy, name=f"bucket policy of {row.label}", layer="resource"),
            "acl": acl,
            "object_ownership": None if isinstance(row.ownership, Unread) else row.ownership,
            # What is not known of the block counts as off here, and is told as unknown where it would matter.
            "restrict_public_buckets": any(isinstance(b, BlockRow) and b.restrict_public_buckets for b in blocks),
            "ignore_public_acls": any(isinstance(b, BlockRow) and b.ignore_public_acls for b in blocks),
            **self.of_owner(account),
        }

    def of_endpoint(self, endpoint: Endpoint | None) -> dict[str, Any]:
        if endpoint is None:
            return {}
        if id(endpoint) not in self._endpoints:
            source = self._endpoint_sources.get(endpoint.id)
            row = policy(endpoint.policy or OPEN, name=f"policy of {endpoint.id}", source=source)
            self._endpoints[id(endpoint)] = (endpoint, row)
        return {
            "vpc_endpoint": self.document(self._endpoints[id(endpoint)][1], layer="vpc_endpoint"),
            "endpoint_type": endpoint.kind.value,
        }

    def of_point(self, point: AccessPointRow | Unread) -> Document | Unknown:
        row = point if isinstance(point, Unread) else point.policy or _NO_POLICY
        return self.document(row, layer="resource")


def organization_of(account: AccountRow | None) -> OrganizationRow | Unread | None:
    return Unread(unread="the account is not in the inventory") if account is None else account.organization


def blocks_of(
    bucket: BucketRow, *, account: AccountRow | None, point: AccessPointRow | Unread | None
) -> tuple[BlockRow | Unread, ...]:
    """Every Block Public Access that counts, of which the strictest does.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-bpa-settings.html
    """
    of_account = Unread(unread="the account is not in the inventory") if account is None else account.block
    of_point = () if point is None else (point,) if isinstance(point, Unread) else (point.block,)
    return (bucket.block, of_account, *of_point)


def _compiled(row: PolicyRow, *, name: str) -> _Compiled:
    try:
        return _Compiled(row=row, document=placed(parse(row.document, name=name), source=row.source))
    except PolicyError as error:
        return _Compiled(row=row, document=UNKNOWN, why=str(error))


def acl_of(found: Mapping[str, Any] | Unread | None, *, accounts: Mapping[str, str]) -> Acl | Unknown | None:
    """An access control list as the engine has it: `accounts` says whose canonical ids are known."""
    if found is None:
        return None
    if isinstance(found, Unread):
        return UNKNOWN
    text = json.loads(json.dumps(dict(found)))
    for holder in (text["Owner"], *(grant["Grantee"] for grant in text["Grants"])):
        if "ID" in holder:
            holder["ID"] = accounts.get(holder["ID"], holder["ID"])
    return parse_acl(text)


def placed(document: Document, *, source: str | None) -> Document:
    """The document with its statements' lines in the file that it is made from, as far as they are found there.

    By Sid, else by the statement itself, else by its number; a file that is no policy says nothing.
    """
    if source is None:
        return document
    try:
        other = read_document(Path(source))
    except PolicyError:
        return document
    rows = tuple(replace(row, place=_place(row, other)) for row in document.statements)
    return replace(
        document,
        statements=rows,
        denies=tuple(row for row in rows if row.deny),
        allows=tuple(row for row in rows if not row.deny),
    )


def _place(row: Statement, other: Document) -> Any:
    same = [one for one in other.statements if row.sid is not None and one.sid == row.sid]
    same = same or [one for one in other.statements if one.row == row.row]
    same = same or [one for one in other.statements if one.index == row.index and one.deny == row.deny]
    return same[0].place if same else None


def _known(rows: list[Any]) -> list[Any]:
    return [row for row in rows if not isinstance(row, Unknown)]
