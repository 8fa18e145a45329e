"""Calls that name what was made in IAM a moment ago: made again until the service that takes it knows of it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.vantage.control import FAULTS, code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRIES: Final = 30
_PAUSE: Final = 2.0
SECONDS: Final = round((TRIES - 1) * _PAUSE)
"""How long something may not be known before it is taken for wrong."""
_UNKNOWN: Final[Mapping[str, re.Pattern[str]]] = {
    # Lambda of a role, https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html
    "InvalidParameterValueException": re.compile(
        r"role.*(cannot be assumed|does not have permissions)", re.IGNORECASE | re.DOTALL
    ),
    # EC2 of an instance profile, or of the role in it, in no documentation of AWS's:
    # https://github.com/aws/aws-sdk-js-v3/issues/5253, https://github.com/hashicorp/terraform/issues/4306
    "InvalidParameterValue": re.compile(
        r"invalid iam instance profile|instance ?profile.*has no associated iam roles", re.IGNORECASE | re.DOTALL
    ),
}


def is_unknown(error: Exception) -> bool:
    """Whether a service says that it does not know what may have been made a moment ago."""
    pattern = _UNKNOWN.get(code_of(error))
    return pattern is not None and pattern.search(str(error)) is not None


def when_known(
    call: Callable[[], dict[str, Any]],
    *,
    what: str,
    tries: int = TRIES,
    notify: Callable[[str], None],
    pause: Callable[[float], None],
) -> dict[str, Any]:
    """What the call answers, made again and again while what it names is not known everywhere yet.

    What `pause` raises goes through: nothing was made then, as the service has just said no.
    """
    while True:
        tries -= 1
        try:
            return call()
        except FAULTS as error:
            if not tries or not is_unknown(error):
                raise
        notify(f"waiting for {what} to become usable")
        pause(_PAUSE)
