"""The inventory's `evidence`: where trails, access logs and flow logs write, and how long they are waited for."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from pytest_s3vpce import forms
from pytest_s3vpce.schema import Region, Seconds, Strict, Text, exactly_one, one_of

WAIT: Final = 900
"""Seconds: CloudTrail delivers within 15 minutes, mostly within 5, and promises neither.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html"""
_BucketName = Annotated[str, AfterValidator(forms.BUCKET)]


class EvidenceSource(Strict):
    """One log: a trail's log group or bucket, a bucket of server access logs, or a log group of flow logs."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": one_of("log_group", "trail_bucket", "access_logs", "flow_logs")}
    )

    log_group: Text | None = None
    trail_bucket: _BucketName | None = None
    access_logs: _BucketName | None = None
    flow_logs: Text | None = None
    prefix: Text | None = None
    """Of the log files' keys in a bucket, as the trail or the bucket's logging names it."""
    organization: Text | None = None
    """Of an organization's trail: its id, under which the accounts' files are."""
    account: Text | None = None
    """Whose log it is, and whose runner reads it."""
    region: Region | None = None
    wait: Seconds = Field(default=WAIT)
    """How long records are waited for after the run's last request."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        named = {name: getattr(self, name) for name in ("log_group", "trail_bucket", "access_logs", "flow_logs")}
        exactly_one(named)
        return self

    @model_validator(mode="after")
    def _has_files(self) -> Self:
        exclusive = {"prefix": self.trail_bucket or self.access_logs, "organization": self.trail_bucket}
        for name, wanted in exclusive.items():
            if getattr(self, name) is not None and wanted is None:
                from pytest_s3vpce.faults import KeyFault

                raise KeyFault(f"`{name}` is for log files in a bucket", path=(name,), remedy="leave it out")
        return self

    @property
    def kind(self) -> str:
        """The key that says what it is."""
        named = ("log_group", "trail_bucket", "access_logs", "flow_logs")
        return next(name for name in named if getattr(self, name) is not None)

    @property
    def name(self) -> str:
        """The group's or bucket's name."""
        return str(getattr(self, self.kind))
