"""What the lab's account state holds, as frozen values: buckets, roles, users' keys and functions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING

from pytest_s3vpce.lab.origin import Placement

if TYPE_CHECKING:
    from pytest_s3vpce.lab.compute import FunctionSpec
    from pytest_s3vpce.network.topology import Topology

RUNNER = "s3vpce-runner"
PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov", "eusc": "aws-eusc"}
_RESERVED = 4
"""The first addresses of a subnet belong to AWS, and the last one.

https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
"""


@lru_cache(maxsize=256)
def partition_of(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    return next((name for start, name in PARTITIONS.items() if region.startswith(f"{start}-")), "aws")


def bucket_arn(name: str, *, region: str) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-arn-format.html"""
    return f"arn:{partition_of(region)}:s3:::{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAccessBlock:
    """The four settings of Block Public Access."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketState:
    """A bucket as access decisions see it."""

    name: str
    account: str
    region: str
    policy: str | None = None
    ownership: str | None = None
    public_access_block: PublicAccessBlock | None = None
    versioned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleState:
    """A role; `id` is its unique id, AROA..."""

    arn: str
    name: str
    id: str
    path: str
    account: str
    trust_policy: str
    max_session_seconds: int = 3600
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserKey:
    """An active access key of an IAM user."""

    access_key_id: str
    secret: str = field(repr=False)
    account: str
    user_arn: str
    user_id: str
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionState:
    """A function and its network configuration; without subnets it stands outside of any VPC."""

    spec: FunctionSpec
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    dual_stack: bool = False
    """Whether it was let use IPv6 in subnets that have it."""
    runtime: str = "python3.13"
    """Empty for container images."""
    version: str = "$LATEST"
    concurrency: int | None = None
    """Of calls that may run at once; None where nothing is set aside for it."""

    def placement(self, topology: Topology) -> Placement | None:
        """Where it runs: in its first subnet, at an address that is the same each time."""
        if not self.subnet_ids:
            return None
        subnet = topology.subnet(self.subnet_ids[0])
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-ipv6
        six = subnet.ipv6_cidr if subnet and self.dual_stack else None
        return Placement(
            account=self.spec.account,
            region=self.spec.region,
            subnet_id=self.subnet_ids[0],
            security_group_ids=self.security_group_ids,
            private_ip=address_in(subnet.cidr if subnet else "10.0.0.0/24", seed=self.spec.arn),
            ipv6=address_in(six, seed=self.spec.arn) if six else None,
        )


def public_address(seed: str) -> str:
    """An address of an interface in a subnet that gives public ones, from a block for documentation (RFC 5737)."""
    return address_in("203.0.113.0/24", seed=seed)


def address_in(cidr: str, *, seed: str) -> str:
    """A host address of the block, chosen by the seed."""
    block = ip_network(cidr, strict=False)
    usable = block.num_addresses - _RESERVED - 1
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") % max(1, usable)
    return str(block[min(_RESERVED + number, block.num_addresses - 1)])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerKeys:
    """The keys of an account's user `s3vpce-runner`, and the role it may assume."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    role: str
