"""What an inventory says of functions that are made, resolved: where, as what, and what their agent may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_s3vpce.vantage import AgentConfig, Deployment, RunRole, agent

if TYPE_CHECKING:
    from pytest_s3vpce.points import Lambda
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.world import World


def deployment_of(world: World, name: str, row: Lambda) -> Deployment:
    """How the vantage point's function is to be made."""
    path = ("vantage_points", name, "lambda")
    return Deployment(
        subnets=world.chosen(row.subnets, *path, "subnets"),
        security_groups=world.chosen(row.security_groups, *path, "security_groups"),
        role=_role(world, row, *path),
        tags=row.tags,
        dual_stack=row.dual_stack,
        kms_key=world.resolve(row.kms_key, *path, "kms_key") if row.kms_key else None,
        **given(memory=row.memory, architecture=row.architecture, runtime=row.runtime),
    )


def _role(world: World, row: Lambda, *path: str) -> str | RunRole:
    if row.role is not None:
        return world.resolve(row.role, *path, "role")
    boundary = row.permissions_boundary
    return RunRole(
        path=row.role_path or "/",
        permissions_boundary=world.resolve(boundary, *path, "permissions_boundary") if boundary else None,
        tags=row.tags,
    )


def hosts_of(world: World) -> tuple[str, ...] | None:
    """AWS's own hosts, with those that the inventory allows besides; None where it allows none."""
    more = world.resolve_list(world.inventory.allow_hosts, "allow_hosts")
    return (*agent.HOSTS, *more) if more else None


def placed(world: World, environment: Environment) -> AgentConfig:
    """What agents may do that are deployed in a network of the accounts."""
    return AgentConfig(hosts=hosts_of(world), loopback=environment.loopback)


def given(**values: Any) -> dict[str, Any]:
    """Those that are given."""
    return {name: value for name, value in values.items() if value is not None}
