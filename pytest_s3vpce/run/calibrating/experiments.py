"""The experiments: what each asks, and what its answers say of the rules."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import Finding
from pytest_s3vpce.operations import Form, operation
from pytest_s3vpce.outcome import INCONCLUSIVE_CODES
from pytest_s3vpce.presigning import Presign
from pytest_s3vpce.run.access import TRANSIENT
from pytest_s3vpce.run.calibrating.asking import ABSENT, PLAIN, Question, allow, deny
from pytest_s3vpce.run.calibrating.scratch import ALL, BOUND, FEW, document
from pytest_s3vpce.run.objects import is_s3s
from pytest_s3vpce.undocumented import OTHER_ANSWER, POLICIES_FIRST, RULES, SAME_ANSWER
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.run.calibrating.asking import Asker, Reply

_DIGEST: Final = Form(
    parameters={"Body": b"the canary", "ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="},
    documented=False,
    authorised=("400 BadDigest",),
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
)
_ANY: Final = allow("s3:*")
_TELLING: Final = frozenset({400, 404, 405, 409, 412, 416, 501})
"""Statuses that say something about what was asked, not about who asked it or when."""
_UNTELLING: Final = INCONCLUSIVE_CODES | TRANSIENT
"""Codes that come with such a status, and say the opposite: a token is over, or S3 is busy."""
FUNCTIONS: Final = "functions"
"""Asked from a function that is made for it; all others are asked from this machine."""


def forms(asker: Asker) -> Iterator[Finding]:
    """Each safe form by one who may, and by one refused its action alone."""
    names = [name.removeprefix("form/") for name in RULES if name.startswith("form/")]
    yield from _ordered(asker, {f"form/{name}": Question(operation=name) for name in names})


def order(asker: Asker) -> Iterator[Finding]:
    """A body that is not what its digest says."""
    yield from _ordered(asker, {"order/digest": Question(operation="PutObject", form=_DIGEST)})


def _ordered(asker: Asker, rows: Mapping[str, Question]) -> Iterator[Finding]:
    questions: list[Question] = []
    for row in rows.values():
        action = operation(row.operation).default_of or operation(row.operation).actions[0]
        may, may_not = (_ANY,), (_ANY, deny(action))
        questions += [Question(operation=row.operation, form=row.form, statements=who) for who in (may, may_not)]
    replies = asker.ask(questions)
    for name, allowed, denied in zip(rows, replies[::2], replies[1::2], strict=True):
        answer = ""
        refused = denied.outcome.denied and is_s3s(denied.answer)
        if refused and allowed.outcome.allowed and is_s3s(allowed.answer):
            value = POLICIES_FIRST
        elif refused and _tells(allowed):
            value, answer = OTHER_ANSWER, allowed.code
        elif allowed.code == denied.code and (_tells(allowed) or allowed.outcome.allowed):
            value = SAME_ANSWER
        else:
            value = "other answers"
        detail = f"who may: {allowed.code}; who may not: {denied.code}"
        ids = (*allowed.request_ids, *denied.request_ids)
        yield Finding(rule=name, value=value, request_ids=ids, detail=detail, answer=answer)


def _tells(reply: Reply) -> bool:
    """Whether S3 answered to what was asked. Without a code it can't be told from a token that is over."""
    code = reply.outcome.code
    return reply.answer.status in _TELLING and code is not None and code not in _UNTELLING and is_s3s(reply.answer)


# --- what denials say ------------------------------------------------------------------------------------------------


def messages(asker: Asker) -> Iterator[Finding]:
    """One denial by each kind of policy that needs no bucket policy."""
    rows = {
        "session-explicit": Question(operation="GetObject", statements=(_ANY, deny("s3:GetObject"))),
        "session-implicit": Question(operation="GetObject", statements=(allow("s3:ListBucket"),)),
        "identity-explicit": Question(operation="GetObjectTagging", role=FEW),
        "identity-implicit": Question(operation="GetObject", role=FEW),
        "boundary-implicit": Question(operation="PutObject", role=BOUND),
    }
    for name, reply in zip(rows, asker.ask(list(rows.values())), strict=True):
        yield _said(f"message/{name}", reply)


