"""Where a vantage point stands, for a snapshot: subnets, security groups, addresses, and whose role it has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.run.world import partition_of
from pytest_s3vpce.snapshot.asking import asked
from pytest_s3vpce.snapshot.paths import function_network, instance_row
from pytest_s3vpce.snapshot.state import Unread, VantageRow

if TYPE_CHECKING:
    from pytest_s3vpce.points import Ec2, Lambda
    from pytest_s3vpce.run.world import World

_ELSEWHERE: Final = "what network a {kind} vantage point sends from is not known"
_FUNCTION: Final = "lambda:SourceFunctionArn"
_INSTANCE: Final = "ec2:SourceInstanceARN"
_PARTS_OF_FUNCTION: Final = 7
"""Of its ARN, without a version or alias: what the key then holds is documented nowhere."""
_NOWHERE: Final = "the function stands in no VPC, so its public address is one of AWS's own"


def of_place(name: str, kind: str, *, direct: bool, address: str | None) -> VantageRow:
    """A place outside of every account: this machine where `direct`, else one whose network nobody can ask for."""
    if not direct:
        return VantageRow(name=name, kind=kind, why=_ELSEWHERE.format(kind=kind))
    return VantageRow(name=name, kind=kind, public_ip=address)


def of_function(
    row: VantageRow, ec2: Any, functions: Any, world: World, settings: Lambda
) -> tuple[VantageRow, str | None]:
    """The row of a function, and the ARN of its role where that is known beforehand."""
    path = ("vantage_points", row.name, "lambda")
    if settings.function is not None:
        return _there(row, functions, world.resolve(settings.function, *path, "function"))
    subnets, groups, _ = function_network(
        ec2,
        world.chosen(settings.subnets, *path, "subnets"),
        world.chosen(settings.security_groups, *path, "security_groups"),
    )
    role = world.resolve(settings.role, *path, "role") if settings.role else None
    found = replace(row, subnets=subnets, security_groups=groups, dual_stack=settings.dual_stack)
    return (found if subnets else replace(found, why="its subnets could not be described")), role


def _there(row: VantageRow, functions: Any, function: str) -> tuple[VantageRow, str | None]:
    found = asked(lambda: functions.get_function_configuration(FunctionName=function))
    if found is None or isinstance(found, Unread):
        return replace(row, why="its function could not be described" if found is None else found.unread), None
    network = found.get("VpcConfig") or {}
    subnets = tuple(network.get("SubnetIds") or ())
    made = replace(
        row,
        subnets=subnets,
        security_groups=tuple(network.get("SecurityGroupIds") or ()),
        dual_stack=bool(network.get("Ipv6AllowedForDualStack")),
    )
    arn = str(found.get("FunctionArn", ""))
    if len(arn.split(":")) == _PARTS_OF_FUNCTION:
        made = replace(made, brought={_FUNCTION: arn})
    return (made if subnets else replace(made, why=_NOWHERE)), found.get("Role")


def of_instance(row: VantageRow, ec2: Any, iam: Any, world: World, settings: Ec2) -> tuple[VantageRow, str | None]:
    """The row of an instance: of one that the run makes, as far as it is known before."""
    path = ("vantage_points", row.name, "ec2")
    if settings.subnet is not None:
        profile = world.resolve(settings.profile or "", *path, "profile")
        made = replace(
            row,
            subnets=world.resolve_list((settings.subnet,), *path, "subnet"),
            security_groups=world.resolve_list(settings.security_groups, *path, "security_groups"),
        )
        return made, _role(iam, profile)
    tags = {key: world.resolve(value, *path, "tags", key) for key, value in settings.tags.items()}
    instance = world.resolve(settings.instance, *path, "instance") if settings.instance else None
    found = asked(lambda: instance_row(ec2, instance, tags))
    if isinstance(found, Unread):
        return replace(row, why=found.unread), None
    if found is None:
        return replace(row, why="no such instance is running"), None
    brought = _brought(found, partition_of(row.region), f"{row.region}:{world.account_id(row.account)}")
    role = _role(iam, (found.get("IamInstanceProfile") or {}).get("Arn", ""))
    return replace(_instance(row, found), brought=brought), role


def _brought(found: dict[str, Any], partition: str, home: str) -> dict[str, str]:
    """What the credentials of an instance's role carry; the agent takes them by IMDSv2.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-role-properties
    and https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    where = {"aws:Ec2InstanceSourceVpc": "VpcId", "aws:Ec2InstanceSourcePrivateIPv4": "PrivateIpAddress"}
    return {
        _INSTANCE: f"arn:{partition}:ec2:{home}:instance/{found['InstanceId']}",
        "ec2:RoleDelivery": "2.0",
        **{key: found[name] for key, name in where.items() if found.get(name)},
    }


def session_of(row: VantageRow) -> str | None:
    """The name of the role's session: the function's, or the instance's id.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
    """
    brought = row.brought or {}
    arn = brought.get(_FUNCTION) or brought.get(_INSTANCE)
    return None if arn is None else arn.rpartition(":")[2].rpartition("/")[2]


def _instance(row: VantageRow, found: dict[str, Any]) -> VantageRow:
    interfaces = found.get("NetworkInterfaces") or [{}]
    six = [entry["Ipv6Address"] for entry in interfaces[0].get("Ipv6Addresses", ())]
    return replace(
        row,
        subnets=(found["SubnetId"],) if found.get("SubnetId") else (),
        security_groups=tuple(group["GroupId"] for group in found.get("SecurityGroups", ())),
        private_ip=found.get("PrivateIpAddress"),
        public_ip=found.get("PublicIpAddress"),
        ipv6=next(iter(six), None),
    )


def _role(iam: Any, profile: str) -> str | None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html"""
    if not profile:
        return None
    name = profile.rpartition("/")[2]
    found = asked(lambda: iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"])
    return found[0]["Arn"] if isinstance(found, list) and found else None
