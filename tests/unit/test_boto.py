"""boto3 clients over vantage points: stubs for what fails, the in-process agent and a server for what comes through."""

from __future__ import annotations

import io
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import boto3.s3.transfer
import botocore.exceptions
import botocore.loaders
import botocore.session
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pytest_s3vpce.errors import CredentialError, VantageError
from pytest_s3vpce.model import Answer, FailureKind, SignedRequest
from pytest_s3vpce.vantage import boto
from pytest_s3vpce.vantage.base import AgentConfig, Limits
from pytest_s3vpce.vantage.local import LocalVantage
from pytest_s3vpce.vantage.relay import Relay
from pytest_s3vpce.vantage.stub import StubVantage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.matrix import Call
    from pytest_s3vpce.vantage.base import Vantage

MIB = 1024 * 1024
LOADER = botocore.loaders.create_loader()
"""botocore's models, read once for all tests."""
SECRET = "wJalrXUtnFEMISECRET"
ROLE = {"aws_access_key_id": "ASIAKEY", "aws_secret_access_key": SECRET, "aws_session_token": "TOKENTOKEN"}


class Store(BaseHTTPRequestHandler):
    """Keeps what is put, gives what is asked for, and says what it got in headers."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    heads: list[Any]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.objects[self.path.partition("?")[0]] = body
        self._answer(200, b"", ETag='"e"')

    def do_GET(self) -> None:
        found = self.objects.get(self.path.partition("?")[0])
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>")
            return
        given = self.headers.get("Range")
        if given:
            first, last = (int(number or len(found) - 1) for number in given.removeprefix("bytes=").split("-"))
            part = found[first : last + 1]
            self._answer(
                206, part, **{"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(found)}", "ETag": '"e"'}
            )
            return
        self._answer(200, found, ETag='"e"')

    def do_HEAD(self) -> None:
        found = self.objects.get(self.path.partition("?")[0], b"")
        self.heads.append(self.headers)
        self.send_response(200)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("ETag", '"e"')
        self.end_headers()

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.heads.append(self.headers)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "x-amz-request-id": "R1", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 64


@pytest.fixture
def store() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Store,), {"objects": {}, "heads": []})
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def local(server: ThreadingHTTPServer) -> LocalVantage:
    return LocalVantage(
        "here",
        config=AgentConfig(connect_to=True, loopback=True),
        connect_to=[f"*:80:127.0.0.1:{server.server_address[1]}"],
    )


def signing(**given: Any) -> boto.Signing:
    given.setdefault("schemes", frozenset({"http", "https"}))
    core = botocore.session.Session()
    core.register_component("data_loader", LOADER)
    return boto.Signing(session=boto3.Session(botocore_session=core, **ROLE, region_name="eu-west-1"), **given)


def made(vantage: Vantage, service: str = "s3", *, calls: list[Call] | None = None, **given: Any) -> Any:
    kept = [] if calls is None else calls
    relay = Relay(vantage, client="boto3", principal="app", record=kept.append)
    given.setdefault("signing", signing())
    return boto.client(service, relay=relay, region="eu-west-1", user_agent="s3vpce/1 run/abc", **given)


def over_http(vantage: Vantage, **given: Any) -> Any:
    virtual = Config(s3={"addressing_style": "virtual"})
    given["config"] = virtual.merge(given["config"]) if "config" in given else virtual
    return made(vantage, endpoint_url="http://s3.eu-west-1.amazonaws.com", **given)


def answering(*answers: dict[str, Any], seen: list[SignedRequest] | None = None) -> StubVantage:
    left = list(answers)

    def answer(request: SignedRequest) -> Answer:
        if seen is not None:
            seen.append(request)
        given = left.pop(0) if len(left) > 1 else left[0]
        return Answer(id=request.id, **given)

    return StubVantage("inside", answer)


OK = {"status": 200, "pairs": (("ETag", '"e"'), ("x-amz-request-id", "R1"))}


# --- through the agent


def test_objects_go_there_and_come_back(store: ThreadingHTTPServer) -> None:
    calls: list[Call] = []
    s3 = over_http(local(store), calls=calls)
    s3.put_object(Bucket="bkt", Key="k", Body=b"hello")
    s3.put_object(Bucket="bkt", Key="file", Body=io.BytesIO(b"a file"))
    found = s3.get_object(Bucket="bkt", Key="k")
    assert found["Body"].read() == b"hello"
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert found["ResponseMetadata"]["RequestId"] == "R1"
    assert s3.head_object(Bucket="bkt", Key="k")["ContentLength"] == 5
    with pytest.raises(s3.exceptions.NoSuchKey, match="gone"):
        s3.get_object(Bucket="bkt", Key="none")
    assert [(call.method, call.host, call.path, call.status) for call in calls] == [
        ("PUT", "bkt.s3.eu-west-1.amazonaws.com", "/k", 200),
        ("PUT", "bkt.s3.eu-west-1.amazonaws.com", "/file", 200),
        ("GET", "bkt.s3.eu-west-1.amazonaws.com", "/k", 200),
        ("HEAD", "bkt.s3.eu-west-1.amazonaws.com", "/k", 200),
        ("GET", "bkt.s3.eu-west-1.amazonaws.com", "/none", 404),
    ]
    assert {(call.client, call.vantage, call.principal) for call in calls} == {("boto3", "here", "app")}
    assert calls[0].request_id == "R1"
    assert calls[0].peer


def test_requests_are_signed_and_say_whose_they_are(store: ThreadingHTTPServer) -> None:
    over_http(local(store)).put_object(Bucket="bkt", Key="k", Body=b"x")
    (head,) = store.RequestHandlerClass.heads  # type: ignore[attr-defined]
    assert head["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=ASIAKEY/")
    assert head["X-Amz-Security-Token"] == "TOKENTOKEN"
    assert "s3vpce/1 run/abc" in head["User-Agent"]
    assert head["Transfer-Encoding"] is None


def test_transfers_send_from_several_threads(store: ThreadingHTTPServer, tmp_path: Any) -> None:
    calls: list[Call] = []
    s3 = over_http(local(store), calls=calls)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 4096)
    s3.upload_file(str(source), "bkt", "k")
    store.RequestHandlerClass.objects["/k"] = source.read_bytes()  # type: ignore[attr-defined]
    small = TransferConfig(multipart_threshold=100_000, multipart_chunksize=100_000, max_concurrency=8)
    s3.download_file("bkt", "k", str(target), Config=small)
    assert target.read_bytes() == source.read_bytes()
    into = io.BytesIO()
    s3.download_fileobj(Bucket="bkt", Key="k", Fileobj=into, Config=small)
    assert into.getvalue() == source.read_bytes()
    assert sum(call.method == "GET" for call in calls) == 22


def test_one_client_may_be_used_from_several_threads(store: ThreadingHTTPServer) -> None:
    s3 = over_http(local(store))
    store.RequestHandlerClass.objects.update({f"/{n}": str(n).encode() for n in range(24)})  # type: ignore[attr-defined]
    found: dict[int, bytes] = {}

    def get(number: int) -> None:
        found[number] = s3.get_object(Bucket="bkt", Key=str(number))["Body"].read()

    threads = [threading.Thread(target=get, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: str(number).encode() for number in range(24)}


def test_a_closed_port_is_botocores_error_and_is_tried_again() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.server_close()
    calls: list[Call] = []
    config = Config(retries={"total_max_attempts": 2, "mode": "standard"})
    s3 = over_http(local(server), calls=calls, config=config)
    with pytest.raises(botocore.exceptions.EndpointConnectionError, match=r"bkt\.s3\.eu-west-1\.amazonaws\.com/k"):
        s3.get_object(Bucket="bkt", Key="k")
    assert [call.failure for call in calls] == ["refused", "refused"]


# --- what the agent says, in botocore's words


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FailureKind.DNS, botocore.exceptions.EndpointConnectionError),
        (FailureKind.REFUSED, botocore.exceptions.EndpointConnectionError),
        (FailureKind.CONNECT_TIMEOUT, botocore.exceptions.ConnectTimeoutError),
        (FailureKind.TLS_HANDSHAKE, botocore.exceptions.SSLError),
        (FailureKind.TLS_CERTIFICATE, botocore.exceptions.SSLError),
        (FailureKind.RESET, botocore.exceptions.ConnectionClosedError),
        (FailureKind.READ_TIMEOUT, botocore.exceptions.ReadTimeoutError),
        (FailureKind.PROTOCOL, botocore.exceptions.ConnectionClosedError),
    ],
)
def test_failures_of_the_network_are_botocores(kind: FailureKind, error: type[BotoCoreError]) -> None:
    vantage = answering({"failure": kind, "detail": "why"})
    once = Config(retries={"total_max_attempts": 1})
    with pytest.raises(error) as caught:
        made(vantage, config=once).get_object(Bucket="bkt", Key="k", VersionId="v")
    assert type(caught.value) is error
    assert "versionId" not in str(caught.value)


def test_every_kind_of_failure_ends_in_one_exception() -> None:
    for kind in FailureKind:
        vantage = answering({"failure": kind, "detail": "why"})
        with pytest.raises((BotoCoreError, VantageError)):
            made(vantage, config=Config(retries={"total_max_attempts": 1})).list_buckets()


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_what_fails_once_succeeds_signed_again(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    seen: list[SignedRequest] = []
    vantage = answering({"failure": FailureKind.RESET}, {"status": 503}, OK, seen=seen)
    body = io.BytesIO(b"again")
    retries: Any = {"mode": mode}
    found = made(vantage, config=Config(retries=retries)).put_object(Bucket="bkt", Key="k", Body=body)
    assert found["ResponseMetadata"]["RetryAttempts"] == 2
    assert [b"again" in request.body for request in seen] == [True] * 3
    assert all(dict(request.headers)["Authorization"] for request in seen)


def test_a_proxy_out_of_reach_is_botocores_error() -> None:
    vantage = answering({"failure": FailureKind.NOT_SENT, "detail": "proxy: refused"})
    with pytest.raises(botocore.exceptions.ProxyConnectionError):
        made(vantage, config=Config(retries={"total_max_attempts": 1})).list_buckets()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"failure": FailureKind.FORBIDDEN_HOST, "detail": "`x` is not among the hosts"}, "`allow_hosts`"),
        ({"failure": FailureKind.NOT_SENT, "detail": "malformed request"}, "is not sent: malformed request"),
        ({"failure": FailureKind.STALE, "detail": "signed long ago"}, "is not sent: signed long ago"),
        ({"failure": FailureKind.NOT_SENT}, "is not sent: not_sent"),
    ],
)
def test_what_the_vantage_point_refuses_is_said_once(given: dict[str, Any], words: str) -> None:
    calls: list[Call] = []
    with pytest.raises(VantageError, match="vantage point `inside`") as caught:
        made(answering(given), calls=calls).list_buckets()
    assert words in str(caught.value)
    assert len(calls) == 1


def test_a_vantage_point_that_fails_is_no_failure_of_the_network() -> None:
    def broken(_: SignedRequest) -> Answer:
        raise VantageError("vantage point `inside`: function `f` is gone")

    calls: list[Call] = []
    with pytest.raises(VantageError, match="is gone"):
        made(StubVantage("inside", broken), calls=calls).list_buckets()
    assert [(call.failure, call.status) for call in calls] == [("vantage_point", None)]


def test_services_errors_are_client_errors() -> None:
    body = (
        b"<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>"
    )
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        made(answering({"status": 403, "body": body}), "ec2").describe_vpcs()


# --- limits


class Narrow(StubVantage):
    """A kind that carries little."""

    kind = "narrow"
    carries = 2048


def narrow(answer: dict[str, Any], seen: list[SignedRequest] | None = None) -> Narrow:
    kept = [] if seen is None else seen

    def give(request: SignedRequest) -> Answer:
        kept.append(request)
        return Answer(id=request.id, **answer)

    return Narrow("inside", give)


@pytest.mark.parametrize("body", [b"x" * 4000, io.BytesIO(b"x" * 4000)])
def test_a_body_past_the_limit_is_one_error_that_names_kinds_that_can(body: Any) -> None:
    seen: list[SignedRequest] = []
    with pytest.raises(VantageError) as caught:
        made(narrow(OK, seen)).put_object(Bucket="bkt", Key="k", Body=body)
    assert str(caught.value) == (
        "vantage point `inside`: the body of PUT https://bkt.s3.eu-west-1.amazonaws.com/k is larger than 2 KiB, all "
        "that kind `narrow` carries at a time; send it in smaller parts (multipart, Range), or from a vantage point of "
        "kind `local` or `command`"
    )
    assert not seen


def test_an_answer_past_the_limit_is_the_same_error() -> None:
    seen: list[SignedRequest] = []
    with pytest.raises(
        VantageError, match=r"the answer to GET .* is larger than 2 KiB, all that kind `narrow` carries"
    ):
        made(narrow({"status": 200, "body": b"x" * 2048, "truncated": True}, seen)).get_object(Bucket="bkt", Key="k")
    assert [request.max_body for request in seen] == [2048]


def test_what_fits_goes_through() -> None:
    seen: list[SignedRequest] = []
    made(narrow(OK, seen)).put_object(Bucket="bkt", Key="k", Body=b"x" * 2048)
    assert b"x" * 2048 in seen[0].body


def test_downloads_fit_by_themselves() -> None:
    content = bytes(range(256)) * 20

    def give(request: SignedRequest) -> Answer:
        size = len(content)
        if request.method == "HEAD":
            return Answer(id=request.id, status=200, pairs=(("Content-Length", str(size)), ("ETag", '"e"')))
        first, last = dict(request.headers)["Range"].removeprefix("bytes=").split("-")
        part = content[int(first) : int(last or size - 1) + 1]
        where = f"bytes {first}-{int(first) + len(part) - 1}/{size}"
        pairs = (("Content-Range", where), ("ETag", '"e"'), ("Content-Length", str(len(part))))
        return Answer(id=request.id, status=206, pairs=pairs, body=part, truncated=len(part) > 2048)

    into = io.BytesIO()
    made(Narrow("inside", give)).download_fileobj("bkt", "k", into)
    assert into.getvalue() == content


def test_lambda_carries_four_mebibytes() -> None:
    from pytest_s3vpce.vantage.lambda_ import LambdaVantage

    assert LambdaVantage.carries == 4 * MIB
    assert LambdaVantage.carries * 4 / 3 < min(LambdaVantage.max_payload, LambdaVantage.max_answer) - 100_000
    assert LocalVantage.carries is None


# --- what can't cross


def test_event_streams_are_refused_by_name() -> None:
    seen: list[SignedRequest] = []
    with pytest.raises(VantageError, match="`SelectObjectContent` of s3 is an event stream"):
        made(answering(OK, seen=seen)).select_object_content(
            Bucket="bkt", Key="k", Expression="e", ExpressionType="SQL", InputSerialization={}, OutputSerialization={}
        )
    assert not seen


@pytest.mark.parametrize("name", ["proxies", "client_cert"])
def test_settings_that_cannot_cross_are_refused_by_name(name: str) -> None:
    config = Config(proxies={"https": "http://p:1"}) if name == "proxies" else Config(client_cert="c.pem")
    with pytest.raises(VantageError, match=f"`{name}` of a client's configuration can't cross"):
        made(answering(OK), config=config)


def test_transfers_never_leave_by_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where awscrt is installed boto3 hands transfers to a client of its own, which would send from this machine."""
    crt = types.ModuleType("awscrt")
    crt.s3 = types.SimpleNamespace(is_optimized_for_system=lambda: True)  # type: ignore[attr-defined]
    crt.__version__ = "99.0.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "awscrt", crt)
    monkeypatch.setattr(boto3.s3.transfer, "awscrt", crt, raising=False)
    monkeypatch.setattr(boto3.s3.transfer, "HAS_CRT", True)

    def other(*_: object) -> None:
        raise AssertionError("another client")

    monkeypatch.setattr(boto3.s3.transfer, "create_crt_transfer_manager", other, raising=False)
    seen: list[SignedRequest] = []
    s3 = made(answering(OK, seen=seen))
    s3.upload_fileobj(io.BytesIO(b"x"), "bkt", "k")
    s3.upload_fileobj(io.BytesIO(b"x"), "bkt", "k", None, None, TransferConfig())
    assert len(seen) == 2
    with pytest.raises(VantageError, match="preferred_transfer_client"):
        s3.upload_fileobj(io.BytesIO(b"x"), "bkt", "k", Config=TransferConfig(preferred_transfer_client="crt"))
    plain = signing().session.client("s3")
    with pytest.raises(AssertionError, match="another client"):
        plain.upload_fileobj(io.BytesIO(b"x"), "bkt", "k")


