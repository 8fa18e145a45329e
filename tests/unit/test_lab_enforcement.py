"""Control planes under `enforce=all`: what a request asks for, and who is refused in which words.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pytest_s3vpce.lab.assembly import Lab
from pytest_s3vpce.lab.controlplane import asked_of
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.gateway import Gateway
from pytest_s3vpce.lab.onuse import OnUse
from pytest_s3vpce.lab.wire import HttpRequest
from tests.unit.labstage import INTERNET, REGION, Person, Stage, allow, deny, make_role, policy, refusal

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "310000000121"
USER = f"arn:aws:iam::{MAIN}:user/s3vpce-runner"
ALL = allow("*")


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    functions: Any = OnUse(lambda: made.functions)
    made.gateway = Gateway(
        made.state,
        keys=made.keys,
        functions=functions,
        log=lambda note: made.notes.append(dict(note)),
        enforce=Enforcement.ALL,
    )
    return made


def role_of(stage: Stage, name: str, *statements: dict[str, Any]) -> Person:
    return stage.user(MAIN).assume(make_role(stage.admin(MAIN), name, *statements, trust={"AWS": MAIN}))


@pytest.mark.parametrize(
    ("service", "call", "code", "action"),
    [
        ("ec2", "describe_vpcs", "UnauthorizedOperation", "ec2:DescribeVpcs"),
        ("iam", "list_users", "AccessDenied", "iam:ListUsers"),
        ("lambda", "list_functions", "AccessDeniedException", "lambda:ListFunctions"),
        ("kms", "list_keys", "AccessDeniedException", "kms:ListKeys"),
        ("organizations", "describe_organization", "AccessDeniedException", "organizations:DescribeOrganization"),
        ("logs", "describe_log_groups", "AccessDeniedException", "logs:DescribeLogGroups"),
        ("cloudformation", "list_stacks", "AccessDenied", "cloudformation:ListStacks"),
    ],
)
def test_who_has_no_right_is_refused_in_the_services_words(
    stage: Stage, service: str, call: str, code: str, action: str
) -> None:
    found = refusal(getattr(stage.user(MAIN).client(service), call))
    assert found[1] == code
    assert f"User: {USER} is not authorized to perform: {action} on resource: *" in found[2]
    assert found[2].endswith(f"because no identity-based policy allows the {action} action")


def test_a_key_is_made_by_who_may_and_used_by_whom_its_policy_lets_in(stage: Stage) -> None:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html"""
    kms = stage.admin(MAIN).client("kms")
    open_key = kms.create_key()["KeyMetadata"]["Arn"]
    assert kms.encrypt(KeyId=open_key, Plaintext=b"x")["KeyId"] == open_key
    root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{MAIN}:root"}, "Action": "kms:De*", "Resource": "*"}
    closed = kms.create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": [root]}))["KeyMetadata"]["Arn"]
    found = refusal(kms.encrypt, KeyId=closed, Plaintext=b"x")
    assert found[2].endswith("because no resource-based policy allows the kms:Encrypt action")


def test_an_alias_stands_for_its_key(stage: Stage) -> None:
    """https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html"""
    kms = stage.admin(MAIN).client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/enforced", TargetKeyId=key)
    assert kms.describe_key(KeyId="alias/enforced")["KeyMetadata"]["Arn"] == key
    assert refusal(kms.describe_key, KeyId="alias/none")[1] in ("AccessDeniedException", "NotFoundException")


def test_who_has_no_right_learns_nothing_of_functions(stage: Stage) -> None:
    create = role_of(stage, "no-functions", deny("lambda:*")).client("lambda").create_function
    given = {"FunctionName": "f", "Runtime": "nodejs18.x", "Role": USER, "Handler": "h.h", "Code": {"ZipFile": b"x"}}
    _, code, message = refusal(create, **given)
    assert code == "AccessDeniedException"
    assert "lambda:CreateFunction" in message


def test_who_has_the_right_is_served(stage: Stage) -> None:
    admin = stage.admin(MAIN)
    assert admin.client("ec2").describe_vpcs()["Vpcs"]
    assert admin.client("iam").list_users()["Users"]
    assert admin.client("lambda").list_functions()["Functions"] == []
    assert stage.root(MAIN).client("iam").list_roles()["Roles"]
    assert stage.notes[-1]["action"] == "iam:ListRoles"


