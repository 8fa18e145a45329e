"""The condition keys that a cell's request will carry, as far as they are known before it is sent.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.model import Transport
from pytest_s3vpce.network.path import Path
from pytest_s3vpce.network.topology import EndpointKind
from pytest_s3vpce.operations.tags import header_tags, request_tags
from pytest_s3vpce.predict.doubt import Doubt
from pytest_s3vpce.snapshot.state import OrganizationRow, Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.model import SignedRequest
    from pytest_s3vpce.operations import Operation
    from pytest_s3vpce.predict.ways import Way
    from pytest_s3vpce.snapshot.state import AccessPointRow, PrincipalRow

    Keys = dict[str, Any]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_NEWEST: Final = "1.3"
_NEWEST_OF_INTERFACES: Final = "1.2"
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html#privatelink-limitations"""


def of_way(way: Way, *, transport: Transport) -> Keys:
    """What the path and the transport say."""
    keys: Keys = dict(way.path.context()) if isinstance(way.path, Path) else {}
    keys["aws:SecureTransport"] = "false" if transport is Transport.HTTP else "true"
    if transport is not Transport.HTTP:
        endpoint = way.path.endpoint if isinstance(way.path, Path) else None
        interface = endpoint is not None and endpoint.kind is EndpointKind.INTERFACE
        keys["s3:TlsVersion"] = transport.tls or (_NEWEST_OF_INTERFACES if interface else _NEWEST)
    return keys


def of_request(
    request: SignedRequest,
    row: Operation,
    parameters: Mapping[str, Any],
    *,
    region: str,
    calibration: Calibration = NONE,
) -> Keys:
    """What the request itself says: its headers, its parameters, its kind."""
    headers = {name.lower(): value for name, value in request.headers}
    keys: Keys = {"aws:ViaAWSService": "false", "aws:RequestedRegion": region}
    keys |= calibration.keys(row, parameters) | calibration.payload(headers.get("x-amz-content-sha256"))
    named = {
        "aws:UserAgent": "user-agent",
        "aws:Referer": "referer",
    }
    keys.update({key: headers[header] for key, header in named.items() if header in headers})
    keys |= header_tags(row.name, parameters)
    if row.api_name == "PutObjectTagging":
        given = parameters.get("Tagging") or {}
        keys |= request_tags({tag["Key"]: tag["Value"] for tag in given.get("TagSet", ())})
    return keys


def of_time(now: float) -> Keys:
    return {"aws:CurrentTime": _instant(now), "aws:EpochTime": str(int(now))}


def _instant(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def of_signature(*, age: int | None, calibration: Calibration = NONE) -> Keys:
    """Of a signed request; `age` is that of a presigned URL in seconds."""
    return {
        **({} if age is None else calibration.payload(None, presigned=True)),
        "s3:authType": "REST-HEADER" if age is None else "REST-QUERY-STRING",
        "s3:signatureversion": _ALGORITHM,
        "s3:signatureAge": str((age or 0) * 1000),
    }


def of_principal(row: PrincipalRow, *, session: str | None, now: float) -> tuple[Keys, Doubt]:
    """What the credentials say; what of that is not known."""
    keys: Keys = {"aws:PrincipalIsAWSService": "false", "aws:PrincipalArn": row.arn}
    doubt = Doubt()
    name = row.session_name or session
    if isinstance(row.id, Unread) or (row.kind == "role" and name is None):
        doubt = doubt.joined(Doubt(keys=frozenset({"aws:userid"})))
    else:
        keys["aws:userid"] = f"{row.id}:{name}" if row.kind == "role" else row.id
    if row.kind == "user":
        keys["aws:username"] = row.arn.rpartition("/")[2]
    if row.kind == "role":
        keys |= {"aws:TokenIssueTime": _instant(now), "aws:MultiFactorAuthPresent": "false"}
    if row.mfa:
        doubt = doubt.joined(Doubt(prefixes=("aws:multifactorauth",)))
    if row.source_identity is not None:
        keys["aws:SourceIdentity"] = row.source_identity
    if isinstance(row.tags, Unread):
        return keys, doubt.joined(Doubt(prefixes=("aws:principaltag/",)))
    return keys | {f"aws:PrincipalTag/{tag}": value for tag, value in row.tags.items()}, doubt


def of_organization(whose: str, found: OrganizationRow | Unread | None) -> tuple[Keys, Doubt]:
    """`whose` is `Principal`, `Resource` or `Vpce`; None: in no organization."""
    if found is None:
        return {}, Doubt()
    ids, paths = f"aws:{whose}OrgID", f"aws:{whose}OrgPaths"
    if isinstance(found, Unread):
        return {}, Doubt(keys=frozenset({ids.lower(), paths.lower()}))
    if isinstance(found.path, Unread):
        return {ids: found.id}, Doubt(keys=frozenset({paths.lower()}))
    return {ids: found.id, paths: (found.path,)}, Doubt()


def of_point(point: AccessPointRow) -> Keys:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html#access-points-condition-keys"""
    return {
        "s3:DataAccessPointArn": point.arn,
        "s3:DataAccessPointAccount": point.account,
        "s3:AccessPointNetworkOrigin": "VPC" if point.vpc else "Internet",
    }


CONTEXT: Final = "kms:EncryptionContext:aws:s3:arn"


def for_kms(keys: Mapping[str, Any], *, account: str | None, encrypted: str | None, region: str) -> Keys:
    """What S3 asks KMS with: the caller's keys but for the network's and S3's own.

    `encrypted` is the ARN in the encryption context, of the object or of its bucket; None where it may be either.
    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html and
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#encryption-context
    """
    dropped = ("s3:", "aws:sourcevpc", "aws:vpcsourceip", "aws:vpce", "aws:viaawsservice", "aws:resource")
    kept = {key: value for key, value in keys.items() if not key.lower().startswith(dropped)}
    via = "s3.amazonaws.com"
    return {
        **kept,
        "aws:ViaAWSService": "true",
        "aws:CalledVia": (via,),
        "aws:CalledViaFirst": via,
        "aws:CalledViaLast": via,
        "kms:ViaService": f"s3.{region}.amazonaws.com",
        "kms:CallerAccount": account or "anonymous",
        "kms:EncryptionContextKeys": ("aws:s3:arn",),
        **({} if encrypted is None else {CONTEXT: encrypted}),
    }
