"""Access points: found by host, alias or ARN, and what a request that comes by one is without it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import PublicAccessBlock
from pytest_s3vpce.lab.s3requests import virtual_bucket
from pytest_s3vpce.lab.s3words import no_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9-]+)-(?P<account>\d{12})\.(?:s3-accesspoint(?:-fips)?(?:\.dualstack)?|"
    r"accesspoint\.vpce-[a-z0-9-]+\.s3)\.(?P<region>[a-z0-9-]+)\.(?:vpce\.)?amazonaws\.(?:com(?:\.cn)?|eu)"
)
_LOCAL_HOST: Final = re.compile(r"(?P<name>[a-z0-9-]+)-(?P<account>\d{12})\.(?:127\.0\.0\.1|localhost)")
"""What SDKs make of an ARN and the address of a lab."""
_SOURCE: Final = re.compile(
    r"(?P<point>arn:.+:accesspoint[/:][a-z0-9-]+)/object/(?P<key>.+)|(?P<alias>[^/]+)/(?P<rest>.+)"
)
_COPY_SOURCE: Final = "x-amz-copy-source"
_ALIAS: Final = re.compile(r"[a-z0-9-]+-s3alias")
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:s3:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):accesspoint[/:](?P<name>[a-z0-9-]+)"
)
SERVED: Final = frozenset(
    {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjects",
        "DeleteObjectTagging",
        "GetBucketAcl",
        "GetBucketCors",
        "GetBucketLocation",
        "GetBucketNotificationConfiguration",
        "GetBucketPolicy",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "HeadBucket",
        "HeadObject",
        "ListMultipartUploads",
        "ListObjects",
        "ListObjectsV2",
        "ListObjectVersions",
        "ListParts",
        "PutObject",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "PutObjectTagging",
        "RestoreObject",
        "UploadPart",
        "UploadPartCopy",
    }
)
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-service-api-support.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPoint:
    """An access point as decisions see it."""

    name: str
    account: str
    region: str
    arn: str
    alias: str
    bucket: str
    policy: str | None
    vpc: str | None
    """The VPC that it is bound to; None where it is reached from everywhere."""
    block: PublicAccessBlock

    @property
    def origin(self) -> str:
        """The value of s3:AccessPointNetworkOrigin."""
        return "VPC" if self.vpc else "Internet"

    def keys(self) -> dict[str, str]:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html#access-points-condition-keys"""
        return {
            "s3:DataAccessPointArn": self.arn,
            "s3:DataAccessPointAccount": self.account,
            "s3:AccessPointNetworkOrigin": self.origin,
        }


def find(state: State, account: str, name: str) -> AccessPoint | None:
    return next((point for point in _of_account(state, account) if point.name == name), None)


def _of_account(state: State, account: str) -> Iterator[AccessPoint]:
    backends = state.backends("s3control")
    if account in backends:
        for backend in list(backends[account].values()):
            for found in list(backend.access_points.get(account, {}).values()):
                yield _read(found, account=account)


def _read(found: Any, *, account: str) -> AccessPoint:
    said = {name: str(value).lower() == "true" for name, value in found.pubc.items()}
    return AccessPoint(
        name=found.name,
        account=account,
        region=found.arn.split(":")[3],
        arn=found.arn,
        alias=found.alias,
        bucket=found.bucket,
        policy=found.policy,
        vpc=found.vpc_id,
        block=PublicAccessBlock(
            block_public_acls=said["BlockPublicAcls"],
            ignore_public_acls=said["IgnorePublicAcls"],
            block_public_policy=said["BlockPublicPolicy"],
            restrict_public_buckets=said["RestrictPublicBuckets"],
        ),
    )


def by_name(state: State, text: str) -> AccessPoint | None:
    """The access point that an alias or an ARN names in a bucket's place."""
    arn = _ARN.fullmatch(text)
    if arn is not None:
        return find(state, arn["account"], arn["name"])
    if not _ALIAS.fullmatch(text):
        return None
    accounts = list(state.backends("s3control"))
    return next((point for account in accounts for point in _of_account(state, account) if point.alias == text), None)


def arrival(state: State, request: HttpRequest) -> tuple[HttpRequest, AccessPoint | None]:
    """The request as one to the bucket itself, and the access point that it came by; None where it came by none."""
    name = request.host.partition(":")[0]
    host = _HOST.fullmatch(name) or _LOCAL_HOST.fullmatch(name)
    if host is not None:
        point = find(state, host["account"], host["name"])
        if point is None or host.groupdict().get("region", point.region) != point.region:
            raise absent()
        return _direct(request, point, request.target), point
    bucket = virtual_bucket(request)
    named, _, rest = request.target.lstrip("/").partition("/")
    first, mark, query = named.partition("?")
    point = by_name(state, unquote(bucket or first))
    if point is None:
        return request, None
    target = request.target if bucket else f"/{rest}" + (f"{mark}{query}" if not rest else "")
    return _direct(request, point, target), point


def _direct(request: HttpRequest, point: AccessPoint, target: str) -> HttpRequest:
    path = target if target.startswith("/") else f"/{target}"
    bare = path if path.partition("?")[0] != "/" else path[1:]
    return replace(request, host=f"s3.{point.region}.amazonaws.com", target=f"/{point.bucket}{bare}")


def copy_source(state: State, request: HttpRequest) -> tuple[HttpRequest, AccessPoint | None]:
    """The request with its copy's source as an object of a bucket, and the access point that the source names.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html#API_CopyObject_RequestSyntax
    """
    path, mark, version = (request.header(_COPY_SOURCE) or "").partition("?versionId=")
    found = _SOURCE.fullmatch(unquote(path).removeprefix("/"))
    if found is None:
        return request, None
    point = by_name(state, found["point"] or found["alias"])
    if point is None:
        if found["point"]:
            raise absent()
        return request, None
    source = quote(f"{point.bucket}/{found['key'] or found['rest']}", safe="/-_.~") + mark + version
    headers = [(name, source if name.lower() == _COPY_SOURCE else value) for name, value in request.headers]
    return replace(request, headers=tuple(headers)), point


def absent() -> Refused:
    return Refused("NoSuchAccessPoint", status=404, message="The specified accesspoint does not exist")


def mend(backend_class: Any, *, home_of: Callable[[str], BucketState | None]) -> None:
    """An access point is of its bucket's Region, and made once.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_CreateAccessPoint.html
    """
    original = backend_class.create_access_point

    def create(self: Any, account_id: str, name: str, bucket: str, **named: Any) -> Any:
        home = home_of(bucket)
        if home is None:
            raise no_bucket(bucket)
        if name in self.access_points[account_id]:
            message = "Your previous request to create the named accesspoint succeeded and you already own it."
            raise Refused("AccessPointAlreadyOwnedByYou", status=409, message=message)
        made = original(self, account_id=account_id, name=name, bucket=bucket, **named)
        parts = made.arn.split(":", 4)
        made.arn = ":".join((*parts[:3], home.region, parts[4]))
        return made

    backend_class.create_access_point = create
