"""Access points: made, found, authorised by both policies, bound to a VPC; and S3 Control's own authorisation.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore import UNSIGNED

from pytest_s3vpce.lab.origin import Placement
from tests.unit.labstage import REGION, Person, Stage, allow, deny, make_role, policy, refusal

MAIN, PARTNER = "310000000061", "310000000062"
BUCKET, OTHER = "lab-points", "lab-points-west"
ADMIN = f"arn:aws:sts::{MAIN}:assumed-role/s3vpce-runner/test"
OBJECTS = f"arn:aws:s3:::{BUCKET}/*"
WHOLE = [f"arn:aws:s3:::{BUCKET}", OBJECTS]
DELEGATING = allow("s3:*", WHOLE, Principal="*", Condition={"StringEquals": {"s3:DataAccessPointAccount": MAIN}})


def arn_of(name: str, region: str = REGION) -> str:
    return f"arn:aws:s3:{region}:{MAIN}:accesspoint/{name}"


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, PARTNER)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    west = made.admin(MAIN).client("s3", region="us-west-2")
    west.create_bucket(Bucket=OTHER, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    west.put_object(Bucket=OTHER, Key="k", Body=b"west")
    return made


@pytest.fixture(scope="module")
def control(stage: Stage) -> Any:
    return stage.admin(MAIN).client("s3control")


@pytest.fixture
def s3(stage: Stage) -> Any:
    client = stage.admin(MAIN).client("s3")
    yield client
    client.delete_bucket_policy(Bucket=BUCKET)


def made(control: Any, name: str, *, bucket: str = BUCKET, **more: Any) -> Any:
    return control.create_access_point(AccountId=MAIN, Name=name, Bucket=bucket, **more)


def put_policy(control: Any, name: str, *statements: dict[str, Any]) -> None:
    control.put_access_point_policy(AccountId=MAIN, Name=name, Policy=policy(*statements))


def new_role(stage: Stage, name: str, *statements: dict[str, Any]) -> Person:
    return stage.user(MAIN).assume(make_role(stage.admin(MAIN), name, *statements, trust={"AWS": MAIN}))


def denial(person: Person, name: str, key: str = "k") -> str:
    status, code, message = refusal(person.client("s3").get_object, Bucket=arn_of(name), Key=key)
    assert (status, code) == (403, "AccessDenied")
    return message


# --- S3 Control ------------------------------------------------------------------------------------------------------


def test_an_access_point_is_made_shown_listed_and_removed(stage: Stage, control: Any) -> None:
    made(control, "life")
    west = stage.admin(MAIN).client("s3control", region="us-west-2")
    assert made(west, "life-west", bucket=OTHER)["AccessPointArn"] == arn_of("life-west", "us-west-2")
    found = control.get_access_point(AccountId=MAIN, Name="life")
    assert (found["Bucket"], found["NetworkOrigin"], found["AccessPointArn"]) == (BUCKET, "Internet", arn_of("life"))
    assert set(found["PublicAccessBlockConfiguration"].values()) == {True}
    assert refusal(made, control=control, name="life")[:2] == (409, "AccessPointAlreadyOwnedByYou")
    assert refusal(made, control=control, name="none", bucket="lab-no-bucket")[:2] == (404, "NoSuchBucket")
    names = [row["Name"] for row in control.list_access_points(AccountId=MAIN, Bucket=BUCKET)["AccessPointList"]]
    assert "life" in names
    control.delete_access_point(AccountId=MAIN, Name="life")
    assert refusal(control.get_access_point, AccountId=MAIN, Name="life")[:2] == (404, "NoSuchAccessPoint")


def test_each_call_of_s3_control_is_authorised(stage: Stage) -> None:
    person = new_role(stage, "reads-points", allow(["s3:ListAccessPoints", "s3:GetAccountPublicAccessBlock"]))
    control = person.client("s3control")
    assert control.list_access_points(AccountId=MAIN)
    assert refusal(control.create_access_point, AccountId=MAIN, Name="not", Bucket=BUCKET) == (
        403,
        "AccessDenied",
        (
            f"User: arn:aws:sts::{MAIN}:assumed-role/reads-points/test is not authorized to perform: "
            f's3:CreateAccessPoint on resource: "{arn_of("not")}" because no identity-based policy allows the '
            "s3:CreateAccessPoint action"
        ),
    )
    block = {"BlockPublicAcls": False}
    for call, parameters in (
        (control.put_public_access_block, {"PublicAccessBlockConfiguration": block}),
        (control.delete_public_access_block, {}),
    ):
        assert "s3:PutAccountPublicAccessBlock" in refusal(call, AccountId=MAIN, **parameters)[2]
    assert refusal(control.get_public_access_block, AccountId=MAIN)[0] == 404
    assert refusal(control.list_access_points, AccountId=PARTNER)[:2] == (403, "AccessDenied")
    assert refusal(control.list_jobs, AccountId=MAIN)[:2] == (501, "NotImplemented")


def test_where_an_access_point_is_bound_to_is_seen_when_it_is_made(stage: Stage) -> None:
    internet = {"StringNotEquals": {"s3:AccessPointNetworkOrigin": "VPC"}}
    person = new_role(stage, "binds", allow("s3:*"), deny("s3:CreateAccessPoint", Condition=internet))
    control = person.client("s3control")
    assert refusal(made, control=control, name="unbound")[0] == 403
    assert made(control, "bound", VpcConfiguration={"VpcId": "vpc-0123456789abcdef0"})
    assert control.get_access_point(AccountId=MAIN, Name="bound")["NetworkOrigin"] == "VPC"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "Policies must be valid JSON and the first byte must be '{'"),
        (policy(allow("s3:GetObject", OBJECTS)), "Missing required field Principal"),
        (policy({"Effect": "Allow", "Principal": "*", "Action": "s3:*"}), "Missing required field Resource"),
        (policy(allow("s3:GetObject", OBJECTS, Principal={"AWS": MAIN})), "Policy has invalid resource"),
        (policy(allow("s3:GetObject", f"{arn_of('other')}/object/*", Principal="*")), "Policy has invalid resource"),
        ('{"Statement": {"Effect": "Maybe"}}', "Policy document is malformed"),
    ],
)
def test_a_policy_that_an_access_point_does_not_take(control: Any, text: str, message: str) -> None:
    if refusal_or_none(control, "strict"):
        made(control, "strict")
    found = refusal(control.put_access_point_policy, AccountId=MAIN, Name="strict", Policy=text)
    assert found[:2] == (400, "MalformedPolicy")
    assert found[2].startswith(message)


def refusal_or_none(control: Any, name: str) -> bool:
    points = control.list_access_points(AccountId=MAIN)["AccessPointList"]
    return name not in [row["Name"] for row in points]


def test_a_public_policy_of_an_access_point_is_blocked(control: Any) -> None:
    made(control, "closed")
    made(control, "open", PublicAccessBlockConfiguration={"BlockPublicPolicy": False, "RestrictPublicBuckets": False})
    made(control, "inner", VpcConfiguration={"VpcId": "vpc-0123456789abcdef0"})
    for name, public in (("closed", None), ("open", None), ("inner", False)):
        grant = allow("s3:GetObject", f"{arn_of(name)}/object/*", Principal="*")
        if public is None:
            # The bucket's own setting, and the account's, count as well.
            found = refusal(control.put_access_point_policy, AccountId=MAIN, Name=name, Policy=policy(grant))
            assert found[2].endswith(
                "because public policies are blocked by the BlockPublicPolicy block public access setting."
            )
            continue
        put_policy(control, name, grant)
        status = control.get_access_point_policy_status(AccountId=MAIN, Name=name)
        assert status["PolicyStatus"]["IsPublic"] is public
    named = allow("s3:GetObject", f"{arn_of('closed')}/object/*", Principal={"AWS": MAIN})
    put_policy(control, "closed", named)
    assert not control.get_access_point_policy_status(AccountId=MAIN, Name="closed")["PolicyStatus"]["IsPublic"]
    control.delete_access_point_policy(AccountId=MAIN, Name="closed")
    assert refusal(control.get_access_point_policy, AccountId=MAIN, Name="closed")[1] == "NoSuchAccessPointPolicy"


# --- requests by an access point -------------------------------------------------------------------------------------


def test_an_access_point_is_reached_by_arn_alias_and_host(stage: Stage, s3: Any, control: Any) -> None:
    alias = made(control, "reach")["Alias"]
    for name in (arn_of("reach"), alias):
        s3.put_object(Bucket=name, Key="by/point", Body=b"y")
        assert s3.get_object(Bucket=name, Key="by/point")["Body"].read() == b"y"
        assert s3.list_objects_v2(Bucket=name, Prefix="by/")["KeyCount"] == 1
        assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "by/point"}]})["Deleted"]
        assert refusal(s3.get_object, Bucket=name, Key="by/point")[1] == "NoSuchKey"
    styled = stage.admin(MAIN).client("s3", s3={"addressing_style": "path"})
    assert styled.get_object(Bucket=alias, Key="k")["Body"].read() == b"x"
    assert styled.list_objects_v2(Bucket=alias)["KeyCount"] == 1
    assert s3.get_bucket_location(Bucket=alias)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_an_access_point_of_another_region_or_of_none(stage: Stage, s3: Any) -> None:
    regional = stage.admin(MAIN).client("s3control", region="us-west-2")
    made(regional, "west", bucket=OTHER)
    west = stage.admin(MAIN).client("s3", region="us-west-2")
    assert west.get_object(Bucket=arn_of("west", "us-west-2"), Key="k")["Body"].read() == b"west"
    for arn in (arn_of("west"), arn_of("nowhere")):
        assert refusal(s3.get_object, Bucket=arn, Key="k") == (
            404,
            "NoSuchAccessPoint",
            "The specified accesspoint does not exist",
        )


def test_what_an_access_point_does_not_serve(stage: Stage, control: Any) -> None:
    alias = made(control, "limits")["Alias"]
    admin = stage.admin(MAIN)
    assert refusal(admin.client("s3").put_bucket_policy, Bucket=alias, Policy="{}")[:2] == (405, "MethodNotAllowed")
    nobody = admin.client("s3", signature_version=UNSIGNED)
    assert refusal(nobody.get_object, Bucket=alias, Key="k")[:2] == (403, "AccessDenied")
    old = admin.client("s3", signature_version="s3")
    assert refusal(old.get_object, Bucket=alias, Key="k")[:2] == (400, "InvalidRequest")


def test_a_policy_of_an_access_point_and_the_buckets_must_both_grant(stage: Stage, s3: Any, control: Any) -> None:
    made(control, "both")
    reader, other = new_role(stage, "both-reader"), new_role(stage, "both-other")
    grant = allow(
        "s3:GetObject", f"{arn_of('both')}/object/*", Principal={"AWS": f"arn:aws:iam::{MAIN}:role/both-reader"}
    )
    put_policy(control, "both", grant)
    # Without delegation the bucket does not let it in.
    assert denial(reader, "both").endswith(
        f'on resource: "{arn_of("both")}/object/k" because no identity-based policy allows the s3:GetObject action'
    )
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(DELEGATING))
    assert reader.client("s3").get_object(Bucket=arn_of("both"), Key="k")
    assert "no identity-based policy" in denial(other, "both")
    assert refusal(reader.client("s3").get_object, Bucket=BUCKET, Key="k")[0] == 403
    control.delete_access_point_policy(AccountId=MAIN, Name="both")
    assert "no identity-based policy" in denial(reader, "both")


def test_an_identity_policy_names_the_access_point(stage: Stage, control: Any) -> None:
    made(control, "named")
    by_point = new_role(stage, "by-point", allow("s3:GetObject", f"{arn_of('named')}/object/*"))
    by_bucket = new_role(stage, "by-bucket", allow("s3:GetObject", OBJECTS))
    assert by_point.client("s3").get_object(Bucket=arn_of("named"), Key="k")
    assert "no identity-based policy" in denial(by_bucket, "named")
    assert refusal(by_point.client("s3").get_object, Bucket=BUCKET, Key="k")[0] == 403
    assert by_bucket.client("s3").get_object(Bucket=BUCKET, Key="k")


def test_a_deny_of_either_policy_ends_it(stage: Stage, s3: Any, control: Any) -> None:
    made(control, "denying")
    admin = stage.admin(MAIN)
    put_policy(control, "denying", deny("s3:GetObject", f"{arn_of('denying')}/object/k", Principal="*"))
    assert denial(admin, "denying").endswith("with an explicit deny in a resource-based policy")
    assert s3.get_object(Bucket=BUCKET, Key="k")
    control.delete_access_point_policy(AccountId=MAIN, Name="denying")
    only_points = {"StringNotEquals": {"s3:DataAccessPointArn": arn_of("denying")}}
    s3.put_bucket_policy(
        Bucket=BUCKET, Policy=policy(deny("s3:GetObject", OBJECTS, Principal="*", Condition=only_points))
    )
    assert admin.client("s3").get_object(Bucket=arn_of("denying"), Key="k")
    assert refusal(s3.get_object, Bucket=BUCKET, Key="k")[2].endswith(
        "with an explicit deny in a resource-based policy"
    )


def test_another_account_needs_all_three(stage: Stage, s3: Any, control: Any) -> None:
    made(control, "shared")
    partner = stage.admin(PARTNER)
    assert denial(partner, "shared") == "Access Denied"
    put_policy(control, "shared", allow("s3:GetObject", f"{arn_of('shared')}/object/*", Principal={"AWS": PARTNER}))
    assert denial(partner, "shared") == "Access Denied"
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(DELEGATING))
    assert partner.client("s3").get_object(Bucket=arn_of("shared"), Key="k")
    assert refusal(partner.client("s3").get_object, Bucket=BUCKET, Key="k")[0] == 403


def test_a_boundary_and_a_session_policy_limit_by_the_access_points_arn(stage: Stage, control: Any) -> None:
    made(control, "limited")
    role = make_role(stage.admin(MAIN), "limited", allow("s3:*"), trust={"AWS": MAIN})
    right = stage.user(MAIN).assume(role, Policy=policy(allow("s3:*", f"{arn_of('limited')}/object/*")))
    wrong = stage.user(MAIN).assume(role, Policy=policy(allow("s3:*", OBJECTS)))
    assert right.client("s3").get_object(Bucket=arn_of("limited"), Key="k")
    assert denial(wrong, "limited").endswith("because no session policy allows the s3:GetObject action")


def test_a_copys_source_is_read_by_its_access_point(stage: Stage, s3: Any, control: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
    alias = made(control, "source")["Alias"]
    by_arn = {"Bucket": arn_of("source"), "Key": "k"}
    for source in (by_arn, {"Bucket": alias, "Key": "k"}):
        assert s3.copy_object(Bucket=BUCKET, Key="copied", CopySource=source)
    assert s3.get_object(Bucket=BUCKET, Key="copied")["Body"].read() == b"x"
    put_policy(control, "source", deny("s3:GetObject", f"{arn_of('source')}/object/k", Principal="*"))
    found = refusal(s3.copy_object, Bucket=BUCKET, Key="copied", CopySource=by_arn)
    assert found[0] == 403
    assert f'on resource: "{arn_of("source")}/object/k"' in found[2]
    missing = {"Bucket": arn_of("no-source"), "Key": "k"}
    assert refusal(s3.copy_object, Bucket=BUCKET, Key="copied", CopySource=missing)[1] == "NoSuchAccessPoint"


def test_a_labs_own_address_leads_there_too(stage: Stage, control: Any) -> None:
    made(control, "local")
    s3 = stage.admin(MAIN).client("s3", url="http://127.0.0.1:1")
    assert s3.get_object(Bucket=arn_of("local"), Key="k")["Body"].read() == b"x"


# --- the network -----------------------------------------------------------------------------------------------------


def test_an_access_point_of_a_vpc_takes_what_comes_by_its_endpoints(stage: Stage, control: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-vpc.html"""
    ec2 = stage.admin(MAIN).client("ec2")
    inside, vpc, endpoint = network(ec2, "10.61.0.0/16")
    elsewhere, _, _ = network(ec2, "10.62.0.0/16")
    made(control, "vpc-only", VpcConfiguration={"VpcId": vpc})
    arn = arn_of("vpc-only")
    admin = stage.admin(MAIN)
    assert admin.client("s3", origin=inside).get_object(Bucket=arn, Key="k")
    for outside in (admin.client("s3"), admin.client("s3", origin=elsewhere)):
        assert refusal(outside.get_object, Bucket=arn, Key="k") == (403, "AccessDenied", "Access Denied")
    # The endpoint's policy must name the access point and the bucket.
    for resources, allowed in (([arn, f"{arn}/*"], False), (WHOLE, False), ([*WHOLE, f"{arn}/object/*"], True)):
        text = policy(allow("s3:*", resources, Principal="*"))
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=text)
        by_endpoint = admin.client("s3", origin=inside).get_object
        if allowed:
            assert by_endpoint(Bucket=arn, Key="k")
        else:
            assert refusal(by_endpoint, Bucket=arn, Key="k")[2].endswith(
                "because no VPC endpoint policy allows the s3:GetObject action"
            )


