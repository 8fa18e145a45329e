"""Resources of EC2: VPCs with their subnets, gateways, routes and endpoints.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_EC2.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.making import Made, ResourceType, gone, tagged
from pytest_s3vpce.lab.cloudformation.shapes import DOCUMENT, FLAG, TEXT, TEXTS, Fields, texts

if TYPE_CHECKING:
    from pytest_s3vpce.lab.cloudformation.making import Work

_DESTINATIONS: Final = ("DestinationCidrBlock", "DestinationIpv6CidrBlock")
_TARGETS: Final = ("GatewayId", "NatGatewayId", "VpcPeeringConnectionId", "TransitGatewayId")


def retag(work: Work, made: Made) -> None:
    _retag(work, made.physical)


def _retag(work: Work, resource: str) -> None:
    ec2 = work.client("ec2")
    if work.tags and (work.previous is None or work.changed("Tags")):
        ec2.create_tags(Resources=[resource], Tags=work.tag_rows)
    if work.stale_tags:
        ec2.delete_tags(Resources=[resource], Tags=[{"Key": key} for key in work.stale_tags])


# --- VPCs and subnets ------------------------------------------------------------------------------------------------


def _make_vpc(work: Work) -> Made:
    ec2 = work.client("ec2")
    found = ec2.create_vpc(**work.given("CidrBlock", "InstanceTenancy"))["Vpc"]
    mine = [{"Name": "vpc-id", "Values": [found["VpcId"]]}]
    group = ec2.describe_security_groups(Filters=[*mine, {"Name": "group-name", "Values": ["default"]}])
    acl = ec2.describe_network_acls(Filters=[*mine, {"Name": "default", "Values": ["true"]}])
    attributes = {
        "VpcId": found["VpcId"],
        "CidrBlock": found["CidrBlock"],
        "DefaultSecurityGroup": group["SecurityGroups"][0]["GroupId"],
        "DefaultNetworkAcl": acl["NetworkAcls"][0]["NetworkAclId"],
    }
    return Made(physical=found["VpcId"], attributes=attributes)


def _apply_vpc(work: Work, made: Made) -> None:
    ec2 = work.client("ec2")
    for name, default in (("EnableDnsSupport", True), ("EnableDnsHostnames", False)):
        if work.changed(name):
            ec2.modify_vpc_attribute(VpcId=made.physical, **{name: {"Value": work.properties.get(name, default)}})
    retag(work, made)


def _remove_vpc(work: Work, made: Made) -> None:
    gone(work.client("ec2").delete_vpc, "InvalidVpcID.NotFound", VpcId=made.physical)


def _make_subnet(work: Work) -> Made:
    found = work.client("ec2").create_subnet(**work.given("VpcId", "CidrBlock", "AvailabilityZone"))["Subnet"]
    names = ("SubnetId", "VpcId", "AvailabilityZone", "CidrBlock")
    return Made(physical=found["SubnetId"], attributes={name: found[name] for name in names})


def _apply_subnet(work: Work, made: Made) -> None:
    if work.changed("MapPublicIpOnLaunch"):
        value = {"Value": work.properties.get("MapPublicIpOnLaunch", False)}
        work.client("ec2").modify_subnet_attribute(SubnetId=made.physical, MapPublicIpOnLaunch=value)
    retag(work, made)


def _remove_subnet(work: Work, made: Made) -> None:
    gone(work.client("ec2").delete_subnet, "InvalidSubnetID.NotFound", SubnetId=made.physical)


# --- gateways --------------------------------------------------------------------------------------------------------


def _make_internet_gateway(work: Work) -> Made:
    found: str = work.client("ec2").create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    return Made(physical=found, attributes={"InternetGatewayId": found})


def _remove_internet_gateway(work: Work, made: Made) -> None:
    call = work.client("ec2").delete_internet_gateway
    gone(call, "InvalidInternetGatewayID.NotFound", InternetGatewayId=made.physical)


def _attach(work: Work) -> Made:
    pair = work.given("InternetGatewayId", "VpcId")
    work.client("ec2").attach_internet_gateway(**pair)
    return Made(physical=f"IGW|{pair['VpcId']}", attributes={"AttachmentType": "IGW"})


def _detach(work: Work, _: Made) -> None:
    pair = work.given("InternetGatewayId", "VpcId")
    gone(work.client("ec2").detach_internet_gateway, "Gateway.NotAttached", **pair)


def _make_address(work: Work) -> Made:
    found = work.client("ec2").allocate_address(Domain=work.properties.get("Domain", "vpc"))
    names = ("AllocationId", "PublicIp")
    return Made(physical=found["PublicIp"], attributes={name: found[name] for name in names})


def _apply_address(work: Work, made: Made) -> None:
    _retag(work, made.attributes["AllocationId"])


def _remove_address(work: Work, made: Made) -> None:
    allocation = made.attributes["AllocationId"]
    gone(work.client("ec2").release_address, "InvalidAllocationID.NotFound", AllocationId=allocation)


def _make_nat(work: Work) -> Made:
    ec2 = work.client("ec2")
    found: str = ec2.create_nat_gateway(**work.given("SubnetId", "AllocationId", "ConnectivityType"))["NatGateway"][
        "NatGatewayId"
    ]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[found])
    return Made(physical=found, attributes={"NatGatewayId": found})


def _remove_nat(work: Work, made: Made) -> None:
    gone(work.client("ec2").delete_nat_gateway, "NatGatewayNotFound", NatGatewayId=made.physical)


# --- routes ----------------------------------------------------------------------------------------------------------


def _make_table(work: Work) -> Made:
    found: str = work.client("ec2").create_route_table(**work.given("VpcId"))["RouteTable"]["RouteTableId"]
    return Made(physical=found, attributes={"RouteTableId": found})


def _remove_table(work: Work, made: Made) -> None:
    gone(work.client("ec2").delete_route_table, "InvalidRouteTableID.NotFound", RouteTableId=made.physical)


def _make_route(work: Work) -> Made:
    work.client("ec2").create_route(**work.given("RouteTableId", *_DESTINATIONS, *_TARGETS))
    destination = next(iter(work.given(*_DESTINATIONS).values()))
    return Made(physical=f"{work.properties['RouteTableId']}|{destination}", attributes={"CidrBlock": destination})


def _apply_route(work: Work, _: Made) -> None:
    if work.previous is not None:
        work.client("ec2").replace_route(**work.given("RouteTableId", *_DESTINATIONS, *_TARGETS))


def _remove_route(work: Work, _: Made) -> None:
    call = work.client("ec2").delete_route
    gone(call, "InvalidRoute.NotFound", "InvalidRouteTableID.NotFound", **work.given("RouteTableId", *_DESTINATIONS))


def _associate(work: Work) -> Made:
    found: str = work.client("ec2").associate_route_table(**work.given("RouteTableId", "SubnetId"))["AssociationId"]
    return Made(physical=found, attributes={"Id": found})


def _reassociate(work: Work, made: Made) -> Made | None:
    if work.previous is None:
        return None
    call = work.client("ec2").replace_route_table_association
    found: str = call(AssociationId=made.physical, **work.given("RouteTableId"))["NewAssociationId"]
    return Made(physical=found, attributes={"Id": found})


def _disassociate(work: Work, made: Made) -> None:
    call = work.client("ec2").disassociate_route_table
    gone(call, "InvalidAssociationID.NotFound", AssociationId=made.physical)


# --- endpoints -------------------------------------------------------------------------------------------------------

_SETS: Final = {"RouteTableIds": "RouteTableIds", "SubnetIds": "SubnetIds", "SecurityGroupIds": "SecurityGroupIds"}


def _make_endpoint(work: Work) -> Made:
    ec2 = work.client("ec2")
    given = work.given("VpcId", "ServiceName", "VpcEndpointType", *_SETS, "PrivateDnsEnabled", "DnsOptions")
    if "PolicyDocument" in work.properties:
        given["PolicyDocument"] = work.document("PolicyDocument")
    found = ec2.create_vpc_endpoint(**given)["VpcEndpoint"]
    entries = [f"{row.get('HostedZoneId', '')}:{row['DnsName']}" for row in found.get("DnsEntries", ())]
    attributes = {
        "Id": found["VpcEndpointId"],
        "DnsEntries": entries,
        "NetworkInterfaceIds": found.get("NetworkInterfaceIds", []),
        "CreationTimestamp": str(found.get("CreationTimestamp", "")),
    }
    return Made(physical=found["VpcEndpointId"], attributes=attributes)


def _apply_endpoint(work: Work, made: Made) -> None:
    if work.previous is not None and work.changed(*_SETS, "PolicyDocument", "PrivateDnsEnabled", "DnsOptions"):
        work.client("ec2").modify_vpc_endpoint(VpcEndpointId=made.physical, **_endpoint_changes(work))
    retag(work, made)


def _endpoint_changes(work: Work) -> dict[str, Any]:
    changes: dict[str, Any] = work.given("PrivateDnsEnabled", "DnsOptions")
    for name in _SETS:
        before = set((work.previous or {}).get(name, ()))
        after = set(work.properties.get(name, ()))
        changes |= {f"Add{name}": sorted(after - before)} if after - before else {}
        changes |= {f"Remove{name}": sorted(before - after)} if before - after else {}
    if "PolicyDocument" in work.properties:
        return {**changes, "PolicyDocument": json.dumps(work.properties["PolicyDocument"])}
    return {**changes, "ResetPolicy": True} if work.dropped("PolicyDocument") else changes


def _remove_endpoint(work: Work, made: Made) -> None:
    work.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[made.physical])


TYPES: Final = (
    ResourceType(
        name="AWS::EC2::VPC",
        properties=tagged(
            {"CidrBlock": TEXT, "InstanceTenancy": TEXT, "EnableDnsSupport": FLAG, "EnableDnsHostnames": FLAG}
        ),
        required=("CidrBlock",),
        attributes=frozenset({"VpcId", "CidrBlock", "DefaultSecurityGroup", "DefaultNetworkAcl"}),
        make=_make_vpc,
        apply=_apply_vpc,
        remove=_remove_vpc,
        mutable=frozenset({"EnableDnsSupport", "EnableDnsHostnames", "Tags"}),
    ),
    ResourceType(
        name="AWS::EC2::Subnet",
        properties=tagged({"VpcId": TEXT, "CidrBlock": TEXT, "AvailabilityZone": TEXT, "MapPublicIpOnLaunch": FLAG}),
        required=("VpcId", "CidrBlock"),
        attributes=frozenset({"SubnetId", "VpcId", "AvailabilityZone", "CidrBlock"}),
        make=_make_subnet,
        apply=_apply_subnet,
        remove=_remove_subnet,
        mutable=frozenset({"MapPublicIpOnLaunch", "Tags"}),
    ),
    ResourceType(
        name="AWS::EC2::InternetGateway",
        properties=tagged({}),
        attributes=frozenset({"InternetGatewayId"}),
        make=_make_internet_gateway,
        apply=retag,
        remove=_remove_internet_gateway,
        mutable=frozenset({"Tags"}),
    ),
    ResourceType(
        name="AWS::EC2::VPCGatewayAttachment",
        properties=texts(("VpcId", "InternetGatewayId")),
        required=("VpcId", "InternetGatewayId"),
        attributes=frozenset({"AttachmentType"}),
        make=_attach,
        remove=_detach,
    ),
    ResourceType(
        name="AWS::EC2::EIP",
        properties=tagged({"Domain": TEXT}),
        attributes=frozenset({"AllocationId", "PublicIp"}),
        make=_make_address,
        apply=_apply_address,
        remove=_remove_address,
        mutable=frozenset({"Tags"}),
    ),
    ResourceType(
        name="AWS::EC2::NatGateway",
        properties=tagged(texts(("AllocationId", "SubnetId", "ConnectivityType"))),
        required=("SubnetId",),
        attributes=frozenset({"NatGatewayId"}),
        make=_make_nat,
        apply=retag,
        remove=_remove_nat,
        mutable=frozenset({"Tags"}),
    ),
    ResourceType(
        name="AWS::EC2::RouteTable",
        properties=tagged({"VpcId": TEXT}),
        required=("VpcId",),
        attributes=frozenset({"RouteTableId"}),
        make=_make_table,
        apply=retag,
        remove=_remove_table,
        mutable=frozenset({"Tags"}),
    ),
    ResourceType(
        name="AWS::EC2::Route",
        properties=texts(("RouteTableId", *_DESTINATIONS, *_TARGETS)),
        required=("RouteTableId",),
        attributes=frozenset({"CidrBlock"}),
        make=_make_route,
        apply=_apply_route,
        remove=_remove_route,
        mutable=frozenset(_TARGETS),
    ),
    ResourceType(
        name="AWS::EC2::SubnetRouteTableAssociation",
        properties=texts(("RouteTableId", "SubnetId")),
        required=("RouteTableId", "SubnetId"),
        attributes=frozenset({"Id"}),
        make=_associate,
        apply=_reassociate,
        remove=_disassociate,
        mutable=frozenset({"RouteTableId"}),
    ),
    ResourceType(
        name="AWS::EC2::VPCEndpoint",
        properties=tagged(
            {
                **texts(("VpcId", "ServiceName", "VpcEndpointType")),
                **dict.fromkeys(_SETS, TEXTS),
                "PolicyDocument": DOCUMENT,
                "PrivateDnsEnabled": FLAG,
                "DnsOptions": Fields({"DnsRecordIpType": TEXT, "PrivateDnsOnlyForInboundResolverEndpoint": FLAG}),
            }
        ),
        required=("VpcId", "ServiceName"),
        attributes=frozenset({"Id", "DnsEntries", "NetworkInterfaceIds", "CreationTimestamp"}),
        make=_make_endpoint,
        apply=_apply_endpoint,
        remove=_remove_endpoint,
        mutable=frozenset({*_SETS, "PolicyDocument", "PrivateDnsEnabled", "DnsOptions", "Tags"}),
    ),
)
