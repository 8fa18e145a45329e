"""Whether a request to S3 came to the right place: to a bucket that is there, in its Region, of whom it says.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab import accesspoints
from pytest_s3vpce.lab.authorization import unsupported
from pytest_s3vpce.lab.denials import PLAIN
from pytest_s3vpce.lab.refused import Refused, not_served
from pytest_s3vpce.lab.s3words import no_bucket, not_allowed
from pytest_s3vpce.lab.signatures import Verified
from pytest_s3vpce.lab.signaturev2 import REGIONS as REGIONS_OF_VERSION_2
from pytest_s3vpce.lab.signaturev2 import VERSION as VERSION_2

if TYPE_CHECKING:
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.signatures import Anonymous
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_REGION_HEADER: Final = "x-amz-bucket-region"
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ANY_REGION: Final = frozenset({"CreateBucket", "ListBuckets", "GetBucketLocation", "HeadBucket"})


def unserved(request: HttpRequest) -> Refused:
    """The answer to what is no operation."""
    from pytest_s3vpce.lab import s3post

    if s3post.is_post_to_bucket(request):
        return s3post.other_form()
    return not_served("s3")


def check_access_point(asked: S3Request, verified: Verified | Anonymous) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-restrictions-limitations.html"""
    if not isinstance(verified, Verified):
        raise Refused("AccessDenied", status=403, message=PLAIN)
    if verified.signature_version == VERSION_2:
        raise unsupported()
    if asked.name not in accesspoints.SERVED:
        raise not_allowed()


def bucket_of(state: State, asked: S3Request, verified: Verified | Anonymous) -> BucketState:
    """The bucket that is asked for, in the Region that it is asked for in."""
    bucket = state.bucket(asked.bucket or "")
    if bucket is None:
        raise no_bucket(asked.bucket or "")
    _check_region(asked, bucket, verified)
    return bucket


def _check_region(asked: S3Request, bucket: BucketState, verified: Verified | Anonymous) -> None:
    """A request that was sent to, or signed for, another Region than the bucket's."""
    if asked.name in _ANY_REGION:
        return
    if asked.host_region is not None and asked.host_region != bucket.region:
        raise Refused(
            "PermanentRedirect",
            status=301,
            message="The bucket you are attempting to access must be addressed using the specified endpoint. Please "
            "send all future requests to this endpoint.",
            details=(("Endpoint", f"{bucket.name}.s3.{bucket.region}.amazonaws.com"), ("Bucket", bucket.name)),
            headers=region_header(bucket),
        )
    if isinstance(verified, Verified) and verified.signature_version == VERSION_2:
        if bucket.region not in REGIONS_OF_VERSION_2:
            raise unsupported()
        return
    if isinstance(verified, Verified) and verified.region != bucket.region:
        raise Refused(
            "AuthorizationHeaderMalformed",
            status=400,
            message=f"The authorization header is malformed; the region '{verified.region}' is wrong; expecting "
            f"'{bucket.region}'",
            details=(("Region", bucket.region),),
            headers=region_header(bucket),
        )


def region_header(bucket: BucketState) -> tuple[tuple[str, str], ...]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"""
    return ((_REGION_HEADER, bucket.region),)


def with_region(answer: HttpResponse, bucket: BucketState) -> HttpResponse:
    others = [(name, value) for name, value in answer.headers if name.lower() != _REGION_HEADER]
    return replace(answer, headers=(*others, *region_header(bucket)))


def check_owner(asked: S3Request, bucket: BucketState) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html"""
    wanted = asked.parameters.get("ExpectedBucketOwner")
    if wanted is not None and not _ACCOUNT.fullmatch(wanted):
        message = f"The value of the expected bucket owner parameter must be an AWS Account ID... [{wanted}]"
        raise Refused("InvalidBucketOwnerAWSAccountID", status=400, message=message)
    if wanted is not None and wanted != bucket.account:
        raise Refused("AccessDenied", status=403, message=PLAIN)
