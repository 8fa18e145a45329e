"""What came back counts only where S3 gave it, and while the object is there."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.claims import PrincipalFacts, Setting
from pytest_s3vpce.errors import TargetError, VantageError
from pytest_s3vpce.model import Answer, Cell, OutcomeKind, SignedRequest, Target
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.run.access import AccessRun
from pytest_s3vpce.run.controlled import Controlled
from pytest_s3vpce.run.objects import canary_body, canary_version
from pytest_s3vpce.run.observed import Observed, outcome_of
from pytest_s3vpce.run.plan import Reader
from tests.unit.test_settling import Counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from pytest_s3vpce.run.deletions import Sender

REFUSED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
IDS = {"x-amz-request-id": "4442587FB7D0A2F9"}


def get(principal: str = "app", vantage: str = "office", *, bucket: str = "reports") -> Probe:
    target = Target(bucket=bucket)
    cell = Cell(operation="GetObject", action="s3:GetObject", target=target, principal=principal, vantage=vantage)
    return Probe(cell=cell)


def outcome(answer: Answer) -> OutcomeKind:
    return outcome_of(get(), Observed(answers={get(): answer})).kind


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

    def undo(self, _answers: object, *, handed: object) -> None: ...

    def bucket(self, _label: str) -> Any:
        return SimpleNamespace(key="canary")


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


def write(*, key: str | None = None) -> Probe:
    target = Target(bucket="reports", name=key or "", key=key)
    cell = Cell(operation="PutObject", action="s3:PutObject", target=target, principal="app", vantage="office")
    return Probe(cell=cell)


READER = Reader("reports", "app", "inside")
THERE = Answer(id="a", status=206, body=b"x", headers=IDS)
NO = Answer(id="a", status=403, body=REFUSED, headers=IDS)
LOST = VantageError("vantage point `office`: gone")
UNSIGNED = TargetError("it can't be signed")


class Script:
    """What each probe gives, one after the other, the last one for good; every vantage point reads from it."""

    def __init__(self, given: dict[Probe, list[Answer | Exception]]) -> None:
        self.given = given
        self.sent: list[Probe] = []

    def get(self, _vantage: str) -> Script:
        return self

    def send(self, probes: Sequence[Probe]) -> list[Answer]:
        self.sent.extend(probes)
        return [self.next(probe) for probe in probes]

    def next(self, probe: Probe) -> Answer:
        if probe.any_owner and probe not in self.given:  # whoever owns it, the answer is the last one
            probe = replace(probe, any_owner=False)
            self.given[probe] = self.given[probe][-1:]
        row = self.given[probe]
        found = row.pop(0) if len(row) > 1 else row[0]
        if isinstance(found, Exception):
            raise found
        return found


class Scripted(AccessRun):
    """A probe is its own request, unless the script says that it can't be signed."""

    script: Script

    def _request(self, probe: Probe) -> Any:
        return self.script.next(probe) if self.script.given.get(probe, [probe])[0] is UNSIGNED else probe


def scripted(
    given: dict[Probe, list[Answer | Exception]], *, settle: float = 0, earlier: dict[str, bytes] | None = None
) -> Scripted:
    script: Any = Script(given)
    world: Any = Nothing(earlier or {}, {})
    run = Scripted(world, script, builder=world, notify=lambda _: None, mutations=world, settle=settle, clock=Counted())
    run.script = script
    return run


@pytest.mark.parametrize("failure", [LOST, UNSIGNED])
def test_what_is_never_heard_of_again_does_not_settle_on_what_it_gave_before(failure: Exception) -> None:
    seen = scripted({get(): [THERE, failure]}, settle=30).send([get()], {}, unmade={})
    assert (seen.answers, seen.requests) == ({}, {})
    assert seen.counted[get()].kind is OutcomeKind.INCONCLUSIVE
    assert seen.refusals[get()] == str(failure)


def test_what_is_heard_of_again_is_no_longer_refused() -> None:
    seen = scripted({get(): [THERE, LOST, THERE]}, settle=30).send([get()], {}, unmade={})
    assert seen.counted[get()].allowed
    assert seen.refusals == {}


@pytest.mark.parametrize(("failure", "readings"), [(LOST, 2), (UNSIGNED, 1)])
def test_a_write_that_was_never_answered_has_the_canary_compared(failure: Exception, readings: int) -> None:
    changed = Answer(id="a", status=206, body=b"y", headers=IDS)
    run = scripted({READER.probe(): [THERE, changed], write(): [failure]})
    seen = run.send([write()], {"reports": READER}, unmade={})
    assert run.script.sent.count(READER.probe()) == readings
    assert seen.canaries["reports"][0] is (readings == 1)


