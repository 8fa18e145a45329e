"""The operation catalogue: which IAM actions an S3 operation needs, and how to probe it without changing anything.

One table, read two ways: `probe.py` turns a cell into a request by it, the lab's gateway turns a request into the
(action, resource, context) checks that AWS makes. Actions and resources follow
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html, condition keys follow
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html.
"""

from pytest_s3vpce.operations.catalogue import OPERATIONS, Check, checks, context, default_operation, operation
from pytest_s3vpce.operations.rows import (
    BOGUS_ETAG,
    BOGUS_UPLOAD_ID,
    BOGUS_VERSION_ID,
    Fill,
    Form,
    Operation,
    Requirement,
    Resource,
    Trace,
)

__all__ = [
    "BOGUS_ETAG",
    "BOGUS_UPLOAD_ID",
    "BOGUS_VERSION_ID",
    "OPERATIONS",
    "Check",
    "Fill",
    "Form",
    "Operation",
    "Requirement",
    "Resource",
    "Trace",
    "checks",
    "context",
    "default_operation",
    "operation",
]
