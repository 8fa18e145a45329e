"""Resources of Lambda, KMS and the SSM parameter store.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Lambda.html, AWS_KMS.html and AWS_SSM.html
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.making import Made, ResourceType, gone, tagged
from pytest_s3vpce.lab.cloudformation.shapes import DOCUMENT, FLAG, NUMBER, TEXT, TEXTS, Fields, Named, texts

if TYPE_CHECKING:
    from pytest_s3vpce.lab.cloudformation.making import Work

_POLL: Final = {"Delay": 1, "MaxAttempts": 60}
_CONFIGURED: Final = ("Role", "Handler", "Runtime", "Timeout", "MemorySize", "Description", "Environment", "VpcConfig")
_UNSET: Final[dict[str, Any]] = {
    "Timeout": 3,
    "MemorySize": 128,
    "Description": "",
    "Environment": {"Variables": {}},
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
}


# --- Lambda ----------------------------------------------------------------------------------------------------------


def _code(work: Work) -> dict[str, Any]:
    """The code as the API wants it: text in the template becomes `index.py` of an archive.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html
    """
    code: dict[str, Any] = work.properties["Code"]
    if "ZipFile" not in code:
        return code
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), code["ZipFile"])
    return {"ZipFile": held.getvalue()}


def _make_function(work: Work) -> Made:
    client = work.client("lambda")
    given: dict[str, Any] = work.given(*_CONFIGURED, "Architectures", "PackageType")
    if work.tags:
        given["Tags"] = work.tags
    found = client.create_function(FunctionName=work.name("FunctionName"), Code=_code(work), **given)
    client.get_waiter("function_active_v2").wait(FunctionName=found["FunctionName"], WaiterConfig=_POLL)
    return Made(physical=found["FunctionName"], attributes={"Arn": found["FunctionArn"]})


def _apply_function(work: Work, made: Made) -> None:
    if work.previous is None:
        return
    client = work.client("lambda")
    if work.changed(*_CONFIGURED):
        wanted = {name: work.properties.get(name, _UNSET.get(name)) for name in _CONFIGURED if work.changed(name)}
        client.update_function_configuration(FunctionName=made.physical, **wanted)
    if work.changed("Code", "Architectures"):
        client.update_function_code(FunctionName=made.physical, **_code(work), **work.given("Architectures"))
    client.get_waiter("function_updated_v2").wait(FunctionName=made.physical, WaiterConfig=_POLL)
    if work.changed("Tags") and work.tags:
        client.tag_resource(Resource=made.attributes["Arn"], Tags=work.tags)
    if work.stale_tags:
        client.untag_resource(Resource=made.attributes["Arn"], TagKeys=work.stale_tags)


def _remove_function(work: Work, made: Made) -> None:
    gone(work.client("lambda").delete_function, "ResourceNotFoundException", FunctionName=made.physical)


def _make_permission(work: Work) -> Made:
    statement = work.name("", most=100)
    given: dict[str, Any] = work.given(
        "FunctionName", "Action", "Principal", "SourceArn", "SourceAccount", "PrincipalOrgID"
    )
    work.client("lambda").add_permission(StatementId=statement, **given)
    return Made(physical=statement, attributes={"Id": statement})


def _remove_permission(work: Work, made: Made) -> None:
    call = work.client("lambda").remove_permission
    named = work.given("FunctionName")
    gone(call, "ResourceNotFoundException", StatementId=made.physical, **named)


# --- KMS -------------------------------------------------------------------------------------------------------------


def _make_key(work: Work) -> Made:
    given: dict[str, Any] = work.given("Description", "KeySpec", "KeyUsage", "MultiRegion")
    if "KeyPolicy" in work.properties:
        given["Policy"] = work.document("KeyPolicy")
    if work.tags:
        given["Tags"] = [{"TagKey": key, "TagValue": value} for key, value in work.tags.items()]
    found = work.client("kms").create_key(**given)["KeyMetadata"]
    return Made(physical=found["KeyId"], attributes={"Arn": found["Arn"], "KeyId": found["KeyId"]})


def _apply_key(work: Work, made: Made) -> None:
    kms, named = work.client("kms"), {"KeyId": made.physical}
    for name, yes, no, default in (
        ("EnableKeyRotation", kms.enable_key_rotation, kms.disable_key_rotation, False),
        ("Enabled", kms.enable_key, kms.disable_key, True),
    ):
        if work.changed(name):
            (yes if work.properties.get(name, default) else no)(**named)
    if work.previous is None:
        return
    if work.changed("KeyPolicy") and "KeyPolicy" in work.properties:
        kms.put_key_policy(**named, PolicyName="default", Policy=work.document("KeyPolicy"))
    if work.changed("Description"):
        kms.update_key_description(**named, Description=work.properties.get("Description", ""))
    if work.changed("Tags") and work.tags:
        rows = [{"TagKey": key, "TagValue": value} for key, value in work.tags.items()]
        kms.tag_resource(**named, Tags=rows)
    if work.stale_tags:
        kms.untag_resource(**named, TagKeys=work.stale_tags)


def _remove_key(work: Work, made: Made) -> None:
    days = work.properties.get("PendingWindowInDays", 30)
    call = work.client("kms").schedule_key_deletion
    gone(call, "NotFoundException", "KMSInvalidStateException", KeyId=made.physical, PendingWindowInDays=days)


def _make_alias(work: Work) -> Made:
    work.client("kms").create_alias(**work.given("AliasName", "TargetKeyId"))
    return Made(physical=work.properties["AliasName"])


def _apply_alias(work: Work, _: Made) -> None:
    if work.previous is not None and work.changed("TargetKeyId"):
        work.client("kms").update_alias(**work.given("AliasName", "TargetKeyId"))


def _remove_alias(work: Work, made: Made) -> None:
    gone(work.client("kms").delete_alias, "NotFoundException", AliasName=made.physical)


# --- parameters ------------------------------------------------------------------------------------------------------

_STORED: Final = ("Type", "Value", "Description", "AllowedPattern", "Tier")


def _make_parameter(work: Work) -> Made:
    name = work.name("Name", most=1011)
    given: dict[str, Any] = work.given(*_STORED)
    if tags := _parameter_tags(work):
        given["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    work.client("ssm").put_parameter(Name=name, **given)
    return _parameter(work, name)


def _apply_parameter(work: Work, made: Made) -> Made | None:
    if work.previous is None:
        return None
    ssm = work.client("ssm")
    if work.changed(*_STORED):
        ssm.put_parameter(Name=made.physical, Overwrite=True, **work.given(*_STORED))
    if work.changed("Tags"):
        named = {"ResourceType": "Parameter", "ResourceId": made.physical}
        tags = _parameter_tags(work)
        stale = [key for key in work.previous.get("Tags", {}) if key not in tags]
        if stale:
            ssm.remove_tags_from_resource(**named, TagKeys=stale)
        if tags:
            ssm.add_tags_to_resource(**named, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return _parameter(work, made.physical)


def _parameter_tags(work: Work) -> dict[str, str]:
    """Tags of parameters are a mapping."""
    return {**work.stack_tags, **work.properties.get("Tags", {})}


def _parameter(work: Work, name: str) -> Made:
    return Made(physical=name, attributes=work.given("Type", "Value"))


def _remove_parameter(work: Work, made: Made) -> None:
    gone(work.client("ssm").delete_parameter, "ParameterNotFound", Name=made.physical)


TYPES: Final = (
    ResourceType(
        name="AWS::Lambda::Function",
        properties=tagged(
            {
                **texts(("FunctionName", "Role", "Handler", "Runtime", "Description", "PackageType")),
                "Code": Fields(texts(("ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion"))),
                "Timeout": NUMBER,
                "MemorySize": NUMBER,
                "Environment": Fields({"Variables": Named(TEXT)}),
                "VpcConfig": Fields({"SubnetIds": TEXTS, "SecurityGroupIds": TEXTS}),
                "Architectures": TEXTS,
            }
        ),
        required=("Code", "Role"),
        attributes=frozenset({"Arn"}),
        make=_make_function,
        apply=_apply_function,
        remove=_remove_function,
        mutable=frozenset({*_CONFIGURED, "Code", "Architectures", "Tags"}),
        named_by="FunctionName",
    ),
    ResourceType(
        name="AWS::Lambda::Permission",
        properties=texts(("FunctionName", "Action", "Principal", "SourceArn", "SourceAccount", "PrincipalOrgID")),
        required=("FunctionName", "Action", "Principal"),
        attributes=frozenset({"Id"}),
        make=_make_permission,
        remove=_remove_permission,
    ),
    ResourceType(
        name="AWS::KMS::Key",
        properties=tagged(
            {
                **texts(("Description", "KeySpec", "KeyUsage")),
                "KeyPolicy": DOCUMENT,
                "EnableKeyRotation": FLAG,
                "Enabled": FLAG,
                "MultiRegion": FLAG,
                "PendingWindowInDays": NUMBER,
            }
        ),
        attributes=frozenset({"Arn", "KeyId"}),
        make=_make_key,
        apply=_apply_key,
        remove=_remove_key,
        mutable=frozenset({"Description", "KeyPolicy", "EnableKeyRotation", "Enabled", "PendingWindowInDays", "Tags"}),
    ),
    ResourceType(
        name="AWS::KMS::Alias",
        properties=texts(("AliasName", "TargetKeyId")),
        required=("AliasName", "TargetKeyId"),
        make=_make_alias,
        apply=_apply_alias,
        remove=_remove_alias,
        mutable=frozenset({"TargetKeyId"}),
        named_by="AliasName",
    ),
    ResourceType(
        name="AWS::SSM::Parameter",
        properties={**texts(("Name", *_STORED)), "Tags": Named(TEXT)},
        required=("Type", "Value"),
        attributes=frozenset({"Type", "Value"}),
        make=_make_parameter,
        apply=_apply_parameter,
        remove=_remove_parameter,
        mutable=frozenset({*_STORED, "Tags"}),
        named_by="Name",
    ),
)
