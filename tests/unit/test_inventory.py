"""The inventory: what users write, and what is said about every way to write it wrongly."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_s3vpce import kinds
from pytest_s3vpce.errors import InventoryError
from pytest_s3vpce.faults import translated
from pytest_s3vpce.inventory import Inventory, find_inventory, load_inventory
from pytest_s3vpce.model import Place
from pytest_s3vpce.references import References

if TYPE_CHECKING:
    from pathlib import Path

BASE = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
  partner: {id: 444455556666, role: "arn:aws:iam::444455556666:role/x", external_id: "${env:X}", region: eu-west-1}
principals:
  app: {role: "arn:aws:iam::111122223333:role/app"}
vantage_points:
  internet: local
buckets:
  reports: {name: reports-bucket, canary: c}
"""

FULL = """\
accounts:
  main: {id: 012345678901, profile: staging, region: eu-west-1}
  partner: {id: "${env:PARTNER}", role: "${out:Role}", external_id: hush, region: us-gov-west-1}
infrastructure: {file: out/outputs.json}
principals:
  app: {role: "arn:aws:iam::012345678901:role/path/app", account: main}
  user: {profile: user, account: partner, send_credentials_in_clear: true}
  anonymous: {anonymous: true}
  own: {ambient: true}
vantage_points:
  internet: local
  behind: {local: {proxy: "http://proxy:3128", ca_bundle: ca.pem}}
  inside:
    lambda:
      account: partner
      region: eu-west-2
      subnets: "${out:Subnets}"
      security_groups: [sg-1, "${out:Group}"]
      role_path: /probes/
      permissions_boundary: arn:aws:iam::444455556666:policy/limit
      tags: {team: no}
      architecture: arm64
      memory: 256
      runtime: python3.12
  kept:
    lambda:
      keep: true
      subnets: {tags: {tier: app, stage: "${env:STAGE}"}}
      security_groups: {tags: {tier: probe}}
      dual_stack: true
      kms_key: "arn:aws:kms:eu-west-1:012345678901:key/1234-ab"
  there: {lambda: {function: "arn:aws:lambda:eu-west-1:012345678901:function:agent"}}
buckets:
  reports: {name: reports-bucket, account: partner, region: eu-west-2, canary: {key: c, reader: "own:inside"}}
  uploads:
    name: uploads-bucket
    canary: {create: "app:inside"}
    keys: {secret: a/secret.txt}
    hosts: {private: bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com, other: "https://${out:Host}"}
controls:
  main: {name: control-bucket, canary: c}
  partner: {name: control-partner, canary: {key: d}, region: eu-west-2}
allow_hosts: ["*.internal.example.com", "${out:Api}"]
lab: {provision: provision.py}
"""


def load(folder: Path, text: str) -> Inventory:
    path = folder / "s3vpce.yaml"
    path.write_text(text)
    return load_inventory(path)


