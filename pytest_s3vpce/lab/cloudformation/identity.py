"""Resources of IAM: roles, users, policies and instance profiles.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_IAM.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.making import Made, ResourceType, gone, tagged
from pytest_s3vpce.lab.cloudformation.shapes import DOCUMENT, NUMBER, TEXT, TEXTS, Fields, Listed, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.cloudformation.making import Work

_POLICIES: Final = Listed(Fields({"PolicyName": TEXT, "PolicyDocument": DOCUMENT}, ("PolicyName", "PolicyDocument")))
_NONE: Final = "NoSuchEntity"
_HOLDERS: Final = {"Roles": ("role", "RoleName"), "Users": ("user", "UserName"), "Groups": ("group", "GroupName")}


def _acknowledged(name: str) -> Callable[[Mapping[str, Any]], str]:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html"""
    return lambda properties: "CAPABILITY_NAMED_IAM" if name in properties else "CAPABILITY_IAM"


# --- roles and users -------------------------------------------------------------------------------------------------


def _make_role(work: Work) -> Made:
    given: dict[str, Any] = work.given("Path", "Description", "MaxSessionDuration", "PermissionsBoundary")
    found = work.client("iam").create_role(
        RoleName=work.name("RoleName"),
        AssumeRolePolicyDocument=work.document("AssumeRolePolicyDocument"),
        **given,
        **_tags(work),
    )["Role"]
    return Made(physical=found["RoleName"], attributes={"Arn": found["Arn"], "RoleId": found["RoleId"]})


def _apply_role(work: Work, made: Made) -> None:
    iam, named = work.client("iam"), {"RoleName": made.physical}
    _apply_policies(work, "role", named)
    if work.previous is None:
        return
    _apply_boundary(work, "role", named)
    if work.changed("AssumeRolePolicyDocument"):
        text = work.document("AssumeRolePolicyDocument")
        iam.update_assume_role_policy(**named, PolicyDocument=text)
    if work.changed("Description", "MaxSessionDuration"):
        iam.update_role(
            **named,
            Description=work.properties.get("Description", ""),
            MaxSessionDuration=work.properties.get("MaxSessionDuration", 3600),
        )
    _retag(work, "role", named)


def _remove_role(work: Work, made: Made) -> None:
    _strip(work, "role", {"RoleName": made.physical})
    gone(work.client("iam").delete_role, _NONE, RoleName=made.physical)


def _make_user(work: Work) -> Made:
    name = work.name("UserName")
    found = work.client("iam").create_user(UserName=name, **work.given("Path", "PermissionsBoundary"), **_tags(work))[
        "User"
    ]
    return Made(physical=name, attributes={"Arn": found["Arn"]})


def _apply_user(work: Work, made: Made) -> None:
    named = {"UserName": made.physical}
    _apply_policies(work, "user", named)
    if work.previous is not None:
        _apply_boundary(work, "user", named)
        _retag(work, "user", named)


def _remove_user(work: Work, made: Made) -> None:
    _strip(work, "user", {"UserName": made.physical})
    gone(work.client("iam").delete_user, _NONE, UserName=made.physical)


def _tags(work: Work) -> dict[str, Any]:
    return {"Tags": work.tag_rows} if work.tags else {}


def _apply_policies(work: Work, kind: str, named: Mapping[str, str]) -> None:
    """Inline and attached policies, as the template lists them."""
    iam, before = work.client("iam"), work.previous or {}
    inline = {row["PolicyName"]: row["PolicyDocument"] for row in work.properties.get("Policies", ())}
    for name, document in inline.items():
        getattr(iam, f"put_{kind}_policy")(**named, PolicyName=name, PolicyDocument=json.dumps(document))
    for row in before.get("Policies", ()):
        if row["PolicyName"] not in inline:
            gone(getattr(iam, f"delete_{kind}_policy"), _NONE, **named, PolicyName=row["PolicyName"])
    attached, were = work.properties.get("ManagedPolicyArns", ()), before.get("ManagedPolicyArns", ())
    for arn in attached:
        if arn not in were:
            getattr(iam, f"attach_{kind}_policy")(**named, PolicyArn=arn)
    for arn in were:
        if arn not in attached:
            gone(getattr(iam, f"detach_{kind}_policy"), _NONE, **named, PolicyArn=arn)


