"""The inventory with everything resolved: where a probe goes, who signs it, and the setting of claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.accounts import CLEAR_SECONDS, SESSION_SECONDS, SessionKind
from pytest_s3vpce.calibration import NONE, Calibration, read
from pytest_s3vpce.claims import CLAIMS, BucketFacts, PrincipalFacts, Setting
from pytest_s3vpce.claims.readings import limited
from pytest_s3vpce.claims.setting import Told, allowances
from pytest_s3vpce.errors import RunError, S3VpceError
from pytest_s3vpce.model import Cell, Transport
from pytest_s3vpce.policy import parse
from pytest_s3vpce.presigning import Presign
from pytest_s3vpce.probe import Destination, Host, Probe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_s3vpce.accounts import Accounts
    from pytest_s3vpce.claimbase import ClaimSpec
    from pytest_s3vpce.claims import Claim
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.model import Place
    from pytest_s3vpce.references import References

CONTROL = "control:"
"""Control buckets stand beside the declared ones under `control:ACCOUNT`, a name no inventory can give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where in an account's network a vantage point stands, as far as that may be asked."""

    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    region: str = ""


NOWHERE: Final = Location()


@dataclass(frozen=True, slots=True, kw_only=True)
class Described(Told):
    """What claims and reports are told of the accounts."""

    policy_texts: Mapping[str, str | None] = field(default_factory=dict)
    """Of the claims' buckets; None where it could not be read."""
    places: Mapping[str, Location] = field(default_factory=dict)
    """By vantage point."""


