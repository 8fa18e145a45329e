"""What is asked from inside of a VPC: http by endpoints, what their policies say, endpoints of other Regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import NOT_RUN, Finding
from pytest_s3vpce.model import OutcomeKind, Transport
from pytest_s3vpce.run.calibrating.asking import NAMED, Question, allow, deny
from pytest_s3vpce.run.calibrating.measuring import denied, measured, seconds_until
from pytest_s3vpce.run.calibrating.policies import said
from pytest_s3vpce.run.calibrating.reading import boolean, equals, read
from pytest_s3vpce.run.calibrating.scratch import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.probe import Host
    from pytest_s3vpce.run.calibrating.asking import Asker

_READ: Final = Question(operation="GetObject")
_GATEWAY: Final = "gateway"
_ALWAYS: Final = ("s3:GetObject", "s3:GetObjectTagging", "s3:ListBucket")
_MARKERS: Final = {
    "s3:GetBucketVersioning": "GetBucketVersioning",
    "s3:GetBucketRequestPayment": "GetBucketRequestPayment",
    "s3:GetBucketLogging": "GetBucketLogging",
}
"""What one sample after the other lets through the endpoint."""


def gateways(asker: Asker) -> Iterator[Finding]:
    """Plain http by the gateway endpoint that leads to S3 from there, if one does."""
    kind = _way(asker)
    if kind != _GATEWAY:
        led = f"by an endpoint of type {kind}" if kind else "by none"
        why = f"{NOT_RUN}: needs --inside a subnet whose way to S3 is a gateway endpoint; this one leads there {led}"
        yield from (Finding(rule=rule, value=why) for rule in ("http/gateway", "http/gateway-transport"))
        return
    yield _by_http(asker, "http/gateway", NAMED)
    clear = Question(operation="GetObject", transport=Transport.HTTP)
    truth = {word: boolean(word) for word in ("false", "true")}
    yield read(asker, "http/gateway-transport", clear, key="aws:SecureTransport", candidates=truth)


def _way(asker: Asker) -> str:
    """The type of the endpoint that S3 saw the function come by; empty where it saw none."""
    found = asker.network.endpoints()
    refusals = [deny("s3:GetObject", {"StringEquals": {"aws:SourceVpce": name}}) for name in found]
    replies = asker.ask([_READ.by(allow("s3:*"), statement) for statement in refusals])
    kinds = [kind for kind, reply in zip(found.values(), replies, strict=True) if reply.outcome.denied]
    return next(iter(kinds), "")


def _by_http(asker: Asker, rule: str, host: Host) -> Finding:
    """Whether port 80 answers where port 443 does: its silence is S3's only where the network lets it through."""
    safe, clear = asker.ask(
        [
            Question(operation="GetObject", host=host),
            Question(operation="GetObject", host=host, transport=Transport.HTTP),
        ]
    )
    value = "answered" if clear.answered else clear.code
    if not safe.outcome.allowed:
        value = f"not reached by https: {safe.code}"
    elif clear.outcome.kind is OutcomeKind.UNREACHABLE:
        closed = asker.network.why_closed(host, near=safe.answer.local or "", account_id=asker.scratch.account_id)
        value = f"not let through: {closed}" if closed else "no answer"
    return Finding(
        rule=rule, value=value, request_ids=(*safe.request_ids, *clear.request_ids), detail=f"by http: {clear.code}"
    )


def endpoints(asker: Asker) -> Iterator[Finding]:
    """An interface endpoint of the calibration's own: http, what its policy's denials say, how fast it counts."""
    host = asker.network.make_endpoint(asker.network.region)
    _, reached = seconds_until(asker, Question(operation="GetObject", host=host))
    yield _by_http(asker, "http/interface", host)
    refused = {**deny("s3:GetObjectTagging"), "Principal": "*"}
    _let(asker, extra=refused)
    _, implicit = seconds_until(asker, Question(operation="GetObjectAcl", host=host), met=denied)
    (explicit,) = asker.ask([Question(operation="GetObjectTagging", host=host)])
    yield said("message/endpoint-explicit", explicit)
    yield said("message/endpoint-implicit", implicit)
    samples, ids = [], [*reached.request_ids]
    for action, name in _MARKERS.items():
        _let(asker, action)
        passed, reply = seconds_until(asker, Question(operation=name, host=host))
        samples.append(passed)
        ids += reply.request_ids
    yield measured("propagation/endpoint-policy", samples, ids)


def _let(asker: Asker, *actions: str, extra: dict[str, Any] | None = None) -> None:
    allowed = {**allow(*_ALWAYS, *actions), "Principal": "*"}
    asker.network.set_policy(document(allowed, *([] if extra is None else [extra])))


def other_regions(asker: Asker) -> Iterator[Finding]:
    """An interface endpoint for another Region's S3: what of it S3 sees there."""
    far = asker.far
    bucket = asker.scratch.make_bucket_in(far)
    host = asker.network.make_endpoint(far)
    question = Question(operation="GetObject", host=host, region=far, bucket=bucket)
    seconds_until(asker, question)
    regions = {"the bucket's": equals(far), "the endpoint's": equals(asker.network.region)}
    yield read(asker, "other-region/aws:RequestedRegion", question, key="aws:RequestedRegion", candidates=regions)
    for key in ("aws:SourceVpc", "aws:SourceVpce", "aws:VpceAccount"):
        yield read(asker, f"other-region/{key}", question, key=key, candidates={})
