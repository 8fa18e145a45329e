"""Lines in, lines out: a filter that never lets a line wait for the next, nor flushes while others are at hand."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READ: Final = 1 << 16


class Source(Protocol):
    """Bytes, as many as are there: it waits for some only."""

    def read1(self, size: int, /) -> bytes: ...


def answer_lines(source: Source, sink: IO[str], *, answer: Callable[[str], tuple[str, bool]]) -> bool:
    """Answers line by line, in constant memory; False where one could not be answered."""
    good = True
    for lines in _lines_at_hand(source):
        for line in lines:
            if not line.strip():
                continue
            text, answered = _answered(line, answer)
            good = good and answered
            sink.write(text + "\n")
        sink.flush()
    return good


def _answered(line: bytes, answer: Callable[[str], tuple[str, bool]]) -> tuple[str, bool]:
    try:
        return answer(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return json.dumps({"id": None, "error": "the line is not UTF-8"}), False


def _lines_at_hand(source: Source) -> Iterator[list[bytes]]:
    """The lines that one read completes, then those of the next."""
    begun: list[bytes] = []
    while chunk := source.read1(_READ):
        first, *lines = chunk.split(b"\n")
        begun.append(first)
        if lines:
            whole, begun = b"".join(begun), [lines.pop()]
            yield [whole, *lines]
    yield [b"".join(begun)]
