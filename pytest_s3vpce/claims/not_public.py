"""`not-public`: nobody and strangers get nothing, and what S3 says of the bucket's openness agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.admitted import grants_besides, ways_of_grants
from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.encryptions import in_every_form
from pytest_s3vpce.claims.findings import Finding, Kind, describe, foreign
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.matrix import Status
from pytest_s3vpce.model import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.probe import Probe

BLOCKS: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPublic(Claim):
    """`reader` gets in, which shows that there is something to get; `principals` are nobody and strangers."""

    reader: tuple[str, str]
    principals: tuple[str, ...]
    at: tuple[str, ...]
    actions: tuple[str, ...]
    public_control: str = ""
    by: frozenset[Layer] = OWNERS | {Layer.BLOCK_PUBLIC_ACCESS}

    def cells(self) -> Cells:
        principal, vantage = self.reader
        return Cells(
            allowed=(make_probe("s3:GetObject", self.bucket, principal=principal, vantage=vantage),),
            denied=tuple(
                in_every_form(
                    make_probe(action, self.bucket, principal=stranger, vantage=place)
                    for stranger in self.principals
                    for place in self.at
                    for action in self.actions
                )
            ),
            by=self.by,
        )

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)
        yield from self._through(setting)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        return [
            *foreign(setting, self.bucket, self.principals),
            *self.cells().judge(setting, results),
            *(self._gets_through(results, probe) for probe in self._through(setting)),
            *self._openness(setting),
            *self._paid(setting),
        ]

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        if not self.public_control:
            yield Gap(
                "no public control bucket is declared, so that anonymous requests get through from "
                f"{', '.join(self.at)} is taken from a role's reads there"
            )
        facts = setting.public.get(self.bucket)
        if facts is None or facts.requesters_pay is None:
            yield Gap(
                f"whether requesters pay for {self.bucket} could not be read: S3 refuses those who do not offer to"
            )
        if facts is None or facts.acls is None:
            yield Gap(
                f"whether ACLs are on in {self.bucket} could not be read: those of single objects may let accounts in"
            )
        elif facts.acls:
            yield Gap(f"ACLs are on in {self.bucket}: those of objects that were not tried may let accounts in")
        yield from grants_besides(setting, self.bucket, tried=self.principals, actions=self.actions)
        yield from ways_of_grants(setting, self.bucket, tried=self.principals, at=self.at)

    def explained(self) -> tuple[str, ...]:
        return self.principals

    def configured(self) -> tuple[str, ...]:
        return (self.bucket,)

    def _through(self, setting: Setting) -> Iterator[Probe]:
        """Nobody's reads of a bucket that is open to everybody."""
        for principal in self.principals if self.public_control else ():
            if setting.principals[principal].anonymous:
                for place in self.at:
                    yield make_probe("s3:GetObject", self.public_control, principal=principal, vantage=place)

    def _gets_through(self, results: Results, probe: Probe) -> Finding:
        outcome = results.outcome(probe)
        cell = probe.cell
        sentence = f"{cell.who} reads the public bucket {cell.label}"
        if not outcome.allowed:
            sentence = f"nothing shows that requests of {cell.who} get through: {cell.label} gave {describe(outcome)}"
        status = Status.GOOD if outcome.allowed else Status.MISSING
        return Finding(kind=Kind.REACH, name=f"public {cell.who}", status=status, sentence=sentence, cell=cell.id)

    def _openness(self, setting: Setting) -> Iterator[Finding]:
        """A setting that is contrary refutes: the cells were denied from some places, and the policy is for all."""
        facts = setting.public.get(self.bucket)
        said = None if facts is None else facts.policy_is_public
        blocks = None if facts is None else facts.blocks
        status, sentence, fix = Status.GOOD, f"S3 calls the policy of {self.bucket} not public", ""
        if said is None:
            status, sentence = Status.MISSING, f"the policy status of {self.bucket} could not be read"
        elif said:
            status = Status.BAD
            sentence = f"S3 calls the policy of {self.bucket} public (GetBucketPolicyStatus)"
            fix = (
                f"name accounts or roles in Principal of each allow of the bucket policy of {self.bucket}, "
                "or give it a condition on a fixed account, organization, VPC or endpoint"
            )
        yield Finding(kind=Kind.CONFIGURATION, name="policy status", status=status, sentence=sentence, fix=fix)
        status, sentence, fix = Status.GOOD, f"all of Block Public Access is on for {self.bucket}", ""
        if blocks is None:
            status = Status.MISSING
            sentence = f"Block Public Access of {self.bucket} and its account could not be read"
        elif missing := [name for name in BLOCKS if name not in blocks]:
            status = Status.BAD
            sentence = f"Block Public Access lacks {', '.join(missing)} for {self.bucket}, in its account too"
            fix = f"turn {', '.join(missing)} on for {setting.buckets[self.bucket].name} (PutPublicAccessBlock)"
        yield Finding(kind=Kind.CONFIGURATION, name="block public access", status=status, sentence=sentence, fix=fix)

    def _paid(self, setting: Setting) -> Iterator[Finding]:
        """Where requesters pay, S3 refuses other accounts' requests that do not offer to, whatever the policy says.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html
        """
        facts = setting.public.get(self.bucket)
        if facts is not None and facts.requesters_pay and not setting.buckets[self.bucket].offers_to_pay:
            sentence = (
                f"requesters pay for {self.bucket}, so S3 refuses strangers who do not offer to, whatever its policy "
                "allows: set `requester_pays: true`"
            )
            yield Finding(kind=Kind.CONFIGURATION, name="requester pays", status=Status.MISSING, sentence=sentence)
