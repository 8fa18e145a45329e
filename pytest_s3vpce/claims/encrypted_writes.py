"""`encrypted-writes`: writes with the demanded encryption get in, the owner denies every other one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.operations import Fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe

ENCRYPTIONS: Final = ("AES256", "aws:kms", "aws:kms:dsse")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html"""
_NO_KEY: Final = "00000000-0000-0000-0000-000000000000"
"""The id of a key that KMS gave to nobody."""
_CUSTOMERS: Final[Mapping[str, Any]] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": Fill.CUSTOMER_KEY}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedWrites(Claim):
    """The claim's own fields. `key` is a KMS key's ARN or id; empty: any key will do."""

    principal: str
    at: str
    sse: str
    key: str = ""
    actions: tuple[str, ...] = ("s3:PutObject",)
    by: frozenset[Layer] = OWNERS

    def positives(self) -> Iterator[Probe]:
        keyed = {"SSEKMSKeyId": self.key} if self.key else {}
        yield from self._cells({"ServerSideEncryption": self.sse, **keyed})

    def negatives(self) -> Iterator[Probe]:
        for parameters in self._refused():
            yield from self._cells(parameters)

    def _refused(self) -> Iterator[Mapping[str, Any]]:
        """Without a header, with each other encryption, with another key and with none named, with the caller's own."""
        yield {}
        for other in ENCRYPTIONS:
            if other != self.sse:
                yield {"ServerSideEncryption": other}
        if self.key:
            # Where no key is named S3 takes the account's own, aws/s3:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
            yield {"ServerSideEncryption": self.sse}
            start, slash, _ = self.key.rpartition("/")
            yield {"ServerSideEncryption": self.sse, "SSEKMSKeyId": f"{start}{slash}{_NO_KEY}"}
        yield _CUSTOMERS

    def _cells(self, parameters: Mapping[str, Any]) -> Iterator[Probe]:
        for action in self.actions:
            probe = make_probe(action, self.bucket, principal=self.principal, vantage=self.at)
            yield replace(probe, cell=replace(probe.cell, variant=_variant(parameters), parameters=dict(parameters)))

    def cells(self) -> Cells:
        return Cells(allowed=tuple(self.positives()), denied=tuple(self.negatives()), by=self.by)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        cells = {probe.cell.id: probe for probe in (*self.positives(), *self.negatives())}
        found = self.cells().judge(setting, results)
        return [_told(row, cells[row.cell]) if row.cell in cells else row for row in found]


def _variant(parameters: Mapping[str, Any]) -> str:
    """What an id calls it: a word, and a digest, since long keys differ only at their ends and users name variants."""
    if not parameters:
        return ""
    word = "sse-c" if "SSECustomerAlgorithm" in parameters else f"sse-{parameters['ServerSideEncryption']}"
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:8]
    return f"{word.replace(':', '-')}-{digest}"


def _told(finding: Finding, probe: Probe) -> Finding:
    """The finding with the headers of its cell: principal and place are the same in all of them."""
    what = _words(probe.cell.parameters)
    return replace(finding, name=f"{finding.name} {what}", sentence=f"{what}: {finding.sentence}")


def _words(parameters: Mapping[str, Any]) -> str:
    if not parameters:
        return "without an encryption header"
    if "SSECustomerAlgorithm" in parameters:
        return "with SSE-C"
    key = parameters.get("SSEKMSKeyId")
    return f"with {parameters['ServerSideEncryption']}" + (f" and the key {key}" if key else "")
