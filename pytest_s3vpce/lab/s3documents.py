"""Settings of buckets that the state behind does not know: kept as they were put, given back as they are.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3answers import answered, of_document
from pytest_s3vpce.lab.s3forms import element
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import DECLARATION, S3, document, elements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

KINDS: Final[Mapping[str, str]] = {
    "Analytics": "ListBucketAnalyticsConfigurationResult",
    "IntelligentTiering": "ListBucketIntelligentTieringConfigurationsOutput",
    "Inventory": "ListInventoryConfigurationsResult",
    "Metrics": "ListMetricsConfigurationsResult",
}
_PAYER: Final = document("RequestPaymentConfiguration", elements(Payer="BucketOwner")).decode()


def answer(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> HttpResponse | None:
    """The answer of an operation on such a setting; None for all others."""
    name = asked.name
    home = state.stored(bucket.name)
    if name in {"GetBucketRequestPayment", "PutBucketRequestPayment"}:
        return _payment(home, request, name)
    if name == "GetBucketLogging":
        return _logging(home)
    kind = next((kind for kind in KINDS if name in _names(kind)), None)
    return None if kind is None else _configuration(home, request, asked, kind)


def _names(kind: str) -> tuple[str, ...]:
    verbs = ("Get", "Put", "Delete")
    return (*(f"{verb}Bucket{kind}Configuration" for verb in verbs), f"ListBucket{kind}Configurations")


def _kept(home: Any) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = home.__dict__.setdefault("s3vpce_documents", {})
    return found


def _payment(home: Any, request: HttpRequest, name: str) -> HttpResponse:
    if name.startswith("Put"):
        _kept(home)["payment", ""] = request.body.decode("utf-8", "replace")
        return HttpResponse(status=200)
    return _given_back(_kept(home).get(("payment", ""), _PAYER))


def _logging(home: Any) -> HttpResponse | None:
    """Where logs get keys by date, which the state behind keeps and does not tell; None for all else.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_TargetObjectKeyFormat.html
    """
    settings = home.logging or {}
    form = settings.get("TargetObjectKeyFormat")
    if not form or settings.get("TargetGrants"):
        return None
    source = (form.get("PartitionedPrefix") or {}).get("PartitionDateSource")
    dated = elements(PartitionDateSource=source) if source else ""
    name = "PartitionedPrefix" if "PartitionedPrefix" in form else "SimplePrefix"
    parts = elements(**{each: settings.get(each) or "" for each in ("TargetBucket", "TargetPrefix")})
    parts += f"<TargetObjectKeyFormat><{name}>{dated}</{name}></TargetObjectKeyFormat>"
    return answered("BucketLoggingStatus", f"<LoggingEnabled>{parts}</LoggingEnabled>")


def requester_pays(state: State, bucket: str) -> bool:
    """Whether the bucket has whoever asks for something pay for it."""
    return "<Payer>Requester</Payer>" in _kept(state.stored(bucket)).get(("payment", ""), "")


def _configuration(home: Any, request: HttpRequest, asked: S3Request, kind: str) -> HttpResponse:
    kept, at = _kept(home), (kind, str(asked.parameters.get("Id", "")))
    if asked.name.startswith("List"):
        rows = "".join(_bare(text) for (found, _), text in sorted(kept.items()) if found == kind)
        return answered(KINDS[kind], f"<IsTruncated>false</IsTruncated>{rows}")
    if asked.name.startswith("Put"):
        kept[at] = request.body.decode("utf-8", "replace")
        return HttpResponse(status=200)
    _require(at, kept)
    if asked.name.startswith("Delete"):
        del kept[at]
        return HttpResponse(status=204)
    return _given_back(kept[at])


def check_there(state: State, asked: S3Request, bucket: BucketState) -> None:
    """Refuses a configuration that nobody has put."""
    kind = next(kind for kind in KINDS if asked.name in _names(kind))
    _require((kind, str(asked.parameters.get("Id", ""))), _kept(state.stored(bucket.name)))


def _require(at: tuple[str, str], kept: Mapping[tuple[str, str], str]) -> None:
    if at not in kept:
        raise Refused("NoSuchConfiguration", status=404, message="The specified configuration does not exist.")


def _bare(text: str) -> str:
    """The document as part of another one."""
    ET.register_namespace("", S3)
    return ET.tostring(element(text.encode()), encoding="unicode")


def _given_back(text: str) -> HttpResponse:
    return of_document((text if text.startswith("<?xml") else f"{DECLARATION}{text}").encode())