def test_everything_a_user_may_write(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    assert found.default_account == "main"
    assert found.accounts["main"].id == "012345678901"
    assert found.accounts["partner"].role == "${out:Role}"
    assert found.principals["user"].send_credentials_in_clear
    assert (found.principals["anonymous"].anonymous, found.principals["anonymous"].ambient) == (True, False)
    assert found.principals["own"].ambient
    assert [point.kind for point in found.vantage_points.values()] == ["local", "local", *["lambda"] * 3]
    assert [point.account for point in found.vantage_points.values()] == [None, None, "partner", None, None]
    assert found.lab is not None
    assert found.lab.provision == "provision.py"
    assert found.allow_hosts == ("*.internal.example.com", "${out:Api}")


def test_vantage_points(tmp_path: Path) -> None:
    points = load(tmp_path, FULL).vantage_points
    assert points["internet"].local is not None
    assert (points["internet"].local.proxy, points["internet"].local.ca_bundle) == ("none", None)
    assert points["behind"].local is not None
    assert (points["behind"].local.proxy, points["behind"].local.ca_bundle) == ("http://proxy:3128", "ca.pem")
    made = points["inside"].lambda_
    assert made is not None
    assert made.model_dump() == {
        "function": None,
        "account": "partner",
        "region": "eu-west-2",
        "subnets": ("${out:Subnets}",),
        "security_groups": ("sg-1", "${out:Group}"),
        "role": None,
        "role_path": "/probes/",
        "permissions_boundary": "arn:aws:iam::444455556666:policy/limit",
        "tags": {"team": "no"},
        "architecture": "arm64",
        "memory": 256,
        "runtime": "python3.12",
        "keep": False,
        "dual_stack": False,
        "kms_key": None,
    }
    kept = points["kept"].lambda_
    assert kept is not None
    assert (kept.keep, kept.dual_stack) == (True, True)
    assert kept.subnets == {"tier": "app", "stage": "${env:STAGE}"}
    assert kept.security_groups == {"tier": "probe"}
    assert kept.kms_key == "arn:aws:kms:eu-west-1:012345678901:key/1234-ab"
    there = points["there"].lambda_
    assert there is not None
    assert there.function == "arn:aws:lambda:eu-west-1:012345678901:function:agent"
    assert there.subnets == ()


def test_buckets_and_controls(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    reports, uploads = found.buckets["reports"], found.buckets["uploads"]
    assert (reports.canary.key, reports.canary.create, reports.canary.reader) == ("c", None, "own:inside")
    assert (uploads.canary.key, uploads.canary.create, uploads.canary.reader) == (None, "app:inside", None)
    assert uploads.keys == {"secret": "a/secret.txt"}
    assert uploads.hosts["other"] == "https://${out:Host}"
    assert found.controls["main"].canary.key == "c"
    assert (found.controls["partner"].canary.key, found.controls["partner"].region) == ("d", "eu-west-2")


def test_paths_are_relative_to_the_inventory(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    source = found.outputs_file()
    assert source is not None
    assert source.path == tmp_path / "out/outputs.json"
    assert source.place == Place(str(tmp_path / "s3vpce.yaml"), 4, 24)
    assert found.beside("/etc/x") == found.path.parent / "/etc/x"
    assert load(tmp_path, BASE).outputs_file() is None


def test_items_have_places(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    path = str(tmp_path / "s3vpce.yaml")
    assert found.place("accounts", "main") == Place(path, 2, 3)
    assert found.place("vantage_points", "inside", "lambda", "memory") == Place(path, 23, 15)
    assert found.place("buckets", "reports", "canary", "reader") == Place(path, 34, 97)
    assert found.place("accounts", "main", "role") == Place(path, 2, 3)


def test_references_are_resolved_with_the_items_place(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    references = References({"Subnets": ["subnet-1", "subnet-2"]}, environment={})
    inside = found.vantage_points["inside"].lambda_
    assert inside is not None
    place = found.place("vantage_points", "inside", "lambda", "subnets")
    assert isinstance(inside.subnets, tuple)
    assert references.resolve_list(inside.subnets, place) == ("subnet-1", "subnet-2")
    with pytest.raises(InventoryError, match=r":3:17: `\$\{env:PARTNER\}` is not set"):
        references.resolve(found.accounts["partner"].id, found.place("accounts", "partner", "id"))


def test_variables_of_iam_are_none_of_ours_in_a_session_policy(tmp_path: Path) -> None:
    text = """
accounts: {main: {id: "111122223333", region: eu-west-1}}
principals:
  app:
    role: "arn:aws:iam::111122223333:role/app"
    session_policy:
      Statement: [{Effect: Allow, Action: "s3:*", Resource: "arn:aws:s3:::home/${aws:PrincipalTag/team}/*"}]
vantage_points: {internet: local}
buckets: {reports: {name: reports, canary: c}}
"""
    (tmp_path / "s3vpce.yaml").write_text(text, encoding="utf-8")
    found = load_inventory(tmp_path / "s3vpce.yaml").principals["app"].session_policy
    assert isinstance(found, dict)
    assert found["Statement"][0]["Resource"] == "arn:aws:s3:::home/${aws:PrincipalTag/team}/*"
    (tmp_path / "s3vpce.yaml").write_text(text.replace("name: reports", 'name: "${aws:x}"'), encoding="utf-8")
    with pytest.raises(InventoryError, match="`\\$\\{aws:x\\}` is not a known reference"):
        load_inventory(tmp_path / "s3vpce.yaml")


def test_an_inventory_is_frozen_and_keeps_secrets_out_of_its_repr(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    with pytest.raises(ValidationError):
        found.accounts["main"].region = "eu-west-3"  # type: ignore[misc]
    assert "hush" not in repr(found)
    assert "proxy:3128" not in repr(found)


def test_an_inventory_made_from_values_has_a_place_too() -> None:
    made = Inventory.model_validate(
        {
            "accounts": {"main": {"id": "111122223333", "region": "eu-west-1"}},
            "principals": {"anonymous": {"anonymous": True}},
            "vantage_points": {"internet": "local"},
            "buckets": {"b": {"name": "bucket", "canary": "c"}},
        }
    )
    assert made.place("accounts", "main") == Place("s3vpce.yaml")
    assert str(made.path) == "s3vpce.yaml"


FORMS = "${out:NAME}, ${env:NAME}, ${cfn:STACK.OUTPUT}, ${tf:FOLDER#OUTPUT}, ${ssm:/NAME}"
FAULTS = {
    "name with a slash": (
        "main:",
        "mai/n:",
        "FILE:2:3: `mai/n` is not a name; names may not contain / : + [ ] $ or spaces",
    ),
    "short account id": ('id: "111122223333"', "id: 123", "FILE:2:14: `123` is not an account id; give its 12 digits"),
    "bad region": (
        "region: eu-west-1}\n  partner",
        "region: Ireland}\n  partner",
        "FILE:2:38: `Ireland` is not a Region; give its code, such as eu-west-1",
    ),
    "misspelt key": (
        "region: eu-west-1}\n  partner",
        "regio: x}\n  partner",
        "FILE:2:30: unknown key `regio`; accepted are region, id, profile, role, external_id",
    ),
    "missing key": (", region: eu-west-1}\n  partner", "}\n  partner", "FILE:2:3: `region` is missing; add it"),
    "account is text": (
        '{id: "111122223333", region: eu-west-1}',
        "text",
        "FILE:2:9: a mapping is wanted here, not `text`",
    ),
    "account is nothing": (
        '{id: "111122223333", region: eu-west-1}',
        "",
        "FILE:2:8: a mapping is wanted here, not nothing",
    ),
    "external id without role": (
        'role: "arn:aws:iam::444455556666:role/x", ',
        "",
        "FILE:3:44: `external_id` is for assuming a role; add `role`",
    ),
    "user instead of role": (
        "role/app",
        "user/app",
        "FILE:5:15: `arn:aws:iam::111122223333:user/app` is not a role's ARN; write arn:aws:iam::ACCOUNT_ID:role/NAME",
    ),
    "role of another account": (
        "111122223333:role/app",
        "444455556666:role/app",
        (
            "FILE:5:15: `arn:aws:iam::444455556666:role/app` is in account `444455556666`, but `main` is "
            "`111122223333`; that is account `partner`"
        ),
    ),
    "role of an unknown account": (
        "111122223333:role/app",
        "999955556666:role/app",
        (
            "FILE:5:15: `arn:aws:iam::999955556666:role/app` is in account `999955556666`, but `main` is "
            "`111122223333`; correct the ARN, or the account's id"
        ),
    ),
    "no kind of principal": (
        '{role: "arn:aws:iam::111122223333:role/app"}',
        "{}",
        "FILE:5:3: exactly one of role, profile, keys, anonymous, ambient, presigned is wanted, found none; add one",
    ),
    "yes is not true": (
        '{role: "arn:aws:iam::111122223333:role/app"}',
        "{anonymous: yes}",
        "FILE:5:20: `yes` is neither true nor false; write true or false",
    ),
    "two kinds of principal": (
        '{role: "arn:aws:iam::111122223333:role/app"}',
        "{anonymous: true, ambient: true}",
        (
            "FILE:5:3: exactly one of role, profile, keys, anonymous, ambient, presigned is wanted, found `anonymous` "
            "and `ambient`; keep one"
        ),
    ),
    "role's setting without a role": (
        '{role: "arn:aws:iam::111122223333:role/app"}',
        "{anonymous: true, session_name: me}",
        "FILE:5:26: `session_name` goes with `role` only; it is for assuming a role; add `role` or leave it out",
    ),
    "tags with a token": (
        'app"}',
        'app", web_identity: token, session_tags: {a: b}}',
        (
            "FILE:5:74: `session_tags` can't be given with `web_identity`; the token itself carries it; leave it out, "
            "or leave `web_identity` out"
        ),
    ),
    "transitive tag without a value": (
        'app"}',
        'app", transitive_tags: [team]}',
        "FILE:5:53: `team` is no session tag; give it a value under `session_tags`",
    ),
    "no span of time": (
        '{role: "arn:aws:iam::111122223333:role/app"}',
        "{presigned: {by: anonymous, age: soon}}",
        ("FILE:5:41: `soon` is no span of time; give seconds, or a number with s, m or h: 90s, 15m, 2h"),
    ),
    "a URL of nobody's": (
        '{role: "arn:aws:iam::111122223333:role/app"}',
        "{presigned: {by: appp}}",
        "FILE:5:25: unknown principal `appp`; there are none",
    ),
    "list instead of text": (
        '{role: "arn:aws:iam::111122223333:role/app"}',
        "{role: [a]}",
        "FILE:5:9: text is wanted here, not a list",
    ),
    "ambient with account": (
        '{role: "arn:aws:iam::111122223333:role/app"}',
        "{ambient: true, account: main}",
        "FILE:5:33: `account` goes with `role`, `profile` or `keys` only; leave it out",
    ),
    "unknown account of a principal": (
        'app"}',
        'app", account: partnr}',
        "FILE:5:62: unknown account `partnr`; accepted are partner, main",
    ),
    "an instance without an id": (
        "internet: local",
        "internet: {ec2: {}}",
        "FILE:7:14: exactly one of instance, tags, subnet is wanted, found none; add one",
    ),
    "an instance's id is none": (
        "internet: local",
        "internet: {ec2: {instance: web-1}}",
        "FILE:7:30: `web-1` is not an instance's id; it looks like i-0123456789abcdef0",
    ),
    "an instance that is there and made": (
        "internet: local",
        "internet: {ec2: {instance: i-0123456789abcdef0, subnet: subnet-1}}",
        "FILE:7:14: exactly one of instance, tags, subnet is wanted, found `instance` and `subnet`; keep one",
    ),
    "an instance that is there takes no profile": (
        "internet: local",
        "internet: {ec2: {tags: {Name: probe}, profile: p}}",
        (
            "FILE:7:41: `profile` is for an instance that the run makes; leave it out, or name a `subnet` to have an "
            "instance made there"
        ),
    ),
    "an instance without groups": (
        "internet: local",
        "internet: {ec2: {subnet: subnet-1, profile: p}}",
        "FILE:7:14: `security_groups` is missing; an instance that the run makes needs it",
    ),
    "an instance without profile": (
        "internet: local",
        "internet: {ec2: {subnet: subnet-1, security_groups: sg-1}}",
        "FILE:7:14: `profile` is missing; an instance that the run makes needs it",
    ),
    "an instance's type is none": (
        "internet: local",
        "internet: {ec2: {subnet: subnet-1, security_groups: sg-1, profile: p, type: small}}",
        "FILE:7:79: `small` is not an instance type; it looks like t4g.nano",
    ),
    "an instance of an unknown account": (
        "internet: local",
        "internet: {ec2: {instance: i-0123456789abcdef0, account: partnr}}",
        "FILE:7:60: unknown account `partnr`; accepted are partner, main",
    ),
    "an instance profile of another account": (
        "internet: local",
        (
            "internet: {ec2: {subnet: subnet-1, security_groups: sg-1, "
            'profile: "arn:aws:iam::999999999999:instance-profile/p"}}'
        ),
        (
            "FILE:7:70: `arn:aws:iam::999999999999:instance-profile/p` is in account `999999999999`, but `main` is "
            "`111122223333`; correct the ARN, or the account's id"
        ),
    ),
    "a command as a text": (
        "internet: local",
        "internet: {command: ssh bastion python3 -}",
        (
            "FILE:7:23: a list is wanted here, not `ssh bastion python3 -`; no shell splits it: write [ssh, HOST, "
            'python3, "-"]'
        ),
    ),
    "a command of nothing": (
        "internet: local",
        "internet: {command: []}",
        "FILE:7:14: nothing is listed here; list at least one",
    ),
    "a command with an empty word": (
        "internet: local",
        "internet: {command: [ssh, '']}",
        "FILE:7:29: nothing is not a value; write one, or leave the key out",
    ),
    "a command as a mapping": (
        "internet: local",
        "internet: {command: {run: ssh}}",
        "FILE:7:14: a list is wanted here, not a mapping",
    ),
    "a kind of our own inside": (
        "internet: local",
        "internet: {outside: {kind: local}}",
        "FILE:7:14: unknown vantage point kind `outside`; accepted are local, lambda, ec2, command",
    ),
    "unknown kind of vantage point": (
        "internet: local",
        "internet: {lamda: {}}",
        "FILE:7:14: unknown vantage point kind `lamda`; accepted are lambda, local, ec2, command",
    ),
    "unknown word for a vantage point": (
        "internet: local",
        "internet: loca",
        "FILE:7:13: unknown vantage point kind `loca`; accepted are local, lambda, ec2, command",
    ),
    "vantage point is nothing": ("internet: local", "internet: ", "FILE:7:12: a mapping is wanted here, not nothing"),
    "vantage point is a list": (
        "internet: local",
        "internet: [local]",
        "FILE:7:3: a mapping is wanted here, not a list",
    ),
    "two kinds of vantage point": (
        "internet: local",
        "internet: {local: {}, lambda: {}}",
        "FILE:7:3: a vantage point is of one kind; give exactly one of local, lambda, ec2, command",
    ),
    "bad proxy": (
        "internet: local",
        "internet: {local: {proxy: 'http://u:pw@x y'}}",
        "FILE:7:29: this is no proxy; accepted are none, environment, http://HOST:PORT",
    ),
    "proxy over https": (
        "internet: local",
        "internet: {local: {proxy: 'https://proxy:3128'}}",
        "FILE:7:29: this is no proxy; accepted are none, environment, http://HOST:PORT",
    ),
    "misspelt key of local": (
        "internet: local",
        "internet: {local: {proxi: none}}",
        "FILE:7:22: unknown key `proxi`; accepted are proxy, ca_bundle, address",
    ),
    "lambda without subnets": (
        "internet: local",
        "internet: lambda",
        "FILE:7:13: `subnets` is missing; list at least one, or name a `function` that is there",
    ),
    "bad subnet": (
        "internet: local",
        "internet: {lambda: {subnets: [a], security_groups: [sg-1]}}",
        "FILE:7:33: `a` is not a subnet's id; it looks like subnet-0123456789abcdef0",
    ),
    "empty subnets": (
        "internet: local",
        "internet: {lambda: {subnets: [], security_groups: [sg-1]}}",
        "FILE:7:23: nothing is listed here; list at least one",
    ),
    "subnets by something else": (
        "internet: local",
        "internet: {lambda: {subnets: {name: app}, security_groups: sg-1}}",
        "FILE:7:33: unknown key `name`; accepted are tags",
    ),
    "subnets by no tags": (
        "internet: local",
        "internet: {lambda: {subnets: {tags: {}}, security_groups: sg-1}}",
        "FILE:7:33: a mapping is no choice by tags; write {tags: {KEY: VALUE}}",
    ),
    "subnets by a list of tags": (
        "internet: local",
        "internet: {lambda: {subnets: {tags: {tier: [app]}}, security_groups: sg-1}}",
        "FILE:7:40: text is wanted here, not a list",
    ),
    "a list among security groups": (
        "internet: local",
        "internet: {lambda: {subnets: subnet-1, security_groups: [sg-1, [sg-2]]}}",
        "FILE:7:66: a list is not a security group's id; it looks like sg-0123456789abcdef0",
    ),
    "a kept function that is there": (
        "internet: local",
        "internet: {lambda: {function: f, keep: true}}",
        (
            "FILE:7:36: `keep` can't be given to a function that is there; it takes `account` and "
            "`region` only; to have one made, leave `function` out"
        ),
    ),
    "a key's alias": (
        "internet: local",
        "internet: {lambda: {subnets: subnet-1, security_groups: sg-1, kms_key: alias/mine}}",
        "FILE:7:74: `alias/mine` is not a KMS key's ARN; write arn:aws:kms:REGION:ACCOUNT_ID:key/ID, no alias",
    ),
    "no security groups": (
        "internet: local",
        "internet: {lambda: {subnets: subnet-1}}",
        "FILE:7:14: `security_groups` is missing; list at least one, or name a `function` that is there",
    ),
    "bad memory": (
        "internet: local",
        "internet: {lambda: {subnets: subnet-1, security_groups: sg-1, memory: 64}}",
        "FILE:7:73: `64` is no size of memory; give MB from 128 to 10240",
    ),
    "bad architecture": (
        "internet: local",
        "internet: {lambda: {subnets: subnet-1, security_groups: sg-1, architecture: arm}}",
        "FILE:7:79: `arm` is not an architecture; accepted are arm64, x86_64",
    ),
    "function with memory": (
        "internet: local",
        "internet: {lambda: {function: f, memory: 256}}",
        (
            "FILE:7:36: `memory` can't be given to a function that is there; it takes `account` and "
            "`region` only; to have one made, leave `function` out"
        ),
    ),
    "given role with path": (
        "internet: local",
        (
            "internet: {lambda: {subnets: subnet-1, security_groups: sg-1, role: "
            "'arn:aws:iam::111122223333:role/x', role_path: /x/}}"
        ),
        (
            "FILE:7:107: `role_path` is for a role that is made, and `role` names one; leave it out, or "
            "leave `role` out to have one made"
        ),
    ),
    "unknown account of a function": (
        "internet: local",
        "internet: {lambda: {function: f, account: x}}",
        "FILE:7:45: unknown account `x`; accepted are main, partner",
    ),
    "function of another account": (
        "internet: local",
        "internet: {lambda: {function: 'arn:aws:lambda:eu-west-1:444455556666:function:x'}}",
        (
            "FILE:7:33: `arn:aws:lambda:eu-west-1:444455556666:function:x` is in account `444455556666`, "
            "but `main` is `111122223333`; that is account `partner`"
        ),
    ),
    "empty canary": ("canary: c", "canary: {}", "FILE:9:35: exactly one of key, create is wanted, found none; add one"),
    "canary of two kinds": (
        "canary: c",
        "canary: {key: c, create: 'app:internet'}",
        "FILE:9:35: exactly one of key, create is wanted, found `key` and `create`; keep one",
    ),
    "reader at an unknown vantage point": (
        "canary: c",
        "canary: {key: c, reader: 'app:moon'}",
        "FILE:9:60: unknown vantage point `moon` in `app:moon`; accepted are internet",
    ),
    "reader is an unknown principal": (
        "canary: c",
        "canary: {key: c, reader: 'ap:internet'}",
        "FILE:9:60: unknown principal `ap` in `ap:internet`; accepted are app",
    ),
    "reader without a vantage point": (
        "canary: c",
        "canary: {key: c, reader: 'ap'}",
        "FILE:9:60: `ap` is not a principal and a vantage point; write PRINCIPAL:VANTAGE_POINT",
    ),
    "one name for a key and a host": (
        "canary: c",
        "canary: c, keys: {a: x}, hosts: {a: h.example}",
        "FILE:9:68: `a` names a key and a host; give each its own: both go into ids as BUCKET+NAME",
    ),
    "host over http": (
        "canary: c",
        "canary: c, hosts: {a: 'http://x'}",
        (
            "FILE:9:57: `http://x` is not a host; give a name, https://NAME (`transport` picks the scheme), dualstack, "
            "fips, dualstack-fips, an access point's ARN"
        ),
    ),
    "no canary": (", canary: c", "", "FILE:9:3: `canary` is missing; add it"),
    "ARN for a bucket": (
        "reports-bucket",
        "'arn:aws:s3:::x'",
        "FILE:9:19: `arn:aws:s3:::x` is not a bucket's name; give the bare name, no ARN or URL",
    ),
    "URL among the hosts": (
        "canary: c}",
        "canary: c}\nallow_hosts: ['https://x.example']",
        "FILE:10:15: `https://x.example` is not a pattern of hosts; give a name such as *.internal.example.com, no URL",
    ),
    "every host": (
        "canary: c}",
        "canary: c}\nallow_hosts: '*'",
        "FILE:10:14: `*` is not a pattern of hosts; give a name such as *.internal.example.com, no URL",
    ),
    "unknown account of a bucket": (
        "canary: c",
        "canary: c, account: mian",
        "FILE:9:55: unknown account `mian`; accepted are main, partner",
    ),
    "controls of an unknown account": (
        "canary: c}",
        "canary: c}\ncontrols:\n  prtner: {name: abc, canary: c}",
        "FILE:11:3: unknown account `prtner`; accepted are partner, main",
    ),
    "control canary to be made": (
        "canary: c}",
        "canary: c}\ncontrols:\n  main: {name: abc, canary: {create: 'app:internet'}}",
        "FILE:11:30: a control bucket's canary takes no `create`; give the key of an object that is there",
    ),
    "empty controls": ("canary: c}", "canary: c}\ncontrols:", "FILE:10:10: a mapping is wanted here, not nothing"),
    "unknown key of the lab": (
        "canary: c}",
        "canary: c}\nlab: {provision: p.py, vpc: x}",
        "FILE:10:24: unknown key `vpc`; accepted are provision, terraform, stacks, organization",
    ),
    "nothing for the lab": (
        "canary: c}",
        "canary: c}\nlab: {}",
        "FILE:10:1: none of `provision`, `terraform` and `stacks` is given; name what is to be built in the lab",
    ),
    "misspelt section": (
        "principals:",
        "principles:",
        (
            "FILE:4:1: unknown key `principles`; accepted are principals, accounts, infrastructure, "
            "vantage_points, buckets, controls, endpoint_policies, allow_hosts, calibration, evidence, settle, lab"
        ),
    ),
    "unquoted reference": (
        "canary: c}",
        "canary: ${out:X}}",
        'FILE:9:43: `${out:X}` is not quoted; quote it: "${out:X}"',
    ),
    "unknown kind of reference": (
        "canary: c",
        "canary: '${cfn:X}'",
        "FILE:9:43: `${cfn:X}` is not a known reference; accepted are " + FORMS,
    ),
    "reference without an end": (
        "canary: c",
        "canary: '${out:X'",
        "FILE:9:43: the reference in `${out:X` has no end; accepted are " + FORMS,
    ),
    "reference without a name": (
        "canary: c",
        "canary: '${out:}'",
        "FILE:9:43: `${out:}` is not a known reference; accepted are " + FORMS,
    ),
    "empty value": ("canary: c", "canary: ''", "FILE:9:43: nothing is not a value; write one, or leave the key out"),
    "empty section": (
        'principals:\n  app: {role: "arn:aws:iam::111122223333:role/app"}\n',
        "principals: {}\n",
        "FILE:4:1: nothing is listed here; list at least one",
    ),
    "missing section": (
        'principals:\n  app: {role: "arn:aws:iam::111122223333:role/app"}\n',
        "",
        "FILE: `principals` is missing; add it",
    ),
    "first of several faults": (
        "app: {role",
        "app:\n    bad: 1\n    role: x\n  b: {role",
        (
            "FILE:6:5: unknown key `bad`; accepted are role, profile, keys, anonymous, ambient, presigned, account, "
            "through, external_id, session_name, session_tags, transitive_tags, session_policy, source_identity, mfa, "
            "web_identity, policy_files, send_credentials_in_clear"
        ),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_say_where_what_and_what_is_accepted(tmp_path: Path, name: str) -> None:
    old, new, message = FAULTS[name]
    assert old in BASE
    with pytest.raises(InventoryError) as caught:
        load(tmp_path, BASE.replace(old, new, 1))
    assert str(caught.value).replace(str(tmp_path / "s3vpce.yaml"), "FILE") == message


def test_every_kind_of_vantage_point_is_read(tmp_path: Path) -> None:
    made = "{subnet: subnet-1, security_groups: [sg-1], profile: p, type: t4g.nano, image: ami-1, tags: {a: b}}"
    for text, kind, account in (
        ("local", "local", None),
        ("{lambda: {function: f, account: partner}}", "lambda", "partner"),
        ("{ec2: {instance: i-0123456789abcdef0, account: partner}}", "ec2", "partner"),
        ("{ec2: {tags: {Name: probe}}}", "ec2", None),
        (f"{{ec2: {made}}}", "ec2", None),
        ('{command: [ssh, bastion.example.com, python3, "-"]}', "command", None),
    ):
        point = load(tmp_path, BASE.replace("internet: local", f"internet: {text}")).vantage_points["internet"]
        assert (point.kind, point.account) == (kind, account)
        assert point.has_role is (kind in ("lambda", "ec2"))
        assert point.may_have_role is (kind != "local")
    assert point.command == ("ssh", "bastion.example.com", "python3", "-")


def test_a_kind_of_another_package_is_known_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = EntryPoint(name="pod", value="pods:PodVantage", group=kinds.GROUP)
    ours = EntryPoint(name="local", value="pods:Local", group=kinds.GROUP)
    monkeypatch.setattr(kinds, "entry_points", lambda group: [pod, ours] if group == "s3vpce.vantage" else [])
    found = load(tmp_path, BASE.replace("internet: local", "internet: {pod: {name: web, tries: 3}}"))
    point = found.vantage_points["internet"]
    assert point.outside is not None
    assert (point.kind, point.outside.settings) == ("pod", {"name": "web", "tries": "3"})
    assert (point.account, point.has_role, point.may_have_role) == (None, False, True)
    assert load(tmp_path, BASE).vantage_points["internet"].local is not None
    with pytest.raises(InventoryError, match="unknown vantage point kind `pot`; accepted are pod, local, lambda, ec2"):
        load(tmp_path, BASE.replace("internet: local", "internet: {pot: {}}"))


def test_a_proxys_password_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        load(tmp_path, BASE.replace("local", "{local: {proxy: 'ftp://user:s3cr3t@proxy'}}"))
    assert "s3cr3t" not in f"{caught.value!r}{caught.value}"


def test_duplicate_names_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r":6:3: `app` is given twice, first on line 5; keep one$"):
        load(tmp_path, BASE.replace("vantage_points", "  app: {anonymous: true}\nvantage_points"))
    with pytest.raises(InventoryError, match=r"s3vpce.yaml: the file is empty; write its sections$"):
        load(tmp_path, "")


def test_long_values_are_cut(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        load(tmp_path, BASE.replace("eu-west-1", "x" * 500, 1))
    assert f"`{'x' * 80}...` is not a Region" in str(caught.value)


def test_an_error_of_pydantics_own_gets_its_place(tmp_path: Path) -> None:
    found = load(tmp_path, BASE)
    assert found._document is not None
    row: dict[str, Any] = {"type": "new", "loc": ("buckets", "reports", "name"), "input": "x", "msg": "Too New"}
    error = translated([row], found._document, error=InventoryError)
    assert str(error).endswith(":9:19: `x`: too New")


@pytest.mark.parametrize("option", ["other/inv.yaml", "ABSOLUTE"])
def test_the_option_names_the_inventory(tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other" / "inv.yaml"
    path.parent.mkdir()
    path.write_text(BASE)
    wanted = str(path) if option == "ABSOLUTE" else option
    assert find_inventory(tmp_path, wanted) == path
    monkeypatch.chdir(tmp_path)
    assert find_inventory(tmp_path / "root", wanted).resolve() == path


def test_the_inventory_lies_at_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InventoryError) as caught:
        find_inventory(tmp_path, None)
    path = tmp_path / "s3vpce.yaml"
    another = "write it, or name another: with --inventory, or --s3vpce-inventory of pytest"
    assert str(caught.value) == f"there is no inventory `{path}`; {another}"
    path.write_text(BASE)
    assert find_inventory(tmp_path, None) == path
    with pytest.raises(InventoryError) as caught:
        find_inventory(tmp_path, ".")
    assert str(caught.value) == f"the inventory `{tmp_path}` is a folder; name the file in it: {path}"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InventoryError):
        find_inventory(tmp_path / "elsewhere", None)


_PIECES = st.sampled_from(["", "\t", *"{}[]'x~!", '"', "\n", ": ", "- ", "&a ", "*a", "<<: ", "${"])


def outcome(folder: Path, text: str) -> tuple[Place | None, str]:
    """The error's place and message, or those of a file that is right."""
    try:
        return load(folder, text).place(), ""
    except InventoryError as error:
        return error.place, str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(FULL)), st.integers(0, 6), _PIECES), min_size=1, max_size=3))
def test_whatever_is_written_an_inventory_or_its_error_comes_out(
    tmp_path: Path, edits: list[tuple[int, int, str]]
) -> None:
    text = FULL
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    place, message = outcome(tmp_path, text)
    assert place is not None
    assert "\n" not in message


def test_reading_an_inventory_imports_no_sdk() -> None:
    code = "import sys, pytest_s3vpce.expectations; print(sorted({'boto3', 'botocore', 'pytest'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
