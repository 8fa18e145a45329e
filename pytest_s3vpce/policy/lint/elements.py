"""Rules on principals, actions and resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.actions import BUCKET_ACTIONS, OBJECT_ACTIONS
from pytest_s3vpce.policy.documents import Document
from pytest_s3vpce.policy.lint.actionnames import ACTIONS, remedy
from pytest_s3vpce.policy.lint.findings import ALL, GRANTED, ON_S3, Hit, Kind, Rule, Severity
from pytest_s3vpce.policy.lint.subject import BUCKET_ARN, OTHER_RESOURCES, matcher
from pytest_s3vpce.policy.public import public_statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.policy.lint.subject import Subject

_USER_GUIDE: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
_GUIDE: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"
_NOT_PRINCIPAL: Final = _USER_GUIDE + "reference_policies_elements_notprincipal.html"
_PRINCIPAL: Final = _USER_GUIDE + "reference_policies_elements_principal.html"
_NOT_ACTION: Final = _USER_GUIDE + "reference_policies_elements_notaction.html"
_NOT_RESOURCE: Final = _USER_GUIDE + "reference_policies_elements_notresource.html"
_ACTIONS: Final = _GUIDE + "using-with-s3-policy-actions.html"
_S3: Final = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"
_FENCES: Final = ("aws:securetransport", "s3:tlsversion", "aws:sourceip", "aws:principalorgid", "aws:principalaccount")


def _not_principal_deny(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        if "NotPrincipal" in row.written:
            yield Hit(
                row=row,
                path=(*row.path, "NotPrincipal"),
                what="a Deny names those it spares by NotPrincipal",
                consequence="because sessions, roles and accounts must all be listed, and principals with a "
                "permissions boundary are denied all the same, it denies more than it seems",
                fix='Use "Principal": "*" with ArnNotEquals on aws:PrincipalArn',
            )


def _not_principal_allow(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        if "NotPrincipal" in row.written:
            yield Hit(
                row=row,
                path=(*row.path, "NotPrincipal"),
                what="an Allow names its principals by NotPrincipal",
                consequence="because of it everybody else is let in, anonymous callers among them",
                fix="Name those that are let in by Principal",
            )


def _starred_principal(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for element in ("Principal", "NotPrincipal"):
            for path, kind, text in row.principals(element):
                if text != "*" and ("*" in text or "?" in text) and kind == "AWS":
                    yield Hit(
                        row=row,
                        path=path,
                        what=f"the principal `{text}` has a wildcard",
                        consequence="because principals are whole names, AWS refuses the policy",
                        fix='Use "Principal": "*" with ArnLike on aws:PrincipalArn',
                    )


def _public(subject: Subject) -> Iterator[Hit]:
    if not isinstance(subject.parsed, Document):
        return
    public = {statement.index for statement in public_statements(subject.parsed)}
    for index, row in enumerate(subject.rows):
        if index in public:
            yield Hit(
                row=row,
                path=row.path,
                what="the statement makes the bucket public",
                consequence="because it grants to no fixed principal, organization or network, Block Public Access "
                "refuses the policy or cuts it down, or else the whole world is let in",
                fix="Name principals, or add a condition with fixed values such as aws:PrincipalOrgID",
            )


def _named_principal(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for path, kind, text in row.principals():
            if kind == "AWS" and text != "*":
                yield Hit(
                    row=row,
                    path=path,
                    what=f"the endpoint policy names the principal `{text}`",
                    consequence="because a gateway endpoint takes an account or ARN for the account's root user alone, "
                    "nobody else matches",
                    fix='Use "Principal": "*" with a condition on aws:PrincipalArn or aws:PrincipalAccount',
                )
                break


def _trusts_everybody(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        named = [path for path, kind, text in row.principals() if kind == "AWS" and text == "*"]
        if named and not row.tests:
            yield Hit(
                row=row,
                path=named[0],
                what="the role may be assumed by everybody",
                consequence="because there is no condition, any AWS account in the world can use it",
                fix="Name the principals, or add a condition on aws:PrincipalOrgID",
            )


def _not_action(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        if "NotAction" in row.written:
            yield Hit(
                row=row,
                path=(*row.path, "NotAction"),
                what="an Allow names its actions by NotAction",
                consequence="because of it all other actions are allowed, those of other services and of tomorrow too",
                fix="Name what is allowed by Action",
            )


def _not_resource(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        if "NotResource" in row.written:
            yield Hit(
                row=row,
                path=(*row.path, "NotResource"),
                what="an Allow names its resources by NotResource",
                consequence="because of it all other resources are allowed, those of others and of tomorrow too",
                fix="Name what is allowed by Resource",
            )


def _unknown_action(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for element in ("Action", "NotAction"):
            for path, text in row.entries(element):
                name = text.lower().removeprefix("s3:")
                if text.lower().startswith("s3:") and not any(map(matcher(name), ACTIONS)):
                    yield Hit(
                        row=row,
                        path=path,
                        what=f"there is no action `{text}`",
                        consequence="because S3 checks no such action, this entry has no effect (and S3 refuses a "
                        "bucket policy with it)",
                        fix=remedy(name),
                    )


# --- resources -------------------------------------------------------------------------------------------------------


def _misses_resource(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        places = row.places
        for path, text in row.entries("Action") if places else ():
            name = text.lower().removeprefix("s3:")
            if text.lower() == name:
                continue
            match = matcher(name)
            takes = (any(map(match, BUCKET_ACTIONS)), any(map(match, OBJECT_ACTIONS)))
            if any(takes) and places and not (takes[0] and places[0]) and not (takes[1] and places[1]):
                bucket = takes[0]
                yield Hit(
                    row=row,
                    path=path,
                    what=f"`{text}` is an action on {'buckets' if bucket else 'objects'}, and Resource names "
                    f"{'objects' if bucket else 'buckets'} only",
                    consequence="because no request asks for it there, the entry has no effect",
                    fix=f"Add `arn:aws:s3:::BUCKET{'' if bucket else '/*'}` to Resource",
                )


def _half_a_fence(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        places = row.places
        fenced = row.endpoint_tests or any(row.of(*_FENCES))
        if fenced and places in ((True, False), (False, True)) and {"s3:*", "*"} & set(row.texts("Action")):
            bucket = places == (True, False)
            yield Hit(
                row=row,
                path=(*row.path, "Resource"),
                what=f"the statement denies s3:* on {'the bucket' if bucket else 'objects'} only",
                consequence=f"because {'objects have' if bucket else 'the bucket has'} an ARN of "
                f"{'their' if bucket else 'its'} own, "
                + ("reading and writing them" if bucket else "listing it and changing its settings")
                + " is not denied",
                fix=f"Add `arn:aws:s3:::BUCKET{'/*' if bucket else ''}` to Resource",
            )


def _no_arn(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for element in ("Resource", "NotResource"):
            for path, text in row.entries(element):
                if not text.startswith(("arn:", "*", "<", "${")):
                    yield Hit(
                        row=row,
                        path=path,
                        what=f"the resource `{text}` is no ARN",
                        consequence="because resources are compared as ARNs, it matches nothing",
                        fix="Write `arn:aws:s3:::BUCKET` for a bucket, `arn:aws:s3:::BUCKET/*` for its objects",
                    )


def _bucket_of_region(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for element in ("Resource", "NotResource"):
            for path, text in row.entries(element):
                match = BUCKET_ARN.fullmatch(text)
                if match is None or match[3].startswith((*OTHER_RESOURCES, "*")):
                    continue
                if (match[1] + match[2]).strip("*"):
                    yield Hit(
                        row=row,
                        path=path,
                        what=f"the bucket's ARN `{text}` has a Region or an account",
                        consequence="because ARNs of buckets have neither, it matches nothing",
                        fix=f"Write `arn:aws:s3:::{match[3]}`",
                    )


def _ends_with_slash(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for path, text in row.entries("Resource"):
            if BUCKET_ARN.fullmatch(text) and text.endswith("/"):
                yield Hit(
                    row=row,
                    path=path,
                    what=f"the resource `{text}` ends with a slash",
                    consequence="because nothing follows, it takes in no object of that folder",
                    fix=f"Write `{text}*`",
                )


def _all_buckets_of_one(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        texts = row.texts("Resource")
        named = [path for path, text in row.entries("Action") if text.lower() == "s3:listallmybuckets"]
        if named and texts and not {"*", "arn:aws:s3:::*"} & set(texts):
            yield Hit(
                row=row,
                path=named[0],
                what="s3:ListAllMyBuckets is allowed on some buckets",
                consequence="because the action is about the account and not about a bucket, nothing is allowed",
                fix='Give it a statement with "Resource": "*"',
            )


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_NAMING: Final = ALL - GRANTED - {Kind.SCP}
_BUCKET: Final = frozenset({Kind.BUCKET})
_ENDPOINT: Final = frozenset({Kind.ENDPOINT})
RULES: Final = (
    Rule("S3V301", "not-principal", _WARNING, _NAMING, "NotPrincipal in a Deny", _NOT_PRINCIPAL, _not_principal_deny),
    Rule(
        "S3V302",
        "allow-not-principal",
        _ERROR,
        _NAMING,
        "NotPrincipal in an Allow",
        _NOT_PRINCIPAL,
        _not_principal_allow,
    ),
    Rule("S3V303", "starred-principal", _ERROR, _NAMING, "a wildcard in a name", _PRINCIPAL, _starred_principal),
    Rule(
        "S3V304",
        "public",
        _WARNING,
        _BUCKET,
        "a statement that makes the bucket public",
        _GUIDE + "access-control-block-public-access.html",
        _public,
    ),
    Rule(
        "S3V305",
        "named-principal",
        _WARNING,
        _ENDPOINT,
        "an endpoint policy that names principals",
        "https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html",
        _named_principal,
    ),
    Rule(
        "S3V306",
        "trusts-everybody",
        _ERROR,
        frozenset({Kind.TRUST}),
        "a role that everybody may assume",
        _PRINCIPAL,
        _trusts_everybody,
    ),
    Rule("S3V311", "allow-not-action", _WARNING, ALL, "NotAction in an Allow", _NOT_ACTION, _not_action),
    Rule("S3V312", "allow-not-resource", _WARNING, ALL, "NotResource in an Allow", _NOT_RESOURCE, _not_resource),
    Rule("S3V313", "unknown-action", _ERROR, ON_S3, "an S3 action that does not exist", _S3, _unknown_action),
    Rule("S3V321", "misses-resource", _ERROR, ON_S3, "an action that fits no resource", _ACTIONS, _misses_resource),
    Rule("S3V322", "half-a-fence", _ERROR, ON_S3, "Deny on objects only, or bucket only", _ACTIONS, _half_a_fence),
    Rule("S3V323", "no-arn", _ERROR, ON_S3, "a resource that is no ARN", _S3, _no_arn),
    Rule("S3V324", "bucket-of-region", _ERROR, ON_S3, "a bucket's ARN with a Region", _S3, _bucket_of_region),
    Rule("S3V325", "ends-with-slash", _WARNING, ON_S3, "a folder without its star", _S3, _ends_with_slash),
    Rule("S3V326", "all-buckets-of-one", _ERROR, ON_S3, "ListAllMyBuckets on a bucket", _S3, _all_buckets_of_one),
)