def test_endpoints_of_the_environment_are_not_the_vantage_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://evil.example")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://evil.example")
    seen: list[SignedRequest] = []
    made(answering(OK, seen=seen)).head_bucket(Bucket="bkt")
    assert seen[0].host == "bkt.s3.eu-west-1.amazonaws.com"


# --- who signs


def test_a_token_does_not_cross_in_clear_by_an_oversight() -> None:
    seen: list[SignedRequest] = []
    careful = signing(schemes=frozenset({"https"}))
    with pytest.raises(CredentialError, match="in clear; use https, or give the principal `send_credentials_in_clear"):
        over_http(answering(OK, seen=seen), signing=careful).head_bucket(Bucket="bkt")
    ambient = signing(schemes=frozenset({"https"}), signer=boto.Signer.AGENT)
    with pytest.raises(CredentialError, match="in clear"):
        over_http(answering(OK, seen=seen), signing=ambient).head_bucket(Bucket="bkt")
    assert not seen
    nobody = signing(schemes=frozenset({"https"}), signer=boto.Signer.NOBODY)
    over_http(answering(OK, seen=seen), signing=nobody).head_bucket(Bucket="bkt")
    assert len(seen) == 1


def test_anonymous_requests_are_not_signed() -> None:
    seen: list[SignedRequest] = []
    made(answering(OK, seen=seen), signing=signing(signer=boto.Signer.NOBODY)).head_bucket(Bucket="bkt")
    assert "Authorization" not in dict(seen[0].headers)
    assert (seen[0].signed_at, seen[0].ambient) == (0.0, None)


