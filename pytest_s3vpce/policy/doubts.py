"""What AWS does not document, one constant each, so that a live finding can flip it in one place."""

from __future__ import annotations

from typing import Final

SUBSTITUTED_WILDCARDS_IN_LIKE: Final = True
"""Whether `*` and `?` in the value of a policy variable are wildcards under the Like operators."""

ROOT_GRANT_NEEDS_IDENTITY: Final = True
"""Whether an Allow to the account's root, in the same account, needs an identity policy's allow as well: it delegates.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""

EMPTY_LIST_IS_ABSENT: Final = True
"""Whether a condition key with no values counts as absent."""

UNNAMED_ENDPOINT_IS_GATEWAY: Final = False
"""Whether an account in an endpoint policy names its root user only, as on gateway endpoints, where a request does not
say what type of endpoint it passed. Without that rule the policy is decided by its literal meaning."""

LONE_STAR_IS_EVERY_ARN: Final = True
"""Whether the ARN operators match any ARN by the value `*`, which has not the six parts of an ARN."""
