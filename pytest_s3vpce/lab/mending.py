"""Where the library that holds the account state differs from AWS: its classes and the requests to it, put right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab.readying import mend_once
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import address_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_s3vpce.network.topology import Topology


def mend_buckets(bucket_class: Any, *, permitted: object, block_class: Any) -> None:
    """No policy check of its own, and what AWS gives each new bucket since 2023.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    """
    original = bucket_class.__init__

    def begin(self: Any, *args: Any, **named: Any) -> None:
        original(self, *args, **named)
        self.public_access_block = block_class("true", "true", "true", "true")
        self.ownership_rule = "BucketOwnerEnforced"
        self.encryption = {
            "Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}
        }

    bucket_class.__init__ = begin
    bucket_class.get_permission = lambda _self, _action, _resource: permitted
    bucket_class.has_default_lock = False  # what an object is locked by is settled once it is there
    bucket_class._log_permissions_enabled_policy = staticmethod(_names_log_delivery)  # noqa: SLF001 - theirs


def _names_log_delivery(target_bucket: Any, target_prefix: str | None) -> bool:
    """Whether the policy speaks of log delivery at all; what it lets in is decided when a log is written.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    del target_prefix
    return b"logging.s3.amazonaws.com" in (target_bucket.policy or b"")


def mend_objects(key_class: Any) -> None:
    """What reads an object while another request deletes it has read it; its bytes are closed with the last reader."""
    close, plain = key_class.dispose, key_class.etag.fget

    def dispose(self: Any, garbage: bool = False) -> None:  # noqa: FBT001, FBT002 - theirs
        if garbage:
            close(self, garbage)
        self.disposed = True

    def etag(self: Any) -> str:
        with self.lock:  # it is read from where others read the value
            return str(plain(self))

    key_class.dispose, key_class.etag = dispose, property(etag)


def mend_locks(backend_class: Any) -> None:
    """Object Lock is set and changed on buckets that hold objects too, as long as they are versioned.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html
    """
    original = backend_class.put_object_lock_configuration

    def put(self: Any, bucket_name: str, lock_enabled: bool, *default: Any, **named: Any) -> None:  # noqa: FBT001 - theirs
        bucket = self.get_bucket(bucket_name)
        if not bucket.is_versioned or not bucket.keys.item_size():
            original(self, bucket_name, lock_enabled, *default, **named)
            return
        given = dict(zip(("mode", "days", "years"), default, strict=False)) | named
        bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
        for field in ("mode", "days", "years"):
            setattr(bucket, f"default_lock_{field}", given.get(field))

    backend_class.put_object_lock_configuration = put
    backend_class.log_incoming_request = lambda _self, _request, _bucket: None  # the lab writes access logs itself


def mend_keys(responses: Any) -> None:
    """No policy check of its own, which takes a deny for one of everybody's, whatever its conditions."""
    responses.validate_policy = lambda _key, _action: None


def mend_selectors(trail_class: Any) -> None:
    """A trail has basic or advanced selectors, those that it was given last.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html
    """
    original = trail_class.put_event_selectors

    def put(self: Any, event_selectors: Any, advanced_event_selectors: Any) -> None:
        self.advanced_event_selectors = []
        original(self, event_selectors, advanced_event_selectors)

    trail_class.put_event_selectors = put


def mend_addresses(*, nat_class: Any, backend_class: Any, address_class: Any, public: Callable[[], str]) -> None:
    """Public addresses that are no loopback ones, and NAT gateways at an address of their subnet."""
    first_nat, first_address = nat_class.__init__, address_class.__init__

    def begin_address(self: Any, *args: Any, **named: Any) -> None:
        first_address(self, *args, **named)
        if self.public_ip.startswith("127."):
            self.public_ip = public()

    def begin_nat(self: Any, *args: Any, **named: Any) -> None:
        first_nat(self, *args, **named)
        address = address_in(str(self._eni.subnet.cidr_block), seed=self.id)
        self.private_ip = self._eni.private_ip_address = address
        self._eni.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]

    address_class.__init__ = begin_address
    nat_class.__init__ = begin_nat
    backend_class.create_vpc = _with_open_defaults(backend_class.create_vpc)
    backend_class.create_default_vpc = _with_way_out(backend_class.create_default_vpc)
    backend_class.associate_vpc_cidr_block = _with_six(backend_class.associate_vpc_cidr_block)


