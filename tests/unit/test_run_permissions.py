"""What runs need, per account, read from inventories; and the three forms in which it is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_s3vpce.cli import main
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.report.permissions import as_cloudformation, as_terraform
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.needs import NEEDS, Mode
from pytest_s3vpce.run.permissions import permissions

if TYPE_CHECKING:
    from pytest_s3vpce.run.permissions import Permissions

MAIN, OTHER = "111122223333", "444455556666"
HEAD = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
  other: {id: "444455556666", region: cn-north-1, role: "arn:aws-cn:iam::444455556666:role/tester", external_id: x}
buckets:
  plain: {name: plain-bucket, canary: {key: k}}
  made: {name: made-bucket, account: other, canary: {create: "app:here"}}
"""
PRINCIPALS = """\
principals:
  app: {role: "arn:aws:iam::111122223333:role/app"}
"""
HERE = "vantage_points:\n  here: local\n"
ALL_POINTS = """\
vantage_points:
  here: local
  named: {lambda: {function: agent}}
  made:
    lambda:
      subnets: [subnet-1]
      security_groups: [sg-1]
      permissions_boundary: "arn:aws:iam::111122223333:policy/b"
  there: {ec2: {instance: i-0123456789abcdef0}}
  found: {ec2: {tags: {Name: probe, stage: test}}}
  launched: {ec2: {subnet: subnet-2, security_groups: [sg-2], profile: probe}}
"""
EVIDENCE = """\
evidence:
  - {log_group: /trail}
  - {trail_bucket: trail-bucket, prefix: audit}
  - {access_logs: log-bucket}
  - {flow_logs: flows, account: other, region: cn-northwest-1}
"""


def needed(folder: Path, *, principals: str = PRINCIPALS, points: str = HERE, mode: Mode = Mode.CREATE) -> Permissions:
    folder.mkdir(exist_ok=True)
    path = folder / "s3vpce.yaml"
    path.write_text(HEAD + principals + points, encoding="utf-8")
    return permissions(load_inventory(path), Environment(), mode=mode)


def statements(found: Permissions, account: str = "main") -> dict[str, Any]:
    row = next(row for row in found.accounts if row.name == account)
    return {row["Sid"]: row for row in row.runner["Statement"]}


def allowed(found: Permissions, account: str = "main") -> set[str]:
    return {action for row in statements(found, account).values() for action in row["Action"]}


