"""From an HTTP request to the S3 operation it is, with its parameters; what is on no list is none, never another one.

`s3shapes` says which method, path, query and headers make an operation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from pytest_s3vpce.lab.s3catalogue import served
from pytest_s3vpce.lab.s3shapes import shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.s3shapes import Shape
    from pytest_s3vpce.lab.wire import HttpRequest
    from pytest_s3vpce.operations import Operation

_HOST = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:-fips)?(?:\.dualstack)?(?:[.-](?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d))?"
    r"\.amazonaws\.(?:com(?:\.cn)?|eu)"
)
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html"""
_ENDPOINT_HOST = re.compile(
    r"(?:(?:(?P<bucket>.+)\.)?bucket\.)?vpce-[a-z0-9-]+\.s3\.(?P<region>[a-z0-9-]+)\.vpce\.amazonaws\.(?:com(?:\.cn)?|eu)"
)
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html"""
_AMAZON = re.compile(r".*\.amazonaws\.(?:com(?:\.cn)?|eu)")
"""Other names of AWS's: of access points, interface endpoints, accelerated or website buckets. None is path style."""
_CONTROL_HOST = re.compile(
    r"(?:\d{12}\.)?(?:s3-control(?:-fips)?(?:\.dualstack)?\.[a-z0-9-]+|control\.vpce-[a-z0-9-]+\.s3\.[a-z0-9-]+\.vpce)"
    r"\.amazonaws\.(?:com(?:\.cn)?|eu)"
)
_CONTROL_PATH = "/v20180820/"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Request:
    """What a request asks S3 for. `row` is None where no operation of the catalogue fits."""

    row: Operation | None
    bucket: str | None
    key: str | None
    parameters: Mapping[str, Any]
    target: str
    """The raw path-style target: `/bucket/key?query`, encoded as it was sent."""
    host_region: str | None
    document: str | None = None
    """The root element of the body, where that is to be an XML document."""
    document_required: bool = False
    integers: frozenset[str] = frozenset()
    """The names of parameters that are sent as whole numbers."""

    @property
    def operation(self) -> Operation:
        """The row, once it is known that there is one."""
        assert self.row is not None
        return self.row

    @property
    def name(self) -> str:
        """The operation's."""
        assert self.row is not None  # not by `operation`: this is asked dozens of times a request
        return self.row.name


def is_control(request: HttpRequest) -> bool:
    """Whether a request signed for s3 is one to S3 Control: by its host, or its path and account where all share one.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_PutPublicAccessBlock.html
    """
    if not request.target.startswith(_CONTROL_PATH):
        return False
    host = _host(request)
    shared = not _AMAZON.fullmatch(host) and request.header("x-amz-account-id") is not None
    return shared or _CONTROL_HOST.fullmatch(host) is not None


def parse(request: HttpRequest) -> S3Request:
    """The operation of a request, by host, path, query and headers."""
    name = _host(request)
    host = _parts(name)
    path, _, raw_query = request.target.partition("?")
    virtual = host["bucket"] if host else None
    raw = path.lstrip("/") if not virtual else f"{virtual}/{path.removeprefix('/')}"
    bucket, slash, raw_key = raw.partition("/")
    key = unquote(raw_key) if slash and raw_key else None
    level = 0 if not bucket else 1 if key is None else 2
    # Of a parameter that comes twice the first counts, as for the state behind: what is decided is what is done.
    query = dict(reversed(parse_qsl(raw_query, keep_blank_values=True)))
    known = host is not None or not _AMAZON.fullmatch(name)
    shape = shapes().match(request.method, level, query, request.named.keys()) if known else None
    parameters = _parameters(shape, query, request.named) if shape else {}
    target = f"/{bucket}" + (f"/{raw_key}" if key is not None else "") if bucket else "/"
    return S3Request(
        row=served(shape.name) if shape else None,
        bucket=unquote(bucket) or None,
        key=key,
        parameters=parameters,
        target=f"{target}?{raw_query}" if raw_query else target,
        host_region=host["region"] if host else None,
        document=shape.document if shape else None,
        document_required=shape is not None and shape.document_required,
        integers=frozenset(shape.integers & parameters.keys()) if shape else frozenset(),
    )


def virtual_bucket(request: HttpRequest) -> str | None:
    """The bucket that the host names; None for path-style requests."""
    host = _parts(_host(request))
    return host["bucket"] if host else None


@lru_cache(maxsize=1024)
def _parts(name: str) -> re.Match[str] | None:
    return _HOST.fullmatch(name) or _ENDPOINT_HOST.fullmatch(name)


def _host(request: HttpRequest) -> str:
    return request.host.rpartition(":")[0] if ":" in request.host else request.host


def _parameters(shape: Shape, query: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {member: query[name] for name, member in shape.query.items() if name in query}
    found.update({member: headers[name] for name, member in shape.headers.items() if name in headers})
    return found
