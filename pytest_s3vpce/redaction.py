"""The one place that takes secrets, and names where that is asked for, out of what is stored and shown."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

from pytest_s3vpce.model import SECRET_HEADERS
from pytest_s3vpce.rewriting import rewritten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_s3vpce.matrix import Matrix

_T = TypeVar("_T")

GONE: Final = "[redacted]"


class Level(StrEnum):
    """How much is taken out; each level takes out what those before it do. Secrets always go."""

    SECRETS = "secrets"
    ACCOUNTS = "accounts"
    BUCKETS = "buckets"
    ADDRESSES = "addresses"

    def takes(self, other: Level) -> bool:
        order = list(Level)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Names:
    """What a run's account ids and bucket names stand for: the inventory's own names, which are shown instead."""

    accounts: Mapping[str, str] = field(default_factory=dict)
    buckets: Mapping[str, str] = field(default_factory=dict)


_QUERY: Final = "X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|AWSAccessKeyId|Signature"
_ELEMENTS: Final = "AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest(?:Bytes)?|Token-0"
_FIELDS: Final = r"\w*secret\w*|\w*passw(?:or)?d\w*|\w*session_?token|(?:x-amz-)?security-token|\w*access_?token"
_THREE_KINDS: Final = "(?=[A-Za-z/+]*[0-9])(?=[a-z0-9/+]*[A-Z])(?=[A-Z0-9/+]*[a-z])"
_SECRETS: Final = re.compile(
    "|".join(
        (
            # Elements of S3's own errors that echo parts of the signature, also where the body was cut off.
            # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
            rf"(?P<element><(?:{_ELEMENTS})>)[^<]*",
            # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
            rf"(?P<query>(?<![\w-])(?i:{_QUERY})(?:=|%3D))[^&\s\"'<>,]+",
            r"(?P<scheme>AWS4-(?:HMAC|ECDSA-P256)-SHA256\s)[^\r\n<>]+",
            r"(?P<bearer>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
            rf"(?P<field>(?<![\w-])[\"']?(?i:{_FIELDS})[\"']?\s*[:=]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;&<>\"'}}]+)",
            # Key ids; secret keys, which are 40 signs of three kinds; digests of signatures; session tokens.
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
            r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{12,}",
            rf"(?<![A-Za-z0-9+_.-]){_THREE_KINDS}[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+=_.:-])",
            r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])",
            r"(?<![A-Za-z0-9])(?:IQoJ|FwoG|FQoG)[A-Za-z0-9+/=_%-]{20,}",
            r"(?<![A-Za-z0-9+/=_%-])(?=[a-z0-9+/=_%-]*[A-Z])(?=[A-Za-z+/=_%-]*[0-9])[A-Za-z0-9+/=_%-]{100,}",
        )
    )
)
_LONG_ENOUGH: Final = 8
"""Signs: nothing shorter is a secret that can be told from a word."""
_ACCOUNT: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{12}(?![0-9A-Za-z])")
_ADDRESS: Final = re.compile(
    r"(?<![0-9A-Za-z.])(?:[0-9]{1,3}[.-]){3}[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])"
    r"|\[?(?<![\w:])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f.:]*(?![\w:])\]?"
)
_OWN: Final = frozenset(
    {
        *(f"CellResult.{name}" for name in ("id", "operation", "action", "variant", "bucket", "principal", "vantage")),
        *(f"ClaimResult.{name}" for name in ("id", "kind", "bucket", "cells")),
        *(f"Coverage.{name}" for name in ("principals", "operations", "vantages")),
        *(f"VantageResult.{name}" for name in ("name", "kind", "account")),
        *("AccountResult.name", "AccountResult.region", "BucketResult.label", "BucketResult.account"),
        *("Call.principal", "Call.vantage", "Evidence.cell", "Evidence.kind", "Matrix.run_id", "Matrix.mode"),
        *("Explanation.cells", "Reading.cell", "Reading.bucket", "Reading.vantage", "BucketResult.region"),
    }
)
"""Fields that hold names of the inventory's or of this tool's own: levels leave them as they are."""


@lru_cache(maxsize=65_536)
def scrubbed(text: str) -> str:
    """The text without credentials, tokens, signatures, and the queries of presigned URLs."""
    return text if len(text) < _LONG_ENOUGH else _SECRETS.sub(_blank, text)


def _blank(found: re.Match[str]) -> str:
    return f"{found[found.lastgroup] if found.lastgroup else ''}{GONE}"


def header_pairs(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Headers as they may be shown: secret ones by name only."""
    return tuple((scrubbed(name), GONE if name.lower() in SECRET_HEADERS else scrubbed(value)) for name, value in pairs)


def without_secrets(value: _T) -> _T:
    """The value with every text in it scrubbed."""
    return rewritten(value, lambda _: scrubbed)


def redacted(value: _T, *, level: Level, names: Names) -> _T:
    """The value with every text in it scrubbed, and without what the level takes out."""
    if level is Level.SECRETS:
        return without_secrets(value)
    change = _Redaction(level, names).changed
    return rewritten(value, lambda field: scrubbed if field in _OWN else change)


def names_of(matrix: Matrix) -> Names:
    """The names that a matrix itself holds."""
    return Names(
        accounts={row.id: row.name for row in matrix.accounts}, buckets={row.name: row.label for row in matrix.buckets}
    )


class _Redaction:
    """What one level does to a text."""

    def __init__(self, level: Level, names: Names) -> None:
        self._names = names
        self._rows: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = []
        if level.takes(Level.BUCKETS):
            # Longest first: a bucket's name may be the beginning of another's.
            self._rows += [(_whole(name), self._bucket) for name in sorted(names.buckets, key=len, reverse=True)]
        if level.takes(Level.ACCOUNTS):
            self._rows.append((_ACCOUNT, self._account))
        if level.takes(Level.ADDRESSES):
            self._rows.append((_ADDRESS, _address))

    def changed(self, text: str) -> str:
        text = scrubbed(text)
        for pattern, change in self._rows:
            text = pattern.sub(change, text)
        return text

    def _bucket(self, found: re.Match[str]) -> str:
        return f"[bucket {self._names.buckets[found[0]]}]"

    def _account(self, found: re.Match[str]) -> str:
        known = self._names.accounts.get(found[0])
        return f"[account {known}]" if known else "[account]"


def _whole(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9.-]){re.escape(name)}(?![a-z0-9-])")


def _address(found: re.Match[str]) -> str:
    text = found[0].strip("[]").replace("-", ".")
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return found[0]
    return "[address]"
