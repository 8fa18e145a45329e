"""Presigned URLs: signed as botocore signs them, dated back, and nothing of the signature in the headers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
from botocore.config import Config

from pytest_s3vpce.model import Cell, SignedRequest, Target
from pytest_s3vpce.presigning import Presign, presigned
from pytest_s3vpce.probe import Credentials, Destination, Probe, ProbeBuilder

_KEYS = Credentials(access_key_id="AKIAEXAMPLE", secret_access_key="hush", session_token="token/+=")


def _request(url: str = "https://b.s3.eu-west-1.amazonaws.com/a%20b?x-id=GetObject") -> SignedRequest:
    return SignedRequest(
        id="1", method="GET", url=url, headers=(("Range", "bytes=0-0"),), body=b"", signed_at=0.0, tls=None, max_body=1
    )


def _query(request: SignedRequest) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


def test_the_signature_stands_in_the_url() -> None:
    found = presigned(_request(), _KEYS, region="eu-west-1", presign=Presign(expires=60))
    query = _query(found)
    assert query["X-Amz-Expires"] == "60"
    assert query["X-Amz-SignedHeaders"] == "host;range"
    assert query["X-Amz-Security-Token"] == "token/+="
    assert query["X-Amz-Credential"].startswith("AKIAEXAMPLE/")
    assert "eu-west-1/s3/aws4_request" in query["X-Amz-Credential"]
    assert found.headers == _request().headers
    assert "hush" not in repr(found)


def test_it_is_dated_back() -> None:
    date = _query(presigned(_request(), _KEYS, region="eu-west-1", presign=Presign(age=7200)))["X-Amz-Date"]
    signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert 7190 < (datetime.now(UTC) - signed).total_seconds() < 7300


def test_it_is_what_botocore_signs() -> None:
    session = botocore.session.Session()
    session.set_credentials(_KEYS.access_key_id, _KEYS.secret_access_key, _KEYS.session_token)
    config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    client: Any = session.create_client("s3", region_name="eu-west-1", config=config)
    for _ in range(3):  # the second may pass between the two
        theirs = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=3600)
        bare = SignedRequest(
            id="1",
            method="GET",
            url=theirs.split("?")[0],
            headers=(),
            body=b"",
            signed_at=0.0,
            tls=None,
            max_body=1,
        )
        ours = presigned(bare, _KEYS, region="eu-west-1", presign=Presign())
        if _query(ours)["X-Amz-Date"] == parse_qs(urlsplit(theirs).query)["X-Amz-Date"][0]:
            break
    assert _query(ours)["X-Amz-Signature"] == parse_qs(urlsplit(theirs).query)["X-Amz-Signature"][0]


def test_a_probe_can_be_a_presigned_url() -> None:
    cell = Cell(
        operation="GetObject",
        action="s3:GetObject",
        target=Target(bucket="reports"),
        principal="link",
        vantage="internet",
    )
    builder = ProbeBuilder(user_agent="test")
    destination = Destination(bucket="reports-bucket", owner="111122223333", region="eu-west-1", key="c")
    found = builder.build(
        Probe(cell=cell), request_id="1", destination=destination, credentials=_KEYS, presign=Presign(age=60)
    )
    query = _query(found)
    assert "x-amz-expected-bucket-owner" in query["X-Amz-SignedHeaders"]
    assert not [name for name, _ in found.headers if name.lower() in ("authorization", "x-amz-security-token")]
    assert found.signed_at == 0.0
