"""Claims about who may do what, as they are written."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - pydantic reads annotations
from typing import Any, Final, Self

from pydantic import ValidationInfo, model_validator

from pytest_s3vpce.claimbase import (
    OWNERS,
    POLICIES,
    Actions,
    Deciding,
    Where,
    WrittenClaim,
    inventory_of,
    pair_of,
    pairs_of,
)
from pytest_s3vpce.dangling import check_name, implied
from pytest_s3vpce.faults import Fault
from pytest_s3vpce.inventory import Inventory  # noqa: TC001
from pytest_s3vpce.model import Layer
from pytest_s3vpce.questions import row_of
from pytest_s3vpce.schema import Flag, Several, Strict, Text

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


def everywhere(inventory: Inventory, principal: str) -> Iterator[str]:
    """A principal at each vantage point where it can be."""
    for vantage in inventory.vantage_points:
        if implied(inventory, principal=principal, vantage=vantage):
            yield f"{principal}:{vantage}"


class CrossAccount(WrittenClaim):
    """Granted principals of other accounts get in as named, everybody else of other accounts does not."""

    granted: Several[Text]
    refused: Several[Text] | None = None
    """By default every declared principal of another account, from every vantage point where it is not granted."""
    actions: Actions
    operations: Actions = ("s3:GetObject", "s3:PutObject", "s3:ListBucket")
    """What is asked for besides `actions`, and must be denied to all."""

    def pairs(self) -> Iterator[tuple[Where, str]]:
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
            yield from (who for who in everywhere(inventory, name) if who not in self.granted)

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        others = tuple(self._everyone_else(inventory))
        refused = others if self.refused is None else self.refused
        return super().made_with(inventory) | {
            "granted": pairs_of(self.granted),
            "refused": pairs_of(refused),
            "untried": tuple(who for who in others if who not in refused),
        }


class NotPublic(WrittenClaim):
    """Nobody and strangers get nothing; what S3 says of the bucket's openness agrees."""

    reader: Text
    """Who gets in, `principal:vantage point`."""
    principals: Several[Text]
    at: Several[Text]
    public_control: Text | None = None
    """A bucket that is open to everybody, by its name in the inventory."""
    actions: Actions = ACTIONS
    by: Several[Deciding] = (*OWNERS, Layer.BLOCK_PUBLIC_ACCESS)

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

    def pairs(self) -> Iterator[tuple[Where, str]]:
        yield ("reader",), self.reader
        for number, principal in enumerate(self.principals):
            for vantage in self.at:
                yield ("principals", number), f"{principal}:{vantage}"

    def besides(self) -> tuple[str, ...]:
        return (self.public_control,) if self.public_control else ()

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        control = self.public_control or ""
        return super().made_with(inventory) | {"reader": pair_of(self.reader), "public_control": control}


class TagScope(Strict):
    """Who carries a value of the tag, and which key of the bucket does."""

    principal: Text
    key: Text


class TagScoped(WrittenClaim):
    """Whoever carries a tag gets at objects that carry the same, and at no others."""

    tag: Text
    at: Text
    scopes: dict[Text, TagScope]
    """By the tag's values."""
    untagged: Text | None = None
    """A key of the bucket without the tag."""
    witness: Text | None = None
    """Who reads that one, `principal:vantage point`: a denial of an object that is not there says nothing."""
    actions: Actions = ("s3:GetObject",)
    by: Several[Deciding] = tuple(sorted(POLICIES))

    @model_validator(mode="after")
    def _has_keys(self, info: ValidationInfo) -> Self:
        bucket = inventory_of(info).buckets[self.bucket]
        if len(self.scopes) < 2:
            raise Fault("one value tells nobody apart", path=("scopes",), remedy="give another one its own scope")
        for value, scope in self.scopes.items():
            check_name(bucket.keys, scope.key, f"key of bucket `{self.bucket}`:", ("scopes", value, "key"))
        if self.untagged is not None:
            check_name(bucket.keys, self.untagged, f"key of bucket `{self.bucket}`:", ("untagged",))
        if (self.untagged is None) != (self.witness is None):
            raise Fault("`untagged` and `witness` go together", path=("scopes",), remedy="give both, or neither")
        self._are_apart()
        for number, name in enumerate(self.actions):
            if not row_of(name).on_object:
                remedy = "tags of objects scope what is done to objects"
                raise Fault(f"`{name}` is about no key", path=("actions", number), remedy=remedy)
        return self

    def _are_apart(self) -> None:
        """Whoever has two values, and a key that does, would have to be let in and refused."""
        met: dict[tuple[str, str], str] = {}
        for value, scope in self.scopes.items():
            for what, name in (("principal", scope.principal), ("key", scope.key)):
                if met.setdefault((what, name), value) != value:
                    remedy = "give each value its own"
                    other = met[what, name]
                    raise Fault(f"`{name}` carries `{other}` already", path=("scopes", value, what), remedy=remedy)
            if scope.key == self.untagged:
                raise Fault(f"`{scope.key}` carries `{value}`", path=("untagged",), remedy="name a key without the tag")

    def pairs(self) -> Iterator[tuple[Where, str]]:
        for value, scope in self.scopes.items():
            yield ("scopes", value, "principal"), f"{scope.principal}:{self.at}"
        if self.witness is not None:
            yield ("witness",), self.witness

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        keys = inventory.buckets[self.bucket].keys
        scopes = tuple((value, row.principal, (row.key, keys[row.key])) for value, row in self.scopes.items())
        untagged = None if self.untagged is None else (self.untagged, keys[self.untagged])
        made = super().made_with(inventory) | {
            "given": scopes,
            "untagged": untagged,
            "witness": pair_of(self.witness) if self.witness else None,
        }
        del made["scopes"]
        return made


