"""What AWS does not document, in one place, so that a live finding can flip it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EMPTY_LIST_IS_ABSENT: Final = True
"""Whether a condition key with no values counts as absent."""

UNNAMED_ENDPOINT_IS_GATEWAY: Final = False
"""Whether an account in an endpoint policy names its root user only, as on gateway endpoints, where a request does not
say what type of endpoint it passed. Without that rule the policy is decided by its literal meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What `s3vpce calibrate` tries out; each as it is taken for true until then."""

    wildcards_in_variables: bool = True
    """Whether `*` and `?` in the value of a policy variable are wildcards under the Like operators."""
    lone_star_is_every_arn: bool = True
    """Whether the ARN operators match any ARN by the value `*`, which has not the six parts of an ARN."""
    root_delegates: bool = True
    """Whether an Allow to the account's root, in the same account, needs an identity policy's allow as well.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
    everybody_passes: frozenset[str] = frozenset({"permissions_boundary", "session"})
    """The layers that do not limit an Allow to everybody, in the same account, where they allow nothing."""
    fixed_keys: frozenset[str] = frozenset()
    """Condition keys, in lower case, by which Block Public Access takes a policy for a restricted one, besides those
    that are documented."""

    ownerless: frozenset[str] = frozenset()
    """Actions, in lower case, whose requests carry no aws:ResourceAccount."""


USUAL: Final = Doubts()
"""What is taken for true without a calibration."""
