"""Each kind of claim as it is written: what is meant beyond what stands there, and what is told of bad values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_s3vpce.claimbase import ClaimKind, ClaimSpec
from pytest_s3vpce.claims import CLAIMS, BucketFacts, Claim, PrincipalFacts, Setting
from pytest_s3vpce.errors import ExpectationError
from pytest_s3vpce.expectations import declared
from pytest_s3vpce.inventory import Inventory, load_inventory
from pytest_s3vpce.model import Layer, Place

ROOT = Path(__file__).parents[2]
INVENTORY = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
  other: {id: "444455556666", region: eu-west-1}
principals:
  app: {role: "arn:aws:iam::111122223333:role/app"}
  red: {role: "arn:aws:iam::111122223333:role/red"}
  partner: {role: "arn:aws:iam::444455556666:role/partner", account: other}
  nobody: {anonymous: true}
  own: {ambient: true}
  link: {presigned: {by: app}}
  old: {presigned: {by: app, age: 20m, expires: 1h}}
  another: {presigned: {by: red, age: 20m, expires: 1h}}
  expired: {presigned: {by: app, age: 2h, expires: 1h}}
vantage_points:
  inside: {lambda: {function: f}}
  internet: local
buckets:
  reports: {name: reports-bucket, canary: c, keys: {one: k/1, two: k/2, plain: k/3}}
  open: {name: open-bucket, canary: c}
"""
NOT_PUBLIC = {"reader": "app:inside", "principals": ["nobody", "partner"], "at": "internet", "public_control": "open"}
LIMITS = {
    "principals": "app",
    "endpoints": "vpce-1",
    "inside": "inside",
    "outside": "internet",
    "unreached": ["open"],
}
DUTIES = {
    "principals": "app",
    "read_through": "vpce-1",
    "read_at": "inside",
    "write_through": "vpce-2",
    "write_at": "internet",
}
TAGS: dict[str, Any] = {
    "tag": "team",
    "at": "inside",
    "scopes": {"a": {"principal": "app", "key": "one"}, "b": {"principal": "red", "key": "two"}},
}
PRESIGNED = {"fresh": "link", "old": "old", "inside": "inside", "outside": "internet"}
GLASS = {"administrators": "app:internet"}
LEAST = {"principal": "app", "at": "inside", "actions": "s3:GetObject"}
WHOLE: dict[str, dict[str, Any]] = {
    "endpoint-only": {"principals": "app", "endpoints": "vpce-1", "inside": "inside", "outside": "internet"},
    "vpc-only": {"principals": "app", "vpcs": "vpc-1", "inside": "inside", "outside": "internet"},
    "source-ip-only": {"principals": "app", "networks": "192.0.2.0/24", "inside": "internet", "outside": "inside"},
    "tls-only": {"principal": "app", "at": "inside", "minimum": "1.3"},
    "cross-account": {"granted": "partner:inside", "actions": "s3:GetObject"},
    "encrypted-writes": {"principal": "app", "at": "inside", "sse": "AES256"},
    "not-public": NOT_PUBLIC,
    "endpoint-policy-limits": LIMITS,
    "separate-duties": DUTIES,
    "tag-scoped": TAGS,
    "presigned-bounded": PRESIGNED,
    "break-glass": GLASS,
    "least-privilege": LEAST,
}


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    path = tmp_path_factory.mktemp("forms") / "s3vpce.yaml"
    path.write_text(INVENTORY, encoding="utf-8")
    return load_inventory(path)


def spec(inventory: Inventory, kind: str, **fields: Any) -> ClaimSpec:
    body = {"bucket": "reports", **WHOLE[kind], **fields}
    given = {name: value for name, value in body.items() if value is not None}
    (found,) = declared({"claims": [{kind: given}]}, inventory, place=Place(__file__, 1)).claims
    return found


