"""Access control lists as requests give them: read, refused where S3 takes none such, kept with what they are of.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html; words and codes are those that S3
was seen to answer, where https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html has none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.acls import Kept, canonical_id, owner_of, private
from pytest_s3vpce.lab.denials import PLAIN
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3answers import answered, made
from pytest_s3vpce.lab.s3forms import element
from pytest_s3vpce.lab.s3words import invalid_request, invalid_value, not_allowed
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import children, elements, name_of, named, texts
from pytest_s3vpce.operations.creations import CREATIONS
from pytest_s3vpce.policy.acl import GROUPS, AclGrant
from pytest_s3vpce.policy.layers import ENFORCED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_SETTERS: Final = frozenset({"PutBucketAcl", "PutObjectAcl"})
_GETTERS: Final = frozenset({"GetBucketAcl", "GetObjectAcl"})
TAKERS: Final = _SETTERS | CREATIONS
"""The operations on what is in a bucket, or on the bucket, whose requests may give a list."""
_HEADERS: Final[Mapping[str, str]] = {
    "GrantFullControl": "FULL_CONTROL",
    "GrantRead": "READ",
    "GrantReadACP": "READ_ACP",
    "GrantWrite": "WRITE",
    "GrantWriteACP": "WRITE_ACP",
}
_EVERYBODY, _SIGNED, _LOGS = (
    f"{GROUPS}{name}" for name in ("global/AllUsers", "global/AuthenticatedUsers", "s3/LogDelivery")
)
_CANNED: Final[Mapping[str, tuple[AclGrant, ...]]] = {
    "public-read": (AclGrant(_EVERYBODY, "READ"),),
    "public-read-write": (AclGrant(_EVERYBODY, "READ"), AclGrant(_EVERYBODY, "WRITE")),
    "authenticated-read": (AclGrant(_SIGNED, "READ"),),
    "log-delivery-write": (AclGrant(_LOGS, "WRITE"), AclGrant(_LOGS, "READ_ACP")),
}
"""What each grants besides all to the owner.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl"""
_TO_BUCKET_OWNER: Final = {"bucket-owner-full-control": "FULL_CONTROL", "bucket-owner-read": "READ"}
_KINDS: Final = {"CanonicalUser": ("id", "ID"), "Group": ("uri", "URI"), "AmazonCustomerByEmail": ("emailaddress", "")}
"""Types of grantees in documents: what headers call them, and the element that names one."""
_SCHEMA: Final = "http://www.w3.org/2001/XMLSchema-instance"
_ID: Final = re.compile(r"[0-9a-f]{64}")


def check(state: State, asked: S3Request, bucket: BucketState, body: bytes) -> None:
    """Refuse in S3's words a list that it does not take, or where lists are off one that would change anything."""
    if asked.name not in TAKERS:
        return
    owner = _owner(state, asked, bucket)
    rows = read(asked, body, owner=owner, home=bucket.account)
    canned = asked.parameters.get("ACL", "bucket-owner-full-control" if rows == private(owner) else "")
    if bucket.ownership == ENFORCED and canned != "bucket-owner-full-control":
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html
        raise Refused("AccessControlListNotSupported", status=400, message="The bucket does not allow ACLs")
    if asked.name in _SETTERS and body and _named_owner(element(body)) != canonical_id(owner):
        raise Refused("AccessDenied", status=403, message=PLAIN)


