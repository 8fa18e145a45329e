"""The set-up of `../endpoint_only`, with a bucket for each fault that people really make."""

import importlib.util
import json
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent / "endpoint_only" / "provision.py"
FAULTS = ("swapped", "objects-only", "no-tls", "unrouted", "nat-address", "partner-star")


def provision(accounts):
    base = load(BASE)
    main, partner = accounts["main"], accounts["partner"]
    main_id, partner_id = base.account_id(main), base.account_id(partner)
    buckets = {fault: f"{fault}-{main_id}" for fault in FAULTS}
    control, partner_control = f"s3vpce-control-{main_id}", f"s3vpce-control-{partner_id}"

    app_role = base.role(main, "app", base.read_and_write([*buckets.values(), control]))
    partner_role = base.role(partner, "partner", base.read_and_write([*buckets.values(), partner_control]))

    network = base.main_network(main)
    # Fault `unrouted`: the endpoint is there, but the route table of this subnet was forgotten; it has NAT instead.
    endpoint = base.gateway_endpoint(main, network["vpc"], [network["app_routes"]], open_policy())
    other = base.partner_network(partner)
    partner_endpoint = base.gateway_endpoint(partner, other["vpc"], [other["routes"]], open_policy())

    base.bucket(main, control)
    base.bucket(partner, partner_control)
    nat_address = public_address(main, network["nat_subnet"])
    for fault, name in buckets.items():
        base.bucket(main, name)
        policy = base.bucket_policy(
            name,
            main_id=main_id,
            endpoint=endpoint,
            partner_endpoint=partner_endpoint,
            partner_role=partner_role,
        )
        breaks = BREAKS.get(fault)
        if breaks:
            breaks(policy, name, nat_address)
        main.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    return {
        "AppRoleArn": app_role,
        "PartnerRoleArn": partner_role,
        "AppSubnet": network["app_subnet"],
        "NatSubnet": network["nat_subnet"],
        "ProbeGroup": network["group"],
        "PartnerSubnet": other["subnet"],
        "PartnerProbeGroup": other["group"],
        "ControlBucket": control,
        "PartnerControlBucket": partner_control,
        "Endpoint": endpoint,
        **{f"Bucket-{fault}": name for fault, name in buckets.items()},
    }


def swapped(policy, name, nat_address):
    """StringEquals where StringNotEquals was meant: the deny hits exactly those who come through the endpoint."""
    condition = statement(policy, "OwnPrincipalsOnlyThroughTheEndpoint")["Condition"]
    condition["StringEquals"].update(condition.pop("StringNotEquals"))


def objects_only(policy, name, nat_address):
    """The denies name only the objects: listing the bucket leaks."""
    for row in policy["Statement"]:
        if row["Effect"] == "Deny":
            row["Resource"] = f"arn:aws:s3:::{name}/*"


def no_tls(policy, name, nat_address):
    """The SecureTransport deny is missing."""
    policy["Statement"].remove(statement(policy, "TlsOnly"))


def nat_address(policy, name, nat_address):
    """The bucket trusts the address of the NAT gateway instead of the endpoint."""
    condition = statement(policy, "OwnPrincipalsOnlyThroughTheEndpoint")["Condition"]
    del condition["StringNotEquals"]
    condition["NotIpAddress"] = {"aws:SourceIp": f"{nat_address}/32"}


def partner_star(policy, name, nat_address):
    """The partner is granted everything instead of reading."""
    row = statement(policy, "PartnerReads")
    row["Action"] = "s3:*"
    row["Resource"] = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]


BREAKS = {
    "swapped": swapped,
    "objects-only": objects_only,
    "no-tls": no_tls,
    "nat-address": nat_address,
    "partner-star": partner_star,
}


def statement(policy, sid):
    return next(row for row in policy["Statement"] if row["Sid"] == sid)


def open_policy():
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
    }


def public_address(session, subnet):
    """The public address of the NAT gateway in the subnet's VPC."""
    ec2 = session.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    gateways = ec2.describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NatGateways"]
    return gateways[0]["NatGatewayAddresses"][0]["PublicIp"]


def load(path):
    spec = importlib.util.spec_from_file_location("endpoint_only_provision", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
