"""The condition keys that requests to S3 can carry: type, number of values, and the actions that have them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html and
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Type(StrEnum):
    """Which operators a key's values are for."""

    TEXT = "String"
    ARN = "ARN"
    ADDRESS = "IP address"
    BOOLEAN = "Boolean"
    NUMBER = "Numeric"
    DATE = "Date"


@dataclass(frozen=True, slots=True)
class Key:
    """A condition key as AWS writes it. `actions`: the only ones that have it (empty: all), in lower case."""

    shown: str
    type: Type
    many: bool = False
    actions: frozenset[str] = frozenset()


_TEXT: Final = """
    aws:AssumedRoot aws:CalledViaFirst aws:CalledViaLast aws:CalledViaAWSMCP aws:FederatedProvider
    aws:PrincipalAccount aws:PrincipalOrgID aws:PrincipalServiceName aws:PrincipalTag/ aws:PrincipalType aws:referer
    aws:RequestedRegion aws:RequestTag/ aws:ResourceAccount aws:ResourceOrgID aws:ResourceTag/ aws:SignInSessionId
    aws:SourceAccount aws:SourceIdentity aws:SourceOrgID aws:SourceOwner aws:SourceVpc aws:SourceVpce aws:UserAgent
    aws:userid aws:username aws:VpceAccount aws:VpceOrgID aws:Ec2InstanceSourceVpc
    s3:AccessGrantScope s3:AccessGrantsLocationScope s3:AccessPointNetworkOrigin s3:AccessPointTag/ s3:BucketTag/
    s3:DataAccessPointAccount s3:destinationRegion s3:ResourceAccount s3:authType s3:signatureversion
    s3:x-amz-content-sha256 s3:ExistingJobOperation s3:JobSuspendedCause s3:RequestJobOperation
    s3:annotation-prefix s3:x-amz-object-if-match s3:x-amz-optional-object-attributes
"""
_MANY: Final = """
    aws:CalledVia aws:PrincipalOrgPaths aws:PrincipalServiceNamesList aws:ResourceOrgPaths aws:SourceOrgPaths
    aws:TagKeys aws:VpceOrgPaths s3:InventoryAccessibleOptionalFields s3:RequestObjectTagKeys
"""
_OTHERS: Final[Mapping[Type, str]] = {
    Type.ARN: """
        aws:ChatbotSourceArn aws:PrincipalArn aws:SignInSessionArn aws:SourceArn aws:SourceVpcArn
        s3:AccessGrantsInstanceArn s3:DataAccessPointArn s3:deliverySourceArn
    """,
    Type.ADDRESS: "aws:Ec2InstanceSourcePrivateIPv4 aws:SourceIp aws:VpcSourceIp",
    Type.BOOLEAN: """
        aws:MultiFactorAuthPresent aws:PrincipalIsAWSService aws:SecureTransport aws:ViaAWSMCPService aws:ViaAWSService
    """,
    Type.NUMBER: """
        aws:MultiFactorAuthAge s3:ExistingJobPriority s3:RequestJobPriority s3:signatureAge s3:TlsVersion
    """,
    Type.DATE: "aws:CurrentTime aws:EpochTime aws:TokenIssueTime",
}

# --- keys that only some actions have ---------------------------------------------------------------------------------

