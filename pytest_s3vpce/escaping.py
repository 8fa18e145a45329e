"""Text of others, shown to people."""

from __future__ import annotations


def escaped(text: str) -> str:
    """The text with control characters escaped: what comes from the network, or a file, must not steer a terminal."""
    if text.isprintable():  # most are, and a large matrix has a hundred thousand
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
