"""Control-plane calls that take several rights: each is asked for, on its resources and with its condition keys.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.gateway import Gateway
from pytest_s3vpce.lab.onuse import OnUse
from tests.unit.labstage import REGION, Person, Stage, allow, make_role, policy, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAIN = "310000000131"
FUNCTION = f"arn:aws:lambda:{REGION}:{MAIN}:function:s3vpce-f"
ROLE = f"arn:aws:iam::{MAIN}:role/agents/agent"
IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
TAGS = [{"Key": "s3vpce:run", "Value": "r"}]


INTERFACES = allow(["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"])


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    functions: Any = OnUse(lambda: made.functions)
    made.gateway = Gateway(made.state, keys=made.keys, functions=functions, enforce=Enforcement.ALL)
    return made


@pytest.fixture(scope="module")
def network(stage: Stage) -> dict[str, str]:
    """A subnet, a group, a role of a function's and a profile."""
    ec2 = stage.admin(MAIN).client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    iam = stage.admin(MAIN).client("iam")
    services = ["lambda.amazonaws.com", "ec2.amazonaws.com"]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="agent", Path="/agents/", AssumeRolePolicyDocument=document, Tags=TAGS)
    iam.put_role_policy(RoleName="agent", PolicyName="interfaces", PolicyDocument=policy(INTERFACES))
    iam.create_instance_profile(InstanceProfileName="probe")
    iam.add_role_to_instance_profile(InstanceProfileName="probe", RoleName="agent")
    return {"vpc": vpc, "subnet": subnet, "group": group}


def test_a_functions_role_makes_its_interfaces(stage: Stage, network: Mapping[str, str]) -> None:
    iam, create = stage.admin(MAIN).client("iam"), create_function(stage.admin(MAIN), network)
    iam.put_role_policy(RoleName="agent", PolicyName="interfaces", PolicyDocument=policy(allow("ec2:Describe*")))
    try:
        status, code, message = refusal(create)
    finally:
        iam.put_role_policy(RoleName="agent", PolicyName="interfaces", PolicyDocument=policy(INTERFACES))
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message == "The provided execution role does not have permissions to call CreateNetworkInterface on EC2"


def zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("agent.py", "def handler(event, context): return event")
    return held.getvalue()


def create_function(person: Person, network: Mapping[str, str]) -> Callable[[], Any]:
    return lambda: person.client("lambda").create_function(
        FunctionName="s3vpce-f",
        Runtime="python3.13",
        Role=ROLE,
        Handler="agent.handler",
        Code={"ZipFile": zipped()},
        Tags={"s3vpce:run": "r"},
        VpcConfig={"SubnetIds": [network["subnet"]], "SecurityGroupIds": [network["group"]]},
    )


def run_instance(person: Person, network: Mapping[str, str], *, image: str = IMAGE) -> Callable[[], Any]:
    return lambda: person.client("ec2").run_instances(
        ImageId=image,
        InstanceType="t4g.nano",
        MinCount=1,
        MaxCount=1,
        SubnetId=network["subnet"],
        SecurityGroupIds=[network["group"]],
        IamInstanceProfile={"Name": "probe"},
        TagSpecifications=[{"ResourceType": kind, "Tags": TAGS} for kind in ("instance", "volume")],
    )


def create_role(person: Person, _network: Mapping[str, str]) -> Callable[[], Any]:
    return lambda: person.client("iam").create_role(
        RoleName="made",
        Path="/agents/",
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}',
        PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess",
        Tags=TAGS,
    )


def ec2(resource: str) -> str:
    return f"arn:aws:ec2:{REGION}:{MAIN}:{resource}"


def where(statement: dict[str, Any], **operators: Any) -> dict[str, Any]:
    return {**statement, "Condition": operators}


def of_functions(network: Mapping[str, str]) -> list[dict[str, Any]]:
    subnets = {"lambda:SubnetIds": [network["subnet"]], "lambda:SecurityGroupIds": [network["group"]]}
    return [
        where(
            allow("lambda:CreateFunction", FUNCTION),
            **{"ForAllValues:StringEquals": subnets, "Null": {"lambda:SubnetIds": "false"}},
        ),
        where(allow("lambda:TagResource", FUNCTION), StringEquals={"aws:RequestTag/s3vpce:run": "r"}),
        where(allow("iam:PassRole", ROLE), StringEquals={"iam:PassedToService": "lambda.amazonaws.com"}),
        allow("ec2:DescribeSecurityGroups"),
        allow("ec2:DescribeSubnets"),
        allow("ec2:DescribeVpcs"),
    ]


