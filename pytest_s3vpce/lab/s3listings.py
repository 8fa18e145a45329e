"""Listings whose names were asked for encoded, so that XML can carry them: S3 encodes all of them.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
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
}
"""What the state behind leaves as it is."""


def settle(asked: S3Request, answer: HttpResponse) -> HttpResponse:
    """The answer with every name encoded, where that was asked for."""
    assert asked.row is not None
    plain = _PLAIN.get(asked.row.name)
    if plain is None or asked.parameters.get("EncodingType") != "url":
        return answer
    text = plain.sub(lambda found: f"<{found[1]}>{quote(from_xml(found[2]))}</", answer.body.decode())
    return replace(answer, body=text.encode())
