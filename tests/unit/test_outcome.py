"""The classifier: every answer ends in exactly one outcome, and the world's many shapes in the right one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_s3vpce.model import Answer, FailureKind, Layer, Outcome, OutcomeKind
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.outcome import classify, code_of, for_action

DATA = Path(__file__).parent.parent / "data" / "s3-answers.jsonl"
LINES = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
S3 = {"x-amz-request-id": "EXAMPLEREQUEST01", "content-type": "application/xml"}
USER = "User: arn:aws:sts::111122223333:assumed-role/app/session-1 is not authorized to perform: "
TARGET = ' on resource: "arn:aws:s3:::amzn-s3-demo-bucket/key"'


def answer(status: int, body: str | bytes = "", headers: dict[str, str] | None = None) -> Answer:
    raw = body.encode() if isinstance(body, str) else body
    return Answer(id="a", status=status, headers=S3 if headers is None else headers, body=raw)


def error(status: int, code: str, message: str = "", **kwargs: Any) -> Answer:
    return answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", **kwargs)


def denied(message: str) -> Outcome:
    return classify(error(403, "AccessDenied", message), operation="GetObject")


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["id"])
def test_real_answers(line: dict[str, Any]) -> None:
    headers = {name.lower(): value for name, value in line["headers"].items()}
    found = classify(answer(line["status"], line["body"], headers), operation=line["operation"])
    expected = line["expected"]
    assert found.kind == expected["outcome"]
    assert found.layer == expected["layer"]
    assert found.explicit == expected["explicit"]
    assert found.reason


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["id"])
def test_the_code_alone_is_the_same(line: dict[str, Any]) -> None:
    headers = {name.lower(): value for name, value in line["headers"].items()}
    found = answer(line["status"], line["body"], headers)
    assert code_of(found) == classify(found).code


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_has_one_outcome(kind: FailureKind) -> None:
    found = classify(Answer(id="a", failure=kind, detail="some detail"))
    unreachable = kind in (FailureKind.DNS, FailureKind.CONNECT_TIMEOUT, FailureKind.REFUSED)
    assert found.kind is (OutcomeKind.UNREACHABLE if unreachable else OutcomeKind.INCONCLUSIVE)
    assert found.reason.endswith("some detail")
    assert "detail" not in classify(Answer(id="a", failure=kind)).reason


def test_no_answer_at_all_is_inconclusive() -> None:
    assert classify(Answer(id="a")).inconclusive
    assert code_of(Answer(id="a")) is None


@given(
    st.integers(100, 599),
    st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    st.dictionaries(st.sampled_from(["x-amz-request-id", "content-type", "server"]), st.text(max_size=20)),
    st.none() | st.sampled_from(sorted(OPERATIONS)) | st.text(max_size=10),
)
def test_it_never_raises_and_always_says_why(
    status: int, body: bytes, headers: dict[str, str], operation: str | None
) -> None:
    found = classify(answer(status, body, headers), operation=operation)
    assert found.kind in OutcomeKind
    assert found.reason
    if found.denied:
        assert status == 403 or operation in (
            "CopyObject",
            "UploadPartCopy",
            "CompleteMultipartUpload",
            "DeleteObjects",
        )


TYPES = {
    "identity-based policy": Layer.IDENTITY,
    "resource-based policy": Layer.RESOURCE,
    "permissions boundary": Layer.PERMISSIONS_BOUNDARY,
    "session policy": Layer.SESSION,
    "service control policy": Layer.SCP,
    "resource control policy": Layer.RCP,
    "VPC endpoint policy": Layer.VPC_ENDPOINT,
}


@pytest.mark.parametrize(("name", "layer"), TYPES.items())
@pytest.mark.parametrize("tail", ["", ": arn:aws:iam::111122223333:policy/p", " (Service: S3, Status Code: 403)", "."])
def test_each_policy_type_explicit_and_implicit_whatever_follows(name: str, layer: Layer, tail: str) -> None:
    article = "an" if name[0] == "i" else "a"
    explicit = denied(f"{USER}s3:GetObject{TARGET} with an explicit deny in {article} {name}{tail}")
    assert (explicit.layer, explicit.explicit, explicit.action) == (layer, True, "s3:GetObject")
    implicit = denied(f"{USER}s3:GetObject{TARGET} because no {name} allows the s3:GetObject action{tail}")
    assert (implicit.layer, implicit.explicit, implicit.action) == (layer, False, "s3:GetObject")


def test_newlines_and_missing_resources_do_not_hide_the_layer() -> None:
    found = denied(f"{USER}s3:GetObject\n because no VPC\nendpoint policy allows the s3:GetObject action")
    assert (found.layer, found.action) == (Layer.VPC_ENDPOINT, "s3:GetObject")
    short = denied("AccessDenied ... because no session policy allows the s3:PutObject action")
    assert (short.layer, short.action) == (Layer.SESSION, "s3:PutObject")


@pytest.mark.parametrize(
    ("message", "explicit"),
    [
        (
            "kms:Decrypt on resource: arn:aws:kms:x because no identity-based policy allows the kms:Decrypt action",
            False,
        ),
        ("kms:GenerateDataKey on resource: arn with an explicit deny in a resource-based policy", True),
        ("kms:GenerateDataKey on this resource because the resource does not exist in this Region", None),
    ],
)
def test_kms_is_a_layer_of_its_own(message: str, explicit: bool | None) -> None:
    found = denied(USER + message)
    assert (found.kind, found.layer, found.explicit) == (OutcomeKind.DENIED, Layer.KMS, explicit)


@pytest.mark.parametrize(
    "text", ["BlockPublicAcls block public access setting", "the BlockPublicPolicy setting", "S3 Block Public Access"]
)
def test_block_public_access_is_named(text: str) -> None:
    assert (
        denied(f"{USER}s3:PutObjectAcl because public ACLs are prevented by {text}").layer is Layer.BLOCK_PUBLIC_ACCESS
    )


@pytest.mark.parametrize(
    "name",
    [
        "Request has expired",
        "acme-requester-pays",
        "protected by object lock",
        "BlockPublicAcls",
        "with an explicit deny in a resource-based policy",
        "because no session policy allows the s3:PutObject action",
        'a"quote with an explicit deny in a resource-based policy',
    ],
)
@pytest.mark.parametrize("quote", ['"', "&quot;"])
def test_what_users_call_their_things_decides_nothing(name: str, quote: str) -> None:
    target = f" on resource: {quote}arn:aws:s3:::b/{name}{quote}"
    found = denied(f"{USER}s3:GetObject{target} because no identity-based policy allows the s3:GetObject action")
    assert (found.kind, found.layer, found.explicit) == (OutcomeKind.DENIED, Layer.IDENTITY, False)
    assert found.action == "s3:GetObject"


@pytest.mark.parametrize(
    "message",
    [
        f'{USER}s3:GetObject on resource: "arn:aws:s3:::b/RestrictPublicBuckets, expected bucket owner"',
        f"{USER}s3:GetObject on resource: 'arn:aws:s3:::b/RestrictPublicBuckets, request has expired'",
        f"{USER}s3:GetObject on resource: arn:aws:s3:::b/BlockPublicAcls",
        USER.replace("role/app", "role/BlockPublicPolicy-requester-pays") + "s3:GetObject",
    ],
)
def test_a_denial_without_a_reason_has_none_from_names(message: str) -> None:
    found = denied(message)
    assert (found.kind, found.layer, found.explicit) == (OutcomeKind.DENIED, None, None)


def test_a_copy_that_is_wrapped_inside_of_words_is_read_all_the_same() -> None:
    found = denied(f"{USER}s3:GetObject{TARGET} with an explicit deny in a service con\ntrol pol\nicy: arn:aws:x")
    assert (found.layer, found.explicit) == (Layer.SCP, True)


def test_an_explicit_denial_may_name_no_policy() -> None:
    found = denied(f"{USER}s3:GetObject{TARGET} with an explicit deny")
    assert (found.kind, found.layer, found.explicit) == (OutcomeKind.DENIED, None, True)


def test_blocked_customer_keys_are_a_denial_of_no_policy() -> None:
    found = denied(f"{USER}s3:PutObject{TARGET} because this bucket has blocked server side encryption with SSE-C")
    assert (found.kind, found.layer, found.action) == (OutcomeKind.DENIED, None, "s3:PutObject")


def test_a_bucket_that_aws_disabled_is_denied_explicitly() -> None:
    found = classify(error(403, "AllAccessDisabled", "All access to this object has been disabled"))
    assert (found.kind, found.layer, found.explicit) == (OutcomeKind.DENIED, None, True)


def test_reasons_are_sentences() -> None:
    reason = denied(f"{USER}s3:GetObject{TARGET} with an explicit deny in an identity-based policy").reason
    assert reason == "an identity-based policy denies it explicitly"


def test_a_plain_denial_names_nothing() -> None:
    found = denied("Access Denied")
    assert (found.kind, found.layer, found.explicit, found.action) == (OutcomeKind.DENIED, None, None, None)


@pytest.mark.parametrize(
    "message",
    [
        "Request has expired",
        "Access denied: the bucket requires Requester Pays",
        "x-amz-expected-bucket-owner differs",
        "Request is not yet valid",
        "There were headers present in the request which were not signed",
        "AWS authentication requires a valid Date or x-amz-date header",
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        "Invalid according to Policy: Policy Condition failed",
        "Access Denied because object protected by object lock.",
        "Mfa Authentication must be used for this request",
    ],
)
def test_denied_by_no_policy_is_inconclusive(message: str) -> None:
    assert denied(message).inconclusive
    late = error(200, "AccessDenied", message)
    assert classify(late, operation="DeleteObjects").inconclusive


@pytest.mark.parametrize(
    "code",
    [
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
        "AccountProblem",
        "NotSignedUp",
        "InvalidPayer",
        "InvalidSecurity",
        "SomethingNew",
    ],
)
def test_403s_that_are_no_denials(code: str) -> None:
    assert classify(error(403, code)).inconclusive


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, "PermanentRedirect"),
        (307, "TemporaryRedirect"),
        (400, "ExpiredToken"),
        (400, "InvalidToken"),
        (400, "AuthorizationHeaderMalformed"),
        (400, "BadDigest"),
        (400, "MalformedXML"),
        (404, "NoSuchBucket"),
        (404, "NoSuchKey"),
        (405, "MethodNotAllowed"),
        (409, "OperationAborted"),
        (411, "MissingContentLength"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (501, "NotImplemented"),
        (503, "SlowDown"),
    ],
)
def test_codes_that_say_nothing_about_authorisation(status: int, code: str) -> None:
    found = classify(error(status, code), operation="GetObject")
    assert found.inconclusive
    assert found.code == code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "InvalidObjectState"),
        (404, "NoSuchUpload"),
        (404, "NoSuchTagSet"),
        (404, "NoSuchBucketPolicy"),
        (404, "ObjectLockConfigurationNotFoundError"),
        (412, "PreconditionFailed"),
        (416, "InvalidRange"),
    ],
)
def test_codes_that_only_the_authorised_get(status: int, code: str) -> None:
    assert classify(error(status, code), operation="GetObject").allowed


def test_statuses_without_a_body_that_only_the_authorised_get() -> None:
    for status in (200, 204, 206, 304, 412, 416):
        assert classify(answer(status), operation="HeadObject").allowed
    assert classify(error(412, "Surprise"), operation="GetObject").inconclusive


def test_a_forms_own_answers_count_as_authorised() -> None:
    missing = error(404, "NoSuchKey")
    assert classify(missing, operation="GetObject").inconclusive
    assert classify(missing, operation="PutObjectTagging").allowed
    assert classify(missing, operation="GetObject", authorised=["404 NoSuchKey"]).allowed
    assert classify(missing, operation="PutObjectTagging", authorised=[]).inconclusive
    assert classify(answer(405), authorised=["405"]).allowed


def test_a_head_that_is_refused_names_no_layer() -> None:
    found = classify(answer(403), operation="HeadObject")
    assert (found.kind, found.layer) == (OutcomeKind.DENIED, None)


@pytest.mark.parametrize(
    "body", ["<html><body>403 Forbidden</body></html>", "", '{"message": "Forbidden"}', "<Error>no code</Error>"]
)
def test_a_403_of_something_in_between_is_no_denial(body: str) -> None:
    assert classify(answer(403, body, {"content-type": "text/html"})).inconclusive


def test_a_request_id_of_another_service_is_no_sign_of_s3() -> None:
    assert classify(answer(403, "", {"x-amzn-requestid": "1"}), operation="HeadObject").inconclusive


@pytest.mark.parametrize("status", [304, 403, 404, 412, 416])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<html>no</html>", "text/html"),
        ('{"message": "no"}', "application/json"),
        ("<html><Error><Code>AccessDenied</Code></Error></html>", "Text/HTML; charset=utf-8"),
        ("", "text/html"),
    ],
)
def test_a_page_of_a_proxy_says_nothing_whatever_its_status(status: int, body: str, kind: str) -> None:
    found = classify(answer(status, body, {"content-type": kind}), operation="GetObject", authorised=[str(status)])
    assert found.inconclusive
    assert found.reason == f"a {status} that is not S3's: a proxy, portal or gateway answered"


def test_a_page_of_a_portal_is_no_success() -> None:
    assert classify(answer(200, "<html>sign in</html>", {"content-type": "text/html; charset=utf-8"})).inconclusive
    assert classify(answer(200, "<html>an object</html>", {**S3, "content-type": "text/html"})).allowed


def test_an_object_that_looks_like_an_error_is_still_an_object() -> None:
    body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    assert classify(answer(200, body), operation="GetObject").allowed
    assert classify(answer(200, body), operation="CopyObject").denied


@pytest.mark.parametrize("start", ["", "\ufeff", "  \n", '<?xml version="1.0" encoding="UTF-8"?>\n'])
def test_without_an_operation_an_error_document_is_an_error(start: str) -> None:
    def found(code: str) -> Outcome:
        return classify(answer(200, f"{start}<Error><Code>{code}</Code></Error>"))

    assert found("AccessDenied").denied
    assert found("SlowDown").inconclusive
    assert found("SlowDown").code == "SlowDown"
    assert classify(answer(200, f"{start}<Listing><Error><Code>AccessDenied</Code></Error></Listing>")).allowed


@pytest.mark.parametrize("operation", ["DeleteObjects", "CompleteMultipartUpload", "CopyObject", "UploadPartCopy"])
def test_errors_inside_of_a_success(operation: str) -> None:
    def inside(code: str) -> Outcome:
        body = f"<R><Error><Key>k</Key><Code>{code}</Code><Message>{USER}s3:DeleteObject</Message></Error></R>"
        return classify(answer(200, body), operation=operation)

    assert inside("AccessDenied").denied
    assert inside("AccessDenied").action == "s3:DeleteObject"
    assert inside("PreconditionFailed").allowed
    assert inside("InternalError").inconclusive


@pytest.mark.parametrize(
    "body",
    [
        "<Error><Code>AccessDenied</Code><Message>Access Denied",
        "<Error><Code>AccessDenied</Co",
        "\ufeff<Error><Code>AccessDenied</Code></Error>",
        '<?xml version="1.0"?>\n<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>AccessDenied</Code></Error>',
        '<s3:Error xmlns:s3="x"><s3:Code> AccessDenied </s3:Code><s3:Message>no</s3:Message></s3:Error>',
        "   <Error>\n  <Code>\nAccessDenied\n</Code>\n</Error>",
    ],
)
def test_truncated_and_odd_xml_is_read_all_the_same(body: str) -> None:
    assert classify(answer(403, body)).denied


def test_no_entity_is_ever_expanded() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "AccessDenied">]><Error><Code>&a;</Code><Message>m</Message></Error>'
    found = classify(answer(403, bomb))
    assert found.inconclusive
    assert found.code == "&a;"


@pytest.mark.parametrize(
    "piece", ["<Code>", "<Message>", "<Error>", " ", '"', "'arn:", "User: ", "<a:", "explicit deny in a ", "<?", "arn:"]
)
@pytest.mark.parametrize("start", ["", "<Error><Code>", "<Error><Code>AccessDenied</Code><Message>"])
def test_a_hostile_body_costs_no_time(start: str, piece: str) -> None:
    body = (start + piece * 65_536)[:65_536]
    began = time.process_time()
    assert classify(answer(403, body)).reason
    assert classify(answer(200, body)).reason
    assert time.process_time() - began < 1


def test_what_is_too_long_for_a_code_is_none() -> None:
    found = classify(error(403, "x" * 129))
    assert (found.kind, found.code) == (OutcomeKind.INCONCLUSIVE, None)


def test_messages_are_unescaped_and_on_one_line() -> None:
    found = denied("User: &lt;me&gt;\n  is not   here")
    assert found.message == "User: <me> is not here"


# --- for the action under test ---------------------------------------------------------------------------------------


def outcome(kind: OutcomeKind, action: str | None = None) -> Outcome:
    return Outcome(kind=kind, action=action)


def test_a_denial_counts_for_the_action_that_it_names() -> None:
    found = outcome(OutcomeKind.DENIED, "s3:deleteobject")
    assert for_action(found, action="s3:DeleteObject", helpers=["s3:GetObject"], shown=[]) is found


@pytest.mark.parametrize("action", ["s3:GetObject", "kms:Decrypt"])
def test_a_denial_of_another_action_is_inconclusive(action: str) -> None:
    found = for_action(
        outcome(OutcomeKind.DENIED, action), action="s3:DeleteObject", helpers=["s3:GetObject"], shown=[]
    )
    assert found.inconclusive
    assert action in found.reason


def test_an_unnamed_denial_needs_every_helper_shown() -> None:
    plain = outcome(OutcomeKind.DENIED)
    assert for_action(plain, action="s3:GetObject", helpers=(), shown=()) is plain
    assert for_action(plain, action="s3:DeleteObject", helpers=["s3:GetObject"], shown=["S3:getobject"]) is plain
    missing = for_action(plain, action="s3:DeleteObject", helpers=["s3:GetObject"], shown=[])
    assert missing.inconclusive
    assert "s3:getobject" in missing.reason


@pytest.mark.parametrize("kind", [OutcomeKind.ALLOWED, OutcomeKind.UNREACHABLE, OutcomeKind.INCONCLUSIVE])
def test_anything_but_a_denial_stays(kind: OutcomeKind) -> None:
    found = outcome(kind)
    assert for_action(found, action="s3:DeleteObject", helpers=["s3:GetObject"], shown=[]) is found