def test_every_need_has_its_own_name_and_is_reached_by_some_inventory(tmp_path: Path) -> None:
    names = [need.sid for need in NEEDS]
    assert len(set(names)) == len(names)
    principals = """\
principals:
  app: {role: "arn:aws:iam::111122223333:role/app", session_tags: {team: a}, source_identity: me}
"""
    found = needed(tmp_path, principals=principals, points=ALL_POINTS + EVIDENCE)
    reached = set(statements(found)) | set(statements(found, "other"))
    of_others = {"EncryptSettings", "ReadStacks", "ReadParameters", "PutPoliciesBack", "CompareRoutes", *OF_CLAIMS}
    alone = {need.sid for need in NEEDS if need.modes in ({Mode.DEPLOY}, {Mode.SWEEP})}
    assert reached == set(names) - alone - of_others
    swept = {need.sid for need in NEEDS if Mode.SWEEP in need.modes} - {"PutPoliciesBack"}
    sweeping = needed(tmp_path, points=ALL_POINTS, mode=Mode.SWEEP)
    reached = set(statements(sweeping)) | set(statements(sweeping, "other"))
    assert reached == swept - {"ReadStacksToSweep", "ReadParametersToSweep"}
    rows = statements(found)
    assert rows["SendCommandsByTags"]["Condition"] == {
        "StringEquals": {"ssm:resourceTag/Name": ["probe"], "ssm:resourceTag/stage": ["test"]}
    }
    assert rows["CreateRoles"]["Condition"]["StringEquals"] == {
        "iam:PermissionsBoundary": [f"arn:aws:iam::{MAIN}:policy/b"]
    }
    assert rows["CreateFunctions"]["Condition"]["ForAllValues:StringEquals"]["lambda:SubnetIds"] == ["subnet-1"]
    assert rows["RunInstances"]["Condition"]["ArnLike"] == {
        "ec2:InstanceProfile": [f"arn:aws:iam::{MAIN}:instance-profile/probe"]
    }
    assert rows["FindImages"]["Resource"] == [
        "arn:aws:ssm:eu-west-1::parameter/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    ]
    groups = (
        f"arn:aws:logs:eu-west-1:{MAIN}:log-group:/trail",
        "arn:aws-cn:logs:cn-northwest-1:444455556666:log-group:flows",
    )
    assert rows["ReadRecords"]["Resource"] == [groups[0], f"{groups[0]}:*"]
    assert statements(found, "other")["ReadRecords"]["Resource"] == [groups[1], f"{groups[1]}:*"]
    assert rows["FindRecordFiles"]["Condition"] == {"StringLike": {"s3:prefix": ["audit/AWSLogs/*", "*"]}}
    assert rows["ReadRecordFiles"]["Resource"] == [
        "arn:aws:s3:::trail-bucket/audit/AWSLogs/*",
        "arn:aws:s3:::log-bucket/*",
    ]
    assert rows["UseFunctions"]["Resource"] == [f"arn:aws:lambda:eu-west-1:{MAIN}:function:agent"]


def test_no_statement_names_more_than_it_must(tmp_path: Path) -> None:
    """Stars stand alone only where an action has no resource-level permissions."""
    points = """\
vantage_points:
  here: local
  made: {lambda: {subnets: [subnet-1], security_groups: [sg-1]}}
  there: {ec2: {instance: i-0123456789abcdef0}}
  launched: {ec2: {subnet: subnet-2, security_groups: [sg-2], profile: probe}}
"""
    found = needed(tmp_path, points=points)
    stars = {action for row in statements(found).values() if "*" in row["Resource"] for action in row["Action"]}
    assert stars == {
        "ec2:DescribeInstances",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
        "iam:ListRoles",
        "lambda:ListFunctions",
        "organizations:DescribeOrganization",
        "organizations:ListPolicies",
        "s3:ListAllMyBuckets",
        "ssm:CancelCommand",
        "ssm:DescribeInstanceInformation",
        "ssm:GetCommandInvocation",
    }
    assert not any("*" in action for action in allowed(found))


def test_no_right_is_printed_twice(tmp_path: Path) -> None:
    """What a sweep looks for instances with is what a vantage point is found with; a scratch bucket is a bucket."""
    found = needed(tmp_path, points=ALL_POINTS)
    rows = statements(found)
    assert [sid for sid, row in rows.items() if "ec2:DescribeInstances" in row["Action"]] == ["FindInstances"]
    assert rows["Sweep"]["Action"] == [
        "lambda:ListFunctions",
        "iam:ListRoles",
        "s3:ListAllMyBuckets",
        "organizations:DescribeOrganization",
        "organizations:ListPolicies",
    ]
    path = tmp_path / "s3vpce.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("canary: {key: k}", "canary: {key: k}, scratch: true"))
    rows = statements(permissions(load_inventory(path), Environment()))
    assert "s3:GetBucketPolicy" in rows["ExplainBuckets"]["Action"]
    assert rows["PutPoliciesBack"]["Action"] == ["s3:PutBucketPolicy"]


def test_a_right_that_a_condition_narrows_does_not_stand_for_one_without(tmp_path: Path) -> None:
    sent = [
        sid
        for sid, row in statements(needed(tmp_path, points=ALL_POINTS)).items()
        if "ssm:SendCommand" in row["Action"]
    ]
    assert sent == ["SendCommands", "SendCommandsByTags", "SendCommandsToOwn", "RunShellScripts"]


def test_other_partitions_have_their_own_arns(tmp_path: Path) -> None:
    found = needed(
        tmp_path, points=HERE + "  made: {lambda: {account: other, subnets: [subnet-1], security_groups: [sg-1]}}\n"
    )
    rows = statements(found, "other")
    assert rows["CreateFunctions"]["Resource"] == [f"arn:aws-cn:lambda:cn-north-1:{OTHER}:function:s3vpce-????????-*"]
    assert rows["RemoveCanaries"]["Resource"] == ["arn:aws-cn:s3:::made-bucket/.s3vpce/canary-*"]
    assert rows["CreateRoles"]["Resource"] == [f"arn:aws-cn:iam::{OTHER}:role/s3vpce-????????-*"]


def test_a_profile_that_assumes_the_runner_needs_just_that(tmp_path: Path) -> None:
    main_row, other = needed(tmp_path).accounts
    assert main_row.signs_in is None
    assert other.signs_in is not None
    (row,) = other.signs_in["Statement"]
    assert (row["Action"], row["Resource"]) == (["sts:AssumeRole"], [f"arn:aws-cn:iam::{OTHER}:role/tester"])


def test_the_modes_leave_out_what_they_do_not_do(tmp_path: Path) -> None:
    points = HERE + "  made: {lambda: {subnets: [subnet-1], security_groups: [sg-1]}}\n"
    points += "  stays: {lambda: {keep: true, subnets: [subnet-1], security_groups: [sg-1]}}\n"
    made, kept, deploys, sweeps, signs = (needed(tmp_path, points=points, mode=mode) for mode in Mode)
    kept_name = f"arn:aws:lambda:eu-west-1:{MAIN}:function:s3vpce-kept-stays"
    assert statements(deploys)["DeployFunctions"]["Resource"] == [kept_name]
    assert statements(deploys)["PassKeptRoles"]["Resource"] == [f"arn:aws:iam::{MAIN}:role/s3vpce-kept-stays"]
    assert not (allowed(deploys) | allowed(sweeps)) & allowed(signs)
    assert allowed(signs) == {"sts:AssumeRole"}
    assert {"lambda:InvokeFunction", "lambda:GetFunctionConfiguration"} < allowed(kept) < allowed(made)
    verbs = ("Create", "Delete", "Put", "Pass", "Tag", "Run", "Terminate")
    assert not [name for name in allowed(kept) if name.partition(":")[2].startswith(verbs)]
    assert not [name for name in allowed(sweeps) if name.partition(":")[2].startswith(("Create", "Put", "Pass", "Run"))]
    assert made.function is not None
    assert made.function_trust is not None
    assert kept.function is signs.function is None


def test_trust_says_who_assumes_a_role_and_how(tmp_path: Path) -> None:
    principals = """\
principals:
  app: {role: "arn:aws:iam::111122223333:role/app", external_id: ours, session_tags: {team: a}}
  again: {role: "arn:aws:iam::111122223333:role/app", external_id: ours, session_tags: {team: b}}
  named:
    role: "arn:aws:iam::111122223333:role/named"
    session_name: me
    source_identity: me
    mfa: "arn:aws:iam::111122223333:mfa/me"
  far: {role: "arn:aws:iam::111122223333:role/far", through: ["arn:aws:iam::111122223333:role/hop"]}
  theirs: {role: "arn:aws-cn:iam::444455556666:role/theirs", account: other}
  web: {role: "arn:aws:iam::111122223333:role/web", web_identity: token}
"""
    found = needed(tmp_path, principals=principals)
    arn = f"arn:aws:iam::{MAIN}:role/"
    assert set(found.trust) == {
        *(f"{arn}{name}" for name in ("app", "named", "hop", "far")),
        f"arn:aws-cn:iam::{OTHER}:role/theirs",
    }
    (app,) = found.trust[f"{arn}app"]["Statement"]
    assert app["Principal"] == {"AWS": f"arn:aws:iam::{MAIN}:root"}
    assert app["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert app["Condition"] == {
        "StringEquals": {"sts:ExternalId": "ours"},
        "StringLike": {"sts:RoleSessionName": "s3vpce-*"},
    }
    (named,) = found.trust[f"{arn}named"]["Statement"]
    assert named["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]
    assert named["Condition"] == {
        "StringEquals": {"sts:RoleSessionName": "me", "sts:SourceIdentity": "me"},
        "Bool": {"aws:MultiFactorAuthPresent": "true"},
    }
    (far,) = found.trust[f"{arn}far"]["Statement"]
    assert far["Principal"] == {"AWS": f"{arn}hop"}
    (theirs,) = found.trust[f"arn:aws-cn:iam::{OTHER}:role/theirs"]["Statement"]
    assert theirs["Principal"] == {"AWS": f"arn:aws-cn:iam::{OTHER}:role/tester"}
    assert [row["Resource"] for row in found.chains[f"{arn}hop"]["Statement"]] == [[f"{arn}far"]]
    assert statements(found)["AssumePrincipals"]["Resource"] == [f"{arn}app", f"{arn}named", f"{arn}hop"]
    assert statements(found)["TagSessions"]["Resource"] == [f"{arn}app"]


def test_terraform_is_one_module_for_all_accounts(tmp_path: Path) -> None:
    points = HERE + "  made: {lambda: {subnets: [subnet-1], security_groups: [sg-1]}}\n"
    text = as_terraform(needed(tmp_path, points=points))
    assert re.findall(r'resource "aws_iam_policy" "(\w+)"', text) == [
        "s3vpce_runner_main",
        "s3vpce_runner_other",
        "s3vpce_sign_in_other",
    ]
    assert f'account_id == "{OTHER}" ? 1 : 0' in text
    for found in re.findall(r"jsonencode\((.*?)\)\n\}", text, re.DOTALL):
        assert json.loads(found)["Version"] == "2012-10-17"
    assert "s3vpce_trust = {" in text
    assert "s3vpce_function_role = {" in text


def test_cloudformation_is_one_template_for_all_accounts(tmp_path: Path) -> None:
    template = json.loads(as_cloudformation(needed(tmp_path)))
    assert set(template["Resources"]) == {"S3VpceRunnerMain", "S3VpceRunnerOther", "S3VpceSignInOther"}
    row = template["Resources"]["S3VpceRunnerOther"]
    assert row["Condition"] == f"In{OTHER}"
    assert template["Conditions"][row["Condition"]] == {"Fn::Equals": [{"Ref": "AWS::AccountId"}, OTHER]}
    assert row["Properties"]["PolicyDocument"]["Statement"]
    assert f"arn:aws:iam::{MAIN}:role/app" in template["Metadata"]["s3vpce:trust"]


@pytest.mark.parametrize("form", ["json", "terraform", "cloudformation"])
def test_the_command_prints_it(tmp_path: Path, form: str) -> None:
    needed(tmp_path)
    command = ["permissions", "--inventory", str(tmp_path / "s3vpce.yaml"), "--format", form, "--mode", "assume"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert f"arn:aws:iam::{MAIN}:role/app" in done.output
    assert "lambda:" not in done.output


def test_what_is_not_resolved_is_one_line(tmp_path: Path) -> None:
    needed(tmp_path)
    path = tmp_path / "s3vpce.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("role/app", "role/${env:S3VPCE_NO_SUCH}"), encoding="utf-8"
    )
    done = CliRunner().invoke(main, ["permissions", "--inventory", str(path)])
    assert done.exit_code == 2
    assert "S3VPCE_NO_SUCH" in done.output
    assert "Traceback" not in done.output


# --- what the pages say


def page(name: str) -> str:
    return (Path(__file__).parent.parent.parent / "docs" / name).read_text(encoding="utf-8")


def test_the_pages_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed(tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"(?m)^\$ s3vpce (permissions .*)$", page("live.md"))
    assert len(commands) == 3
    for command in commands:
        done = CliRunner().invoke(main, command.split())
        assert done.exit_code == 0, done.output
        assert "sts:AssumeRole" in done.output


OF_CLAIMS = (
    "ReadCallers",
    "ReadCallersPolicies",
    "ReadOrganization",
    "ReadOpenness",
    "ReadOpennessOfAccounts",
)


def test_claims_about_other_accounts_have_their_principals_own_policies_read(tmp_path: Path) -> None:
    principals = """\
principals:
  app: {role: "arn:aws:iam::111122223333:role/app"}
  partner: {role: "arn:aws-cn:iam::444455556666:role/partner", account: other}
"""
    for number, text in enumerate(["claims: x", "claims: [x]", "claims:\n  - cross-account: {bucket: unknown}\n"]):
        (tmp_path / f"test_{number}.access.yaml").write_text(text, encoding="utf-8")
    found = needed(tmp_path, principals=principals)
    assert not set(OF_CLAIMS) & {*statements(found), *statements(found, "other")}
    text = "claims:\n  - cross-account: {bucket: plain}\n  - not-public: {bucket: plain}\n"
    (tmp_path / "test_a.access.yaml").write_text(text, encoding="utf-8")
    for mode in (Mode.CREATE, Mode.KEEP):
        found = needed(tmp_path, principals=principals, mode=mode)
        ours, others = statements(found), statements(found, "other")
        assert others["ReadCallers"]["Resource"] == ["arn:aws-cn:iam::444455556666:role/partner"]
        assert others["ReadCallersPolicies"]["Resource"] == [
            "arn:aws-cn:iam::444455556666:policy/*",
            "arn:aws-cn:iam::aws:policy/*",
        ]
        assert ours["ReadOrganization"]["Resource"] == others["ReadOrganization"]["Resource"] == ["*"]
        assert ours["ReadOpenness"]["Resource"] == ["arn:aws:s3:::plain-bucket"]
        assert ours["ReadOpennessOfAccounts"]["Resource"] == ["*"]
        assert set(OF_CLAIMS) & set(ours) & set(others) == {"ReadOrganization"}
    assert not set(OF_CLAIMS) & set(statements(needed(tmp_path, principals=principals, mode=Mode.ASSUME), "other"))


def test_references_to_infrastructure_are_looked_up_with_rights_on_just_that(tmp_path: Path) -> None:
    points = HERE + 'allow_hosts: ["${ssm:/team/hosts}", "${cfn:other:front.Host}"]\n'
    text = 'expect:\n  - {bucket: plain, actions: ["s3:GetObject"], allow: ["app:${cfn:app.Point}"]}\n'
    for name in ("test_a.access.yaml", "test_b.access.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    for mode in set(Mode) - {Mode.SWEEP}:
        found = needed(tmp_path, points=points, mode=mode)
        ours, others = statements(found), statements(found, "other")
        ending = "ToDeploy" if mode is Mode.DEPLOY else ""
        assert ours[f"ReadParameters{ending}"]["Action"] == ["ssm:GetParameter"]
        assert ours[f"ReadParameters{ending}"]["Resource"] == [f"arn:aws:ssm:eu-west-1:{MAIN}:parameter/team/hosts"]
        assert others[f"ReadStacks{ending}"]["Action"] == ["cloudformation:DescribeStacks"]
        assert others[f"ReadStacks{ending}"]["Resource"] == [
            f"arn:aws-cn:cloudformation:cn-north-1:{OTHER}:stack/front/*"
        ]
        stacks = ours.get("ReadStacks", {}).get("Resource")
        assert stacks == (None if ending else [f"arn:aws:cloudformation:eu-west-1:{MAIN}:stack/app/*"])
    assert not {"ReadStacks", "ReadParameters"} & set(statements(needed(tmp_path / "elsewhere")))


def test_who_sweeps_looks_up_where_things_may_be(tmp_path: Path) -> None:
    made = '  made: {lambda: {runtime: "${ssm:/team/runtime}", subnets: [subnet-1], security_groups: [sg-1]}}\n'
    points = HERE + made + 'allow_hosts: ["${ssm:/team/hosts}"]\n'
    found = statements(needed(tmp_path, points=points, mode=Mode.SWEEP))
    assert found["ReadParametersToSweep"]["Resource"] == [f"arn:aws:ssm:eu-west-1:{MAIN}:parameter/team/runtime"]
    assert "ReadStacksToSweep" not in found


def test_who_sweeps_takes_roles_under_the_path_that_runs_give_them(tmp_path: Path) -> None:
    points = HERE + "  made: {lambda: {subnets: [subnet-1], security_groups: [sg-1], role_path: /team/}}\n"
    found = statements(needed(tmp_path, points=points, mode=Mode.SWEEP))
    roles = {f"arn:aws:iam::{MAIN}:role/{name}" for name in ("s3vpce-*", "team/s3vpce-????????-*")}
    assert set(found["TakeRoles"]["Resource"]) == set(found["SweepRolesByTags"]["Resource"]) == roles


def test_nobody_sweeps_what_is_not_ours(tmp_path: Path) -> None:
    """Each right to remove is for our names or our tags, or for taking a policy, which is ours, from an account."""
    for account in ("main", "other"):
        for sid, row in statements(needed(tmp_path, points=ALL_POINTS, mode=Mode.SWEEP), account).items():
            removing = [
                name for name in row["Action"] if not name.partition(":")[2].startswith(("List", "Describe", "Get"))
            ]
            ours = all("s3vpce-" in name or ".s3vpce/" in name for name in row["Resource"])
            tagged = row.get("Condition") == {"Null": {"aws:ResourceTag/s3vpce:run": "false"}}
            assert not removing or ours or tagged or sid == "DetachPolicies", sid


def test_a_key_that_encrypts_settings_is_used_by_who_makes_the_function(tmp_path: Path) -> None:
    key = f"arn:aws:kms:eu-west-1:{MAIN}:key/1"
    points = HERE + f"  made: {{lambda: {{subnets: [subnet-1], security_groups: [sg-1], kms_key: '{key}'}}}}\n"
    found = statements(needed(tmp_path, points=points))["EncryptSettings"]
    assert (found["Action"], found["Resource"]) == (["kms:Encrypt", "kms:CreateGrant"], [key])
    assert "EncryptSettings" not in statements(needed(tmp_path, points=points, mode=Mode.KEEP))


@pytest.mark.parametrize("subnets", ["[subnet-1, subnet-2]", "{tags: {tier: app}}"])
def test_routes_are_compared_where_a_function_may_stand_in_several_subnets(tmp_path: Path, subnets: str) -> None:
    one = HERE + "  made: {lambda: {subnets: [subnet-1], security_groups: [sg-1]}}\n"
    assert "ec2:DescribeRouteTables" not in allowed(needed(tmp_path, points=one))
    for mode in (Mode.CREATE, Mode.KEEP):
        found = needed(tmp_path, points=one.replace("[subnet-1]", subnets), mode=mode)
        assert statements(found)["CompareRoutes"]["Action"] == [
            "ec2:DescribeRouteTables",
            "ec2:DescribeNetworkAcls",
        ]


def test_policies_of_scratch_buckets_are_put_back_and_no_others(tmp_path: Path) -> None:
    assert "s3:PutBucketPolicy" not in allowed(needed(tmp_path))
    path = tmp_path / "s3vpce.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("canary: {key: k}", "canary: {key: k}, scratch: true"))
    found = statements(permissions(load_inventory(path), Environment(), mode=Mode.ASSUME))["PutPoliciesBack"]
    assert found["Resource"] == ["arn:aws:s3:::plain-bucket"]
    assert found["Action"] == ["s3:GetBucketPolicy", "s3:PutBucketPolicy"]


def test_the_pages_name_what_is_printed(tmp_path: Path) -> None:
    text = page("live.md") + page("security.md")
    for mode in Mode:
        assert f"| `{mode.value}` |" in text
    names = {need.sid for need in NEEDS}
    assert {name for name in names if name.startswith("Explain")} == {"ExplainPaths", "ExplainBuckets"}
    assert len([name for name in names if name.startswith("Sweep")]) >= 3
    assert "PassInstanceRoles" in names
    printed = json.dumps([row.runner for row in needed(tmp_path, points=ALL_POINTS).accounts])
    for action in re.findall(r"`((?:lambda|iam|ec2|ssm|sts|s3):[A-Z]\w+)`", page("security.md")):
        assert action in printed


def test_the_page_about_security_names_tests_that_there_are() -> None:
    root = Path(__file__).parent.parent.parent
    found = re.findall(r"tests/[\w/]+\.py", page("security.md"))
    assert found
    assert all((root / name).exists() for name in found)
