"""VPC endpoints as AWS makes, changes and deletes them, on the classes of the library that holds the account state."""

from __future__ import annotations

import json
import re
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import address_in
from pytest_s3vpce.network.names import suffix
from pytest_s3vpce.network.topology import EndpointKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.network.topology import Topology

DEFAULT_POLICY: Final = json.dumps(
    {"Version": "2008-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
)
_ONLY_INBOUND: Final = "PrivateDnsOnlyForInboundResolverEndpoint"
_GATEWAY, _INTERFACE = "Gateway", "Interface"
_PRIVATE: Final = {"s3": ("s3", "s3-accesspoint", "s3-control")}
_TYPES: Final = frozenset({_GATEWAY, _INTERFACE, "GatewayLoadBalancer", "Resource", "ServiceNetwork"})
_SERVICE: Final = re.compile(r"(?:cn\.)?com\.amazonaws\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d)\..+")
_MOST_POLICY: Final = 20_480
_NAMED: Final[Mapping[str, tuple[Callable[[Topology, str], object], str, str]]] = {
    "SubnetId": (lambda topology, name: topology.subnet(name), "InvalidSubnetID", "subnet ID"),
    "SecurityGroupId": (lambda topology, name: topology.security_group(name), "InvalidGroup", "security group"),
    "RouteTableId": (
        lambda topology, name: any(table.id == name for table in topology.route_tables),
        "InvalidRouteTableID",
        "routeTable ID",
    ),
}


def mend_endpoints(endpoint_class: Any, *, backend_class: Any, response_class: Any) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html and its neighbours."""
    endpoint_class.dns_options = None
    endpoint_class.ip_address_type = None
    endpoint_class.owner_id = property(lambda self: self.ec2_backend.account_id)
    backend_class.create_vpc_endpoint = _creating(backend_class.create_vpc_endpoint)
    backend_class.modify_vpc_endpoint = _modifying(backend_class.modify_vpc_endpoint)
    backend_class.delete_vpc_endpoints = _delete
    response_class.create_vpc_endpoint = _answering(response_class.create_vpc_endpoint, then=_settle_new)
    response_class.modify_vpc_endpoint = _answering(response_class.modify_vpc_endpoint, then=_settle_changed)
    response_class.delete_vpc_endpoints = _answering(response_class.delete_vpc_endpoints, then=_tell_missing)


def _creating(original: Callable[..., Any]) -> Callable[..., Any]:
    """With interfaces at addresses of their subnets, in the groups that were named, and names of AWS's form."""

    @wraps(original)
    def create(self: Any, vpc_id: str, service_name: str, endpoint_type: str | None, *args: Any, **named: Any) -> Any:
        kind = endpoint_type or _GATEWAY
        interface = kind.lower() == _INTERFACE.lower()
        wanted = list(named.pop("subnet_ids", None) or ())
        made = original(self, vpc_id, service_name, kind, *args, **named, subnet_ids=[])
        made.subnet_ids = []
        made.private_dns_enabled = interface and bool(made.private_dns_enabled)
        made.ip_address_type = "ipv4"
        made.dns_entries = []
        if interface:
            if not made.security_group_ids:
                made.security_group_ids = [self.get_default_security_group(vpc_id).id]
            made.dns_label = f"{made.id}-{made.id[-8:]}"
            _add_interfaces(self, made, wanted)
        return made

    return create


def _add_interfaces(backend: Any, endpoint: Any, subnet_ids: list[str]) -> None:
    for subnet_id in subnet_ids:
        if subnet_id in endpoint.subnet_ids:
            continue
        subnet = backend.get_subnet(subnet_id)
        address = _free_address(backend, subnet, seed=f"{endpoint.id} {subnet_id}")
        eni = backend.create_network_interface(subnet, address, group_ids=list(endpoint.security_group_ids))
        eni.interface_type, eni.requester_managed, eni.status = "vpc_endpoint", True, "in-use"
        eni.description = f"VPC Endpoint Interface {endpoint.id}"
        endpoint.subnet_ids.append(subnet_id)
        endpoint.network_interface_ids.append(eni.id)
    _name(endpoint)


def _free_address(backend: Any, subnet: Any, *, seed: str) -> str:
    taken = {entry["PrivateIpAddress"] for eni in list(backend.enis.values()) for entry in eni.private_ip_addresses}
    tries = (address_in(str(subnet.cidr_block), seed=f"{seed} {number}") for number in range(1000))
    return next((address for address in tries if address not in taken), address_in(str(subnet.cidr_block), seed=seed))


def _name(endpoint: Any) -> None:
    """The regional name, one for each zone, and the private one.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html#accessing-s3-interface-endpoints
    """
    backend = endpoint.ec2_backend
    of_aws = _SERVICE.fullmatch(endpoint.service_name)
    region = of_aws["region"] if of_aws else backend.region_name  # it may lead to another Region's service
    service = ".".join(reversed(endpoint.service_name.removeprefix("cn.").split(".")[3:]))
    domain = suffix(region)
    star = "*." if service == "s3" else ""
    zones = sorted({backend.enis[eni_id].subnet.availability_zone for eni_id in endpoint.network_interface_ids})
    labels = [endpoint.dns_label, *(f"{endpoint.dns_label}-{zone}" for zone in zones)]
    names = [f"{star}{label}.{service}.{region}.vpce.{domain}" for label in labels]
    if endpoint.private_dns_enabled:
        hosts = [f"{prefix}.{region}.{domain}" for prefix in _PRIVATE.get(service, (service,))]
        names += [name for host in hosts for name in ((host, f"*.{host}") if star else (host,))]
    endpoint.dns_entries = [{"DnsName": name, "HostedZoneId": "Z7HUB22UULQXV"} for name in names]


def _modifying(original: Callable[..., Any]) -> Callable[..., Any]:
    """Routes and interfaces change with the endpoint."""

    @wraps(original)
    def modify(self: Any, vpc_id: str, *args: Any, **named: Any) -> None:
        for table_id in named["add_route_tables"] or ():
            self.get_route_table(table_id)
        endpoint = self.describe_vpc_endpoints(vpc_end_point_ids=[vpc_id])[0]
        before = set(endpoint.route_table_ids)
        added, removed = named.pop("add_subnets") or (), set(named.pop("remove_subnets") or ())
        original(self, vpc_id, *args, **named, add_subnets=[], remove_subnets=[])
        _follow_routes(self, endpoint, before)
        if getattr(endpoint, "dns_label", None):
            _follow_interfaces(self, endpoint, added=list(added), removed=removed)

    return modify


def _follow_routes(backend: Any, endpoint: Any, before: set[str]) -> None:
    prefix_list, after = endpoint.destination_prefix_list_id, set(endpoint.route_table_ids)
    if prefix_list is None:
        return
    for table_id in after - before:
        backend.create_route(table_id, None, gateway_id=endpoint.id, destination_prefix_list_id=prefix_list)
    for table_id in before - after:
        backend.delete_route(table_id, prefix_list)


def _follow_interfaces(backend: Any, endpoint: Any, *, added: list[str], removed: set[str]) -> None:
    for eni_id in list(endpoint.network_interface_ids):
        if backend.enis[eni_id].subnet.id in removed:
            endpoint.network_interface_ids.remove(eni_id)
            del backend.enis[eni_id]
    endpoint.subnet_ids = [subnet_id for subnet_id in endpoint.subnet_ids if subnet_id not in removed]
    groups = [backend.get_security_group_from_id(group_id) for group_id in endpoint.security_group_ids]
    for eni_id in endpoint.network_interface_ids:
        backend.enis[eni_id]._group_set = list(groups)  # noqa: SLF001 - the property that reads it has no setter
    _add_interfaces(backend, endpoint, added)


def _delete(self: Any, vpce_ids: list[str] | None = None) -> None:
    """Gone, with its routes and interfaces."""
    self.s3vpce_missing = []
    for endpoint_id in vpce_ids or ():
        endpoint = self.vpc_end_points.pop(endpoint_id, None)
        if endpoint is None:
            self.s3vpce_missing.append(endpoint_id)
            continue
        endpoint.state = "deleted"
        for eni_id in endpoint.network_interface_ids:
            self.enis.pop(eni_id, None)
        for table in list(self.route_tables.values()):
            for route in list(table.routes):
                if route.gateway_id == endpoint_id:
                    table._routes.pop(route.id, None)  # noqa: SLF001 - its delete_route wants a list that may be gone


def _answering(original: Callable[..., Any], *, then: Callable[[Any, Any], None]) -> Callable[..., Any]:
    @wraps(original)
    def answer(self: Any) -> Any:
        made = original(self)
        then(self, made.result)
        return made

    return answer


def _tell_missing(response: Any, result: Any) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpcEndpoints.html"""
    result["Unsuccessful"] = [
        {
            "ResourceId": endpoint_id,
            "Error": {
                "Code": "InvalidVpcEndpoint.NotFound",
                "Message": f"The Vpc Endpoint Id '{endpoint_id}' does not exist",
            },
        }
        for endpoint_id in response.ec2_backend.s3vpce_missing
    ]


def _settle_new(response: Any, result: Any) -> None:
    """With private DNS, that is for inbound resolvers only where a gateway endpoint serves the VPC, unless told not to.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html#private-dns
    """
    endpoint = result["VpcEndpoint"]
    wanted = response._get_param("IpAddressType")  # noqa: SLF001 - how its own methods read parameters
    endpoint.ip_address_type = wanted or "ipv4"
    options = dict(response._get_param("DnsOptions") or {})  # noqa: SLF001
    if endpoint.vpc_endpoint_type.lower() != _INTERFACE.lower():
        endpoint.dns_options = options or {"DnsRecordIpType": "ipv4"}
        return
    has_gateway = any(
        other.service_name == endpoint.service_name and other.vpc_endpoint_type == _GATEWAY
        for other in list(response.ec2_backend.vpc_end_points.values())
        if other.vpc_id == endpoint.vpc_id
    )
    only_inbound = options.get(_ONLY_INBOUND, endpoint.private_dns_enabled and has_gateway)
    record = options.get("DnsRecordIpType") or endpoint.ip_address_type
    endpoint.dns_options = {"DnsRecordIpType": record, _ONLY_INBOUND: _is_on(only_inbound)}


def _settle_changed(response: Any, _: Any) -> None:
    endpoint = response.ec2_backend.vpc_end_points[response._get_param("VpcEndpointId")]  # noqa: SLF001
    private = response._get_param("PrivateDnsEnabled")  # noqa: SLF001
    if private is not None and endpoint.vpc_endpoint_type.lower() == _INTERFACE.lower():
        endpoint.private_dns_enabled = _is_on(private)
        _name(endpoint)
    options = response._get_param("DnsOptions")  # noqa: SLF001
    if options:
        kept = {**(endpoint.dns_options or {}), **options}
        endpoint.dns_options = kept | ({_ONLY_INBOUND: _is_on(kept[_ONLY_INBOUND])} if _ONLY_INBOUND in kept else {})
    wanted = response._get_param("IpAddressType")  # noqa: SLF001
    if wanted:
        endpoint.ip_address_type = wanted


def _is_on(value: Any) -> bool:
    return str(value).lower() == "true"


def endpoint_form(body: bytes, *, topology: Callable[[], Topology]) -> bytes:
    """The parameters of Create- and ModifyVpcEndpoint with what AWS adds or refuses."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    given = dict(pairs)
    action = given.get("Action")
    if action not in {"CreateVpcEndpoint", "ModifyVpcEndpoint"}:
        return body
    if text := given.get("PolicyDocument"):
        _check_policy(text)
    if action == "CreateVpcEndpoint":
        _check_new(given, topology)
        if "VpcEndpointType" not in given:
            pairs.append(("VpcEndpointType", _GATEWAY))
    if action == "ModifyVpcEndpoint":
        _check_changed(given, topology)
        if given.get("ResetPolicy") == "true":
            pairs.append(("PolicyDocument", DEFAULT_POLICY))
    return urlencode(pairs).encode()


def _check_policy(text: str) -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html"""
    if len(text) > _MOST_POLICY:
        raise _refused("InvalidPolicyDocument", f"The policy document is longer than {_MOST_POLICY} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused("InvalidPolicyDocument", "The specified policy document is not a valid JSON policy document")


def _check_new(given: Mapping[str, str], topology: Callable[[], Topology]) -> None:
    kind = given.get("VpcEndpointType", _GATEWAY)
    _check_fit(given, kind)
    now = topology()
    _check_service(given, region=now.region)
    _check_named(given, now)
    if kind == _INTERFACE and given.get("PrivateDnsEnabled") != "false":
        _check_private_dns(now, vpc_id=given.get("VpcId", ""), service=given.get("ServiceName", ""), given=given)


def _check_fit(given: Mapping[str, str], kind: str) -> None:
    """Which parameters an endpoint of the type has."""
    if kind not in _TYPES:
        raise _refused("InvalidParameter", f"Invalid value '{kind}' for VpcEndpointType.")
    lists = {name.partition(".")[0] for name in given if "." in name}
    if kind == _GATEWAY:
        if given.get("PrivateDnsEnabled") == "true":
            raise _refused("InvalidParameter", "Private DNS can't be enabled because the endpoint type is Gateway.")
        for name in ("SubnetId", "SecurityGroupId"):
            if name in lists:
                raise _refused("InvalidParameter", f"{name}s can't be given for endpoints of type Gateway.")
    elif "RouteTableId" in lists:
        raise _refused("InvalidParameter", "Route table IDs are only supported for Gateway type VPC Endpoint.")


def _check_service(given: Mapping[str, str], *, region: str) -> None:
    name = given.get("ServiceName", "")
    of_aws = _SERVICE.fullmatch(name)
    elsewhere = of_aws is not None and of_aws["region"] != given.get("ServiceRegion", region)
    if elsewhere or not re.fullmatch(r"[a-z]+(?:\.[a-z0-9_-]+){2,}", name):
        raise _refused("InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist")


def _check_named(given: Mapping[str, str], topology: Topology) -> None:
    """Nothing is made where what it names is not there."""
    for name, value in given.items():
        member = name.partition(".")[0].removeprefix("Add")
        if member in _NAMED and "." in name:
            find, code, what = _NAMED[member]
            if not find(topology, value):
                raise _refused(f"{code}.NotFound", f"The {what} '{value}' does not exist")


def _check_changed(given: Mapping[str, str], topology: Callable[[], Topology]) -> None:
    _check_named(given, topology())
    found = topology().endpoint(given.get("VpcEndpointId", ""))
    if found is None or found.kind is EndpointKind.GATEWAY:
        return
    if given.get("PrivateDnsEnabled") == "true" or given.get(f"DnsOptions.{_ONLY_INBOUND}") == "true":
        _check_private_dns(topology(), vpc_id=found.vpc_id, service=found.service, given=given, but=found.id)


def _check_private_dns(
    topology: Topology, *, vpc_id: str, service: str, given: Mapping[str, str], but: str | None = None
) -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html"""
    vpc = topology.vpc(vpc_id)
    if vpc is not None and not (vpc.dns_support and vpc.dns_hostnames) and given.get("PrivateDnsEnabled") == "true":
        message = (
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true "
            f"for {vpc_id}"
        )
        raise _refused("InvalidParameter", message)
    beside = [found for found in topology.endpoints if (found.vpc_id, found.service) == (vpc_id, service)]
    if any(found.private_dns for found in beside if found.id != but):
        message = (
            "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
            f"{_host(service)} in the VPC {vpc_id}"
        )
        raise _refused("InvalidParameter", message)
    has_gateway = any(found.kind is EndpointKind.GATEWAY for found in beside)
    if given.get(f"DnsOptions.{_ONLY_INBOUND}") == "true" and not has_gateway:
        message = f"To set {_ONLY_INBOUND} to true, the VPC {vpc_id} must have a Gateway endpoint for the service."
        raise _refused("InvalidParameter", message)


def _host(service: str) -> str:
    parts = service.removeprefix("cn.").split(".")
    return ".".join((*reversed(parts[3:]), parts[2], suffix(parts[2]))) if len(parts) > 3 else service


def _refused(code: str, message: str) -> Refused:
    return Refused(code, status=400, message=message)
