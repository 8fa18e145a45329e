"""The condition keys that S3 sets for a request, besides every service's: from its signature, parameters and body."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.authorization import QUERY
from pytest_s3vpce.lab.origin import OUTSIDE_OF_VPCS
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3forms import element
from pytest_s3vpce.lab.signatures import Verified
from pytest_s3vpce.markup import name_of
from pytest_s3vpce.network.topology import EndpointKind
from pytest_s3vpce.operations.tags import TAG_READERS, header_tags, request_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.visit import Visit
    from pytest_s3vpce.lab.wire import HttpRequest
    from pytest_s3vpce.network.path import Path

_IN_BODY: Final[Mapping[str, Mapping[str, str]]] = {
    "PutObjectTagging": {},
    "CreateBucket": {"LocationConstraint": "s3:locationconstraint"},
    "PutObjectRetention": {"Mode": "s3:object-lock-mode", "RetainUntilDate": "s3:object-lock-retain-until-date"},
    "PutObjectLegalHold": {"Status": "s3:object-lock-legal-hold"},
}

_SOMEBODYS: Final = {"aws:SourceVpc": "vpc-0000000000000a115", "aws:SourceVpce": "vpce-0000000000000a115"}
"""A VPC and an endpoint of AWS's own."""


def as_found(
    keys: dict[str, Any], request: HttpRequest, path: Path, *, region: str, calibration: Calibration
) -> dict[str, Any]:
    """The same where a calibration found what S3 sees, which is documented nowhere. `region` is the bucket's."""
    endpoint = path.endpoint
    if endpoint is not None and endpoint.region != region:
        return _by_other_region(keys, endpoint.region, calibration=calibration)
    if endpoint is not None and endpoint.kind is EndpointKind.GATEWAY and request.scheme == "http":
        value = calibration.value("http/gateway-transport")
        return _without(keys, "aws:SecureTransport") if value == "absent" else {**keys, "aws:SecureTransport": value}
    return _of_function(keys, calibration) if request.origin == OUTSIDE_OF_VPCS else keys


def _by_other_region(keys: dict[str, Any], region: str, *, calibration: Calibration) -> dict[str, Any]:
    """By an interface endpoint for another Region's S3, which stands in this one."""
    names = ("aws:SourceVpc", "aws:SourceVpce", "aws:VpceAccount")
    kept = _without(keys, *(name for name in names if calibration.value(f"other-region/{name}") == "absent"))
    if calibration.value("other-region/aws:RequestedRegion") == "the endpoint's":
        kept["aws:RequestedRegion"] = region
    return kept


def _without(keys: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in keys.items() if name not in names}


def _of_function(keys: dict[str, Any], calibration: Calibration) -> dict[str, Any]:
    """Of one that stands in no VPC."""
    found = {name: calibration.value(f"function/{name}") for name in ("aws:SourceIp", *_SOMEBODYS)}
    kept = {name: value for name, value in keys.items() if found.get(name) != "absent"}
    return {**{name: value for name, value in _SOMEBODYS.items() if found[name] == "present"}, **kept}


def s3_keys(visit: Visit, asked: S3Request, *, region: str, calibration: Calibration) -> dict[str, Any]:
    """The keys of a request to S3, as a calibration found them where AWS does not say what they hold.

    Those of its operation's parameters are another matter: of a deletion of many objects each has its own.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html and
    https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
    """
    request, verified = visit.request, visit.verified
    network = as_found(visit.keys(region=region), request, visit.path, region=region, calibration=calibration)
    keys: dict[str, Any] = {**network}
    if request.tls is not None:
        keys["s3:TlsVersion"] = request.tls.removeprefix("TLSv")
    if isinstance(verified, Verified):
        keys["s3:authType"] = verified.auth_type
        keys["s3:signatureversion"] = verified.signature_version
        keys["s3:signatureAge"] = str(verified.signature_age_ms)
    presigned = isinstance(verified, Verified) and verified.auth_type == QUERY
    keys |= calibration.payload(request.header("x-amz-content-sha256"), presigned=presigned)
    keys |= calibration.place(asked.operation, request.body)
    until = asked.parameters.get("ObjectLockRetainUntilDate")
    if until is not None and (days := _days_until(str(until), now=visit.now)) is not None:
        keys["s3:object-lock-remaining-retention-days"] = str(days)
    return keys | header_tags(asked.name, asked.parameters) | _body_keys(asked.name, request.body)


def _days_until(text: str, *, now: datetime) -> int | None:
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return None
    return -((now - (until if until.tzinfo else until.replace(tzinfo=UTC))) // timedelta(days=1))


def _body_keys(operation: str, body: bytes) -> dict[str, Any]:
    """What only the body says; one that can't be read says nothing, and is refused later."""
    if operation not in _IN_BODY or not body:
        return {}
    try:
        rows = list(element(body).iter())
    except Refused:
        return {}
    named = [(name_of(row), row.text or "") for row in rows]
    if operation == "PutObjectTagging":
        names = [text for name, text in named if name == "Key"]
        values = [text for name, text in named if name == "Value"]
        return request_tags(dict(zip(names, values, strict=False)))
    return {_IN_BODY[operation][name]: text for name, text in named if name in _IN_BODY[operation]}


def existing_tags(state: State, bucket: str, *, action: str, key: str | None, version: object) -> dict[str, str]:
    """The tags of the object that is there, for the actions that look at them.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html
    """
    if key is None or action not in TAG_READERS:
        return {}
    tags = state.object_tags(bucket, key, None if version is None else str(version))
    return {f"s3:ExistingObjectTag/{name}": value for name, value in tags.items()}
