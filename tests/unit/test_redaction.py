"""What must never be shown is taken out of every text; names of accounts, buckets and hosts where that is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_s3vpce.redaction import GONE, Level, Names, header_pairs, redacted, scrubbed, without_secrets
from tests.unit.matrices import MATRIX

KEY = "ASIAQ3EGRZJXK2AAAAAA"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEAAaCXVzLWVhc3QtMSJHMEUCIQD"
LAB_TOKEN = "aB3_" * 40
SIGNATURE = "0123456789abcdef" * 4
CREDENTIALS = [KEY, SECRET, TOKEN, LAB_TOKEN, SIGNATURE]


@pytest.mark.parametrize("secret", CREDENTIALS)
@pytest.mark.parametrize("around", ["{}", "before {} after", "({})", '"{}"', "<Token-0>{}</Token-0>", "a={}&b=c"])
def test_credentials_go_wherever_they_stand(secret: str, around: str) -> None:
    text = scrubbed(around.format(secret))
    assert secret not in text
    assert GONE in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            (
                "https://b.example/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID/2026/x&X-Amz-Expires=60"
                "&X-Amz-Signature=abc&x-amz-security-token=t%2Ft&list-type=2"
            ),
            (
                f"https://b.example/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={GONE}&X-Amz-Expires=60"
                f"&X-Amz-Signature={GONE}&x-amz-security-token={GONE}&list-type=2"
            ),
        ),
        ("/k?AWSAccessKeyId=AKID&Signature=a%2Bb&Expires=1", f"/k?AWSAccessKeyId={GONE}&Signature={GONE}&Expires=1"),
        (
            "AWS4-HMAC-SHA256 Credential=AKID/x, SignedHeaders=host, Signature=abc\nnext",
            f"AWS4-HMAC-SHA256 {GONE}\nnext",
        ),
        ("Bearer abcdefgh.ijk then", f"Bearer {GONE} then"),
        ('{"SecretAccessKey": "short", "a": 1}', f'{{"SecretAccessKey": {GONE}, "a": 1}}'),
        ("aws_session_token = short", f"aws_session_token = {GONE}"),
        ("<StringToSign>AWS4\nx</StringToSign>", f"<StringToSign>{GONE}</StringToSign>"),
        ("<SignatureProvided>cut o", f"<SignatureProvided>{GONE}"),
    ],
)
def test_what_carries_a_secret_by_name_keeps_its_name(text: str, shown: str) -> None:
    assert scrubbed(text) == shown
    assert scrubbed(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "GetObject/reports/app:app-subnet/https",
        "arn:aws:iam::111122223333:role/app",
        "User: arn:aws:sts::111122223333:assumed-role/app/s3vpce-1 is not authorized to perform: s3:GetObject",
        "the signature is wrong: SignatureDoesNotMatch",
        "REQ1234567890ABC",
        "host;x-amz-content-sha256;x-amz-date",
        "Kq3k9m8b7v6c5x4z3a2s1d0f9g8h7j6k5l4Kq3k9m8b7v6c5x4z3a2s1d0f9g8h7j6k5lA=",
        "secret",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrubbed(text) == text


def test_secret_headers_are_shown_by_name_only() -> None:
    pairs = [("Authorization", "x"), ("X-Amz-Security-Token", "y"), ("Set-Cookie", "z"), ("Server", "AmazonS3")]
    assert header_pairs(pairs) == (
        ("Authorization", GONE),
        ("X-Amz-Security-Token", GONE),
        ("Set-Cookie", GONE),
        ("Server", "AmazonS3"),
    )


def test_a_matrix_without_secrets_stays_the_same_object() -> None:
    assert without_secrets(MATRIX) is MATRIX
    noted = replace(MATRIX, notes=(f"the key is {KEY}",))
    assert without_secrets(noted) == replace(MATRIX, notes=(f"the key is {GONE}",))
    assert without_secrets({"a": [KEY, 1, None]}) == {"a": [GONE, 1, None]}


NAMES = Names(accounts={"111122223333": "main"}, buckets={"rep": "short", "rep-111122223333": "reports"})
TEXT = "https://rep-111122223333.s3.example from 10.0.0.1 by 999900001111, rep, rep2, ip-10-1-2-3 and [2001:db8::1]:443"


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (Level.SECRETS, TEXT),
        (
            Level.ACCOUNTS,
            (
                "https://rep-[account main].s3.example from 10.0.0.1 by [account], rep, rep2, ip-10-1-2-3 and "
                "[2001:db8::1]:443"
            ),
        ),
        (
            Level.BUCKETS,
            (
                "https://[bucket reports].s3.example from 10.0.0.1 by [account], [bucket short], rep2, ip-10-1-2-3 and "
                "[2001:db8::1]:443"
            ),
        ),
        (
            Level.ADDRESSES,
            (
                "https://[bucket reports].s3.example from [address] by [account], [bucket short], rep2, "
                "ip-[address] and [address]:443"
            ),
        ),
    ],
)
def test_each_level_takes_out_what_those_before_it_do(level: Level, shown: str) -> None:
    assert redacted(TEXT, level=level, names=NAMES) == shown


@pytest.mark.parametrize("text", ["12:30:45", "s3::x", "1.2.3.4.5", "vpce-0123", "999.1.2.3", "arn:aws:s3:::b"])
def test_what_is_no_address_stays(text: str) -> None:
    assert redacted(text, level=Level.ADDRESSES, names=Names()) == text


def test_names_that_a_matrix_gives_its_rows_stay() -> None:
    names = Names(buckets={"reports": "reports", "app": "x"})
    found = redacted(MATRIX, level=Level.ADDRESSES, names=names)
    assert [row.id for row in found.cells] == [row.id for row in MATRIX.cells]
    assert found.cells[0].principal == "app"
    assert found.cells[0].sent is not None
    assert found.cells[0].sent.url == "https://[bucket reports].example/key"
    assert found.cells[0].received is not None
    assert found.cells[0].received.peer == "[address]:443"
