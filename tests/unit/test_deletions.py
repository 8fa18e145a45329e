"""Policies that are really deleted: one at a time, put back byte for byte, and not where nobody could put them back."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from pytest_s3vpce.claims import BucketFacts
from pytest_s3vpce.errors import CredentialError
from pytest_s3vpce.model import Answer, Cell, FailureKind, Layer, Outcome, OutcomeKind, Target, Transport
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.run.deletions import CALM, Deletions, Sender, is_deletion, shows_policy
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.observed import Observed
from pytest_s3vpce.vantage import Kind, Ledger, policies

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = "arn:aws:sts::111122223333:assumed-role/s3vpce-runner/s"
TEXT = json.dumps({"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::g"}]})
ANOTHER = '{"Statement": []}'
IDS = {"x-amz-request-id": "R"}
GONE, REFUSED = Answer(id="a", status=204, headers=IDS), Answer(id="a", status=403, headers=IDS)
LOST = Answer(id="a", failure=FailureKind.READ_TIMEOUT)


def fault(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "x")


class S3:
    """A bucket's policy, as its account's runner reads and puts it."""

    def __init__(self, text: str | None = TEXT) -> None:
        self.text = text
        self.put: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.spoils = ""
        """What S3 makes of what is put."""

    def get_bucket_policy(self, **_: str) -> dict[str, str]:
        if "get" in self.fails:
            raise self.fails["get"]
        if self.text is None:
            raise fault("NoSuchBucketPolicy")
        return {"Policy": self.text}

    def put_bucket_policy(self, *, Bucket: str, Policy: str) -> None:  # noqa: N803 - boto3's names
        assert Bucket == "g"
        if "put" in self.fails:
            raise self.fails["put"]
        self.put.append(Policy)
        self.text = Policy + self.spoils


class Time:
    """Passes when it is slept."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Stage:
    """A scratch bucket, and who asks to delete its policy."""

    def __init__(self, tmp_path: Path) -> None:
        self.s3 = S3()
        self.clock = Time()
        self.scratch = True
        self.guarded: dict[str, CredentialError] = {}
        self.answers: dict[str, Answer | BaseException | None] = {}
        self.denials: list[bool] = []
        self.watched: Probe | None = probe("other", "GetBucketPolicy", mutating=False)
        self.sent: list[str] = []
        self.seen = Observed()
        self.folder = RunFolder.create(tmp_path)
        self.ledger = Ledger(self.folder.ledger)

    def client(self, service: str, **_: str) -> Any:
        return self.s3 if service == "s3" else SimpleNamespace(get_caller_identity=lambda: {"Arn": RUNNER})

    def world(self) -> Any:
        facts = BucketFacts(label="glass", name="g", account="main", account_id="111122223333", key="c")
        return SimpleNamespace(
            inventory=SimpleNamespace(buckets={"glass": SimpleNamespace(scratch=self.scratch)}),
            bucket=lambda _: facts,
            region=lambda _: "eu-west-1",
            accounts=SimpleNamespace(guard=lambda _: self.guarded, client=self.client),
        )

    def one(self, row: Probe) -> None:
        """What a vantage point does: whoever is answered with a success has deleted the policy."""
        assert self.s3.text == TEXT, "each is asked where the policy is"
        assert [entry.content for entry in self.ledger.open_entries()] == [TEXT]
        self.sent.append(row.cell.principal)
        answer = self.answers.get(row.cell.principal, REFUSED)
        if answer is not None:
            self.seen.handed.add(row)
        if isinstance(answer, BaseException):
            self.s3.text = None
            raise answer
        if answer is not None:
            self.seen.answers[row] = answer
            self.s3.text = self.s3.text if answer is REFUSED else None

    def run(self, *principals: str) -> Observed:
        deletions = Deletions(self.world(), self.folder, clock=self.clock)
        sender = Sender(
            send=self.one,
            is_denied=lambda _: self.denials.pop(0) if self.denials else True,
            watch=lambda _: self.watched,
        )
        deletions.send([probe(name) for name in principals], self.seen, sender)
        return self.seen

    @property
    def left(self) -> list[str | None]:
        return [entry.kept for entry in self.ledger.open_entries()]