def mend_interfaces(interface_class: Any) -> None:
    """Interfaces have the IPv6 address that their subnet gives to new ones, and show it.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-public-ip.html
    """
    first = interface_class.__init__

    def begin(self: Any, *args: Any, **named: Any) -> None:
        first(self, *args, **named)
        blocks = [entry["ipv6CidrBlock"] for entry in self.subnet.ipv6_cidr_block_association_set]
        gives = str(self.subnet.assign_ipv6_address_on_creation).lower() == "true"
        if blocks and gives and not self.ipv6_addresses:
            self.ipv6_addresses = [address_in(blocks[0], seed=self.id)]

    interface_class.__init__ = begin


def mend_subnets(subnet_class: Any) -> None:
    """Subnets are found by their IPv6 blocks too, as Terraform does while it waits for them.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html
    """
    original = subnet_class.get_filter_value

    def value(self: Any, name: str, *args: Any) -> Any:
        member = _SIX_FILTERS.get(name)
        if member is None:
            return original(self, name, *args)
        return [str(entry[member]) for entry in self.ipv6_cidr_block_association_set]

    shown = subnet_class.ipv6_cidr_block_association_set.fget

    def blocks(self: Any) -> list[dict[str, Any]]:
        return [
            {**entry, "ipv6CidrBlockState": {"state": "associated"}} for entry in shown(self)
        ]  # it nested them twice

    subnet_class.get_filter_value = value
    subnet_class.ipv6_cidr_block_association_set = property(blocks)


_SIX_FILTERS = {
    "ipv6-cidr-block-association.association-id": "associationId",
    "ipv6-cidr-block-association.ipv6-cidr-block": "ipv6CidrBlock",
}


def mend_routes(route_class: Any) -> None:
    """A route whose target is gone stays as a black hole.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Route.html
    """

    def state(self: Any) -> str:
        return "active" if all(_is_there(self, kind) for kind in _GONE) else "blackhole"

    route_class.state = property(state)


_GONE: dict[str, Callable[[Any, Any], bool]] = {
    "nat_gateway": lambda _, target: target.state == "available",
    "vpc_pcx": lambda _, target: target.status["Code"] == "active",
    "gateway": lambda backend, target: (
        not target.id.startswith("igw-") or (target.id in backend.internet_gateways and target.vpc is not None)
    ),
    "egress_only_igw": lambda backend, target: target.id in backend.egress_only_internet_gateways,
    "interface": lambda backend, target: target.id in backend.enis,
}
"""Whether a route's target of this kind is there still."""


def _is_there(route: Any, kind: str) -> bool:
    target = getattr(route, kind, None)
    return not target or _GONE[kind](route.route_table.ec2_backend, target)


def _with_open_defaults(original: Callable[..., Any]) -> Callable[..., Any]:
    """The default security group lets its own members in; the default network ACL knows IPv6 where the VPC does.

    https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html and
    https://docs.aws.amazon.com/vpc/latest/userguide/default-network-acl.html
    """

    def create(self: Any, *args: Any, **named: Any) -> Any:
        vpc = original(self, *args, **named)
        group = self.get_default_security_group(vpc.id)
        if group is not None and not group.ingress_rules:
            self.authorize_security_group_ingress(
                group_name_or_id=group.id,
                ip_protocol="-1",
                from_port=None,
                to_port=None,
                ip_ranges=[],
                source_groups=[{"GroupId": group.id}],
                vpc_id=vpc.id,
            )
        _open_by_six(self, vpc)
        return vpc

    return create


