"""What S3 asks of KMS for a request, and what KMS will say.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html

Under an S3 Bucket Key, S3 asks at least once for each role, account or session policy, and for a while need not ask
again: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html. Predicted is what it is told when it asks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.operations.creations import CREATIONS, DECRYPTING, MANAGED, WITH_BUCKET_KEYS, WITH_KMS
from pytest_s3vpce.policy import Request
from pytest_s3vpce.predict.doubt import decide_in_doubt
from pytest_s3vpce.snapshot.state import EncryptionRow, KeyRow, ObjectRow, Unread

if TYPE_CHECKING:
    from pytest_s3vpce.operations import Check
    from pytest_s3vpce.predict.asking import Asking
    from pytest_s3vpce.predict.case import Case
    from pytest_s3vpce.predict.doubt import Doubted
    from pytest_s3vpce.predict.ways import Way
    from pytest_s3vpce.snapshot.state import BucketRow

_OWN: Final = Unread(unread="AWS's own")
_UNSIGNED: Final = "S3 answers unsigned requests for what a KMS key encrypts with a 400, which is no denial"
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What KMS is asked. `doubted` is the engine's decision; without it `why` says it all."""

    action: str
    key: str
    doubted: Doubted | None = None
    why: str = ""
    expected: Expected = Expected.IMPLICIT_DENY
    unread: str = ""
    """Why it was not read, where that is so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Under:
    """What an object is under, or comes under: a key, and whether by an S3 Bucket Key; None where nobody knows."""

    key: KeyRow
    bucket_key: bool | None

    def encrypted(self, arn: str) -> str | None:
        """The ARN in the encryption context, of the object or its bucket; None where it may be either.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#encryption-context
        """
        return None if self.bucket_key is None else arn.partition("/")[0] if self.bucket_key else arn


def of_kms(check: Check, way: Way, case: Case, asking: Asking) -> Asked | None:
    """What stands in the way at KMS; None where S3 asks nothing there, or is let through."""
    bucket = case.owner(check, asking.snapshot)
    if check.action in DECRYPTING:
        action, found = "kms:Decrypt", _held(check, bucket, case, asking)
    elif check.action == "s3:PutObject" and case.row.name in CREATIONS:
        action, found = "kms:GenerateDataKey", _written(bucket, case, asking)
    else:
        return None
    if found is None:
        return None
    if isinstance(found, Unread):
        why = f"the key that encrypts the object: {found.unread}"
        return Asked(action=action, key="", why=why, expected=Expected.UNKNOWN, unread=found.unread)
    held = found.key
    if case.caller.kind == "anonymous":
        return Asked(action=action, key=held.arn, why=_UNSIGNED, expected=Expected.UNKNOWN)
    if held.managed:
        if case.caller.account == held.account:
            return None
        return Asked(action=action, key=held.arn, why=f"AWS's own key of {held.account} serves that account alone")
    encrypted = found.encrypted(case.arn(check, bucket))
    given, doubt = asking.keys_for_kms(check, bucket, held, way, case, encrypted=encrypted)
    request = Request(
        action=action,
        resource=held.arn,
        resource_account=held.account,
        principal=case.principal,
        context=given,
    )
    doubted = decide_in_doubt(request, asking.policies_of_key(held, case), doubt)
    return None if doubted.decision.allowed else Asked(action=action, key=held.arn, doubted=doubted)


def _held(check: Check, bucket: BucketRow, case: Case, asking: Asking) -> _Under | Unread | None:
    """What an object that is there is under; the bucket's default for one that the run makes itself.

    Whoever may not use an object's key may not read its head either, so that one which was not read may have any.
    """
    found = asking.object_(check, bucket, case)
    row: EncryptionRow | Unread | None
    if isinstance(found, ObjectRow):
        row = EncryptionRow(algorithm=found.encryption or "", key=found.key, bucket_key=found.bucket_key)
    else:
        row = bucket.encryption if found is not None and case.key(check) not in bucket.objects else found
    return _under(row, account_id=bucket.account_id, region=bucket.region, asking=asking)


def _written(bucket: BucketRow, case: Case, asking: Asking) -> _Under | Unread | None:
    """What a new object comes under: what the request says, else the bucket. A name is one of the caller's account.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html and, of bucket keys,
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-kms-encryption.html
    """
    given, row = case.parameters, bucket.encryption
    if given.get("ServerSideEncryption") is not None:
        inherited = None if isinstance(row, Unread) else row is not None and row.bucket_key
        row = EncryptionRow(algorithm=given["ServerSideEncryption"], key=given.get("SSEKMSKeyId"), bucket_key=inherited)
    elif given.get("SSECustomerAlgorithm"):
        return None
    if not isinstance(row, EncryptionRow):
        return row
    row = replace(row, bucket_key=given.get("BucketKeyEnabled", row.bucket_key))
    account_id = bucket.account_id if row.key is None else case.caller.account or bucket.account_id
    return _under(row, account_id=account_id, region=bucket.region, asking=asking)


def _under(
    row: EncryptionRow | Unread | None, *, account_id: str, region: str, asking: Asking
) -> _Under | Unread | None:
    if not isinstance(row, EncryptionRow):
        return row
    if row.algorithm not in WITH_KMS:
        return None
    key = _key(row.key, account_id=account_id, region=region, asking=asking)
    if isinstance(key, Unread):
        return key
    return _Under(key=key, bucket_key=row.bucket_key if row.algorithm in WITH_BUCKET_KEYS else False)


def _key(named: str | None, *, account_id: str, region: str, asking: Asking) -> KeyRow | Unread:
    """The key by its name; AWS's own where none is named, of which there is nothing to read."""
    if named not in (None, MANAGED):
        whose = f" of account {account_id}" if named.startswith("alias/") else ""
        found = asking.snapshot.key(named, account_id=account_id, region=region)
        return found or Unread(unread=f"key `{named}`{whose} was not read")
    rows = asking.snapshot.keys
    found = next((row for row in rows if row.managed and row.account == account_id), None)
    return found or KeyRow(named=MANAGED, arn=MANAGED, account=account_id, policy=_OWN, managed=True)
