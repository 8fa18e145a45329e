"""Resources of S3: buckets with what is configured on them, their policies and access points.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_S3.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from pytest_s3vpce.lab.cloudformation.bucketlists import LISTS
from pytest_s3vpce.lab.cloudformation.bucketmore import MORE
from pytest_s3vpce.lab.cloudformation.faults import Failed
from pytest_s3vpce.lab.cloudformation.lifecycle import LIFECYCLE, lifecycle_rules
from pytest_s3vpce.lab.cloudformation.making import Made, ResourceType, gone, tagged
from pytest_s3vpce.lab.cloudformation.shapes import DOCUMENT, FLAG, NUMBER, TEXT, TEXTS, Fields, Listed, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.cloudformation.making import Work

_BLOCKS: Final = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_BLOCK: Final = Fields(dict.fromkeys(_BLOCKS, FLAG))
_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NO_BUCKET: Final = "NoSuchBucket"


# --- a bucket's configurations ---------------------------------------------------------------------------------------


def _put_versioning(s3: Any, bucket: str, given: Any) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=given)


def _suspend_versioning(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def _put_encryption(s3: Any, bucket: str, given: Any) -> None:
    renamed = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    rows = given["ServerSideEncryptionConfiguration"]
    rules = [{renamed.get(name, name): value for name, value in row.items()} for row in rows]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _put_block(s3: Any, bucket: str, given: Any) -> None:
    whole = {name: given.get(name, False) for name in _BLOCKS}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=whole)


def _put_ownership(s3: Any, bucket: str, given: Any) -> None:
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=given)


def _put_lifecycle(s3: Any, bucket: str, given: Any) -> None:
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": lifecycle_rules(given["Rules"])}
    )


def _put_logging(s3: Any, bucket: str, given: Any) -> None:
    target = {
        "TargetBucket": given.get("DestinationBucketName", bucket),
        "TargetPrefix": given.get("LogFilePrefix", ""),
    }
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": target})


def _stop_logging(s3: Any, bucket: str) -> None:
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})


_CORS: Final = {"ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds", "Id": "ID"}


def _put_cors(s3: Any, bucket: str, given: Any) -> None:
    rules = [{_CORS.get(name, name): value for name, value in row.items()} for row in given["CorsRules"]]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})


def _put_lock(s3: Any, bucket: str, given: Any) -> None:
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=given)


def _drop_lock_rule(s3: Any, bucket: str) -> None:
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})


def _delete(operation: str) -> Callable[[Any, str], None]:
    def call(s3: Any, bucket: str) -> None:
        getattr(s3, operation)(Bucket=bucket)

    return call


_DEFAULT: Final = Fields({"SSEAlgorithm": TEXT, "KMSMasterKeyID": TEXT}, ("SSEAlgorithm",))
_CONFIGURATIONS: Final[Mapping[str, tuple[Any, Callable[[Any, str, Any], None], Callable[[Any, str], None]]]] = {
    "VersioningConfiguration": (Fields({"Status": TEXT}, ("Status",)), _put_versioning, _suspend_versioning),
    "OwnershipControls": (
        Fields({"Rules": Listed(Fields({"ObjectOwnership": TEXT}, ("ObjectOwnership",)))}, ("Rules",)),
        _put_ownership,
        _delete("delete_bucket_ownership_controls"),
    ),
    "PublicAccessBlockConfiguration": (_BLOCK, _put_block, _delete("delete_public_access_block")),
    "BucketEncryption": (
        Fields(
            {
                "ServerSideEncryptionConfiguration": Listed(
                    Fields({"ServerSideEncryptionByDefault": _DEFAULT, "BucketKeyEnabled": FLAG})
                )
            },
            ("ServerSideEncryptionConfiguration",),
        ),
        _put_encryption,
        _delete("delete_bucket_encryption"),
    ),
    "LifecycleConfiguration": (LIFECYCLE, _put_lifecycle, _delete("delete_bucket_lifecycle")),
    "LoggingConfiguration": (Fields(texts(("DestinationBucketName", "LogFilePrefix"))), _put_logging, _stop_logging),
    "CorsConfiguration": (
        Fields(
            {
                "CorsRules": Listed(
                    Fields(
                        {
                            **dict.fromkeys(
                                ("AllowedHeaders", "AllowedMethods", "AllowedOrigins", "ExposedHeaders"), TEXTS
                            ),
                            "Id": TEXT,
                            "MaxAge": NUMBER,
                        },
                        ("AllowedMethods", "AllowedOrigins"),
                    )
                )
            },
            ("CorsRules",),
        ),
        _put_cors,
        _delete("delete_bucket_cors"),
    ),
    "ObjectLockConfiguration": (
        Fields(
            {
                "ObjectLockEnabled": TEXT,
                "Rule": Fields({"DefaultRetention": Fields({"Mode": TEXT, "Days": NUMBER, "Years": NUMBER})}),
            }
        ),
        _put_lock,
        _drop_lock_rule,
    ),
    **MORE,
    **LISTS,
}
"""Shape, call that sets it and call that takes it away, in the order of setting."""


def _make_bucket(work: Work) -> Made:
    s3, home = work.client("s3"), work.home
    name = work.name("BucketName", most=63).lower()
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
    else:  # its owner may create it again in us-east-1, which must not make it the stack's
        raise Failed(f"{name} already exists")
    given: dict[str, Any] = {}
    if home.region != "us-east-1":
        given["CreateBucketConfiguration"] = {"LocationConstraint": home.region}
    if "AccessControl" in work.properties:
        given["ACL"] = _CAPITAL.sub("-", work.properties["AccessControl"]).lower()
    if "ObjectLockEnabled" in work.properties:
        given["ObjectLockEnabledForBucket"] = work.properties["ObjectLockEnabled"]
    rules = work.properties.get("OwnershipControls", {}).get("Rules", ())
    if rules:
        given["ObjectOwnership"] = rules[0]["ObjectOwnership"]
    s3.create_bucket(Bucket=name, **given)
    suffix = "amazonaws.com.cn" if home.partition == "aws-cn" else "amazonaws.com"
    attributes = {
        "Arn": f"arn:{home.partition}:s3:::{name}",
        "DomainName": f"{name}.s3.{suffix}",
        "RegionalDomainName": f"{name}.s3.{home.region}.{suffix}",
        "DualStackDomainName": f"{name}.s3.dualstack.{home.region}.{suffix}",
    }
    return Made(physical=name, attributes=attributes)


def _apply_bucket(work: Work, made: Made) -> None:
    s3 = work.client("s3")
    for name, (_, put, take) in _CONFIGURATIONS.items():
        if work.dropped(name):
            take(s3, made.physical)
        elif name in work.properties and work.changed(name):
            put(s3, made.physical, work.properties[name])
    if work.tags and (work.previous is None or work.changed("Tags")):
        s3.put_bucket_tagging(Bucket=made.physical, Tagging={"TagSet": work.tag_rows})
    elif work.stale_tags:
        s3.delete_bucket_tagging(Bucket=made.physical)


def _remove_bucket(work: Work, made: Made) -> None:
    gone(work.client("s3").delete_bucket, _NO_BUCKET, Bucket=made.physical)


# --- policies and access points --------------------------------------------------------------------------------------


def _name_policy(work: Work) -> Made:
    return Made(physical=work.properties["Bucket"])


def _apply_policy(work: Work, made: Made) -> None:
    work.client("s3").put_bucket_policy(Bucket=made.physical, Policy=work.document("PolicyDocument"))


def _remove_policy(work: Work, made: Made) -> None:
    gone(work.client("s3").delete_bucket_policy, _NO_BUCKET, "NoSuchBucketPolicy", Bucket=made.physical)


def _make_point(work: Work) -> Made:
    home, control = work.home, work.client("s3control")
    name = work.name("Name", most=50).lower()
    given = work.given("Bucket", "BucketAccountId", "VpcConfiguration")
    if "PublicAccessBlockConfiguration" in work.properties:
        block = work.properties["PublicAccessBlockConfiguration"]
        given["PublicAccessBlockConfiguration"] = {row: block.get(row, False) for row in _BLOCKS}
    found = control.create_access_point(AccountId=home.account, Name=name, **given)
    attributes = {
        "Arn": found.get("AccessPointArn", f"arn:{home.partition}:s3:{home.region}:{home.account}:accesspoint/{name}"),
        "Alias": found.get("Alias", ""),
        "Name": name,
        "NetworkOrigin": "VPC" if "VpcConfiguration" in work.properties else "Internet",
    }
    return Made(physical=name, attributes=attributes)


def _apply_point(work: Work, made: Made) -> None:
    control, named = work.client("s3control"), {"AccountId": work.home.account, "Name": made.physical}
    if work.dropped("Policy"):
        control.delete_access_point_policy(**named)
    elif "Policy" in work.properties and work.changed("Policy"):
        control.put_access_point_policy(**named, Policy=work.document("Policy"))


def _remove_point(work: Work, made: Made) -> None:
    named = {"AccountId": work.home.account, "Name": made.physical}
    gone(work.client("s3control").delete_access_point, "NoSuchAccessPoint", **named)


TYPES: Final = (
    ResourceType(
        name="AWS::S3::Bucket",
        properties=tagged(
            {
                "BucketName": TEXT,
                "AccessControl": TEXT,
                "ObjectLockEnabled": FLAG,
                **{name: row[0] for name, row in _CONFIGURATIONS.items()},
            }
        ),
        attributes=frozenset({"Arn", "DomainName", "RegionalDomainName", "DualStackDomainName"}),
        make=_make_bucket,
        apply=_apply_bucket,
        remove=_remove_bucket,
        mutable=frozenset({*_CONFIGURATIONS, "Tags"}),
        named_by="BucketName",
    ),
    ResourceType(
        name="AWS::S3::BucketPolicy",
        properties={"Bucket": TEXT, "PolicyDocument": DOCUMENT},
        required=("Bucket", "PolicyDocument"),
        make=_name_policy,
        apply=_apply_policy,
        remove=_remove_policy,
        mutable=frozenset({"PolicyDocument"}),
    ),
    ResourceType(
        name="AWS::S3::AccessPoint",
        properties={
            **texts(("Bucket", "Name", "BucketAccountId")),
            "VpcConfiguration": Fields({"VpcId": TEXT}),
            "PublicAccessBlockConfiguration": _BLOCK,
            "Policy": DOCUMENT,
        },
        required=("Bucket",),
        attributes=frozenset({"Arn", "Alias", "Name", "NetworkOrigin"}),
        make=_make_point,
        apply=_apply_point,
        remove=_remove_point,
        mutable=frozenset({"Policy"}),
        named_by="Name",
    ),
)
