"""Reads what decides about a bucket and its canaries: policy, Block Public Access, ownership, ACLs, encryption.

Each answer's error codes for "there is none" are on the operation's page,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html and its like.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.operations.creations import MANAGED, WITH_KMS
from pytest_s3vpce.policy.layers import ENFORCED
from pytest_s3vpce.snapshot.asking import asked, policy
from pytest_s3vpce.snapshot.state import AccessPointRow, BlockRow, EncryptionRow, KeyRow, ObjectRow, Unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_s3vpce.snapshot.state import BucketRow, PolicyRow

BUCKET_ACTIONS: Final = (
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketAcl",
    "s3:GetEncryptionConfiguration",
    "s3:ListBucket",
)
OBJECT_ACTIONS: Final = ("s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectAcl")
ACCOUNT_ACTIONS: Final = ("s3:GetAccountPublicAccessBlock",)
POINT_ACTIONS: Final = ("s3:GetAccessPoint", "s3:GetAccessPointPolicy")
KEY_ACTIONS: Final = ("kms:DescribeKey", "kms:GetKeyPolicy")
_WRITER: Final = "ObjectWriter"
"""What counts where nothing is set: https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html"""


def bucket(s3: Any, row: BucketRow, *, keys: Iterable[str]) -> BucketRow:
    """The row with all that S3 says of the bucket and of these keys."""
    whose = {"Bucket": row.name, "ExpectedBucketOwner": row.account_id}
    found = asked(lambda: s3.get_bucket_policy(**whose)["Policy"], absent=("NoSuchBucketPolicy",))
    block = asked(
        lambda: s3.get_public_access_block(**whose)["PublicAccessBlockConfiguration"],
        absent=("NoSuchPublicAccessBlockConfiguration",),
    )
    ownership = asked(
        lambda: str(s3.get_bucket_ownership_controls(**whose)["OwnershipControls"]["Rules"][0]["ObjectOwnership"]),
        absent=("OwnershipControlsNotFoundError",),
    )
    ownership = ownership or _WRITER
    lists = ownership != ENFORCED
    encryption: EncryptionRow | Unread | None = asked(
        lambda: _encryption(s3.get_bucket_encryption(**whose)),
        absent=("ServerSideEncryptionConfigurationNotFoundError",),
    )
    return replace(
        row,
        policy=_policy(found, source=row.policy),
        block=block if isinstance(block, Unread) else _block(block or {}),
        ownership=ownership,
        acl=asked(lambda: _acl(s3.get_bucket_acl(**whose))) if lists else None,
        encryption=encryption,
        objects={key: _object(s3, whose, key, lists=lists) for key in dict.fromkeys(keys)},
    )


def _policy(found: Any, *, source: PolicyRow | Unread | None) -> PolicyRow | Unread | None:
    """`source` is a row without statements that says which file the policy is made from."""
    if found is None or isinstance(found, Unread):
        return found
    return policy(found, name="bucket policy", source=getattr(source, "source", None))


def _block(found: Mapping[str, Any]) -> BlockRow:
    return BlockRow(
        restrict_public_buckets=bool(found.get("RestrictPublicBuckets")),
        ignore_public_acls=bool(found.get("IgnorePublicAcls")),
    )


def _acl(found: Mapping[str, Any]) -> dict[str, Any]:
    """Owner and grants without display names."""
    return {
        "Owner": {"ID": found["Owner"]["ID"]},
        "Grants": [
            {
                "Grantee": {name: grant["Grantee"][name] for name in ("ID", "URI") if grant["Grantee"].get(name)},
                "Permission": grant["Permission"],
            }
            for grant in found["Grants"]
        ],
    }


def _encryption(found: Mapping[str, Any]) -> EncryptionRow | None:
    for rule in found["ServerSideEncryptionConfiguration"]["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault")
        if default:
            return EncryptionRow(
                algorithm=default["SSEAlgorithm"],
                key=default.get("KMSMasterKeyID"),
                bucket_key=bool(rule.get("BucketKeyEnabled")),
            )
    return None


def _object(s3: Any, whose: Mapping[str, str], key: str, *, lists: bool) -> ObjectRow | Unread | None:
    """S3 says of each object under a bucket key that it is.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/viewing-bucket-key-settings.html
    """
    found = asked(lambda: s3.head_object(**whose, Key=key), absent=("404", "NoSuchKey"))
    if found is None or isinstance(found, Unread):
        return found
    tags = asked(lambda: {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**whose, Key=key)["TagSet"]})
    return ObjectRow(
        encryption=found.get("ServerSideEncryption"),
        key=found.get("SSEKMSKeyId"),
        bucket_key=bool(found.get("BucketKeyEnabled")),
        tags={} if tags is None else tags,
        acl=asked(lambda: _acl(s3.get_object_acl(**whose, Key=key))) if lists else None,
    )


def account_block(s3control: Any, account_id: str) -> BlockRow | Unread:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetPublicAccessBlock.html"""
    found = asked(
        lambda: s3control.get_public_access_block(AccountId=account_id)["PublicAccessBlockConfiguration"],
        absent=("NoSuchPublicAccessBlockConfiguration",),
    )
    return found if isinstance(found, Unread) else _block(found or {})


def access_point(s3control: Any, arn: str) -> AccessPointRow | Unread:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetAccessPoint.html"""
    account, name = arn.split(":")[4], arn.rpartition("/")[2]
    found = asked(lambda: s3control.get_access_point(AccountId=account, Name=name))
    if found is None or isinstance(found, Unread):
        return found or Unread(unread="there is no answer")
    own = asked(
        lambda: s3control.get_access_point_policy(AccountId=account, Name=name)["Policy"],
        absent=("NoSuchAccessPointPolicy",),
    )
    return AccessPointRow(
        arn=arn,
        account=account,
        vpc=(found.get("VpcConfiguration") or {}).get("VpcId"),
        policy=own if own is None or isinstance(own, Unread) else policy(own, name=f"policy of access point {name}"),
        block=_block(found.get("PublicAccessBlockConfiguration") or {}),
    )


def key_names(row: BucketRow) -> list[str | None]:
    """The KMS keys that a bucket's default and its objects' encryption name; None for AWS's own key."""
    held = [row.encryption, *row.objects.values()]
    return [
        found.key
        for found in held
        if (isinstance(found, EncryptionRow) and found.algorithm in WITH_KMS)
        or (isinstance(found, ObjectRow) and found.encryption in WITH_KMS)
    ]


def key(kms: Any, named: str | None, *, account: str, region: str, partition: str = "aws") -> KeyRow:
    """A KMS key by id, ARN or alias; without a name the account's managed key of S3.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyPolicy.html
    """
    if named is None or named.endswith(MANAGED):
        arn = f"arn:{partition}:kms:{region}:{account}:{MANAGED}"
        return KeyRow(named=named or arn, arn=arn, account=account, policy=Unread(unread="AWS's own"), managed=True)
    about = asked(lambda: kms.describe_key(KeyId=named)["KeyMetadata"])
    known = about if isinstance(about, dict) else {}
    arn = known.get("Arn", named)
    found = asked(lambda: kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
    return KeyRow(
        named=named,
        arn=arn,
        account=arn.split(":")[4] if arn.startswith("arn:") else account,
        policy=found if isinstance(found, Unread) else policy(found, name="key policy"),
        managed=known.get("KeyManager") == "AWS",
    )