@pytest.mark.parametrize(
    ("service", "call", "parameters", "resource"),
    [
        ("iam", "get_role", {"RoleName": "s3vpce-runner"}, f"arn:aws:iam::{MAIN}:role/s3vpce-runner"),
        ("iam", "get_user", {"UserName": "s3vpce-runner"}, f"arn:aws:iam::{MAIN}:user/s3vpce-runner"),
        ("lambda", "get_function", {"FunctionName": "fn"}, f"arn:aws:lambda:{REGION}:{MAIN}:function:fn"),
        ("kms", "describe_key", {"KeyId": "some-key"}, f"arn:aws:kms:{REGION}:{MAIN}:key/some-key"),
        (
            "ec2",
            "modify_vpc_endpoint",
            {"VpcEndpointId": "vpce-1", "ResetPolicy": True},
            f"arn:aws:ec2:{REGION}:{MAIN}:vpc-endpoint/vpce-1",
        ),
        ("ssm", "get_parameter", {"Name": "/a/b"}, f"arn:aws:ssm:{REGION}:{MAIN}:parameter/a/b"),
    ],
)
def test_the_resource_is_asked_for_where_it_is_named(
    stage: Stage, service: str, call: str, parameters: dict[str, Any], resource: str
) -> None:
    found = refusal(getattr(stage.user(MAIN).client(service), call), **parameters)
    assert f"on resource: {resource} because" in found[2]


def test_a_policy_may_name_one_resource(stage: Stage) -> None:
    person = role_of(stage, "reads-itself", allow("iam:GetRole", f"arn:aws:iam::{MAIN}:role/reads-itself"))
    iam = person.client("iam")
    assert iam.get_role(RoleName="reads-itself")["Role"]["RoleName"] == "reads-itself"
    assert refusal(iam.get_role, RoleName="s3vpce-runner")[:2] == (403, "AccessDenied")


def test_a_session_policy_and_a_boundary_limit_here_too(stage: Stage) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    limited = stage.user(MAIN).assume(role, Policy=policy(ALL, deny("ec2:Create*")))
    assert limited.client("ec2").describe_vpcs()
    found = refusal(limited.client("ec2").create_vpc, CidrBlock="10.0.0.0/16")
    assert found[:2] == (403, "UnauthorizedOperation")
    assert found[2].endswith("with an explicit deny in a session policy")


def test_an_scp_binds_control_planes(stage: Stage) -> None:
    organizations = stage.admin(MAIN).client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    member = organizations.create_account(AccountName="m", Email="m@example.com")["CreateAccountStatus"]["AccountId"]
    admin = stage.admin(MAIN).assume(f"arn:aws:iam::{member}:role/OrganizationAccountAccessRole")
    assert admin.client("ec2").describe_vpcs()
    made = organizations.create_policy(
        Content=policy(deny("ec2:*")), Description="", Name="no-ec2", Type="SERVICE_CONTROL_POLICY"
    )["Policy"]["PolicySummary"]
    organizations.attach_policy(PolicyId=made["Id"], TargetId=member)
    found = refusal(admin.client("ec2").describe_vpcs)
    assert found[2].endswith(f"with an explicit deny in a service control policy: {made['Arn']}")
    assert stage.admin(MAIN).client("ec2").describe_vpcs()


@pytest.mark.parametrize(
    "case",
    [
        ("lambda", "GET", "/2015-03-31/functions/fn/policy", {}, b"", "lambda:GetPolicy"),
        ("lambda", "PATCH", "/2015-03-31/functions", {}, b"", None),
        ("nowhere", "GET", "/", {}, b"", None),
        ("kms", "POST", "/", {"x-amz-target": "TrentService.ListKeys", "content-type": "json"}, b"{", "kms:ListKeys"),
        ("kms", "POST", "/", {"x-amz-target": "T.ListKeys", "content-type": "json"}, b"[]", "kms:ListKeys"),
        ("monitoring", "GET", "/?Action=ListMetrics", {}, b"", "cloudwatch:ListMetrics"),
    ],
)
def test_a_request_is_the_operation_that_it_looks_like(case: tuple[Any, ...]) -> None:
    service, method, target, headers, body, expected = case
    request = HttpRequest(
        method=method,
        target=target,
        headers=tuple(headers.items()),
        body=body,
        host="h",
        scheme="https",
        tls=None,
        origin=INTERNET,
        peer="p",
    )
    asked = asked_of(service, request, account=MAIN, region=REGION, partition="aws")
    assert (asked and asked.action) == expected


def iam_of(lab: Lab, key: str, secret: str) -> Any:
    session: Any = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=REGION)
    return session.client("iam", endpoint_url=lab.endpoint_url)


def test_a_lab_is_told_to_enforce_all(tmp_path: Path) -> None:
    lab = Lab(folder=tmp_path, accounts={"main": ("310000000122", REGION)}, enforce=Enforcement.ALL)
    try:
        root = lab.sessions()["main"]
        iam = iam_of(lab, root.access_key_id, root.secret_access_key)
        runner = iam.create_access_key(UserName="s3vpce-runner")["AccessKey"]
        iam = iam_of(lab, runner["AccessKeyId"], runner["SecretAccessKey"])
        assert refusal(iam.list_users)[:2] == (403, "AccessDenied")
    finally:
        lab.close()
