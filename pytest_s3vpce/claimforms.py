"""Claims as they are written: each kind's fields, checked against the inventory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping  # noqa: TC003 - pydantic reads annotations
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from pytest_s3vpce import forms
from pytest_s3vpce.dangling import check_name, check_who, possible
from pytest_s3vpce.faults import Fault
from pytest_s3vpce.inventory import Inventory  # noqa: TC001
from pytest_s3vpce.model import Layer, Place
from pytest_s3vpce.questions import canonical, row_of
from pytest_s3vpce.schema import Name, Several, Strict, Text
from pytest_s3vpce.yamlplaces import Document  # noqa: TC001

ClaimKind = Literal[
    "endpoint-only",
    "vpc-only",
    "source-ip-only",
    "tls-only",
    "cross-account",
    "encrypted-writes",
    "not-public",
    "endpoint-policy-limits",
    "separate-duties",
]
Pair = tuple[str, str]
_Path = tuple[str | int, ...]
_Layer = Annotated[Layer, BeforeValidator(forms.choice(Layer, "layer"), json_schema_input_type=Layer)]


def inventory_of(info: ValidationInfo) -> Inventory:
    """The inventory that a file is checked against."""
    assert info.context is not None
    found: Inventory = info.context["inventory"]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSpec:
    """A claim as written: names of the inventory, references unresolved."""

    kind: ClaimKind
    id: str
    place: Place
    bucket: str
    fields: Mapping[str, Any] = field(hash=False)
    """What its kind is made with, by name."""
    pairs: tuple[Pair, ...] = ()
    """Each principal of the claim and a vantage point it sends from."""
    others: tuple[str, ...] = ()
    """The other buckets of the inventory that it sends to."""

    @property
    def actions(self) -> tuple[str, ...]:
        found: tuple[str, ...] = self.fields.get("actions", ())
        return found

    @property
    def granted(self) -> tuple[Pair, ...]:
        """Whom a closed world spares: those that the claim says are let in from another account."""
        found: tuple[Pair, ...] = self.fields.get("granted", ())
        return found


_Actions = Several[Annotated[str, AfterValidator(canonical)]]
ACTIONS: Final = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:GetObjectAcl",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:GetBucketAcl",
    "s3:GetBucketPolicy",
)
"""What `not-public` asks for by default."""
_OWNERS_LAYERS: Final = (Layer.RESOURCE, Layer.RCP)


class _Claim(Strict):
    bucket: Text
    name: Name | None = None
    by: Several[_Layer] = _OWNERS_LAYERS
    """The layers a denial may come from: by default those of the bucket's owner."""

    @model_validator(mode="after")
    def _is_declared(self, info: ValidationInfo) -> Self:
        inventory = inventory_of(info)
        check_name(inventory.buckets, self.bucket, "bucket", ("bucket",))
        for field_name, known in (
            ("principals", inventory.principals),
            ("principal", inventory.principals),
            ("inside", inventory.vantage_points),
            ("outside", inventory.vantage_points),
            ("at", inventory.vantage_points),
            ("read_at", inventory.vantage_points),
            ("write_at", inventory.vantage_points),
        ):
            word = "principal" if known is inventory.principals else "vantage point"
            for number, name in enumerate(forms.listed(getattr(self, field_name, None) or ())):
                check_name(known, name, word, (field_name, number))
        for path, who in self.pairs():
            check_who(inventory, who, path)
        for one, other in (("inside", "outside"), ("granted", "refused")):
            for number, name in enumerate(getattr(self, other, None) or ()):
                if name in (getattr(self, one, None) or ()):
                    raise Fault(f"`{name}` is {one} and {other}", path=(other, number), remedy="keep one")
        return self

    @abstractmethod
    def pairs(self) -> Iterator[tuple[_Path, str]]:
        """Every principal:vantage point of the claim, and the path it is written at."""

    def others(self) -> tuple[str, ...]:
        """The other buckets that the claim names."""
        return ()

    def implied(self, inventory: Inventory) -> tuple[str, ...]:
        """Each principal:vantage point that is not written, but meant."""
        del inventory
        return ()

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        """The fields of its kind, defaults filled in."""
        del inventory
        written = {name: getattr(self, name) for name in type(self).model_fields if name not in ("name", "bucket")}
        return written | {"by": frozenset(self.by)}

    def spec(self, kind: ClaimKind, place: Place, inventory: Inventory) -> ClaimSpec:
        """The claim as planners get it."""
        label = f"{self.bucket}+{self.name}" if self.name else self.bucket
        return ClaimSpec(
            kind=kind,
            id=f"{kind}/{label}",
            place=place,
            bucket=self.bucket,
            fields=self.made_with(inventory),
            pairs=_pairs(dict.fromkeys([*(who for _, who in self.pairs()), *self.implied(inventory)])),
            others=self.others(),
        )