def probe(principal: str, operation: str = "DeleteBucketPolicy", *, mutating: bool = True, **more: Any) -> Probe:
    target = Target(bucket="glass")
    cell = Cell(
        operation=operation,
        action=f"s3:{operation}",
        target=target,
        principal=principal,
        vantage="v",
        mutating=mutating,
        **more,
    )
    return Probe(cell=cell)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_policy_is_put_back_after_each_who_deleted_it(stage: Stage) -> None:
    stage.answers = {"admin": GONE, "second": GONE}
    seen = stage.run("other", "admin", "second")
    assert stage.sent == ["other", "admin", "second"]
    assert stage.s3.put == [TEXT] * 3, "once to show that it can be put, and after each of two"
    assert stage.s3.text == TEXT
    assert (seen.refusals, stage.left) == ({}, [])
    assert seen.policies == {"glass": (True, "the policy of glass reads as it did, byte for byte")}


def test_what_s3_refused_needs_nothing_put_back(stage: Stage) -> None:
    assert stage.run("other").policies["glass"][0]
    assert stage.s3.put == [TEXT], "to show that it can be"
    assert stage.clock.time == 0


def test_nobody_is_let_at_it_before_it_is_in_force_again(stage: Stage) -> None:
    stage.answers = {"admin": GONE}
    stage.denials = [False, True, False]
    stage.run("admin", "other")
    assert stage.sent == ["admin", "other"]
    assert stage.clock.time >= 3 + CALM


def test_without_anybody_who_shows_that_it_is_in_force_again_the_next_one_is_not_sent(stage: Stage) -> None:
    stage.answers, stage.watched = {"admin": GONE, "second": GONE}, None
    seen = stage.run("admin", "second")
    assert stage.sent == ["admin"]
    assert "shows that it is in force again" in seen.refusals[probe("second")]
    assert seen.policies["glass"][0]


def test_a_policy_that_is_never_in_force_again_is_told(stage: Stage) -> None:
    stage.answers, stage.denials = {"admin": GONE}, [False] * 100
    seen = stage.run("admin", "second")
    assert "was not denied again within 60 s" in seen.refusals[probe("second")]
    assert not seen.policies["glass"][0]
    assert len(stage.left) == 1


@pytest.mark.parametrize("answer", [LOST, Answer(id="a", status=500, headers=IDS), Answer(id="a", status=403)])
def test_what_was_not_answered_by_s3_is_put_back_and_stays_in_the_ledger(stage: Stage, answer: Answer) -> None:
    """A proxy's 403 tells nothing, and a request without an answer may still arrive."""
    stage.answers = {"admin": answer}
    seen = stage.run("admin")
    assert stage.s3.text == TEXT
    assert stage.left == ["DeleteBucketPolicy/glass/admin:v/https was not answered, and may still arrive"]
    assert not seen.policies["glass"][0]


def test_who_was_not_handed_anything_deleted_nothing(stage: Stage) -> None:
    stage.answers = {"admin": None}
    assert stage.run("admin").policies["glass"][0]
    assert stage.s3.put == [TEXT]


@pytest.mark.parametrize("end", [KeyboardInterrupt(), RuntimeError("x")])
def test_whatever_ends_a_run_meanwhile_leaves_the_policy(stage: Stage, end: BaseException) -> None:
    stage.answers = {"admin": end}
    with pytest.raises(type(end)):
        stage.run("admin")
    assert stage.s3.text == TEXT
    (entry,) = stage.ledger.open_entries()
    assert (entry.kind, entry.identifier, entry.content) == (Kind.BUCKET_POLICY, "g", TEXT)
    assert str(entry) == "bucket_policy g in account main, eu-west-1"


