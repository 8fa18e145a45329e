"""An answered request as CloudTrail records it: management, data and network activity events.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from pytest_s3vpce.lab.keys import SessionKind
from pytest_s3vpce.lab.resources import bucket_arn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.wire import HttpRequest

Record = dict[str, Any]

_VERSION: Final = "1.11"
_REFUSED: Final = "The request was denied due to a VPC endpoint policy"
_LONGEST_MESSAGE: Final = 1024
DATA_EVENTS: Final = frozenset(
    {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjectTagging",
        "DeleteObjects",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "GetObjectTorrent",
        "HeadBucket",
        "HeadObject",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListParts",
        "PutObject",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "PutObjectTagging",
        "RestoreObject",
        "SelectObjectContent",
        "UploadPart",
        "UploadPartCopy",
    }
)
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html"""
_NAMES: Final[Mapping[str, str]] = {
    "ListObjectsV2": "ListObjects",
    "GetBucketLifecycleConfiguration": "GetBucketLifecycle",
    "PutBucketLifecycleConfiguration": "PutBucketLifecycle",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "DeleteBucketPublicAccessBlock",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}
"""Operations of S3's that are called otherwise in events, as on the page above."""
_READS: Final = re.compile(r"(?:AssumeRole|BatchGet|Check|Decode|Describe|Filter|Get|Head|List|Lookup|Search|Select)")
_SUITES: Final[Mapping[str, str]] = {"TLSv1.3": "TLS_AES_128_GCM_SHA256", "TLSv1.2": "ECDHE-RSA-AES128-GCM-SHA256"}
"""What AWS's clients usually agree on with it; the lab's own connections are not looked into."""
_SSE: Final[Mapping[str, str]] = {"AES256": "SSE_S3", "aws:kms": "SSE_KMS", "aws:kms:dsse": "DSSE_KMS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request that was answered, with what its records tell."""

    at: datetime
    request: HttpRequest
    caller: Caller
    service: str
    region: str
    operation: str
    status: int
    request_id: str
    address: str | None = None
    """As the service saw it: private where the request came by an endpoint."""
    host_id: str = ""
    access_key_id: str | None = None
    auth_type: str = ""
    signature_version: str = ""
    bucket: str | None = None
    bucket_owner: str | None = None
    key: str | None = None
    endpoint: str | None = None
    endpoint_owner: str | None = None
    by_endpoint_policy: bool = False
    """Whether the endpoint's policy refused it."""
    by_acl: bool = False
    code: str | None = None
    message: str = ""
    sent: int = 0
    encryption: str | None = None
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def event_name(self) -> str:
        return _NAMES.get(self.operation, self.operation) if self.service == "s3" else self.operation

    @property
    def cipher(self) -> str:
        """Empty for plain HTTP."""
        return _SUITES.get(self.request.tls or "", "")

    @property
    def signature(self) -> str:
        """`SigV4`, `SigV2`, or empty for anonymous requests."""
        if not self.auth_type:
            return ""
        return "SigV4" if self.signature_version.startswith("AWS4") else "SigV2"

    @property
    def authentication(self) -> str:
        """`AuthHeader`, `QueryString`, or empty for anonymous requests."""
        if not self.auth_type:
            return ""
        return "QueryString" if "QUERY" in self.auth_type else "AuthHeader"

    @property
    def is_data(self) -> bool:
        if self.service == "lambda":
            return self.operation == "Invoke"
        return self.service == "s3" and self.event_name in DATA_EVENTS

    @property
    def accounts(self) -> tuple[str, ...]:
        """Who gets an event of it: whoever asked, and the bucket's owner."""
        found = (self.caller.account, self.bucket_owner)
        return tuple(dict.fromkeys(account for account in found if account is not None))


def api_event(seen: Seen, *, account: str) -> Record:
    """The management or data event that this account gets."""
    record: Record = {
        **_head(seen, account=account),
        "userAgent": f"[{seen.request.header('user-agent') or ''}]",
        "requestParameters": _parameters(seen),
        "responseElements": None,
        **_additional(seen),
        "requestID": seen.request_id,
        "eventID": str(uuid.uuid5(uuid.UUID(seen.event_id), account)),
        "readOnly": _READS.match(seen.event_name) is not None,
        **({"resources": list(_resources(seen))} if seen.bucket else {}),
        "eventType": "AwsApiCall",
        "managementEvent": not seen.is_data,
        "recipientAccountId": account,
        **_shared(seen),
        **_endpoint(seen),
        "eventCategory": "Data" if seen.is_data else "Management",
        **_tls(seen),
    }
    if seen.code is not None:
        record |= {"errorCode": seen.code, "errorMessage": seen.message[:_LONGEST_MESSAGE]}
    return record


def network_event(seen: Seen) -> Record:
    """What the endpoint's owner gets of a request that came by it.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-network-events-with-cloudtrail.html
    """
    assert seen.endpoint_owner is not None
    record: Record = {
        **_head(seen, account=seen.endpoint_owner),
        "requestID": seen.request_id,
        "eventID": str(uuid.uuid5(uuid.UUID(seen.event_id), f"{seen.endpoint_owner} network")),
        "eventType": "AwsVpceEvent",
        "recipientAccountId": seen.endpoint_owner,
        "sharedEventID": seen.event_id,
        **_endpoint(seen),
        "eventCategory": "NetworkActivity",
    }
    if seen.by_endpoint_policy:
        record |= {"errorCode": "VpceAccessDenied", "errorMessage": _REFUSED}
    return record


def _head(seen: Seen, *, account: str) -> Record:
    return {
        "eventVersion": _VERSION,
        "userIdentity": _identity(seen, account=account),
        "eventTime": seen.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": f"{'s3' if seen.service == 's3control' else seen.service}.amazonaws.com",
        "eventName": seen.event_name,
        "awsRegion": seen.region,
        "sourceIPAddress": seen.address or "AWS Internal",
    }


def _identity(seen: Seen, *, account: str) -> Record:
    """Who asked; of foreigners other accounts learn no more than whose they are.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
    """
    caller = seen.caller
    if caller.account is None:
        return {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
    if caller.account != account:
        return {"type": "AWSAccount", "principalId": caller.userid or "", "accountId": caller.account}
    kind = "Root" if caller.is_root else _IDENTITIES[caller.session]
    whole: Record = {
        "type": kind,
        "principalId": caller.userid,
        "arn": caller.arn,
        "accountId": caller.account,
        "accessKeyId": seen.access_key_id,
    }
    if kind == "IAMUser":
        whole["userName"] = caller.username
    if caller.session is not None:
        whole["sessionContext"] = _session(caller)
    return whole


_IDENTITIES: Final[Mapping[SessionKind | None, str]] = {
    None: "IAMUser",
    SessionKind.USER: "IAMUser",
    SessionKind.ROLE: "AssumedRole",
    SessionKind.FEDERATION: "FederatedUser",
    SessionKind.ROOT: "Root",
}


def _session(caller: Caller) -> Record:
    issued = caller.issued_at
    created = issued.strftime("%Y-%m-%dT%H:%M:%SZ") if issued else None
    with_mfa = "false" if caller.mfa_at is None else "true"
    context: Record = {"attributes": {"creationDate": created, "mfaAuthenticated": with_mfa}}
    bearer = caller.bearer or ""
    if caller.session is SessionKind.ROLE:
        context["sessionIssuer"] = {
            "type": "Role",
            "principalId": (caller.userid or "").partition(":")[0],
            "arn": bearer,
            "accountId": caller.account,
            "userName": bearer.rpartition("/")[2],
        }
    if caller.source_identity is not None:
        context["sourceIdentity"] = caller.source_identity
    return context


def _parameters(seen: Seen) -> Record | None:
    """The names of what was asked for; bodies and signatures stay out."""
    if seen.service != "s3":
        return None
    query = dict(parse_qsl(seen.request.target.partition("?")[2], keep_blank_values=True))
    kept = {name: value for name, value in query.items() if not name.lower().startswith("x-amz-")}
    for secret in ("AWSAccessKeyId", "Signature", "Expires"):
        kept.pop(secret, None)
    named = {"bucketName": seen.bucket, "Host": seen.request.host, "key": seen.key}
    return {name: value for name, value in named.items() if value is not None} | kept


def _additional(seen: Seen) -> Record:
    if seen.service != "s3":
        return {}
    found: Record = {"bytesTransferredIn": len(seen.request.body), "bytesTransferredOut": seen.sent}
    named = {
        "SignatureVersion": seen.signature,
        "AuthenticationMethod": seen.authentication,
        "CipherSuite": seen.cipher,
    }
    found |= {name: value for name, value in named.items() if value}
    if seen.by_acl:
        found["aclRequired"] = "Yes"
    if seen.encryption is not None:
        found["SSEApplied"] = _SSE.get(seen.encryption, seen.encryption)
    return {"additionalEventData": {**found, "x-amz-id-2": seen.host_id}}


def _resources(seen: Seen) -> Iterator[Record]:
    bucket = bucket_arn(str(seen.bucket), region=seen.region)
    if seen.is_data:
        whole = {"ARN": f"{bucket}/{seen.key}"} if seen.key is not None else {"ARNPrefix": f"{bucket}/"}
        yield {"type": "AWS::S3::Object", **whole}
    yield {"accountId": seen.bucket_owner, "type": "AWS::S3::Bucket", "ARN": bucket}


def _shared(seen: Seen) -> Record:
    return {"sharedEventID": seen.event_id} if len(seen.accounts) > 1 else {}


def _endpoint(seen: Seen) -> Record:
    if seen.endpoint is None:
        return {}
    return {"vpcEndpointId": seen.endpoint, "vpcEndpointAccountId": seen.endpoint_owner}


def _tls(seen: Seen) -> Record:
    """Absent for plain HTTP."""
    tls = seen.request.tls
    if tls is None:
        return {}
    host = seen.request.host
    return {"tlsDetails": {"tlsVersion": tls, "cipherSuite": seen.cipher, "clientProvidedHostHeader": host}}