def _apply_boundary(work: Work, kind: str, named: Mapping[str, str]) -> None:
    iam = work.client("iam")
    if work.dropped("PermissionsBoundary"):
        getattr(iam, f"delete_{kind}_permissions_boundary")(**named)
    elif work.changed("PermissionsBoundary"):
        boundary = work.properties["PermissionsBoundary"]
        getattr(iam, f"put_{kind}_permissions_boundary")(**named, PermissionsBoundary=boundary)


def _retag(work: Work, kind: str, named: Mapping[str, str]) -> None:
    iam = work.client("iam")
    if work.changed("Tags") and work.tags:
        getattr(iam, f"tag_{kind}")(**named, Tags=work.tag_rows)
    if work.stale_tags:
        getattr(iam, f"untag_{kind}")(**named, TagKeys=work.stale_tags)


def _strip(work: Work, kind: str, named: Mapping[str, str]) -> None:
    """What the template put on it; what others did stays, and stops the removal as on AWS."""
    iam = work.client("iam")
    for row in work.properties.get("Policies", ()):
        gone(getattr(iam, f"delete_{kind}_policy"), _NONE, **named, PolicyName=row["PolicyName"])
    for arn in work.properties.get("ManagedPolicyArns", ()):
        gone(getattr(iam, f"detach_{kind}_policy"), _NONE, **named, PolicyArn=arn)


# --- policies --------------------------------------------------------------------------------------------------------


def _name_inline(work: Work) -> Made:
    return Made(physical=work.name("PolicyName"), attributes={"Id": work.name("PolicyName")})


def _apply_inline(work: Work, _: Made) -> None:
    text, name = work.document("PolicyDocument"), work.properties["PolicyName"]
    for part, (kind, key) in _HOLDERS.items():
        holders = work.properties.get(part, ())
        for holder in holders:
            put = getattr(work.client("iam"), f"put_{kind}_policy")
            put(**{key: holder}, PolicyName=name, PolicyDocument=text)
        for holder in (work.previous or {}).get(part, ()):
            if holder not in holders:
                delete = getattr(work.client("iam"), f"delete_{kind}_policy")
                gone(delete, _NONE, **{key: holder}, PolicyName=name)


def _remove_inline(work: Work, _: Made) -> None:
    for part, (kind, key) in _HOLDERS.items():
        for holder in work.properties.get(part, ()):
            delete = getattr(work.client("iam"), f"delete_{kind}_policy")
            gone(delete, _NONE, **{key: holder}, PolicyName=work.properties["PolicyName"])


def _make_managed(work: Work) -> Made:
    found: str = work.client("iam").create_policy(
        PolicyName=work.name("ManagedPolicyName", most=128),
        PolicyDocument=work.document("PolicyDocument"),
        **work.given("Path", "Description"),
    )["Policy"]["Arn"]
    return Made(physical=found, attributes={"PolicyArn": found})


def _apply_managed(work: Work, made: Made) -> None:
    iam = work.client("iam")
    if work.previous is not None and work.changed("PolicyDocument"):
        versions = iam.list_policy_versions(PolicyArn=made.physical)["Versions"]
        iam.create_policy_version(
            PolicyArn=made.physical, PolicyDocument=work.document("PolicyDocument"), SetAsDefault=True
        )
        for row in versions:
            iam.delete_policy_version(PolicyArn=made.physical, VersionId=row["VersionId"])
    for part, (kind, key) in _HOLDERS.items():
        holders, were = work.properties.get(part, ()), (work.previous or {}).get(part, ())
        for holder in holders:
            if holder not in were:
                getattr(iam, f"attach_{kind}_policy")(**{key: holder}, PolicyArn=made.physical)
        for holder in were:
            if holder not in holders:
                gone(getattr(iam, f"detach_{kind}_policy"), _NONE, **{key: holder}, PolicyArn=made.physical)


def _remove_managed(work: Work, made: Made) -> None:
    iam = work.client("iam")
    for part, (kind, key) in _HOLDERS.items():
        for holder in work.properties.get(part, ()):
            gone(getattr(iam, f"detach_{kind}_policy"), _NONE, **{key: holder}, PolicyArn=made.physical)
    gone(iam.delete_policy, _NONE, PolicyArn=made.physical)


