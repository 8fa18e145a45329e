"""EC2 instances as SSM and their scripts see them: where they stand, whose role they have, whether they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.resources import partition_of

if TYPE_CHECKING:
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.network.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance; `role` is that of its instance profile."""

    id: str
    account: str
    region: str
    state: str
    platform: str
    subnet_id: str | None
    security_group_ids: tuple[str, ...]
    private_ip: str
    public_ip: str | None = None
    ipv6: str | None = None
    role: str | None = None
    launched: float = 0

    @property
    def connected(self) -> bool:
        """Whether SSM can reach it: it runs, in a subnet, and has a role to register with.

        Whether its network leads to SSM's endpoints is not looked at, nor whether the role may register.
        https://docs.aws.amazon.com/systems-manager/latest/userguide/setup-instance-permissions.html
        """
        return self.state == "running" and self.role is not None and self.subnet_id is not None

    @property
    def placement(self) -> Placement:
        assert self.subnet_id is not None
        return Placement(
            account=self.account,
            region=self.region,
            subnet_id=self.subnet_id,
            security_group_ids=self.security_group_ids,
            private_ip=self.private_ip,
            public_ip=self.public_ip,
            ipv6=self.ipv6,
        )


def instances(state: State, account: str, region: str) -> tuple[Instance, ...]:
    """All instances of an account and Region, terminated ones too as long as EC2 shows them."""
    try:
        backend = state.backends("ec2")[account][region]
    except KeyError:
        return ()
    profiles = _profiles(state, account, region)
    held = {key: held.iam_instance_profile.arn for key, held in list(backend.iam_instance_profile_associations.items())}
    return tuple(
        _instance(found, account=account, region=region, role=profiles.get(held.get(found.id)))
        for group in list(backend.reservations.values())
        for found in list(group.instances)
    )


def _profiles(state: State, account: str, region: str) -> dict[str | None, str]:
    """Each instance profile's role."""
    profiles = state.backends("iam")[account][partition_of(region)].instance_profiles.values()
    return {found.arn: found.roles[0].arn for found in list(profiles) if found.roles}


def _instance(found: Any, *, account: str, region: str, role: str | None) -> Instance:
    interface = found.nics.get(0) or found.nics.get("0")
    return Instance(
        id=found.id,
        account=account,
        region=region,
        state=found.state,
        platform="Windows" if str(found.platform or "").lower() == "windows" else "Linux",
        subnet_id=found.subnet_id,
        security_group_ids=tuple(sorted(group.id for group in (interface.group_set if interface else ()))),
        private_ip=interface.private_ip_address if interface else "",
        public_ip=interface.public_ip if interface else None,
        ipv6=next(iter(interface.ipv6_addresses), None) if interface else None,
        role=role,
        launched=found.launch_time.timestamp(),
    )


def brought(instance: Instance, topology: Topology) -> tuple[tuple[str, str], ...]:
    """The condition keys that an instance's credentials bring along, wherever they are used.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    subnet = topology.subnet(instance.subnet_id or "")
    arn = f"arn:{partition_of(instance.region)}:ec2:{instance.region}:{instance.account}:instance/{instance.id}"
    return (
        ("aws:Ec2InstanceSourceVpc", subnet.vpc_id if subnet else ""),
        ("aws:Ec2InstanceSourcePrivateIPv4", instance.private_ip),
        ("ec2:SourceInstanceARN", arn),
        ("ec2:RoleDelivery", "2.0"),
    )
