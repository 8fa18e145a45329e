"""How AWS decides an S3 request: documents in, one decision out. Pure, and of the standard library alone."""

from __future__ import annotations

from pytest_s3vpce.policy.decision import UNKNOWN, Decision, Effect, Policies, Request, Unknown, decide
from pytest_s3vpce.policy.documents import Document, Statement, parse

__all__ = [
    "UNKNOWN",
    "Decision",
    "Document",
    "Effect",
    "Policies",
    "Request",
    "Statement",
    "Unknown",
    "decide",
    "parse",
]