class BreakGlass(WrittenClaim):
    """Administrators keep reading and replacing the bucket policy from where they are, nobody else can."""

    administrators: Several[Text]
    others: Several[Text] | None = None
    """By default every other declared principal, from every vantage point."""
    inferred: Flag = False
    mutating: Flag = False
    """Whether the policy is really deleted, and put back: only in a bucket that is `scratch`."""
    by: Several[Deciding] = tuple(sorted(POLICIES))

    @model_validator(mode="after")
    def _is_scratch(self, info: ValidationInfo) -> Self:
        if self.mutating and not inventory_of(info).buckets[self.bucket].scratch:
            remedy = "where its policy may be gone for a moment, set `scratch: true` on it in the inventory"
            raise Fault(f"`{self.bucket}` is no scratch bucket", path=("mutating",), remedy=remedy)
        return self

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        for number, who in enumerate(self.others or ()):
            if who in self.administrators:
                raise Fault(f"`{who}` is an administrator", path=("others", number), remedy="keep one")
        return self

    def pairs(self) -> Iterator[tuple[Where, str]]:
        for name in ("administrators", "others"):
            for number, who in enumerate(getattr(self, name) or ()):
                yield (name, number), who

    def implied(self, inventory: Inventory) -> tuple[str, ...]:
        return tuple(self._everyone_else(inventory)) if self.others is None else ()

    def _everyone_else(self, inventory: Inventory) -> Iterator[str]:
        """Who is no administrator anywhere; URLs that somebody signed are that one's own requests."""
        known = {principal for principal, _ in pairs_of(self.administrators)}
        for name, row in inventory.principals.items():
            if name not in known and row.presigned is None:
                yield from everywhere(inventory, name)

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        everyone = tuple(self._everyone_else(inventory))
        others = everyone if self.others is None else self.others
        return super().made_with(inventory) | {
            "administrators": pairs_of(self.administrators),
            "others": pairs_of(others),
            "untried": tuple(who for who in everyone if who not in others),
        }


class LeastPrivilege(WrittenClaim):
    """A principal does exactly the listed actions on exactly the listed keys."""

    principal: Text
    at: Text
    actions: Actions
    keys: Several[Text] | None = None
    """Keys of the bucket, by their names; by default its canary's."""
    neighbours: Several[Text] | None = None
    """Keys of the bucket where the actions are denied."""
    witness: Text | None = None
    """Who reads those keys, `principal:vantage point`: a denial of an object that is not there says nothing."""
    inferred: Flag = False
    by: Several[Deciding] = tuple(sorted(POLICIES))

    @model_validator(mode="after")
    def _has_keys(self, info: ValidationInfo) -> Self:
        known = inventory_of(info).buckets[self.bucket].keys
        for field_name in ("keys", "neighbours"):
            for number, name in enumerate(getattr(self, field_name) or ()):
                check_name(known, name, f"key of bucket `{self.bucket}`:", (field_name, number))
        for number, name in enumerate(self.neighbours or ()):
            if name in (self.keys or ()):
                raise Fault(f"`{name}` is a neighbour of itself", path=("neighbours", number), remedy="keep one")
        if (self.keys or self.neighbours) and not self.witness:
            raise Fault("named keys need a `witness`", path=("actions",), remedy="say who reads them")
        for number, text in enumerate(self.actions):
            if row_of(text).safe is None:
                remedy = "leave it out: it would be allowed unseen"
                raise Fault(
                    f"`{text}` can't be tried without changing something", path=("actions", number), remedy=remedy
                )
        return self

    def pairs(self) -> Iterator[tuple[Where, str]]:
        yield ("principal",), f"{self.principal}:{self.at}"
        if self.witness is not None:
            yield ("witness",), self.witness

    def made_with(self, inventory: Inventory) -> dict[str, Any]:
        known = inventory.buckets[self.bucket].keys
        return super().made_with(inventory) | {
            "keys": tuple((name, known[name]) for name in self.keys or ()),
            "neighbours": tuple((name, known[name]) for name in self.neighbours or ()),
            "witness": pair_of(self.witness) if self.witness else None,
        }
