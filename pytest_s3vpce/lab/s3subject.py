"""What a check of S3's is about: a bucket as one request sees it, and the object in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_s3vpce.lab.accesspoints import AccessPoint
    from pytest_s3vpce.lab.resources import BucketState, PublicAccessBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBucket:
    """A bucket that does not exist yet, or all of an account's."""

    name: str
    account: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A bucket, read once for all checks of a request; `bucket` is None where there is none yet."""

    name: str
    account: str
    bucket: BucketState | None
    policy: str | None
    block: PublicAccessBlock
    """Block Public Access as it counts: the bucket's, its account's and the access point's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The resource of one check, whose it is, and the access point that the request names it by."""

    owned: Owned
    resource: str
    key: str | None = None
    version: str | None = None
    point: AccessPoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """The access points that a request and the source of its copy name."""

    own: AccessPoint | None = None
    source: AccessPoint | None = None


NO_POINTS: Final = Points()
