"""Uploads in parts that are not complete yet, listed page by page.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pytest_s3vpce.lab.acls import canonical_id, owner_of
from pytest_s3vpce.lab.listing import behind, grouped
from pytest_s3vpce.lab.s3answers import answered
from pytest_s3vpce.markup import elements

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_MOST: Final = 1000


def answer(state: State, _request: HttpRequest, asked: S3Request, bucket: BucketState) -> HttpResponse | None:
    """The page that is asked for; None for all other operations."""
    if asked.name != "ListMultipartUploads":
        return None
    sent = {name: str(value) for name, value in asked.parameters.items()}
    key, most = sent.get("KeyMarker", ""), min(int(sent.get("MaxUploads", _MOST)), _MOST)
    uploads = sorted([*state.stored(bucket.name).multiparts.copy().values()], key=attrgetter("key_name"))
    left = behind(((row.key_name, row) for row in uploads), key, sent.get("UploadIdMarker"), name_of=attrgetter("id"))
    found = grouped(left, prefix=sent.get("Prefix", ""), delimiter=sent.get("Delimiter", ""), marker=key)
    shown = quote if sent.get("EncodingType") == "url" else str
    page = found[:most]
    last, upload = page[-1] if page and len(page) < len(found) else ("", None)
    content = elements(
        Bucket=bucket.name,
        KeyMarker=shown(key),
        UploadIdMarker=sent.get("UploadIdMarker", ""),
        NextKeyMarker=shown(last),
        NextUploadIdMarker="" if upload is None else upload.id,
        MaxUploads=str(most),
        IsTruncated="true" if last else "false",
        **{name: shown(sent[name]) for name in ("Prefix", "Delimiter") if name in sent},
        **({"EncodingType": "url"} if shown is quote else {}),
    )
    content += "".join(_upload(row, bucket, shown=shown) for _, row in page if row is not None)
    folders = (elements(Prefix=shown(name)) for name, row in page if row is None)
    content += "".join(f"<CommonPrefixes>{folder}</CommonPrefixes>" for folder in folders)
    return answered("ListMultipartUploadsResult", content)


def _upload(row: Any, bucket: BucketState, *, shown: Callable[[str], str]) -> str:
    owner = elements(ID=canonical_id(owner_of(row, bucket)))
    checksum = {f"Checksum{name}": row.metadata.get(f"x-amz-checksum-{name.lower()}") for name in ("Algorithm", "Type")}
    content = elements(
        Key=shown(row.key_name),
        UploadId=row.id,
        StorageClass=row.storage or "STANDARD",
        Initiated=row.begun,
        **{name: value for name, value in checksum.items() if value},
    )
    return f"<Upload>{content}<Initiator>{owner}</Initiator><Owner>{owner}</Owner></Upload>"
