"""The condition keys by which requests that take different ways differ.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-network-properties
"""

from __future__ import annotations

from typing import Final

SOURCE_IP: Final = "aws:sourceip"
ENDPOINT: Final = "aws:sourcevpce"
PRIVATE_IP: Final = "aws:vpcsourceip"
NETWORK_KEYS: Final = frozenset(
    {
        SOURCE_IP,
        PRIVATE_IP,
        "aws:sourcevpc",
        "aws:sourcevpcarn",
        ENDPOINT,
        "aws:vpceaccount",
        "aws:vpceorgid",
        "aws:vpceorgpaths",
    }
)
TRANSPORT_KEYS: Final = frozenset({"aws:securetransport", "s3:tlsversion"})
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html"""
