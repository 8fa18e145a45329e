"""What logs say of a run's requests: CloudTrail, S3's server access logs, VPC flow logs."""

from __future__ import annotations

from pytest_s3vpce.evidence.seeking import Clock, with_evidence
from pytest_s3vpce.evidence.sources import KINDS, Source

__all__ = ["KINDS", "Clock", "Source", "with_evidence"]
