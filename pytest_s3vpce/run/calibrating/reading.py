"""What condition keys hold, read by sessions that are refused where one holds something; what of objects S3 tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import Finding
from pytest_s3vpce.operations import Fill, Form, operation
from pytest_s3vpce.presigning import Presign
from pytest_s3vpce.run.calibrating.asking import ABSENT, PLAIN, Question, allow, deny
from pytest_s3vpce.run.calibrating.ordering import ANY
from pytest_s3vpce.undocumented import RULES, STREAMED, UNSIGNED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.run.calibrating.asking import Asker, Reply

    Condition = Callable[[str], dict[str, Any]]

_CHECKSUM_BEHIND: Final = Form(
    parameters={"Body": Fill.CANARY_BODY, "IfNoneMatch": "*", "ChecksumAlgorithm": "CRC32"},
    documented=True,
    authorised=("412 PreconditionFailed",),
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html",
)
"""botocore sends the checksum behind the body, in chunks that are not signed."""
_THERE: Final = Form(
    documented=False,
    authorised=("409 BucketAlreadyOwnedByYou", "409 BucketAlreadyExists"),
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html",
)
"""Makes the bucket that is there, without saying where."""
_NOWHERE: Final = "us-east-1"
"""The Region that takes no location."""


def keys(asker: Asker) -> Iterator[Finding]:
    """What a key was, read by sessions that are refused where it has a value: the one that is denied tells it."""
    plain = Question(operation="ListObjectsV2", form=PLAIN)
    for name in ("prefix", "delimiter"):
        yield read(asker, f"key/{name}-not-sent", plain, key=f"s3:{name}", candidates={"empty": equals("")})
    number: dict[str, Condition] = {"1000": lambda key: {"NumericEquals": {key: "1000"}}}
    yield read(asker, "key/max-keys-not-sent", plain, key="s3:max-keys", candidates=number)
    truth = {word: boolean(word) for word in ("true", "false")}
    for rule in RULES:
        if rule.startswith("key/creation/"):
            question = Question(operation=rule.rpartition("/")[2])
            yield read(asker, rule, question, key="s3:ObjectCreationOperation", candidates=truth)
    digests = {text: equals(text) for text in (UNSIGNED, STREAMED)}
    presigned = Question(operation="GetObject", presign=Presign(expires=300))
    behind = Question(operation="PutObject", form=_CHECKSUM_BEHIND)
    for name, question in (("presigned", presigned), ("trailer", behind)):
        rule = f"key/content-sha256-{name}"
        yield read(asker, rule, question, key="s3:x-amz-content-sha256", candidates=digests)
    yield _star(asker)
    yield _star_as_arn(asker)
    again = Question(operation="CreateBucket", form=_THERE, region=_NOWHERE)
    yield read(asker, "key/location-not-sent", again, key="s3:locationconstraint", candidates={"empty": equals("")})
    for name in ("ListBuckets", "CreateBucket"):
        rule = f"key/resource-account/{name}"
        yield read(asker, rule, Question(operation=name), key="aws:ResourceAccount", candidates={})


def functions(asker: Asker) -> Iterator[Finding]:
    """What S3 sees of a function outside of VPCs, which stands where AWS keeps it."""
    for key in ("aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce"):
        yield read(asker, f"function/{key}", Question(operation="GetObject"), key=key, candidates={})


def _star(asker: Asker) -> Finding:
    """Whether what a variable stands for is a pattern; first, that one may ask, and that it stands for anything."""
    refused = deny("s3:ListBucket", {"StringLike": {"s3:delimiter": "${s3:prefix}"}})
    forms = [
        Form(parameters={"Prefix": prefix, "Delimiter": "secret"}, documented=True, source=PLAIN.source)
        for prefix in ("secret", "s*")
    ]
    free, same, starred = asker.ask(
        [
            Question(operation="ListObjectsV2", form=forms[0], statements=(ANY,)),
            *(Question(operation="ListObjectsV2", form=form, statements=(ANY, refused)) for form in forms),
        ]
    )
    value = "letter" if starred.outcome.allowed else "wildcard" if starred.outcome.denied else starred.code
    if not same.outcome.denied:
        value = f"the variable stands for nothing: {same.code}"
    if not free.outcome.allowed:
        value = f"not allowed: {free.code}"
    ids = (*free.request_ids, *same.request_ids, *starred.request_ids)
    return Finding(rule="key/star-in-variable", value=value, request_ids=ids, detail=starred.code)


def _star_as_arn(asker: Asker) -> Finding:
    """Whether the one star names whoever asks; first, that the session may ask, and that its key is there."""
    plain = Question(operation="ListObjectsV2")
    key = "aws:PrincipalArn"
    free, named, starred = asker.ask(
        [
            plain.by(ANY),
            plain.by(ANY, deny("s3:ListBucket", {"ArnLike": {key: "arn:*:iam::*:role/*"}})),
            plain.by(ANY, deny("s3:ListBucket", {"ArnLike": {key: "*"}})),
        ]
    )
    value = "none" if starred.outcome.allowed else "every ARN" if starred.outcome.denied else starred.code
    if not free.outcome.allowed or not named.outcome.denied:
        value = f"not told: {free.code}, {named.code}"
    ids = (*free.request_ids, *named.request_ids, *starred.request_ids)
    return Finding(rule="key/star-as-arn", value=value, request_ids=ids, detail=starred.code)


def equals(value: str) -> Condition:
    return lambda key: {"StringEquals": {key: value}}


def boolean(value: str) -> Condition:
    return lambda key: {"Bool": {key: value}}


def read(
    asker: Asker,
    rule: str,
    question: Question,
    *,
    key: str,
    candidates: Mapping[str, Condition],
) -> Finding:
    """What a key of a question holds: `absent`, a candidate, or `present` where it is something else."""
    action = operation(question.operation).actions[0]
    conditions: dict[str, dict[str, Any] | None] = {
        "": None,
        "absent": {"Null": {key: "true"}},
        **{name: make(key) for name, make in candidates.items()},
        "present": {"Null": {key: "false"}},
    }
    questions = [
        question.by(ANY, *([deny(action, condition)] if condition else [])) for condition in conditions.values()
    ]
    replies = dict(zip(conditions, asker.ask(questions), strict=True))
    free = replies.pop("")
    denying = [name for name, reply in replies.items() if reply.outcome.denied]
    value = next(iter(denying), "not told") if {"absent", "present"} - {*denying} else "denied either way"
    if not free.outcome.allowed:
        value = f"not allowed: {free.code}"
    ids = tuple(name for reply in replies.values() for name in reply.request_ids)
    return Finding(rule=rule, value=value, request_ids=ids, detail=f"{key}: denied where it is {', '.join(denying)}")


# --- absent keys, attributes -----------------------------------------------------------------------------------------


def absent_keys(asker: Asker) -> Iterator[Finding]:
    """Who learns that a key is absent; first, that one may ask for keys at all."""
    by_prefix = {**allow("s3:ListBucket"), "Condition": {"StringLike": {"s3:prefix": f"{ABSENT}*"}}}
    elsewhere = {**allow("s3:ListBucket"), "Condition": {"StringLike": {"s3:prefix": "elsewhere/*"}}}
    rows = {
        "absent-key/list-without-get": (allow("s3:ListBucket"),),
        "absent-key/list-by-prefix": (allow("s3:GetObject"), by_prefix),
        "absent-key/list-elsewhere": (allow("s3:GetObject"), elsewhere),
    }
    form = Form(parameters={"Key": ABSENT}, documented=True, authorised=(_TOLD,), source=PLAIN.source)
    absent = Question(operation="GetObject", form=form)
    free, *replies = asker.ask([absent.by(ANY), *(absent.by(*row) for row in rows.values())])
    for rule, reply in zip(rows, replies, strict=True):
        value = _told(reply) if _told(free) == "404" else f"not allowed: {free.code}"
        yield Finding(rule=rule, value=value, request_ids=reply.request_ids, detail=reply.code)


_TOLD: Final = "404 NoSuchKey"


def _told(reply: Reply) -> str:
    """404 or 403 if S3 says so; else what came in their place."""
    if reply.outcome.denied:
        return "403"
    return "404" if reply.answered and reply.code == _TOLD else reply.code


def attributes(asker: Asker) -> Iterator[Finding]:
    """Which of two actions GetObjectAttributes asks for; first, that nothing else is asked for."""
    actions = ("s3:GetObjectAttributes", "s3:GetObject")
    question = Question(operation="GetObjectAttributes")
    free, own, other = asker.ask([question.by(allow(*actions)), *(question.by(allow(action)) for action in actions)])
    words = {
        (False, False): "both",
        (True, False): "s3:GetObjectAttributes",
        (False, True): "s3:GetObject",
        (True, True): "either",
    }
    odd = [reply.code for reply in (own, other) if not (reply.outcome.allowed or reply.outcome.denied)]
    value = odd[0] if odd else words[own.outcome.allowed, other.outcome.allowed]
    yield Finding(
        rule="attributes/actions",
        value=value if free.outcome.allowed else f"not allowed: {free.code}",
        request_ids=(*free.request_ids, *own.request_ids, *other.request_ids),
        detail=f"with s3:GetObjectAttributes alone: {own.code}; with s3:GetObject alone: {other.code}",
    )