@pytest.mark.parametrize("reader", [None, READER])
@pytest.mark.parametrize("key", [None, "declared"])
def test_no_write_is_sent_on_an_earlier_runs_reading(reader: Reader | None, key: str | None) -> None:
    run = scripted(
        {READER.probe(): [NO], READER.probe("declared"): [THERE], write(key=key): [NO]}, earlier={"reports": b"x"}
    )
    seen = run.send([write(key=key)], {"reports": reader}, unmade={})
    assert write(key=key) not in run.script.sent
    assert seen.refusals[write(key=key)].startswith("not sent: ")


def test_a_write_is_sent_where_this_run_read_the_canary_and_the_key() -> None:
    declared = write(key="declared")
    run = scripted({READER.probe(): [THERE], READER.probe("declared"): [THERE], declared: [NO]})
    assert run.send([declared], {"reports": READER}, unmade={}).counted[declared].denied


ABSENT = Answer(id="a", status=404, body=b"<Error><Code>NoSuchKey</Code></Error>", headers=IDS)
NAMED = Answer(
    id="a",
    status=403,
    body=b"<Error><Code>AccessDenied</Code><Message>User: x is not authorized to perform: s3:GetObject on resource: y "
    b"because no resource-based policy allows the s3:GetObject action</Message></Error>",
    headers=IDS,
)


@pytest.mark.parametrize(
    ("reading", "given", "counts"),
    [
        ([THERE], NO, True),
        ([THERE, ABSENT], NO, False),
        ([ABSENT], NO, False),
        ([NO], NO, False),
        ([LOST], NO, True),
        ([ABSENT], NAMED, True),
        ([THERE, ABSENT], NAMED, True),
        ([ABSENT], THERE, True),
    ],
)
@pytest.mark.parametrize("host", [None, "arn:aws:s3:eu-west-1:111122223333:accesspoint/a"])
def test_a_refusal_that_names_no_policy_counts_only_where_an_object_was_shown_to_be(
    reading: list[Answer | Exception], given: Answer, counts: bool, host: str | None
) -> None:
    """Of a key where nothing is, S3 answers a caller of another account who may not list in the same words.

    A reader that S3 did not answer says nothing of the object, and costs nobody else's cells.
    """
    stranger = get("stranger")
    stranger = Probe(
        cell=replace(stranger.cell, target=replace(stranger.cell.target, name="a" if host else "", host=host))
    )
    seen = scripted({READER.probe(): reading, stranger: [given]}).send([stranger], {"reports": READER}, unmade={})
    assert (seen.counted[stranger].kind is not OutcomeKind.INCONCLUSIVE) is counts
    assert counts or seen.counted[stranger].reason.endswith("no object was shown to be there on reports all along")


def listing(operation: str = "ListObjectsV2", principal: str = "stranger") -> Probe:
    target = Target(bucket="reports")
    cell = Cell(operation=operation, action="s3:ListBucket", target=target, principal=principal, vantage="office")
    return Probe(cell=cell)


LISTED = Answer(id="a", status=200, body=b"<ListBucketResult/>", headers=IDS)


@pytest.mark.parametrize(("reading", "counts"), [(THERE, True), (NO, False), (ABSENT, False), (LOST, True)])
@pytest.mark.parametrize("refused", [get("stranger"), listing()], ids=["an object", "the bucket"])
def test_a_part_whose_cells_let_nobody_in_asks_who_may_read_where_s3_gives_no_reason(
    reading: Answer | Exception, counts: bool, refused: Probe
) -> None:
    """As `-k` and shards leave them; of a bucket that another account owns S3 says no more than `Access Denied`."""
    run = scripted({READER.probe(): [reading], refused: [NO]})
    seen = run.send([refused], {}, unmade={}, others={"reports": READER})
    assert run.script.sent[:2] == [refused, READER.probe()]
    assert run.script.sent[2:] == ([replace(refused, any_owner=True)] if reading is LOST else [])
    assert seen.counted[refused].denied is counts
    named = scripted({READER.probe(): [reading], refused: [NAMED]})
    named.send([refused], {}, unmade={}, others={"reports": READER})
    assert named.script.sent == [refused]


def test_who_is_let_in_shows_that_the_bucket_is_the_one_that_is_declared() -> None:
    given: dict[Probe, list[Answer | Exception]] = {
        READER.probe(): [NO],
        listing(): [NO],
        listing(principal="app"): [LISTED],
    }
    seen = scripted(given).send([listing(), listing(principal="app")], {"reports": READER}, unmade={})
    assert seen.counted[listing()].denied


BAD = Answer(id="a", status=403, body=b"<Error><Code>SignatureDoesNotMatch</Code></Error>", headers=IDS)
BARE = Answer(id="a", status=403, headers=IDS)