_LISTS: Final = "listbucket listbucketversions"
_WRITES: Final = "putobject bypassgovernanceretention"
_ACLS: Final = f"{_WRITES} createbucket createaccesspoint putbucketacl putobjectacl putobjectversionacl"
_ENCRYPTS: Final = f"{_WRITES} replicateobject updateobjectencryption"
_VERSIONS: Final = """
    deleteobjectversion deleteobjectversionannotation deleteobjectversiontagging getobjectversion getobjectversionacl
    getobjectversionannotation getobjectversionattributes getobjectversionforreplication getobjectversiontagging
    getobjectversiontorrent listobjectversionannotations putobjectversionacl putobjectversionannotation
    putobjectversiontagging restoreobject
"""
_TAGGED: Final = """
    deleteobjectannotation deleteobjecttagging deleteobjectversion deleteobjectversionannotation
    deleteobjectversiontagging getobject getobjectacl getobjectannotation getobjectattributes getobjecttagging
    getobjectversion getobjectversionacl getobjectversionannotation getobjectversionattributes getobjectversiontagging
    listobjectannotations listobjectversionannotations putobjectacl putobjectannotation putobjecttagging
    putobjectversionacl putobjectversionannotation putobjectversiontagging restoreobject updateobjectencryption
    deleteobject
"""
_PUTS_TAGS: Final = f"{_WRITES} putobjecttagging putobjectversiontagging"
_ACL_KEYS: Final = """
    s3:x-amz-acl s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write
    s3:x-amz-grant-write-acp
"""
_SOME: Final[tuple[tuple[Type, str, str], ...]] = (
    (Type.TEXT, "s3:prefix s3:delimiter", _LISTS),
    (Type.NUMBER, "s3:max-keys", _LISTS),
    (Type.TEXT, "s3:versionid", _VERSIONS),
    (Type.TEXT, "s3:ExistingObjectTag/", _TAGGED),
    (Type.TEXT, "s3:RequestObjectTag/", _PUTS_TAGS),
    (Type.BOOLEAN, "s3:ObjectCreationOperation", _WRITES),
    (Type.TEXT, "s3:if-none-match", _WRITES),
    (Type.TEXT, "s3:if-match", f"{_WRITES} deleteobject"),
    (Type.TEXT, "s3:object-lock-mode", f"{_WRITES} putobjectretention"),
    (Type.DATE, "s3:object-lock-retain-until-date", f"{_WRITES} putobjectretention"),
    (Type.NUMBER, "s3:object-lock-remaining-retention-days", f"{_WRITES} putobjectretention"),
    (Type.TEXT, "s3:object-lock-legal-hold", f"{_WRITES} putobjectlegalhold"),
    (Type.TEXT, _ACL_KEYS, _ACLS),
    (Type.TEXT, "s3:x-amz-copy-source s3:x-amz-metadata-directive s3:x-amz-website-redirect-location", _WRITES),
    (Type.TEXT, "s3:x-amz-storage-class", f"{_WRITES} putobjectacl putobjectversionacl"),
    (Type.TEXT, "s3:x-amz-server-side-encryption", _ENCRYPTS),
    (Type.ARN, "s3:x-amz-server-side-encryption-aws-kms-key-id", _ENCRYPTS),
    (Type.TEXT, "s3:x-amz-server-side-encryption-customer-algorithm", f"{_WRITES} replicateobject"),
    (Type.TEXT, "s3:LocationConstraint", "createbucket createaccesspoint"),
    (Type.TEXT, "s3:x-amz-object-ownership s3:x-amz-bucket-namespace", "createbucket"),
    (Type.BOOLEAN, "s3:isReplicationPauseRequest", "putreplicationconfiguration pausereplication"),
)
_MANY_OF_SOME: Final = {
    "s3:inventoryaccessibleoptionalfields": "putinventoryconfiguration",
    "s3:requestobjecttagkeys": _PUTS_TAGS,
}


def _table() -> dict[str, Key]:
    found = [Key(name, Type.TEXT) for name in _TEXT.split()]
    found += [
        Key(name, Type.TEXT, many=True, actions=frozenset(_MANY_OF_SOME.get(name.lower(), "").split()))
        for name in _MANY.split()
    ]
    for kind, names in _OTHERS.items():
        found += [Key(name, kind) for name in names.split()]
    for kind, names, actions in _SOME:
        found += [Key(name, kind, actions=frozenset(actions.split())) for name in names.split()]
    return {key.shown.lower(): key for key in found}


KEYS: Final[Mapping[str, Key]] = _table()
"""By name in lower case; families (`aws:PrincipalTag/...`) by their name up to the slash."""

_ENDPOINT_KEYS: Final = frozenset(
    {
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourcevpcarn",
        "aws:vpceaccount",
        "aws:vpceorgid",
        "aws:vpceorgpaths",
        "aws:vpcsourceip",
    }
)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-sourcevpc
SENSITIVE: Final = frozenset(
    {
        "aws:principalaccount",
        "aws:principalorgid",
        "aws:resourceaccount",
        "aws:resourceorgid",
        "aws:sourceaccount",
        "aws:sourceorgid",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:vpceaccount",
        "aws:vpceorgid",
        "s3:resourceaccount",
    }
)
"""Keys whose values are identifiers that a wildcard has no place in."""


def exists_through_endpoints(key: str) -> bool:
    """Whether only requests through VPC endpoints have the key (in lower case)."""
    return key in _ENDPOINT_KEYS


def known(key: str) -> Key | None:
    """The key of that name, however it is written; None where AWS has none such."""
    lower = key.lower()
    family, slash, rest = lower.partition("/")
    return KEYS.get(family + slash) if slash and rest else KEYS.get(lower) if not slash else None


def suggestion(key: str) -> str | None:
    """The key that was probably meant."""
    from difflib import get_close_matches

    lower = key.lower()
    # `SourceVpce`, `aws.SourceVpce`, `s3:SourceVpce`: the right name behind no prefix, or the wrong one.
    bare = lower.rpartition(":")[2].rpartition(".")[2]
    for prefix in ("aws:", "s3:"):
        if prefix + bare in KEYS:
            return KEYS[prefix + bare].shown
    near = get_close_matches(lower, KEYS, n=1, cutoff=0.8)
    return KEYS[near[0]].shown if near else None
