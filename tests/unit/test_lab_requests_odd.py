"""Whatever a request to S3 looks like, it is the operation that botocore would send so, or none; none does anything."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import botocore.session
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_s3vpce.lab.s3catalogue import served
from pytest_s3vpce.lab.s3requests import parse
from pytest_s3vpce.lab.wire import HttpRequest
from tests.unit.labstage import INTERNET, LOADER, REGION, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.wire import HttpResponse

MAIN = "361000000001"
BUCKET, OTHER, KEY = "mapped", "mapped-other", "key"
HOST = f"s3.{REGION}.amazonaws.com"
SOAK = os.environ.get("S3VPCE_SOAK") == "1"
QUICK = settings(
    max_examples=6_000 if SOAK else 250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not SOAK,
)
OF_OBJECTS = frozenset(
    {"PutObject", "CopyObject", "DeleteObject", "DeleteObjects", "CompleteMultipartUpload", "PutObjectTagging"}
    | {"DeleteObjectTagging", "PutObjectAcl", "PutObjectRetention", "PutObjectLegalHold", "RestoreObject"}
)
OF_BUCKETS = frozenset({"CreateBucket", "DeleteBucket"})


@cache
def model() -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", LOADER)
    return session.get_service_model("s3")


@cache
def wire(name: str) -> tuple[str, int, Mapping[str, str], frozenset[str], frozenset[str], frozenset[str]]:
    """Method, level, literal query, required query and headers, and every parameter of the query."""
    found = model().operation_model(name)
    path, _, literal = found.http["requestUri"].partition("?")
    literals = {key: value for key, value in parse_qsl(literal, keep_blank_values=True) if key != "x-id"}
    members = found.input_shape.members if found.input_shape else {}
    required = set(found.input_shape.required_members) if found.input_shape else set()
    sent: dict[str, dict[str, str]] = {"querystring": {}, "header": {}}
    for member, shape in members.items():
        where = shape.serialization.get("location")
        if where in sent:
            sent[where][shape.serialization.get("name", member)] = member
    query = frozenset(key for key, member in sent["querystring"].items() if member in required)
    headers = frozenset(key.lower() for key, member in sent["header"].items() if member in required)
    level = 2 if "{Key+}" in path else 1 if "{Bucket}" in path else 0
    return found.http["method"], level, literals, query, headers, frozenset(sent["querystring"])


NAMES = sorted({key for name in model().operation_names for key in (*wire(name)[2], *wire(name)[5])})
SUBRESOURCES = frozenset(key for name in model().operation_names for key in (*wire(name)[2], *wire(name)[3]))
HEADERS = sorted({key for name in model().operation_names for key in wire(name)[4]})
VALUES = st.sampled_from(["", "1", "2", "null", KEY, "true", "x y", "ü", "a&b=c", "9" * 20])
QUERIES = st.lists(st.tuples(st.sampled_from([*NAMES, "torrent", "cors2", "Policy", "ACL"]), VALUES), max_size=4)
BODIES = st.sampled_from(
    [b"", b"{}", b"<x/>", b"<Delete><Object><Key>key</Key></Object></Delete>", b"nonsense", b"a=b", b"\x00\xff"]
)


@st.composite
def requests(draw: Any) -> HttpRequest:
    """From anything at all to an operation as it should be, with something added or left out."""
    method = draw(st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]))
    level, query, headers = (
        draw(st.sampled_from([0, 1, 1, 2, 2])),
        draw(QUERIES),
        set(draw(st.sets(st.sampled_from(HEADERS)))),
    )
    if draw(st.booleans()):
        method, level, literals, wanted, needed, _ = wire(draw(st.sampled_from(sorted(model().operation_names))))
        query = [
            *literals.items(),
            *((name, draw(VALUES)) for name in sorted(wanted)),
            *query[: draw(st.integers(0, 2))],
        ]
        headers = set(needed) if draw(st.booleans()) else headers
    path = ("/", f"/{draw(st.sampled_from([BUCKET, OTHER]))}", f"/{BUCKET}/{KEY}")[level]
    text = "&".join(f"{name}={quote(value)}" if value or draw(st.booleans()) else name for name, value in query)
    given_headers = [
        ("Host", HOST),
        *((name, draw(st.sampled_from([f"{BUCKET}/{KEY}", "x"]))) for name in sorted(headers)),
    ]
    return HttpRequest(
        method=method,
        target=f"{path}?{text}" if text else path,
        headers=tuple(given_headers),
        body=draw(BODIES),
        host=HOST,
        scheme="https",
        tls="TLSv1.3",
        origin=INTERNET,
        peer="127.0.0.1:1",
    )


def fitting(request: HttpRequest) -> set[str]:
    """The operations that this request may be, by a second reading of botocore's model."""
    path, _, text = request.target.partition("?")
    level = len([part for part in path.split("/") if part])
    query = dict(reversed(parse_qsl(text, keep_blank_values=True)))
    headers = {name.lower() for name, _ in request.headers}
    found: dict[str, int] = {}
    for name in model().operation_names:
        method, at, literals, wanted, needed, _ = wire(name)
        same = all(key in query and value in ("", query[key]) for key, value in literals.items())
        if (method, at) == (request.method, level) and same and wanted <= query.keys() and needed <= headers:
            found[name] = 2 * len(literals) + len(wanted) + len(needed)
    best = {name for name, weight in found.items() if weight == max(found.values())}
    return {name for name in best if SUBRESOURCES & query.keys() <= {*wire(name)[2], *wire(name)[5]}}


