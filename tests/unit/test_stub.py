from __future__ import annotations

import pytest

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import Answer, SignedRequest
from pytest_s3vpce.vantage import StubVantage


def request(name: str) -> SignedRequest:
    return SignedRequest(id=name, method="GET", url=f"https://b.s3.amazonaws.com/{name}", headers=())


def test_the_callable_answers_in_place_of_a_network() -> None:
    seen: list[str] = []

    def answer(request: SignedRequest) -> Answer:
        seen.append(request.url)
        return Answer(id=request.id, status=403)

    vantage = StubVantage("inside", answer)
    found = vantage.send([request("a"), request("b")])
    assert found == [Answer(id="a", status=403), Answer(id="b", status=403)]
    assert seen == ["https://b.s3.amazonaws.com/a", "https://b.s3.amazonaws.com/b"]
    assert vantage.name == "inside"


def test_an_answer_to_another_request_is_an_error() -> None:
    vantage = StubVantage("inside", lambda _: Answer(id="b", status=200))
    with pytest.raises(VantageError, match="`inside`: the stub answered `b` when asked `a`"):
        vantage.send([request("a")])
