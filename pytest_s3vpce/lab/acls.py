"""Access control lists as the state holds them: who is named by which canonical id, and who owns an object.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from pytest_s3vpce.markup import from_xml
from pytest_s3vpce.operations.creations import CREATIONS
from pytest_s3vpce.operations.objectlists import OF_OBJECTS
from pytest_s3vpce.policy.acl import ALL_USERS, Acl, AclGrant, group_of
from pytest_s3vpce.policy.layers import ENFORCED

if TYPE_CHECKING:
    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpResponse

_STORED_OWNER: Final = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a"
_STORED_LISTER: Final = "bcaf1ffd86f41161ca5fb16fd081034f"
"""Whom the state behind calls the owner of everything, and in its list of buckets."""
_NAME_OF_OWNER: Final = re.compile(rb"<DisplayName>[^<]*</DisplayName>|<DisplayName ?/>")
_ROW: Final = re.compile(r"<(Contents|Version)>.*?</\1>", re.DOTALL)
"""An object, or a version of one, in a list."""
_NAME: Final = re.compile(r"<(Key|VersionId)>([^<]*)<")
_LISTS: Final = frozenset({"ListObjects", "ListObjectsV2", "ListObjectVersions"})
_SHOWS_OWNERS: Final = _LISTS | {"ListBuckets", "ListParts"}


@dataclass(frozen=True, slots=True)
class Kept:
    """A list in the place of the one that the state behind has: grants to canonical ids and groups, and whose it is."""

    rows: tuple[AclGrant, ...]
    owner: str
    """The account that owns what the list is of."""

    @property
    def grants(self) -> list[SimpleNamespace]:
        """As the state behind reads them, which looks for the group that delivers logs."""
        return [
            SimpleNamespace(grantees=[SimpleNamespace(uri=row.grantee)], permissions=[row.permission])
            for row in self.rows
        ]


def canonical_id(account: str) -> str:
    """The canonical id of an account of the lab. https://docs.aws.amazon.com/AmazonS3/latest/userguide/finding-canonical-user-id.html"""
    return hashlib.sha256(f"canonical user of {account}".encode()).hexdigest()


def with_accounts(state: State, policy: str | None) -> str | None:
    """A bucket policy with the accounts that canonical ids in it stand for, as S3 itself may write it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    if policy is None or "CanonicalUser" not in policy:
        return policy
    accounts = {canonical_id(account): account for account in list(state.backends("iam"))}
    document = json.loads(policy)
    rows = document["Statement"]
    for row in rows if isinstance(rows, list) else [rows]:
        for element in ("Principal", "NotPrincipal"):
            if isinstance(row.get(element), dict) and "CanonicalUser" in row[element]:
                row[element] = _without_canonical(row[element], accounts)
    return json.dumps(document)


def _without_canonical(principal: dict[str, Any], accounts: dict[str, str]) -> dict[str, Any]:
    left = {kind: value for kind, value in principal.items() if kind != "CanonicalUser"}
    named = [principal["CanonicalUser"], left.get("AWS", [])]
    ids, arns = (value if isinstance(value, list) else [value] for value in named)
    return {**left, "AWS": [*arns, *(accounts.get(name, name) for name in ids)]}


def acl_for(state: State, bucket: BucketState, *, action: str, key: str | None, version: object) -> Acl | None:
    """The list that says something on this action; None where ACLs are off or the object is not there."""
    if bucket.ownership == ENFORCED:
        return None
    if action not in OF_OBJECTS or key is None:
        return _read(state, state.stored(bucket.name), owner=bucket.account)
    found = state.stored(bucket.name, key, None if version is None else str(version))
    return None if found is None else _read(state, found, owner=owner_of(found, bucket))


def of_new(bucket: BucketState, asked: S3Request, caller: Caller, *, action: str) -> Acl | None:
    """What counts for the ACL that a write gives its object: where ACLs are on, who writes owns it and sets its own.

    `s3:PutObject` alone lets another account write with an ACL in
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html#example-bucket-policies-acl-2
    """
    if action != "s3:PutObjectAcl" or asked.name not in CREATIONS or bucket.ownership == ENFORCED:
        return None
    grant = AclGrant(caller.account or ALL_USERS, "FULL_CONTROL")
    return Acl(grants=(grant,), owner=caller.account or bucket.account)


def owner_of(found: Any, bucket: BucketState) -> str:
    """The account that owns a stored object: who wrote it, where ACLs are on."""
    kept = getattr(found, "acl", None)
    return kept.owner if isinstance(kept, Kept) and bucket.ownership != ENFORCED else bucket.account


def private(owner: str) -> tuple[AclGrant, ...]:
    """The grants of a list that names its owner alone."""
    return (AclGrant(canonical_id(owner), "FULL_CONTROL"),)


def _read(state: State, found: Any, *, owner: str) -> Acl:
    kept = getattr(found, "acl", None)
    rows = kept.rows if isinstance(kept, Kept) else private(owner)
    accounts = {canonical_id(account): account for account in list(state.backends("iam"))}
    grants = (AclGrant(accounts.get(row.grantee) or group_of(row.grantee), row.permission) for row in rows)
    return Acl(grants=tuple(grants), owner=owner)


def grants_others(state: State, bucket: BucketState) -> bool:
    """Whether the bucket's ACL grants anything to anybody but its owner."""
    acl = _read(state, state.stored(bucket.name), owner=bucket.account)
    return any(grant.grantee != bucket.account for grant in acl.grants)


def with_writers(state: State, answer: HttpResponse, asked: S3Request, bucket: BucketState) -> HttpResponse:
    """The answer with the owner of each object that it lists.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if asked.name not in _LISTS or bucket.ownership == ENFORCED:
        return answer

    def owned(row: re.Match[str]) -> str:
        said = {name: from_xml(text) for name, text in _NAME.findall(row[0])}
        key = unquote(said["Key"]) if asked.parameters.get("EncodingType") == "url" else said["Key"]
        found = state.stored(bucket.name, key, said.get("VersionId"))
        return row[0].replace(_STORED_OWNER, canonical_id(owner_of(found, bucket)))

    return replace(answer, body=_ROW.sub(owned, answer.body.decode()).encode())


def with_owners(answer: HttpResponse, asked: S3Request, *, account: str) -> HttpResponse:
    """The answer with the canonical id of whom it calls the owner, `account`; names are no more.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Owner.html
    """
    if asked.name not in _SHOWS_OWNERS:
        return answer
    shown = canonical_id(account).encode()
    body = answer.body.replace(_STORED_OWNER.encode(), shown).replace(_STORED_LISTER.encode(), shown)
    return replace(answer, body=_NAME_OF_OWNER.sub(b"", body))
