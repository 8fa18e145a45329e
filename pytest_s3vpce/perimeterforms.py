"""Claims about where requests come from and how they travel, as they are written."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - pydantic reads annotations
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ValidationInfo, model_validator

from pytest_s3vpce import forms
from pytest_s3vpce.claimbase import (
    Actions,
    Deciding,
    Where,
    WrittenClaim,
    inventory_of,
)
from pytest_s3vpce.dangling import check_name
from pytest_s3vpce.faults import Fault
from pytest_s3vpce.inventory import Inventory  # noqa: TC001
from pytest_s3vpce.model import Layer
from pytest_s3vpce.questions import row_of
from pytest_s3vpce.schema import Several, Text  # noqa: TC001


class _NetworkOnly(WrittenClaim):
    principals: Several[Text]
    inside: Several[Text]
    outside: Several[Text]
    actions: Actions = ("s3:GetObject", "s3:PutObject", "s3:ListBucket")

    def pairs(self) -> Iterator[tuple[Where, str]]:
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


class TlsOnly(WrittenClaim):
    """The same request is allowed over https and denied over http."""

    principal: Text
    at: Text
    minimum: Literal["1.2", "1.3"] | None = None
    """The least version of TLS that gets in."""
    actions: Actions = ("s3:GetObject", "s3:ListBucket")

    def pairs(self) -> Iterator[tuple[Where, str]]:
        yield ("principal",), f"{self.principal}:{self.at}"

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        return super().made_with(inventory) | {"minimum": self.minimum or ""}


class EncryptedWrites(WrittenClaim):
    """Writes with the demanded encryption are allowed, every other one is denied."""

    principal: Text
    at: Text
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"]
    key: Annotated[str, AfterValidator(forms.KMS_KEY)] = ""
    actions: Actions = ("s3:PutObject",)

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

    def pairs(self) -> Iterator[tuple[Where, str]]:
        yield ("principal",), f"{self.principal}:{self.at}"


class EndpointPolicyLimits(_NetworkOnly):
    """Through the named endpoints only this bucket is in reach; others are shut by the endpoints' policies alone."""

    endpoints: Several[Annotated[str, AfterValidator(forms.ENDPOINT)]]
    unreached: Several[Text]
    """Buckets that are out of reach from inside, and not from outside."""
    actions: Actions = ("s3:GetObject", "s3:PutObject")
    by: Several[Deciding] = (Layer.VPC_ENDPOINT,)

    @model_validator(mode="after")
    def _has_others(self, info: ValidationInfo) -> Self:
        for number, name in enumerate(self.unreached):
            check_name(inventory_of(info).buckets, name, "bucket", ("unreached", number))
            if name == self.bucket:
                raise Fault(f"`{name}` is to be in reach", path=("unreached", number), remedy="name other buckets")
        return self

    def besides(self) -> tuple[str, ...]:
        return self.unreached


class SeparateDuties(WrittenClaim):
    """Reads get in by one endpoint, writes by another."""

    principals: Several[Text]
    read_through: Several[Annotated[str, AfterValidator(forms.ENDPOINT)]]
    read_at: Several[Text]
    write_through: Several[Annotated[str, AfterValidator(forms.ENDPOINT)]]
    write_at: Several[Text]
    outside: Several[Text] | None = None
    reads: Actions = ("s3:GetObject", "s3:ListBucket")
    writes: Actions = ("s3:PutObject",)

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        pairs = (
            ("read_at", "write_at"),
            ("read_through", "write_through"),
            ("reads", "writes"),
            ("read_at", "outside"),
            ("write_at", "outside"),
        )
        for one, other in pairs:
            for number, name in enumerate(getattr(self, other) or ()):
                if name in getattr(self, one):
                    what = f"`{name}` stands in `{one}` and `{other}`"
                    raise Fault(what, path=(other, number), remedy="keep one")
        return self

    def pairs(self) -> Iterator[tuple[Where, str]]:
        for number, principal in enumerate(self.principals):
            for vantage in (*self.read_at, *self.write_at, *(self.outside or ())):
                yield ("principals", number), f"{principal}:{vantage}"

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        return super().made_with(inventory) | {"outside": self.outside or ()}


class PresignedBounded(WrittenClaim):
    """URLs that somebody signed work from inside while they are fresh, and never else."""

    fresh: Text
    """A principal that sends presigned URLs; `old` sends such of a greater age."""
    old: Text
    inside: Several[Text]
    outside: Several[Text]
    endpoints: Several[Annotated[str, AfterValidator(forms.ENDPOINT)]] | None = None
    actions: Actions = ("s3:GetObject",)

    @model_validator(mode="after")
    def _are_urls(self, info: ValidationInfo) -> Self:
        principals = inventory_of(info).principals
        fresh, old = (principals[name].presigned for name in (self.fresh, self.old))
        for field_name, row in (("fresh", fresh), ("old", old)):
            name = getattr(self, field_name)
            if row is None:
                raise Fault(f"`{name}` sends no presigned URLs", path=(field_name,), remedy="name one that does")
            if row.age >= row.expires:
                remedy = "let `expires` be more than `age`"
                raise Fault(f"S3 itself refuses what `{name}` sends: it has expired", path=(field_name,), remedy=remedy)
        assert fresh is not None
        assert old is not None
        if old.by != fresh.by:
            remedy = "let them differ by their age alone"
            raise Fault(f"`{self.old}` and `{self.fresh}` are signed by two", path=("old",), remedy=remedy)
        if old.age <= fresh.age:
            raise Fault(
                f"`{self.old}` is not older than `{self.fresh}`", path=("old",), remedy="give it a greater `age`"
            )
        return self

    def pairs(self) -> Iterator[tuple[Where, str]]:
        for vantage in (*self.inside, *self.outside):
            yield ("fresh",), f"{self.fresh}:{vantage}"
            yield ("old",), f"{self.old}:{vantage}"

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        return super().made_with(inventory) | {"endpoints": self.endpoints or ()}
