"""One account, one bucket that is reached only through its VPC endpoint and only over TLS: plain boto3."""

import json

CANARY = ".s3vpce/canary"


def provision(accounts):
    session = accounts["main"]
    ec2, iam, s3 = (session.client(service) for service in ("ec2", "iam", "s3"))
    account = session.client("sts").get_caller_identity()["Account"]
    reports, control = f"reports-{account}", f"s3vpce-control-{account}"

    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.20.1.0/24")["Subnet"]["SubnetId"]
    routes = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=routes, SubnetId=subnet)
    group = ec2.create_security_group(GroupName="s3vpce-probe", Description="probe functions", VpcId=vpc)["GroupId"]
    endpoint = ec2.create_vpc_endpoint(
        VpcEndpointType="Gateway",
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{session.region_name}.s3",
        RouteTableIds=[routes],
    )["VpcEndpoint"]["VpcEndpointId"]

    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="app", AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    buckets = [f"arn:aws:s3:::{name}{end}" for name in (reports, control) for end in ("", "/*")]
    rights = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"], "Resource": buckets}
    iam.put_role_policy(RoleName="app", PolicyName="buckets", PolicyDocument=policy(rights))

    for name in (reports, control):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": session.region_name})
        s3.put_object(Bucket=name, Key=CANARY, Body=b"a canary of pytest-s3vpce: read by probes, never changed\n")
    everything = {
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{reports}", f"arn:aws:s3:::{reports}/*"],
    }
    administrator = f"arn:aws:iam::{account}:role/s3vpce-runner"  # stays exempt, or nobody but root could repair this
    through = {"StringNotEquals": {"aws:SourceVpce": endpoint}, "ArnNotEquals": {"aws:PrincipalArn": administrator}}
    s3.put_bucket_policy(
        Bucket=reports,
        Policy=policy(
            {"Sid": "OnlyThroughTheEndpoint", "Effect": "Deny", **everything, "Condition": through},
            {"Sid": "TlsOnly", "Effect": "Deny", **everything, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        ),
    )
    return {
        "AppRoleArn": role,
        "AppSubnet": subnet,
        "ProbeGroup": group,
        "ReportsBucket": reports,
        "ControlBucket": control,
        "Endpoint": endpoint,
    }


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
