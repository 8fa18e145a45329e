"""A bucket for each mistake: its policy is `policies/MISTAKE.json`; plain boto3, as it would run on AWS.

Buckets whose mistake is in the network have `policies/good.json`, which is right.
"""

import importlib.util
import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("first", HERE.parent / "endpoint_only" / "provision.py")
first = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(first)

NETWORK_MISTAKES = (
    "unrouted",
    "network-acl",
    "security-group",
    "endpoints-own-group",
    "private-dns",
    "dualstack",
    "forgotten",
    "open-endpoint",
)
MISTAKES = (*sorted({path.stem for path in (HERE / "policies").glob("*.json")} - {"good"}), *NETWORK_MISTAKES)
EVERYWHERE = "0.0.0.0/0"


def provision(accounts):
    main, partner = accounts["main"], accounts["partner"]
    ids = {"Account": first.account_id(main), "PartnerAccount": first.account_id(partner)}
    buckets = {mistake: f"gallery-{mistake}-{ids['Account']}" for mistake in MISTAKES}
    control, partner_control = f"gallery-control-{ids['Account']}", f"gallery-control-{ids['PartnerAccount']}"
    everything = document(statement("Buckets", "Allow", "s3:*", both("gallery-*")))
    roles = {
        "AppRole": first.role(main, "app", everything),
        "PartnerRole": first.role(partner, "partner", everything),
        "StrangerRole": first.role(partner, "stranger", everything),
    }
    network = networks(main, partner, forgotten=buckets["forgotten"])
    first.bucket(main, control)
    first.bucket(partner, partner_control)
    theirs = bucket_of_theirs(partner, ids["PartnerAccount"], reader=roles["AppRole"])
    for mistake, name in buckets.items():
        first.bucket(main, name)
        main.client("s3").put_object(Bucket=name, Key="private/publications.csv", Body=b"not for the public\n")
        policy = (HERE / "policies" / f"{'good' if mistake in NETWORK_MISTAKES else mistake}.json").read_text()
        values = {**ids, **roles, **network, "Bucket": name, "OfficeAddress": "203.0.113.7"}
        # The network that a bucket is about has an endpoint of its own.
        values["Endpoint"] = network.get(f"Endpoint-{mistake}", network["Endpoint"])
        values["Administrator"] = f"arn:aws:iam::{ids['Account']}:role/s3vpce-runner"
        for key, value in values.items():
            policy = policy.replace(f"${{{key}}}", value)
        main.client("s3").put_bucket_policy(Bucket=name, Policy=policy)
    return {
        **roles,
        **network,
        "TheirBucket": theirs,
        "ControlBucket": control,
        "PartnerControlBucket": partner_control,
        **{f"Bucket-{mistake}": name for mistake, name in buckets.items()},
    }


def bucket_of_theirs(session, account, *, reader):
    """What `app` may read in another account, and should not reach from inside: the way out of stolen data."""
    name = f"gallery-theirs-{account}"
    first.bucket(session, name)
    policy = document(statement("AppReads", "Allow", "s3:*", both(name), Principal={"AWS": reader}))
    session.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    return name


# --- networks --------------------------------------------------------------------------------------------------------


def networks(main, partner, *, forgotten):
    ours, theirs = first.main_network(main), first.partner_network(partner)
    ec2 = main.client("ec2")
    nat = ec2.describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [ours["vpc"]]}])["NatGateways"][0]
    with_acl = subnet_with_acl(ec2, ours["vpc"])
    # Mistake `forgotten`: somebody made the bucket and nobody told the endpoint.
    policy = document(
        statement("OurBuckets", "Allow", "s3:*", both("gallery-*"), Principal="*"),
        statement("NotYetOpened", "Deny", "s3:*", both(forgotten), Principal="*"),
    )
    return {
        "AppSubnet": ours["app_subnet"],
        "NatSubnet": ours["nat_subnet"],
        "NatAddress": nat["NatGatewayAddresses"][0]["PublicIp"],
        "ProbeGroup": ours["group"],
        "AclSubnet": with_acl["subnet"],
        "ClosedGroup": group_without_s3(ec2, ours["vpc"]),
        "Endpoint": first.gateway_endpoint(main, ours["vpc"], [ours["app_routes"], with_acl["routes"]], policy),
        "PartnerVpc": theirs["vpc"],
        "PartnerSubnet": theirs["subnet"],
        "PartnerProbeGroup": theirs["group"],
        "PartnerEndpoint": first.gateway_endpoint(partner, theirs["vpc"], [theirs["routes"]], open_policy()),
        **private_dns(main),
        **endpoints_own_group(main),
        **dualstack(main),
    }


