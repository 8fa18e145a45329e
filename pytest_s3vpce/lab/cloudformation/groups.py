"""Security groups and rules of theirs that stand by themselves.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroup.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.making import Made, ResourceType, gone, tagged
from pytest_s3vpce.lab.cloudformation.network import retag
from pytest_s3vpce.lab.cloudformation.shapes import NUMBER, TEXT, Fields, Listed, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.cloudformation.making import Work
    from pytest_s3vpce.lab.cloudformation.shapes import Shape

_PEERS: Final[Mapping[str, tuple[str, str]]] = {
    "CidrIp": ("IpRanges", "CidrIp"),
    "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "SourceSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    "DestinationSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    "SourcePrefixListId": ("PrefixListIds", "PrefixListId"),
    "DestinationPrefixListId": ("PrefixListIds", "PrefixListId"),
}
_MISSING: Final = ("InvalidPermission.NotFound", "InvalidGroup.NotFound")
_ALL: Final = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
"""What a new group lets out.
https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html"""


def _rule_shapes(side: str) -> dict[str, Shape]:
    peers = texts(("CidrIp", "CidrIpv6", f"{side}SecurityGroupId", f"{side}PrefixListId"))
    return {"IpProtocol": TEXT, "FromPort": NUMBER, "ToPort": NUMBER, "Description": TEXT, **peers}


_IN: Final = _rule_shapes("Source")
_OUT: Final = _rule_shapes("Destination")


def _permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as EC2's API wants it."""
    made: dict[str, Any] = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in rule}
    told = {"Description": rule["Description"]} if "Description" in rule else {}
    for name, (group, key) in _PEERS.items():
        if name in rule:
            made[group] = [{key: rule[name], **told}]
    return made


def _make_group(work: Work) -> Made:
    given = {"Description": work.properties["GroupDescription"], **work.given("VpcId")}
    name = work.name("GroupName", most=255)
    found: str = work.client("ec2").create_security_group(GroupName=name, **given)["GroupId"]
    attributes = {"GroupId": found, "VpcId": work.properties.get("VpcId", ""), "Id": found}
    return Made(physical=found, attributes=attributes)


def _apply_group(work: Work, made: Made) -> None:
    ec2 = work.client("ec2")
    before = work.previous or {}
    _replace(
        made.physical,
        before.get("SecurityGroupIngress", ()),
        work.properties.get("SecurityGroupIngress", ()),
        add=ec2.authorize_security_group_ingress,
        take=ec2.revoke_security_group_ingress,
    )
    _replace(
        made.physical,
        before.get("SecurityGroupEgress") or (_ALL,),
        work.properties.get("SecurityGroupEgress") or (_ALL,),
        add=ec2.authorize_security_group_egress,
        take=ec2.revoke_security_group_egress,
    )
    retag(work, made)


def _replace(group: str, before: Any, after: Any, *, add: Any, take: Any) -> None:
    old = {json.dumps(rule, sort_keys=True): rule for rule in before}
    new = {json.dumps(rule, sort_keys=True): rule for rule in after}
    for key in old.keys() - new.keys():
        gone(take, *_MISSING, GroupId=group, IpPermissions=[_permission(old[key])])
    for key in [key for key in new if key not in old]:
        add(GroupId=group, IpPermissions=[_permission(new[key])])


def _remove_group(work: Work, made: Made) -> None:
    gone(work.client("ec2").delete_security_group, "InvalidGroup.NotFound", GroupId=made.physical)


def _make_ingress(work: Work) -> Made:
    return _make_rule(work, work.client("ec2").authorize_security_group_ingress)


def _make_egress(work: Work) -> Made:
    return _make_rule(work, work.client("ec2").authorize_security_group_egress)


def _make_rule(work: Work, call: Any) -> Made:
    answer = call(GroupId=work.properties["GroupId"], IpPermissions=[_permission(work.properties)])
    found = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    return Made(physical=found, attributes={"Id": found})


def _remove_ingress(work: Work, _: Made) -> None:
    call = work.client("ec2").revoke_security_group_ingress
    gone(call, *_MISSING, GroupId=work.properties["GroupId"], IpPermissions=[_permission(work.properties)])


def _remove_egress(work: Work, _: Made) -> None:
    call = work.client("ec2").revoke_security_group_egress
    gone(call, *_MISSING, GroupId=work.properties["GroupId"], IpPermissions=[_permission(work.properties)])


TYPES: Final = (
    ResourceType(
        name="AWS::EC2::SecurityGroup",
        properties=tagged(
            {
                **texts(("GroupDescription", "GroupName", "VpcId")),
                "SecurityGroupIngress": Listed(Fields(_IN, ("IpProtocol",))),
                "SecurityGroupEgress": Listed(Fields(_OUT, ("IpProtocol",))),
            }
        ),
        required=("GroupDescription",),
        attributes=frozenset({"GroupId", "VpcId", "Id"}),
        make=_make_group,
        apply=_apply_group,
        remove=_remove_group,
        mutable=frozenset({"SecurityGroupIngress", "SecurityGroupEgress", "Tags"}),
        named_by="GroupName",
    ),
    ResourceType(
        name="AWS::EC2::SecurityGroupIngress",
        properties={"GroupId": TEXT, **_IN},
        required=("GroupId", "IpProtocol"),
        attributes=frozenset({"Id"}),
        make=_make_ingress,
        remove=_remove_ingress,
    ),
    ResourceType(
        name="AWS::EC2::SecurityGroupEgress",
        properties={"GroupId": TEXT, **_OUT},
        required=("GroupId", "IpProtocol"),
        attributes=frozenset({"Id"}),
        make=_make_egress,
        remove=_remove_egress,
    ),
)
