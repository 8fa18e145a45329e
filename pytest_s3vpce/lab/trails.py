"""Who is told of a request: trails with selectors that take its events, and the target of its bucket's access log."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab import accesslogs
from pytest_s3vpce.lab.signatures import Verified
from pytest_s3vpce.lab.traildelivery import LogTarget, Trail
from pytest_s3vpce.lab.trailrecords import Seen, api_event, network_event
from pytest_s3vpce.lab.trailselectors import takes
from pytest_s3vpce.markup import from_xml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.lab.keys import Keys
    from pytest_s3vpce.lab.signatures import Anonymous
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.traildelivery import Delivery
    from pytest_s3vpce.lab.trailrecords import Record
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_GLOBAL: Final = frozenset({"iam", "organizations", "cloudfront", "route53"})
_GLOBAL_REGION: Final = "us-east-1"
"""https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html#cloudtrail-concepts-global-service-events"""
_CODE: Final = re.compile(rb"<Code>([^<]*)</Code>|\"__type\": ?\"(?:[^\"]*#)?([^\"]*)\"")
_MESSAGE: Final = re.compile(rb"<Message>([^<]*)</Message>|\"[Mm]essage\": ?\"([^\"]*)\"")
_ERRORS: Final = 400


class Trails:
    """Sees every request of the lab; without any trail or access log it does nothing more."""

    def __init__(self, state: State, *, keys: Keys, delivery: Delivery) -> None:
        self._state = state
        self._keys = keys
        self._delivery = delivery
        self._trails: tuple[Trail, ...] = ()
        self._has_access_logs = False

    def see(
        self,
        request: HttpRequest,
        verified: Verified | Anonymous,
        *,
        note: Mapping[str, Any],
        answer: HttpResponse,
        body: bytes,
    ) -> None:
        """A request that was authentic, and its answer; `body` is the answer's before a HEAD lost it."""
        if note["service"] == "cloudtrail":
            self._trails = tuple(_trails(self._state))
        elif note["operation"] == "PutBucketLogging":
            self._has_access_logs = True
        if not self._trails and not self._has_access_logs:
            return
        if note["operation"] is None:
            return
        if note["service"] == "lambda" and note["operation"] != "Invoke":
            return  # CloudTrail calls these by other names, such as CreateFunction20150331
        seen = self._seen(request, verified, note=note, answer=answer, body=body)
        if self._trails:
            self._tell(seen)
        if self._has_access_logs and seen.service == "s3" and not seen.by_endpoint_policy:
            self._log(seen)

    def _tell(self, seen: Seen) -> None:
        if seen.endpoint_owner is not None:
            self._offer(network_event(seen))
        if not seen.by_endpoint_policy:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging.html
            for account in seen.accounts:
                self._offer(api_event(seen, account=account))

    def _offer(self, record: Record) -> None:
        for trail in self._trails:
            if self._is_for(trail, record) and takes(record, basic=trail.basic, advanced=trail.advanced):
                self._delivery.event(trail, record)

    def _is_for(self, trail: Trail, record: Record) -> bool:
        if not trail.is_everywhere and record["awsRegion"] != trail.region:
            return False
        account = record["recipientAccountId"]
        if account == trail.account or trail.organization is None:
            return bool(account == trail.account)
        member = self._state.membership(account)
        return member is not None and member.organization == trail.organization

    def _log(self, seen: Seen) -> None:
        home = self._state.stored(seen.bucket) if seen.bucket else None
        settings = getattr(home, "logging", None) or {}
        if settings:
            prefix = settings.get("TargetPrefix") or ""
            dated = "PartitionedPrefix" in (settings.get("TargetObjectKeyFormat") or {})
            target = LogTarget(
                source=seen.bucket or "", bucket=settings["TargetBucket"], prefix=prefix, is_partitioned=dated
            )
            self._delivery.line(target, accesslogs.line(seen))

    def _seen(
        self,
        request: HttpRequest,
        verified: Verified | Anonymous,
        *,
        note: Mapping[str, Any],
        answer: HttpResponse,
        body: bytes,
    ) -> Seen:
        headers = {name.lower(): value for name, value in answer.headers}
        home = self._state.bucket(note["bucket"]) if note.get("bucket") else None
        failed = answer.status >= _ERRORS
        code = note.get("code") or (_found(_CODE, body) if failed else None)
        refused = failed and note.get("layer") == "vpc_endpoint" and str(note.get("decision")).endswith("deny")
        return Seen(
            at=datetime.fromisoformat(note["at"]),
            request=request,
            caller=self._keys.caller(verified),
            service=note["service"],
            region=home.region if home else _region(note["service"], verified),
            operation=note["operation"],
            status=answer.status,
            address=note.get("address"),
            request_id=headers.get("x-amz-request-id") or headers.get("x-amzn-requestid", ""),
            host_id=headers.get("x-amz-id-2", ""),
            **(_signed(verified) if isinstance(verified, Verified) else {}),
            bucket=note.get("bucket"),
            bucket_owner=home.account if home else None,
            key=note.get("key"),
            endpoint=note.get("endpoint"),
            endpoint_owner=note.get("endpoint_account"),
            by_endpoint_policy=refused,
            by_acl=not failed and note.get("layer") == "acl",
            code=code or (f"{answer.status}" if failed else None),
            message=(_found(_MESSAGE, body) or "") if failed else "",
            sent=len(answer.body),
            encryption=headers.get("x-amz-server-side-encryption"),
        )


def _signed(verified: Verified) -> dict[str, Any]:
    return {
        "access_key_id": verified.access_key_id,
        "auth_type": verified.auth_type,
        "signature_version": verified.signature_version,
    }


def _region(service: str, verified: Verified | Anonymous) -> str:
    signed = verified.region if isinstance(verified, Verified) else ""
    return _GLOBAL_REGION if service in _GLOBAL or not signed else signed


def _found(pattern: re.Pattern[bytes], body: bytes) -> str | None:
    match = pattern.search(body)
    if match is None:
        return None
    text = next(group for group in match.groups() if group is not None)
    return from_xml(text.decode("utf-8", "replace"))


def _trails(state: State) -> Iterator[Trail]:
    """All that log now, of all accounts."""
    for account, regions in list(state.backends("cloudtrail").items()):
        for backend in list(regions.values()):
            for found in list(backend.trails.values()):
                if found.status.is_logging:
                    yield _trail(state, found, account=account)


def _trail(state: State, found: Any, *, account: str) -> Trail:
    member = state.membership(account) if found.is_org_trail else None
    group = found.cw_log_group_arn
    return Trail(
        name=found.trail_name,
        account=account,
        region=found.region_name,
        bucket=found.bucket_name,
        prefix=found.s3_key_prefix or "",
        log_group=group.partition(":log-group:")[2].removesuffix(":*") if group else None,
        is_everywhere=bool(found.is_multi_region),
        organization=None if member is None else member.organization,
        basic=tuple(found.event_selectors or ()),
        advanced=tuple(found.advanced_event_selectors or ()),
    )
