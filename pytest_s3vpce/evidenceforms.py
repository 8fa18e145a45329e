"""The inventory's `evidence`: where trails, access logs and flow logs write, and how long they are waited for."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from pytest_s3vpce import forms
from pytest_s3vpce.schema import Region, Seconds, Strict, Text, exactly_one, one_of

WAIT: Final = 900
"""Seconds: CloudTrail delivers within 15 minutes, mostly within 5, and promises neither.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html"""
_KINDS: Final = ("log_group", "trail_bucket", "access_logs", "flow_logs", "flow_log_bucket")
FLOW_FIELDS: Final = ("srcaddr", "dstaddr", "srcport", "dstport", "start", "end", "action")
"""The fields by which a flow is told. https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html"""
_BucketName = Annotated[str, AfterValidator(forms.BUCKET)]


class EvidenceSource(Strict):
    """One log: a trail's log group or bucket, a bucket of server access logs, or flow logs in a group or a bucket."""

    model_config = ConfigDict(json_schema_extra={"oneOf": one_of(*_KINDS)})

    log_group: Text | None = None
    trail_bucket: _BucketName | None = None
    access_logs: _BucketName | None = None
    flow_logs: Text | None = None
    flow_log_bucket: _BucketName | None = None
    prefix: Text | None = None
    """Of the log files' keys in a bucket, as the trail or the bucket's logging names it."""
    format: Text | None = None
    """Of a log group of flow logs: the names of its LogFormat's fields, where that is not the default one."""
    organization: Text | None = None
    """Of an organization's trail: its id, under which the accounts' files are."""
    account: Text | None = None
    """Whose log it is, and whose runner reads it."""
    region: Region | None = None
    wait: Seconds = Field(default=WAIT)
    """How long records are waited for after the run's last request."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        named = {name: getattr(self, name) for name in _KINDS}
        exactly_one(named)
        return self

    @model_validator(mode="after")
    def _has_files(self) -> Self:
        in_bucket = self.trail_bucket or self.access_logs or self.flow_log_bucket
        exclusive = {"prefix": in_bucket, "organization": self.trail_bucket}
        for name, wanted in exclusive.items():
            if getattr(self, name) is not None and wanted is None:
                from pytest_s3vpce.faults import KeyFault

                raise KeyFault(f"`{name}` is for log files in a bucket", path=(name,), remedy="leave it out")
        return self

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        """What a flow can't be told by is said before anything is sent."""
        if self.format is None:
            return self
        from pytest_s3vpce.faults import KeyFault

        if self.flow_logs is None:
            raise KeyFault("`format` is for a log group of flow logs", path=("format",), remedy="leave it out")
        missing = [name for name in FLOW_FIELDS if name not in self.format.split()]
        if missing:
            wanted = ", ".join(f"`{name}`" for name in missing)
            raise KeyFault(f"the format has no {wanted}", path=("format",), remedy="make a flow log that writes them")
        return self

    @property
    def kind(self) -> str:
        """The key that says what it is."""
        return next(name for name in _KINDS if getattr(self, name) is not None)

    @property
    def name(self) -> str:
        """The group's or bucket's name."""
        return str(getattr(self, self.kind))
