"""Stacks as the API describes them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Types.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab.cloudformation import parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.cloudformation.stacks import Event, Resource, Stack


def stack(row: Stack) -> dict[str, Any]:
    return {
        "StackId": row.home.stack_id,
        "StackName": row.home.stack,
        "Description": row.plan.description or None,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in row.plan.shown.items()],
        "CreationTime": row.created,
        "LastUpdatedTime": row.updated,
        "DeletionTime": row.deleted,
        "RollbackConfiguration": {},
        "StackStatus": row.status,
        "StackStatusReason": row.reason,
        "DisableRollback": row.disable_rollback,
        "NotificationARNs": [],
        "Capabilities": list(row.capabilities),
        "Outputs": [
            {
                "OutputKey": name,
                "OutputValue": output.value,
                "Description": output.description or None,
                "ExportName": output.export,
            }
            for name, output in row.outputs.items()
        ],
        "Tags": [{"Key": key, "Value": value} for key, value in row.tags.items()],
        "EnableTerminationProtection": row.protected,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def summary(row: Stack) -> dict[str, Any]:
    names = ("StackId", "StackName", "CreationTime", "LastUpdatedTime", "DeletionTime", "StackStatus")
    whole = stack(row)
    return {
        **{name: whole[name] for name in (*names, "StackStatusReason", "DriftInformation")},
        "TemplateDescription": row.plan.description or None,
    }


def event(row: Stack, one: Event) -> dict[str, Any]:
    return {
        "StackId": row.home.stack_id,
        "EventId": one.id,
        "StackName": row.home.stack,
        "LogicalResourceId": one.logical,
        "PhysicalResourceId": one.physical,
        "ResourceType": one.type,
        "Timestamp": one.at,
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason,
    }


def resource(row: Stack, one: Resource) -> dict[str, Any]:
    return {
        "StackName": row.home.stack,
        "StackId": row.home.stack_id,
        "LogicalResourceId": one.logical,
        "PhysicalResourceId": one.physical,
        "ResourceType": one.type.name,
        "Timestamp": one.at,
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason,
    }


def listed(one: Resource) -> dict[str, Any]:
    """The same, as lists and single resources have it."""
    return {
        "LogicalResourceId": one.logical,
        "PhysicalResourceId": one.physical,
        "ResourceType": one.type.name,
        "LastUpdatedTimestamp": one.at,
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


def template_parameters(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = parameters.declared(template)
    texts = {name: str(row["Default"]) for name, row in rows.items() if "Default" in row}
    shown = parameters.shown({name: rows[name] for name in texts}, texts)
    return [
        {
            "ParameterKey": name,
            "DefaultValue": shown.get(name),
            "NoEcho": str(row.get("NoEcho", "")).lower() == "true",
            "Description": row.get("Description"),
        }
        for name, row in rows.items()
    ]
