"""Reads what S3 says of a bucket's openness: its policy's status, Block Public Access, ACLs, and who pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from pytest_s3vpce.claims import PublicFacts

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTHING: Final = frozenset(
    {"NoSuchPublicAccessBlockConfiguration", "NoSuchBucketPolicy", "OwnershipControlsNotFoundError"}
)
"""What S3 says where there is no such setting."""


def public_facts(s3: Any, control: Any, *, bucket: str, account_id: str) -> PublicFacts:
    """What may not be read, or is not said, stays None.

    Bucket and account each add to what is blocked:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    status = _asked(lambda: {"IsPublic": None, **s3.get_bucket_policy_status(Bucket=bucket).get("PolicyStatus", {})})
    own = _asked(lambda: s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"])
    of_account = _asked(lambda: control.get_public_access_block(AccountId=account_id)["PublicAccessBlockConfiguration"])
    blocks = None
    if own is not None and of_account is not None:
        blocks = frozenset(name for row in (own, of_account) for name, on in row.items() if on)
    payer = (_asked(lambda: s3.get_bucket_request_payment(Bucket=bucket)) or {}).get("Payer")
    return PublicFacts(
        policy_is_public=None if status is None else status.get("IsPublic", False),
        blocks=blocks,
        requesters_pay=None if payer is None else payer == "Requester",
        acls=_acls(s3, bucket),
    )


def _acls(s3: Any, bucket: str) -> bool | None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html"""
    found = _asked(lambda: s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"])
    if found is None:
        return None
    return all(rule.get("ObjectOwnership") != "BucketOwnerEnforced" for rule in found.get("Rules", ()))


def _asked(call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return call()
    except ClientError as error:
        return {} if error.response.get("Error", {}).get("Code") in _NOTHING else None
    except BotoCoreError:
        return None
