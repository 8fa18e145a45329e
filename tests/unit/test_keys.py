"""Key readings against a small S3 that knows what it saw."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.claims.keys import (
    KEYS,
    SECURE_TRANSPORT,
    SOURCE_IP,
    SOURCE_VPC,
    SOURCE_VPCE,
    TLS_VERSION,
    KeyReading,
    KeyState,
    read_keys,
)
from pytest_s3vpce.model import Outcome, OutcomeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ALLOWED = Outcome(kind=OutcomeKind.ALLOWED)
DENIED = Outcome(kind=OutcomeKind.DENIED, code="AccessDenied")
GRANTS = [("s3:GetObject", "arn:aws:s3:::control/canary")]
CANDIDATES = {SOURCE_VPCE: ["vpce-1", "vpce-2"], SOURCE_VPC: ["vpc-1"]}
INSIDE = {SOURCE_VPCE: "vpce-2", SOURCE_VPC: "vpc-1", SECURE_TRANSPORT: "true", TLS_VERSION: "1.3"}
OUTSIDE = {SOURCE_IP: "203.0.113.77", SECURE_TRANSPORT: "true", TLS_VERSION: "1.2"}


def _differs(operator: str, seen: str | None, wanted: str) -> bool:
    """AWS's negated operators: true where the key is absent."""
    if seen is None:
        return True
    if operator == "NotIpAddress":
        network = ipaddress.ip_network(wanted)
        return ipaddress.ip_address(seen) not in network
    return seen != wanted


def matches(condition: dict[str, dict[str, str]], seen: dict[str, str]) -> bool:
    ((operator, ((key, wanted),)),) = ((name, tuple(row.items())) for name, row in condition.items())
    if operator == "Null":
        return (key not in seen) == (wanted == "true")
    if operator == "Bool":
        return seen.get(key) == wanted
    assert operator in ("StringNotEquals", "NotIpAddress", "NumericNotEquals")
    return _differs(operator, seen.get(key), wanted)


def s3(seen: dict[str, str], asked: list[int] | None = None) -> Callable[[Sequence[str]], list[Outcome]]:
    """Requests that S3 sees so, by sessions of these policies."""

    def ask(policies: Sequence[str]) -> list[Outcome]:
        found = []
        for text in policies:
            assert len(text) <= 2048
            allow, *denials = json.loads(text)["Statement"]
            assert allow == {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::control/canary"}
            found.append(DENIED if any(matches(row["Condition"], seen) for row in denials) else ALLOWED)
        if asked is not None:
            asked.append(len(policies))
        return found

    return ask


def read(ask: Callable[[Sequence[str]], Sequence[Outcome]], **candidates: Any) -> dict[str, KeyReading]:
    return read_keys(ask, grants=GRANTS, candidates=candidates or CANDIDATES)


def values(found: dict[str, KeyReading]) -> dict[str, str | None]:
    return {key: row.value if row.state is KeyState.VALUE else row.state.value for key, row in found.items()}


def test_inside_s3_sees_the_endpoint_and_no_address() -> None:
    found = read(s3(INSIDE))
    assert values(found) == {**INSIDE, SOURCE_IP: "absent"}
    assert tuple(found) == KEYS
    assert found[SOURCE_IP].absent
    assert not found[SOURCE_IP].unknown


def test_outside_s3_sees_the_address_which_is_found_without_candidates() -> None:
    asked: list[int] = []
    found = read(s3(OUTSIDE, asked))
    assert values(found) == {**OUTSIDE, SOURCE_VPCE: "absent", SOURCE_VPC: "absent"}
    assert asked == [14, *[4] * 16]


@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255", "127.0.0.1", "10.20.30.41"])
def test_every_address_is_found(address: str) -> None:
    assert read(s3({**OUTSIDE, SOURCE_IP: address}))[SOURCE_IP].value == address


def test_plain_http_is_seen() -> None:
    found = read(s3({SECURE_TRANSPORT: "false"}))
    assert found[SECURE_TRANSPORT].value == "false"
    assert found[TLS_VERSION].absent


def test_a_value_that_no_candidate_has_is_unknown() -> None:
    found = read(s3({**INSIDE, SOURCE_VPCE: "vpce-9", SOURCE_VPC: "vpc-9", TLS_VERSION: "1.1"}))
    assert found[SOURCE_VPCE].why == "S3 saw none of vpce-1, vpce-2"
    assert found[SOURCE_VPC].unknown
    assert found[TLS_VERSION].why == "S3 saw none of 1.2, 1.3"
    none = read_keys(s3(INSIDE), grants=GRANTS, candidates={})
    assert none[SOURCE_VPCE].why == "S3 saw a value, and no candidate for it is known"


def test_an_address_of_version_6_is_unknown() -> None:
    found = read(s3({**OUTSIDE, SOURCE_IP: "2001:db8::1"}))
    assert (found[SOURCE_IP].state, found[SOURCE_IP].why) == (KeyState.UNKNOWN, "S3 saw an address that is not IPv4")


@pytest.mark.parametrize(
    ("control", "impossible", "why"),
    [
        (DENIED, DENIED, "the request itself was denied (AccessDenied)"),
        (Outcome(kind=OutcomeKind.UNREACHABLE, reason="no connection"), DENIED, "was unreachable (no connection)"),
        (ALLOWED, ALLOWED, "a session that nothing can be allowed in was allowed"),
        (ALLOWED, Outcome(kind=OutcomeKind.INCONCLUSIVE, reason="throttled"), "was inconclusive (throttled)"),
    ],
)
def test_without_its_controls_no_reading_says_anything(control: Outcome, impossible: Outcome, why: str) -> None:
    found = read(lambda policies: [control, impossible, *[ALLOWED] * (len(policies) - 2)])
    assert {row.state for row in found.values()} == {KeyState.UNKNOWN}
    assert all(why in row.why for row in found.values())


def test_readings_that_contradict_each_other_are_unknown() -> None:
    def all_but_controls(policies: Sequence[str]) -> Iterable[Outcome]:
        return [ALLOWED, DENIED, *[ALLOWED] * (len(policies) - 2)]

    found = read(lambda policies: list(all_but_controls(policies)))
    assert found[SECURE_TRANSPORT].why == "readings contradict each other: none, true, false"


def test_an_address_that_changes_meanwhile_is_unknown() -> None:
    left = [s3(OUTSIDE), s3(OUTSIDE), s3(OUTSIDE), s3({**OUTSIDE, SOURCE_IP: "10.0.0.1"})]

    def ask(policies: Sequence[str]) -> list[Outcome]:
        return (left.pop(0) if len(left) > 1 else left[0])(policies)

    found = read(ask)[SOURCE_IP]
    assert (found.state, found.why) == (KeyState.UNKNOWN, "S3 saw an address that 0 parts of 192.0.0.0/4 hold")


def test_a_reading_that_does_not_come_back_says_nothing() -> None:
    def ask(policies: Sequence[str]) -> list[Outcome]:
        found = s3(INSIDE)(policies)
        return [*found[:-1], Outcome(kind=OutcomeKind.INCONCLUSIVE)]

    assert read(ask)[SOURCE_VPC].unknown
