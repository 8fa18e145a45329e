from __future__ import annotations

import ast
import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pytest_s3vpce.vantage
from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import Answer, FailureKind, Place, SignedRequest
from pytest_s3vpce.vantage import agent, base
from pytest_s3vpce.vantage.base import VERSION, AgentConfig, AgentVantage, Limits


@pytest.fixture(autouse=True)
def unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go by their positions alone, so that queued answers can name them."""
    monkeypatch.setattr(base, "_mark", str)


def signed(name: str = "GetObject/reports/app:inside/https", **given: Any) -> SignedRequest:
    return SignedRequest(
        **{
            "id": name,
            "method": "GET",
            "url": "https://b.s3.eu-west-1.amazonaws.com/key",
            "headers": (("Host", "b.s3.eu-west-1.amazonaws.com"), ("Authorization", "AWS4-HMAC-SHA256 secret")),
            **given,
        }
    )


def replied(request: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {"id": request["id"], "status": 200, "failure": None, **given}


class Recorder(AgentVantage):
    """Carries nothing anywhere; answers as told."""

    def __init__(self, *, reply: Any = None, **given: Any) -> None:
        super().__init__("inside", **given)
        self.payloads: list[dict[str, Any]] = []
        self._reply = reply or (lambda payload: [replied(request) for request in payload["requests"]])

    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        self.payloads.append(payload)
        answers = self._reply(payload)
        return answers if isinstance(answers, dict) else {"version": 1, "answers": answers}


def test_a_request_becomes_the_agents_json() -> None:
    vantage = Recorder(connect_to=["*:443:127.0.0.1:1"], limits=Limits(concurrency=2, deadline=9))
    vantage.send([signed(body=b"abc", signed_at=1.5, tls="1.2", max_body=7, ambient="eu-west-1")])
    assert vantage.payloads == [
        {
            "version": 1,
            "requests": [
                {
                    "id": "0",
                    "method": "GET",
                    "url": "https://b.s3.eu-west-1.amazonaws.com/key",
                    "headers": [
                        ["Host", "b.s3.eu-west-1.amazonaws.com"],
                        ["Authorization", "AWS4-HMAC-SHA256 secret"],
                    ],
                    "body": base64.b64encode(b"abc").decode(),
                    "signed_at": 1.5,
                    "tls": "1.2",
                    "max_body": 7,
                    "ambient": {"region": "eu-west-1", "service": "s3"},
                }
            ],
            "connect_to": ["*:443:127.0.0.1:1"],
            "concurrency": 2,
            "connect_timeout": 3.0,
            "read_timeout": 10.0,
            "deadline": 9,
        }
    ]


def test_the_agents_json_becomes_an_answer() -> None:
    given = {
        "status": 403,
        "headers": [["X-Amz-Request-Id", "R1"], ["Vary", "a"], ["vary", "b"], ["Set-Cookie", "c"]],
        "body": base64.b64encode(b"<Error/>").decode(),
        "truncated": True,
        "dns": ["192.0.2.1"],
        "peer": "192.0.2.1:443",
        "local": "10.0.0.4:5000",
        "tls": "TLSv1.3",
        "cipher": "TLS_AES_128_GCM_SHA256",
        "timings": {"total": 0.5},
    }
    (found,) = Recorder(reply=lambda payload: [replied(payload["requests"][0], **given)]).send([signed()])
    assert found == Answer(
        id="GetObject/reports/app:inside/https",
        status=403,
        headers={"x-amz-request-id": "R1", "vary": "a, b"},
        pairs=(("X-Amz-Request-Id", "R1"), ("Vary", "a"), ("vary", "b"), ("Set-Cookie", "c")),
        body=b"<Error/>",
        truncated=True,
        dns=("192.0.2.1",),
        peer="192.0.2.1:443",
        local="10.0.0.4:5000",
        tls="TLSv1.3",
        cipher="TLS_AES_128_GCM_SHA256",
        timings={"total": 0.5},
    )


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_comes_through(kind: FailureKind) -> None:
    reply = {"status": None, "failure": kind.value, "detail": "why"}
    (found,) = Recorder(reply=lambda payload: [replied(payload["requests"][0], **reply)]).send([signed()])
    assert (found.failure, found.status, found.detail) == (kind, None, "why")


@pytest.mark.parametrize(
    "given",
    [
        {"failure": "melted", "status": None},
        {"failure": "dns"},
        {"status": None},
        {"status": "403"},
        {"status": True},
        {"body": "A"},
        {"headers": [["one"]]},
        {"headers": [[1, 2]]},
        {"timings": 5},
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error(given: dict[str, Any]) -> None:
    vantage = Recorder(reply=lambda payload: [replied(payload["requests"][0], **given)])
    with pytest.raises(VantageError, match="`inside`: the agent gave an answer that can't be read"):
        vantage.send([signed()])


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [{"id": "0", "status": 200}],
        [{"id": "0", "status": 200}] * 2,
        [{"id": "0", "status": 200}, {"id": "2", "status": 200}],
        [{"id": "0", "status": 200}, {"id": "1", "status": 200}, {"id": "2", "status": 200}],
        [{"id": "0", "status": 200}, None],
    ],
)
def test_a_batch_answered_incompletely_is_an_error(answers: list[Any]) -> None:
    with pytest.raises(VantageError, match="`inside`: 2 requests were handed over, but"):
        Recorder(reply=lambda _: answers).send([signed("a"), signed("b")])


@pytest.mark.parametrize(
    "reply", [{"version": 2, "answers": []}, {"version": 1}, {"answers": []}, {"version": 1, "answers": 3}]
)
def test_what_is_no_agent_is_an_error_with_place_and_remedy(reply: dict[str, Any]) -> None:
    vantage = Recorder(reply=lambda _: reply, place=Place("s3vpce.yaml", 9, 3))
    with pytest.raises(VantageError, match="what answered is not an agent") as caught:
        vantage.send([signed()])
    assert str(caught.value).startswith("s3vpce.yaml:9:3: vantage point `inside`: ")
    assert caught.value.remedy


def test_answers_keep_the_requests_order_and_names() -> None:
    vantage = Recorder(reply=lambda payload: [replied(one) for one in reversed(payload["requests"])])
    assert [answer.id for answer in vantage.send([signed("a"), signed("b"), signed("a")])] == ["a", "b", "a"]


def test_an_empty_batch_is_not_carried() -> None:
    vantage = Recorder()
    assert vantage.send([]) == []
    assert vantage.payloads == []


def test_without_limits_all_go_at_once() -> None:
    vantage = Recorder()
    vantage.send([signed(body=bytes(100_000))] * 40)
    assert len(vantage.payloads) == 1


def test_a_batch_is_cut_by_what_goes_out() -> None:
    vantage = Recorder()
    vantage.max_payload = 5_000
    found = vantage.send([signed(str(number), body=bytes(1_200)) for number in range(5)])
    assert [len(payload["requests"]) for payload in vantage.payloads] == [2, 2, 1]
    assert [answer.id for answer in found] == ["0", "1", "2", "3", "4"]


def test_a_batch_is_cut_by_what_may_come_back() -> None:
    vantage = Recorder()
    vantage.max_answer = 40_000
    vantage.send([signed(max_body=9_000) for _ in range(5)])
    assert [len(payload["requests"]) for payload in vantage.payloads] == [2, 2, 1]


@pytest.mark.parametrize("huge", [{"body": bytes(9_000)}, {"max_body": 90_000}])
def test_a_request_that_fits_nowhere_is_answered_as_not_sent(huge: dict[str, Any]) -> None:
    vantage = Recorder()
    vantage.max_payload, vantage.max_answer = 5_000, 80_000
    found = vantage.send([signed("a", max_body=9), signed("b", **{"max_body": 9, **huge}), signed("c", max_body=9)])
    assert [answer.failure for answer in found] == [None, FailureKind.NOT_SENT, None]
    assert "`inside`" in found[1].detail
    assert len(vantage.payloads) == 1


def test_most_vantage_points_need_no_preparation(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    Recorder().prepare(notify=lines.append)
    Recorder().remove(notify=lines.append)
    assert lines == []


def test_the_deployed_configuration_hides_the_proxys_password() -> None:
    config = AgentConfig(hosts=("*.example",), proxy="http://me:hunter2@proxy:3128")
    assert "hunter2" not in repr(config)
    assert config.as_json() == {
        "hosts": ["*.example"],
        "connect_to": False,
        "loopback": False,
        "ca_bundle": None,
        "proxy": "http://me:hunter2@proxy:3128",
    }
    assert AgentConfig().as_json()["hosts"] is None


def test_base_and_agent_speak_the_same_version() -> None:
    assert VERSION == agent.VERSION


# --- the package's table of contents


def test_every_name_of_the_package_can_be_had() -> None:
    for name in pytest_s3vpce.vantage.__all__:
        assert getattr(pytest_s3vpce.vantage, name).__name__ == name
    assert set(pytest_s3vpce.vantage.__all__) == set(pytest_s3vpce.vantage._HOMES)


def test_what_types_see_is_what_there_is() -> None:
    tree = ast.parse(Path(str(pytest_s3vpce.vantage.__file__)).read_text())
    typed = {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pytest_s3vpce.vantage.")
        for alias in node.names
    }
    homes = {name: f"pytest_s3vpce.vantage.{home}" for name, home in pytest_s3vpce.vantage._HOMES.items()}
    assert typed == homes


def test_no_name_of_the_package_hides_a_module() -> None:
    modules = {path.stem for path in Path(str(pytest_s3vpce.vantage.__file__)).parent.glob("*.py")}
    assert not modules & set(pytest_s3vpce.vantage.__all__)


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no `Nothing`"):
        _ = pytest_s3vpce.vantage.Nothing


def test_boto3_is_imported_for_lambda_only() -> None:
    code = (
        "import sys; from pytest_s3vpce.vantage import AgentConfig, Ledger, LocalVantage, StubVantage;"
        "print([name for name in ('boto3', 'botocore', 'moto', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_answers_of_another_batch_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    kept: list[dict[str, Any]] = []

    class Mixed(AgentVantage):
        def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
            rows = [{"id": row["id"], "status": 200, "failure": None} for row in payload["requests"]]
            kept.append({"version": VERSION, "answers": rows})
            return kept[0]

    vantage = Mixed("inside")
    assert [answer.status for answer in vantage.send([signed("a")])] == [200]
    with pytest.raises(VantageError, match="did not answer each of them once"):
        vantage.send([signed("b")])