def of_instances(network: Mapping[str, str]) -> list[dict[str, Any]]:
    profile = {"ec2:InstanceProfile": f"arn:aws:iam::{MAIN}:instance-profile/probe"}
    tagged = {"StringEquals": {"aws:RequestTag/s3vpce:run": "r"}}
    return [
        where(allow("ec2:RunInstances", ec2("instance/*")), ArnEquals=profile, **tagged),
        where(allow("ec2:RunInstances", ec2("volume/*")), **tagged),
        allow("ec2:RunInstances", ec2("network-interface/*")),
        allow("ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/*"),
        allow("ec2:RunInstances", ec2(f"subnet/{network['subnet']}")),
        allow("ec2:RunInstances", ec2(f"security-group/{network['group']}")),
        where(allow("ec2:CreateTags", ec2("instance/*")), StringEquals={"ec2:CreateAction": "RunInstances"}),
        where(allow("ec2:CreateTags", ec2("volume/*")), StringEquals={"ec2:CreateAction": "RunInstances"}),
        allow("ssm:GetParameters", f"arn:aws:ssm:{REGION}::parameter/{IMAGE.partition(':/')[2]}"),
        where(allow("iam:PassRole", ROLE), StringEquals={"iam:PassedToService": "ec2.amazonaws.com"}),
    ]


def of_roles(_network: Mapping[str, str]) -> list[dict[str, Any]]:
    made = f"arn:aws:iam::{MAIN}:role/agents/made"
    boundary = {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}
    return [
        where(allow("iam:CreateRole", made), StringEquals=boundary),
        where(allow("iam:TagRole", made), StringEquals={"aws:RequestTag/s3vpce:run": "r"}),
    ]


@pytest.mark.parametrize(
    ("call", "needed"),
    [(create_function, of_functions), (run_instance, of_instances), (create_role, of_roles)],
    ids=["CreateFunction", "RunInstances", "CreateRole"],
)
def test_a_call_takes_each_of_its_rights(
    stage: Stage, network: dict[str, str], call: Callable[..., Any], needed: Callable[..., list[dict[str, Any]]]
) -> None:
    name = f"does-{call.__name__.replace('_', '-')}"
    role = make_role(stage.admin(MAIN), name, trust={"AWS": MAIN})
    person, iam, statements = stage.user(MAIN).assume(role), stage.admin(MAIN).client("iam"), needed(network)

    def may(rows: list[dict[str, Any]]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": rows})
        iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=document)

    for number, left_out in enumerate(statements):
        may([row for at, row in enumerate(statements) if at != number])
        found = refusal(call(person, network))
        assert f"is not authorized to perform: {left_out['Action']} on resource" in found[2], left_out
    may(statements)
    assert call(person, network)()


def test_tags_of_what_is_there_are_conditions(stage: Stage, network: dict[str, str]) -> None:
    launched = run_instance(stage.admin(MAIN), network, image="ami-12345678")()["Instances"][0]["InstanceId"]
    other = stage.admin(MAIN).client("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)
    foreign = other["Instances"][0]["InstanceId"]
    ours = {"StringEquals": {"aws:ResourceTag/s3vpce:run": "r"}}
    by_ssm = {"StringEquals": {"ssm:resourceTag/s3vpce:run": "r"}}
    document = f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript"
    role = make_role(
        stage.admin(MAIN),
        "ends-its-own",
        where(allow("ec2:TerminateInstances"), **ours),
        where(allow("ssm:SendCommand", ec2("instance/*")), **by_ssm),
        where(allow("iam:DeleteRole"), **ours),
        where(allow("lambda:DeleteFunction"), **ours),
        allow("ssm:SendCommand", document),
        trust={"AWS": MAIN},
    )
    person = stage.user(MAIN).assume(role)
    ssm, client = person.client("ssm"), person.client("ec2")

    def send(instance: str) -> Any:
        return ssm.send_command(
            InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]}
        )

    assert send(launched)["Command"]["CommandId"]
    assert f"on resource: {ec2(f'instance/{foreign}')} because" in refusal(send, instance=foreign)[2]
    assert refusal(client.terminate_instances, InstanceIds=[launched, foreign])[1] == "UnauthorizedOperation"
    assert client.terminate_instances(InstanceIds=[launched])["TerminatingInstances"]
    stage.admin(MAIN).client("iam").create_role(
        RoleName="ours", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}', Tags=TAGS
    )
    assert person.client("iam").delete_role(RoleName="ours")
    assert refusal(person.client("iam").delete_role, RoleName="ends-its-own")[1] == "AccessDenied"
    assert refusal(person.client("lambda").delete_function, FunctionName="none")[1] == "AccessDeniedException"