@QUICK
@given(requests())
def test_a_request_is_one_operation_or_none(request: HttpRequest) -> None:
    row, names = parse(request).row, fitting(request)
    if row is None:
        assert not names or any(served(name) is None for name in names)
    else:
        assert row.name in {found.name for found in map(served, names) if found is not None}


@pytest.mark.parametrize("name", sorted(model().operation_names))
def test_each_operation_is_itself_and_nothing_else_with_a_strange_sub_resource(name: str) -> None:
    method, level, literals, wanted, needed, known = wire(name)
    query = [*literals.items(), *((key, "1") for key in sorted(wanted))]
    text = "&".join(f"{key}={value}" if value else key for key, value in query)
    path = ("/", f"/{BUCKET}", f"/{BUCKET}/{KEY}")[level]
    request = HttpRequest(
        method=method,
        target=f"{path}?{text}" if text else path,
        headers=(("Host", HOST), *((key, "x") for key in sorted(needed))),
        body=b"",
        host=HOST,
        scheme="https",
        tls=None,
        origin=INTERNET,
        peer="p",
    )
    assert parse(request).row == served(name) or name in {
        "WriteGetObjectResponse",
        "CreateSession",
        "ListDirectoryBuckets",
    }
    for strange in sorted(SUBRESOURCES - {*literals, *known}):
        more = parse(replace(request, target=f"{request.target}{'&' if text else '?'}{strange}")).row
        assert more is None or strange in {*wire(more.name)[2], *wire(more.name)[5]}


# --- what a request may change ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    s3 = made.root(MAIN).client("s3")
    for bucket in (BUCKET, OTHER):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"content", Tagging="a=b")
    return made


def sent(stage: Stage, request: HttpRequest) -> HttpResponse:
    """As the account's root user sends it, who may do everything."""
    root = stage.root(MAIN)
    unsigned = AWSRequest(method=request.method, url=f"https://{HOST}{request.target}", data=request.body)
    for name, value in request.headers:
        unsigned.headers[name] = value
    S3SigV4Auth(Credentials(root.key, root.secret), "s3", REGION).add_auth(unsigned)
    return stage.gateway.handle(replace(request, headers=tuple((n, str(v)) for n, v in unsigned.headers.items())))


def objects(stage: Stage) -> tuple[Any, ...]:
    rows = []
    for bucket in (BUCKET, OTHER):
        home = stage.state.stored(bucket)
        rows.append(None if home is None else tuple((name, key.etag) for name, key in home.keys.items()))
    return tuple(rows)


@QUICK
@given(request=requests())
def test_what_is_no_such_operation_changes_nothing(stage: Stage, request: HttpRequest) -> None:
    before, row = objects(stage), parse(request).row
    answer = sent(stage, request)
    assert answer.status != 500, answer.body
    after = objects(stage)
    if row is None:
        assert answer.status in {403, 400, 412, 501} if request.method != "OPTIONS" else answer.status in {400, 403}
    if row is None or row.name not in OF_OBJECTS | OF_BUCKETS:
        assert after == before
    elif row.name in OF_OBJECTS:
        assert [entry is None for entry in after] == [entry is None for entry in before]
    if after != before:
        _put_back(stage)


def _put_back(stage: Stage) -> None:
    s3 = stage.root(MAIN).client("s3")
    for bucket in (BUCKET, OTHER):
        if stage.state.stored(bucket) is None:
            s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"content", Tagging="a=b")
