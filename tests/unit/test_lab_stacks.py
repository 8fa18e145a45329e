"""CloudFormation in the lab: what a perimeter needs is made and removed again; the rest is refused by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.lab.cloudformation.catalogue import TYPES
from tests.unit.labstage import Person, Stage, allow, make_role, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAIN = "360000000036"
CAPABILITIES = ["CAPABILITY_NAMED_IAM"]

PERIMETER = """
AWSTemplateFormatVersion: 2010-09-09
Description: The whole table
Parameters:
  Block: {Type: String, Default: 10.36.0.0/16}
  Zones: {Type: CommaDelimitedList, Default: "a,b"}
  Locked: {Type: String, Default: "yes", AllowedValues: ["yes", "no"]}
Mappings:
  Classes:
    us-east-1: {Days: 30}
    eu-west-1: {Days: 60}
Conditions:
  IsLocked: !Equals [!Ref Locked, "yes"]
  IsOpen: !Not [!Condition IsLocked]
  Never: !And [!Condition IsLocked, !Condition IsOpen]
  Always: !Or [!Condition IsLocked, !Condition IsOpen]
Resources:
  Policy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Reports
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Deny
            Principal: "*"
            Action: s3:GetObject
            Resource: !Sub "${Reports.Arn}/*"
            Condition: {StringNotEquals: {"aws:SourceVpce": !Ref Endpoint}}
  Vpc:
    Type: AWS::EC2::VPC
    Properties:
      CidrBlock: !Ref Block
      EnableDnsHostnames: true
      Tags: [{Key: Name, Value: !Join ["-", [!Ref "AWS::StackName", vpc]]}]
  App:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Vpc
      CidrBlock: !Select [1, !Cidr [!GetAtt Vpc.CidrBlock, 4, 8]]
      AvailabilityZone: !Select [0, !GetAZs ""]
  Public:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Vpc
      CidrBlock: 10.36.9.0/24
      AvailabilityZone: !Sub ["${AWS::Region}${Zone}", {Zone: !Select [1, !Ref Zones]}]
      MapPublicIpOnLaunch: "true"
  Gateway: {Type: AWS::EC2::InternetGateway}
  Attached:
    Type: AWS::EC2::VPCGatewayAttachment
    Properties: {VpcId: !Ref Vpc, InternetGatewayId: !Ref Gateway}
  Address: {Type: AWS::EC2::EIP, DependsOn: Attached, Properties: {Domain: vpc}}
  Nat:
    Type: AWS::EC2::NatGateway
    Properties: {SubnetId: !Ref Public, AllocationId: !GetAtt Address.AllocationId}
  Routes: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}
  Out:
    Type: AWS::EC2::Route
    Properties: {RouteTableId: !Ref Routes, DestinationCidrBlock: 0.0.0.0/0, NatGatewayId: !Ref Nat}
  Routed:
    Type: AWS::EC2::SubnetRouteTableAssociation
    Properties: {RouteTableId: !Ref Routes, SubnetId: !Ref App}
  Endpoint:
    Type: AWS::EC2::VPCEndpoint
    Properties:
      VpcId: !Ref Vpc
      ServiceName: !Sub com.amazonaws.${AWS::Region}.s3
      RouteTableIds: [!Ref Routes]
      PolicyDocument: {Version: 2012-10-17, Statement: [{Effect: Allow, Principal: "*", Action: "s3:*", Resource: "*"}]}
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: probes
      VpcId: !Ref Vpc
      SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 10.0.0.0/8}]
      SecurityGroupEgress: [{IpProtocol: tcp, FromPort: 443, ToPort: "443", CidrIp: 0.0.0.0/0}]
  In:
    Type: AWS::EC2::SecurityGroupIngress
    Properties: {GroupId: !GetAtt Group.GroupId, IpProtocol: "-1", SourceSecurityGroupId: !Ref Group}
  Http:
    Type: AWS::EC2::SecurityGroupEgress
    Properties: {GroupId: !GetAtt Group.GroupId, IpProtocol: tcp, FromPort: 80, ToPort: 80, CidrIp: 0.0.0.0/0}
  Private:
    Type: AWS::EC2::VPCEndpoint
    Properties:
      VpcId: !Ref Vpc
      ServiceName: !Sub com.amazonaws.${AWS::Region}.s3
      VpcEndpointType: Interface
      SubnetIds: [!Ref App]
      SecurityGroupIds: [!Ref Group]
      PrivateDnsEnabled: false
  Reports:
    Type: AWS::S3::Bucket
    DependsOn: Delivery
    Properties:
      BucketName: !Sub "reports-${AWS::AccountId}"
      VersioningConfiguration: {Status: Enabled}
      OwnershipControls: {Rules: [{ObjectOwnership: BucketOwnerEnforced}]}
      PublicAccessBlockConfiguration: {BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true}
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - ServerSideEncryptionByDefault: {SSEAlgorithm: "aws:kms", KMSMasterKeyID: !GetAtt Key.Arn}
            BucketKeyEnabled: true
      LifecycleConfiguration:
        Rules:
          - Id: old
            Status: Enabled
            ExpirationInDays: !FindInMap [Classes, !Ref "AWS::Region", Days]
            NoncurrentVersionExpiration: {NoncurrentDays: 7}
            TagFilters: [{Key: class, Value: short}]
            Transitions: [{StorageClass: GLACIER, TransitionInDays: 10}]
          - Status: Enabled
            AbortIncompleteMultipartUpload: {DaysAfterInitiation: 1}
      LoggingConfiguration: {DestinationBucketName: !Ref Logs, LogFilePrefix: reports/}
      CorsConfiguration: {CorsRules: [{AllowedMethods: [GET], AllowedOrigins: ["*"], MaxAge: 60}]}
      Tags: [{Key: team, Value: data}, !If [IsOpen, {Key: open, Value: "1"}, !Ref "AWS::NoValue"]]
  Logs: {Type: AWS::S3::Bucket, Properties: {AccessControl: Private}}
  Delivery:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Logs
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: {Service: logging.s3.amazonaws.com}
            Action: s3:PutObject
            Resource: !Sub "${Logs.Arn}/*"
          - Effect: Allow
            Principal: {Service: cloudtrail.amazonaws.com}
            Action: [s3:GetBucketAcl, s3:PutObject]
            Resource: [!GetAtt Logs.Arn, !Sub "${Logs.Arn}/*"]
  Held:
    Type: AWS::S3::Bucket
    Condition: Always
    Properties:
      ObjectLockEnabled: true
      ObjectLockConfiguration: {ObjectLockEnabled: Enabled, Rule: {DefaultRetention: {Mode: GOVERNANCE, Days: 1}}}
  Unmade: {Type: AWS::S3::Bucket, Condition: Never}
  Point:
    Type: AWS::S3::AccessPoint
    Properties: {Bucket: !Ref Reports, Name: reports-point, VpcConfiguration: {VpcId: !Ref Vpc}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: app-36
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
      ManagedPolicyArns: [!Ref Managed]
      Policies:
        - PolicyName: own
          PolicyDocument: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "s3:*", Resource: "*"}]}
      Tags: [{Key: team, Value: data}]
  Inline:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: more
      Roles: [!Ref Role]
      PolicyDocument: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "s3:*", Resource: "*"}]}
  Managed:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Users: [!Ref User]
      PolicyDocument: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "s3:*", Resource: "*"}]}
  Profile: {Type: AWS::IAM::InstanceProfile, Properties: {Roles: [!Ref Role]}}
  User: {Type: AWS::IAM::User}
  Function:
    Type: AWS::Lambda::Function
    Properties:
      Role: !GetAtt Role.Arn
      Runtime: python3.13
      Handler: index.handler
      Code: {ZipFile: "def handler(event, context): return 1"}
      Environment: {Variables: {BUCKET: !Ref Reports}}
      VpcConfig: {SubnetIds: [!Ref App], SecurityGroupIds: [!Ref Group]}
      Tags: [{Key: team, Value: data}]
  Invokes:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !Ref Function, Action: "lambda:InvokeFunction", Principal: s3.amazonaws.com}
  Key: {Type: AWS::KMS::Key, Properties: {Description: reports, EnableKeyRotation: true}}
  Alias: {Type: AWS::KMS::Alias, Properties: {AliasName: alias/reports-36, TargetKeyId: !Ref Key}}
  Parameter:
    Type: AWS::SSM::Parameter
    Properties: {Name: /reports/36, Type: String, Value: !Ref Reports, Tags: {team: data}}
  Records: {Type: AWS::Logs::LogGroup, Properties: {RetentionInDays: 7, Tags: [{Key: team, Value: data}]}}
  Trail:
    Type: AWS::CloudTrail::Trail
    DependsOn: Delivery
    Properties:
      S3BucketName: !Ref Logs
      IsLogging: false
      CloudWatchLogsLogGroupArn: !GetAtt Records.Arn
      CloudWatchLogsRoleArn: !GetAtt Role.Arn
      EventSelectors: [{DataResources: [{Type: "AWS::S3::Object", Values: [!Sub "${Reports.Arn}/"]}]}]
