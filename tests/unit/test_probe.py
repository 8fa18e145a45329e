"""Probes: botocore must send what was meant; each of its traps has a test on the captured request."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.awsrequest import AWSRequest

from pytest_s3vpce.errors import S3VpceError, TargetError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Cell, SignedRequest, Target, Transport
from pytest_s3vpce.operations import BOGUS_ETAG, BOGUS_VERSION_ID, OPERATIONS, Fill, operation
from pytest_s3vpce.probe import Credentials, Destination, Host, Probe, ProbeBuilder, _headers, form_of
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.planes import world_of

if TYPE_CHECKING:
    from pathlib import Path

KEYS = Credentials(access_key_id="AKIAEXAMPLE", secret_access_key="secret-of-a-test", session_token="token-of-a-test")
HERE = Destination(
    bucket="amzn-s3-demo-bucket",
    owner="111122223333",
    region="eu-west-1",
    key=".s3vpce/canary",
    canary_body=b"the canary",
    absent_key=".s3vpce/canary.absent",
    canary_version="v1",
    run_key=".s3vpce/canary.made",
)


def cell(operation_name: str, **changes: Any) -> Cell:
    row = OPERATIONS[operation_name]
    values = {
        "operation": operation_name,
        "action": row.actions[0],
        "target": Target(bucket="reports"),
        "principal": "app",
        "vantage": "app-subnet",
        **changes,
    }
    return Cell(**values)


BUILDER = ProbeBuilder(user_agent="s3vpce/0.1.0 run/abcd")


def build(
    operation_name: str,
    *,
    destination: Destination = HERE,
    credentials: Credentials | None = KEYS,
    canary_range: str = "",
    **changes: Any,
) -> SignedRequest:
    probe = Probe(cell=cell(operation_name, **changes), canary_range=canary_range)
    return BUILDER.build(probe, request_id="r0", destination=destination, credentials=credentials)


def headers(request: SignedRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}


def test_the_host_is_virtual_style_and_regional_also_in_us_east_1() -> None:
    assert build("GetObject").host == "amzn-s3-demo-bucket.s3.eu-west-1.amazonaws.com"
    east = Destination(bucket="amzn-s3-demo-bucket", owner=None, region="us-east-1", key="k")
    assert build("GetObject", destination=east).host == "amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com"


@pytest.mark.parametrize("transport", [Transport.HTTPS, Transport.HTTP])
def test_a_dotted_bucket_stays_path_style(transport: Transport) -> None:
    dotted = Destination(bucket="dotted.bucket.name", owner=None, region="eu-west-1", key="k")
    request = build("GetObject", destination=dotted, transport=transport)
    assert request.url == f"{transport.scheme}://s3.eu-west-1.amazonaws.com/dotted.bucket.name/k"


def test_signatures_are_version_4_in_the_header_and_carry_the_token() -> None:
    found = headers(build("GetObject"))
    assert re.match(
        r"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/\d{8}/eu-west-1/s3/aws4_request, SignedHeaders=",
        found["authorization"],
    )
    assert found["x-amz-security-token"] == "token-of-a-test"
    assert "x-amz-security-token" in found["authorization"]


def test_a_body_is_sent_whole_without_a_trailer_or_a_default_checksum() -> None:
    request = build("PutObject")
    found = headers(request)
    assert request.body == b"the canary"
    assert found["content-length"] == "10"
    assert found["if-none-match"] == "*"
    assert not {"transfer-encoding", "content-encoding", "x-amz-trailer", "x-amz-checksum-crc32"} & set(found)
    assert re.fullmatch("[0-9a-f]{64}", found["x-amz-content-sha256"])


def test_each_call_is_captured_once_and_never_sent() -> None:
    """`total_max_attempts: 1`, and the Region redirector has no answer to act upon: nothing leaves or is retried."""
    builder = ProbeBuilder(user_agent="s3vpce/0.1.0 run/abcd")
    calls: list[str] = []
    client = builder._client(KEYS, HERE, Transport.HTTPS)
    client.meta.events.register_first("before-send.s3", lambda request, **_: calls.append(request.url))
    builder.build(Probe(cell=cell("GetObject")), request_id="r0", destination=HERE, credentials=KEYS)
    assert len(calls) == 1
    config: Any = client.meta.config
    assert config.retries["total_max_attempts"] == 1


def test_the_user_agent_names_the_run() -> None:
    assert headers(build("GetObject"))["user-agent"].startswith("s3vpce/0.1.0 run/abcd")


def test_headers_that_tell_s3_nothing_are_left_out() -> None:
    assert not {"amz-sdk-invocation-id", "amz-sdk-request"} & set(headers(build("GetObject")))


def test_the_owner_guards_every_request_that_can_carry_it() -> None:
    for name, row in OPERATIONS.items():
        if row.safe is None or name in ("ListBuckets", "CreateBucket"):
            continue
        assert headers(build(name, inferred=True))["x-amz-expected-bucket-owner"] == "111122223333", name
    for name in ("ListBuckets", "CreateBucket"):
        assert "x-amz-expected-bucket-owner" not in headers(build(name, inferred=True))


def test_who_asks_says_that_it_pays_where_the_bucket_wants_it() -> None:
    paid = replace(HERE, requester_pays=True)
    for name in ("GetObject", "ListObjectsV2", "PutObject", "HeadObject"):
        found = headers(build(name, destination=paid))
        assert found["x-amz-request-payer"] == "requester", name
        assert "x-amz-request-payer" in found["authorization"], name
        assert "x-amz-request-payer" not in headers(build(name)), name
    assert "x-amz-request-payer" not in headers(build("GetBucketPolicy", destination=paid))


def test_an_inventorys_bucket_has_who_asks_pay(tmp_path: Path) -> None:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(
        'accounts: {main: {id: "111122223333", region: eu-west-1}}\n'
        "principals: {app: {anonymous: true}}\n"
        "vantage_points: {app-subnet: local}\n"
        "buckets: {reports: {name: reports-bucket, canary: c, requester_pays: true}}\n"
        "controls: {main: {name: control-bucket, canary: c}}\n",
        encoding="utf-8",
    )
    world = world_of(load_inventory(path), Environment(), run_id="r")
    here = cell("GetObject")
    assert world.destination(here).requester_pays
    assert not world.destination(replace(here, target=Target(bucket="control:main"))).requester_pays


def test_anonymous_requests_are_unsigned_and_never_stale() -> None:
    request = build("GetObject", credentials=None)
    assert "authorization" not in headers(request)
    assert request.signed_at == 0.0
    assert build("GetObject").signed_at > 0


def test_transport_decides_scheme_and_tls_pin() -> None:
    assert build("GetObject", transport=Transport.HTTP).url.startswith("http://")
    assert build("GetObject", transport=Transport.HTTP).tls is None
    assert build("GetObject", transport=Transport.TLS12).tls == "1.2"
    assert build("GetObject", transport=Transport.TLS13).url.startswith("https://")


def test_an_interface_endpoint_is_its_own_host() -> None:
    endpoint = "https://bucket.vpce-0abc-x.s3.eu-west-1.vpce.amazonaws.com"
    here = Destination(bucket="amzn-s3-demo-bucket", owner=None, region="eu-west-1", key="k", host=Host.of(endpoint))
    host = "amzn-s3-demo-bucket.bucket.vpce-0abc-x.s3.eu-west-1.vpce.amazonaws.com"
    assert build("GetObject", destination=here).host == host
    assert build("GetObject", destination=here, transport=Transport.HTTP).url == f"http://{host}/k"


def test_keys_are_encoded_once() -> None:
    odd = Destination(bucket="amzn-s3-demo-bucket", owner=None, region="eu-west-1", key="a b/ü+k")
    assert urlsplit(build("GetObject", destination=odd).url).path == "/a%20b/%C3%BC%2Bk"


def test_safe_forms_fill_in_what_is_known_only_now() -> None:
    assert urlsplit(build("PutObjectTagging").url).path == "/.s3vpce/canary.absent"
    copy = headers(build("CopyObject"))
    assert copy["x-amz-copy-source"] == "amzn-s3-demo-bucket/.s3vpce/canary"
    assert copy["x-amz-copy-source-if-match"] == BOGUS_ETAG
    part = parse_qs(urlsplit(build("UploadPart").url).query)
    assert part["uploadId"] == ["s3vpce-no-such-upload"]


def test_a_users_parameters_and_a_readers_range_win() -> None:
    assert (
        headers(build("PutObject", parameters={"ServerSideEncryption": "AES256"}, variant="sse"))[
            "x-amz-server-side-encryption"
        ]
        == "AES256"
    )
    assert headers(build("GetObject"))["range"] == "bytes=0-0"
    assert headers(build("GetObject", canary_range="bytes=0-1023"))["range"] == "bytes=0-1023"


def test_every_safe_form_of_the_catalogue_can_be_built() -> None:
    for name, row in OPERATIONS.items():
        if row.safe is not None:
            assert build(name, inferred=True).method in ("GET", "HEAD", "PUT", "POST", "DELETE"), name


def test_a_form_with_a_document_of_its_own_sends_it_whole_with_its_checksum() -> None:
    request = build("PutPublicAccessBlock", inferred=True)
    document = operation("PutPublicAccessBlock").safe.document  # type: ignore[union-attr]
    assert request.body == document
    found = headers(request)
    assert found["content-length"] == str(len(request.body))
    assert found["x-amz-content-sha256"] == hashlib.sha256(request.body).hexdigest()
    checksum = zlib.crc32(request.body).to_bytes(4, "big")
    assert found["x-amz-checksum-crc32"] == base64.b64encode(checksum).decode()
    assert build("PutBucketVersioning", inferred=True).body.startswith(b"<VersioningConfiguration")


def test_operations_on_a_version_name_the_canarys_or_one_that_does_not_exist() -> None:
    assert parse_qs(urlsplit(build("GetObjectVersion").url).query)["versionId"] == ["v1"]
    assert parse_qs(urlsplit(build("DeleteObjectVersion").url).query)["versionId"] == [BOGUS_VERSION_ID]
    unread = Destination(bucket="amzn-s3-demo-bucket", owner=None, region="eu-west-1", key="k")
    with pytest.raises(TargetError, match="was not read, so its version is not known"):
        build("GetObjectVersion", destination=unread)


def test_a_batch_delete_names_the_canary_alone() -> None:
    body = build("DeleteObjects").body.decode()
    assert f"<Object><Key>{HERE.key}</Key><ETag>" in body
    assert body.count("<Key>") == 1


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("PutObject", {"IfNoneMatch": "x"}),
        ("PutObject", {"Body": "x"}),
        ("DeleteObject", {"VersionId": "a-real-one"}),
        ("DeleteObject", {"IfMatch": "*"}),
        ("PutBucketVersioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
        ("PutBucketPolicy", {"Policy": "{}"}),
        ("AbortMultipartUpload", {"UploadId": "a-real-one"}),
    ],
)
def test_what_keeps_a_write_from_changing_anything_is_not_the_users(name: str, parameters: dict[str, Any]) -> None:
    (parameter,) = parameters
    with pytest.raises(
        S3VpceError, match=f"the safe form of `{name}` takes no `{parameter}`: it is what keeps it from changing"
    ):
        build(name, inferred=True, parameters=parameters)


def test_a_mutating_form_writes_to_the_runs_own_key_and_locks_nothing() -> None:
    request = build("PutObject", mutating=True, parameters={"ServerSideEncryption": "AES256"})
    assert urlsplit(request.url).path == "/.s3vpce/canary.made"
    assert "if-none-match" not in headers(request)
    with pytest.raises(S3VpceError, match="the mutating form of `PutObject` takes no `ObjectLockMode`: it would keep"):
        build("PutObject", mutating=True, parameters={"ObjectLockMode": "COMPLIANCE"})


def test_what_does_not_is() -> None:
    tags = {"Tagging": {"TagSet": [{"Key": "team", "Value": "blue"}]}}
    assert b"blue" in build("PutObjectTagging", parameters=tags).body
    other = build("CopyObject", parameters={"CopySource": "elsewhere/k"})
    assert headers(other)["x-amz-copy-source"] == "elsewhere/k"


def test_no_write_is_signed_before_the_canary_was_read() -> None:
    unread = Destination(bucket="amzn-s3-demo-bucket", owner=None, region="eu-west-1", key="k")
    with pytest.raises(TargetError, match="was not read, so nothing is written to it"):
        build("PutObject", destination=unread)


def test_wrong_parameters_are_one_clear_error() -> None:
    with pytest.raises(
        S3VpceError, match=r"parameters of `GetObject` do not fit: .*NoSuchParameter.*boto3's parameter names"
    ):
        build("GetObject", parameters={"NoSuchParameter": "x"})
    with pytest.raises(S3VpceError, match="`GetObject` can't be built"):
        build("GetObject", destination=Destination(bucket="bbb", owner=None, region="no region", key="k"))


def test_what_has_no_form_says_what_to_set() -> None:
    with pytest.raises(
        S3VpceError, match="operation `DeleteBucket` has no form that changes nothing; the request takes nothing that"
    ):
        build("DeleteBucket")
    with pytest.raises(S3VpceError, match=r"safe form of `PutBucketAcl` is inferred, .*; set `inferred: true` to send"):
        build("PutBucketAcl")
    with pytest.raises(S3VpceError, match="operation `HeadObject` has no mutating form; leave `mutating` out"):
        build("HeadObject", mutating=True)
    with pytest.raises(
        S3VpceError, match="has no form that changes nothing; it has a mutating form: set `mutating: true`"
    ):
        form_of(cell("DeleteBucket"), replace(operation("DeleteBucket"), mutating=operation("GetObject").safe))


def test_credentials_and_requests_hide_what_is_secret() -> None:
    request = build("GetObject")
    for text in (repr(KEYS), repr(request), str(request)):
        assert "secret-of-a-test" not in text
        assert "token-of-a-test" not in text
        assert "Signature" not in text


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (
            "bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com",
            "https://reports.bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com/k",
        ),
        ("https://bucket.vpce-1.example:8443", "https://reports.bucket.vpce-1.example:8443/k"),
        ("dualstack", "https://reports.s3.dualstack.eu-west-1.amazonaws.com/k"),
        ("fips", "https://reports.s3-fips.us-east-1.amazonaws.com/k"),
        ("dualstack-fips", "https://reports.s3-fips.dualstack.us-east-1.amazonaws.com/k"),
        (
            "arn:aws:s3:eu-west-1:111122223333:accesspoint/reading",
            "https://reading-111122223333.s3-accesspoint.eu-west-1.amazonaws.com/k",
        ),
        (
            "arn:aws-cn:s3:cn-north-1:111122223333:accesspoint/reading",
            "https://reading-111122223333.s3-accesspoint.cn-north-1.amazonaws.com.cn/k",
        ),
    ],
)
def test_a_host_is_a_name_a_variant_or_an_access_point(text: str, url: str) -> None:
    region = "cn-north-1" if "aws-cn" in text else "us-east-1" if "fips" in text else "eu-west-1"
    here = Destination(bucket="reports", owner=None, region=region, key="k", host=Host.of(text))
    request = build("GetObject", destination=here)
    assert request.url == url


def test_partitions_have_hosts_of_their_own() -> None:
    for region, host in (
        ("us-gov-west-1", "reports.s3.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "reports.s3.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "reports.s3.eusc-de-east-1.amazonaws.eu"),
    ):
        here = Destination(bucket="reports", owner=None, region=region, key="k")
        assert build("GetObject", destination=here).host == host


def test_a_cells_time_limit_goes_with_its_request() -> None:
    assert build("GetObject", timeout=3).read_timeout == 3
    assert build("GetObject").read_timeout is None


def test_headers_that_are_bytes_come_to_the_agent_as_they_were_signed() -> None:
    """The agent encodes as UTF-8, which botocore signed."""
    request: Any = AWSRequest("GET", "https://b.example/", headers={"X-Amz-Meta-Name": "Käse".encode()}).prepare()
    assert dict(_headers(request))["X-Amz-Meta-Name"].encode() == "Käse".encode()


def test_a_key_of_the_callers_own_is_random_and_shows_nowhere() -> None:
    parameters = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": Fill.CUSTOMER_KEY}
    one, other = (build("PutObject", parameters=parameters) for _ in range(2))
    name = "x-amz-server-side-encryption-customer-key"
    key = headers(one)[name]
    assert len(base64.b64decode(key)) == 32
    assert headers(one)[f"{name}-md5"]
    assert key != headers(other)[name]
    assert key not in repr(one)
    assert headers(one)["if-none-match"] == "*"


CONFIGURED = """\
[default]
region = us-west-2
endpoint_url = http://127.0.0.1:9
use_dualstack_endpoint = true
use_fips_endpoint = true
s3 =
    addressing_style = path
    use_accelerate_endpoint = true
    use_arn_region = false
"""
ENVIRONMENT = {
    "AWS_PROFILE": "ghost",
    "AWS_REGION": "us-west-2",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    "AWS_ENDPOINT_URL_S3": "https://bucket.vpce-1.s3.us-west-2.vpce.amazonaws.com",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_S3_USE_ARN_REGION": "false",
    "AWS_AUTH_SCHEME_PREFERENCE": "sigv4a",
}


def test_nothing_of_the_users_own_configuration_changes_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(CONFIGURED, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    builder = ProbeBuilder(user_agent="s3vpce/0.1.0 run/abcd")
    point = Host(access_point="arn:aws:s3:us-east-2:111122223333:accesspoint/reading")
    for host, name in (
        (Host(), f"{HERE.bucket}.s3.eu-west-1"),
        (point, "reading-111122223333.s3-accesspoint.us-east-2"),
    ):
        found = builder.build(
            Probe(cell=cell("GetObject")), request_id="r", destination=replace(HERE, host=host), credentials=KEYS
        )
        assert found.url == f"https://{name}.amazonaws.com/.s3vpce/canary"
        assert "AWS4-HMAC-SHA256" in dict(found.headers)["Authorization"]
