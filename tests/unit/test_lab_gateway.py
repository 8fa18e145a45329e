"""The gateway: from where a request came decides what it may; every service is refused in its own words."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pytest_s3vpce.lab.compute import InvokeResult
from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.wire import Unanswered
from tests.unit.labstage import INTERNET, REGION, Person, Stage, allow, answered, deny, make_role, policy, refusal

MAIN, PARTNER = "330000000001", "330000000002"
USER = f"arn:aws:iam::{MAIN}:user/s3vpce-runner"
ADMIN = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
BUCKET = "lab-gateway"
OBJECTS = f"arn:aws:s3:::{BUCKET}/*"


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, PARTNER)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    return made


@dataclass(frozen=True)
class Network:
    """A VPC with three subnets: one reaches S3 by a gateway endpoint, one by NAT, one not at all."""

    vpc: str
    endpoint: str
    nat_address: str
    group: str
    inside: Placement
    nat: Placement
    nowhere: Placement


@pytest.fixture(scope="module")
def network(stage: Stage) -> Network:
    ec2 = stage.admin(MAIN).client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets, tables = {}, {}
    for number, name in enumerate(("inside", "nat", "nowhere", "public")):
        subnets[name] = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24")["Subnet"]["SubnetId"]
        tables[name] = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=tables[name], SubnetId=subnets[name])
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.create_route(RouteTableId=tables["public"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=subnets["public"], AllocationId=address["AllocationId"])["NatGateway"]
    ec2.create_route(RouteTableId=tables["nat"], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"])
    group = ec2.create_security_group(GroupName="gateway", Description="-", VpcId=vpc)["GroupId"]
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[tables["inside"]]
    )["VpcEndpoint"]["VpcEndpointId"]

    def at(name: str, number: int) -> Placement:
        return Placement(
            account=MAIN,
            region=REGION,
            subnet_id=subnets[name],
            security_group_ids=(group,),
            private_ip=f"10.9.{number}.9",
        )

    return Network(
        vpc=vpc,
        endpoint=endpoint,
        nat_address=address["PublicIp"],
        group=group,
        inside=at("inside", 0),
        nat=at("nat", 1),
        nowhere=at("nowhere", 2),
    )


def get(person: Person, origin: Any = None) -> str:
    """`allowed`, or the message of S3's refusal."""
    s3 = person.client("s3") if origin is None else person.client("s3", origin=origin)
    try:
        s3.get_object(Bucket=BUCKET, Key="k")
    except s3.exceptions.ClientError as error:
        message: str = error.response["Error"]["Message"]
        return message
    return "allowed"


# --- the network -----------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_open_through_its_endpoint_alone(stage: Stage, network: Network) -> None:
    admin, root = stage.admin(MAIN), stage.root(MAIN).client("s3")
    assert [get(admin, origin) for origin in (None, network.inside, network.nat)] == ["allowed"] * 3
    through = {"StringNotEquals": {"aws:SourceVpce": network.endpoint}}
    root.put_bucket_policy(
        Bucket=BUCKET, Policy=policy(deny("s3:GetObject", OBJECTS, Principal="*", Condition=through))
    )
    try:
        assert get(admin, network.inside) == "allowed"
        note = stage.notes[-1]
        assert (note["path"], note["endpoint"]) == ("gateway_endpoint", network.endpoint)
        for origin in (None, network.nat):
            assert get(admin, origin).endswith("with an explicit deny in a resource-based policy")
        note = stage.notes[-1]
        assert (note["path"], note["decision"], note["layer"]) == ("nat", "explicit_deny", "resource")
    finally:
        root.delete_bucket_policy(Bucket=BUCKET)


def test_an_endpoints_own_policy_filters_and_is_named(stage: Stage, network: Network) -> None:
    ec2, admin = stage.admin(MAIN).client("ec2"), stage.admin(MAIN)
    ec2.modify_vpc_endpoint(VpcEndpointId=network.endpoint, PolicyDocument=policy(allow("s3:PutObject", Principal="*")))
    try:
        assert get(admin, network.inside).endswith("because no VPC endpoint policy allows the s3:GetObject action")
        assert get(admin, network.nat) == "allowed"
        assert admin.client("s3", origin=network.inside).put_object(Bucket=BUCKET, Key="k", Body=b"x")
    finally:
        ec2.modify_vpc_endpoint(VpcEndpointId=network.endpoint, ResetPolicy=True)
    assert get(admin, network.inside) == "allowed"


