"""Refusals that several rooms give in S3's words.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from pytest_s3vpce.lab.refused import Refused


def no_bucket(name: str) -> Refused:
    message, details = "The specified bucket does not exist", (("BucketName", name),)
    return Refused("NoSuchBucket", status=404, message=message, details=details)


def not_allowed(*, headers: tuple[tuple[str, str], ...] = ()) -> Refused:
    message = "The specified method is not allowed against this resource."
    return Refused("MethodNotAllowed", status=405, message=message, headers=headers)


def invalid_request(message: str) -> Refused:
    return Refused("InvalidRequest", status=400, message=message)


def invalid_argument(message: str, *details: tuple[str, str]) -> Refused:
    return Refused("InvalidArgument", status=400, message=message, details=details)


def invalid_value(message: str, *, name: str, value: str) -> Refused:
    """Of an argument that is named."""
    return invalid_argument(message, ("ArgumentName", name), ("ArgumentValue", value))
