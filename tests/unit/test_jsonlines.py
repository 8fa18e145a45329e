"""The filter's loop: lines are answered when they are whole, and flushed when no other is at hand."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_s3vpce.jsonlines import answer_lines

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pieces:
    """Bytes that come in pieces, with what was flushed when each was asked for."""

    def __init__(self, pieces: Sequence[bytes], sink: Flushed) -> None:
        self._pieces = iter(pieces)
        self._sink = sink
        self.seen: list[list[str]] = []

    def read1(self, size: int, /) -> bytes:
        self.seen.append(list(self._sink.flushed))
        return next(self._pieces, b"")


class Flushed(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.flushed: list[str] = []
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        self.flushed = self.getvalue().splitlines()


def answered(*pieces: bytes) -> tuple[bool, Pieces, Flushed]:
    sink = Flushed()
    source = Pieces(pieces, sink)
    good = answer_lines(source, sink, answer=lambda line: (line.upper().strip(), "!" not in line))
    return good, source, sink


def test_whole_lines_are_answered_before_more_is_read_and_flushed_together() -> None:
    good, source, sink = answered(b"a\nb\nc", b"c\n", b"d")
    assert source.seen == [[], ["A", "B"], ["A", "B", "CC"], ["A", "B", "CC"]]
    assert (good, sink.flushed, sink.flushes) == (True, ["A", "B", "CC", "D"], 3)


def test_blank_lines_are_none_and_bad_ones_are_told() -> None:
    good, _, sink = answered(b"\n  \r\na!\n\n", b"\xff\n", b"b\r\n")
    assert good is False
    assert sink.flushed == ["A!", json.dumps({"id": None, "error": "the line is not UTF-8"}), "B"]
    assert answered(b"\xff")[0] is False
    assert answered()[2].flushed == []


@given(st.lists(st.sampled_from(["a", "bb", "", "ü" * 9]), max_size=6), st.integers(1, 7))
@settings(database=None)
def test_where_reads_end_makes_no_difference(lines: list[str], size: int) -> None:
    given = "\n".join(lines).encode()
    pieces = [given[start : start + size] for start in range(0, len(given), size)]
    assert answered(*pieces)[2].flushed == [line.upper() for line in lines if line]


@pytest.mark.parametrize("count", [100_000])
def test_a_line_of_many_reads_takes_time_in_proportion(count: int) -> None:
    assert answered(*[b"x" * 10] * count, b"\n")[2].flushed == ["X" * 10 * count]