def test_endpoints_and_groups_are_deleted_by_their_tags(stage: Stage, network: dict[str, str]) -> None:
    admin, service = stage.admin(MAIN).client("ec2"), f"com.amazonaws.{REGION}.s3"
    vpce = [admin.create_vpc_endpoint(VpcId=network["vpc"], ServiceName=service) for _ in range(2)]
    groups = [admin.create_security_group(GroupName=f"{at}", Description="g", VpcId=network["vpc"]) for at in range(2)]
    ours, foreign = (row["VpcEndpoint"]["VpcEndpointId"] for row in vpce)
    group, other = (row["GroupId"] for row in groups)
    admin.create_tags(Resources=[ours, group], Tags=TAGS)
    rights = where(
        allow(["ec2:DeleteVpcEndpoints", "ec2:DeleteSecurityGroup"], [ec2("vpc-endpoint/*"), ec2("security-group/*")]),
        StringEquals={"aws:ResourceTag/s3vpce:run": "r"},
    )
    role = make_role(stage.admin(MAIN), "deletes-its-own", rights, trust={"AWS": MAIN})
    client = stage.user(MAIN).assume(role).client("ec2")
    refused = refusal(client.delete_vpc_endpoints, VpcEndpointIds=[ours, foreign])
    assert f"on resource: {ec2(f'vpc-endpoint/{foreign}')} because" in refused[2]
    assert client.delete_vpc_endpoints(VpcEndpointIds=[ours])["Unsuccessful"] == []
    refused = refusal(client.delete_security_group, GroupId=other)
    assert f"on resource: {ec2(f'security-group/{other}')} because" in refused[2]
    assert client.delete_security_group(GroupId=group)


def test_policies_of_an_organization_are_detached_and_deleted_by_their_tags(stage: Stage) -> None:
    admin = stage.admin(MAIN).client("organizations")
    admin.create_organization(FeatureSet="ALL")

    def made(name: str, tags: list[dict[str, str]]) -> dict[str, str]:
        content = policy({**allow("s3:GetObject"), "Effect": "Deny"})
        kind = "SERVICE_CONTROL_POLICY"
        answer = admin.create_policy(Name=name, Description="", Type=kind, Content=content, Tags=tags)
        found: dict[str, str] = answer["Policy"]["PolicySummary"]
        admin.attach_policy(PolicyId=found["Id"], TargetId=MAIN)
        return found

    ours, foreign = made("ours", TAGS), made("foreign", [])
    tagged = {"StringEquals": {"aws:ResourceTag/s3vpce:run": "r"}}
    take = ["organizations:DetachPolicy", "organizations:DeletePolicy", "organizations:ListTargetsForPolicy"]
    rights = [where(allow(take, f"arn:aws:organizations::{MAIN}:policy/*"), **tagged)]
    role = make_role(stage.admin(MAIN), "takes-policies", *rights, trust={"AWS": MAIN})
    client = stage.user(MAIN).assume(role).client("organizations")
    assert client.list_targets_for_policy(PolicyId=ours["Id"])["Targets"]
    assert f"on resource: {foreign['Arn']}" in refusal(client.list_targets_for_policy, PolicyId=foreign["Id"])[2]
    account = f"arn:aws:organizations::{MAIN}:account/"
    asked = {"PolicyId": ours["Id"], "TargetId": MAIN}
    assert f"on resource: {account}" in refusal(client.detach_policy, **asked)[2]
    rights.append(allow("organizations:DetachPolicy", f"{account}*"))
    iam = stage.admin(MAIN).client("iam")
    iam.put_role_policy(RoleName="takes-policies", PolicyName="inline", PolicyDocument=policy(*rights))
    assert client.detach_policy(**asked)
    assert client.delete_policy(PolicyId=ours["Id"])


def test_resources_of_other_calls(stage: Stage, network: dict[str, str]) -> None:
    person = stage.user(MAIN)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (person.client("ssm").get_parameters, {"Names": ["/a/b"]}, f"arn:aws:ssm:{REGION}:{MAIN}:parameter/a/b"),
        (person.client("ssm").get_command_invocation, {"CommandId": "1" * 36, "InstanceId": "i-1"}, "*"),
        (
            person.client("ec2").create_tags,
            {"Resources": [network["subnet"]], "Tags": TAGS},
            ec2(f"subnet/{network['subnet']}"),
        ),
        (person.client("iam").get_role, {"RoleName": "agent"}, ROLE),
        (person.client("lambda").list_tags, {"Resource": FUNCTION}, FUNCTION),
        (
            person.client("lambda").update_function_configuration,
            {"FunctionName": "s3vpce-f", "Role": ROLE},
            FUNCTION,
        ),
    ]
    for call, parameters, resource in cases:
        assert f"on resource: {resource} because" in refusal(call, **parameters)[2]
