"""Whatever is sent to be authenticated is answered by a refusal of S3's, never by a failure of the lab's."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_s3vpce.lab.authentication import authenticate
from pytest_s3vpce.lab.postpolicy import check_policy
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.signatures import Secret
from pytest_s3vpce.lab.stsforms import packed_percent, session_form
from pytest_s3vpce.lab.wire import HttpRequest
from tests.unit.labstage import INTERNET

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "AKIAIOSFODNN7EXAMPLE"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECRETS = {KEY: Secret(secret_access_key="secret")}
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
NAMES = st.sampled_from(
    [
        "AWSAccessKeyId",
        "Signature",
        "Expires",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "x-amz-security-token",
        "acl",
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [KEY, "1", "-1", "9" * 30, "AWS4-HMAC-SHA256", f"{KEY}/20261125/us-east-1/s3/aws4_request", "host"]
    ),
    TEXT,
)
FIELDS = st.sampled_from(
    ["key", "policy", "signature", "AWSAccessKeyId", "x-amz-credential", "x-amz-signature", "x-amz-date", "file", "acl"]
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def request_of(*, target: str = "/", method: str = "GET", headers: Any = (), body: bytes = b"") -> HttpRequest:
    host = "b.s3.amazonaws.com"
    return HttpRequest(
        method=method,
        target=target,
        headers=(("Host", host), *headers),
        body=body,
        host=host,
        scheme="https",
        tls="TLSv1.3",
        origin=INTERNET,
        peer="p",
    )


def refusal_of(call: Callable[[], object]) -> Refused | None:
    try:
        call()
    except Refused as refused:
        return refused
    return None


def is_answered(request: HttpRequest) -> bool:
    """Whether it is authenticated or refused as AWS would, with no other exception and no secret told."""
    refused = refusal_of(lambda: authenticate(request, lookup=SECRETS.get, now=NOW))
    if refused is None:
        return True
    return 400 <= refused.status < 500 and bool(refused.code) and "secret" not in refused.message


@QUICK
@given(
    authorization=st.one_of(
        TEXT,
        st.builds("AWS {}:{}".format, VALUES, VALUES),
        st.builds("AWS4-HMAC-SHA256 Credential={}, SignedHeaders={}, Signature={}".format, VALUES, VALUES, VALUES),
    ),
    date=st.one_of(TEXT, st.just("Wed, 25 Nov 2026 12:00:00 GMT"), st.just("20261125T120000Z")),
)
def test_any_header_is_answered(authorization: str, date: str) -> None:
    for name in ("Date", "X-Amz-Date"):
        assert is_answered(request_of(headers=(("Authorization", authorization), (name, date))))


@QUICK
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_any_query_is_answered(pairs: list[tuple[str, str]]) -> None:
    from urllib.parse import quote

    query = "&".join(f"{name}={quote(value, safe='/', encoding='latin-1')}" for name, value in pairs)
    assert is_answered(request_of(target=f"/k?{query}"))


@QUICK
@given(body=st.one_of(st.binary(max_size=80), st.lists(st.tuples(FIELDS, VALUES), max_size=8)))
def test_any_form_is_answered(body: Any) -> None:
    if isinstance(body, list):
        parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in body]
        body = ("".join(parts) + "--b--\r\n").encode()
    kind = (("Content-Type", "multipart/form-data; boundary=b"),)
    assert is_answered(request_of(method="POST", headers=kind, body=body))


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@QUICK
@given(
    document=st.one_of(
        JSON,
        st.fixed_dictionaries(
            {
                "expiration": st.one_of(JSON, st.just("2026-11-26T00:00:00Z")),
                "conditions": st.lists(
                    st.one_of(JSON, st.tuples(st.sampled_from(["eq", "content-length-range"]), JSON, JSON)), max_size=4
                ),
            }
        ),
    )
)
def test_any_policy_document_is_answered(document: Any) -> None:
    text = base64.b64encode(json.dumps(document).encode()).decode()
    with pytest.raises(Refused) as caught:
        check_policy(text, fields={"key": "k"}, bucket="b", size=1, now=NOW)
    assert caught.value.status in {400, 403}


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(
            ["Policy", "Tags.member.1.Key", "Tags.member.1.Value", "Tags.member.2.Key", "TransitiveTagKeys.member.1"]
        ),
        VALUES | JSON.map(json.dumps),
    )
)
def test_any_session_is_answered(form: dict[str, str]) -> None:
    refused = refusal_of(lambda: packed_percent(session_form(form)))
    assert refused is None or refused.status == 400
