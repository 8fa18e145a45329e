"""The first test's perimeter with a bucket that its endpoint's policy keeps out, a trail, an access log, a flow log."""

import json
import runpy
from pathlib import Path

PERIMETER = runpy.run_path(str(Path(__file__).parent.parent / "first_test" / "provision.py"))
SELECTORS = [
    {
        "Name": "objects",
        "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
        ],
    },
    {
        "Name": "what endpoint policies refuse",
        "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["NetworkActivity"]},
            {"Field": "eventSource", "Equals": ["s3.amazonaws.com"]},
            {"Field": "errorCode", "Equals": ["VpceAccessDenied"]},
        ],
    },
]


def provision(accounts):
    outputs = PERIMETER["provision"](accounts)
    session = accounts["main"]
    s3, ec2 = session.client("s3"), session.client("ec2")
    account, region = session.client("sts").get_caller_identity()["Account"], session.region_name
    names = {name: f"{name}-{account}" for name in ("elsewhere", "trail", "access-logs")}
    for name in names.values():
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    s3.put_object(Bucket=names["elsewhere"], Key=PERIMETER["CANARY"], Body=b"a canary of pytest-s3vpce\n")

    through = (outputs["ReportsBucket"], outputs["ControlBucket"])
    let_through = [f"arn:aws:s3:::{name}{end}" for name in through for end in ("", "/*")]
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": let_through}
    ec2.modify_vpc_endpoint(VpcEndpointId=outputs["Endpoint"], PolicyDocument=policy(allowed))

    write_trail(session, names["trail"], account)
    write_access_log(s3, outputs["ReportsBucket"], names["access-logs"], account)
    (subnet,) = ec2.describe_subnets(SubnetIds=[outputs["AppSubnet"]])["Subnets"]
    write_flow_log(session, subnet["VpcId"])
    return {
        **outputs,
        "ElsewhereBucket": names["elsewhere"],
        "TrailBucket": names["trail"],
        "AccessLogBucket": names["access-logs"],
        "TrailGroup": "perimeter-trail",
        "FlowGroup": "perimeter-flows",
        "ClosedGroup": closed_group(ec2, subnet["VpcId"]),
    }


def write_trail(session, bucket, account):
    """Data events and what endpoint policies refuse, to a bucket and a log group."""
    logs, iam, trail = (session.client(service) for service in ("logs", "iam", "cloudtrail"))
    service = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    session.client("s3").put_bucket_policy(
        Bucket=bucket,
        Policy=policy(
            {**service, "Action": "s3:GetBucketAcl", "Resource": f"arn:aws:s3:::{bucket}"},
            {**service, "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/AWSLogs/{account}/*"},
        ),
    )
    logs.create_log_group(logGroupName="perimeter-trail")
    group = f"arn:aws:logs:{session.region_name}:{account}:log-group:perimeter-trail:*"
    role = iam.create_role(RoleName="trail", AssumeRolePolicyDocument=policy({**service, "Action": "sts:AssumeRole"}))
    rights = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": group}
    iam.put_role_policy(RoleName="trail", PolicyName="logs", PolicyDocument=policy(rights))
    trail.create_trail(
        Name="perimeter",
        S3BucketName=bucket,
        CloudWatchLogsLogGroupArn=group,
        CloudWatchLogsRoleArn=role["Role"]["Arn"],
    )
    trail.put_event_selectors(TrailName="perimeter", AdvancedEventSelectors=SELECTORS)
    trail.start_logging(Name="perimeter")


def write_flow_log(session, vpc):
    """All connections of the VPC, each way by itself, to a log group."""
    logs, iam, ec2 = (session.client(service) for service in ("logs", "iam", "ec2"))
    logs.create_log_group(logGroupName="perimeter-flows")
    service = {"Effect": "Allow", "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="flows", AssumeRolePolicyDocument=policy(service))
    rights = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogGroups", "logs:DescribeLogStreams"]
    iam.put_role_policy(
        RoleName="flows",
        PolicyName="logs",
        PolicyDocument=policy({"Effect": "Allow", "Action": rights, "Resource": "*"}),
    )
    ec2.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        MaxAggregationInterval=60,
        LogGroupName="perimeter-flows",
        DeliverLogsPermissionArn=role["Role"]["Arn"],
    )


def closed_group(ec2, vpc):
    """A security group that lets nothing out."""
    group = ec2.create_security_group(GroupName="closed", Description="nothing gets out", VpcId=vpc)["GroupId"]
    everywhere = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[everywhere])
    return group


def write_access_log(s3, bucket, target, account):
    delivery = {"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject"}
    where = {"Resource": f"arn:aws:s3:::{target}/*", "Condition": {"StringEquals": {"aws:SourceAccount": account}}}
    s3.put_bucket_policy(Bucket=target, Policy=policy({**delivery, **where}))
    enabled = {"TargetBucket": target, "TargetPrefix": "reports/"}
    closed = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)  # which refuses everything from here, this too
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
    s3.put_bucket_policy(Bucket=bucket, Policy=closed)


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
