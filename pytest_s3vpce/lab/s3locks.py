"""Object Lock: what its documents and headers must say, which changes a lock allows, and what is told of it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3answers import answered, made
from pytest_s3vpce.lab.s3forms import element, malformed
from pytest_s3vpce.lab.s3words import invalid_request, invalid_value
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import children, elements, texts
from pytest_s3vpce.operations.creations import CREATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.etree import ElementTree as ET

    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_MODES: Final = frozenset({"GOVERNANCE", "COMPLIANCE"})
_HOLDS: Final = frozenset({"ON", "OFF"})
_LONGEST: Final = {"Days": 36_500, "Years": 100}
_BYPASS: Final = "BypassGovernanceRetention"
_FIELDS: Final = ("lock_mode", "lock_until", "lock_legal_status")
"""Of an object in the state behind, and of an upload that is to become one."""
_MAKES: Final = CREATIONS | {"CompleteMultipartUpload"}
_HEADERS: Final = ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One request, and what it is about as the state behind holds it."""

    request: HttpRequest
    asked: S3Request
    bucket: Any
    object: Any
    now: datetime

    @property
    def bypasses(self) -> bool:
        """Whether it asks to bypass governance; that it may was decided before."""
        return str(self.asked.parameters.get(_BYPASS, "")).lower() == "true"


