"""Access control lists: which actions their grants stand for, and whom they name.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#permissions
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.actions import OBJECT_ACTIONS
from pytest_s3vpce.policy.principals import CallerKind, Grant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.policy.asked import Asked

ALL_USERS: Final = "AllUsers"
AUTHENTICATED_USERS: Final = "AuthenticatedUsers"
PUBLIC: Final = frozenset({ALL_USERS, AUTHENTICATED_USERS})
"""The groups whose grants Block Public Access calls public."""
GROUPS: Final = "http://acs.amazonaws.com/groups/"
"""What the names of S3's groups begin with.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#specifying-grantee-predefined-groups"""
_READ: Final = (
    "s3:listbucket",
    "s3:listbucketversions",
    "s3:listbucketmultipartuploads",
    "s3:getobject",
    "s3:getobjectversion",
)
_READ_ACP: Final = ("s3:getbucketacl", "s3:getobjectacl", "s3:getobjectversionacl")
_WRITE_ACP: Final = ("s3:putbucketacl", "s3:putobjectacl", "s3:putobjectversionacl")
_WRITE: Final = ("s3:putobject",)
_OF_OWNER: Final = frozenset({"s3:deleteobject", "s3:deleteobjectversion"})
"""What WRITE on a bucket grants to the bucket's owner besides."""
_ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "READ": frozenset(_READ),
    "WRITE": frozenset(_WRITE) | _OF_OWNER,
    "READ_ACP": frozenset(_READ_ACP),
    "WRITE_ACP": frozenset(_WRITE_ACP),
    "FULL_CONTROL": frozenset({*_READ, *_READ_ACP, *_WRITE_ACP, *_WRITE}) | _OF_OWNER,
}


@dataclass(frozen=True, slots=True)
class AclGrant:
    """One grant. `grantee` is `AllUsers`, `AuthenticatedUsers`, another group, an account's id or a canonical id."""

    grantee: str
    permission: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """The list of the bucket or object that is asked for. `owner` is the account that owns it, where it is known.

    Canonical ids stand for accounts that only S3 knows: a grant to one names nobody here. Give the account's id.
    """

    grants: tuple[AclGrant, ...] = ()
    owner: str | None = None

    def grant(self, asked: Asked, *, ignore_public: bool) -> Grant:
        """How the list names the caller for the action, at its strongest."""
        found = Grant.NONE
        for row in self.grants:
            if asked.action not in _ACTIONS[row.permission] or (ignore_public and row.grantee in PUBLIC):
                continue
            if asked.action in _OF_OWNER and not asked.same:
                continue
            found = max(found, _named(row.grantee, asked))
        return found

    def foreign(self, asked: Asked) -> bool:
        """Whether an object of another account's is asked for: bucket policies can't allow access to it.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
        """
        known = self.owner is not None and self.owner != asked.resource_account
        return known and asked.action.removeprefix("s3:") in OBJECT_ACTIONS


def _named(grantee: str, asked: Asked) -> Grant:
    if grantee == ALL_USERS:
        return Grant.EVERYBODY
    signed = asked.caller.kind not in (CallerKind.ANONYMOUS, CallerKind.SERVICE)
    if grantee == AUTHENTICATED_USERS:
        return Grant.EVERYBODY if signed else Grant.NONE
    return Grant.ACCOUNT if signed and grantee == asked.caller.account else Grant.NONE


def parse_acl(given: Any) -> Acl:
    """An ACL from JSON: a list of grants, or S3's own form with Owner and Grants. PolicyError says what is wrong.

    A grant is `{"Grantee": {"ID": ...} or {"URI": ...}, "Permission": ...}`, as GetObjectAcl answers, or for short
    `{"grantee": ..., "permission": ...}`.
    """
    body = {"Grants": given} if isinstance(given, list) else given
    if not isinstance(body, dict) or not body.keys() <= {"Grants", "Owner", "grants", "owner"}:
        raise PolicyError("`acl` must be a list of grants, or an object of Owner and Grants")
    grants = _either(body, "Grants") or []
    if not isinstance(grants, list):
        raise PolicyError("`acl` must hold a list of grants")
    owner = _either(body, "Owner")
    return Acl(
        grants=tuple(_grant(row, f"`acl` grant {number}") for number, row in enumerate(grants)),
        owner=None if owner is None else _grantee(owner, "`acl` owner"),
    )


def _grant(row: Any, where: str) -> AclGrant:
    if not isinstance(row, dict) or not row.keys() <= {"Grantee", "Permission", "grantee", "permission"}:
        raise PolicyError(f"{where} must be an object of Grantee and Permission")
    permission = _either(row, "Permission")
    if not isinstance(permission, str) or permission not in _ACTIONS:
        raise PolicyError(f"{where} has no permission that S3 knows", remedy=f"permissions are {', '.join(_ACTIONS)}")
    return AclGrant(_grantee(_either(row, "Grantee"), where), permission)


def _grantee(given: Any, where: str) -> str:
    name = given
    if isinstance(given, dict):
        name = given.get("URI") or given.get("ID")
    if not isinstance(name, str) or not name:
        raise PolicyError(f"{where} names nobody", remedy="give a group's URI, an account's id or a canonical id")
    return group_of(name)


def group_of(name: str) -> str:
    """A group without what its URI begins with; any other name as it is."""
    return name.removeprefix(GROUPS).removeprefix("global/")


def _either(row: Mapping[str, Any], name: str) -> Any:
    """AWS's spelling, or the same in lower case."""
    return row.get(name, row.get(name.lower()))
