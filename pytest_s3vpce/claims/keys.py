"""Condition keys as S3 saw them: what readings say of SourceVpce, SourceVpc, SourceIp, SecureTransport, TlsVersion.

Each hypothesis is a session that may read one object and is denied even that unless a key has one value
(`claims.readings`): only an *allowed* reading says anything. What no hypothesis fits is unknown, never guessed.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.claims.findings import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_s3vpce.model import Outcome

    Ask = Callable[[Sequence[str]], Sequence[Outcome]]
    """Sends the same request once with a session of each policy."""

SOURCE_VPCE: Final = "aws:SourceVpce"
SOURCE_VPC: Final = "aws:SourceVpc"
SOURCE_IP: Final = "aws:SourceIp"
SECURE_TRANSPORT: Final = "aws:SecureTransport"
TLS_VERSION: Final = "s3:TlsVersion"
KEYS: Final = (SOURCE_VPCE, SOURCE_VPC, SOURCE_IP, SECURE_TRANSPORT, TLS_VERSION)
# Negated operators match where the key is absent, so such a deny spares one value and nothing else:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
_UNLESS: Final[Mapping[str, str]] = {
    SOURCE_VPCE: "StringNotEquals",
    SOURCE_VPC: "StringNotEquals",
    SOURCE_IP: "NotIpAddress",
    TLS_VERSION: "NumericNotEquals",
}
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {SECURE_TRANSPORT: ("true", "false"), TLS_VERSION: ("1.2", "1.3")}
_BITS: Final = 2
"""Of an IPv4 address so many are read at a time: of four networks one is the caller's."""


class KeyState(StrEnum):
    """What is known of a key."""

    VALUE = "value"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReading:
    """One key: its value as S3 saw it, or that the request had none, or why that is not known."""

    key: str
    state: KeyState
    value: str | None = None
    why: str = ""

    @property
    def absent(self) -> bool:
        return self.state is KeyState.ABSENT

    @property
    def unknown(self) -> bool:
        return self.state is KeyState.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReadings:
    """The condition keys of a principal's requests from a vantage point, measured on one object of a bucket."""

    principal: str
    vantage: str
    bucket: str
    source_vpce: KeyReading
    source_vpc: KeyReading
    source_ip: KeyReading
    secure_transport: KeyReading
    tls_version: KeyReading


def read_keys(
    ask: Ask, *, grants: Sequence[tuple[str, str]], candidates: Mapping[str, Iterable[str]]
) -> dict[str, KeyReading]:
    """Each key's reading. `grants` are the (action, ARN) pairs that the request needs, and all its sessions have."""
    reader = _Reader(ask, grants)
    tests: list[tuple[str, str | None]] = [(key, None) for key in KEYS]
    tests += [(key, value) for key, values in {**_VALUES, **candidates}.items() for value in values]
    control, impossible, *found = reader.ask([(), _only(SOURCE_VPCE, "vpce-that-does-not-exist"), *map(_told, tests)])
    why = _unreadable(control, impossible)
    if why:
        return {key: KeyReading(key=key, state=KeyState.UNKNOWN, why=why) for key in KEYS}
    true = [test for test, outcome in zip(tests, found, strict=True) if outcome.allowed]
    known = {key: _reading(key, true, tests) for key in KEYS}
    if known[SOURCE_IP].unknown:
        known[SOURCE_IP] = reader.address()
    return known


class _Reader:
    def __init__(self, ask: Ask, grants: Sequence[tuple[str, str]]) -> None:
        self._ask = ask
        self._grants = [{"Effect": "Allow", "Action": action, "Resource": arn} for action, arn in grants]

    def ask(self, denials: Iterable[Sequence[dict[str, Any]]]) -> Sequence[Outcome]:
        """One request for each set of conditions, any of which denies it."""
        return self._ask([self._policy(conditions) for conditions in denials])

    def address(self) -> KeyReading:
        """The caller's IPv4 address, network by network."""
        network = ipaddress.IPv4Network("0.0.0.0/0")
        while network.prefixlen < network.max_prefixlen:
            parts = list(network.subnets(prefixlen_diff=_BITS))
            outcomes = self.ask([_only(SOURCE_IP, str(part)) for part in parts])
            holding = [part for part, outcome in zip(parts, outcomes, strict=True) if outcome.allowed]
            if len(holding) != 1:
                why = f"S3 saw an address that {len(holding)} parts of {network} hold"
                if network.prefixlen == 0:
                    why = "S3 saw an address that is not IPv4"
                return KeyReading(key=SOURCE_IP, state=KeyState.UNKNOWN, why=why)
            network = holding[0]
        return KeyReading(key=SOURCE_IP, state=KeyState.VALUE, value=str(network.network_address))

    def _policy(self, conditions: Sequence[dict[str, Any]]) -> str:
        denials = [{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": row} for row in conditions]
        return json.dumps({"Version": "2012-10-17", "Statement": [*self._grants, *denials]}, separators=(",", ":"))


def _told(test: tuple[str, str | None]) -> tuple[dict[str, Any], ...]:
    key, value = test
    return ({"Null": {key: "false"}},) if value is None else _only(key, value)


def _only(key: str, value: str) -> tuple[dict[str, Any], ...]:
    """Conditions under which a session is denied unless the key has this value."""
    if key == SECURE_TRANSPORT:  # Bool has no negated form
        return {"Null": {key: "true"}}, {"Bool": {key: "false" if value == "true" else "true"}}
    return ({_UNLESS[key]: {key: value}},)


def _unreadable(control: Outcome, impossible: Outcome) -> str:
    if not control.allowed:
        return f"the request itself was {describe(control)}; it reads the bucket's canary, which must be there"
    if not impossible.denied:
        return f"a session that nothing can be allowed in was {describe(impossible)}"
    return ""


def _reading(key: str, true: Sequence[tuple[str, str | None]], tests: Sequence[tuple[str, str | None]]) -> KeyReading:
    values = [value for name, value in true if name == key]
    if values == [None]:
        return KeyReading(key=key, state=KeyState.ABSENT)
    if len(values) == 1:
        return KeyReading(key=key, state=KeyState.VALUE, value=values[0])
    if values:
        shown = ", ".join(value or "none" for value in values)
        return KeyReading(key=key, state=KeyState.UNKNOWN, why=f"readings contradict each other: {shown}")
    tried = [value for name, value in tests if name == key and value is not None]
    why = f"S3 saw none of {', '.join(tried)}" if tried else "S3 saw a value, and no candidate for it is known"
    return KeyReading(key=key, state=KeyState.UNKNOWN, why=why)