def test_ambient_requests_are_signed_by_the_agent() -> None:
    seen: list[SignedRequest] = []
    s3 = made(answering(OK, seen=seen), signing=signing(signer=boto.Signer.AGENT))
    s3.put_object(Bucket="bkt", Key="k", Body=io.BytesIO(b"plain"))
    assert (seen[0].ambient, seen[0].body) == ("eu-west-1", b"plain")
    assert "Authorization" not in dict(seen[0].headers)
    with pytest.raises(VantageError, match="the agent signs requests to S3 only, not to `sts`"):
        made(answering(OK), "sts", signing=signing(signer=boto.Signer.AGENT))


def test_a_signature_has_its_time() -> None:
    seen: list[SignedRequest] = []
    made(answering(OK, seen=seen)).head_bucket(Bucket="bkt")
    assert seen[0].signed_at > 1_700_000_000


def test_a_presigned_url_is_made_without_a_request() -> None:
    seen: list[SignedRequest] = []
    url = made(answering(OK, seen=seen)).generate_presigned_url("get_object", Params={"Bucket": "bkt", "Key": "k"})
    assert url.startswith("https://")
    assert "Signature=" in url
    assert not seen


# --- times


def test_times_to_connect_are_the_vantage_points_unless_the_test_says_otherwise() -> None:
    seen: list[SignedRequest] = []
    vantage = answering(OK, seen=seen)
    vantage.limits = Limits(connect_timeout=2.5)
    made(vantage).head_bucket(Bucket="bkt")
    made(vantage, config=Config(connect_timeout=7, read_timeout=9)).head_bucket(Bucket="bkt")
    assert [(row.connect_timeout, row.read_timeout) for row in seen] == [(2.5, 60), (7, 9)]


def test_nothing_secret_is_on_record() -> None:
    calls: list[Call] = []
    s3 = made(answering(OK), calls=calls)
    s3.get_object(Bucket="bkt", Key="k", VersionId="v")
    assert SECRET not in repr(calls)
    assert "TOKEN" not in repr(calls)
    assert "?" not in calls[0].path