class World:
    """Resolves names of the inventory, once each, where they are used."""

    def __init__(self, inventory: Inventory, references: References, accounts: Accounts, *, run_id: str) -> None:
        self.inventory = inventory
        self.references = references
        references.learn(accounts.infrastructure)
        self.accounts = accounts
        self.run_id = run_id
        self.canaries: dict[str, bytes] = {}
        self.canary_versions: dict[str, str] = {}
        self.made_keys: dict[str, str] = {}
        """Bucket to the key of the canary that this run made."""
        self._buckets: dict[str, BucketFacts] = {}

    @cached_property
    def calibration(self) -> Calibration:
        """Read where it is used: a sweep needs none."""
        return calibration_of(self.inventory)

    @property
    def labels(self) -> tuple[str, ...]:
        """All buckets that requests go to: the declared ones, then those of controls."""
        return (*self.inventory.buckets, *(f"{CONTROL}{account}" for account in self.inventory.controls))

    def resolve(self, text: str, *path: str) -> str:
        return self.references.resolve(text, self.inventory.place(*path))

    def resolve_list(self, texts: Sequence[str], *path: str) -> tuple[str, ...]:
        return self.references.resolve_list(texts, self.inventory.place(*path))

    def chosen(self, given: Sequence[str] | Mapping[str, str], *path: str) -> tuple[str, ...] | dict[str, str]:
        """Ids, or the tags that choose."""
        if isinstance(given, Mapping):
            return {key: self.resolve(value, *path, "tags", key) for key, value in given.items()}
        return self.resolve_list(given, *path)

    def resolve_all(self, given: Any, *path: str) -> Any:
        """Every text in a kind's own settings, however deep."""
        if isinstance(given, dict):
            return {key: self.resolve_all(value, *path) for key, value in given.items()}
        if isinstance(given, list):
            return [self.resolve_all(value, *path) for value in given]
        return self.resolve(given, *path) if isinstance(given, str) else given

    def account_id(self, account: str) -> str:
        return self.resolve(self.inventory.accounts[account].id, "accounts", account, "id")

    def bucket(self, label: str) -> BucketFacts:
        """A declared bucket or a control bucket, resolved."""
        if label not in self._buckets:
            self._buckets[label] = self._resolved_bucket(label)
        return self._buckets[label]

    def region(self, label: str) -> str:
        """The Region a bucket is in: its own, or its account's."""
        if label.startswith(CONTROL):
            account = label.removeprefix(CONTROL)
            own = self.inventory.controls[account].region
            section: tuple[str, ...] = ("controls", account)
        else:
            row = self.inventory.buckets[label]
            account, own, section = row.account or self.inventory.default_account, row.region, ("buckets", label)
        return self.resolve(own, *section, "region") if own else self.accounts.region(account)

    def destination(self, cell: Cell) -> Destination:
        """Where a cell's probe goes, with the canary's bytes if its reader got them."""
        label = cell.target.bucket
        facts = self.bucket(label)
        key = self._key(label, cell.target.key or self.made_keys.get(label) or facts.key)
        host = cell.target.host
        return Destination(
            bucket=facts.name,
            owner=facts.account_id,
            region=self.region(label),
            key=key,
            host=Host.of(self.resolve(host, "buckets", label)) if host else Host(),
            canary_body=self.canaries.get(label),
            canary_version=self.canary_versions.get(label),
            requester_pays=label in self.inventory.buckets and self.inventory.buckets[label].requester_pays,
            absent_key=f"{key}.absent-{self.run_id}",
            run_key=f"{key}.made-{self.run_id}",
        )

    def _key(self, label: str, key: str) -> str:
        return self.resolve(key, "buckets", label) if "${" in key else key

    def session(self, probe: Probe) -> SessionKind:
        """The session that signs a probe: limited by a session policy where the probe says so or it crosses http.

        A role's token crosses plain http only from a fresh short session limited to the probed operation.
        """
        policy = probe.session_policy
        name = self.signer(probe.cell.principal)
        principal = self.inventory.principals[name]
        if not policy and probe.cell.transport is Transport.HTTP and principal.role:
            label, key = probe.cell.target.bucket, probe.cell.target.key
            policy = limited(allowances(probe, self.bucket(label), key=key and self._key(label, key)))
        return SessionKind(name, policy, CLEAR_SECONDS if policy else SESSION_SECONDS)

    def signer(self, principal: str) -> str:
        """Whose keys sign for a principal: its own, or those of whoever signed the URL."""
        presigned = self.inventory.principals[principal].presigned
        return presigned.by if presigned else principal

    def presign(self, principal: str) -> Presign | None:
        """How a principal's URLs are signed; None where it sends none."""
        row = self.inventory.principals[principal].presigned
        return None if row is None else Presign(age=row.age, expires=row.expires)

    def claim(self, spec: ClaimSpec) -> Claim:
        """A claim with its references resolved."""
        fields = {name: self._resolved(value, spec.place) for name, value in spec.fields.items()}
        made: Claim = CLAIMS[spec.kind](id=spec.id, bucket=spec.bucket, **fields)
        return made

    def _resolved(self, given: Any, place: Place) -> Any:
        """Every text of a claim's field, however deep."""
        if isinstance(given, tuple):
            return tuple(self._resolved(item, place) for item in given)
        return self.references.resolve(given, place) if isinstance(given, str) and "${" in given else given

    def setting(self, described: Described, *, principals: Iterable[str]) -> Setting:
        """The setting of this run's claims. Nobody is asked for a code but for those of these `principals`."""
        signing = {self.signer(name) for name in principals}
        return Setting(
            principals={name: self._principal(name, signing=signing) for name in self.inventory.principals},
            buckets={label: self.bucket(label) for label in self.labels},
            vantages=tuple(self.inventory.vantage_points),
            **{row.name: getattr(described, row.name) for row in fields(Told)},
        )

    def _principal(self, name: str, *, signing: Collection[str]) -> PrincipalFacts:
        row = self.inventory.principals[name]
        signer = self.signer(name)
        by = self.inventory.principals[signer]
        arn = None
        try:
            arn = self.resolve(by.role, "principals", signer, "role") if by.role else None
        except S3VpceError:
            if signer in signing:
                raise
        return PrincipalFacts(
            name=name,
            account=by.account or self.inventory.default_account,
            arn=arn,
            role=row.role is not None and arn is not None and (row.mfa is None or name in signing),
            anonymous=row.anonymous,
            clear=row.send_credentials_in_clear,
            limited=by.session_policy is not None,
            session_keys=self._session_keys(signer),
            presigned=row.presigned is not None,
            ambient=row.ambient,
        )

    def _session_keys(self, signer: str) -> frozenset[str]:
        """Those of its session policy; with one that can't be read nobody signs in, and there it is told."""
        try:
            own = self.accounts.own_policy(signer)
        except S3VpceError:
            return frozenset()
        return frozenset() if own is None else parse(own, name=signer).keys

    def _resolved_bucket(self, label: str) -> BucketFacts:
        row: Any
        if label.startswith(CONTROL):
            account = label.removeprefix(CONTROL)
            row, section = self.inventory.controls[account], ("controls", account)
        else:
            row, section = self.inventory.buckets[label], ("buckets", label)
            account = row.account or self.inventory.default_account
        key = row.canary.key
        made = self.made_keys.get(label)
        return BucketFacts(
            label=label,
            name=self.resolve(row.name, *section, "name"),
            account=account,
            account_id=self.account_id(account),
            key=made or (self.resolve(key, *section, "canary") if key else f".s3vpce/canary-{self.run_id}"),
            offers_to_pay=getattr(row, "requester_pays", False),
            partition=partition_of(self.region(label)),
            region=self.region(label),
        )


def calibration_of(inventory: Inventory) -> Calibration:
    """What a calibration found, where the inventory names its file."""
    if inventory.calibration is None:
        return NONE
    try:
        return read(inventory.beside(inventory.calibration))
    except RunError as error:
        raise RunError(error.what, place=inventory.place("calibration"), remedy=error.remedy) from error


def partition_of(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    for prefix, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("eusc-", "aws-eusc")):
        if region.startswith(prefix):
            return partition
    return "aws"
