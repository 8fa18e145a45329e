"""Reads what an account's control plane says about paths: S3 endpoints and closed ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from pytest_s3vpce.claims import EndpointFacts
from pytest_s3vpce.network import described
from pytest_s3vpce.network.subnets import acls_differ, groups_differ
from pytest_s3vpce.snapshot.asking import asked
from pytest_s3vpce.snapshot.state import NetworkRow, Unread

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_s3vpce.network.topology import Topology


_ANYWHERE: Final = "0.0.0.0/0"
_TARGETS: Final = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "EgressOnlyInternetGatewayId",
    "VpcPeeringConnectionId",
)


def s3_endpoints(ec2: Any, *, region: str, account_id: str) -> tuple[EndpointFacts, ...]:
    """The VPC endpoints for S3 of an account and Region; empty where they may not be described.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcEndpoints.html
    """
    filters = [{"Name": "service-name", "Values": [f"com.amazonaws.{region}.s3"]}]
    try:
        pages = list(ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=filters))
    except (ClientError, BotoCoreError):
        return ()
    rows = [row for page in pages for row in page["VpcEndpoints"] if row.get("State", "available") != "deleted"]
    return tuple(
        EndpointFacts(
            id=row["VpcEndpointId"],
            vpc=row["VpcId"],
            account_id=row.get("OwnerId", account_id),
            type=row.get("VpcEndpointType", "Gateway").lower(),
            policy=row.get("PolicyDocument"),
            name=next((tag["Value"] for tag in row.get("Tags", ()) if tag["Key"] == "Name"), ""),
            route_tables=tuple(sorted(row.get("RouteTableIds", ()))),
            subnets=tuple(sorted(row.get("SubnetIds", ()))),
            private_dns=bool(row.get("PrivateDnsEnabled")),
        )
        for row in rows
    )


def network(ec2: Any, *, region: str, account_id: str) -> Topology | None:
    """The whole network of an account and Region, for `network.path.resolve`; None where it may not be described."""
    found = network_row(ec2, region=region, account_id=account_id).topology
    return None if isinstance(found, Unread) else found


def network_row(ec2: Any, *, region: str, account_id: str) -> NetworkRow:
    """The same for a snapshot: unread where a single one of its parts may not be described."""
    found = asked(lambda: _topology(ec2, region=region, account_id=account_id))
    assert found is not None
    return NetworkRow(
        account=account_id, region=region, topology=found if isinstance(found, Unread) else _in_order(found)
    )


def _in_order(found: Topology) -> Topology:
    """By ids: AWS answers in any order, and snapshots are to be compared."""
    rows = {field.name: getattr(found, field.name) for field in fields(found)}
    changed: dict[str, Any] = {
        name: tuple(sorted(row, key=lambda one: str(one.id))) for name, row in rows.items() if isinstance(row, tuple)
    }
    return replace(found, **changed)


def _topology(ec2: Any, *, region: str, account_id: str) -> Topology:
    rows = {name: _rows(ec2, call, name) for name, call in described.CALLS.items()}
    for row in rows["Vpcs"]:
        for name, attribute in described.ATTRIBUTES.items():
            found = ec2.describe_vpc_attribute(VpcId=row["VpcId"], Attribute=attribute)
            row[name] = found[name]["Value"]
    for row in rows["PrefixLists"]:
        pages = ec2.get_paginator("get_managed_prefix_list_entries").paginate(PrefixListId=row["PrefixListId"])
        row["Cidrs"] = [entry["Cidr"] for page in pages for entry in page["Entries"]]
    return described.topology(rows, account=account_id, region=region)


def _rows(ec2: Any, call: str, name: str) -> list[dict[str, Any]]:
    return [dict(row) for page in ec2.get_paginator(call).paginate() for row in page[name]]


def vpc_of(ec2: Any, subnets: Sequence[str]) -> str | None:
    """The VPC that the subnets lie in; None where they may not be described."""
    try:
        rows = ec2.describe_subnets(SubnetIds=list(subnets))["Subnets"]
    except (ClientError, BotoCoreError):
        return None
    return str(rows[0]["VpcId"]) if rows else None


def function_network(
    ec2: Any, subnets: Sequence[str] | Mapping[str, str], groups: Sequence[str] | Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    """Subnets, security groups and VPC of a function whose network is written by ids or by tags.

    Of groups by tags, those of the subnets' VPC are meant.
    """
    vpc, subnet_ids, group_ids = None, subnets, groups
    try:
        if isinstance(subnets, Mapping):
            rows = ec2.describe_subnets(Filters=_tagged(subnets))["Subnets"]
            subnet_ids = tuple(row["SubnetId"] for row in rows)
        vpc = vpc_of(ec2, tuple(subnet_ids)) if subnet_ids else None
        if isinstance(groups, Mapping):
            within = [{"Name": "vpc-id", "Values": [vpc]}] if vpc else []
            rows = ec2.describe_security_groups(Filters=[*_tagged(groups), *within])["SecurityGroups"]
            group_ids = tuple(row["GroupId"] for row in rows)
    except (ClientError, BotoCoreError):
        return (), (), vpc
    return tuple(subnet_ids), tuple(group_ids), vpc


def _tagged(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]


def instance_network(ec2: Any, instance: str | None, tags: Mapping[str, str]) -> tuple[tuple[str, ...], str | None]:
    """Security groups and VPC of an instance, by id or by tags; nothing where it may not be described."""
    try:
        found = instance_row(ec2, instance, tags)
    except (ClientError, BotoCoreError):
        return (), None
    if found is None:
        return (), None
    return tuple(group["GroupId"] for group in found["SecurityGroups"]), found.get("VpcId")


def instance_row(ec2: Any, instance: str | None, tags: Mapping[str, str]) -> dict[str, Any] | None:
    """The running instance with that id, or the first by id with those tags; what boto3 raises where it may not.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
    """
    filters = _tagged(tags) if instance is None else [{"Name": "instance-id", "Values": [instance]}]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    pages = list(ec2.get_paginator("describe_instances").paginate(Filters=filters))
    rows = [row for page in pages for group in page["Reservations"] for row in group["Instances"]]
    return dict(min(rows, key=lambda row: str(row["InstanceId"]))) if rows else None


def ways_differ(ec2: Any, subnets: Sequence[str], *, groups: Sequence[str] = ()) -> str | None:
    """How these subnets lead to S3 in different ways; empty where they don't, None where nobody may ask.

    By their routes, by their network ACLs, or by what the groups of an interface endpoint with private DNS let in.
    `groups` are the client's own.
    """
    within = [{"Name": "vpc-id", "Values": [vpc_of(ec2, subnets) or ""]}]
    try:
        rows = {name: _pages(ec2, call, name, within) for name, call in _COMPARED.items()}
        endpoints = [row for row in rows["VpcEndpoints"] if _takes_clients(row) and _is_for_s3(row)]
        home = {name for row in endpoints for name in row["SubnetIds"]}
        asked_for = sorted({*subnets, *home}) if endpoints else []
        found = ec2.describe_subnets(SubnetIds=asked_for)["Subnets"] if endpoints else ()
        cidrs = {row["SubnetId"]: str(row["CidrBlock"]) for row in found if row.get("CidrBlock")}
        told = [
            _routes_differ(subnets, rows["RouteTables"], rows["VpcEndpoints"]),
            _acls_differ(subnets, rows["NetworkAcls"], near=[cidrs[name] for name in home if name in cidrs]),
            *(_groups_differ(ec2, row, {name: cidrs.get(name, "") for name in subnets}, groups) for row in endpoints),
        ]
    except (ClientError, BotoCoreError):
        return None
    differ = "; ".join(sentence for sentence in told if sentence)
    return differ or (None if None in told else "")


_COMPARED: Final = {name: described.CALLS[name] for name in ("RouteTables", "VpcEndpoints", "NetworkAcls")}


def _pages(ec2: Any, call: str, name: str, within: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [row for page in ec2.get_paginator(call).paginate(Filters=within) for row in page[name]]


def _is_for_s3(row: Mapping[str, Any]) -> bool:
    return str(row["ServiceName"]).endswith(".s3")


def _takes_clients(row: Mapping[str, Any]) -> bool:
    """Whether names of the service lead the VPC's clients there: private DNS may be for other networks' alone.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DnsOptionsSpecification.html
    """
    options = row.get("DnsOptions") or {}
    return bool(row.get("PrivateDnsEnabled")) and not options.get("PrivateDnsOnlyForInboundResolverEndpoint")


def _routes_differ(
    subnets: Sequence[str], tables: Sequence[Mapping[str, Any]], endpoints: Iterable[Mapping[str, Any]]
) -> str | None:
    """By a gateway endpoint for S3, whichever else there is, else by the default routes.

    A subnet without a table of its own has its VPC's main one:
    https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html

    An endpoint that is not listed may be S3's: of a shared VPC the routes are shown, but not the owner's endpoints.
    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-sharing-service-behavior.html
    """
    others = {row["VpcEndpointId"] for row in endpoints if not _is_for_s3(row)}
    own = {row.get("SubnetId"): table for table in tables for row in table["Associations"]}
    main = next((table for table in tables for row in table["Associations"] if row.get("Main")), None)
    ways: dict[frozenset[str], list[str]] = {}
    for subnet in subnets:
        table = own.get(subnet, main)
        if table is None:
            return None
        ways.setdefault(_way(table["Routes"], others), []).append(subnet)
    if len(ways) == 1:
        return ""
    return "; ".join(f"{', '.join(rows)} by {', '.join(sorted(way)) or 'no route'}" for way, rows in ways.items())


def _acls_differ(subnets: Sequence[str], rows: Iterable[Mapping[str, Any]], *, near: Sequence[str]) -> str | None:
    acls = {name: acl for acl in map(described.network_acl, rows) for name in acl.subnet_ids}
    if any(name not in acls for name in subnets):
        return None
    return acls_differ({name: acls[name] for name in subnets}, near=near)


def _groups_differ(
    ec2: Any, endpoint: Mapping[str, Any], cidrs: Mapping[str, str], groups: Sequence[str]
) -> str | None:
    ids = [row["GroupId"] for row in endpoint.get("Groups", ())]
    if not ids or not all(cidrs.values()):
        return None
    found = map(described.security_group, ec2.describe_security_groups(GroupIds=ids)["SecurityGroups"])
    differ = groups_differ([rule for row in found for rule in row.ingress], cidrs=cidrs, groups=groups)
    return f"security groups of {endpoint['VpcEndpointId']}, {differ}" if differ else differ


def _way(routes: Iterable[Mapping[str, Any]], others: Collection[str]) -> frozenset[str]:
    active = [row for row in routes if row.get("State", "active") == "active"]
    to_lists = {str(row.get("GatewayId")) for row in active if row.get("DestinationPrefixListId")}
    gateways = frozenset(gateway for gateway in to_lists - {*others} if gateway.startswith("vpce-"))
    if gateways:
        return gateways
    return frozenset(
        str(next((row[name] for name in _TARGETS if row.get(name)), "another target"))
        for row in active
        if row.get("DestinationCidrBlock") == _ANYWHERE or row.get("DestinationIpv6CidrBlock") == "::/0"
    )


def closed_port(ec2: Any, groups: Sequence[str], *, port: int) -> str | None:
    """A sentence where no egress rule of the security groups lets TCP out to that port, None where one does.

    https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
    """
    try:
        rows = ec2.describe_security_groups(GroupIds=list(groups))["SecurityGroups"]
    except (ClientError, BotoCoreError):
        return None
    if not rows or any(_lets_out(rule, port) for row in rows for rule in row.get("IpPermissionsEgress", ())):
        return None
    named = ", ".join(f"{row['GroupId']} ({row['GroupName']})" for row in rows)
    return f"security group {named} lets no TCP port {port} out"


def _lets_out(rule: Mapping[str, Any], port: int) -> bool:
    if not any(rule.get(kind) for kind in ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")):
        return False
    if rule["IpProtocol"] in ("-1", -1):
        return True
    first, last = rule.get("FromPort", -1), rule.get("ToPort", -1)
    return rule["IpProtocol"] in ("tcp", "6") and (first == -1 or first <= port <= last)