Outputs:
  Bucket: {Value: !Ref Reports, Export: {Name: reports-bucket}}
  Endpoint: {Value: !Ref Endpoint, Description: the way in}
  Subnet: {Value: !Select [0, !Split [",", !Sub "${App},${Public}"]]}
  Arn: {Value: !GetAtt Role.Arn}
  Open: {Condition: IsOpen, Value: "1"}
"""


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(MAIN)


@pytest.fixture(scope="module")
def admin(stage: Stage) -> Person:
    return stage.admin(MAIN)


@pytest.fixture
def api(admin: Person) -> Any:
    return admin.client("cloudformation")


def create(api: Any, name: str, template: str | Mapping[str, Any], **more: Any) -> dict[str, Any]:
    body = template if isinstance(template, str) else json.dumps(template)
    api.create_stack(StackName=name, TemplateBody=body, Capabilities=CAPABILITIES, **more)
    found: dict[str, Any] = api.describe_stacks(StackName=name)["Stacks"][0]
    return found


def outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    return {row["OutputKey"]: row["OutputValue"] for row in stack["Outputs"]}


def physical(api: Any, name: str) -> dict[str, str]:
    rows = api.describe_stack_resources(StackName=name)["StackResources"]
    return {row["LogicalResourceId"]: row["PhysicalResourceId"] for row in rows}


@pytest.fixture(scope="module")
def perimeter(admin: Person) -> Iterator[dict[str, Any]]:
    api = admin.client("cloudformation")
    stack = create(api, "perimeter", PERIMETER)
    events = api.describe_stack_events(StackName="perimeter")["StackEvents"]
    reasons = [row["ResourceStatusReason"] for row in events if "ResourceStatusReason" in row]
    assert stack["StackStatus"] == "CREATE_COMPLETE", reasons
    yield stack
    api.delete_stack(StackName="perimeter")  # its bucket of logs has some
    assert api.describe_stacks(StackName="perimeter")["Stacks"][0]["StackStatus"] == "DELETE_FAILED"
    s3, logs = admin.client("s3"), physical(api, "perimeter")["Logs"]
    for row in s3.list_objects_v2(Bucket=logs)["Contents"]:
        s3.delete_object(Bucket=logs, Key=row["Key"])
    api.delete_stack(StackName=stack["StackId"])
    gone = api.describe_stacks(StackName=stack["StackId"])["Stacks"][0]
    events = api.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
    failed = [row["ResourceStatusReason"] for row in events if row["ResourceStatus"] == "DELETE_FAILED"]
    assert gone["StackStatus"] == "DELETE_COMPLETE", failed


def test_a_perimeter_is_made_of_every_type(api: Any, perimeter: dict[str, Any]) -> None:
    rows = api.describe_stack_resources(StackName="perimeter")["StackResources"]
    assert {row["ResourceType"] for row in rows} == set(TYPES)
    assert {row["ResourceStatus"] for row in rows} == {"CREATE_COMPLETE"}
    assert all(row["PhysicalResourceId"] for row in rows)
    assert "Unmade" not in {row["LogicalResourceId"] for row in rows}
    api.get_waiter("stack_create_complete").wait(StackName="perimeter")
    assert perimeter["Description"] == "The whole table"


def test_what_was_made_is_as_the_template_says(admin: Person, api: Any, perimeter: dict[str, Any]) -> None:
    made, found = physical(api, "perimeter"), outputs(perimeter)
    assert found["Bucket"] == made["Reports"] == f"reports-{MAIN}"
    assert found["Endpoint"] == made["Endpoint"]
    assert found["Subnet"] == made["App"]
    assert found["Arn"] == f"arn:aws:iam::{MAIN}:role/app-36"
    assert "Open" not in found
    s3, ec2 = admin.client("s3"), admin.client("ec2")
    policy = json.loads(s3.get_bucket_policy(Bucket=made["Reports"])["Policy"])
    assert policy["Statement"][0]["Condition"] == {"StringNotEquals": {"aws:SourceVpce": made["Endpoint"]}}
    assert policy["Version"] == "2012-10-17"
    assert s3.get_bucket_versioning(Bucket=made["Reports"])["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket=made["Reports"])["TagSet"] == [{"Key": "team", "Value": "data"}]
    rule = s3.get_bucket_lifecycle_configuration(Bucket=made["Reports"])["Rules"][0]
    assert (rule["Expiration"]["Days"], rule["ID"]) == (30, "old")
    subnet = ec2.describe_subnets(SubnetIds=[made["App"]])["Subnets"][0]
    assert (subnet["CidrBlock"], subnet["AvailabilityZone"]) == ("10.36.1.0/24", "us-east-1a")
    group = ec2.describe_security_groups(GroupIds=[made["Group"]])["SecurityGroups"][0]
    assert sorted(row.get("FromPort", 0) for row in group["IpPermissionsEgress"]) == [80, 443]
    inline = admin.client("iam").list_role_policies(RoleName="app-36")["PolicyNames"]
    assert sorted(inline) == ["more", "own"]


# --- refused by name, before anything is made ------------------------------------------------------------------------

BUCKET = {"Type": "AWS::S3::Bucket"}


@pytest.mark.parametrize(
    ("resources", "named"),
    [
        ({"Topic": {"Type": "AWS::SNS::Topic"}}, "[AWS::SNS::Topic] of resource Topic"),
        (
            {"B": {**BUCKET, "Properties": {"MetadataTableConfiguration": {}}}},
            "resource B (AWS::S3::Bucket): the lab does not serve the property MetadataTableConfiguration",
        ),
        (
            {"B": {**BUCKET, "Properties": {"VersioningConfiguration": {"Status": "Enabled", "MFADelete": "x"}}}},
            "resource B (AWS::S3::Bucket), property VersioningConfiguration/MFADelete: the lab does not serve",
        ),
        ({"B": {**BUCKET, "Properties": {"ObjectLockEnabled": "maybe"}}}, "property ObjectLockEnabled: expected type"),
        ({"B": {**BUCKET, "CreationPolicy": {}}}, "[/Resources/B/CreationPolicy]"),
        ({"B": {**BUCKET, "DeletionPolicy": "Snapshot"}}, "[/Resources/B/DeletionPolicy] the lab does not serve Snap"),
        ({"B": {**BUCKET, "DependsOn": "C"}}, "Unresolved resource dependencies [C]"),
        ({"B": {**BUCKET, "Properties": {"BucketName": {"Fn::Sub": "${Lost}"}}}}, "dependencies [Lost]"),
        ({"B": {**BUCKET, "Properties": {"BucketName": {"Fn::Transform": {}}}}}, "the function Fn::Transform"),
        ({"B": {**BUCKET, "Properties": {"BucketName": "{{resolve:ssm:x}}"}}}, "dynamic references"),
        ({"S": {"Type": "AWS::EC2::Subnet", "Properties": {"CidrBlock": "x"}}}, "required key [VpcId] not found"),
        (
            {"A": BUCKET, "B": {**BUCKET, "Properties": {"BucketName": {"Fn::GetAtt": ["A", "Nothing"]}}}},
            "resource A (AWS::S3::Bucket) has no attribute Nothing",
        ),
        ({"A": {**BUCKET, "DependsOn": "B"}, "B": {**BUCKET, "DependsOn": "A"}}, "Circular dependency"),
    ],
)
def test_what_is_not_served_is_refused_by_name(api: Any, resources: dict[str, Any], named: str) -> None:
    body = json.dumps({"Resources": {"First": BUCKET, **resources}})
    status, code, message = refusal(api.create_stack, StackName="refused", TemplateBody=body)
    assert (status, code) == (400, "ValidationError")
    assert named in message
    assert refusal(api.describe_stacks, StackName="refused")[2] == "Stack with id refused does not exist"


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{", "not well-formed"),
        ("a", "unsupported structure"),
        ("Resources: {}", "At least one Resources member"),
        ("Transform: x\nResources: {B: {Type: AWS::S3::Bucket}}", "[Transform]"),
        ("Resources: {B: {Type: AWS::S3::Bucket}, B: {Type: AWS::S3::Bucket}}", "`B` is given twice"),
    ],
)
def test_what_is_no_template_is_refused(api: Any, template: str, named: str) -> None:
    assert named in refusal(api.validate_template, TemplateBody=template)[2]


def test_parameters_are_checked(api: Any) -> None:
    template = {
        "Parameters": {"P": {"Type": "String", "AllowedPattern": "[a-z]+", "MaxLength": 5}, "Q": {"Type": "Number"}},
        "Resources": {"B": BUCKET},
    }

    def refused(**given: str) -> str:
        rows = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
        body = json.dumps(template)
        return refusal(api.create_stack, StackName="given", TemplateBody=body, Parameters=rows)[2]

    assert refused(P="a") == "Parameters: [Q] must have values"
    assert refused(P="a", Q="1", R="1") == "Parameters: [R] do not exist in the template"
    assert "must match pattern" in refused(P="A", Q="1")
    assert "length from 0 to 5" in refused(P="abcdef", Q="1")
    assert "must be a number" in refused(P="a", Q="b")


def test_principals_are_acknowledged(api: Any) -> None:
    body = json.dumps({"Resources": {"U": {"Type": "AWS::IAM::User"}}})
    _, code, message = refusal(api.create_stack, StackName="people", TemplateBody=body)
    assert (code, message) == ("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_IAM]")


# --- failures, changes ------------------------------------------------------------------------------------------------


def test_a_failure_takes_everything_back(admin: Person, api: Any) -> None:
    user = {"Type": "AWS::IAM::User", "Properties": {"UserName": "first-36"}}
    bad = {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "not-there-36", "PolicyDocument": {}}}
    stack = create(api, "failing", {"Resources": {"First": user, "Bad": {**bad, "DependsOn": "First"}}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = api.describe_stack_events(StackName="failing")["StackEvents"]
    failed = next(row for row in events if row["ResourceStatus"] == "CREATE_FAILED")
    assert failed["LogicalResourceId"] == "Bad"
    assert "PutBucketPolicy" in failed["ResourceStatusReason"]
    assert refusal(admin.client("iam").get_user, UserName="first-36")[1] == "NoSuchEntity"
    body = json.dumps({"Resources": {"B": BUCKET}})
    assert refusal(api.create_stack, StackName="failing", TemplateBody=body)[1] == "AlreadyExistsException"
    assert "ROLLBACK_COMPLETE" in refusal(api.update_stack, StackName="failing", TemplateBody=body)[2]
    api.delete_stack(StackName="failing")


def bucket_and_group(policy: str, *, port: int, cidr: str = "10.40.0.0/16", bad: str = "") -> dict[str, Any]:
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "10.0.0.0/8"}
    resources: dict[str, Any] = {
        "Bucket": {**BUCKET, "Properties": {"BucketName": "changing-36", "Tags": [{"Key": "n", "Value": policy}]}},
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": cidr}},
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": "g",
                "VpcId": {"Ref": "Vpc"},
                "SecurityGroupIngress": [rule],
            },
        },
    }
    if bad:
        body = {"Bucket": bad, "PolicyDocument": {}}
        resources["Bad"] = {"Type": "AWS::S3::BucketPolicy", "Properties": body, "DependsOn": ["Bucket", "Group"]}
    return {"Resources": resources}


def test_a_stack_is_changed_in_place_or_anew_and_changed_back(admin: Person, api: Any) -> None:
    create(api, "changing", bucket_and_group("1", port=443))
    ec2, s3, before = admin.client("ec2"), admin.client("s3"), physical(api, "changing")

    def state(group: str) -> tuple[int, str]:
        rows = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
        return rows[0]["FromPort"], s3.get_bucket_tagging(Bucket="changing-36")["TagSet"][0]["Value"]

    def update(template: dict[str, Any]) -> str:
        api.update_stack(StackName="changing", TemplateBody=json.dumps(template))
        found: str = api.describe_stacks(StackName="changing")["Stacks"][0]["StackStatus"]
        return found

    assert update(bucket_and_group("2", port=80)) == "UPDATE_COMPLETE"
    assert physical(api, "changing") == before
    assert state(before["Group"]) == (80, "2")
    same = json.dumps(bucket_and_group("2", port=80))
    assert refusal(api.update_stack, StackName="changing", TemplateBody=same)[2] == "No updates are to be performed."
    assert update(bucket_and_group("3", port=22, bad="not-there-36")) == "UPDATE_ROLLBACK_COMPLETE"
    assert state(before["Group"]) == (80, "2")
    assert update(bucket_and_group("2", port=80, cidr="10.41.0.0/16")) == "UPDATE_COMPLETE"
    after = physical(api, "changing")
    assert after["Bucket"] == before["Bucket"]
    assert {after["Vpc"], after["Group"]}.isdisjoint(before.values())
    assert refusal(ec2.describe_vpcs, VpcIds=[before["Vpc"]])[1] == "InvalidVpcID.NotFound"
    left = bucket_and_group("2", port=80)["Resources"]["Bucket"]
    assert update({"Resources": {"Bucket": left}}) == "UPDATE_COMPLETE"
    assert physical(api, "changing") == {"Bucket": "changing-36"}
    assert refusal(ec2.describe_vpcs, VpcIds=[after["Vpc"]])[1] == "InvalidVpcID.NotFound"
    api.delete_stack(StackName="changing")
    assert refusal(s3.head_bucket, Bucket="changing-36")[0] == 404


def test_a_retained_resource_stays(admin: Person, api: Any) -> None:
    kept = {**BUCKET, "DeletionPolicy": "Retain", "Properties": {"BucketName": "kept-36"}}
    stack = create(api, "keeping", {"Resources": {"Kept": kept}})
    api.delete_stack(StackName="keeping")
    assert api.describe_stacks(StackName=stack["StackId"])["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE"
    admin.client("s3").head_bucket(Bucket="kept-36")


def test_resources_are_made_with_the_callers_rights(stage: Stage, admin: Person) -> None:
    trust = {"AWS": f"arn:aws:iam::{MAIN}:user/s3vpce-runner"}
    weak = stage.user(MAIN).assume(make_role(admin, "weak", allow("cloudformation:*"), trust=trust))
    found = create(weak.client("cloudformation"), "weak", {"Resources": {"B": BUCKET}})
    assert found["StackStatus"] == "ROLLBACK_COMPLETE"


def test_exports_are_imported_and_then_stay(api: Any) -> None:
    export = {"Resources": {"B": BUCKET}, "Outputs": {"Name": {"Value": "v", "Export": {"Name": "shared-36"}}}}
    create(api, "exporting", export)
    value = {"Fn::ImportValue": "shared-36"}
    properties = {"Name": "/imported/36", "Type": "String", "Value": value}
    parameter = {"Type": "AWS::SSM::Parameter", "Properties": properties}
    assert create(api, "importing", {"Resources": {"P": parameter}})["StackStatus"] == "CREATE_COMPLETE"
    assert api.list_imports(ExportName="shared-36")["Imports"] == ["importing"]
    assert "in use by importing" in refusal(api.delete_stack, StackName="exporting")[2]
    api.delete_stack(StackName="importing")
    api.delete_stack(StackName="exporting")
    assert "shared-36" not in {row["Name"] for row in api.list_exports()["Exports"]}


def test_what_the_api_lacks_is_said(api: Any) -> None:
    assert refusal(api.list_stack_sets)[:2] == (501, "NotImplemented")
    body = json.dumps({"Resources": {"B": BUCKET}})
    role = f"arn:aws:iam::{MAIN}:role/x"
    assert "RoleARN" in refusal(api.create_stack, StackName="r", TemplateBody=body, RoleARN=role)[2]


def test_templates_are_read_back_and_validated(api: Any, perimeter: dict[str, Any]) -> None:
    name = perimeter["StackName"]
    assert api.get_template(StackName=name)["TemplateBody"].startswith("\nAWSTemplateFormatVersion")
    found = api.validate_template(TemplateBody=PERIMETER)
    assert {row["ParameterKey"] for row in found["Parameters"]} == {"Block", "Zones", "Locked"}
    assert found["Capabilities"] == ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
    assert name in {row["StackName"] for row in api.list_stacks()["StackSummaries"]}
    detail = api.describe_stack_resource(StackName=name, LogicalResourceId="Vpc")["StackResourceDetail"]
    assert detail["ResourceType"] == "AWS::EC2::VPC"
    assert len(api.list_stack_resources(StackName=name)["StackResourceSummaries"]) > 30
    assert api.get_template_summary(StackName=name)["Description"] == "The whole table"
