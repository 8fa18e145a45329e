"""What came back counts only where S3 gave it, and while the object is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.model import Answer, Cell, OutcomeKind, Target
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.run.access import AccessRun, Observed, _outcome
from pytest_s3vpce.run.objects import canary_body, canary_version
from pytest_s3vpce.run.plan import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
IDS = {"x-amz-request-id": "4442587FB7D0A2F9"}


def get(principal: str = "app", vantage: str = "office", *, bucket: str = "reports") -> Probe:
    target = Target(bucket=bucket)
    cell = Cell(operation="GetObject", action="s3:GetObject", target=target, principal=principal, vantage=vantage)
    return Probe(cell=cell)


def outcome(answer: Answer) -> OutcomeKind:
    return _outcome(get(), Observed(answers={get(): answer})).kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(200, b"x", OutcomeKind.ALLOWED), (206, b"x", OutcomeKind.ALLOWED), (403, REFUSED, OutcomeKind.DENIED)],
)
def test_what_carries_no_request_id_of_s3s_says_nothing(status: int, body: bytes, kind: OutcomeKind) -> None:
    assert outcome(Answer(id="a", status=status, body=body, headers=IDS)) is kind
    assert outcome(Answer(id="a", status=status, body=body)) is OutcomeKind.INCONCLUSIVE


def test_a_page_of_something_in_between_is_no_canary() -> None:
    assert canary_body(Answer(id="a", status=200, body=b"hello", headers=IDS)) == (b"hello", "")
    assert canary_body(Answer(id="a", status=200, body=b"log in")) == (
        None,
        "its answer carries no request id of S3's",
    )


def test_what_is_no_canary_says_why() -> None:
    large = Answer(id="a", status=206, body=b"x" * 1024, headers={**IDS, "content-range": "bytes 0-1023/2048"})
    assert canary_body(large) == (None, "it is larger than 1 KiB (2048 bytes)")
    assert canary_body(Answer(id="a", status=403, body=REFUSED, headers=IDS)) == (None, "denied, AccessDenied")
    assert canary_body("no answer came back") == (None, "no answer came back")
    assert canary_version("no answer came back") == canary_version(large) == "null"


class Nothing(NamedTuple):
    """A world where nothing is signed and nothing is changed."""

    canaries: dict[str, bytes]
    canary_versions: dict[str, str]
    calibration: Any = NONE

    @property
    def accounts(self) -> Nothing:
        return self

    def prepare(self, _kinds: object) -> None: ...

    def session(self, _probe: Probe) -> None: ...

    def begin(self, _probes: object) -> dict[Probe, str]:
        return {}

    def undo(self, _answers: object) -> None: ...


class Deleted(AccessRun):
    """Objects are there for some batches of requests; `outsider` is refused whether or not."""

    batches: int

    def _batches(self, probes: Sequence[Probe], seen: Observed) -> None:
        self.batches -= 1
        for probe in probes:
            gone = self.batches < 0 or probe.cell.principal == "outsider"
            status, body = (403, REFUSED) if gone else (200, b"x")
            seen.answers[probe] = Answer(id="a", status=status, body=body, headers=IDS)


def sent(*probes: Probe, batches: int, reader: Reader | None = None) -> Observed:
    world: Any = Nothing({}, {})
    run = Deleted(world, world, builder=world, notify=lambda _: None, mutations=world)
    run.batches = batches
    return run.send(probes, {"reports": reader} if reader else {}, unmade={})


@pytest.mark.parametrize("reader", [None, Reader("reports", "app", "inside")])
def test_an_object_that_goes_while_requests_are_sent_is_told(reader: Reader | None) -> None:
    """Of a key where nothing is, S3 answers a caller who may not list with a 403, too."""
    probes = (get(vantage="inside"), get("outsider"))
    first = 2 if reader else 1
    assert sent(*probes, batches=first, reader=reader).gone == {"reports"}
    assert sent(*probes, batches=first + 1, reader=reader).gone == set()


def test_nothing_is_read_again_where_nobody_was_refused() -> None:
    assert sent(get(vantage="inside"), batches=1).gone == set()
    assert sent(get("outsider", bucket="control:main"), batches=1).gone == set()