def _pair(who: str) -> Pair:
    principal, _, vantage = who.partition(":")
    return principal, vantage


def _pairs(named: Iterable[str]) -> tuple[Pair, ...]:
    return tuple(_pair(who) for who in named)


class _NetworkOnly(_Claim):
    principals: Several[Text]
    inside: Several[Text]
    outside: Several[Text]
    actions: _Actions = ("s3:GetObject", "s3:PutObject", "s3:ListBucket")

    def pairs(self) -> Iterator[tuple[_Path, str]]:
        for number, principal in enumerate(self.principals):
            for vantage in (*self.inside, *self.outside):
                yield ("principals", number), f"{principal}:{vantage}"


class EndpointOnly(_NetworkOnly):
    """Allowed through the named endpoints, denied from everywhere else."""

    endpoints: Several[Annotated[str, AfterValidator(forms.ENDPOINT)]]


class VpcOnly(_NetworkOnly):
    """Allowed from the named VPCs, by whichever of their endpoints, denied from everywhere else."""

    vpcs: Several[Annotated[str, AfterValidator(forms.VPC)]]


class SourceIpOnly(_NetworkOnly):
    """Allowed by public addresses in the named networks, denied from everywhere else."""

    networks: Several[Annotated[str, AfterValidator(forms.network)]]


class TlsOnly(_Claim):
    """The same request is allowed over https and denied over http."""

    principal: Text
    at: Text
    minimum: Literal["1.2", "1.3"] | None = None
    """The least version of TLS that gets in."""
    actions: _Actions = ("s3:GetObject", "s3:ListBucket")

    def pairs(self) -> Iterator[tuple[_Path, str]]:
        yield ("principal",), f"{self.principal}:{self.at}"

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        return super().made_with(inventory) | {"minimum": self.minimum or ""}


class CrossAccount(_Claim):
    """Granted principals of other accounts get in as named, everybody else of other accounts does not."""

    granted: Several[Text]
    refused: Several[Text] | None = None
    """By default every declared principal of another account, from every vantage point where it is not granted."""
    actions: _Actions
    operations: _Actions = ("s3:GetObject", "s3:PutObject", "s3:ListBucket")
    """What is asked for besides `actions`, and must be denied to all."""

    def pairs(self) -> Iterator[tuple[_Path, str]]:
        for name in ("granted", "refused"):
            for number, who in enumerate(getattr(self, name) or ()):
                yield (name, number), who

    def implied(self, inventory: Inventory) -> tuple[str, ...]:
        return tuple(self._everyone_else(inventory)) if self.refused is None else ()

    def _everyone_else(self, inventory: Inventory) -> Iterator[str]:
        """Of other accounts; URLs that somebody signed are that one's own requests."""
        first = inventory.default_account
        owner = inventory.buckets[self.bucket].account or first
        for name, row in inventory.principals.items():
            if row.presigned is not None or ((row.account or first) == owner and not row.anonymous):
                continue
            for vantage in inventory.vantage_points:
                who = f"{name}:{vantage}"
                if who not in self.granted and possible(inventory, principal=name, vantage=vantage):
                    yield who

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        others = tuple(self._everyone_else(inventory))
        refused = others if self.refused is None else self.refused
        return super().made_with(inventory) | {
            "granted": _pairs(self.granted),
            "refused": _pairs(refused),
            "untried": tuple(who for who in others if who not in refused),
        }


class EncryptedWrites(_Claim):
    """Writes with the demanded encryption are allowed, every other one is denied."""

    principal: Text
    at: Text
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"]
    key: Annotated[str, AfterValidator(forms.KMS_KEY)] = ""
    actions: _Actions = ("s3:PutObject",)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.key and self.sse == "AES256":
            raise Fault("`AES256` has no key", path=("key",), remedy="leave `key` out, or demand aws:kms")
        for number, name in enumerate(self.actions):
            if "ServerSideEncryption" not in row_of(name).keys or row_of(name).safe is None:
                raise Fault(
                    f"`{name}` carries no encryption header that can be probed",
                    path=("actions", number),
                    remedy="accepted is s3:PutObject",
                )
        return self

    def pairs(self) -> Iterator[tuple[_Path, str]]:
        yield ("principal",), f"{self.principal}:{self.at}"


