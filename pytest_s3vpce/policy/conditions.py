"""Condition operators as a table, each value compiled once.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import operator
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.policy.doubts import USUAL, Doubts
from pytest_s3vpce.policy.patterns import (
    STAR,
    any_glob,
    any_of,
    arn_glob,
    arn_parts,
    glob,
    has_variables,
    keys_of,
    split_arn,
    substituted,
    tokens_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_s3vpce.policy.patterns import Token

    Values = Mapping[str, tuple[str, ...]]
    Match = Callable[[str], bool]
    Bind = Callable[[Values], Match]
    """From a request's values to what a policy value matches in that request."""

_LONE_STAR: Final = tokens_of(STAR, variables=False, wildcards=True)
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE | re.ASCII)
_EPOCH: Final = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_EPOCH_DIGITS: Final = 5
"""From this many digits on, a number is seconds since the epoch, not a year."""


class Doubted(dict[str, tuple[str, ...]]):
    """Values of a request that conditions match otherwise than usual."""

    def __init__(self, values: Values, doubts: Doubts) -> None:
        super().__init__(values)
        self.doubts = doubts


def _doubts(values: Values) -> Doubts:
    return values.doubts if isinstance(values, Doubted) else USUAL


def _never(_actual: str) -> bool:
    return False


# --- how each kind of value matches ----------------------------------------------------------------------------------


def _constant(match: Match) -> Bind:
    return lambda _values: match


def _templated(tokens: tuple[Token, ...], make: Callable[[tuple[Token, ...]], Match], *, wildcards: bool) -> Bind:
    """A value with variables: bound for each request; one that has no value matches nothing."""
    if not has_variables(tokens):
        return _constant(make(tokens))

    def bind(values: Values) -> Match:
        bound = substituted(tokens, values, wildcards=wildcards and _doubts(values).wildcards_in_variables)
        return _never if bound is None else make(bound)

    return bind


def _string(text: str, *, variables: bool) -> Bind:
    return _templated(tokens_of(text, variables=variables, wildcards=False), glob, wildcards=False)


def _folded(text: str, *, variables: bool) -> Bind:
    def make(tokens: tuple[Token, ...]) -> Match:
        wanted = "".join(getattr(token, "text", "") for token in tokens).lower()
        return lambda actual: actual.lower() == wanted

    return _templated(tokens_of(text, variables=variables, wildcards=False), make, wildcards=False)


def _like(text: str, *, variables: bool) -> Bind:
    tokens = tokens_of(text, variables=variables, wildcards=True)
    return _templated(tokens, glob, wildcards=True)


def _arn(text: str, *, variables: bool) -> Bind:
    tokens = tokens_of(text, variables=variables, wildcards=True)
    parts = split_arn(tokens)
    if parts is not None and not has_variables(tokens):
        return _constant(arn_glob(parts))

    def whole(values: Values) -> Match:
        """A variable may hold several parts, up to the whole ARN."""
        bound = substituted(tokens, values, wildcards=_doubts(values).wildcards_in_variables)
        return _never if bound is None else _arn_match(bound, values)

    if parts is None:
        return whole

    def by_parts(values: Values) -> Match:
        wildcards = _doubts(values).wildcards_in_variables
        bound = tuple(substituted(part, values, wildcards=wildcards) for part in parts)
        known = tuple(part for part in bound if part is not None)
        return arn_glob(known) if len(known) == len(bound) else _never

    return by_parts


def _arn_match(tokens: tuple[Token, ...], values: Values) -> Match:
    parts = split_arn(tokens)
    if parts is not None:
        return arn_glob(parts)
    return _is_arn if tokens == _LONE_STAR and _doubts(values).lone_star_is_every_arn else _never


def _is_arn(actual: str) -> bool:
    return arn_parts(actual) is not None


def _boolean(text: str, *, variables: bool) -> Bind:
    return _folded(text, variables=variables)


def _binary(text: str, *, variables: bool) -> Bind:  # noqa: ARG001 - variables are no part of binary values
    wanted = _decoded(text)
    return _constant(_never if wanted is None else lambda actual: _decoded(actual) == wanted)


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _address(text: str, *, variables: bool) -> Bind:  # noqa: ARG001 - nor of addresses
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return _constant(_never)
    first, last, version = int(network.network_address), int(network.broadcast_address), network.version

    def match(actual: str) -> bool:
        found = _parsed_address(actual)
        return found is not None and found[0] == version and first <= found[1] <= last

    return _constant(match)


