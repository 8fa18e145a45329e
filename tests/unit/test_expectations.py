"""Expectation files: entries and claims become cells, `everyone-else` is a closed world, clashes name both lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import jsonschema
import pytest
import yaml

from pytest_s3vpce.claimbase import ClaimKind, ClaimSpec
from pytest_s3vpce.errors import ExpectationError
from pytest_s3vpce.expectations import ExpectedCell, Plan, find_expectations, load_expectations, plan_cells, schemas
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Layer, Place, Transport

if TYPE_CHECKING:
    from pytest_s3vpce.inventory import Inventory

ROOT = Path(__file__).parents[2]

INVENTORY = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
principals:
  app: {role: "arn:aws:iam::111122223333:role/app"}
  other: {profile: o}
  own: {ambient: true}
vantage_points:
  inside: {lambda: {function: f}}
  internet: local
buckets:
  reports: {name: reports-bucket, canary: c, keys: {secret: s/1}, hosts: {ep: vpce.example}}
"""

BASE = """\
expect:
  - bucket: reports
    actions: [s3:GetObject]
    allow: ["app:inside"]
    deny: everyone-else
claims:
  - tls-only: {bucket: reports, principal: app, at: inside}
  - endpoint-only: {bucket: reports, principals: [app], endpoints: [vpce-1], inside: [inside], outside: [internet]}
  - cross-account: {bucket: reports, granted: ["other:inside"], refused: ["app:internet"], actions: [s3:GetObject]}
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(INVENTORY)
    return load_inventory(path)


def plan(inventory: Inventory, *texts: str) -> Plan:
    files = []
    for number, text in enumerate(texts):
        path = inventory.path.parent / f"test_{number}.access.yaml"
        path.write_text(text)
        files.append(load_expectations(path, inventory))
    return plan_cells(files, inventory)


def entry(text: str) -> str:
    return f"expect:\n  - bucket: reports\n    {text}\n"


def rows(found: Plan) -> list[tuple[str, str]]:
    return [(cell.id, cell.expect.value) for cell in found.cells]


def test_everyone_else_is_every_possible_pair_that_nothing_names(inventory: Inventory) -> None:
    found = plan(inventory, BASE)
    # other:inside is granted by a claim; own:internet can't exist
    assert rows(found) == [
        ("GetObject/reports/app:inside/https", "allow"),
        ("GetObject/reports/app:internet/https", "deny"),
        ("GetObject/reports/other:internet/https", "deny"),
        ("GetObject/reports/own:inside/https", "deny"),
    ]


def test_everyone_else_spares_what_other_files_name(inventory: Inventory) -> None:
    first = entry("actions: s3:GetObject\n    blocked: everyone-else")
    second = entry("actions: [GetObject]\n    unreachable: [app:internet]\n    allow: own:inside")
    found = plan(inventory, first, second)
    assert rows(found) == [
        ("GetObject/reports/app:inside/https", "blocked"),
        ("GetObject/reports/other:inside/https", "blocked"),
        ("GetObject/reports/other:internet/https", "blocked"),
        ("GetObject/reports/own:inside/https", "allow"),
        ("GetObject/reports/app:internet/https", "unreachable"),
    ]


def test_a_commands_own_credentials_are_meant_where_they_are_named(tmp_path: Path) -> None:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(INVENTORY.replace("internet: local", "internet: local\n  pod: {command: [python3]}"))
    inventory = load_inventory(path)
    alone = entry("actions: s3:GetObject\n    deny: everyone-else")
    assert "GetObject/reports/own:pod/https" not in dict(rows(plan(inventory, alone)))
    named = entry("actions: s3:ListBucket\n    allow: own:pod")
    found = dict(rows(plan(inventory, alone, named)))
    assert found["GetObject/reports/own:pod/https"] == "deny"
    assert found["ListObjectsV2/reports/own:pod/https"] == "allow"


def test_everyone_else_may_stand_in_a_list_beside_names(inventory: Inventory) -> None:
    found = plan(
        inventory,
        entry("actions: [s3:GetObject]\n    deny: ['app:internet']\n    unreachable: ['app:inside', everyone-else]"),
    )
    assert [cell.expect.value for cell in found.cells] == ["deny", "unreachable", *["unreachable"] * 3]


@pytest.mark.parametrize(
    ("difference", "prefix"),
    [
        ("actions: [s3:ListBucket]", "ListObjectsV2/reports/"),
        ("actions: [{action: s3:GetObject, parameters: {VersionId: 'null'}}]", "GetObject+vi-null/reports/"),
        ("actions: [s3:GetObject]\n    transport: http", "GetObject/reports/"),
        ("actions: [s3:GetObject]\n    key: secret", "GetObject/reports+secret/"),
        ("actions: [s3:GetObject]\n    host: ep", "GetObject/reports+ep/"),
    ],
)
def test_worlds_of_other_questions_are_apart(inventory: Inventory, difference: str, prefix: str) -> None:
    other = entry(f"{difference}\n    deny: everyone-else")
    found = plan(inventory, BASE, other)
    apart = found.items_of(inventory.path.parent / "test_1.access.yaml")
    assert len(apart) == 5  # nothing of the first file or its claims is spared
    assert all(cell.id.startswith(prefix) for cell in apart)


def test_an_entry_becomes_cells(inventory: Inventory) -> None:
    text = entry(
        "actions: [{action: s3:putobject, parameters: {ServerSideEncryption: AES256, ACL: private}}, "
        "{operation: HeadObject, name: head, inferred: true}]\n"
        "    allow: app:inside\n    transports: [https, tls1.2]\n    key: secret\n    host: ep\n    mutating: true"
    )
    found = plan(inventory, text)
    assert [cell.id for cell in found.cells] == [
        "PutObject+acl-private-sse-AES256/reports+secret+ep/app:inside/https",
        "PutObject+acl-private-sse-AES256/reports+secret+ep/app:inside/tls1.2",
        "HeadObject+head/reports+secret+ep/app:inside/https",
        "HeadObject+head/reports+secret+ep/app:inside/tls1.2",
    ]
    put, head = found.cells[0].cell, found.cells[3].cell
    assert (put.action, put.inferred, put.mutating) == ("s3:PutObject", False, True)
    assert put.parameters == {"ServerSideEncryption": "AES256", "ACL": "private"}
    assert (put.target.key, put.target.host) == ("s/1", "vpce.example")
    assert (head.action, head.inferred, head.transport) == ("s3:GetObject", True, Transport.TLS12)


def test_a_plain_entry_leaves_key_and_host_to_the_canary(inventory: Inventory) -> None:
    cell = plan(inventory, entry("actions: s3:GetObject\n    allow: app:inside")).cells[0].cell
    assert (cell.target.label, cell.target.key, cell.target.host) == ("reports", None, None)
    assert (cell.variant, cell.parameters, cell.inferred, cell.mutating) == ("", {}, False, False)


def test_claims_keep_what_was_written_and_fill_in_defaults(inventory: Inventory) -> None:
    found = plan(inventory, BASE.replace("at: inside}", "at: inside, name: x, by: scp, actions: HeadObject}"))
    path = str(inventory.path.parent / "test_0.access.yaml")
    both = frozenset({Layer.RESOURCE, Layer.RCP})
    assert found.claims == (
        ClaimSpec(
            kind="tls-only",
            id="tls-only/reports+x",
            place=Place(path, 7, 5),
            bucket="reports",
            fields={
                "actions": ("HeadObject",),
                "by": frozenset({Layer.SCP}),
                "accepts": (),
                "principal": "app",
                "at": "inside",
                "minimum": "",
            },
            pairs=(("app", "inside"),),
        ),
        ClaimSpec(
            kind="endpoint-only",
            id="endpoint-only/reports",
            place=Place(path, 8, 5),
            bucket="reports",
            fields={
                "actions": ("s3:GetObject", "s3:PutObject", "s3:ListBucket"),
                "by": both,
                "accepts": (),
                "principals": ("app",),
                "endpoints": ("vpce-1",),
                "inside": ("inside",),
                "outside": ("internet",),
            },
            pairs=(("app", "inside"), ("app", "internet")),
        ),
        ClaimSpec(
            kind="cross-account",
            id="cross-account/reports",
            place=Place(path, 9, 5),
            bucket="reports",
            fields={
                "actions": ("s3:GetObject",),
                "by": both,
                "accepts": (),
                "operations": ("s3:GetObject", "s3:PutObject", "s3:ListBucket"),
                "granted": (("other", "inside"),),
                "refused": (("app", "internet"),),
                "untried": (),
            },
            pairs=(("other", "inside"), ("app", "internet")),
        ),
    )
    assert plan(inventory, BASE).claims[0].actions == ("s3:GetObject", "s3:ListBucket")


def test_items_are_each_files_own_in_file_order_with_places(inventory: Inventory) -> None:
    found = plan(inventory, BASE, entry("actions: s3:ListBucket\n    allow: ['app:inside',\n      'own:inside']"))
    folder = inventory.path.parent
    first = found.items_of(folder / "test_0.access.yaml")
    assert [(item.place.line, item.place.column) for item in first] == [
        (4, 13),
        *[(5, 11)] * 3,
        (7, 5),
        (8, 5),
        (9, 5),
    ]
    assert [isinstance(item, ExpectedCell) for item in first] == [True] * 4 + [False] * 3
    second = found.items_of(Path(os.path.relpath(folder / "test_1.access.yaml")))
    assert [(item.id, item.place.line) for item in second] == [
        ("ListObjectsV2/reports/app:inside/https", 4),
        ("ListObjectsV2/reports/own:inside/https", 5),
    ]
    assert found.items_of(folder / "test_9.access.yaml") == ()
    assert len(found.cells) == 6


KINDS = get_args(ClaimKind)
FAULTS = {
    "unknown bucket": (
        "  - bucket: reports",
        "  - bucket: report",
        "FILE:2:13: unknown bucket `report`; accepted are reports",
    ),
    "unknown action": (
        "[s3:GetObject]\n",
        "[s3:GetObjekt]\n",
        "FILE:3:15: unknown action `s3:GetObjekt`; accepted are",
    ),
    "unknown operation": (
        "[s3:GetObject]\n",
        "[GetObjekt]\n",
        "FILE:3:15: unknown operation `GetObjekt`; accepted are",
    ),
    "action and operation": (
        "[s3:GetObject]\n",
        "[{action: s3:GetObject, operation: GetObject}]\n",
        "FILE:3:15: exactly one of action, operation is wanted; keep one",
    ),
    "key as a parameter": (
        "[s3:GetObject]\n",
        "[{action: s3:GetObject, parameters: {Key: x}}]\n",
        "FILE:3:51: `Key` is no parameter here; the entry's `key` names one of the bucket's `keys`",
    ),
    "no actions": ("[s3:GetObject]\n", "[]\n", "FILE:3:5: nothing is listed here; list at least one"),
    "actions are nothing": ("[s3:GetObject]\n", "\n", "FILE:3:13: a list is wanted here, not nothing"),
    "unknown vantage point": (
        'app:inside"]',
        'app:insid"]',
        "FILE:4:13: unknown vantage point `insid` in `app:insid`; accepted are inside, internet",
    ),
    "unknown principal": (
        'app:inside"]',
        'ap:inside"]',
        "FILE:4:13: unknown principal `ap` in `ap:inside`; accepted are app, other, own",
    ),
    "no vantage point": (
        'app:inside"]',
        'app"]',
        "FILE:4:13: `app` is not a principal and a vantage point; write PRINCIPAL:VANTAGE_POINT",
    ),
    "wildcard": (
        'app:inside"]',
        'app:*"]',
        "FILE:4:13: unknown vantage point `*` in `app:*`; accepted are inside, internet",
    ),
    "ambient without a role": (
        'app:inside"]',
        'own:internet"]',
        (
            "FILE:4:13: `own:internet` can't exist: `internet` is this machine, which has no role; ambient credentials "
            "are those of a function, an instance or a container; for this machine's own name a `profile`"
        ),
    ),
    "everyone-else allowed": (
        '["app:inside"]',
        "everyone-else",
        "FILE:4:12: `everyone-else` can't be allowed; it stands under deny, unreachable or blocked",
    ),
    "word instead of a pair": (
        "everyone-else",
        "everyone",
        "FILE:5:11: `everyone` is not a principal and a vantage point; write PRINCIPAL:VANTAGE_POINT, or everyone-else",
    ),
    "unknown transport": (
        "    deny: everyone-else",
        "    deny: everyone-else\n    transport: ftp",
        "FILE:6:16: unknown transport `ftp`; accepted are https, http, tls1.2, tls1.3",
    ),
    "transport twice": (
        "    deny: everyone-else",
        "    deny: everyone-else\n    transport: http\n    transports: [https]",
        "FILE:7:5: `transport` and `transports` say the same; keep one",
    ),
    "unknown key": (
        "    deny: everyone-else",
        "    deny: everyone-else\n    key: secre",
        "FILE:6:10: unknown key of bucket `reports`: `secre`; accepted are secret",
    ),
    "unknown host": (
        "    deny: everyone-else",
        "    deny: everyone-else\n    host: e",
        "FILE:6:11: unknown host of bucket `reports`: `e`; accepted are ep",
    ),
    "key for a listing": (
        "[s3:GetObject]\n    allow",
        "[s3:GetObject, s3:ListBucket]\n    key: secret\n    allow",
        "FILE:3:29: `s3:ListBucket` is about no key; put it into an entry without `key`",
    ),
    "misspelt key": (
        "    deny: everyone-else",
        "    denies: everyone-else",
        (
            "FILE:5:5: unknown key `denies`; accepted are deny, bucket, actions, allow, unreachable, "
            "blocked, transport, transports, key, host, inferred, mutating, timeout, settle"
        ),
    ),
    "nobody named": (
        '    allow: ["app:inside"]\n    deny: everyone-else\n',
        "",
        "FILE:2:5: this expects nothing of anybody; add allow, deny, unreachable or blocked",
    ),
    "two closed worlds": (
        "    deny: everyone-else",
        "    deny: everyone-else\n    unreachable: everyone-else",
        "FILE:6:18: `GetObject/reports/app:internet/https` can't be both deny (at FILE:5:11) and unreachable; keep one",
    ),
    "allowed and denied": (
        "    deny: everyone-else",
        "    deny: 'app:inside'",
        "FILE:5:11: `GetObject/reports/app:inside/https` can't be both allow (at FILE:4:13) and deny; keep one",
    ),
    "misspelt allow": (
        "    deny: everyone-else",
        "    allowed: x",
        (
            "FILE:5:5: unknown key `allowed`; accepted are allow, bucket, actions, deny, unreachable, "
            "blocked, transport, transports, key, host, inferred, mutating, timeout, settle"
        ),
    ),
    "named twice": (
        '["app:inside"]',
        '["app:inside", "app:inside"]',
        "FILE:4:27: `GetObject/reports/app:inside/https` is declared twice, first at FILE:4:13; keep one",
    ),
    "one variant for two requests": (
        "[s3:GetObject]\n",
        "[{action: s3:PutObject, parameters: {Tagging: a b}}, {action: s3:PutObject, parameters: {Tagging: a-b}}]\n",
        (
            "FILE:4:13: `PutObject+tagging-a-b` stands for two requests with different parameters, the "
            "first at FILE:4:13; give one of them a `name`"
        ),
    ),
    "flag is no flag": (
        "[s3:GetObject]\n",
        "[{action: s3:PutObject, inferred: maybe}]\n",
        "FILE:3:48: `maybe` is neither true nor false; write true or false",
    ),
    "unknown claim": (
        "tls-only:",
        "tls-onli:",
        (
            "FILE:7:5: unknown key `tls-onli`; accepted are "
            + ", ".join(["tls-only", *(kind for kind in KINDS if kind != "tls-only")])
        ),
    ),
    "claim on an unknown bucket": (
        "tls-only: {bucket: reports",
        "tls-only: {bucket: report",
        "FILE:7:24: unknown bucket `report`; accepted are reports",
    ),
    "claim at an unknown vantage point": (
        "at: inside",
        "at: insid",
        "FILE:7:53: unknown vantage point `insid`; accepted are inside, internet",
    ),
    "claim by an unknown principal": (
        "principal: app",
        "principal: ap",
        "FILE:7:44: unknown principal `ap`; accepted are app, other, own",
    ),
    "claim by one unknown principal": (
        "principals: [app]",
        "principals: [app, ap]",
        "FILE:8:56: unknown principal `ap`; accepted are app, other, own",
    ),
    "inside and outside": (
        "outside: [internet]",
        "outside: [inside]",
        "FILE:8:106: `inside` is inside and outside; keep one",
    ),
    "not an endpoint": (
        "[vpce-1]",
        "[vpc-1]",
        "FILE:8:69: `vpc-1` is not a VPC endpoint's id; it looks like vpce-0123456789abcdef0",
    ),
    "endpoint by an unknown reference": (
        "[vpce-1]",
        "['${cfn:E}']",
        (
            "FILE:8:69: `${cfn:E}` is not a known reference; accepted are ${out:NAME}, ${env:NAME}, "
            "${cfn:STACK.OUTPUT}, ${tf:FOLDER#OUTPUT}, ${ssm:/NAME}"
        ),
    ),
    "outside an unknown vantage point": (
        "outside: [internet]",
        "outside: [internt]",
        "FILE:8:106: unknown vantage point `internt`; accepted are internet, inside",
    ),
    "claim by ambient without a role": (
        "principals: [app]",
        "principals: [own]",
        (
            "FILE:8:51: `own:internet` can't exist: `internet` is this machine, which has no role; ambient credentials "
            "are those of a function, an instance or a container; for this machine's own name a `profile`"
        ),
    ),
    "granted and refused": (
        "app:internet",
        "other:inside",
        "FILE:9:75: `other:inside` is granted and refused; keep one",
    ),
    "granted without a vantage point": (
        "other:inside",
        "other",
        "FILE:9:48: `other` is not a principal and a vantage point; write PRINCIPAL:VANTAGE_POINT",
    ),
    "claim without actions": (", actions: [s3:GetObject]}", "}", "FILE:9:5: `actions` is missing; add it"),
    "claim with an unknown action": (
        "actions: [s3:GetObject]}",
        "actions: [s3:Get]}",
        "FILE:9:102: unknown action `s3:Get`; accepted are",
    ),
    "unknown layer": (
        "at: inside}",
        "at: inside, by: [bucket]}",
        (
            "FILE:7:66: unknown layer `bucket`; accepted are identity, resource, vpc_endpoint, scp, rcp, "
            "permissions_boundary, session, block_public_access, acl, kms"
        ),
    ),
    "claimed twice": (
        "at: inside}",
        "at: inside}\n  - tls-only: {bucket: reports, principal: app, at: inside}",
        "FILE:8:5: `tls-only/reports` is claimed twice, first at FILE:7:5; give one of them a `name`",
    ),
    "claim is text": ("claims:\n", "claims:\n  - tls-only\n", "FILE:7:5: a mapping is wanted here, not `tls-only`"),
    "two kinds in one claim": (
        "claims:\n",
        "claims:\n  - {tls-only: {}, endpoint-only: {}}\n",
        ("FILE:7:5: a claim is of one kind; accepted are " + ", ".join(KINDS)),
    ),
    "misspelt section": ("claims:\n", "clams:\n", "FILE:6:1: unknown key `clams`; accepted are claims, expect"),
    "misspelt key of a claim": (
        "at: inside}",
        "at: inside, nme: x}",
        "FILE:7:61: unknown key `nme`; accepted are name, bucket, by, accepts, principal, at, minimum, actions",
    ),
    "bad name of a claim": (
        "at: inside}",
        "at: inside, name: x/y}",
        "FILE:7:67: `x/y` is not a name; names may not contain / : + [ ] $ or spaces",
    ),
    "empty file": (BASE, "", "FILE: the file is empty; write its sections"),
    "nothing at all": (BASE, "{}", "FILE: nothing is listed here; list at least one"),
    "empty expect": (BASE, "expect: []\n", "FILE:1:1: nothing is listed here; list at least one"),
    "unquoted reference": (
        BASE,
        "claims:\n  - endpoint-only: {endpoints: [${out:E}]}\n",
        'FILE:2:33: `${out:E}` is not quoted; quote it: "${out:E}"',
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_say_where_what_and_what_is_accepted(inventory: Inventory, name: str) -> None:
    old, new, message = FAULTS[name]
    assert old in BASE
    with pytest.raises(ExpectationError) as caught:
        plan(inventory, BASE.replace(old, new, 1))
    shown = str(caught.value).replace(str(inventory.path.parent / "test_0.access.yaml"), "FILE")
    if message.endswith("accepted are"):  # the catalogue grows
        assert shown.startswith(f"{message} s3:GetObject" if "action" in message else f"{message} GetObject")
    else:
        assert shown == message


def test_clashes_between_files_name_both(inventory: Inventory) -> None:
    folder = inventory.path.parent
    with pytest.raises(ExpectationError) as caught:
        plan(inventory, BASE, entry("actions: GetObject\n    deny: app:inside"))
    assert str(caught.value) == (
        f"{folder}/test_1.access.yaml:4:11: `GetObject/reports/app:inside/https` can't be both allow "
        f"(at {folder}/test_0.access.yaml:4:13) and deny; keep one"
    )
    with pytest.raises(ExpectationError) as caught:
        plan(inventory, BASE, "claims:\n  - tls-only: {bucket: reports, principal: app, at: inside}\n")
    assert str(caught.value) == (
        f"{folder}/test_1.access.yaml:2:5: `tls-only/reports` is claimed twice, "
        f"first at {folder}/test_0.access.yaml:7:5; give one of them a `name`"
    )


def test_files_are_found_where_pytest_looks(tmp_path: Path) -> None:
    for name in (
        "test_b.access.yaml",
        "sub/test_a.access.yaml",
        ".venv/test_x.access.yaml",
        "node_modules/deep/test_x.access.yaml",
        "access.yaml",
        "test_c.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find_expectations(tmp_path) == (tmp_path / "sub/test_a.access.yaml", tmp_path / "test_b.access.yaml")


@pytest.mark.parametrize("name", ["inventory.schema.json", "expectations.schema.json"])
def test_the_exported_schemas_are_up_to_date(name: str) -> None:
    assert json.loads((ROOT / "docs/schema" / name).read_text()) == schemas()[name]


def invalid(name: str, text: str) -> list[Any]:
    validator = jsonschema.Draft202012Validator(schemas()[name])
    return list(validator.iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize("name", schemas())
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas()[name])


def test_the_schemas_take_what_users_write() -> None:
    assert invalid("inventory.schema.json", INVENTORY.replace('"111122223333"', "111122223333")) == []
    assert invalid("expectations.schema.json", BASE) == []
    asked = entry("actions: [{action: s3:GetObject, parameters: {VersionId: x}}, HeadObject]\n    deny: everyone-else")
    assert invalid("expectations.schema.json", asked) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("inventory.schema.json", "{function: f}", "{function: f, subnets: [a], security_groups: [b]}"),
        ("inventory.schema.json", "internet: local", "internet: {locl: {}}"),
        ("inventory.schema.json", "{profile: o}", "{profile: o, role: r}"),
        ("inventory.schema.json", "canary: c", "canary: {reader: a:b}"),
        ("inventory.schema.json", "region: eu-west-1", "region:"),
        ("expectations.schema.json", "allow:", "allows:"),
        ("expectations.schema.json", "tls-only:", "tls:"),
        ("expectations.schema.json", "principal: app", "principals: [app]"),
    ],
)
def test_the_schemas_refuse_what_the_loader_refuses(name: str, old: str, new: str) -> None:
    text = INVENTORY if name.startswith("inventory") else BASE
    assert old in text
    assert invalid(name, text.replace(old, new, 1))
