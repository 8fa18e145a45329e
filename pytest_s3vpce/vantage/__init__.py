"""Where requests are sent from, and what was created for that. Resolved on use: boto3 is imported only for Lambda."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_s3vpce.vantage.base import AgentConfig, AgentVantage, Limits, Vantage
    from pytest_s3vpce.vantage.bundle import agent_zip
    from pytest_s3vpce.vantage.command import CommandVantage
    from pytest_s3vpce.vantage.control import ControlPlane
    from pytest_s3vpce.vantage.deployment import Deployment, RunRole
    from pytest_s3vpce.vantage.ec2 import Ec2Vantage, instance_with
    from pytest_s3vpce.vantage.kept import KeptLambdaVantage, Recipe
    from pytest_s3vpce.vantage.lambda_ import DeployedLambdaVantage, LambdaVantage
    from pytest_s3vpce.vantage.launch import Launch, LaunchedEc2Vantage
    from pytest_s3vpce.vantage.ledger import Entry, Kind, Ledger, Remaining
    from pytest_s3vpce.vantage.local import LocalVantage
    from pytest_s3vpce.vantage.program import ProgramVantage
    from pytest_s3vpce.vantage.removal import strike, sweep
    from pytest_s3vpce.vantage.stub import StubVantage

__all__ = [
    "AgentConfig",
    "AgentVantage",
    "CommandVantage",
    "ControlPlane",
    "DeployedLambdaVantage",
    "Deployment",
    "Ec2Vantage",
    "Entry",
    "KeptLambdaVantage",
    "Kind",
    "LambdaVantage",
    "Launch",
    "LaunchedEc2Vantage",
    "Ledger",
    "Limits",
    "LocalVantage",
    "ProgramVantage",
    "Recipe",
    "Remaining",
    "RunRole",
    "StubVantage",
    "Vantage",
    "agent_zip",
    "instance_with",
    "strike",
    "sweep",
]

_HOMES = {
    "AgentConfig": "base",
    "AgentVantage": "base",
    "CommandVantage": "command",
    "ControlPlane": "control",
    "DeployedLambdaVantage": "lambda_",
    "Deployment": "deployment",
    "Ec2Vantage": "ec2",
    "Entry": "ledger",
    "KeptLambdaVantage": "kept",
    "Kind": "ledger",
    "LambdaVantage": "lambda_",
    "Launch": "launch",
    "LaunchedEc2Vantage": "launch",
    "Ledger": "ledger",
    "Limits": "base",
    "LocalVantage": "local",
    "ProgramVantage": "program",
    "Recipe": "kept",
    "Remaining": "ledger",
    "RunRole": "deployment",
    "StubVantage": "stub",
    "Vantage": "base",
    "agent_zip": "bundle",
    "instance_with": "ec2",
    "strike": "removal",
    "sweep": "removal",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `{__name__}` has no `{name}`")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
