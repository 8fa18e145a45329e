"""Changes of stacks in place: what is set, changed, taken away, and set back where a change fails, of each type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.labstage import Person, Stage, allow, policy, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIN = "360000000040"
ARN = "arn:aws:iam::aws:policy/"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def document(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [allow(action)]}


def inline(name: str, action: str) -> dict[str, Any]:
    return {"PolicyName": name, "PolicyDocument": document(action)}


def open_to(action: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(policy(allow(action, Principal="*")))
    return found


def tags(**named: str) -> dict[str, Any]:
    return {"Tags": [{"Key": key, "Value": value} for key, value in named.items()]}


def att(logical: str, name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical, name]}


def ref(logical: str) -> dict[str, Any]:
    return {"Ref": logical}


RESOURCES: Mapping[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "Vpc": (
        "EC2::VPC",
        {"CidrBlock": "10.50.0.0/16"},
        {"EnableDnsHostnames": True, **tags(a="1", b="1")},
        {"EnableDnsSupport": True, **tags(a="2")},
    ),
    "Subnet": (
        "EC2::Subnet",
        {"VpcId": ref("Vpc"), "CidrBlock": "10.50.1.0/24"},
        {"MapPublicIpOnLaunch": True},
        {},
    ),
    "Gateway": ("EC2::InternetGateway", {}, tags(a="1"), {}),
    "Attached": ("EC2::VPCGatewayAttachment", {"VpcId": ref("Vpc"), "InternetGatewayId": ref("Gateway")}, {}, {}),
    "Address": ("EC2::EIP", {"Domain": "vpc"}, tags(a="1"), tags(a="2")),
    "Nat": ("EC2::NatGateway", {"SubnetId": ref("Subnet"), "AllocationId": att("Address", "AllocationId")}, {}, {}),
    "First": ("EC2::RouteTable", {"VpcId": ref("Vpc")}, {}, {}),
    "Second": ("EC2::RouteTable", {"VpcId": ref("Vpc")}, {}, {}),
    "Out": (
        "EC2::Route",
        {"RouteTableId": ref("First"), "DestinationCidrBlock": "0.0.0.0/0"},
        {"GatewayId": ref("Gateway")},
        {"NatGatewayId": ref("Nat")},
    ),
    "Routed": (
        "EC2::SubnetRouteTableAssociation",
        {"SubnetId": ref("Subnet")},
        {"RouteTableId": ref("First")},
        {"RouteTableId": ref("Second")},
    ),
    "Group": (
        "EC2::SecurityGroup",
        {"GroupDescription": "g", "VpcId": ref("Vpc")},
        {"SecurityGroupEgress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}]},
        {"SecurityGroupIngress": [{"IpProtocol": "-1", "CidrIp": "10.0.0.0/8", "Description": "all"}]},
    ),
    "Endpoint": (
        "EC2::VPCEndpoint",
        {"VpcId": ref("Vpc"), "ServiceName": "com.amazonaws.us-east-1.s3"},
        {"RouteTableIds": [ref("First")], "PolicyDocument": open_to("s3:GetObject"), **tags(a="1")},
        {"RouteTableIds": [ref("Second")]},
    ),
    "Bucket": (
        "S3::Bucket",
        {"BucketName": "updated-40"},
        {
            "VersioningConfiguration": {"Status": "Enabled"},
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": True},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},
            "CorsConfiguration": {"CorsRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
            "LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "ExpirationInDays": 3, "Prefix": "p/"}]},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
            },
            "AccelerateConfiguration": {"AccelerationStatus": "Enabled"},
            "InventoryConfigurations": [
                {
                    "Id": "all",
                    "Enabled": True,
                    "IncludedObjectVersions": "All",
                    "ScheduleFrequency": "Weekly",
                    "Prefix": "p/",
                    "OptionalFields": ["Size"],
                    "Destination": {"BucketArn": "arn:aws:s3:::replica-40", "Format": "CSV"},
                },
                {
                    "Id": "some",
                    "Enabled": False,
                    "IncludedObjectVersions": "Current",
                    "ScheduleFrequency": "Daily",
                    "Destination": {"BucketArn": "arn:aws:s3:::replica-40", "Format": "ORC"},
                },
            ],
            "MetricsConfigurations": [{"Id": "all"}, {"Id": "tagged", "TagFilters": [{"Key": "a", "Value": "b"}]}],
            "AnalyticsConfigurations": [
                {"Id": "plain", "StorageClassAnalysis": {}},
                {
                    "Id": "sent",
                    "Prefix": "p/",
                    "StorageClassAnalysis": {
                        "DataExport": {
                            "OutputSchemaVersion": "V_1",
                            "Destination": {"BucketArn": "arn:aws:s3:::replica-40", "Format": "CSV"},
                        }
                    },
                },
            ],
            "IntelligentTieringConfigurations": [
                {
                    "Id": "cold",
                    "Status": "Enabled",
                    "Prefix": "p/",
                    "TagFilters": [{"Key": "a", "Value": "b"}],
                    "Tierings": [{"AccessTier": "ARCHIVE_ACCESS", "Days": 90}],
                }
            ],
            "WebsiteConfiguration": {
                "IndexDocument": "index.html",
                "ErrorDocument": "oops.html",
                "RoutingRules": [
                    {
                        "RedirectRule": {"ReplaceKeyPrefixWith": "new/"},
                        "RoutingRuleCondition": {"KeyPrefixEquals": "old/"},
                    }
                ],
            },
            "NotificationConfiguration": {
                "LambdaConfigurations": [
                    {
                        "Event": "s3:ObjectCreated:*",
                        "Function": f"arn:aws:lambda:us-east-1:{MAIN}:function:told",
                        "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "in/"}]}},
                    }
                ],
            },
            "ReplicationConfiguration": {
                "Role": f"arn:aws:iam::{MAIN}:role/copies",
                "Rules": [
                    {
                        "Id": "all",
                        "Status": "Enabled",
                        "Priority": 1,
                        "Filter": {"And": {"Prefix": "p/", "TagFilters": [{"Key": "copy", "Value": "yes"}]}},
                        "DeleteMarkerReplication": {"Status": "Disabled"},
                        "Destination": {"Bucket": "arn:aws:s3:::replica-40"},
                    }
                ],
            },
            **tags(a="1"),
        },
        {
            "WebsiteConfiguration": {"RedirectAllRequestsTo": {"HostName": "example.com"}},
            "MetricsConfigurations": [{"Id": "other", "Prefix": "p/"}],
        },
    ),
    "Log": ("Logs::LogGroup", {"LogGroupName": "updated-40"}, {"RetentionInDays": 7}, {}),
    "Trail": (
        "CloudTrail::Trail",
        {"TrailName": "updated-40", "S3BucketName": "files-40", "CloudWatchLogsLogGroupArn": att("Log", "Arn")},
        {"IsLogging": True, "IsMultiRegionTrail": True, "EventSelectors": [{"ReadWriteType": "WriteOnly"}]},
        {
            "IsLogging": False,
            "S3KeyPrefix": "after",
            "AdvancedEventSelectors": [
                {"Name": "data", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}
            ],
        },
    ),
    "Policy": (
        "S3::BucketPolicy",
        {"Bucket": ref("Bucket")},
        {
            "PolicyDocument": json.loads(
                policy(allow("s3:GetObject", "arn:aws:s3:::updated-40/*", Principal={"AWS": MAIN}))
            )
        },
        {
            "PolicyDocument": json.loads(
                policy(allow("s3:PutObject", "arn:aws:s3:::updated-40/*", Principal={"AWS": MAIN}))
            )
        },
    ),
    "Role": (
        "IAM::Role",
        {"RoleName": "updated-40", "AssumeRolePolicyDocument": TRUST},
        {
            "Policies": [inline("a", "s3:GetObject"), inline("b", "s3:GetObject")],
            "ManagedPolicyArns": [f"{ARN}ReadOnlyAccess"],
            "PermissionsBoundary": f"{ARN}AdministratorAccess",
            "Description": "before",
            **tags(a="1", b="1"),
        },
        {
            "Policies": [inline("a", "s3:PutObject")],
            "ManagedPolicyArns": [f"{ARN}AmazonS3ReadOnlyAccess"],
            "MaxSessionDuration": 7200,
            **tags(a="2"),
        },
    ),
    "User": (
        "IAM::User",
        {"UserName": "updated-40"},
        {"Policies": [inline("a", "s3:GetObject")]},
        {"PermissionsBoundary": f"{ARN}ReadOnlyAccess", **tags(a="1")},
    ),
    "Inline": (
        "IAM::Policy",
        {"PolicyName": "beside"},
        {"Roles": [ref("Role")], "PolicyDocument": document("s3:GetObject")},
        {"Users": [ref("User")], "PolicyDocument": document("s3:GetObject")},
    ),
    "Managed": (
        "IAM::ManagedPolicy",
        {"ManagedPolicyName": "updated-40"},
        {"Roles": [ref("Role")], "PolicyDocument": document("s3:GetObject")},
        {"Users": [ref("User")], "PolicyDocument": document("s3:PutObject")},
    ),
    "Profile": ("IAM::InstanceProfile", {"Roles": [ref("Role")]}, {}, {}),
    "Function": (
        "Lambda::Function",
        {"FunctionName": "updated-40", "Role": att("Role", "Arn"), "Runtime": "python3.13", "Handler": "index.f"},
        {"Code": {"ZipFile": "def f(event, context): return 1"}, "Timeout": 9, **tags(a="1", b="1")},
        {"Code": {"ZipFile": "def f(event, context): return 2"}, "MemorySize": 256, **tags(a="2")},
    ),
    "Key": (
        "KMS::Key",
        {},
        {"Description": "before", "EnableKeyRotation": True, **tags(a="1", b="1")},
        {"KeyPolicy": open_to("kms:*"), "Enabled": False, **tags(a="2")},
    ),
    "Other": ("KMS::Key", {}, {}, {}),
    "Alias": (
        "KMS::Alias",
        {"AliasName": "alias/updated-40"},
        {"TargetKeyId": ref("Key")},
        {"TargetKeyId": ref("Other")},
    ),
    "Parameter": (
        "SSM::Parameter",
        {"Name": "/updated/40", "Type": "String"},
        {"Value": "before", "Tags": {"a": "1", "b": "1"}},
        {"Value": "after", "Tags": {"a": "2"}},
    ),
}
"""Type, the properties that stay, those before, those after."""


def template(side: int, *, bad: bool = False) -> str:
    made: dict[str, Any] = {}
    for logical, (kind, always, *sides) in RESOURCES.items():
        made[logical] = {"Type": f"AWS::{kind}", "Properties": {**always, **sides[side]}}
    if bad:
        properties = {"Bucket": "not-there-40", "PolicyDocument": {}}
        made["Bad"] = {"Type": "AWS::S3::BucketPolicy", "Properties": properties, "DependsOn": list(RESOURCES)}
    return json.dumps({"Resources": made})


BEFORE, AFTER = 0, 1


@pytest.fixture(scope="module")
def admin() -> Person:
    stage = Stage(MAIN)
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket="files-40")
    files = ["arn:aws:s3:::files-40", "arn:aws:s3:::files-40/*"]
    written = allow(["s3:GetBucketAcl", "s3:PutObject"], files, Principal={"Service": "cloudtrail.amazonaws.com"})
    s3.put_bucket_policy(Bucket="files-40", Policy=policy(written))
    s3.create_bucket(Bucket="replica-40")
    s3.put_bucket_versioning(Bucket="replica-40", VersioningConfiguration={"Status": "Enabled"})
    return stage.admin(MAIN)


def ids(s3: Any, kind: str) -> list[str]:
    answer = getattr(s3, f"list_bucket_{kind}_configurations")(Bucket="updated-40")
    return sorted(row["Id"] for name, rows in answer.items() if name.endswith("List") for row in rows)


def replication(s3: Any) -> list[str]:
    try:
        rules = s3.get_bucket_replication(Bucket="updated-40")["ReplicationConfiguration"]["Rules"]
    except s3.exceptions.ClientError:
        return []
    return [row["ID"] for row in rules]


def seen(admin: Person, made: Mapping[str, str]) -> dict[str, Any]:
    """What the services say of what the stack made."""
    ec2, s3, iam, kms = (admin.client(name) for name in ("ec2", "s3", "iam", "kms"))
    table = next(
        row["RouteTableId"]
        for row in ec2.describe_route_tables()["RouteTables"]
        if any(each.get("SubnetId") == made["Subnet"] for each in row["Associations"])
    )
    group = ec2.describe_security_groups(GroupIds=[made["Group"]])["SecurityGroups"][0]
    endpoint = ec2.describe_vpc_endpoints(VpcEndpointIds=[made["Endpoint"]])["VpcEndpoints"][0]
    function = admin.client("lambda").get_function(FunctionName="updated-40")
    role = iam.get_role(RoleName="updated-40")["Role"]
    trail = admin.client("cloudtrail")
    (described,) = trail.describe_trails(trailNameList=["updated-40"])["trailList"]
    selectors = trail.get_event_selectors(TrailName="updated-40")
    return {
        "vpc tags": sorted(row["Value"] for row in ec2.describe_vpcs(VpcIds=[made["Vpc"]])["Vpcs"][0].get("Tags", [])),
        "public": ec2.describe_subnets(SubnetIds=[made["Subnet"]])["Subnets"][0]["MapPublicIpOnLaunch"],
        "table": {made["First"]: "first", made["Second"]: "second"}[table],
        "group": (len(group["IpPermissions"]), group["IpPermissionsEgress"][0]["IpProtocol"]),
        "endpoint": (
            [{made["First"]: 1, made["Second"]: 2}[row] for row in endpoint["RouteTableIds"]],
            "s3:GetObject" in endpoint["PolicyDocument"],
        ),
        "versioning": s3.get_bucket_versioning(Bucket="updated-40")["Status"],
        "website": sorted(s3.get_bucket_website(Bucket="updated-40").keys() - {"ResponseMetadata"}),
        "acceleration": s3.get_bucket_accelerate_configuration(Bucket="updated-40")["Status"],
        "notifications": sorted(
            s3.get_bucket_notification_configuration(Bucket="updated-40").keys() - {"ResponseMetadata"}
        ),
        "replication": replication(s3),
        "lists": {kind: ids(s3, kind) for kind in ("inventory", "metrics", "analytics", "intelligent_tiering")},
        "trail": (trail.get_trail_status(Name="updated-40")["IsLogging"], described.get("S3KeyPrefix", "")),
        "selectors": [name for name in ("EventSelectors", "AdvancedEventSelectors") if selectors.get(name)],
        "retention": admin.client("logs")
        .describe_log_groups(logGroupNamePrefix="updated-40")["logGroups"][0]
        .get("retentionInDays"),
        "policy": json.loads(s3.get_bucket_policy(Bucket="updated-40")["Policy"])["Statement"][0]["Action"],
        "inline": sorted(iam.list_role_policies(RoleName="updated-40")["PolicyNames"]),
        "attached": sorted(
            row["PolicyName"] for row in iam.list_attached_role_policies(RoleName="updated-40")["AttachedPolicies"]
        ),
        "boundary": "PermissionsBoundary" in role,
        "session": role["MaxSessionDuration"],
        "role tags": sorted(row["Value"] for row in role["Tags"]),
        "user": iam.list_user_policies(UserName="updated-40")["PolicyNames"],
        "users": [
            row["PolicyName"] for row in iam.list_attached_user_policies(UserName="updated-40")["AttachedPolicies"]
        ],
        "function": (
            function["Configuration"]["Timeout"],
            function["Configuration"]["MemorySize"],
            function["Tags"]["a"],
        ),
        "key": kms.describe_key(KeyId=made["Key"])["KeyMetadata"]["KeyState"],
        "alias": {made["Key"]: "key", made["Other"]: "other"}[
            kms.describe_key(KeyId="alias/updated-40")["KeyMetadata"]["KeyId"]
        ],
        "parameter": admin.client("ssm").get_parameter(Name="/updated/40")["Parameter"]["Value"],
    }


FIRST = {
    "vpc tags": ["1", "1"],
    "public": True,
    "table": "first",
    "group": (0, "tcp"),
    "endpoint": ([1], True),
    "versioning": "Enabled",
    "website": ["ErrorDocument", "IndexDocument", "RoutingRules"],
    "acceleration": "Enabled",
    "notifications": ["LambdaFunctionConfigurations"],
    "replication": ["all"],
    "lists": {
        "inventory": ["all", "some"],
        "metrics": ["all", "tagged"],
        "analytics": ["plain", "sent"],
        "intelligent_tiering": ["cold"],
    },
    "trail": (True, ""),
    "selectors": ["EventSelectors"],
    "retention": 7,
    "policy": "s3:GetObject",
    "inline": ["a", "b", "beside"],
    "attached": ["ReadOnlyAccess", "updated-40"],
    "boundary": True,
    "session": 3600,
    "role tags": ["1", "1"],
    "user": ["a"],
    "users": [],
    "function": (9, 128, "1"),
    "key": "Enabled",
    "alias": "key",
    "parameter": "before",
}
SECOND = {
    "vpc tags": ["2"],
    "public": False,
    "table": "second",
    "group": (1, "-1"),
    "endpoint": ([2], False),
    "versioning": "Suspended",
    "website": ["RedirectAllRequestsTo"],
    "acceleration": "Suspended",
    "notifications": [],
    "replication": [],
    "lists": {"inventory": [], "metrics": ["other"], "analytics": [], "intelligent_tiering": []},
    "trail": (False, "after"),
    "selectors": ["AdvancedEventSelectors"],
    "retention": None,
    "policy": "s3:PutObject",
    "inline": ["a"],
    "attached": ["AmazonS3ReadOnlyAccess"],
    "boundary": False,
    "session": 7200,
    "role tags": ["2"],
    "user": ["beside"],
    "users": ["updated-40"],
    "function": (3, 256, "2"),
    "key": "Disabled",
    "alias": "other",
    "parameter": "after",
}


def test_everything_is_changed_in_place_and_changed_back(admin: Person) -> None:
    api = admin.client("cloudformation")
    named: dict[str, Any] = {"StackName": "updated", "Capabilities": ["CAPABILITY_NAMED_IAM"]}

    def state() -> tuple[str, list[str]]:
        rows = api.describe_stack_events(StackName="updated")["StackEvents"]
        reasons = [row["ResourceStatusReason"] for row in rows if row["ResourceStatus"].endswith("_FAILED")]
        return api.describe_stacks(StackName="updated")["Stacks"][0]["StackStatus"], reasons

    def physical() -> dict[str, str]:
        rows = api.list_stack_resources(StackName="updated")["StackResourceSummaries"]
        return {row["LogicalResourceId"]: row["PhysicalResourceId"] for row in rows}

    api.create_stack(**named, TemplateBody=template(BEFORE))
    assert state() == ("CREATE_COMPLETE", [])
    before = physical()
    assert seen(admin, before) == FIRST
    api.update_stack(**named, TemplateBody=template(AFTER, bad=True))
    status, reasons = state()
    assert (status, len(reasons)) == ("UPDATE_ROLLBACK_COMPLETE", 1), reasons
    assert seen(admin, before) == FIRST
    api.update_stack(**named, TemplateBody=template(AFTER))
    assert state() == ("UPDATE_COMPLETE", reasons)
    assert seen(admin, before) == SECOND
    assert {name: row for name, row in physical().items() if before[name] != row}.keys() == {"Routed"}
    api.delete_stack(StackName="updated")
    assert refusal(api.describe_stacks, StackName="updated")[1] == "ValidationError"
    assert refusal(admin.client("iam").get_role, RoleName="updated-40")[1] == "NoSuchEntity"
    assert refusal(admin.client("ec2").describe_vpcs, VpcIds=[before["Vpc"]])[1] == "InvalidVpcID.NotFound"


def test_what_has_a_name_of_its_own_is_not_replaced_under_it(admin: Person) -> None:
    api = admin.client("cloudformation")

    def body(path: str) -> str:
        user = {"Type": "AWS::IAM::User", "Properties": {"UserName": "named-40", "Path": path}}
        return json.dumps({"Resources": {"User": user}})

    named: dict[str, Any] = {"StackName": "named", "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    api.create_stack(**named, TemplateBody=body("/"))
    api.update_stack(**named, TemplateBody=body("/other/"))
    stack = api.describe_stacks(StackName="named")["Stacks"][0]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    events = api.describe_stack_events(StackName="named")["StackEvents"]
    assert any("Rename named-40 and update the stack again" in row.get("ResourceStatusReason", "") for row in events)
    assert admin.client("iam").get_user(UserName="named-40")["User"]["Path"] == "/"
    api.delete_stack(StackName="named")


def test_a_stored_template_is_fetched_with_the_callers_keys(admin: Person) -> None:
    api, s3 = admin.client("cloudformation"), admin.client("s3")
    s3.create_bucket(Bucket="templates-40")
    text = json.dumps({"Resources": {"B": {"Type": "AWS::S3::Bucket"}}})
    s3.put_object(Bucket="templates-40", Key="a/b.json", Body=text)
    for url in ("https://templates-40.s3.amazonaws.com/a/b.json", "https://s3.amazonaws.com/templates-40/a/b.json"):
        api.create_stack(StackName="stored", TemplateURL=url)
        assert api.get_template(StackName="stored")["TemplateBody"] == json.loads(text)
        api.delete_stack(StackName="stored")
    lost = "https://templates-40.s3.amazonaws.com/lost"
    assert "S3 error: " in refusal(api.create_stack, StackName="stored", TemplateURL=lost)[2]
    assert "must be specified" in refusal(api.create_stack, StackName="stored")[2]


def test_protected_stacks_and_other_ends_of_failures(admin: Person) -> None:
    api = admin.client("cloudformation")
    good = json.dumps({"Resources": {"B": {"Type": "AWS::S3::Bucket"}}})
    api.create_stack(StackName="protected", TemplateBody=good, EnableTerminationProtection=True)
    assert "TerminationProtection" in refusal(api.delete_stack, StackName="protected")[2]
    api.update_termination_protection(StackName="protected", EnableTerminationProtection=False)
    api.delete_stack(StackName="protected")
    policy_of_nothing = {"Bucket": "not-there-40", "PolicyDocument": {}}
    bad = json.dumps({"Resources": {"P": {"Type": "AWS::S3::BucketPolicy", "Properties": policy_of_nothing}}})
    for on_failure, status in (("DO_NOTHING", "CREATE_FAILED"), ("DELETE", "DELETE_COMPLETE")):
        made = api.create_stack(StackName="ends", TemplateBody=bad, OnFailure=on_failure)["StackId"]
        assert api.describe_stacks(StackName=made)["Stacks"][0]["StackStatus"] == status
        api.delete_stack(StackName="ends")
