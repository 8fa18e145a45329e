"""How AWS decides an S3 request: documents in, one decision out. Pure, and of the standard library alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.policy.acl import Acl, AclGrant, parse_acl
from pytest_s3vpce.policy.asked import Request
from pytest_s3vpce.policy.decision import Decision, Effect, decide
from pytest_s3vpce.policy.documents import Document, Statement, parse
from pytest_s3vpce.policy.layers import UNKNOWN, Policies, Unknown
from pytest_s3vpce.policy.lint import Finding, lint

if TYPE_CHECKING:
    from pytest_s3vpce.policy.asking import read_document, read_request
    from pytest_s3vpce.policy.axes import Bucket, Check, Operation, Principal, Vantage
    from pytest_s3vpce.policy.explanation import Explanation
    from pytest_s3vpce.policy.matrix import DecidedMatrix, Ruling, decide_matrix
    from pytest_s3vpce.policy.requests import answer, mapping_of, parse_request
    from pytest_s3vpce.policy.validation import validate_bucket_policy

__all__ = [
    "UNKNOWN",
    "Acl",
    "AclGrant",
    "Bucket",
    "Check",
    "DecidedMatrix",
    "Decision",
    "Document",
    "Effect",
    "Explanation",
    "Finding",
    "Operation",
    "Policies",
    "Principal",
    "Request",
    "Ruling",
    "Statement",
    "Unknown",
    "Vantage",
    "answer",
    "decide",
    "decide_matrix",
    "lint",
    "mapping_of",
    "parse",
    "parse_acl",
    "parse_request",
    "read_document",
    "read_request",
    "validate_bucket_policy",
]


_LATER = {
    "asking": ("read_document", "read_request"),
    "axes": ("Bucket", "Check", "Operation", "Principal", "Vantage"),
    "explanation": ("Explanation",),
    "matrix": ("DecidedMatrix", "Ruling", "decide_matrix"),
    "requests": ("answer", "mapping_of", "parse_request"),
    "validation": ("validate_bucket_policy",),
}
_MODULES = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    """What a decision does not need is loaded when it is asked for: `s3vpce decide` and the lab start sooner."""
    if name not in _MODULES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
