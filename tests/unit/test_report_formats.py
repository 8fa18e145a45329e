"""Every format at once: planted secrets are in none, and nothing of others acts in any."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.matrix import AccountResult, BucketResult, Matrix
from pytest_s3vpce.model import Answer, Outcome, OutcomeKind, SignedRequest
from pytest_s3vpce.redaction import GONE, Level, names_of, redacted, without_secrets
from pytest_s3vpce.report import csv as csv_report
from pytest_s3vpce.report import html as html_report
from pytest_s3vpce.report import markdown
from pytest_s3vpce.report.compare import FORMATS, changes
from pytest_s3vpce.report.history import render as history_page
from pytest_s3vpce.report.terminal import Colour, render
from pytest_s3vpce.run.results import _received, _sent, judged
from pytest_s3vpce.run.verdicts import verdicts_of
from tests.unit.manycells import with_texts
from tests.unit.matrices import MATRIX
from tests.unit.test_redaction import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable


def junit(matrix: Matrix) -> str:
    rows = verdicts_of(matrix).values()
    return "\n".join(f"{row.text}\n{row.properties()}" for row in rows)


def compared(form: Callable[[Any], str]) -> Callable[[Matrix], str]:
    return lambda matrix: form(changes(replace(MATRIX, cells=(), claims=()), matrix))


WAYS: dict[str, Callable[[Matrix], str]] = {
    "json": Matrix.to_json,
    "html": html_report.render,
    "markdown": markdown.render,
    "csv": csv_report.render,
    "terminal": lambda matrix: render(matrix, colour=Colour.PLAIN, width=120),
    "coloured": lambda matrix: render(matrix, colour=Colour.ANSI, width=120),
    "junit": junit,
    "history": lambda matrix: history_page([matrix]),
    **{f"diff-{name}": compared(form) for name, form in FORMATS.items()},
}


@dataclass(frozen=True)
class Planted:
    """A matrix in which every field of a request and of an answer holds a secret."""

    matrix: Matrix

    @classmethod
    def of(cls, secret: str) -> Planted:
        answer = Answer(
            id="r0",
            status=403,
            headers={
                "x-amz-request-id": f"R {secret}",
                "server": secret,
                secret: "name",
                "set-cookie": f"c={secret}",
                "location": f"https://x/?X-Amz-Signature={secret}",
            },
            body=f"<Error><Token-0>{secret}</Token-0></Error>".encode(),
            detail=f"it said {secret}",
            dns=(secret,),
            peer=secret,
            local=secret,
            tls=secret,
            cipher=secret,
        )
        request = SignedRequest(
            id="r0",
            method="GET",
            url=f"https://b.example/k?X-Amz-Security-Token={secret}&X-Amz-Credential={secret}%2F2026&x={secret}",
            headers=(("Authorization", f"AWS4-HMAC-SHA256 Credential={secret}"), ("X-Amz-Meta", secret)),
            body=secret.encode(),
        )
        outcome = Outcome(kind=OutcomeKind.DENIED, action=secret, code=secret, message=secret, reason=f"why {secret}")
        cell = replace(
            MATRIX.cells[2],
            measured=judged(outcome),
            counted=judged(outcome),
            sent=_sent(request),
            received=_received(answer),
            hint=f"look {secret}",
        )
        claim = with_texts(MATRIX.claims[1], f" {secret}")
        call = replace(MATRIX.calls[0], host=secret, path=f"/{secret}", failure=secret, peer=secret)
        vantage = replace(MATRIX.vantages[2], error=f"gone {secret}")
        made = replace(MATRIX, cells=(cell,), claims=(claim,), calls=(call,), vantages=(vantage,), notes=(secret,))
        return cls(without_secrets(made))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secret", CREDENTIALS, ids=["key", "secret", "token", "lab-token", "signature"])
def test_no_planted_secret_is_in_what_is_written(way: str, secret: str) -> None:
    text = WAYS[way](Planted.of(secret).matrix)
    assert secret not in text
    assert GONE in text or way.startswith("diff")


@pytest.mark.parametrize("way", WAYS)
def test_what_a_level_takes_out_is_in_nothing_that_is_written(way: str) -> None:
    real = "111122223333 rep-real-name 10.9.8.7"
    named = replace(
        with_texts(MATRIX, ""),
        accounts=(AccountResult(name="main", id="111122223333", region="eu-west-1"),),
        buckets=(BucketResult(label="reports", name="rep-real-name", account="main"),),
        notes=(real,),
        cells=tuple(
            replace(
                cell,
                hint=real,
                counted=replace(cell.counted, reason=real),
                measured=replace(cell.measured, message=real),
            )
            for cell in MATRIX.cells
        ),
        calls=(replace(MATRIX.calls[0], host=real, peer=real),),
        claims=tuple(replace(claim, sentence=real) for claim in MATRIX.claims),
    )
    text = WAYS[way](redacted(named, level=Level.ADDRESSES, names=names_of(named)))
    for secret in real.split():
        assert secret not in text


STEERING = "\x1b[2J\x1b]0;title\x07\r\x08\x00\x9b2J\u202e\u2066"


@pytest.mark.parametrize("way", WAYS)
def test_nothing_steers_who_looks_at_it(way: str) -> None:
    text = WAYS[way](with_texts(MATRIX, STEERING))
    if way == "coloured":
        for colour in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[0m"):
            text = text.replace(colour, "")
    if way == "csv":
        text = text.replace("\r\n", "\n")
    assert not {sign for sign in text if sign != "\n" and not sign.isprintable()}


def test_html_in_markdown_is_text() -> None:
    acting = "<script>alert(1)</script></details>\n# Head\n[x](javascript:1) @team | ``` "
    text = markdown.render(with_texts(MATRIX, acting))
    outside = re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)
    assert "<script" not in outside
    assert text.count("\n# Head") == 0
    assert "@team" not in outside
    assert "](" not in outside


def test_a_formula_in_any_field_is_text() -> None:
    for row in csv.reader(io.StringIO(csv_report.render(formulas()))):
        for value in row:
            assert not value.startswith(("=", "+", "-", "@"))


def formulas() -> Matrix:
    cell = MATRIX.cells[1]
    assert cell.sent is not None
    assert cell.received is not None
    formula = "=cmd|' /C calc'!A0"
    return replace(
        MATRIX,
        run_id=formula,
        mode=formula,
        cells=(
            replace(
                cell,
                id=formula,
                bucket=formula,
                principal=formula,
                vantage=formula,
                hint=formula,
                measured=replace(cell.measured, code=formula, message=formula),
                counted=replace(cell.counted, reason=formula),
                sent=replace(cell.sent, method=formula, url=formula),
                received=replace(cell.received, request_id=formula, peer=formula, tls=formula),
            ),
        ),
    )


def test_what_was_hostile_is_read_back_as_it_was() -> None:
    hostile = with_texts(MATRIX, f"{STEERING}<script>&\U0001f600")
    assert Matrix.from_json(hostile.to_json()) == hostile
    assert json.loads(hostile.to_json())["notes"] == list(hostile.notes)
