"""Listings: how many rows a page has at the most, and names that were asked for encoded, so that XML can carry them.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pytest_s3vpce.markup import from_xml

if TYPE_CHECKING:
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.wire import HttpResponse

_PLAIN: Final = {
    "ListObjects": re.compile(r"<(Prefix|Delimiter|Marker|NextMarker)>([^<]+)</"),
    "ListObjectsV2": re.compile(r"<(Delimiter|StartAfter)>([^<]+)</"),
    "ListObjectVersions": re.compile(r"<(Prefix|Delimiter|KeyMarker|NextKeyMarker|Key)>([^<]+)</"),
}
"""What the state behind leaves as it is."""
_TOLD: Final = "<EncodingType>url</EncodingType>"
_END: Final = "</ListVersionsResult>"
_MOST: Final = 1000
_SIZES: Final = {"MaxKeys": "max-keys", "MaxParts": "max-parts"}


def target(asked: S3Request) -> str:
    """What is asked of the state behind: a page has no more than 1,000 rows, and says so, whatever was asked for.

    Of a parameter that comes twice the first counts.
    """
    name = next((name for parameter, name in _SIZES.items() if int(asked.parameters.get(parameter, 0)) > _MOST), None)
    if name is None:
        return asked.target
    path, _, query = asked.target.partition("?")
    return f"{path}?{name}={_MOST}&{query}"


def settle(asked: S3Request, answer: HttpResponse) -> HttpResponse:
    """The answer with every name encoded, where that was asked for."""
    plain = _PLAIN.get(asked.name)
    if plain is None or asked.parameters.get("EncodingType") != "url":
        return answer
    text = plain.sub(lambda found: f"<{found[1]}>{quote(from_xml(found[2]))}</", answer.body.decode())
    if _TOLD not in text:
        text = text.replace(_END, f"{_TOLD}{_END}")
    return replace(answer, body=text.encode())