def answer(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> HttpResponse | None:
    """The answer of an operation on a list; None for all others."""
    if asked.name not in _SETTERS and asked.name not in _GETTERS:
        return None
    found, owner = _listed(state, asked, bucket), _owner(state, asked, bucket)
    kept = getattr(found, "acl", None)
    if asked.name in _GETTERS:
        shown = kept.rows if isinstance(kept, Kept) and bucket.ownership != ENFORCED else private(owner)
        return _shown(shown, owner)
    if found is not None and bucket.ownership != ENFORCED:
        found.acl = Kept(read(asked, request.body, owner=owner, home=bucket.account), owner)
    return HttpResponse(status=200)


def settle(state: State, asked: S3Request, bucket: BucketState, caller: Caller, *, answer: HttpResponse) -> None:
    """Give a new object, or the upload that is to become one, its owner and its list: one of its own.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html#object-ownership-overview
    """
    if asked.name not in CREATIONS:
        return
    found = made(state, asked, bucket, answer)
    if found is None:
        return
    preferred = (
        bucket.ownership == "BucketOwnerPreferred" and asked.parameters.get("ACL") == "bucket-owner-full-control"
    )
    owner = bucket.account if bucket.ownership == ENFORCED or preferred else caller.account or bucket.account
    found.acl = Kept(read(asked, b"", owner=owner, home=bucket.account), owner)


def settle_bucket(state: State, asked: S3Request, account: str) -> None:
    """Give a new bucket its list."""
    found = state.stored(asked.bucket or "")
    if found is not None:
        found.acl = Kept(read(asked, b"", owner=account, home=account), account)


def read(asked: S3Request, body: bytes, *, owner: str, home: str) -> tuple[AclGrant, ...]:
    """The grants that a request gives, to canonical ids and groups; `owner` and the bucket's `home` are accounts."""
    canned, by_header = asked.parameters.get("ACL"), [name for name in _HEADERS if name in asked.parameters]
    if canned is not None and by_header:
        raise invalid_request("Specifying both Canned ACLs and Header Grants is not allowed")
    if asked.name in _SETTERS:
        if body and (canned is not None or by_header):
            raise Refused("UnexpectedContent", status=400, message="This request does not support content")
        if body:
            return tuple(_in_document(element(body)))
        if canned is None and not by_header:
            message, details = "Your request was missing a required header", (("MissingHeaderName", "x-amz-acl"),)
            raise Refused("MissingSecurityHeader", status=400, message=message, details=details)
    if by_header:
        return tuple(row for name in by_header for row in _in_header(_HEADERS[name], str(asked.parameters[name])))
    to_home = _TO_BUCKET_OWNER.get(canned or "") if owner != home else None
    rows = () if to_home is None else (AclGrant(canonical_id(home), to_home),)
    return (*private(owner), *_CANNED.get(canned or "", ()), *rows)


def _in_header(permission: str, text: str) -> Iterator[AclGrant]:
    for part in text.split(","):
        kind, _, name = part.strip().partition("=")
        if kind.lower() not in {row for row, _ in _KINDS.values()}:
            header = f"x-amz-grant-{permission.lower().replace('_', '-')}"
            raise invalid_value("Argument format not recognized", name=header, value=part)
        yield AclGrant(_grantee(kind.lower(), name.strip('"'), argument=kind), permission)


def _in_document(found: Element) -> Iterator[AclGrant]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_AccessControlPolicy.html

    A list may be empty, and the owner stays who it is: scality/cloudserver#305 and #367.
    """
    owners, lists = (list(named(found, name)) for name in ("Owner", "AccessControlList"))
    if len(owners) != 1 or len(lists) != 1:
        raise _malformed()
    _grantee("id", _named_owner(found), argument="CanonicalUser/ID")
    for row in lists[0]:
        parts, permission = children(row), texts(row).get("Permission", "")
        if name_of(row) != "Grant" or "Grantee" not in parts or permission not in _HEADERS.values():
            raise _malformed()
        yield AclGrant(_of_element(parts["Grantee"]), permission)


def _named_owner(found: Element) -> str:
    return texts(children(found)["Owner"]).get("ID", "")


def _of_element(found: Element) -> str:
    form = found.get(f"{{{_SCHEMA}}}type", "")
    if form not in _KINDS:
        raise _malformed()
    kind, name = _KINDS[form]
    return _grantee(kind, texts(found).get(name, "").strip(), argument=f"{form}/{name}")


def _grantee(kind: str, name: str, *, argument: str) -> str:
    """Addresses name nobody any more: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html"""
    if kind == "emailaddress":
        raise not_allowed()
    if kind == "id" and not _ID.fullmatch(name):
        raise invalid_value("Invalid id", name=argument, value=name)
    if kind == "uri" and name not in {_EVERYBODY, _SIGNED, _LOGS}:
        raise invalid_value("Invalid group uri", name=argument, value=name)
    return name


def _malformed() -> Refused:
    message = "The XML you provided was not well-formed or did not validate against our published schema"
    return Refused("MalformedACLError", status=400, message=message)


def _listed(state: State, asked: S3Request, bucket: BucketState) -> Any:
    version = asked.parameters.get("VersionId")
    return state.stored(bucket.name, asked.key, None if version is None else str(version))


def _owner(state: State, asked: S3Request, bucket: BucketState) -> str:
    """The account that owns what a list is of, as far as there is anything yet."""
    return bucket.account if asked.name in CREATIONS else owner_of(_listed(state, asked, bucket), bucket)


def _shown(rows: tuple[AclGrant, ...], owner: str) -> HttpResponse:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html"""
    grants = []
    for row in rows:
        form = "Group" if row.grantee.startswith(GROUPS) else "CanonicalUser"
        grantee = elements(**{_KINDS[form][1]: row.grantee})
        opened = f'<Grantee xmlns:xsi="{_SCHEMA}" xsi:type="{form}">'
        grants.append(f"<Grant>{opened}{grantee}</Grantee>{elements(Permission=row.permission)}</Grant>")
    content = (
        f"<Owner>{elements(ID=canonical_id(owner))}</Owner><AccessControlList>{''.join(grants)}</AccessControlList>"
    )
    return answered("AccessControlPolicy", content)
