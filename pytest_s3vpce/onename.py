"""S3 Control by one name: its clients put the account's id before the Region's host, and a lab has one host for all."""

from __future__ import annotations

import re
from typing import Any, Final

from botocore.config import Config

UNPREFIXED: Final = Config(inject_host_prefix=False)
"""For one address that stands for all hosts: an account's id in front of it would be another name."""
_EVENT: Final = "before-call.s3-control"
_PREFIXED: Final = re.compile(r"(https?://)[0-9]{12}\.")


def keep_to_one_name(events: Any) -> None:
    """Has clients of these events, a session's or a client's own, ask S3 Control at their endpoint as it is."""
    events.register(_EVENT, _without_account)


def _without_account(params: dict[str, Any], **_: Any) -> None:
    """The account's id is in a header besides: https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_CreateAccessPoint.html"""
    params["url"] = _PREFIXED.sub(r"\1", params["url"])