def test_what_can_not_be_put_back_ends_it_and_stays_in_the_ledger(stage: Stage) -> None:
    def breaks(row: Probe) -> None:
        Stage.one(stage, row)
        stage.s3.fails["put"] = fault("AccessDenied")

    stage.answers = {"admin": GONE}
    stage.one = breaks  # type: ignore[method-assign]
    seen = stage.run("admin", "second")
    assert stage.sent == ["admin"]
    assert seen.refusals[probe("second")] == "not sent: the policy is not back: AccessDenied: no"
    assert seen.policies == {"glass": (False, "the policy of glass may not be as it was: AccessDenied: no")}
    assert stage.left == ["AccessDenied: no"]


GRANT = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:role/s3vpce-runner"}, "Action": "s3:Put*"}


@pytest.mark.parametrize(
    ("text", "fails", "words"),
    [
        (None, {}, "there is none, so deleting it shows nothing"),
        (TEXT, {"get": fault("AccessDenied")}, "AccessDenied: no"),
        (TEXT, {"put": fault("AccessDenied")}, "could not put it as it is: AccessDenied: no"),
        (json.dumps({"Statement": {**GRANT, "Resource": "arn:aws:s3:::g"}}), {}, "without it"),
    ],
)
def test_nothing_is_deleted_that_nobody_was_shown_to_put_back(
    stage: Stage, text: str | None, fails: dict[str, Exception], words: str
) -> None:
    stage.s3.text, stage.s3.fails = text, fails
    seen = stage.run("other", "admin")
    assert (stage.sent, stage.left, seen.policies) == ([], [], {})
    assert all(why.startswith("not sent: the policy of glass stays: ") for why in seen.refusals.values())
    assert len(seen.refusals) == 2
    assert words in seen.refusals[probe("admin")]


def test_a_policy_that_s3_gives_back_otherwise_is_not_deleted(stage: Stage) -> None:
    stage.s3.spoils = " "
    seen = stage.run("admin")
    assert stage.sent == []
    assert "does not read as it was" in seen.refusals[probe("admin")]


def test_only_scratch_buckets_are_touched(stage: Stage) -> None:
    stage.scratch = False
    seen = stage.run("admin")
    assert (stage.sent, stage.s3.put) == ([], [])
    assert "the bucket is not declared a scratch bucket; set `scratch: true`" in seen.refusals[probe("admin")]


def test_an_account_that_is_not_the_one_that_is_said_is_not_used(stage: Stage) -> None:
    stage.guarded = {"main": CredentialError("profile `x` is of another account")}
    seen = stage.run("admin")
    assert (stage.sent, stage.s3.put) == ([], [])
    assert "is of another account" in seen.refusals[probe("admin")]


@pytest.mark.parametrize("text", [None, ANOTHER])
def test_where_somebody_else_changed_it_meanwhile_nobody_is_asked_any_more(stage: Stage, text: str | None) -> None:
    """Without the policy that keeps them out, whoever deletes it shows nothing; and it is left as it is."""

    def changes(row: Probe) -> None:
        Stage.one(stage, row)
        stage.s3.text = text

    stage.one = changes  # type: ignore[method-assign]
    seen = stage.run("other", "admin")
    assert stage.sent == ["other"]
    assert seen.refusals[probe("admin")] == "not sent: somebody else changed the policy of glass meanwhile"
    assert not seen.policies["glass"][0]
    assert stage.s3.text == text
    assert stage.left == ["somebody else changed the policy of glass meanwhile"]


def test_a_policy_that_can_not_be_read_any_more_is_not_deleted(stage: Stage) -> None:
    def breaks(row: Probe) -> None:
        Stage.one(stage, row)
        stage.s3.fails["get"] = fault("AccessDenied")

    stage.one = breaks  # type: ignore[method-assign]
    seen = stage.run("other", "admin")
    assert (stage.sent, seen.refusals[probe("admin")]) == (["other"], "not sent: AccessDenied: no")


def test_a_policy_that_somebody_put_meanwhile_is_left_as_it_is(stage: Stage) -> None:
    stage.s3.text = ANOTHER
    why = policies.put_back(stage.s3, "g", text=TEXT, sleep=stage.clock.sleep)
    assert why == "it has another policy by now, which is left as it is"
    assert stage.s3.text == ANOTHER


ALLOW = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::g"}
DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::g"}