def test_readings_tell_the_path(stage: Stage, network: Network) -> None:
    def reading(origin: Placement, **keys: str) -> list[str]:
        """The keys whose value is not what the request had."""
        return [
            key
            for key, value in keys.items()
            if get(
                stage.user(MAIN).assume(
                    ADMIN,
                    Policy=policy(allow("*"), deny("*", Condition={"StringNotEquals": {key.replace("_", ":"): value}})),
                ),
                origin,
            )
            != "allowed"
        ]

    vpc_arn = f"arn:aws:ec2:{REGION}:{MAIN}:vpc/{network.vpc}"
    through = {
        "aws_SourceVpce": network.endpoint,
        "aws_SourceVpc": network.vpc,
        "aws_SourceVpcArn": vpc_arn,
        "aws_VpceAccount": MAIN,
        "aws_VpcSourceIp": "10.9.0.9",
    }
    assert reading(network.inside, **through) == []
    assert reading(network.inside, aws_SourceIp=network.nat_address) == ["aws_SourceIp"]
    assert reading(network.nat, **through) == list(through)
    assert reading(network.nat, aws_SourceIp=network.nat_address) == []


def test_what_the_network_drops_is_never_an_answer_of_s3(stage: Stage, network: Network) -> None:
    s3 = stage.admin(MAIN).client("s3", origin=network.nowhere)
    with pytest.raises(Unanswered, match="has no route to it"):
        s3.get_object(Bucket=BUCKET, Key="k")
    sts = stage.admin(MAIN).client("sts", origin=network.inside)
    with pytest.raises(Unanswered):
        sts.get_caller_identity()
    through_nat = stage.admin(MAIN).client("sts", origin=network.nat).get_caller_identity()
    assert through_nat["Account"] == MAIN


def test_a_plain_http_request_is_one(stage: Stage) -> None:
    insecure = policy(allow("*"), deny("*", Condition={"Bool": {"aws:SecureTransport": "false"}}))
    session = stage.user(MAIN).assume(ADMIN, Policy=insecure)
    assert get(session) == "allowed"
    plain = session.client("s3", url="http://127.0.0.1:1")
    assert refusal(plain.get_object, Bucket=BUCKET, Key="k")[2].endswith("with an explicit deny in a session policy")


# --- identities ------------------------------------------------------------------------------------------------------


def test_boundaries_limit_and_are_named(stage: Stage) -> None:
    iam = stage.admin(MAIN).client("iam")
    bound = iam.create_policy(PolicyName="bound", PolicyDocument=policy(allow("s3:ListBucket")))["Policy"]["Arn"]
    role = make_role(stage.admin(MAIN), "bounded", allow("*"), trust={"AWS": USER}, PermissionsBoundary=bound)
    session = stage.user(MAIN).assume(role)
    assert get(session).endswith("because no permissions boundary allows the s3:GetObject action")
    assert session.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def test_a_user_has_the_rights_of_its_groups_and_its_tags_are_seen(stage: Stage) -> None:
    iam = stage.admin(MAIN).client("iam")
    iam.create_user(UserName="member", Tags=[{"Key": "team", "Value": "red"}])
    keys = iam.create_access_key(UserName="member")["AccessKey"]
    member = Person(stage, keys["AccessKeyId"], keys["SecretAccessKey"])
    assert "because no identity-based policy allows" in get(member)
    assert f"User: arn:aws:iam::{MAIN}:user/member is not" in get(member)
    iam.create_group(GroupName="readers")
    iam.add_user_to_group(GroupName="readers", UserName="member")
    red = {"StringEquals": {"aws:PrincipalTag/team": "red", "aws:username": "member"}}
    iam.put_group_policy(
        GroupName="readers", PolicyName="read", PolicyDocument=policy(allow("s3:GetObject", Condition=red))
    )
    assert get(member) == "allowed"


# --- what is wrong with a request, in the words of its service -------------------------------------------------------

CALLS = {
    "s3": "list_buckets",
    "sts": "get_caller_identity",
    "iam": "list_users",
    "ec2": "describe_vpcs",
    "lambda": "list_functions",
    "ssm": "list_commands",
}