def network(ec2: Any, cidr: str) -> tuple[Placement, str, str]:
    """A subnet with a gateway endpoint: its origin, its VPC, the endpoint."""
    vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr.replace("/16", "/24"))["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    made = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[table])
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"][0]["GroupId"]
    place = Placement(
        account=MAIN,
        region=REGION,
        subnet_id=subnet,
        security_group_ids=(group,),
        private_ip=cidr.replace(".0.0/16", ".0.10"),
    )
    return place, vpc, made["VpcEndpoint"]["VpcEndpointId"]


def test_a_copys_source_is_blocked_by_its_own_access_point_alone(stage: Stage, control: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-bpa-settings.html"""
    made(control, "copies-to")
    assert control.get_access_point(AccountId=MAIN, Name="copies-to")["PublicAccessBlockConfiguration"][
        "BlockPublicAcls"
    ]
    theirs = stage.admin(PARTNER).client("s3")
    theirs.create_bucket(Bucket="lab-points-public")
    theirs.delete_public_access_block(Bucket="lab-points-public")
    theirs.put_object(Bucket="lab-points-public", Key="k", Body=b"theirs")
    everybody = allow("s3:GetObject", "arn:aws:s3:::lab-points-public/*", Principal="*")
    theirs.put_bucket_policy(Bucket="lab-points-public", Policy=policy(everybody))
    s3 = stage.admin(MAIN).client("s3")
    assert s3.copy_object(Bucket=arn_of("copies-to"), Key="copied", CopySource="lab-points-public/k")
    theirs.put_public_access_block(
        Bucket="lab-points-public", PublicAccessBlockConfiguration={"RestrictPublicBuckets": True}
    )
    found = refusal(s3.copy_object, Bucket=arn_of("copies-to"), Key="copied", CopySource="lab-points-public/k")
    assert found[:2] == (403, "AccessDenied")
