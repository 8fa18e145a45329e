"""What a bucket's own policy does, what a denial says, and what Block Public Access takes for public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.calibration import Finding
from pytest_s3vpce.probe import Host
from pytest_s3vpce.run.calibrating.asking import Question, allow, deny
from pytest_s3vpce.run.calibrating.measuring import BLOCKED, put_policy, seconds_until, to_everybody
from pytest_s3vpce.run.calibrating.ordering import ANY
from pytest_s3vpce.run.calibrating.scratch import ALL, BOUND, CLOSED, CLOSING, FEW, document
from pytest_s3vpce.undocumented import UNNAMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.run.calibrating.asking import Asker, Reply


def messages(asker: Asker) -> Iterator[Finding]:
    """One denial by each kind of policy that needs no bucket policy."""
    rows = {
        "session-explicit": Question(operation="GetObject", statements=(ANY, deny("s3:GetObject"))),
        "session-implicit": Question(operation="GetObject", statements=(allow("s3:ListBucket"),)),
        "identity-explicit": Question(operation="GetObjectTagging", role=FEW),
        "identity-implicit": Question(operation="GetObject", role=FEW),
        "boundary-explicit": Question(operation="GetObject", role=CLOSED),
        "boundary-implicit": Question(operation="PutObject", role=BOUND),
    }
    replies = dict(zip(rows, asker.ask(list(rows.values())), strict=True))
    for name, reply in replies.items():
        yield said(f"message/{name}", reply)
    closed = replies["boundary-explicit"]
    value = "named" if CLOSING in (closed.outcome.message or "") else "not named"
    if closed.outcome.explicit is not True:
        value = f"not denied explicitly: {closed.code}"
    yield _of_message("message/policy-arn", value, closed)


def said(rule: str, reply: Reply) -> Finding:
    """Which policy a denial names."""
    outcome = reply.outcome
    if outcome.layer is None:
        return _of_message(rule, UNNAMED, reply)
    return _of_message(rule, f"{outcome.layer.value} {'explicit' if outcome.explicit else 'implicit'}", reply)


def _of_message(rule: str, value: str, reply: Reply) -> Finding:
    if not reply.outcome.denied:
        value = f"not denied: {reply.code}"
    return Finding(rule=rule, value=value, request_ids=reply.request_ids, detail=reply.outcome.message or "")


def bucket_policies(asker: Asker) -> Iterator[Finding]:
    """One policy: what its Deny says, whether its Allow to root counts alone, and what limits one to everybody.

    Whom everybody is is limited by aws:userid, so that the policy is no public one.
    """
    scratch = asker.scratch
    to_root = {**allow("s3:GetObject"), "Principal": {"AWS": scratch.root_arn}, "Resource": scratch.arns}
    refused = {**deny("s3:GetObjectTagging"), "Principal": {"AWS": scratch.role_arn(ALL)}, "Resource": scratch.arns}
    marker = {**allow("s3:GetBucketAcl"), "Principal": {"AWS": scratch.role_arn(FEW)}, "Resource": scratch.arns}
    ours = {"StringEquals": {"aws:userid": [scratch.userid(ALL), scratch.userid(BOUND)]}}
    everybody = {
        **allow("s3:PutObject", "s3:GetObjectAcl"),
        "Principal": "*",
        "Resource": scratch.arns,
        "Condition": ours,
    }
    scratch.s3.put_bucket_policy(Bucket=scratch.bucket, Policy=document(marker, to_root, refused, everybody))
    _, counted = seconds_until(asker, Question(operation="GetBucketAcl", role=FEW))
    root, bound, session, tagging = asker.ask(
        [
            Question(operation="GetObject", role=FEW),
            Question(operation="PutObject", role=BOUND),
            Question(operation="GetObjectAcl", statements=(allow("s3:ListBucket"),)),
            Question(operation="GetObjectTagging"),
        ]
    )
    rows = {"root-arn/alone": root, "everybody/permissions_boundary": bound, "everybody/session": session}
    for rule, reply in rows.items():
        value = "denied" if reply.outcome.denied else "allowed" if reply.outcome.allowed else reply.code
        if not counted.outcome.allowed:
            value = f"policy did not count: {counted.code}"
        detail = reply.outcome.message or reply.code
        yield Finding(rule=rule, value=value, request_ids=reply.request_ids, detail=detail)
    yield said("message/resource-explicit", tagging)
    scratch.s3.delete_bucket_policy(Bucket=scratch.bucket)


def public_policies(asker: Asker) -> Iterator[Finding]:
    """What Block Public Access calls public: it refuses the policy, so that the bucket is public at no time.

    First, that a policy which nobody calls public is taken, and one that is public in any case refused.
    """
    scratch = asker.scratch
    statement = {**allow("s3:GetObjectAcl"), "Resource": scratch.arns}
    named = put_policy(scratch, {**statement, "Principal": {"AWS": scratch.role_arn(ALL)}})
    public = put_policy(scratch, to_everybody(scratch))
    untold = "" if public.code == BLOCKED else f"a public policy is not refused: {public.code or 'it is taken'}"
    if named.code:
        untold = f"no policy is taken: {named.code}"
    values = {
        "aws:PrincipalArn": scratch.role_arn(ALL),
        "aws:PrincipalAccount": scratch.account_id,
        "aws:SourceVpcArn": f"arn:{scratch.partition}:ec2:{scratch.region}:{scratch.account_id}:vpc/vpc-{17 * '0'}",
        "aws:VpceAccount": scratch.account_id,
        "aws:VpceOrgID": "o-s3vpcenone",
    }
    for key, value in values.items():
        put = public
        if not untold:
            put = put_policy(scratch, {**statement, "Principal": "*", "Condition": {"StringEquals": {key: value}}})
        found = untold or {"": "not public", BLOCKED: "public"}.get(put.code, put.code)
        yield Finding(rule=f"public/{key}", value=found, request_ids=put.request_ids, detail=put.detail)
    if not (named.code and public.code):
        scratch.s3.delete_bucket_policy(Bucket=scratch.bucket)


def access_points(asker: Asker) -> Iterator[Finding]:
    """What a denial by way of an access point is about."""
    host = Host(access_point=asker.scratch.make_access_point())
    _, reached = seconds_until(asker, Question(operation="GetObject", host=host))
    (reply,) = asker.ask([Question(operation="GetObject", host=host, statements=(ANY, deny("s3:GetObject")))])
    message = reply.outcome.message or ""
    names = {"the access point": ":accesspoint/", "the bucket": asker.scratch.arns[0]}
    value = next((name for name, text in names.items() if text in message), UNNAMED)
    if not reached.outcome.allowed:
        value = f"not reached: {reached.code}"
    yield _of_message("message/access-point", value, reply)
