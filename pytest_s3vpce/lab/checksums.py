"""The digests that S3 verifies of what it is sent.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import hashlib
import zlib
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONTENT_MD5: Final = "content-md5"
_LONGEST: Final = 1024 * 1024
"""Python has no quick way for the two CRCs below: of longer bodies they are not verified."""
_WIDTHS: Final = {"crc32c": (0x82F63B78, 4), "crc64nvme": (0x9A6C9329AC4BC9B5, 8)}
"""Reversed polynomial, and bytes of the result.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Checksum.html"""


def _slow(name: str) -> Callable[[bytes], bytes | None]:
    polynomial, width = _WIDTHS[name]
    every = (1 << (8 * width)) - 1

    def digest(body: bytes) -> bytes | None:
        if len(body) > _LONGEST:
            return None
        table, value = _table(polynomial), every
        for byte in body:
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
        return (value ^ every).to_bytes(width, "big")

    return digest


@cache
def _table(polynomial: int) -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


DIGESTS: Final[Mapping[str, tuple[int, Callable[[bytes], bytes | None]]]] = {
    CONTENT_MD5: (16, lambda body: hashlib.md5(body, usedforsecurity=False).digest()),
    "x-amz-checksum-crc32": (4, lambda body: zlib.crc32(body).to_bytes(4, "big")),
    "x-amz-checksum-crc32c": (4, _slow("crc32c")),
    "x-amz-checksum-crc64nvme": (8, _slow("crc64nvme")),
    "x-amz-checksum-sha1": (20, lambda body: hashlib.sha1(body, usedforsecurity=False).digest()),
    "x-amz-checksum-sha256": (32, lambda body: hashlib.sha256(body).digest()),
}
"""By header: how many bytes the digest has, and what it is of a body; None where it is not computed."""