@lru_cache(maxsize=1024)
def _parsed_address(text: str) -> tuple[int, int] | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.version, int(found)


@lru_cache(maxsize=1024)
def _number(text: str) -> Decimal | None:
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return None


@lru_cache(maxsize=1024)
def _instant(text: str) -> float | None:
    """ISO 8601 as W3C has it, or seconds since the epoch: https://www.w3.org/TR/NOTE-datetime."""
    text = text.strip()
    if _EPOCH.fullmatch(text) and len(text) >= _EPOCH_DIGITS:
        return float(text)
    if re.fullmatch(r"\d{4}", text):
        text += "-01-01"
    elif re.fullmatch(r"\d{4}-\d{2}", text):
        text += "-01"
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()


def _ordered(parse: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Callable[..., Bind]:
    def make(text: str, *, variables: bool) -> Bind:  # noqa: ARG001 - nor of numbers and dates
        wanted = parse(text)

        def match(actual: str) -> bool:
            found = parse(actual)
            return wanted is not None and found is not None and bool(compare(found, wanted))

        return _constant(match)

    return make


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operator:
    """How values are compiled; `negated`: none may match; `parse`: an actual that it can't read fails either way."""

    compile: Callable[..., Bind]
    negated: bool = False
    parse: Callable[[str], Any] | None = None


def _family(name: str, make: Callable[..., Bind]) -> dict[str, Operator]:
    return {f"{name}": Operator(make), f"{name.replace('Equals', 'NotEquals')}": Operator(make, negated=True)}


def _comparisons(prefix: str, parse: Callable[[str], Any]) -> dict[str, Operator]:
    equal = _ordered(parse, operator.eq)
    return {
        f"{prefix}Equals": Operator(equal, parse=parse),
        f"{prefix}NotEquals": Operator(equal, negated=True, parse=parse),
        f"{prefix}LessThan": Operator(_ordered(parse, operator.lt), parse=parse),
        f"{prefix}LessThanEquals": Operator(_ordered(parse, operator.le), parse=parse),
        f"{prefix}GreaterThan": Operator(_ordered(parse, operator.gt), parse=parse),
        f"{prefix}GreaterThanEquals": Operator(_ordered(parse, operator.ge), parse=parse),
    }


OPERATORS: Final[Mapping[str, Operator]] = {
    **_family("StringEquals", _string),
    **_family("StringEqualsIgnoreCase", _folded),
    "StringLike": Operator(_like),
    "StringNotLike": Operator(_like, negated=True),
    **_comparisons("Numeric", _number),
    **_comparisons("Date", _instant),
    "Bool": Operator(_boolean),
    "BinaryEquals": Operator(_binary),
    "IpAddress": Operator(_address),
    "NotIpAddress": Operator(_address, negated=True),
    "ArnEquals": Operator(_arn),
    "ArnLike": Operator(_arn),
    "ArnNotEquals": Operator(_arn, negated=True),
    "ArnNotLike": Operator(_arn, negated=True),
}
_BY_LOWER: Final = {name.lower(): name for name in OPERATORS}
_NULL: Final = "null"
_SETS: Final = ("forallvalues:", "foranyvalue:")
_IF_EXISTS: Final = "ifexists"


@lru_cache(maxsize=256)
def parse_operator(name: str) -> tuple[str, str, bool] | None:
    """(`` or `forallvalues` or `foranyvalue`, the operator's own name, IfExists); None where there is no such one."""
    rest = name.lower()
    quantifier = ""
    for prefix in _SETS:
        if not quantifier and rest.startswith(prefix):
            quantifier, rest = prefix.rstrip(":"), rest[len(prefix) :]
    if rest == _NULL:
        return quantifier, "Null", False
    if_exists = rest.endswith(_IF_EXISTS)
    base = rest.removesuffix(_IF_EXISTS)
    return (quantifier, _BY_LOWER[base], if_exists) if base in _BY_LOWER else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One operator on one key. `written` is the operator as the policy has it; `key` is in lower case."""

    written: str
    name: str
    key: str
    wanted: tuple[str, ...]
    quantifier: str
    if_exists: bool
    keys: frozenset[str]
    """The keys it reads: its own and those of its variables."""
    _binds: tuple[Bind, ...]
    _operator: Operator | None
    _absent: bool
    """Whether a request without the key meets it."""
    _single: Match | None
    """Whether one value meets it, where no variable has to be bound for that."""

    def holds(self, values: Values) -> bool:
        """Whether a request with these values meets the condition (by key in lower case; absent ones are absent)."""
        actual = values.get(self.key)
        if not actual:
            return self._absent
        if self._single is not None and len(actual) == 1:
            return self._single(actual[0])
        if self._operator is None:
            return "false" in self.wanted
        matches = [bind(values) for bind in self._binds]
        parse = self._operator.parse
        if parse is not None and any(parse(value) is None for value in (*actual, *self.wanted)):
            return False
        return self._quantified([any(match(value) for match in matches) for value in actual])

    def _quantified(self, hits: Sequence[bool]) -> bool:
        negated = self._operator is not None and self._operator.negated
        good = [not hit for hit in hits] if negated else hits
        # Without a set operator a multivalued key is not reliable on AWS; any of its values may match here.
        if self.quantifier == "forallvalues" or (negated and not self.quantifier):
            return all(good)
        return any(good)

    def why(self, values: Values) -> str:
        """One clause: the key, what it is, and whether that meets the condition."""
        actual = values.get(self.key, ())
        found = f"is {_listed(actual)}" if actual else "is absent"
        verb = "matches" if self.holds(values) else "does not match"
        return f"{self.shown} {found}, so {self.written} {_listed(self.wanted)} {verb}"

    shown: str = ""
    """The key as the policy writes it."""


def _listed(values: Sequence[str]) -> str:
    return f"[{', '.join(values)}]"


@lru_cache(maxsize=2048)
def compile_condition(written: str, key: str, wanted: tuple[str, ...], *, variables: bool) -> Condition:
    """A condition, compiled: the last ones are kept. `written` must be one that `parse_operator` knows."""
    parsed = parse_operator(written)
    assert parsed is not None
    quantifier, name, if_exists = parsed
    row = OPERATORS.get(name)
    texts = tuple(text.lower() for text in wanted) if row is None else wanted
    reads = frozenset({key.lower()}).union(
        *(keys_of(tokens_of(text, variables=variables, wildcards=False)) for text in texts if "${" in text)
    )
    binds = tuple(row.compile(text, variables=variables) for text in texts) if row else ()
    negated = row is not None and row.negated
    absent = if_exists or quantifier == "forallvalues" or (negated and not quantifier)
    return Condition(
        written=written,
        name=name,
        key=key.lower(),
        shown=key,
        wanted=texts,
        quantifier=quantifier,
        if_exists=if_exists,
        keys=reads,
        _binds=binds,
        _operator=row,
        _absent="true" in texts if row is None else absent,
        _single=_single(row, texts, binds, variables=variables) if row else None,
    )


def _single(row: Operator, wanted: tuple[str, ...], binds: tuple[Bind, ...], *, variables: bool) -> Match | None:
    """Whether a single value meets the condition, whatever its set operator; None where that depends on the request."""
    if any("${" in text and has_variables(tokens_of(text, variables=variables, wildcards=False)) for text in wanted):
        return None
    if row.compile is _arn and STAR in wanted:
        return None
    matches = tuple(bind({}) for bind in binds)
    match = matches[0] if len(matches) == 1 else partial(any_of, matches)
    if row.compile in _AT_ONCE:
        wildcards = _AT_ONCE[row.compile]
        match = any_glob([tokens_of(text, variables=variables, wildcards=wildcards) for text in wanted])
    parse = row.parse
    if parse is not None:
        readable = all(parse(text) is not None for text in wanted)
        return lambda actual: readable and parse(actual) is not None and match(actual) is not row.negated
    return (lambda actual: not match(actual)) if row.negated else match


_AT_ONCE: Final[Mapping[Callable[..., Bind], bool]] = {_string: False, _like: True}
"""The operators whose values are looked up together, and whether these have wildcards."""
