"""What all claims have in common as they are written, and what planners get of one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping  # noqa: TC003 - pydantic reads annotations
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, model_validator

from pytest_s3vpce import forms
from pytest_s3vpce.dangling import check_name, check_who
from pytest_s3vpce.faults import Fault
from pytest_s3vpce.inventory import Inventory  # noqa: TC001
from pytest_s3vpce.model import Layer, Place
from pytest_s3vpce.questions import canonical
from pytest_s3vpce.schema import Name, Several, Strict, Text

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
    "tag-scoped",
    "presigned-bounded",
    "break-glass",
    "least-privilege",
]
Pair = tuple[str, str]
Where = tuple[str | int, ...]
Deciding = Annotated[Layer, BeforeValidator(forms.choice(Layer, "layer"), json_schema_input_type=Layer)]


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

    @property
    def permitted(self) -> tuple[Pair, ...]:
        """Who gets in if the claim holds, as far as its fields say so."""
        if "reader" in self.fields:  # its principals are those who do not
            return (self.fields["reader"],)
        who, places = (
            [name for field_name in names for name in forms.listed(self.fields.get(field_name) or ())]
            for names in (("principals", "principal"), ("inside", "read_at", "at"))
        )
        named = [(principal, vantage) for principal in who for vantage in places]
        return self.granted or tuple(pair for pair in named if pair in self.pairs)


Actions = Several[Annotated[str, AfterValidator(canonical)]]
POLICIES: Final = frozenset(Layer) - {Layer.VPC_ENDPOINT, Layer.BLOCK_PUBLIC_ACCESS, Layer.ACL, Layer.KMS}
"""What speaks for a principal or a bucket, and not for a path."""
OWNERS: Final = (Layer.RESOURCE, Layer.RCP)


class WrittenClaim(Strict):
    bucket: Text
    name: Name | None = None
    by: Several[Deciding] = OWNERS
    """The layers a denial may come from: by default those of the bucket's owner."""
    accepts: Several[Text] = ()
    """What is not covered, and need not be: as the report names it."""

    @model_validator(mode="after")
    def _is_declared(self, info: ValidationInfo) -> Self:
        inventory = inventory_of(info)
        check_name(inventory.buckets, self.bucket, "bucket", ("bucket",))
        for field_name, known in (
            ("principals", inventory.principals),
            ("principal", inventory.principals),
            ("fresh", inventory.principals),
            ("old", inventory.principals),
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
    def pairs(self) -> Iterator[tuple[Where, str]]:
        """Every principal:vantage point of the claim, and the path it is written at."""

    def besides(self) -> tuple[str, ...]:
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
            pairs=pairs_of(dict.fromkeys([*(who for _, who in self.pairs()), *self.implied(inventory)])),
            others=self.besides(),
        )


def pair_of(who: str) -> Pair:
    principal, _, vantage = who.partition(":")
    return principal, vantage


def pairs_of(named: Iterable[str]) -> tuple[Pair, ...]:
    return tuple(pair_of(who) for who in named)