def setting_of(inventory: Inventory) -> Setting:
    principals = {
        name: PrincipalFacts(
            name=name, account=row.account or "main", role=row.role is not None, anonymous=row.anonymous
        )
        for name, row in inventory.principals.items()
    }
    buckets = {
        name: BucketFacts(label=name, name=row.name, account="main", account_id="111122223333", key="c")
        for name, row in inventory.buckets.items()
    }
    return Setting(principals=principals, buckets=buckets, vantages=tuple(inventory.vantage_points))


def test_every_kind_is_known_to_files_and_to_judges() -> None:
    assert set(CLAIMS) == set(get_args(ClaimKind)) == set(WHOLE)


@pytest.mark.parametrize("kind", WHOLE)
def test_each_kind_is_made_with_its_fields_and_names_whom_it_sends(inventory: Inventory, kind: str) -> None:
    found = spec(inventory, kind)
    claim: Claim = CLAIMS[kind](id=found.id, bucket=found.bucket, **found.fields)
    setting = setting_of(inventory)
    cells = [probe.cell for probe in claim.probes(setting)]
    assert {(cell.principal, cell.vantage) for cell in cells if cell.target.bucket == "reports"} <= set(found.pairs)
    assert {cell.target.bucket for cell in cells} - {"reports"} <= {*found.others}
    assert set(found.pairs) <= {(cell.principal, cell.vantage) for cell in cells}
    assert set(claim.explained()) <= set(inventory.principals)
    assert set(claim.configured()) <= {"reports"}
    assert all(str(gap) and not str(gap).endswith(".") for gap in claim.gaps(setting))


def test_everybody_else_is_meant_where_nobody_is_named(inventory: Inventory) -> None:
    others = spec(inventory, "cross-account")
    assert others.fields["refused"] == (("partner", "internet"), ("nobody", "inside"), ("nobody", "internet"))
    assert others.fields["untried"] == ()
    some = spec(inventory, "cross-account", refused="nobody:internet")
    assert some.fields["refused"] == (("nobody", "internet"),)
    assert some.fields["untried"] == ("partner:internet", "nobody:inside")
    glass = spec(inventory, "break-glass")
    assert {principal for principal, _ in glass.fields["others"]} == {"red", "partner", "nobody", "own"}
    assert spec(inventory, "break-glass", others="red:inside").fields["untried"] == (
        "red:internet",
        "partner:inside",
        "partner:internet",
        "nobody:inside",
        "nobody:internet",
        "own:inside",
    )


def test_keys_are_named_and_meant(inventory: Inventory) -> None:
    tags = spec(inventory, "tag-scoped", untagged="plain", witness="app:internet").fields
    assert tags["given"] == (("a", "app", ("one", "k/1")), ("b", "red", ("two", "k/2")))
    assert (tags["untagged"], tags["witness"]) == (("plain", "k/3"), ("app", "internet"))
    least = spec(inventory, "least-privilege", keys="one", neighbours="two", witness="red:inside").fields
    assert (least["keys"], least["neighbours"]) == ((("one", "k/1"),), (("two", "k/2"),))
    assert least["witness"] == ("red", "inside")