@pytest.mark.parametrize(("other", "counts"), [(BAD, False), (NAMED, True)])
def test_a_head_of_whose_credentials_are_no_good_is_refused_for_these(other: Answer, counts: bool) -> None:
    """Its answer has no body that would say so: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"""
    head, read = listing("HeadBucket"), get("stranger")
    seen = scripted({head: [BARE], read: [other]}).send([head, read], {}, unmade={})
    assert seen.counted[head].denied is counts


def test_an_older_version_that_was_read_is_not_the_object() -> None:
    """A delete marker is the newest: who may not list is refused, as where nothing is."""
    cell = get().cell
    older = Probe(cell=replace(cell, variant="v1", parameters={"VersionId": "v1"}))
    given: dict[Probe, list[Answer | Exception]] = {READER.probe(): [NO], older: [THERE], get("stranger"): [NO]}
    seen = scripted(given).send([older, get("stranger")], {"reports": READER}, unmade={})
    assert seen.counted[get("stranger")].kind is OutcomeKind.INCONCLUSIVE


SETTING = Setting(
    principals={
        "stranger": PrincipalFacts(name="stranger", account="partner", role=True),
        "nobody": PrincipalFacts(name="nobody", account="main", anonymous=True),
    },
    buckets={},
    vantages=("office",),
)


@pytest.mark.parametrize("who", ["stranger", "nobody"])
@pytest.mark.parametrize(
    ("refused", "given", "shown", "controlled"),
    [
        (get, NO, [], False),
        (get, NAMED, [], True),
        (get, NO, [get("app")], True),
        (listing, NO, [get("app")], True),
        (listing, NO, [], False),
    ],
)
def test_a_denial_is_controlled_where_nothing_but_policy_can_be_its_reason(
    refused: Any, given: Answer, shown: list[Probe], controlled: bool, who: str
) -> None:
    probe = refused(principal=who)
    control = get("stranger", bucket="control:partner")
    seen = scripted({probe: [given], control: [THERE], **{row: [THERE] for row in shown}}).send(
        [probe, control, *shown], {}, unmade={}
    )
    assert Controlled.of(SETTING, seen.results()).holds(probe) is controlled
    alone = scripted({probe: [given]}).send([probe], {}, unmade={})
    assert not Controlled.of(SETTING, alone.results()).holds(probe)


@pytest.mark.parametrize(
    ("readers", "reading"), [({}, []), ({"reports": None}, []), ({"reports": READER}, [LOST])], ids=str
)
@pytest.mark.parametrize(("anyway", "counts"), [(THERE, False), (ABSENT, False), (NO, True), (LOST, True)])
def test_a_bucket_that_lets_nobody_in_may_be_another_accounts(
    readers: dict[str, Reader | None], reading: list[Answer | Exception], anyway: Answer | Exception, counts: bool
) -> None:
    """S3 refuses all who expect another owner, and a wrong account in the inventory would make an open bucket pass."""
    refused = get("stranger")
    given: dict[Probe, list[Answer | Exception]] = {refused: [NO], replace(refused, any_owner=True): [anyway]}
    if reading:
        given[READER.probe()] = reading
    seen = scripted(given).send([refused], readers, unmade={})
    assert seen.counted[refused].denied is counts
    said = "S3 let it in where no owner was expected: another account than the inventory's owns reports"
    assert counts or seen.counted[refused].reason == said


def test_a_bucket_that_let_somebody_in_is_the_inventorys() -> None:
    given: dict[Probe, list[Answer | Exception]] = {get(): [THERE], get("stranger"): [NO]}
    run = scripted(given)
    run.send([get(), get("stranger")], {}, unmade={})
    assert not [probe for probe in run.script.sent if probe.any_owner]


def test_somebody_else_who_reads_the_object_shows_it_too() -> None:
    given: dict[Probe, list[Answer | Exception]] = {READER.probe(): [NO], get(): [THERE], get("stranger"): [NO]}
    seen = scripted(given).send([get(), get("stranger")], {"reports": READER}, unmade={})
    assert seen.counted[get("stranger")].denied


def test_what_lies_there_only_later_was_not_there_all_along() -> None:
    given: dict[Probe, list[Answer | Exception]] = {READER.probe(): [ABSENT], get(): [THERE], get("stranger"): [NO]}
    seen = scripted(given).send([get(), get("stranger")], {"reports": READER}, unmade={})
    assert seen.counted[get("stranger")].kind is OutcomeKind.INCONCLUSIVE


@pytest.mark.parametrize(("reading", "counts"), [(THERE, True), (ABSENT, False), (NO, True)])
def test_a_refused_key_that_nobody_read_is_read_by_the_canarys_reader(reading: Answer, counts: bool) -> None:
    """Whose own refusal there shows nothing."""
    target = Target(bucket="reports", name="declared", key="declared/1")
    refused = Probe(cell=replace(get("stranger").cell, target=target))
    run = scripted({READER.probe(): [THERE], READER.probe("declared/1"): [reading], refused: [NO]})
    seen = run.send([refused], {"reports": READER}, unmade={})
    assert seen.counted[refused].denied is counts


