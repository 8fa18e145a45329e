"""Key readings: sessions whose inline policy tests one condition key, so that the answer tells what S3 saw.

A session policy is evaluated on every later request with that request's own context, and an explicit deny in it
always holds: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session. A reading is the
test of a hypothesis: only an *allowed* one says anything, and the same session without the condition must be allowed
first. That the network keys behave so in a session policy follows from the general rule; it was checked in the lab.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One statement about what S3 saw, and the session policy under which a request is allowed only if it is true."""

    says: str
    policy: str


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))


_EVERYTHING: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def _unless(says: str, condition: dict[str, Any]) -> Hypothesis:
    return Hypothesis(says, _policy(_EVERYTHING, {**_EVERYTHING, "Effect": "Deny", "Condition": condition}))


BASELINE = Hypothesis("the session itself is allowed", _policy(_EVERYTHING))
"""The session without a condition: without it a refusal might be the session's own."""


@dataclass(frozen=True, slots=True)
class NetworkKey:
    """A condition key that tells where a request came from, with the operators that compare it, and its words.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """

    name: str
    word: str
    differs: str
    equals: str

    def exactly(self, value: str) -> Hypothesis:
        """S3 saw this and no other (an absent key differs from everything)."""
        return _unless(f"S3 saw {self.word} {value}", {self.differs: {self.name: value}})

    def none_of(self, values: Sequence[str]) -> Hypothesis:
        """S3 saw none of these; another one, or none at all, would do."""
        named = sorted(values)
        return _unless(f"S3 saw none of {', '.join(named)}", {self.equals: {self.name: named}})


ENDPOINT = NetworkKey("aws:SourceVpce", "endpoint", "StringNotEquals", "StringEquals")
VPC = NetworkKey("aws:SourceVpc", "VPC", "StringNotEquals", "StringEquals")
ADDRESS = NetworkKey("aws:SourceIp", "an address in", "NotIpAddress", "IpAddress")
"""Absent where a request came by an endpoint: then it lies in no network."""

NO_ENDPOINT = _unless("S3 saw no endpoint", {"Null": {"aws:SourceVpce": "false"}})
"""The key is absent: the request came by no VPC endpoint."""


def tagged(tag: str, value: str) -> Hypothesis:
    """S3 saw this tag both of the caller's session and of the object.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html
    """
    denies = (
        {**_EVERYTHING, "Effect": "Deny", "Condition": {"StringNotEquals": {f"{key}/{tag}": value}}}
        for key in ("aws:PrincipalTag", "s3:ExistingObjectTag")
    )
    return Hypothesis(f"S3 saw the tag {tag} {value} twice", _policy(_EVERYTHING, *denies))


def tls(version: str) -> Hypothesis:
    """S3 spoke just this version; over plain http the key is absent, and differs from everything.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html (s3:TlsVersion)
    """
    return _unless(f"S3 saw TLS {version}", {"NumericNotEquals": {"s3:TlsVersion": version}})


IMPOSSIBLE = ENDPOINT.exactly("vpce-that-does-not-exist")
"""Never true. Where it is allowed all the same, session policies are not honoured and no reading says anything."""


def limited(statements: Iterable[tuple[str, str]]) -> str:
    """A session policy that allows just these (action, resource ARN) pairs: for requests that cross plain http."""
    by_resource: dict[str, list[str]] = {}
    for action, resource in sorted(set(statements)):
        by_resource.setdefault(resource, []).append(action)
    return _policy(
        *({"Effect": "Allow", "Action": actions, "Resource": resource} for resource, actions in by_resource.items())
    )


def plain_http(action: str, resource: str, *, way: Hypothesis | None = None) -> Hypothesis:
    """S3 saw the request over plain http, by that way if one is given, with a session that allows nothing else.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html (aws:SecureTransport)
    """
    allow = {"Effect": "Allow", "Action": action, "Resource": resource}
    deny = {**_EVERYTHING, "Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}
    also = [row for row in json.loads(way.policy)["Statement"] if row["Effect"] == "Deny"] if way else []
    return Hypothesis("S3 saw plain http", _policy(allow, deny, *also))
