"""`encrypted-writes`: writes with the demanded encryption get in, the owner denies every other one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.claims.admitted import undenied
from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.encryptions import CUSTOMERS, ENCRYPTION_KEYS, encrypted
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.operations.creations import ENCRYPTIONS, WITH_KMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.claims.gaps import Gap
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe

_NO_KEY: Final = "00000000-0000-0000-0000-000000000000"
"""The id of a key that KMS gave to nobody."""


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
        start, slash, _ = self.key.rpartition("/")
        another = f"{start}{slash}{_NO_KEY}"
        yield {}
        for other in ENCRYPTIONS:
            if other != self.sse:
                yield {"ServerSideEncryption": other}
        if self.key:
            # Where no key is named S3 takes the account's own, aws/s3:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
            yield {"ServerSideEncryption": self.sse}
            yield {"ServerSideEncryption": self.sse, "SSEKMSKeyId": another}
        for other in ENCRYPTIONS:  # a deny that looks at the key as well lets in what names one
            if other != self.sse and other in WITH_KMS:
                yield from ({"ServerSideEncryption": other, "SSEKMSKeyId": key} for key in (self.key, another) if key)
        yield CUSTOMERS

    def _cells(self, parameters: Mapping[str, Any]) -> Iterator[Probe]:
        for action in self.actions:
            probe = make_probe(action, self.bucket, principal=self.principal, vantage=self.at)
            yield encrypted(probe, parameters)

    def cells(self) -> Cells:
        return Cells(allowed=tuple(self.positives()), denied=tuple(self.negatives()), by=self.by)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        return self.cells().judge(setting, results)

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        yield from undenied(setting, self.bucket, ENCRYPTION_KEYS, asks="an encryption")