def _with_way_out(original: Callable[..., Any]) -> Callable[..., Any]:
    """A default VPC has an internet gateway, and its main route table leads there.

    https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html
    """

    def create(self: Any) -> Any:
        vpc = original(self)
        gateway = self.create_internet_gateway()
        self.attach_internet_gateway(gateway.id, vpc.id)
        for table in list(self.route_tables.values()):
            if table.vpc_id == vpc.id:
                self.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)
        return vpc

    return create


def _with_six(original: Callable[..., Any]) -> Callable[..., Any]:
    def associate(self: Any, vpc_id: str, *args: Any, **named: Any) -> Any:
        answer = original(self, vpc_id, *args, **named)
        _open_by_six(self, self.get_vpc(vpc_id))
        return answer

    return associate


def _open_by_six(backend: Any, vpc: Any) -> None:
    if not vpc.get_cidr_block_association_set(ipv6=True):
        return
    for acl in list(backend.network_acls.values()):
        if acl.vpc_id != vpc.id or not acl.default or any(entry.ipv6_cidr_block for entry in acl.network_acl_entries):
            continue
        for egress in ("true", "false"):
            backend.create_network_acl_entry(acl.id, 101, "-1", "allow", egress, None, None, None, None, None, "::/0")


def mend_functions(function_class: Any, *, vpc_of: Callable[[str, str, str], str | None]) -> None:
    """A function's configuration names the VPC of its subnets; `vpc_of` takes account, Region and subnet."""

    def vpc_config(self: Any) -> dict[str, Any] | None:
        config = self._vpc_config
        if not config or not config.get("SubnetIds"):
            return None
        return {**config, "VpcId": vpc_of(self.account_id, self.region, config["SubnetIds"][0]) or ""}

    function_class.vpc_config = property(vpc_config)
    mend_once(function_class, lambda: _mend_function_updates(function_class))


def _mend_function_updates(function_class: Any) -> None:
    """A function's key and architecture can be changed.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
    """
    update_code, update_configuration = function_class.update_function_code, function_class.update_configuration

    def with_architecture(self: Any, updated_spec: dict[str, Any]) -> Any:
        self.architectures = updated_spec.get("Architectures") or self.architectures
        return update_code(self, updated_spec)

    def with_key(self: Any, config_updates: dict[str, Any]) -> Any:
        if "KMSKeyArn" in config_updates:
            self.kms_key_arn = config_updates["KMSKeyArn"] or None
        return update_configuration(self, config_updates)

    function_class.update_function_code = with_architecture
    function_class.update_configuration = with_key


def mend_documents(models: Any, *, malformed: Callable[[str], Exception]) -> None:
    """Policies of identities name no principal.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    original = models.IAMPolicyDocumentValidator

    class Validator(original):  # type: ignore[misc, valid-type]
        def validate(self) -> None:
            super().validate()
            if any(name in row for row in self._statements for name in ("Principal", "NotPrincipal")):
                raise malformed("Policy document should not specify a principal.")

    models.IAMPolicyDocumentValidator = Validator


def check_function_network(body: bytes, *, topology: Callable[[], Topology]) -> None:
    """Refuse subnets and security groups that do not exist.

    https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    """
    try:
        network = json.loads(body or b"{}").get("VpcConfig") or {}
        subnets, groups = network.get("SubnetIds") or (), network.get("SecurityGroupIds") or ()
    except (ValueError, AttributeError, RecursionError):
        return
    if not subnets and not groups:
        return
    state = topology()
    _refuse_unknown(subnets, known=state.subnet, what=("DescribeSubnets", "InvalidSubnetID", "subnet ID"))
    _refuse_unknown(
        groups, known=state.security_group, what=("DescribeSecurityGroups", "InvalidGroup", "security group")
    )


def _refuse_unknown(ids: Iterable[Any], *, known: Callable[[str], object | None], what: tuple[str, str, str]) -> None:
    call, code, name = what
    for identifier in ids:
        if known(str(identifier)) is None:
            message = (
                f"Error occurred while {call}. EC2 Error Code: {code}.NotFound. "
                f"EC2 Error Message: The {name} '{identifier}' does not exist"
            )
            raise Refused("InvalidParameterValueException", status=400, message=message)