@pytest.mark.parametrize(
    ("service", "unknown", "wrong"),
    [
        ("s3", (403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch")),
        ("sts", (403, "InvalidClientTokenId"), (403, "SignatureDoesNotMatch")),
        ("iam", (403, "InvalidClientTokenId"), (403, "SignatureDoesNotMatch")),
        ("ec2", (401, "AuthFailure"), (401, "AuthFailure")),
        ("lambda", (403, "UnrecognizedClientException"), (403, "InvalidSignatureException")),
        ("ssm", (403, "UnrecognizedClientException"), (403, "InvalidSignatureException")),
    ],
)
def test_bad_keys_are_refused_in_the_words_of_the_service(
    stage: Stage, service: str, unknown: tuple[int, str], wrong: tuple[int, str]
) -> None:
    known = stage.user(MAIN).key
    for key, expected in (("AKIANOBODYHASTHISKEY", unknown), (known, wrong)):
        person = Person(stage, key, "not the secret")
        assert refusal(getattr(person.client(service), CALLS[service]))[:2] == expected
        assert stage.notes[-1]["service"] == service
        assert "not the secret" not in json.dumps(stage.notes[-1])
        assert person.secret not in repr(person)


@pytest.mark.parametrize(
    ("service", "call", "parameters"),
    [
        ("cloudtrail", "lookup_events", {}),
        ("accessanalyzer", "list_analyzers", {}),
        ("ec2", "create_network_insights_path", {"Source": "i-1", "Protocol": "tcp", "ClientToken": "x"}),
        ("ssm", "describe_instance_information", {}),
        ("lambda", "get_account_settings", {}),
        ("s3control", "list_jobs", {"AccountId": MAIN}),
        ("iam", "simulate_principal_policy", {"PolicySourceArn": "a" * 20, "ActionNames": ["s3:GetObject"]}),
    ],
)
def test_what_is_not_served_is_a_typed_501_at_once(
    stage: Stage, service: str, call: str, parameters: dict[str, Any]
) -> None:
    assert refusal(getattr(stage.admin(MAIN).client(service), call), **parameters)[:2] == (501, "NotImplemented")


def test_rooms_of_the_state_that_are_no_service_are_nobodys_to_enter(stage: Stage) -> None:
    person = stage.admin(MAIN)
    for target, method in (("/moto-api/reset", "POST"), ("/moto-api/data.json", "GET")):
        request = AWSRequest(method, f"https://s3.us-east-1.amazonaws.com{target}")
        SigV4Auth(Credentials(person.key, person.secret, person.token), "moto_api", "us-east-1").add_auth(request)
        answer = answered(stage, request.prepare(), origin=INTERNET)
        assert (answer.status_code, b"NotImplemented" in answer.content) == (501, True)
    assert person.client("s3").get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1"])
def test_an_accounts_public_access_block_is_set_by_its_own(stage: Stage, url: str | None) -> None:
    config: dict[str, Any] = {"inject_host_prefix": url is None}
    control = stage.admin(MAIN).client("s3control", url=url, **config)
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    control.put_public_access_block(AccountId=MAIN, PublicAccessBlockConfiguration=block)
    found = stage.state.account_public_access_block(MAIN, "us-east-1")
    assert found is not None
    assert found.restrict_public_buckets
    foreign = stage.admin(PARTNER).client("s3control", url=url, **config)
    assert refusal(foreign.delete_public_access_block, AccountId=MAIN)[:2] == (403, "AccessDenied")
    assert control.get_public_access_block(AccountId=MAIN)["PublicAccessBlockConfiguration"] == block
    control.delete_public_access_block(AccountId=MAIN)


def test_a_presigned_url_is_by_its_signer(stage: Stage) -> None:
    from urllib.request import Request

    from tests.unit.labstage import INTERNET, answered

    client = stage.admin(MAIN).client("s3", signature_version="s3v4")
    url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k"})
    sent: Any = type("Sent", (), {"url": url, "method": "GET", "body": b"", "headers": Request(url).headers})
    assert answered(stage, sent, origin=INTERNET).content == b"x"
    sent.url = url.replace("/k?", "/other?")
    refused = answered(stage, sent, origin=INTERNET)
    assert (refused.status_code, b"<Code>SignatureDoesNotMatch</Code>" in refused.content) == (403, True)


# --- functions -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def function(stage: Stage, network: Network) -> str:
    role = make_role(stage.admin(MAIN), "fn", trust={"Service": "lambda.amazonaws.com"})
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "")
    client = stage.admin(MAIN).client("lambda")
    made = client.create_function(
        FunctionName="fn",
        Runtime="python3.12",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": code.getvalue()},
        VpcConfig={"SubnetIds": [network.inside.subnet_id], "SecurityGroupIds": [network.group]},
    )
    arn: str = made["FunctionArn"]
    return arn


def test_a_functions_role_must_trust_lambda(stage: Stage, network: Network) -> None:
    role = make_role(stage.admin(MAIN), "trusts-others", trust={"Service": "ec2.amazonaws.com"})
    client = stage.admin(MAIN).client("lambda")
    code = {"ZipFile": b"PK\x05\x06" + b"\0" * 18}
    made = {"FunctionName": "unborn", "Runtime": "python3.12", "Handler": "index.handler", "Code": code}
    assert refusal(client.create_function, **made, Role=role) == (
        400,
        "InvalidParameterValueException",
        "The role defined for the function cannot be assumed by Lambda.",
    )
    assert refusal(client.create_function, **made, Role=f"{role}-that-is-not-there")[0] == 400
    assert refusal(client.get_function, FunctionName="unborn")[:2] == (404, "ResourceNotFoundException")


def test_a_functions_role_is_the_one_it_names_and_not_a_variable(stage: Stage, function: str) -> None:
    trusted = stage.state.function(MAIN, "us-east-1", function)
    assert trusted is not None
    role = make_role(stage.admin(MAIN), "trusts-nobodys-code", trust={"Service": "ec2.amazonaws.com"})
    client = stage.admin(MAIN).client("lambda")
    code = {"ZipFile": b"PK\x05\x06" + b"\0" * 18}
    hidden = {"Environment": {"Variables": {"Role": trusted.spec.role_arn}}, "Role": role}
    made = {"FunctionName": "unborn", "Runtime": "python3.12", "Handler": "index.handler", "Code": code}
    wrong = (400, "InvalidParameterValueException")
    assert refusal(client.create_function, **hidden, **made)[:2] == wrong
    assert refusal(client.update_function_configuration, FunctionName="fn", Role=role)[:2] == wrong
    assert client.get_function_configuration(FunctionName="fn")["Role"] == trusted.spec.role_arn


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"Role": 1}', b"\xff"])
def test_settings_that_name_no_role_are_left_to_lambda(stage: Stage, body: bytes) -> None:
    person = stage.admin(MAIN)
    url = "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/none/configuration"
    request = AWSRequest("PUT", url, data=body)
    SigV4Auth(Credentials(person.key, person.secret, person.token), "lambda", "us-east-1").add_auth(request)
    assert answered(stage, request.prepare(), origin=INTERNET).status_code >= 400


