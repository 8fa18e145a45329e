"""Words in the number that they are counted in."""

from __future__ import annotations


def counted(number: int, word: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
