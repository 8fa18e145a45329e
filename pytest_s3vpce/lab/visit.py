"""A request whose signature is good, on its way through the lab: who sent it, by which path and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab.signatures import Verified

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.refused import Refused
    from pytest_s3vpce.lab.signatures import Anonymous
    from pytest_s3vpce.lab.wire import HttpRequest
    from pytest_s3vpce.network.path import Path
    from pytest_s3vpce.policy import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What every service is told of a request."""

    request: HttpRequest
    caller: Caller
    verified: Verified | Anonymous
    path: Path
    now: datetime
    note: dict[str, Any] = field(repr=False)
    """What the request log says of it, which grows on the way."""
    wrong: Refused | None = None
    """What is told of its body once policies were asked."""

    @property
    def region(self) -> str:
        """The Region that it was signed for; empty where none was."""
        return self.verified.region if isinstance(self.verified, Verified) else ""

    @property
    def account(self) -> str:
        """The caller's; empty for nobody."""
        return self.caller.account or ""

    @property
    def partition(self) -> str:
        return self.caller.arn.split(":", 2)[1]

    def check_body(self) -> None:
        """Raises what is wrong with the body, if anything is."""
        if self.wrong is not None:
            raise self.wrong

    def decided(self, action: str, decision: Decision) -> None:
        """Note what became of an action."""
        self.note.update(action=action, decision=decision.effect.value, layer=decision.layer, reason=decision.reason)

    def keys(self, *, region: str | None = None) -> dict[str, Any]:
        """The condition keys of any service's request: from its path, its transport and its headers.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        """
        request = self.request
        keys: dict[str, Any] = {
            **self.path.context(),
            "aws:SecureTransport": "true" if request.scheme == "https" else "false",
            **_via_keys(request.via),
            "aws:RequestedRegion": self.region if region is None else region,
            "aws:CurrentTime": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:EpochTime": str(int(self.now.timestamp())),
        }
        for key, header in (("aws:UserAgent", "user-agent"), ("aws:Referer", "referer")):
            value = request.header(header)
            if value is not None:
                keys[key] = value
        return keys


def _via_keys(via: str | None) -> dict[str, Any]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-calledvia"""
    if via is None:
        return {"aws:ViaAWSService": "false"}
    return {
        "aws:ViaAWSService": "true",
        "aws:CalledVia": (via,),
        "aws:CalledViaFirst": via,
        "aws:CalledViaLast": via,
    }
