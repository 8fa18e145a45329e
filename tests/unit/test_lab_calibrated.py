"""The lab as a calibration found AWS: what no experiment of two accounts shows yet, and late policies."""

from __future__ import annotations

from pytest_s3vpce.calibration import NONE, Calibration, Finding
from pytest_s3vpce.lab.denials import s3_denial
from pytest_s3vpce.lab.judge import Relation
from pytest_s3vpce.lab.keys import Caller
from pytest_s3vpce.lab.lateness import Lateness
from pytest_s3vpce.policy import Policies, Request, decide, parse

ACROSS = "message/endpoint-across-accounts"
SLOW = "propagation/bucket-policy"


def found(rule: str, value: str) -> Calibration:
    return Calibration(findings={rule: Finding(rule=rule, value=value)})


def test_an_endpoint_policys_denial_across_accounts_is_told_where_it_was_found_to_be() -> None:
    arn = "arn:aws:sts::111122223333:assumed-role/app/me"
    everything = {"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": "*"}]}
    request = Request(action="s3:GetObject", resource="arn:aws:s3:::b/k", resource_account="4" * 12, principal=arn)
    decision = decide(request, Policies(vpc_endpoint=parse(everything, name="vpce-1")))
    caller = Caller(arn=arn, account="111122223333")

    def message(calibration: Calibration) -> str:
        refused = s3_denial(
            decision,
            caller=caller,
            action=request.action,
            resource=request.resource,
            relation=Relation.ORGANIZATION,
            calibration=calibration,
        )
        return refused.message

    assert message(NONE) == "Access Denied"
    assert message(found(ACROSS, "vpc_endpoint explicit")).endswith("with an explicit deny in a VPC endpoint policy")


def test_a_change_counts_after_a_while() -> None:
    now = [100.0]
    late = Lateness(found(SLOW, "2.0"), clock=lambda: now[0])

    def seen(value: str) -> str:
        return late.seen(SLOW, "bucket", value)

    assert seen("old") == "old"  # what is there at first counts at once
    assert seen("new") == "old"
    now[0] += 1.9
    assert seen("new") == "old"
    now[0] += 0.2
    assert seen("new") == "new"
    assert seen("newer") == "new"
    assert seen("newest") == "new"  # a change before the last one came to count
    now[0] += 2
    assert seen("newest") == "newest"
    assert late.seen(SLOW, "other", "new") == "new"
    assert Lateness(NONE).seen(SLOW, "bucket", "old") == "old"
