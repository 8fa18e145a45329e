"""The operations that make a new object, and what S3 encrypts objects with.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CREATIONS: Final = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload"})
"""Those whose requests say what is to become of the object: its encryption, locks, tags and ACL."""

# --- encryption ------------------------------------------------------------------------------------------------------

ENCRYPTIONS: Final = ("AES256", "aws:kms", "aws:kms:dsse")
"""What a request can ask for, and a bucket do by default."""
WITH_KMS: Final = frozenset({"aws:kms", "aws:kms:dsse"})
WITH_BUCKET_KEYS: Final = frozenset({"aws:kms"})
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html"""
MANAGED: Final = "alias/aws/s3"
"""AWS's own key of an account, which S3 uses where no other is named.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html"""
DECRYPTING: Final = frozenset(
    {"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"}
)
"""The actions that S3 asks KMS to decrypt an object's key for."""
KEYS_OF_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "UploadPart": ("kms:GenerateDataKey", "kms:Decrypt"),
    "UploadPartCopy": ("kms:GenerateDataKey", "kms:Decrypt"),
    "CompleteMultipartUpload": ("kms:Decrypt",),
    "ListParts": ("kms:Decrypt",),
}
"""What S3 asks of KMS for the parts of an upload.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions and
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html"""
