"""Where the library that holds the account state differs from AWS: its classes and the requests to it, put right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_s3vpce.network.topology import Topology

DEFAULT_ENDPOINT_POLICY = json.dumps(
    {"Version": "2008-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
)


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


def mend_endpoints(ec2_class: Any) -> None:
    """ModifyVpcEndpoint changes the routes too.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcEndpoint.html
    """
    original = ec2_class.modify_vpc_endpoint

    def modify(self: Any, vpc_id: str, *args: Any, **named: Any) -> None:
        for table_id in named["add_route_tables"] or ():
            self.get_route_table(table_id)
        endpoint = self.describe_vpc_endpoints(vpc_end_point_ids=[vpc_id])[0]
        before = set(endpoint.route_table_ids)
        original(self, vpc_id, *args, **named)
        after = set(endpoint.route_table_ids)
        prefix_list = endpoint.destination_prefix_list_id
        if prefix_list is None:
            return
        for table_id in after - before:
            self.create_route(table_id, None, gateway_id=vpc_id, destination_prefix_list_id=prefix_list)
        for table_id in before - after:
            self.delete_route(table_id, prefix_list)

    ec2_class.modify_vpc_endpoint = modify


def mend_functions(function_class: Any, *, vpc_of: Callable[[str, str, str], str | None]) -> None:
    """A function's configuration names the VPC of its subnets; `vpc_of` takes account, Region and subnet."""

    def vpc_config(self: Any) -> dict[str, Any] | None:
        config = self._vpc_config
        if not config or not config.get("SubnetIds"):
            return None
        return {**config, "VpcId": vpc_of(self.account_id, self.region, config["SubnetIds"][0]) or ""}

    function_class.vpc_config = property(vpc_config)


def endpoint_form(body: bytes) -> bytes:
    """The parameters of Create- and ModifyVpcEndpoint with what AWS adds or refuses."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    given = dict(pairs)
    action = given.get("Action")
    if action not in {"CreateVpcEndpoint", "ModifyVpcEndpoint"}:
        return body
    if (text := given.get("PolicyDocument")) and not _is_object(text):
        message = "The specified policy document is not a valid JSON policy document"
        raise Refused("InvalidPolicyDocument", status=400, message=message)
    if action == "CreateVpcEndpoint" and "VpcEndpointType" not in given:
        pairs.append(("VpcEndpointType", "Gateway"))
    if action == "ModifyVpcEndpoint" and given.get("ResetPolicy") == "true":
        pairs.append(("PolicyDocument", DEFAULT_ENDPOINT_POLICY))
    return urlencode(pairs).encode()


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


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