@pytest.mark.parametrize(
    ("statement", "rests"),
    [
        (ALLOW, True),
        ([ALLOW, DENY], True),
        ({**ALLOW, "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}, True),
        ({**ALLOW, "Principal": {"AWS": "arn:aws:iam::111122223333:role/s3vpce-runner"}}, True),
        ({**ALLOW, "Principal": {"AWS": "arn:aws:iam::111122223333:role/admin"}}, False),
        ({**ALLOW, "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}, False),
        ({**ALLOW, "Action": "s3:GetBucketPolicy"}, True),
        ({**ALLOW, "Action": "s3:GetObject"}, False),
        ({**ALLOW, "Action": "s3:PutObject", "NotAction": "s3:GetObject"}, True),
        (DENY, False),
        ("garbage", True),
    ],
)
def test_rights_that_the_policy_itself_may_give_are_gone_with_it(statement: Any, rests: bool) -> None:
    text = json.dumps({"Statement": statement})
    found = policies.rests_on_itself(text, bucket_arn="arn:aws:s3:::g", account="111122223333", who=RUNNER)
    assert found is rests


def test_what_deletes_a_policy_is_told_from_what_does_not() -> None:
    assert is_deletion(probe("admin").cell)
    assert not is_deletion(probe("admin", mutating=False).cell)
    assert not is_deletion(probe("admin", "PutObject").cell)


@pytest.mark.parametrize(
    ("row", "layer", "explicit", "shows"),
    [
        (probe("other", "GetBucketPolicy", mutating=False), Layer.RESOURCE, True, True),
        (probe("other", "GetBucketPolicy", mutating=False), Layer.RESOURCE, False, False),
        (probe("other", "GetBucketPolicy", mutating=False), Layer.IDENTITY, True, False),
        (probe("other", "GetBucketPolicy", mutating=False), None, None, False),
        (probe("other", "PutBucketPolicy", mutating=False), Layer.RESOURCE, True, False),
        (probe("other", "GetBucketPolicy", mutating=False, transport=Transport.HTTP), Layer.RESOURCE, True, False),
    ],
)
def test_only_an_explicit_deny_of_the_bucket_shows_that_its_policy_is_there(
    row: Probe, layer: Layer | None, explicit: bool | None, shows: bool
) -> None:
    outcome = Outcome(kind=OutcomeKind.DENIED, layer=layer, explicit=explicit)
    assert shows_policy(row, outcome, bucket="glass") is shows
    assert not shows_policy(row, outcome, bucket="reports")
    assert not shows_policy(row, Outcome(kind=OutcomeKind.ALLOWED), bucket="glass")


@pytest.mark.parametrize("seed", range(60))
def test_whatever_comes_back_the_policy_is_there_or_the_ledger_has_it(tmp_path: Path, seed: int) -> None:
    """Nobody is asked while it is gone, what is not back is told, and a sweep puts it back."""
    dice, stage = random.Random(seed), Stage(tmp_path)
    names = [f"p{number}" for number in range(dice.randint(1, 5))]
    kinds = [REFUSED, GONE, LOST, Answer(id="a", status=500, headers=IDS), None, KeyboardInterrupt()]
    stage.answers = {name: dice.choice(kinds) for name in names}
    stage.denials = [dice.random() < 0.8 for _ in range(80)]
    stage.watched = stage.watched if dice.random() < 0.8 else None

    def fails(row: Probe) -> None:
        Stage.one(stage, row)
        if dice.random() < 0.2:
            stage.s3.fails[dice.choice(["put", "get"])] = fault("InternalError")

    stage.one = fails  # type: ignore[method-assign]
    with suppress(KeyboardInterrupt):
        stage.run(*names)
    is_back, open_entries = stage.s3.text == TEXT, stage.ledger.open_entries()
    assert is_back or open_entries
    assert all(entry.content == TEXT for entry in open_entries)
    if stage.seen.policies.get("glass", (False, ""))[0]:
        assert is_back
        assert not open_entries
    stage.s3.fails.clear()
    if open_entries:
        assert policies.put_back(stage.s3, "g", text=TEXT, sleep=stage.clock.sleep) is None
        assert stage.s3.text == TEXT