class NotPublic(_Claim):
    """Nobody and strangers get nothing; what S3 says of the bucket's openness agrees."""

    reader: Text
    """Who gets in, `principal:vantage point`."""
    principals: Several[Text]
    at: Several[Text]
    public_control: Text | None = None
    """A bucket that is open to everybody, by its name in the inventory."""
    actions: _Actions = ACTIONS
    by: Several[_Layer] = (*_OWNERS_LAYERS, Layer.BLOCK_PUBLIC_ACCESS)

    @model_validator(mode="after")
    def _has_strangers(self, info: ValidationInfo) -> Self:
        inventory = inventory_of(info)
        if self.public_control is not None:
            check_name(inventory.buckets, self.public_control, "bucket", ("public_control",))
        nobody = [inventory.principals[name].anonymous for name in self.principals]
        for found, what in ((any(nobody), "an anonymous principal"), (not all(nobody), "one of a foreign account")):
            if not found:
                raise Fault(f"{what} is wanted among them", path=("principals",), remedy="add one")
        return self

    def pairs(self) -> Iterator[tuple[_Path, str]]:
        yield ("reader",), self.reader
        for number, principal in enumerate(self.principals):
            for vantage in self.at:
                yield ("principals", number), f"{principal}:{vantage}"

    def others(self) -> tuple[str, ...]:
        return (self.public_control,) if self.public_control else ()

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        control = self.public_control or ""
        return super().made_with(inventory) | {"reader": _pair(self.reader), "public_control": control}


class EndpointPolicyLimits(_NetworkOnly):
    """Through the named endpoints only this bucket is in reach; others are shut by the endpoints' policies alone."""

    endpoints: Several[Annotated[str, AfterValidator(forms.ENDPOINT)]]
    unreached: Several[Text]
    """Buckets that are out of reach from inside, and not from outside."""
    actions: _Actions = ("s3:GetObject", "s3:PutObject")
    by: Several[_Layer] = (Layer.VPC_ENDPOINT,)

    @model_validator(mode="after")
    def _has_others(self, info: ValidationInfo) -> Self:
        for number, name in enumerate(self.unreached):
            check_name(inventory_of(info).buckets, name, "bucket", ("unreached", number))
            if name == self.bucket:
                raise Fault(f"`{name}` is to be in reach", path=("unreached", number), remedy="name other buckets")
        return self

    def others(self) -> tuple[str, ...]:
        return self.unreached


class SeparateDuties(_Claim):
    """Reads get in by one endpoint, writes by another."""

    principals: Several[Text]
    read_through: Several[Annotated[str, AfterValidator(forms.ENDPOINT)]]
    read_at: Several[Text]
    write_through: Several[Annotated[str, AfterValidator(forms.ENDPOINT)]]
    write_at: Several[Text]
    outside: Several[Text] | None = None
    reads: _Actions = ("s3:GetObject", "s3:ListBucket")
    writes: _Actions = ("s3:PutObject",)

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        for one, other in (("read_at", "write_at"), ("read_through", "write_through"), ("reads", "writes")):
            for number, name in enumerate(getattr(self, other)):
                if name in getattr(self, one):
                    what = f"`{name}` stands in `{one}` and `{other}`"
                    raise Fault(what, path=(other, number), remedy="keep one")
        return self

    def pairs(self) -> Iterator[tuple[_Path, str]]:
        for number, principal in enumerate(self.principals):
            for vantage in (*self.read_at, *self.write_at, *(self.outside or ())):
                yield ("principals", number), f"{principal}:{vantage}"

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        return super().made_with(inventory) | {"outside": self.outside or ()}


class ClaimItem(Strict):
    """One claim: its kind, and that kind's fields."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    endpoint_only: EndpointOnly | None = Field(default=None, alias="endpoint-only")
    vpc_only: VpcOnly | None = Field(default=None, alias="vpc-only")
    source_ip_only: SourceIpOnly | None = Field(default=None, alias="source-ip-only")
    tls_only: TlsOnly | None = Field(default=None, alias="tls-only")
    cross_account: CrossAccount | None = Field(default=None, alias="cross-account")
    encrypted_writes: EncryptedWrites | None = Field(default=None, alias="encrypted-writes")
    not_public: NotPublic | None = Field(default=None, alias="not-public")
    endpoint_policy_limits: EndpointPolicyLimits | None = Field(default=None, alias="endpoint-policy-limits")
    separate_duties: SeparateDuties | None = Field(default=None, alias="separate-duties")

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, given: Any) -> Any:
        if isinstance(given, dict) and len(given) != 1:
            raise Fault("a claim is of one kind", remedy=f"accepted are {', '.join(get_args(ClaimKind))}")
        return given

    def spec(self, document: Document, number: int, inventory: Inventory) -> ClaimSpec:
        kind: ClaimKind
        for kind in get_args(ClaimKind):
            body: _Claim | None = getattr(self, kind.replace("-", "_"))
            if body is not None:
                break
        assert body is not None
        return body.spec(kind, document.place("claims", number, kind), inventory)
