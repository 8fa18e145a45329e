"""The errors of CloudFormation's API, and what made a resource fail.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab.refused import Refused


def invalid(message: str) -> Refused:
    return Refused("ValidationError", status=400, message=message)


class Failed(LabError):  # noqa: N818 - what happened, as in "the resource failed"
    """A resource can't be made, changed or removed; the stack says why."""
