"""A request that the lab refuses as AWS would: code, status, message and the extra elements of the error."""

from __future__ import annotations

from pytest_s3vpce.errors import LabError


class Refused(LabError):  # noqa: N818 - what happened, as in "the request was refused"
    """Not a fault of the lab: the front turns it into the service's own error document."""

    def __init__(
        self,
        code: str,
        *,
        status: int,
        message: str,
        details: tuple[tuple[str, str], ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status
        self.message = message
        self.details = details
        self.headers = headers


def not_served(service: str, operation: str = "") -> Refused:
    """The answer to what the lab has not."""
    named = f"{service}: {operation}" if operation else service
    return Refused("NotImplemented", status=501, message=f"The lab has no such operation of {named}.")