def _said(rule: str, reply: Reply) -> Finding:
    outcome = reply.outcome
    if not outcome.denied:
        value = f"not denied: {reply.code}"
    elif outcome.layer is None:
        value = "no policy is named"
    else:
        value = f"{outcome.layer.value} {'explicit' if outcome.explicit else 'implicit'}"
    return Finding(rule=rule, value=value, request_ids=reply.request_ids, detail=outcome.message or "")


# --- condition keys --------------------------------------------------------------------------------------------------


def keys(asker: Asker) -> Iterator[Finding]:
    """What a key was, read by sessions that are refused where it has a value: the one that is denied tells it."""
    plain = Question(operation="ListObjectsV2", form=PLAIN)
    for name in ("prefix", "delimiter"):
        yield _read(asker, f"key/{name}-not-sent", plain, key=f"s3:{name}", candidates={"empty": _equals("")})
    number = {"1000": lambda key: {"NumericEquals": {key: "1000"}}}
    yield _read(asker, "key/max-keys-not-sent", plain, key="s3:max-keys", candidates=number)
    truth = {word: _boolean(word) for word in ("true", "false")}
    for rule in RULES:
        if rule.startswith("key/creation/"):
            question = Question(operation=rule.rpartition("/")[2])
            yield _read(asker, rule, question, key="s3:ObjectCreationOperation", candidates=truth)
    yield _read(
        asker,
        "key/content-sha256-presigned",
        Question(operation="GetObject", presign=Presign(expires=300)),
        key="s3:x-amz-content-sha256",
        candidates={"UNSIGNED-PAYLOAD": _equals("UNSIGNED-PAYLOAD")},
    )
    yield _star(asker)
    for name in ("ListBuckets", "CreateBucket"):
        yield _read(
            asker, f"key/resource-account/{name}", Question(operation=name), key="aws:ResourceAccount", candidates={}
        )


def functions(asker: Asker) -> Iterator[Finding]:
    """What S3 sees of a function outside of VPCs, which stands where AWS keeps it."""
    for key in ("aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce"):
        yield _read(asker, f"function/{key}", Question(operation="GetObject"), key=key, candidates={})


def _star(asker: Asker) -> Finding:
    """Whether what a request sends is a pattern: it must not be."""
    refused = deny("s3:ListBucket", {"StringLike": {"s3:prefix": "secret"}})
    sent = Form(parameters={"Prefix": "s*"}, documented=True, source=PLAIN.source)
    (reply,) = asker.ask([Question(operation="ListObjectsV2", form=sent, statements=(_ANY, refused))])
    value = "literal" if reply.outcome.allowed else "pattern" if reply.outcome.denied else reply.code
    return Finding(rule="key/star", value=value, request_ids=reply.request_ids, detail=reply.code)


def _equals(value: str) -> Callable[[str], dict[str, Any]]:
    return lambda key: {"StringEquals": {key: value}}


def _boolean(value: str) -> Callable[[str], dict[str, Any]]:
    return lambda key: {"Bool": {key: value}}


def _read(
    asker: Asker,
    rule: str,
    question: Question,
    *,
    key: str,
    candidates: Mapping[str, Callable[[str], dict[str, Any]]],
) -> Finding:
    action = operation(question.operation).actions[0]
    conditions: dict[str, dict[str, Any] | None] = {
        "": None,
        "absent": {"Null": {key: "true"}},
        **{name: make(key) for name, make in candidates.items()},
        "present": {"Null": {key: "false"}},
    }
    questions = [
        Question(
            operation=question.operation,
            form=question.form,
            presign=question.presign,
            statements=(_ANY, *([deny(action, condition)] if condition else [])),
        )
        for condition in conditions.values()
    ]
    replies = dict(zip(conditions, asker.ask(questions), strict=True))
    free = replies.pop("")
    denying = [name for name, reply in replies.items() if reply.outcome.denied]
    value = next(iter(denying), "not told") if free.outcome.allowed else f"not allowed: {free.code}"
    ids = tuple(name for reply in replies.values() for name in reply.request_ids)
    return Finding(rule=rule, value=value, request_ids=ids, detail=f"{key}: denied where it is {', '.join(denying)}")


