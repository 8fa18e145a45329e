"""Random cells of a realm's inventory: any safe form, by any name of S3's, with what conditions ask about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.model import Cell, Target, Transport
from pytest_s3vpce.operations import OPERATIONS, operation
from tests.randomly.realm import LOCKED, OWN, WITH_LISTS

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from pytest_s3vpce.inventory import Inventory

SOAK = bool(os.environ.get("S3VPCE_SOAK"))
OFTEN = ("GetObject", "GetObject", "PutObject", "PutObject", "ListObjectsV2", "DeleteObject", "GetObjectTagging")
SAFE = tuple(row.name for row in OPERATIONS.values() if row.safe is not None)
BY_POINT = ("GetObject", "GetObject", "PutObject", "ListObjectsV2", "DeleteObject", "HeadObject", "GetObjectTagging",
            "CreateMultipartUpload", "ListMultipartUploads", "AbortMultipartUpload")  # fmt: skip
LOCKS = frozenset({"GetObjectRetention", "GetObjectLegalHold", "GetObjectLockConfiguration"})
"""What S3 answers with a 400 in a bucket without Object Lock, whoever asks."""
LISTS = frozenset({"PutObjectAcl", "PutObjectVersionAcl", "PutBucketAcl"})
PLAIN = frozenset({"ann", "anonymous", "url", "own"})
"""Who has no session that could be limited for plain http."""


def random_cell(dice: random.Random, inventory: Inventory, *, bucket: str, principal: str, keys: Sequence[str]) -> Cell:
    """One cell of this principal's: `keys` are KMS keys that writes may name."""
    host, hosts = None, inventory.buckets[bucket].hosts
    kind = dice.choice(("", "", "", "", "point", "point", "named", "dual"))
    vantage = dice.choice(tuple(OWN if principal == "own" else inventory.vantage_points))
    name = dice.choice(OFTEN) if dice.random() < (0.25 if SOAK else 0.5) else dice.choice(SAFE)
    if kind == "point" and kind in hosts and principal != "anonymous":
        host, name = hosts[kind], dice.choice(BY_POINT)
    elif kind == "named" and principal != "own":
        host, vantage = hosts[kind], "interface"
    elif kind == "dual":
        host = hosts[kind]
    if (name in LOCKS and bucket != LOCKED) or (name in LISTS and bucket not in WITH_LISTS):
        name = "HeadBucket"
    row = operation(name)
    return Cell(
        operation=name,
        action=row.default_of or row.actions[0],
        target=Target(bucket=bucket, **({"name": kind, "host": host} if host else {})),
        principal=principal,
        vantage=vantage,
        transport=_transport(dice, principal, vantage, host),
        inferred=True,
        **_variant(dice, keys, name, bucket),
    )


def _transport(dice: random.Random, principal: str, vantage: str, host: str | None) -> Transport:
    found = dice.choice((*[Transport.HTTPS] * 6, Transport.HTTP, Transport.HTTP, Transport.TLS12, Transport.TLS13))
    clear = found is Transport.HTTP and (principal in PLAIN or host is not None)
    none = found is Transport.TLS13 and vantage == "interface"  # no handshake, so that nothing is to be predicted
    return Transport.HTTPS if clear or none else found


def _variant(dice: random.Random, keys: Sequence[str], name: str, bucket: str) -> dict[str, Any]:
    """Parameters that conditions ask about."""
    writes: tuple[dict[str, Any], ...] = (
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms"},
        *({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} for key in keys),
        *({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": keys[0], "BucketKeyEnabled": on} for on in (True, False)),
        {"Tagging": "class=open"},
        {"Tagging": "class=closed&more=1"},
        {"StorageClass": "STANDARD_IA"},
        {"ACL": "bucket-owner-full-control"},
        *([{"ACL": "public-read"}] if bucket in WITH_LISTS else []),
    )
    lists: tuple[dict[str, Any], ...] = ({"Prefix": "canary"}, {"Delimiter": "/"}, {"Prefix": "x", "MaxKeys": "1"})
    given = {"PutObject": writes, "CreateMultipartUpload": writes, "CopyObject": writes, "ListObjectsV2": lists}
    # The storage class of an upload is what keeps its form from making one.
    rows = [row for row in given.get(name, ()) if name != "CreateMultipartUpload" or "StorageClass" not in row]
    if not rows or dice.random() < 0.5:
        return {}
    chosen = dice.choice(rows)
    return {"parameters": chosen, "variant": "-".join(f"{key}.{value}" for key, value in chosen.items())}