def test_an_invocation_runs_the_function_in_its_subnet(stage: Stage, function: str, network: Network) -> None:
    client = stage.admin(MAIN).client("lambda")
    for name in ("fn", function, f"{MAIN}:function:fn", "fn:$LATEST", f"{function}:$LATEST"):
        answer = client.invoke(FunctionName=name, Payload=b'{"a": 1}', LogType="Tail")
        assert json.load(answer["Payload"]) == "done"
        assert base64.b64decode(answer["LogResult"]) == b"said"
        assert (answer["StatusCode"], "FunctionError" in answer) == (200, False)
    name, payload, placement = stage.functions.invoked[-1]
    assert (name, payload) == ("fn", b'{"a": 1}')
    assert placement is not None
    assert (placement.subnet_id, placement.security_group_ids) == (network.inside.subnet_id, (network.group,))


def test_a_functions_failure_is_an_answer(stage: Stage, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = InvokeResult(status=200, payload=b'{"errorMessage": "no"}', function_error="Unhandled", log_tail=b"")
    monkeypatch.setattr(stage.functions, "result", failed)
    answer = stage.admin(MAIN).client("lambda").invoke(FunctionName="fn")
    assert (answer["FunctionError"], "LogResult" in answer) == ("Unhandled", False)
    assert json.load(answer["Payload"]) == {"errorMessage": "no"}


def test_other_ways_to_invoke_and_functions_that_are_not_there(stage: Stage, function: str) -> None:
    client, before = stage.admin(MAIN).client("lambda"), len(stage.functions.invoked)
    assert client.invoke(FunctionName="fn", InvocationType="DryRun")["StatusCode"] == 204
    assert client.invoke(FunctionName="fn", InvocationType="Event", Payload=b'"later"')["StatusCode"] == 202
    deadline = time.monotonic() + 3
    while not any(payload == b'"later"' for _, payload, _ in stage.functions.invoked):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    refused = refusal(client.invoke, FunctionName="fn", InvocationType="Later")
    assert refused[:2] == (400, "InvalidParameterValueException")
    assert refusal(client.invoke, FunctionName="other")[:2] == (404, "ResourceNotFoundException")
    elsewhere = function.replace("us-east-1", "eu-west-1")
    assert refusal(client.invoke, FunctionName=elsewhere)[:2] == (404, "ResourceNotFoundException")
    for name in ("arn:::", function.replace(":function:", ":layer:")):
        assert refusal(client.invoke, FunctionName=name)[:2] == (400, "ValidationException")
    assert refusal(client.invoke, FunctionName="arn:x")[:2] == (404, "ResourceNotFoundException")
    foreign = stage.admin(PARTNER).client("lambda")
    assert refusal(foreign.invoke, FunctionName=function)[:2] == (403, "AccessDeniedException")
    assert refusal(foreign.invoke, FunctionName=f"{function}s")[:2] == (403, "AccessDeniedException")
    assert len(stage.functions.invoked) == before + 1


def test_who_may_not_invoke_is_refused(stage: Stage, function: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html"""
    client = stage.user(MAIN).client("lambda")
    assert refusal(client.invoke, FunctionName="fn") == (
        403,
        "AccessDeniedException",
        (
            f"User: {USER} is not authorized to perform: lambda:InvokeFunction on resource: {function} because no "
            "identity-based policy allows the lambda:InvokeFunction action"
        ),
    )
    foreign = stage.admin(PARTNER).client("lambda")
    stage.admin(MAIN).client("lambda").add_permission(
        FunctionName="fn", StatementId="partner", Action="lambda:InvokeFunction", Principal=PARTNER
    )
    assert foreign.invoke(FunctionName=function, InvocationType="DryRun")["StatusCode"] == 204
    stage.admin(MAIN).client("lambda").remove_permission(FunctionName="fn", StatementId="partner")
    assert refusal(foreign.invoke, FunctionName=function)[0] == 403


def test_a_function_that_is_deleted_is_forgotten(stage: Stage, function: str) -> None:
    client = stage.admin(MAIN).client("lambda")
    client.delete_function(FunctionName="fn")
    assert stage.functions.forgotten[-1] == function
    assert refusal(client.invoke, FunctionName="fn")[:2] == (404, "ResourceNotFoundException")
    # What is deleted below a function leaves it alone.
    refusal(client.delete_function_concurrency, FunctionName="fn")
    assert stage.functions.forgotten == [function]


def test_the_last_requests_are_kept(stage: Stage) -> None:
    stage.admin(MAIN).client("s3").head_bucket(Bucket=BUCKET)
    assert stage.gateway.notes[-1] == stage.notes[-1]
    assert stage.notes[-1]["action"] == "s3:ListBucket"
    assert stage.notes[-1]["reason"]


def test_the_operations_of_services_that_speak_rest_are_named_in_the_log(stage: Stage) -> None:
    client = stage.admin(MAIN).client("lambda")
    client.list_functions()
    refusal(client.get_function, FunctionName="none")
    refusal(client.update_function_configuration, FunctionName="none", Timeout=5)
    refusal(client.invoke, FunctionName="none")
    named = [note["operation"] for note in stage.notes[-4:]]
    assert named == ["ListFunctions", "GetFunction", "UpdateFunctionConfiguration", "Invoke"]


@pytest.mark.parametrize("service", ["lambda", "no-service"])
def test_what_is_no_operation_of_a_service_has_no_name(stage: Stage, service: str) -> None:
    person = stage.admin(MAIN)
    request = AWSRequest("GET", f"https://{service}.us-east-1.amazonaws.com/nothing")
    SigV4Auth(Credentials(person.key, person.secret, person.token), service, "us-east-1").add_auth(request)
    assert answered(stage, request.prepare(), origin=INTERNET).status_code == 501
    assert (stage.notes[-1]["service"], stage.notes[-1]["operation"]) == (service, None)