def check(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> None:
    """Refuse in S3's words what contradicts itself, or the lock of the object or bucket."""
    found = _CHECKS.get(asked.name)
    if found is not None:
        found(_case(state, request, asked, bucket))


def answer(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> HttpResponse | None:
    """The answer of an operation on locks, once it was checked; None for all others."""
    found = _ANSWERS.get(asked.name)
    return None if found is None else found(_case(state, request, asked, bucket))


def unread(asked: S3Request) -> dict[str, None]:
    """The headers that the state behind is not told: it takes none without a digest, not of a copy or upload either."""
    return dict.fromkeys(_HEADERS) if asked.name in CREATIONS else {}


def settle(state: State, asked: S3Request, bucket: BucketState, answer: HttpResponse, *, upload: Any) -> None:
    """Lock what was made as its request or that of its upload said, else as the bucket does by default.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html#object-lock-bucket-config
    """
    if asked.name not in _MAKES:
        return
    home, found = state.stored(bucket.name), made(state, asked, bucket, answer)
    if found is None or not home.object_lock_enabled:
        return
    if asked.name in CREATIONS:
        given = asked.parameters
        retention = given.get("ObjectLockMode"), given.get("ObjectLockRetainUntilDate")
        locks = (*(_by_default(home) if retention[0] is None else retention), given.get("ObjectLockLegalHoldStatus"))
    else:
        locks = tuple(getattr(upload, field, None) for field in _FIELDS)
    for field, value in zip(_FIELDS, locks, strict=True):
        setattr(found, field, value)


def _by_default(home: Any) -> tuple[str | None, str | None]:
    if not home.default_lock_mode:
        return None, None
    days = (home.default_lock_days or 0) + 365 * (home.default_lock_years or 0)
    return home.default_lock_mode, f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def _case(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> _Case:
    version = asked.parameters.get("VersionId")
    stored = None if asked.key is None else state.stored(bucket.name, asked.key, version)
    home = state.stored(bucket.name)
    return _Case(request=request, asked=asked, bucket=home, object=stored, now=datetime.now(UTC))


# --- the bucket's configuration ---------------------------------------------------------------------------------------


def _check_configuration(case: _Case) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html"""
    given = children(element(case.request.body))
    if given.get("ObjectLockEnabled", _NONE).text != "Enabled":
        raise malformed()
    if "Rule" in given:
        rule = children(given["Rule"])
        if "DefaultRetention" not in rule:
            raise malformed()
        _check_default(_texts(rule["DefaultRetention"]))
    if case.bucket.versioning_status != "Enabled":
        raise _state("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")


def _check_default(default: Mapping[str, str]) -> None:
    periods = [name for name in _LONGEST if name in default]
    if default.get("Mode") not in _MODES or len(periods) != 1:
        raise malformed()
    (name,) = periods
    try:
        count = int(default[name])
    except ValueError as error:
        raise malformed() from error
    if count <= 0:
        raise invalid_value(
            "Default retention period must be a positive integer value.", name=name, value=default[name]
        )
    if count > _LONGEST[name]:
        raise invalid_value("Default retention period too large.", name=name, value=default[name])


def _configuration(case: _Case) -> HttpResponse:
    home = case.bucket
    if not home.object_lock_enabled:
        message = "Object Lock configuration does not exist for this bucket"
        details = (("BucketName", str(home.name)),)
        raise Refused("ObjectLockConfigurationNotFoundError", status=404, message=message, details=details)
    rule = ""
    if home.default_lock_mode:
        name, count = (
            ("Years", home.default_lock_years) if home.default_lock_years else ("Days", home.default_lock_days)
        )
        default = elements(Mode=home.default_lock_mode, **{name: str(count)})
        rule = f"<Rule><DefaultRetention>{default}</DefaultRetention></Rule>"
    return answered("ObjectLockConfiguration", elements(ObjectLockEnabled="Enabled") + rule)


def _check_versioning(case: _Case) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html"""
    given = _texts(element(case.request.body))
    if given.get("MfaDelete") == "Enabled":
        message = "Mfa Authentication must be used for this request"  # the lab has no devices
        raise Refused("AccessDenied", status=403, message=message)
    if case.bucket.object_lock_enabled and given.get("Status") != "Enabled":
        raise _state(
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        )


# --- the locks of an object -------------------------------------------------------------------------------------------


def _check_retention(case: _Case) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html"""
    mode, until = _retention_of(case)
    _check_lockable(case)
    held_mode, held_until = case.object.lock_mode, _date(case.object.lock_until)
    if held_mode not in _MODES or held_until is None or held_until <= case.now:
        return
    weaker = until is None or until < held_until or mode != held_mode
    if weaker and (held_mode == "COMPLIANCE" or not case.bypasses):
        raise _protected()


def _retention_of(case: _Case) -> tuple[str | None, datetime | None]:
    """Mode and date that the document asks for; an empty one takes the retention away."""
    given = _texts(element(case.request.body))
    mode, text = given.get("Mode"), given.get("RetainUntilDate")
    if mode is None and text is None:
        return None, None
    until = _date(text)
    if mode not in _MODES or until is None:
        raise malformed()
    _check_future(until, text or "", name="RetainUntilDate", now=case.now)
    return mode, until


def _put_retention(case: _Case) -> HttpResponse:
    given = _texts(element(case.request.body))
    case.object.lock_mode = given.get("Mode")
    case.object.lock_until = given.get("RetainUntilDate")
    return HttpResponse(status=200)


def _check_hold(case: _Case) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLegalHold.html"""
    if _texts(element(case.request.body)).get("Status") not in _HOLDS:
        raise malformed()
    _check_lockable(case)


def _put_hold(case: _Case) -> HttpResponse:
    case.object.lock_legal_status = _texts(element(case.request.body))["Status"]
    return HttpResponse(status=200)


def _retention(case: _Case) -> HttpResponse:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html"""
    mode, until = case.object.lock_mode, case.object.lock_until
    if not mode or not until:
        raise _unlocked()
    return answered("Retention", elements(Mode=mode, RetainUntilDate=until))


def _hold(case: _Case) -> HttpResponse:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html"""
    status = case.object.lock_legal_status
    if status not in _HOLDS:
        raise _unlocked()
    return answered("LegalHold", elements(Status=status))


def _check_lockable(case: _Case) -> None:
    if not case.bucket.object_lock_enabled:
        message = "Bucket is missing Object Lock Configuration"
        raise invalid_request(message)


def _check_write(case: _Case) -> None:
    """Lock headers of a write. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""
    parameters = case.asked.parameters
    mode, until, hold = (parameters.get(f"ObjectLock{name}") for name in ("Mode", "RetainUntilDate", "LegalHoldStatus"))
    if (mode is None) != (until is None):
        missing = "x-amz-object-lock-mode" if mode is None else "x-amz-object-lock-retain-until-date"
        message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
        raise invalid_value(message, name=missing, value="")
    if mode is not None and mode not in _MODES:
        raise invalid_value("Unknown wormMode directive.", name="x-amz-object-lock-mode", value=str(mode))
    if until is not None:
        name, date = "x-amz-object-lock-retain-until-date", _date(str(until))
        if date is None:
            raise invalid_value(
                "The retain until date must be provided in ISO 8601 format", name=name, value=str(until)
            )
        _check_future(date, str(until), name=name, now=case.now)
    if hold is not None and hold not in _HOLDS:
        message = "Legal Hold must be either of 'ON' or 'OFF'"
        raise invalid_value(message, name="x-amz-object-lock-legal-hold", value=str(hold))
    locks = mode is not None or hold is not None
    if locks and not case.bucket.object_lock_enabled:
        raise invalid_request("Bucket is missing ObjectLockConfiguration")
    locks = locks or (case.bucket.object_lock_enabled and bool(case.bucket.default_lock_mode))
    if locks and case.asked.name == "PutObject":
        _check_integrity(case.request)


def _check_integrity(request: HttpRequest) -> None:
    names = {name.lower() for name, _ in request.headers}
    if not any(name in {"content-md5", "x-amz-trailer"} or name.startswith("x-amz-checksum-") for name in names):
        message = (
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        )
        raise invalid_request(message)


def _check_delete(case: _Case) -> None:
    """A version goes when its lock lets it; without one, what is put on top is a marker.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html#object-lock-managing-delete-markers
    """
    held = case.object
    if "VersionId" not in case.asked.parameters or not hasattr(held, "lock_mode"):
        return
    until = _date(held.lock_until)
    retained = until is not None and until > case.now
    kept = held.lock_mode == "COMPLIANCE" or (held.lock_mode == "GOVERNANCE" and not case.bypasses)
    if held.lock_legal_status == "ON" or (retained and kept):
        raise _protected()


# --- words ------------------------------------------------------------------------------------------------------------


def _check_future(date: datetime, text: str, *, name: str, now: datetime) -> None:
    if date <= now:
        raise invalid_value("The retain until date must be in the future!", name=name, value=text)


def _date(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _texts(parent: ET.Element) -> dict[str, str]:
    return {name: text.strip() for name, text in texts(parent).items()}


def _protected() -> Refused:
    return Refused("AccessDenied", status=403, message="Access Denied because object protected by object lock.")


def _unlocked() -> Refused:
    message = "The specified object does not have a ObjectLock configuration"
    return Refused("NoSuchObjectLockConfiguration", status=404, message=message)


def _state(message: str) -> Refused:
    return Refused("InvalidBucketState", status=409, message=message)


_NONE: Final = element(b"<None/>")
_CHECKS: Final[Mapping[str, Callable[[_Case], None]]] = {
    "PutObjectLockConfiguration": _check_configuration,
    "PutBucketVersioning": _check_versioning,
    "PutObjectRetention": _check_retention,
    "PutObjectLegalHold": _check_hold,
    "GetObjectRetention": _check_lockable,
    "GetObjectLegalHold": _check_lockable,
    "DeleteObject": _check_delete,
    **dict.fromkeys(sorted(CREATIONS), _check_write),
}
_ANSWERS: Final[Mapping[str, Callable[[_Case], HttpResponse]]] = {
    "GetObjectLockConfiguration": _configuration,
    "GetObjectRetention": _retention,
    "GetObjectLegalHold": _hold,
    "PutObjectRetention": _put_retention,
    "PutObjectLegalHold": _put_hold,
}