def subnet_with_acl(ec2, vpc):
    """Mistake `network-acl`: what leaves may go to the VPC's own addresses; S3's are none of them."""
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.20.3.0/24")["Subnet"]["SubnetId"]
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    for egress, cidr in ((True, "10.20.0.0/16"), (False, EVERYWHERE)):
        ec2.create_network_acl_entry(
            NetworkAclId=acl, RuleNumber=100, Protocol="-1", RuleAction="allow", Egress=egress, CidrBlock=cidr
        )
    found = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"]
    association = next(row for row in found[0]["Associations"] if row["SubnetId"] == subnet)
    ec2.replace_network_acl_association(AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl)
    return {"subnet": subnet, "routes": first.route_table(ec2, vpc, subnet)}


def group_without_s3(ec2, vpc):
    """Mistake `security-group`: what leaves may go to the VPC's own addresses."""
    group = ec2.create_security_group(GroupName="closed", Description="inside only", VpcId=vpc)["GroupId"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": EVERYWHERE}]}]
    inside = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.20.0.0/16"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=inside)
    return group


def private_dns(session):
    """Mistake `private-dns`: an interface endpoint for S3 with private DNS takes over."""
    network = with_dns(session, "10.40.0.0/16", "10.40.1.0/24")
    group = endpoint_group(session, network["vpc"], port=443)
    gateway = first.gateway_endpoint(session, network["vpc"], [network["routes"]], open_policy())
    interface_endpoint(session, network, group)
    return {
        "DnsSubnet": network["subnet"],
        "DnsGroup": network["group"],
        "Endpoint-private-dns": gateway,
    }


def endpoints_own_group(session):
    """Mistake `endpoints-own-group`: the interface endpoint's security group lets port 80 in, and not 443."""
    network = with_dns(session, "10.50.0.0/16", "10.50.1.0/24")
    group = endpoint_group(session, network["vpc"], port=80)
    return {
        "InterfaceSubnet": network["subnet"],
        "InterfaceGroup": network["group"],
        "Endpoint-endpoints-own-group": interface_endpoint(session, network, group),
    }


def dualstack(session):
    """Mistake `dualstack`: gateway endpoints route IPv4; the dual-stack name is IPv6 as well."""
    ec2 = session.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    six = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.60.1.0/24", Ipv6CidrBlock=six.replace("/56", "/64"))
    subnet = subnet["Subnet"]["SubnetId"]
    routes = first.route_table(ec2, vpc, subnet)
    outwards = ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    ec2.create_route(
        RouteTableId=routes,
        DestinationIpv6CidrBlock="::/0",
        EgressOnlyInternetGatewayId=outwards["EgressOnlyInternetGatewayId"],
    )
    # Mistake `open-endpoint`: nobody wrote a policy for this endpoint, and it has the one that lets everything through.
    endpoint = first.gateway_endpoint(session, vpc, [routes], open_policy())
    return {
        "SixSubnet": subnet,
        "SixGroup": first.probe_group(ec2, vpc),
        "Endpoint-dualstack": endpoint,
        "Endpoint-open-endpoint": endpoint,
    }


def with_dns(session, block, subnet_block):
    ec2 = session.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{attribute: {"Value": True}})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=subnet_block)["Subnet"]["SubnetId"]
    return {
        "vpc": vpc,
        "subnet": subnet,
        "routes": first.route_table(ec2, vpc, subnet),
        "group": first.probe_group(ec2, vpc),
    }


def endpoint_group(session, vpc, *, port):
    ec2 = session.client("ec2")
    group = ec2.create_security_group(GroupName="endpoint", Description="the endpoint's", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    return group


def interface_endpoint(session, network, group):
    ec2 = session.client("ec2")
    made = ec2.create_vpc_endpoint(
        VpcEndpointType="Interface",
        VpcId=network["vpc"],
        ServiceName=f"com.amazonaws.{session.region_name}.s3",
        SubnetIds=[network["subnet"]],
        SecurityGroupIds=[group],
        PrivateDnsEnabled=True,
        DnsOptions={"PrivateDnsOnlyForInboundResolverEndpoint": False},
        PolicyDocument=json.dumps(open_policy()),
    )
    return made["VpcEndpoint"]["VpcEndpointId"]


# --- policies --------------------------------------------------------------------------------------------------------


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(sid, effect, action, resource, **more):
    return {"Sid": sid, "Effect": effect, "Action": action, "Resource": resource, **more}


def both(bucket):
    return [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def open_policy():
    return document(statement("Everything", "Allow", "*", "*", Principal="*"))
