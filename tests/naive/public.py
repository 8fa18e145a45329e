"""The Block Public Access test: whether a bucket policy is public."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from tests.naive.patterns import listed, text_of
from tests.naive.statements import entries

if TYPE_CHECKING:
    from tests.naive.patterns import Json

FIXED_KEYS = {
    "aws:principalorgid", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount",
    "s3:x-amz-server-side-encryption-aws-kms-key-id", "aws:userid", "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
}  # fmt: skip
FIXING = ("stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike")


def is_public(policy: Json, *, point: bool = False) -> bool:
    """`point`: an access point's own policy, where a wildcard in its name makes it public."""
    allows = [statement for statement in listed(policy["Statement"]) if statement["Effect"] == "Allow"]
    return not all(is_fixed(statement, point=point) for statement in allows)


def is_fixed(statement: Json, *, point: bool) -> bool:
    """Whether a statement grants to fixed principals only, or under a condition with fixed values only."""
    if "Principal" in statement and all("*" not in value for _, value in entries(statement["Principal"])):
        return True
    return any(
        fixes(name.lower(), key.lower(), [text_of(value) for value in listed(values)], point=point)
        for name, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def fixes(operator: str, key: str, values: list[str], *, point: bool) -> bool:
    bare = operator.removeprefix("foranyvalue:")
    if key == "aws:sourceip":
        return bare == "ipaddress" and all(narrow(value) for value in values)
    if key not in FIXED_KEYS or bare not in FIXING:
        return False
    if key == "s3:dataaccesspointarn" and not point:  # the access point's name may be a wildcard, its account may not
        values = [":".join(value.split(":", 5)[:5]) for value in values]
    return not any(re.search(r"[*?]|\$\{", value) for value in values)


def narrow(cidr: str) -> bool:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    if isinstance(network, ipaddress.IPv4Network):
        inside = any(network.subnet_of(ipaddress.IPv4Network(block)) for block in private)
        return network.prefixlen >= 8 and not inside
    return network.prefixlen >= 32