# --- absent keys, attributes -----------------------------------------------------------------------------------------


def absent_keys(asker: Asker) -> Iterator[Finding]:
    """Who learns that a key is absent."""
    by_prefix = {**allow("s3:ListBucket"), "Condition": {"StringLike": {"s3:prefix": f"{ABSENT}*"}}}
    elsewhere = {**allow("s3:ListBucket"), "Condition": {"StringLike": {"s3:prefix": "elsewhere/*"}}}
    rows = {
        "absent-key/list-without-get": (allow("s3:ListBucket"),),
        "absent-key/list-by-prefix": (allow("s3:GetObject"), by_prefix),
        "absent-key/list-elsewhere": (allow("s3:GetObject"), elsewhere),
    }
    form = Form(parameters={"Key": ABSENT}, documented=True, source=PLAIN.source)
    replies = asker.ask([Question(operation="GetObject", form=form, statements=row) for row in rows.values()])
    for rule, reply in zip(rows, replies, strict=True):
        value = str(reply.answer.status)
        yield Finding(rule=rule, value=value, request_ids=reply.request_ids, detail=reply.code)


def attributes(asker: Asker) -> Iterator[Finding]:
    """Which of two actions GetObjectAttributes asks for."""
    own, other = asker.ask(
        [
            Question(operation="GetObjectAttributes", statements=(allow(action),))
            for action in ("s3:GetObjectAttributes", "s3:GetObject")
        ]
    )
    words = {
        (False, False): "both",
        (True, False): "s3:GetObjectAttributes",
        (False, True): "s3:GetObject",
        (True, True): "either",
    }
    odd = [reply.code for reply in (own, other) if not (reply.outcome.allowed or reply.outcome.denied)]
    yield Finding(
        rule="attributes/actions",
        value=odd[0] if odd else words[own.outcome.allowed, other.outcome.allowed],
        request_ids=(*own.request_ids, *other.request_ids),
        detail=f"with s3:GetObjectAttributes alone: {own.code}; with s3:GetObject alone: {other.code}",
    )


# --- bucket policies, propagation ------------------------------------------------------------------------------------

_SECONDS: Final = 60.0
_PAUSE: Final = 0.5
_MARKERS: Final = {
    "s3:GetObjectAcl": "GetObjectAcl",
    "s3:GetBucketVersioning": "GetBucketVersioning",
    "s3:GetBucketRequestPayment": "GetBucketRequestPayment",
}
"""What one sample after the other allows, and nothing did before."""


def bucket_policies(asker: Asker) -> Iterator[Finding]:
    """One policy: what its Deny says, and whether its Allow to root counts alone."""
    scratch = asker.scratch
    to_root = {**allow("s3:GetObject"), "Principal": {"AWS": scratch.root_arn}, "Resource": scratch.arns}
    refused = {**deny("s3:GetObjectTagging"), "Principal": {"AWS": scratch.role_arn(ALL)}, "Resource": scratch.arns}
    marker = {**allow("s3:GetBucketAcl"), "Principal": {"AWS": scratch.role_arn(FEW)}, "Resource": scratch.arns}
    scratch.s3.put_bucket_policy(Bucket=scratch.bucket, Policy=document(marker, to_root, refused))
    _, counted = _seconds_until_allowed(asker, Question(operation="GetBucketAcl", role=FEW))
    root, tagging = asker.ask([Question(operation="GetObject", role=FEW), Question(operation="GetObjectTagging")])
    value = "denied" if root.outcome.denied else "allowed" if root.outcome.allowed else root.code
    if not counted.outcome.allowed:
        value = f"policy did not count: {counted.code}"
    yield Finding(rule="root-arn/alone", value=value, request_ids=root.request_ids, detail=root.outcome.message or "")
    yield _said("message/resource-explicit", tagging)
    scratch.s3.delete_bucket_policy(Bucket=scratch.bucket)