@pytest.mark.parametrize(("failure", "handed"), [(LOST, {get()}), (UNSIGNED, set()), (RuntimeError("ours"), {get()})])
def test_who_takes_back_is_told_what_was_handed_to_be_sent(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, handed: set[Probe]
) -> None:
    told: list[object] = []
    monkeypatch.setattr(Nothing, "undo", lambda _self, _answers, *, handed: told.append(handed))
    with suppress(RuntimeError):
        scripted({get(): [failure]}).send([get()], {}, unmade={})
    assert told == [handed]


def test_each_cell_has_its_own_time_however_many_share_a_signature() -> None:
    built: list[Probe] = []

    def build(probe: Probe, *, request_id: str, **_: object) -> SignedRequest:
        built.append(probe)
        given = {"method": "GET", "url": "https://b.s3.amazonaws.com/k", "headers": ()}
        return SignedRequest(id=request_id, **given, read_timeout=probe.cell.timeout)  # type: ignore[arg-type]

    world: Any = SimpleNamespace(
        session=lambda _: "session",
        presign=lambda _: None,
        destination=lambda _: SimpleNamespace(region="eu-west-1"),
        inventory=SimpleNamespace(principals={"app": SimpleNamespace(ambient=False)}),
        accounts=SimpleNamespace(credentials=lambda _: None),
    )
    builder: Any = SimpleNamespace(build=build)
    run = AccessRun(world, world, builder=builder, notify=lambda _: None, mutations=world)
    times = {"near": None, "far": 40, "farther": 50}
    probes = [
        replace(get(vantage=name), cell=replace(get(vantage=name).cell, timeout=time)) for name, time in times.items()
    ]
    assert [run._request(probe).read_timeout for probe in probes] == [None, 40, 50]
    assert len(built) == 1


class Apart:
    """Stands for what deletes policies: who may send when, and what was sent before."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def waiting(self) -> AbstractContextManager[None]:
        return self._noted("measuring")

    def alone(self) -> AbstractContextManager[None]:
        return self._noted("alone")

    @contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        self.said.append(f"{what} begins")
        yield
        self.said.append(f"{what} ends")

    def send(self, probes: Sequence[Probe], seen: Observed, sender: Sender) -> None:
        for probe in probes:
            assert all(row in seen.counted for row in (get("other", bucket="glass"), get()))
            self.said.append(f"{probe.cell.principal} after {len(seen.answers)}")
            sender.send(probe)
        watched = sender.watch("glass")
        assert watched == get("other", bucket="glass")
        assert sender.is_denied(watched)
        assert sender.watch("reports") is None


def deletion(principal: str) -> Probe:
    cell = get(principal, bucket="glass").cell
    return Probe(cell=replace(cell, operation="DeleteBucketPolicy", action="s3:DeleteBucketPolicy", mutating=True))


def test_policies_are_deleted_last_of_all_while_nobody_measures() -> None:
    told = "User: x is not authorized to perform: s3:GetObject on resource: y with an explicit deny in a resource-based"
    body = f"<Error><Code>AccessDenied</Code><Message>{told} policy</Message></Error>".encode()
    kept_out = Answer(id="a", status=403, body=body, headers=IDS)
    admin, other = deletion("admin"), deletion("other")
    given: dict[Probe, list[Answer | Exception]] = {
        other: [NO],
        admin: [Answer(id="a", status=204, headers=IDS)],
        get("other", bucket="glass"): [kept_out],
        get(): [THERE],
    }
    run, apart = scripted(given), Apart()
    run._deletions = apart  # type: ignore[assignment]
    seen = run.send([admin, get("other", bucket="glass"), other, get()], {}, unmade={})
    assert apart.said == [
        "measuring begins",
        "measuring ends",
        "alone begins",
        "admin after 2",
        "other after 3",
        "alone ends",
    ]
    assert (seen.counted[admin].allowed, seen.counted[other].denied) == (True, True)
    apart.said.clear()
    seen = run.send([admin, get()], {}, unmade={"glass": "nothing could be made there"})
    assert apart.said == ["measuring begins", "measuring ends"]
    assert seen.counted[admin].reason == "nothing could be made there"


def test_where_nobody_puts_policies_back_they_stay() -> None:
    run = scripted({get(): [THERE]})
    seen = run.send([deletion("admin"), get()], {}, unmade={})
    assert (seen.counted[deletion("admin")].kind, len(seen.answers)) == (OutcomeKind.INCONCLUSIVE, 1)
