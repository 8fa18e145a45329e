"""Wildcards, ARNs and policy variables, compiled once; matching takes time linear in the text for each star."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Match = Callable[[str], bool]
    Values = Mapping[str, tuple[str, ...]]


_VARIABLE: Final = re.compile(r"\$\{\s*([^{}',\s](?:[^{}',]*[^{}',\s])?)\s*(?:,\s*'([^']*)'\s*)?\}")
_ESCAPES: Final = frozenset("*?$")
STAR: Final = "*"
ONE: Final = "?"


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Wild:
    """`*` (any run) or `?` (one character)."""

    sign: str


@dataclass(frozen=True, slots=True)
class Variable:
    """`${key}`, with the default that stands for it where the key is absent. `key` is in lower case."""

    key: str
    default: str | None


Token = Literal | Wild | Variable
_WILD: Final = {STAR: Wild(STAR), ONE: Wild(ONE)}


def tokens_of(text: str, *, variables: bool, wildcards: bool) -> tuple[Token, ...]:
    """The text in tokens. Without `variables` (policies before 2012-10-17) `${…}` is text like any other.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    found: list[Token] = []
    position = 0
    if variables:
        for match in _VARIABLE.finditer(text):
            found += _plain(text[position : match.start()], wildcards=wildcards)
            name = match.group(1)
            found.append(Literal(name) if name in _ESCAPES else Variable(name.lower(), match.group(2)))
            position = match.end()
    found += _plain(text[position:], wildcards=wildcards)
    return tuple(found)


def _plain(text: str, *, wildcards: bool) -> list[Token]:
    if not wildcards:
        return [Literal(text)] if text else []
    parts = re.split(r"([*?])", text)
    return [_WILD.get(part) or Literal(part) for part in parts if part]


def substituted(tokens: tuple[Token, ...], values: Values, *, wildcards: bool) -> tuple[Token, ...] | None:
    """The tokens with every variable replaced; None where one has no single value and no default.

    With `wildcards`, `*` and `?` in a value are wildcards too.
    """
    found: list[Token] = []
    for token in tokens:
        if isinstance(token, Variable):
            given = values.get(token.key, ())
            text = given[0] if len(given) == 1 else token.default if not given else None
            if text is None:
                return None
            found += _plain(text, wildcards=wildcards)
        else:
            found.append(token)
    return tuple(found)


def has_variables(tokens: tuple[Token, ...]) -> bool:
    return any(isinstance(token, Variable) for token in tokens)


def keys_of(tokens: tuple[Token, ...]) -> frozenset[str]:
    """The condition keys that the variables read."""
    return frozenset(token.key for token in tokens if isinstance(token, Variable))


def glob(tokens: tuple[Token, ...]) -> Match:
    """A function that tells whether a whole text matches tokens without variables."""
    pieces: list[list[Token]] = [[]]
    for token in tokens:
        if isinstance(token, Wild) and token.sign == STAR:
            pieces.append([])
        else:
            pieces[-1].append(token)
    if len(pieces) == 1:
        return _whole(pieces[0])
    if not any(pieces):
        return _everything
    if len(pieces) == 2 and not pieces[1] and not any(isinstance(token, Wild) for token in pieces[0]):
        return _beginning(_text(pieces[0]))
    return _Glob(pieces[0], [piece for piece in pieces[1:-1] if piece], pieces[-1])


def any_glob(patterns: Sequence[tuple[Token, ...]]) -> Match:
    """A function that tells whether a whole text matches any of some tokens without variables.

    Texts without wildcards, and those with one at their end, are looked up together: most policies hold no others.
    """
    exact: list[str] = []
    beginnings: list[str] = []
    others: list[Match] = []
    for tokens in patterns:
        if not any(isinstance(token, Wild) for token in tokens):
            exact.append(_text(list(tokens)))
        elif tokens[-1] == _WILD[STAR] and not any(isinstance(token, Wild) for token in tokens[:-1]):
            beginnings.append(_text(list(tokens[:-1])))
        else:
            others.append(glob(tokens))
    if "" in beginnings:
        return _everything
    if not others and not beginnings:
        return exact[0].__eq__ if len(exact) == 1 else frozenset(exact).__contains__
    start, known = tuple(beginnings), frozenset(exact)
    if not others:
        return (lambda text: text in known or text.startswith(start)) if known else _beginning(start)
    return lambda text: text in known or text.startswith(start) or any_of(others, text)


def any_of(matches: Sequence[Match], text: str) -> bool:
    for match in matches:  # noqa: SIM110 - a loop is faster
        if match(text):
            return True
    return False


def _everything(_text: str) -> bool:
    return True


def _beginning(start: str | tuple[str, ...]) -> Match:
    return lambda text: text.startswith(start)