def propagation(asker: Asker) -> Iterator[Finding]:
    """How long a change of policies takes to count, a few times."""
    scratch = asker.scratch

    def by_bucket(action: str) -> None:
        statement = {**allow(action), "Principal": {"AWS": scratch.role_arn(FEW)}, "Resource": scratch.arns}
        scratch.s3.put_bucket_policy(Bucket=scratch.bucket, Policy=document(statement))

    for rule, change in (("bucket-policy", by_bucket), ("role-policy", scratch.let_few)):
        samples: list[float] = []
        ids: list[str] = []
        for action, name in _MARKERS.items():
            change(action)
            passed, reply = _seconds_until_allowed(asker, Question(operation=name, role=FEW))
            samples.append(passed)
            ids += reply.request_ids
        shown = ", ".join(f"{passed:.1f}" for passed in samples)
        value = f"more than {_SECONDS:.0f}" if max(samples) >= _SECONDS else f"{max(samples):.1f}"
        yield Finding(rule=f"propagation/{rule}", value=value, request_ids=tuple(ids), detail=f"samples: {shown}")
        scratch.s3.delete_bucket_policy(Bucket=scratch.bucket)
    scratch.let_few()


def _seconds_until_allowed(asker: Asker, question: Question) -> tuple[float, Reply]:
    began = time.monotonic()
    while True:
        (reply,) = asker.ask([question])
        passed = time.monotonic() - began
        if reply.outcome.allowed or passed >= _SECONDS:
            return passed, reply
        time.sleep(_PAUSE)


def public_policies(asker: Asker) -> Iterator[Finding]:
    """What Block Public Access calls public: it refuses the policy, so that the bucket is public at no time."""
    scratch = asker.scratch
    values = {
        "aws:PrincipalArn": scratch.role_arn(ALL),
        "aws:PrincipalAccount": scratch.account_id,
        "aws:SourceVpcArn": f"arn:aws:ec2:{scratch.region}:{scratch.account_id}:vpc/vpc-0123456789abcdef0",
        "aws:VpceAccount": scratch.account_id,
        "aws:VpceOrgID": "o-s3vpcenone",
    }
    for key, value in values.items():
        statement = {
            **allow("s3:GetObjectAcl"),
            "Principal": "*",
            "Resource": scratch.arns,
            "Condition": {"StringEquals": {key: value}},
        }
        yield _public(asker, f"public/{key}", statement)
    scratch.s3.delete_bucket_policy(Bucket=scratch.bucket)


def _public(asker: Asker, rule: str, statement: dict[str, Any]) -> Finding:
    scratch = asker.scratch
    try:
        answer = scratch.s3.put_bucket_policy(Bucket=scratch.bucket, Policy=document(statement))
    except FAULTS as error:
        found: Any = getattr(error, "response", {})
        name = found.get("ResponseMetadata", {}).get("RequestId", "")
        value = "public" if code_of(error) == "AccessDenied" else code_of(error)
        return Finding(rule=rule, value=value, request_ids=(name,) if name else (), detail=words_of(error))
    return Finding(rule=rule, value="not public", request_ids=(answer["ResponseMetadata"]["RequestId"],))


EXPERIMENTS: Final[dict[str, Callable[[Asker], Iterator[Finding]]]] = {
    "forms": forms,
    "order": order,
    "messages": messages,
    "keys": keys,
    "absent keys": absent_keys,
    "attributes": attributes,
    "bucket policies": bucket_policies,
    "propagation": propagation,
    "public policies": public_policies,
    FUNCTIONS: functions,
}
"""By the names that rules have their experiment by; `messages` are completed by `bucket policies`."""