def test_layers_are_those_that_the_claim_is_about(inventory: Inventory) -> None:
    assert spec(inventory, "not-public").fields["by"] == {Layer.RESOURCE, Layer.RCP, Layer.BLOCK_PUBLIC_ACCESS}
    assert spec(inventory, "endpoint-policy-limits").fields["by"] == {Layer.VPC_ENDPOINT}
    assert Layer.VPC_ENDPOINT not in spec(inventory, "least-privilege").fields["by"]
    assert spec(inventory, "break-glass", by="scp").fields["by"] == {Layer.SCP}


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("not-public", {"principals": "partner"}, "an anonymous principal is wanted among them"),
    ("not-public", {"principals": "nobody"}, "one of a foreign account is wanted among them"),
    ("not-public", {"public_control": "nowhere"}, "unknown bucket `nowhere`"),
    ("not-public", {"reader": "app"}, "`app` is not a principal and a vantage point"),
    ("endpoint-policy-limits", {"unreached": "nowhere"}, "unknown bucket `nowhere`"),
    ("endpoint-policy-limits", {"unreached": "reports"}, "`reports` is to be in reach"),
    ("endpoint-policy-limits", {"endpoints": "vpc-1"}, "`vpc-1` is not"),
    ("separate-duties", {"write_at": "inside"}, "`inside` stands in `read_at` and `write_at`"),
    ("separate-duties", {"write_through": "vpce-1"}, "`vpce-1` stands in `read_through` and `write_through`"),
    ("separate-duties", {"writes": "s3:GetObject"}, "`s3:GetObject` stands in `reads` and `writes`"),
    ("separate-duties", {"outside": ["inside"]}, "`inside` stands in `read_at` and `outside`"),
    ("encrypted-writes", {"sse": "kms"}, "should be 'AES256', 'aws:kms' or"),
    ("separate-duties", {"read_at": "nowhere"}, "unknown vantage point `nowhere`"),
    ("tag-scoped", {"scopes": {"a": {"principal": "app", "key": "one"}}}, "one value tells nobody apart"),
    ("tag-scoped", {"scopes": {**TAGS["scopes"], "b": {"principal": "red", "key": "no"}}}, "`no`"),
    ("tag-scoped", {"scopes": {**TAGS["scopes"], "b": {"principal": "no", "key": "two"}}}, "unknown principal `no`"),
    ("tag-scoped", {"untagged": "no", "witness": "app:inside"}, "`no`"),
    ("tag-scoped", {"untagged": "one"}, "`untagged` and `witness` go together"),
    (
        "tag-scoped",
        {"scopes": {**TAGS["scopes"], "c": {"principal": "red", "key": "one"}}},
        "`red` carries `b` already",
    ),
    (
        "tag-scoped",
        {"scopes": {**TAGS["scopes"], "b": {"principal": "red", "key": "one"}}},
        "`one` carries `a` already",
    ),
    ("tag-scoped", {"untagged": "one", "witness": "app:inside"}, "`one` carries `a`"),
    ("tag-scoped", {"actions": "s3:ListBucket"}, "`s3:ListBucket` is about no key"),
    ("presigned-bounded", {"fresh": "app"}, "`app` sends no presigned URLs"),
    ("presigned-bounded", {"old": "red"}, "`red` sends no presigned URLs"),
    ("presigned-bounded", {"old": "expired"}, "S3 itself refuses what `expired` sends"),
    ("presigned-bounded", {"old": "link"}, "`link` is not older than `link`"),
    ("presigned-bounded", {"old": "another"}, "`another` and `link` are signed by two"),
    ("presigned-bounded", {"fresh": "none"}, "unknown principal `none`"),
    ("break-glass", {"others": "app:internet"}, "`app:internet` is an administrator"),
    ("break-glass", {"administrators": "app:nowhere"}, "unknown vantage point `nowhere`"),
    ("break-glass", {"mutating": True}, "`reports` is no scratch bucket"),
    ("least-privilege", {"keys": "no", "witness": "app:inside"}, "`no`"),
    ("least-privilege", {"keys": "one"}, "named keys need a `witness`"),
    (
        "least-privilege",
        {"keys": "one", "neighbours": "one", "witness": "app:inside"},
        "`one` is a neighbour of itself",
    ),
    ("least-privilege", {"actions": "s3:DeleteBucket"}, "can't be tried without changing something"),
    ("tls-only", {"minimum": "1.1"}, "1.1"),
    ("cross-account", {"refused": "partner:inside"}, "`partner:inside` is granted and refused"),
]


@pytest.mark.parametrize(("kind", "fields", "words"), FAULTS, ids=[f"{kind} {words}" for kind, _, words in FAULTS])
def test_bad_values_are_told(inventory: Inventory, kind: str, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ExpectationError) as caught:
        spec(inventory, kind, **fields)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", get_args(ClaimKind))
def test_each_kind_is_told_in_the_pages(kind: str) -> None:
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / "docs" / "claims.md").read_text(encoding="utf-8"))
    assert kind in ", ".join(headings).split(", ")
    assert f"`{kind}`" in (ROOT / "README.md").read_text(encoding="utf-8")
