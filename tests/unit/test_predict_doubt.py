"""Decisions in doubt, against every value that the key in doubt may have: what is decided holds for each of them."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from pytest_s3vpce.policy import Policies, Request, decide, parse
from pytest_s3vpce.predict.doubt import Doubt, decide_in_doubt

SETS = 20_000 if os.environ.get("S3VPCE_SOAK") else 600
OWNER, OTHER = "111122223333", "444455556666"
BUCKET = "arn:aws:s3:::reports"
CALLERS = (
    f"arn:aws:sts::{OWNER}:assumed-role/app/s",
    f"arn:aws:iam::{OWNER}:user/ann",
    f"arn:aws:sts::{OTHER}:assumed-role/partner/s",
    "anonymous",
)
VALUES: tuple[dict[str, str], ...] = ({}, {"aws:SourceIp": "10.0.0.1"}, {"aws:SourceIp": "203.0.113.9"})
KEY = "aws:Ec2InstanceSourcePrivateIPv4"
DOUBT = Doubt(keys=frozenset({"aws:sourceip"}))
CONDITIONS: tuple[Any, ...] = (
    None,
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "203.0.113.0/24"]}},
    {"NotIpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}},
    {"Null": {"aws:SourceIp": "true"}},
    {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}, "Bool": {"aws:SecureTransport": "true"}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"StringLike": {"aws:SourceIp": "10.*"}},
    {"StringNotEquals": {"aws:Ec2InstanceSourcePrivateIPv4": "${aws:SourceIp}"}},
)


def _statement(chooser: random.Random, *, principals: bool, allows: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "Effect": "Allow" if chooser.random() < allows else "Deny",
        "Action": chooser.choice(("s3:*", "s3:Get*", "s3:PutObject")),
        "Resource": chooser.choice((f"{BUCKET}/*", BUCKET, f"{BUCKET}/${{aws:SourceIp}}/*", "*")),
    }
    if principals:
        row["Principal"] = chooser.choice(("*", {"AWS": OWNER}, {"AWS": OTHER}))
    condition = chooser.choice(CONDITIONS)
    return row if condition is None else {**row, "Condition": condition}


def _document(chooser: random.Random, *, principals: bool = False, allows: float = 0.7) -> Any:
    rows = [_statement(chooser, principals=principals, allows=allows) for _ in range(chooser.randint(1, 3))]
    return parse({"Version": "2012-10-17", "Statement": rows})


def _policies(chooser: random.Random) -> Policies:
    maybe = chooser.random
    return Policies(
        identity=(_document(chooser),),
        permissions_boundary=(_document(chooser, allows=0.9),) if maybe() < 0.3 else None,
        session=(_document(chooser, allows=0.9),) if maybe() < 0.2 else None,
        resource=_document(chooser, principals=True, allows=0.5) if maybe() < 0.8 else None,
        vpc_endpoint=_document(chooser, principals=True, allows=0.9) if maybe() < 0.3 else None,
        scps=((_document(chooser, allows=0.9),),) if maybe() < 0.3 else (),
        restrict_public_buckets=maybe() < 0.4,
    )


def test_what_is_decided_holds_for_every_value() -> None:
    chooser = random.Random(int(os.environ.get("S3VPCE_SEED", "5")))
    decided = undecided = needless = 0
    for _ in range(SETS):
        policies, caller = _policies(chooser), chooser.choice(CALLERS)
        action = chooser.choice(("s3:GetObject", "s3:PutObject"))
        key = chooser.choice(("k", "10.0.0.1/k"))

        def request(values: dict[str, str], *, caller: str = caller, action: str = action, key: str = key) -> Request:
            return Request(
                action=action,
                resource=f"{BUCKET}/{key}",
                resource_account=OWNER,
                principal=caller,
                context={"aws:SecureTransport": "true", **values},
            )

        found = decide_in_doubt(request({}), policies, DOUBT)
        truths = {decide(request(values), policies).allowed for values in VALUES}
        if found.decision.effect.value == "unknown":
            assert found.missing == ("aws:sourceip",)
            undecided += 1
            needless += len(truths) == 1
        else:
            decided += 1
            assert truths == {found.decision.allowed}
    assert decided > SETS / 3
    assert undecided > SETS / 20
    assert needless < undecided * 0.7


@pytest.mark.parametrize(("carried", "effect"), [({}, "explicit_deny"), ({KEY: "10.0.0.1"}, "unknown")])
def test_a_variable_in_doubt_matters_only_where_its_key_is_there(carried: dict[str, str], effect: str) -> None:
    """As AWS recommends it for instances' credentials, which functions don't have."""
    row = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {KEY: "${aws:SourceIp}"}}}
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policies = Policies(identity=(parse({"Version": "2012-10-17", "Statement": [allow, row]}),))
    request = Request(
        action="s3:GetObject", resource=f"{BUCKET}/k", resource_account=OWNER, principal=CALLERS[0], context=carried
    )
    assert decide_in_doubt(request, policies, DOUBT).decision.effect.value == effect
