"""Where a function stands: subnets and security groups, by id or by tags, looked at before anything is made there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.vantage import reasons
from pytest_s3vpce.vantage.control import FAULTS, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_s3vpce.errors import VantageError
    from pytest_s3vpce.vantage.control import ControlPlane

Chosen = tuple[str, ...] | Mapping[str, str]
"""By their ids, or all that have these tags."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is chosen, how EC2 describes it, and where its answer has it."""

    what: str
    call: str
    argument: str
    rows: str
    id: str


_SUBNET: Final = _Kind("subnet", "describe_subnets", "SubnetIds", "Subnets", "SubnetId")
_GROUP: Final = _Kind("security group", "describe_security_groups", "GroupIds", "SecurityGroups", "GroupId")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The ids of what was chosen, all of one VPC. None of each: outside any VPC."""

    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    dual_stack: bool = False

    def arguments(self) -> dict[str, Any]:
        """As Lambda wants it: https://docs.aws.amazon.com/lambda/latest/api/API_VpcConfig.html"""
        config: dict[str, Any] = {"SubnetIds": list(self.subnets), "SecurityGroupIds": list(self.security_groups)}
        return {**config, "Ipv6AllowedForDualStack": True} if self.dual_stack else config


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Where a function is to stand, as it is written."""

    subnets: Chosen = ()
    security_groups: Chosen = ()
    dual_stack: bool = False


def stands(config: Mapping[str, Any], *, at: Network | Wanted) -> bool:
    """Whether a function with this VpcConfig is there; where tags choose, whether it is anywhere."""
    return (
        _chosen(config.get("SubnetIds", ()), at.subnets)
        and _chosen(config.get("SecurityGroupIds", ()), at.security_groups)
        and bool(config.get("Ipv6AllowedForDualStack")) is at.dual_stack
    )


def _chosen(ids: Sequence[str], chosen: Chosen) -> bool:
    return bool(ids) if isinstance(chosen, Mapping) else set(ids) == set(chosen)


def look_up(control: ControlPlane, wanted: Wanted, *, error: Callable[..., VantageError]) -> Network:
    """The network that is meant. VantageError where it is not there, or not one."""
    look = _Look(control, error)
    subnets = look.described(_SUBNET, wanted.subnets)
    vpcs = {row["VpcId"] for row in subnets}
    # Groups of a name stand in every VPC; by tags those of the subnets' one are meant.
    within = min(vpcs) if len(vpcs) == 1 else None
    groups = look.described(_GROUP, wanted.security_groups, vpc=within)
    if bool(subnets) != bool(groups):
        raise error("subnets and security groups go together", remedy="name at least one of each, or neither")
    vpcs |= {row["VpcId"] for row in groups}
    if len(vpcs) > 1:
        raise error(
            f"its subnets and security groups are in different VPCs: {', '.join(sorted(vpcs))}",
            remedy="name subnets and security groups of one VPC",
        )
    if wanted.dual_stack:
        _check_dual_stack(subnets, error)
    return Network(
        subnets=_ids(_SUBNET, wanted.subnets, subnets),
        security_groups=_ids(_GROUP, wanted.security_groups, groups),
        dual_stack=wanted.dual_stack,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    control: ControlPlane
    error: Callable[..., VantageError]

    def described(self, kind: _Kind, chosen: Chosen, *, vpc: str | None = None) -> list[dict[str, Any]]:
        if not chosen:
            return []
        ids = not isinstance(chosen, Mapping)
        arguments: dict[str, Any] = {kind.argument: list(chosen)} if ids else {"Filters": _filters(chosen, vpc)}
        names = ", ".join(f"`{name}`" for name in chosen) if ids else f"with {tags_in_words(chosen)}"
        theirs = f"name {kind.what}s of account `{self.control.account}` in {self.control.region}"
        try:
            answer = getattr(self.control.client("ec2"), kind.call)(**arguments)
        except FAULTS as failure:
            raise self.error(
                f"{kind.what} {names}: {words_of(failure)}",
                remedy=reasons.remedy_of(failure, otherwise=theirs),
            ) from failure
        found: list[dict[str, Any]] = answer[kind.rows]
        if not found:
            place = f" of {vpc}" if vpc else ""
            raise self.error(f"there is no {kind.what} {names}{place}", remedy=f"correct the tags, or {theirs}")
        return found


def tags_in_words(tags: Chosen) -> str:
    """`tier=app and stage=test`."""
    assert isinstance(tags, Mapping)
    return " and ".join(f"{key}={value}" for key, value in tags.items())


def _filters(tags: Chosen, vpc: str | None) -> list[dict[str, Any]]:
    assert isinstance(tags, Mapping)
    rows = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    return [*rows, {"Name": "vpc-id", "Values": [vpc]}] if vpc else rows


def _ids(kind: _Kind, chosen: Chosen, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted(row[kind.id] for row in rows)) if isinstance(chosen, Mapping) else chosen


def _check_dual_stack(subnets: list[dict[str, Any]], error: Callable[..., VantageError]) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-ipv6"""
    without = [row["SubnetId"] for row in subnets if not row.get("Ipv6CidrBlockAssociationSet")]
    if without:
        raise error(
            f"`dual_stack` is wanted, but subnet {', '.join(without)} has no IPv6 addresses",
            remedy="give the subnet an IPv6 CIDR block, or leave `dual_stack` out",
        )