def _whole(tokens: list[Token]) -> Match:
    if not any(isinstance(token, Wild) for token in tokens):
        return _text(tokens).__eq__
    piece = _Piece(tokens)
    return lambda text: len(text) == piece.length and piece.at(text, 0)


def _text(piece: list[Token]) -> str:
    return "".join(token.text for token in piece if isinstance(token, Literal))


class _Glob:
    """Pieces between stars: the first at the start, the last at the end, the others leftmost in between.

    Every piece has a fixed length, so taking each as far left as it goes misses nothing and never goes back.
    """

    __slots__ = ("_first", "_last", "_middle", "_shortest")

    def __init__(self, first: list[Token], middle: list[list[Token]], last: list[Token]) -> None:
        self._first = _Piece(first)
        self._middle = tuple(_Piece(piece) for piece in middle)
        self._last = _Piece(last)
        self._shortest = self._first.length + sum(piece.length for piece in self._middle) + self._last.length

    def __call__(self, text: str) -> bool:
        if len(text) < self._shortest or not self._first.at(text, 0):
            return False
        end = len(text) - self._last.length
        if not self._last.at(text, end):
            return False
        position = self._first.length
        for piece in self._middle:
            position = piece.after(text, position, end)
            if position < 0:
                return False
        return True


class _Piece:
    """Literals and `?`, of a fixed length."""

    __slots__ = ("_any", "_runs", "_signs", "_text", "length")

    def __init__(self, tokens: list[Token]) -> None:
        self._runs: list[tuple[int, str]] = []
        self._any = position = 0
        for token in tokens:
            if isinstance(token, Literal):
                self._runs.append((position, token.text))
                position += len(token.text)
            else:
                self._any |= 1 << position
                position += 1
        self.length = position
        self._text = None if self._any else _text(tokens)
        self._signs = self._masks() if self._any else {}

    def _masks(self) -> dict[str, int]:
        """For each character a bit for each place where it stands."""
        found: dict[str, int] = {}
        for position, run in self._runs:
            for offset, sign in enumerate(run, position):
                found[sign] = found.get(sign, 0) | 1 << offset
        return found

    def at(self, text: str, position: int) -> bool:
        for offset, run in self._runs:  # noqa: SIM110 - a loop is faster
            if not text.startswith(run, position + offset):
                return False
        return True

    def after(self, text: str, start: int, end: int) -> int:
        """Where the leftmost occurrence within `start:end` ends, -1 where there is none."""
        if self._text is not None:
            found = text.find(self._text, start, end)
            return -1 if found < 0 else found + self.length
        # With `?` in it: all beginnings at once, one bit each (shift-and), so no text is read twice.
        state, goal = 0, 1 << (self.length - 1)
        for position in range(start, end):
            state = ((state << 1) | 1) & (self._signs.get(text[position], 0) | self._any)
            if state & goal:
                return position + 1
        return -1


# --- ARNs ------------------------------------------------------------------------------------------------------------

_PARTS: Final = 6


def arn_parts(text: str) -> list[str] | None:
    """The six parts of an ARN; colons in the last belong to it. None where the text is no ARN."""
    parts = text.split(":", _PARTS - 1)
    return parts if len(parts) == _PARTS else None


@dataclass(frozen=True, slots=True)
class ArnPattern:
    """An ARN with wildcards: each of the six parts is matched on its own, so no wildcard swallows a colon.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """

    parts: tuple[Match, ...]

    def __call__(self, text: str) -> bool:
        found = arn_parts(text)
        if found is None:
            return False
        return all(match(part) for match, part in zip(self.parts, found, strict=True))


def arn_glob(parts: tuple[tuple[Token, ...], ...]) -> Match:
    """The matcher of an ARN pattern whose parts hold no variables."""
    whole = as_whole(parts)
    return ArnPattern(tuple(glob(part) for part in parts)) if whole is None else glob(whole)


def as_whole(parts: tuple[tuple[Token, ...], ...]) -> tuple[Token, ...] | None:
    """The tokens of an ARN pattern for which matching the whole is matching each part; None where it is not.

    It is where no wildcard and no colon stands before the last part.
    """
    head, last = parts[:-1], parts[-1]
    if not all(isinstance(token, Literal) and ":" not in token.text for part in head for token in part):
        return None
    return (Literal("".join(f"{_text(list(part))}:" for part in head)), *last)


def split_arn(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], ...] | None:
    """A pattern's six parts, split at the first colons outside of variables; None where there are fewer."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, Literal):
            parts[-1].append(token)
            continue
        first, *others = token.text.split(":", _PARTS - len(parts))
        parts[-1] += _plain(first, wildcards=False)
        parts += [_plain(text, wildcards=False) for text in others]
    return tuple(map(tuple, parts)) if len(parts) == _PARTS else None
