"""The terminal report: readable without colour, at any width and encoding, and nothing in it steers the terminal."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.matrix import Call, Received, Sent, Timings
from pytest_s3vpce.report.terminal import Colour, Detail, render, render_here
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from pytest_s3vpce.matrix import Matrix


def page(
    matrix: Matrix = MATRIX,
    *,
    colour: Colour = Colour.PLAIN,
    width: int = 120,
    encoding: str = "utf-8",
    detail: Detail = Detail.NORMAL,
) -> str:
    return render(matrix, colour=colour, width=width, encoding=encoding, detail=detail)


def row_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.lstrip("│| ").startswith(start))


def test_it_says_whether_it_was_the_lab() -> None:
    assert page().startswith("embedded lab: measured against this project's AWS look-alike, not against AWS\n")
    live = page(replace(MATRIX, mode="live"))
    assert live.startswith("live: measured against AWS\nrun abcd1234: 8 cells, 3 claims in 2.5 s")


def test_the_table_shows_what_was_measured_and_what_was_wanted() -> None:
    text = page()
    head = row_of(text, "operation")
    assert head.index("inside") < head.index("outside")
    assert "vpce-012345678" in text
    assert "no endpoint" in text
    got = row_of(text, "GetObject")
    assert "✔ allowed" in got
    assert "✔ denied*" in got
    put = row_of(text, "PutObject")
    assert "? inconclusive, want allow" in put
    assert "✘ allowed, want deny" in put
    assert "✔ unreachable" in row_of(text, "HeadObject+v (http)")
    assert "* uncontrolled: nothing in this run shows" in text


def test_the_claims_carry_verdict_sentence_and_coverage() -> None:
    text = page()
    assert (
        "✔ proven  endpoint-only/reports\n    3 cells allowed\n    tried: GetObject by app from inside, key k" in text
    )
    assert "✘ refuted  tls-only/reports" in text
    assert "? inconclusive  cross-account/reports\n    nothing was reached" in text
    assert "not covered: an exemption" in text


def test_each_failure_says_what_was_sent_came_back_and_where_to_look() -> None:
    text = page()
    start = text.index("✘ PutObject/reports/app:outside/https")
    part = " ".join(text[start:].split("\n\n", maxsplit=1)[0].split())
    assert "expected deny (/x/test_a.access.yaml:3:5), got allowed: because" in part
    assert "sent: GET https://reports.example/key, by app from outside" in part
    assert "came back: status 403, Code, no" in part
    assert "request REQ1, peer 192.0.2.1:443, TLSv1.3" in part
    assert "look at: the bucket policy" in part
    assert "recorded: a data event: by vpce-1, TLSv1.3, no error" in part
    assert "layer: identity" in text
    assert "came back: dns: no" in text


def test_each_unproven_claim_lists_what_was_not_good() -> None:
    text = page()
    part = text[text.index("✘ tls-only/reports  refuted") :].split("\n\n", maxsplit=1)[0]
    assert "bad: http was allowed" in part
    assert "missing: path not read" in part
    assert "it reaches" not in part
    assert "cell: GetObject/reports/app:inside/http" in part


def test_notes_tell_of_broken_vantage_points_and_canaries() -> None:
    text = page()
    assert "notes\n  broken: it can't be no" in text
    assert "the canary of reports: it CHANGED during the run" in text


@pytest.mark.parametrize("colour", Colour)
def test_nothing_from_the_network_steers_the_terminal(colour: Colour) -> None:
    text = page(colour=colour)
    assert "\x1b[2J" not in text
    assert "\r" not in text
    assert r"\x1b[2J" in text
    assert ("\x1b[32m" in text) is (colour is Colour.ANSI)


def nasty(value: Any) -> Any:
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return f"{value}\x1b[2J\r\n\x9b2J\u202e"
    if isinstance(value, tuple):
        return tuple(nasty(part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{row.name: nasty(getattr(value, row.name)) for row in fields(value)})
    return value


def test_a_report_that_was_read_back_steers_nothing_by_any_of_its_texts() -> None:
    text = page(nasty(MATRIX), width=300)
    assert all(sign == "\n" or sign.isprintable() for sign in text)
    assert len(text.splitlines()) < 3 * len(page(width=300).splitlines())
    assert r"reports\x1b[2J" in text


def test_without_colour_there_is_no_escape_at_all() -> None:
    assert "\x1b" not in page()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-encoding"])
def test_plain_characters_where_the_encoding_has_no_others(encoding: str) -> None:
    text = page(encoding=encoding)
    text.encode("ascii")
    assert "+ allowed" in row_of(text, "GetObject")
    assert "x allowed, want deny" in row_of(text, "PutObject")


def test_names_that_the_encoding_does_not_have_are_escaped() -> None:
    named = replace(MATRIX, notes=("clé €",))
    assert r"cl\xe9 \u20ac" in page(named, encoding="ascii")
    assert "clé €" in page(named)


@pytest.mark.parametrize("width", [40, 60, 70, 200])
def test_a_narrow_terminal_gets_several_tables(width: int) -> None:
    text = page(width=width)
    tables = text.count("│ operation")
    assert tables == (1 if width == 200 else 2)
    assert text.count("inside") > 2


def test_an_empty_matrix_is_a_head_and_a_verdict() -> None:
    empty = replace(MATRIX, cells=(), claims=(), vantages=(), notes=(), calls=())
    assert page(empty).splitlines()[2:] == ["", "✘ no cell and no claim was measured"]


def test_a_path_that_nobody_read_is_unknown() -> None:
    assert "path unknown" in page(replace(MATRIX, vantages=()))
    bare = replace(MATRIX, cells=(replace(MATRIX.cells[2], sent=None, received=None, hint="", expect=None),))
    assert "expected nothing" in page(bare)


def test_calls_of_tests_own_code_are_counted() -> None:
    def call(vantage: str, client: str, *, principal: str | None = None, failure: str | None = None) -> Call:
        return Call(
            client=client,
            method="GET",
            host="b.example",
            path="/k",
            vantage=vantage,
            principal=principal,
            at=1.0,
            seconds=0.1,
            failure=failure,
        )

    calls = (
        call("inside", "boto3", principal="app"),
        call("inside", "boto3", principal="app", failure="refused"),
        call("inside", "boto3", principal="app", failure="refused"),
        call("inside", "boto3", principal="app", failure="dns"),
        call("internet", "resolve"),
    )
    text = page(replace(MATRIX, cells=(), claims=(), vantages=(), notes=(), calls=calls))
    assert text.endswith("calls of tests' own code\n  app:inside  boto3: 4 (2 refused, 1 dns)\n  internet  resolve: 1")


def test_quiet_tells_the_verdicts_alone() -> None:
    text = page(detail=Detail.QUIET)
    assert "operation" not in text
    assert "tried:" not in text
    assert "✘ refuted  tls-only/reports" in text
    assert "✘ PutObject/reports/app:outside/https\n" in text
    assert "came back" not in text
    assert text.endswith("✘ 3 of 7 cells as expected, 1 of 3 claims proven, 1 refuted, 1 uncontrolled")


def test_verbose_tells_what_claims_rest_on() -> None:
    assert "good: reach: it reaches" not in page()
    assert "good: reach: it reaches" in page(detail=Detail.VERBOSE)


def test_very_verbose_tells_every_cells_evidence() -> None:
    headed = replace(
        MATRIX.cells[0],
        sent=Sent(method="GET", url="https://x/", signed_at=1.0, headers=(("Range", "bytes=0-0"),)),
        received=Received(
            status=206, dns=("192.0.2.7",), headers=(("server", "AmazonS3"),), timings=Timings(total=0.25)
        ),
    )
    text = page(replace(MATRIX, cells=(headed, *MATRIX.cells[1:])), detail=Detail.FULL)
    assert "  GetObject/reports/app:inside/https\n    expected allow" in text
    assert "      sent Range: bytes=0-0\n      came back server: AmazonS3\n" in text
    assert "      DNS 192.0.2.7, milliseconds: total 250.0" in text
    assert "DNS none, milliseconds: none" in text
    assert text.count("PutObject/reports/app:outside/https\n") == 1


@pytest.mark.parametrize(
    ("verbosity", "detail"),
    [
        (-3, Detail.QUIET),
        (-1, Detail.QUIET),
        (0, Detail.NORMAL),
        (1, Detail.VERBOSE),
        (2, Detail.FULL),
        (9, Detail.FULL),
    ],
)
def test_pytests_options_choose_the_detail(verbosity: int, detail: Detail) -> None:
    assert Detail.of(verbosity) is detail


@pytest.mark.parametrize(("columns", "widest"), [("100", 100), ("1000", 240)])
def test_this_processs_terminal_says_how_wide(monkeypatch: pytest.MonkeyPatch, columns: str, widest: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    long = replace(MATRIX, cells=(), notes=(" ".join(["word"] * 1000),))
    text = render_here(long, colour=Colour.PLAIN, verbosity=0)
    assert widest - 5 < max(map(len, text.splitlines())) <= widest
    assert "3 cells allowed" in text
    assert "tried: " not in render_here(long, colour=Colour.PLAIN, verbosity=-1)


def test_the_summary_is_the_last_line() -> None:
    assert page().splitlines()[-1].startswith("✘ 3 of 7 cells as expected")
    good = replace(MATRIX, cells=MATRIX.cells[:1], claims=MATRIX.claims[:1], calls=(), notes=(), vantages=())
    assert page(good, encoding="ascii").splitlines()[-1] == "+ 1 of 1 cells as expected, 1 of 1 claims proven"
