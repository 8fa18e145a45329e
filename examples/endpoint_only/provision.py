"""Two accounts and one bucket that is reached only through VPC endpoints: plain boto3, as it would run on AWS."""

import json

CANARY = ".s3vpce/canary"


def provision(accounts):
    main, partner = accounts["main"], accounts["partner"]
    main_id, partner_id = account_id(main), account_id(partner)
    reports = f"reports-{main_id}"
    control, partner_control = f"s3vpce-control-{main_id}", f"s3vpce-control-{partner_id}"

    app_role = role(main, "app", read_and_write([reports, control]))
    partner_role = role(partner, "partner", read_and_write([reports, partner_control]))

    network = main_network(main)
    endpoint = gateway_endpoint(main, network["vpc"], [network["app_routes"]], endpoint_policy(reports, control))
    other = partner_network(partner)
    partner_endpoint = gateway_endpoint(
        partner,
        other["vpc"],
        [other["routes"]],
        partner_endpoint_policy(reports, control, partner_control, app_role=app_role, partner_id=partner_id),
    )

    bucket(main, control)
    bucket(partner, partner_control)
    bucket(main, reports)
    policy = bucket_policy(
        reports,
        main_id=main_id,
        endpoint=endpoint,
        partner_endpoint=partner_endpoint,
        partner_role=partner_role,
    )
    main.client("s3").put_bucket_policy(Bucket=reports, Policy=json.dumps(policy))
    return {
        "AppRoleArn": app_role,
        "PartnerRoleArn": partner_role,
        "AppSubnet": network["app_subnet"],
        "NatSubnet": network["nat_subnet"],
        "ProbeGroup": network["group"],
        "PartnerSubnet": other["subnet"],
        "PartnerProbeGroup": other["group"],
        "ReportsBucket": reports,
        "ControlBucket": control,
        "PartnerControlBucket": partner_control,
        "Endpoint": endpoint,
        "PartnerEndpoint": partner_endpoint,
    }


# --- the protections -------------------------------------------------------------------------------------------------


def bucket_policy(reports, *, main_id, endpoint, partner_endpoint, partner_role):
    everything = [f"arn:aws:s3:::{reports}", f"arn:aws:s3:::{reports}/*"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                # The administrator stays exempt, or nobody but root could repair this policy.
                "Sid": "OwnPrincipalsOnlyThroughTheEndpoint",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": everything,
                "Condition": {
                    "StringNotEquals": {"aws:SourceVpce": endpoint},
                    "StringEquals": {"aws:PrincipalAccount": main_id},
                    "ArnNotEquals": {"aws:PrincipalArn": f"arn:aws:iam::{main_id}:role/s3vpce-runner"},
                },
            },
            {
                "Sid": "OthersOnlyThroughThePartnersEndpoint",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": everything,
                "Condition": {
                    "StringNotEquals": {"aws:SourceVpce": partner_endpoint, "aws:PrincipalAccount": main_id},
                },
            },
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": everything,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            {
                "Sid": "PartnerReads",
                "Effect": "Allow",
                "Principal": {"AWS": partner_role},
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{reports}/*",
            },
        ],
    }


def endpoint_policy(reports, control):
    """The main endpoint reads and writes our buckets, and no others."""
    objects = [f"arn:aws:s3:::{reports}/*", f"arn:aws:s3:::{control}/*"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ReadOurBuckets",
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:ListBucket", "s3:GetBucketPolicy"],
                "Resource": [*objects, f"arn:aws:s3:::{reports}", f"arn:aws:s3:::{control}"],
            },
            {
                "Sid": "WriteOurBuckets",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": objects,
            },
        ],
    }


def partner_endpoint_policy(reports, control, partner_control, *, app_role, partner_id):
    """The partner's endpoint lets `app` through as well, so that it is the bucket's deny that stops it there."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PartnersPrincipals",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{name}{end}" for name in (reports, partner_control) for end in ("", "/*")],
                "Condition": {"StringEquals": {"aws:PrincipalAccount": partner_id}},
            },
            {
                "Sid": "AppOfTheOtherAccount",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{name}{end}" for name in (reports, control) for end in ("", "/*")],
                "Condition": {"ArnEquals": {"aws:PrincipalArn": app_role}},
            },
        ],
    }


def read_and_write(buckets):
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": [f"arn:aws:s3:::{name}/*" for name in buckets],
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketPolicy"],
                "Resource": [f"arn:aws:s3:::{name}" for name in buckets],
            },
        ],
    }


# --- the network -----------------------------------------------------------------------------------------------------


def main_network(session):
    """A subnet that is routed to the endpoint and to nothing else, and one that leaves through NAT."""
    ec2 = session.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    public, app, behind_nat = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{number}.0/24")["Subnet"]["SubnetId"] for number in (0, 1, 2)
    )
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    public_routes = route_table(ec2, vpc, public)
    ec2.create_route(RouteTableId=public_routes, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat])
    nat_routes = route_table(ec2, vpc, behind_nat)
    ec2.create_route(RouteTableId=nat_routes, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    return {
        "vpc": vpc,
        "app_subnet": app,
        "app_routes": route_table(ec2, vpc, app),
        "nat_subnet": behind_nat,
        "group": probe_group(ec2, vpc),
    }


def partner_network(session):
    ec2 = session.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.30.1.0/24")["Subnet"]["SubnetId"]
    return {
        "vpc": vpc,
        "subnet": subnet,
        "routes": route_table(ec2, vpc, subnet),
        "group": probe_group(ec2, vpc),
    }


def route_table(ec2, vpc, subnet):
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    return table


def probe_group(ec2, vpc):
    """A security group for the probe functions: nothing in, everything out (the default)."""
    return ec2.create_security_group(GroupName="s3vpce-probe", Description="probe functions", VpcId=vpc)["GroupId"]


def gateway_endpoint(session, vpc, route_tables, policy):
    answer = session.client("ec2").create_vpc_endpoint(
        VpcEndpointType="Gateway",
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{session.region_name}.s3",
        RouteTableIds=route_tables,
        PolicyDocument=json.dumps(policy),
    )
    return answer["VpcEndpoint"]["VpcEndpointId"]


# --- principals and buckets ------------------------------------------------------------------------------------------


def account_id(session):
    return session.client("sts").get_caller_identity()["Account"]


def role(session, name, policy):
    """A role that the account's administrators may assume, with one inline policy."""
    iam = session.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account_id(session)}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="buckets", PolicyDocument=json.dumps(policy))
    iam.get_waiter("role_exists").wait(RoleName=name)
    return arn


def bucket(session, name):
    """A bucket with a canary: a small object that probes read, and never change."""
    s3 = session.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": session.region_name})
    s3.put_object(Bucket=name, Key=CANARY, Body=b"a canary of pytest-s3vpce: read by probes, never changed\n")
