"""What came back counts only where S3 gave it, and while the object is there."""

from __future__ import annotations

import pytest

from pytest_s3vpce.model import Answer, Cell, OutcomeKind, Target
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.run.access import Observed, _canary_body, _outcome

REFUSED = (
    b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
)
IDS = {"x-amz-request-id": "4442587FB7D0A2F9"}


def outcome(answer: Answer) -> OutcomeKind:
    cell = Cell(
        operation="GetObject",
        action="s3:GetObject",
        target=Target(bucket="reports"),
        principal="app",
        vantage="office",
    )
    return _outcome(Probe(cell=cell), Observed(answers={Probe(cell=cell): answer})).kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(200, b"x", OutcomeKind.ALLOWED), (206, b"x", OutcomeKind.ALLOWED), (403, REFUSED, OutcomeKind.DENIED)],
)
def test_what_carries_no_request_id_of_s3s_says_nothing(status: int, body: bytes, kind: OutcomeKind) -> None:
    assert outcome(Answer(id="a", status=status, body=body, headers=IDS)) is kind
    assert outcome(Answer(id="a", status=status, body=body)) is OutcomeKind.INCONCLUSIVE


def test_a_page_of_something_in_between_is_no_canary() -> None:
    assert _canary_body(Answer(id="a", status=200, body=b"hello", headers=IDS)) == (b"hello", "")
    assert _canary_body(Answer(id="a", status=200, body=b"log in")) == (
        None,
        "its answer carries no request id of S3's",
    )