# --- instance profiles -----------------------------------------------------------------------------------------------


def _make_profile(work: Work) -> Made:
    name = work.name("InstanceProfileName", most=128)
    found = work.client("iam").create_instance_profile(InstanceProfileName=name, **work.given("Path"))
    return Made(physical=name, attributes={"Arn": found["InstanceProfile"]["Arn"]})


def _apply_profile(work: Work, made: Made) -> None:
    iam, named = work.client("iam"), {"InstanceProfileName": made.physical}
    roles, were = work.properties["Roles"], (work.previous or {}).get("Roles", ())
    for role in were:
        if role not in roles:
            gone(iam.remove_role_from_instance_profile, _NONE, **named, RoleName=role)
    for role in roles:
        if role not in were:
            iam.add_role_to_instance_profile(**named, RoleName=role)


def _remove_profile(work: Work, made: Made) -> None:
    iam, named = work.client("iam"), {"InstanceProfileName": made.physical}
    for role in work.properties["Roles"]:
        gone(iam.remove_role_from_instance_profile, _NONE, **named, RoleName=role)
    gone(iam.delete_instance_profile, _NONE, **named)


TYPES: Final = (
    ResourceType(
        name="AWS::IAM::Role",
        properties=tagged(
            {
                **texts(("RoleName", "Path", "Description", "PermissionsBoundary")),
                "AssumeRolePolicyDocument": DOCUMENT,
                "Policies": _POLICIES,
                "ManagedPolicyArns": TEXTS,
                "MaxSessionDuration": NUMBER,
            }
        ),
        required=("AssumeRolePolicyDocument",),
        attributes=frozenset({"Arn", "RoleId"}),
        make=_make_role,
        apply=_apply_role,
        remove=_remove_role,
        mutable=frozenset(
            {
                "AssumeRolePolicyDocument",
                "Policies",
                "ManagedPolicyArns",
                "MaxSessionDuration",
                "Description",
                "PermissionsBoundary",
                "Tags",
            }
        ),
        named_by="RoleName",
        capability=_acknowledged("RoleName"),
    ),
    ResourceType(
        name="AWS::IAM::User",
        properties=tagged(
            {
                **texts(("UserName", "Path", "PermissionsBoundary")),
                "Policies": _POLICIES,
                "ManagedPolicyArns": TEXTS,
            }
        ),
        attributes=frozenset({"Arn"}),
        make=_make_user,
        apply=_apply_user,
        remove=_remove_user,
        mutable=frozenset({"Policies", "ManagedPolicyArns", "PermissionsBoundary", "Tags"}),
        named_by="UserName",
        capability=_acknowledged("UserName"),
    ),
    ResourceType(
        name="AWS::IAM::Policy",
        properties={"PolicyName": TEXT, "PolicyDocument": DOCUMENT, **dict.fromkeys(_HOLDERS, TEXTS)},
        required=("PolicyName", "PolicyDocument"),
        attributes=frozenset({"Id"}),
        make=_name_inline,
        apply=_apply_inline,
        remove=_remove_inline,
        mutable=frozenset({"PolicyDocument", *_HOLDERS}),
        capability=lambda _: "CAPABILITY_IAM",
    ),
    ResourceType(
        name="AWS::IAM::ManagedPolicy",
        properties={
            **texts(("ManagedPolicyName", "Path", "Description")),
            "PolicyDocument": DOCUMENT,
            **dict.fromkeys(_HOLDERS, TEXTS),
        },
        required=("PolicyDocument",),
        attributes=frozenset({"PolicyArn"}),
        make=_make_managed,
        apply=_apply_managed,
        remove=_remove_managed,
        mutable=frozenset({"PolicyDocument", *_HOLDERS}),
        named_by="ManagedPolicyName",
        capability=_acknowledged("ManagedPolicyName"),
    ),
    ResourceType(
        name="AWS::IAM::InstanceProfile",
        properties={**texts(("InstanceProfileName", "Path")), "Roles": TEXTS},
        required=("Roles",),
        attributes=frozenset({"Arn"}),
        make=_make_profile,
        apply=_apply_profile,
        remove=_remove_profile,
        mutable=frozenset({"Roles"}),
        named_by="InstanceProfileName",
        capability=_acknowledged("InstanceProfileName"),
    ),
)
