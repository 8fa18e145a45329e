"""What experiments make of answers that AWS might give, and what is done where a calibration can't go on."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from pytest_s3vpce.calibratecommand import _table, calibrate
from pytest_s3vpce.calibration import NONE, Calibration, Finding
from pytest_s3vpce.errors import CredentialError, RunError, VantageError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Answer, FailureKind, Transport
from pytest_s3vpce.network import described
from pytest_s3vpce.probe import Host, Probe
from pytest_s3vpce.run.calibrating import calibrator, inside, measuring, network, scratch
from pytest_s3vpce.run.calibrating.asking import NAMED, Question, Reply, heard
from pytest_s3vpce.run.calibrating.asking import Asker as RealAsker
from pytest_s3vpce.run.calibrating.experiments import EXPERIMENTS, Experiment, Given, check, wanted
from pytest_s3vpce.run.calibrating.measuring import measured, spread
from pytest_s3vpce.run.calibrating.ordering import ANY
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.leaning import leant_on
from pytest_s3vpce.undocumented import RULES
from pytest_s3vpce.vantage import Kind, Ledger
from tests.unit.predictions import cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

INVENTORY = """\
accounts: {scratch: {id: "111122223333", region: eu-west-1}}
principals: {nobody: {anonymous: true}}
vantage_points: {here: local}
buckets: {reports: {name: reports, canary: {key: k}}}
"""
KMS = "User: x is not authorized to perform: kms:GenerateDataKey on this resource because it does not exist"
DENIED = "User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform: s3:GetObject on resource: x"


def reply(status: int | None, code: str = "", message: str = "", *, by: str = "ID") -> Reply:
    """An answer of S3's, by its request id; or of something in between, without one."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else ""
    failure = FailureKind.CONNECT_TIMEOUT if status is None else None
    headers = {"x-amz-request-id": by} if status is not None and by else {}
    answer = Answer(id="a", status=status, headers=headers, body=body.encode(), failure=failure)
    return heard(answer, authorised=("400 BadDigest",))


class S3:
    """Takes any policy, or refuses those that it is told to."""

    def __init__(self, error: Exception | None = None, *, of: str = "") -> None:
        self.error = error
        self.of = of
        self.put = 0
        self.deleted = 0

    def put_bucket_policy(self, **named: str) -> Any:
        self.put += 1
        if self.error is not None and self.of in named["Policy"]:
            raise self.error
        return {"ResponseMetadata": {"RequestId": "PUT"}}

    def delete_bucket_policy(self, **_: str) -> None:
        self.deleted += 1


class Asker:
    """Answers each question as it is told to."""

    def __init__(self, answer: Callable[[Question], Reply], *, s3: S3 | None = None) -> None:
        self.answer = answer
        self.scratch = SimpleNamespace(
            bucket="b",
            account_id="111122223333",
            region="eu-west-1",
            partition="aws",
            arns=["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
            root_arn="root",
            role_arn=lambda name: name,
            userid=lambda name: name,
            s3=s3 or S3(),
            let_few=lambda *_: None,
            take_public_policies=lambda: None,
            block_public_policies=lambda: None,
            make_access_point=lambda: "arn:aws:s3:eu-west-1:111122223333:accesspoint/p",
        )
        self.learnt: dict[str, str] = {}

    def learn(self, operation: str, answer: str) -> None:
        self.learnt[operation] = answer

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        return [self.answer(row) for row in questions]


def found(experiment: str, answer: Callable[[Question], Reply], *, s3: S3 | None = None) -> dict[str, str]:
    asker: Any = Asker(answer, s3=s3)
    run = EXPERIMENTS[experiment].run
    assert run is not None
    return {row.rule: row.value for row in run(asker)}


def always(told: Reply) -> Callable[[Question], Reply]:
    return lambda _: told


def refuses(question: Question) -> bool:
    return any(row["Effect"] == "Deny" for row in question.statements)


@pytest.mark.parametrize(
    ("allowed", "denied", "value"),
    [
        (reply(400, "BadDigest"), reply(403, "AccessDenied", DENIED), "policies first"),
        (reply(400, "BadDigest"), reply(400, "BadDigest"), "the same answer to both"),
        (reply(400, "InvalidDigest"), reply(403, "AccessDenied", DENIED), "policies first, then another answer"),
        (reply(503, "SlowDown"), reply(403, "AccessDenied", DENIED), "other answers"),
        (reply(403, "RequestTimeTooSkewed"), reply(403, "AccessDenied", DENIED), "other answers"),
        (reply(None), reply(None), "other answers"),
        (reply(503, "SlowDown"), reply(503, "SlowDown"), "other answers"),
        (reply(400, "ExpiredToken"), reply(403, "AccessDenied", DENIED), "other answers"),
        (reply(400, "AuthorizationHeaderMalformed"), reply(403, "AccessDenied", DENIED), "other answers"),
        (reply(409, "OperationAborted"), reply(403, "AccessDenied", DENIED), "other answers"),
        (reply(400), reply(403, "AccessDenied", DENIED), "other answers"),
        (reply(400, "InvalidDigest", by=""), reply(403, "AccessDenied", DENIED), "other answers"),
        (reply(400, "InvalidDigest"), reply(403, "AccessDenied", DENIED, by=""), "other answers"),
    ],
)
def test_an_order_is_told_by_two_answers(allowed: Reply, denied: Reply, value: str) -> None:
    assert found("order", lambda row: denied if refuses(row) else allowed)["order/digest"] == value


@pytest.mark.parametrize("experiment", ["forms", "order", "messages", "keys", "absent keys", "attributes"])
@pytest.mark.parametrize(
    "told",
    [
        reply(200, by=""),
        reply(400, "BadDigest", by=""),
        reply(403, "AccessDenied", f"{DENIED} with an explicit deny in a session policy", by=""),
        reply(404, "NoSuchKey", by=""),
        reply(412, "PreconditionFailed", by=""),
        reply(503, "SlowDown"),
        reply(None),
    ],
    ids=["200", "400", "403", "404", "412", "503", "nothing"],
)
def test_what_is_no_answer_of_s3s_settles_nothing(experiment: str, told: Reply) -> None:
    """A portal, a proxy, a cut line."""
    values = found(experiment, always(told))
    assert {rule: value for rule, value in values.items() if RULES[rule].settled_by(value)} == {}


def test_messages_that_name_nothing_are_told() -> None:
    plain = found("messages", lambda _: reply(403, "AccessDenied", "Access Denied"))
    assert plain.pop("message/policy-arn") == "not denied explicitly: 403 AccessDenied"
    assert set(plain.values()) == {"no policy is named"}
    assert {
        found("messages", lambda _: reply(200))[f"message/{name}"] for name in ("policy-arn", "session-explicit")
    } == {"not denied: 200"}


def test_a_key_is_told_by_what_is_denied() -> None:
    """S3 sees an empty prefix, no delimiter, and nothing of the rest."""

    def answer(question: Question) -> Reply:
        conditions = [row["Condition"] for row in question.statements if "Condition" in row]
        hit = {"StringEquals": {"s3:prefix": ""}} in conditions or {"Null": {"s3:delimiter": "true"}} in conditions
        return reply(403, "AccessDenied", DENIED) if hit else reply(200)

    values = found("keys", answer)
    assert (values["key/prefix-not-sent"], values["key/delimiter-not-sent"]) == ("empty", "absent")
    assert values["key/max-keys-not-sent"] == "not told"
    nothing = found("keys", lambda _: reply(503, "SlowDown"))
    star = "key/star-in-variable"
    assert nothing.pop("key/star-as-arn") == "not told: 503 SlowDown, 503 SlowDown"
    assert set(nothing.values()) == {"not allowed: 503 SlowDown"}
    denied, allowed = reply(403, "AccessDenied", DENIED), reply(200)
    for starred, value in ((allowed, "letter"), (denied, "wildcard"), (reply(503, "SlowDown"), "503 SlowDown")):
        assert found("keys", starring(starred))[star] == value


def starring(starred: Reply) -> Callable[[Question], Reply]:
    """Denied where the delimiter is what the prefix says; with a `*` in it, as is told."""

    def answer(question: Question) -> Reply:
        sent = question.form.parameters.get("Prefix") if question.form and refuses(question) else None
        return {"secret": reply(403, "AccessDenied", DENIED), "s*": starred}.get(sent or "", reply(200))

    return answer


@pytest.mark.parametrize(
    ("free", "encrypted", "value"),
    [
        (reply(412, "PreconditionFailed"), reply(412, "PreconditionFailed"), "conditions first"),
        (reply(412, "PreconditionFailed"), reply(400, "KMS.NotFoundException"), "KMS first"),
        (reply(412, "PreconditionFailed"), reply(403, "AccessDenied", KMS), "KMS first"),
        (reply(412, "PreconditionFailed"), reply(503, "SlowDown"), "503 SlowDown"),
        (reply(503, "SlowDown"), reply(412, "PreconditionFailed"), "without a key: 503 SlowDown"),
    ],
)
def test_whether_kms_is_asked_first_is_told_beside_a_condition(free: Reply, encrypted: Reply, value: str) -> None:
    def answer(question: Question) -> Reply:
        sent = question.form.parameters if question.form else {}
        return encrypted if "SSEKMSKeyId" in sent else free

    assert found("order", answer)["order/kms"] == value


def test_an_answer_that_a_form_does_not_list_is_learnt() -> None:
    asker: Any = Asker(lambda row: reply(403, "AccessDenied", DENIED) if refuses(row) else reply(400, "Odd"))
    run = EXPERIMENTS["forms"].run
    assert run is not None
    assert {row.value for row in run(asker)} == {"policies first, then another answer"}
    assert asker.learnt["PutObject"] == "400 Odd"


@pytest.mark.parametrize(
    ("told", "value"),
    [
        (reply(403, "AccessDenied", DENIED), "403"),
        (reply(404, "NoSuchKey"), "404"),
        (reply(404, "NoSuchKey", by=""), "404 NoSuchKey"),
        (reply(404, "NoSuchBucket"), "404 NoSuchBucket"),
        (reply(403, "RequestTimeTooSkewed"), "403 RequestTimeTooSkewed"),
        (reply(403), "403"),
        (reply(200), "200"),
        (reply(None), "connect_timeout"),
    ],
)
def test_that_a_key_is_absent_is_told_by_what_s3_says(told: Reply, value: str) -> None:
    again = heard(told.answer, authorised=("404 NoSuchKey",))
    absent = heard(reply(404, "NoSuchKey").answer, authorised=("404 NoSuchKey",))
    values = found("absent keys", lambda row: absent if row.statements == (ANY,) else again)
    assert set(values.values()) == {value}


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (f"{DENIED}:accesspoint/p/object/k with an explicit deny in a session policy", "the access point"),
        ("no: arn:aws:s3:::b/k with an explicit deny in a session policy", "the bucket"),
        ("Access Denied", "no policy is named"),
    ],
)
def test_a_denial_by_an_access_point_names_it_or_the_bucket(message: str, value: str) -> None:
    told = found("access points", lambda row: reply(403, "AccessDenied", message) if refuses(row) else reply(200))
    assert told == {"message/access-point": value}


def test_an_access_point_that_is_not_reached_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_SECONDS", 0.0)
    told = found("access points", lambda _: reply(403, "AccessDenied", DENIED))
    assert told == {"message/access-point": "not reached: 403 AccessDenied"}


def test_a_managed_policy_is_named_or_not() -> None:
    rule = "message/policy-arn"
    words = "with an explicit deny in a permissions boundary"
    for tail, value in ((": arn:aws:iam::aws:policy/AWSDenyAll", "named"), ("", "not named")):
        denied = reply(403, "AccessDenied", f"{DENIED} {words}{tail}")
        assert found("messages", always(denied))[rule] == value
    implicit = found("messages", lambda _: reply(403, "AccessDenied", DENIED))
    assert implicit[rule] == "not denied explicitly: 403 AccessDenied"


@pytest.mark.parametrize(
    ("own", "other", "value"),
    [
        (True, True, "either"),
        (True, False, "s3:GetObjectAttributes"),
        (False, True, "s3:GetObject"),
        (False, False, "both"),
    ],
)
def test_attributes_are_told_by_two_sessions(own: bool, other: bool, value: str) -> None:
    def answer(question: Question) -> Reply:
        actions = question.statements[0]["Action"]
        if len(actions) > 1:
            return reply(200)
        mine = actions == ["s3:GetObjectAttributes"]
        return reply(200) if (own if mine else other) else reply(403, "AccessDenied", DENIED)

    assert found("attributes", answer) == {"attributes/actions": value}


@pytest.mark.parametrize(("odd", "value"), [(reply(None), "connect_timeout"), (reply(503, "SlowDown"), "503 SlowDown")])
def test_attributes_are_not_told_by_what_is_no_denial(odd: Reply, value: str) -> None:
    assert found("attributes", lambda _: odd) == {"attributes/actions": f"not allowed: {value}"}
    one = iter([reply(200), reply(200), odd])
    assert found("attributes", lambda _: next(one)) == {"attributes/actions": value}


def test_a_policy_that_never_counts_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_SECONDS", 0.0)
    values = found("bucket policies", lambda _: reply(403, "AccessDenied", DENIED))
    assert values["root-arn/alone"] == "policy did not count: 403 AccessDenied"
    counts = {"GetBucketAcl": reply(200)}
    denied = reply(403, "AccessDenied", DENIED)
    assert found("bucket policies", lambda row: counts.get(row.operation, denied))["root-arn/alone"] == "denied"


def test_a_policy_that_is_not_seen_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_SECONDS", 0.05)
    monkeypatch.setattr(measuring, "_PAUSE", 0.01)
    values = found("propagation", lambda _: reply(503, "SlowDown"))
    assert set(values.values()) == {"more than 0"}
    assert float(found("propagation", lambda _: reply(200))["propagation/role-policy"]) < 1
    counts = {"GetBucketAcl": reply(200)}
    values = found("bucket policies", lambda row: counts.get(row.operation, reply(503, "SlowDown")))
    assert values["root-arn/alone"] == "503 SlowDown"
    assert found("bucket policies", lambda _: reply(200))["root-arn/alone"] == "allowed"


PLAINLY_PUBLIC = "s3vpce-nothing-is-here"


def test_what_is_public_is_refused_and_what_is_not_is_taken() -> None:
    taking = S3(fault("AccessDenied"), of=PLAINLY_PUBLIC)
    assert set(found("public policies", lambda _: reply(200), s3=taking).values()) == {"not public"}
    assert taking.deleted == 1
    for code, value in (
        ("AccessDenied", "public"),
        ("MalformedPolicy", "a public policy is not refused: MalformedPolicy"),
    ):
        refusing = S3(fault(code), of='"Principal": "*"')
        assert set(found("public policies", lambda _: reply(200), s3=refusing).values()) == {value}


def test_where_public_policies_are_taken_none_is_called_restricted() -> None:
    """Block Public Access is off, or a switch of it does not count yet."""
    taking = S3()
    values = set(found("public policies", lambda _: reply(200), s3=taking).values())
    assert values == {"a public policy is not refused: it is taken"}
    assert (taking.put, taking.deleted) == (2, 1)  # what may be public is not tried then


def test_that_no_policy_is_taken_does_not_make_one_public() -> None:
    """An organization's policy may deny it to all."""
    refusing = S3(fault("AccessDenied"))
    values = found("public policies", lambda _: reply(200), s3=refusing)
    assert set(values.values()) == {"no policy is taken: AccessDenied"}
    assert refusing.deleted == 0


@pytest.mark.parametrize("experiment", ["forms", "order", "keys", "absent keys", "attributes"])
def test_one_who_may_nothing_any_more_settles_nothing(experiment: str) -> None:
    values = found(experiment, always(reply(403, "AccessDenied", DENIED)))
    assert {rule: value for rule, value in values.items() if RULES[rule].settled_by(value)} == {}


def test_a_key_that_is_both_there_and_absent_is_not_told() -> None:
    values = found("keys", lambda row: reply(403, "AccessDenied", DENIED) if refuses(row) else reply(200))
    assert values["key/prefix-not-sent"] == values["key/resource-account/ListBuckets"] == "denied either way"


# --- what a calibration makes ----------------------------------------------------------------------------------------


class Plane:
    """A control plane whose every call does what it is told."""

    account = "scratch"
    region = "us-east-1"
    owner = "arn:aws:iam::111122223333:user/me"
    over = False

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def client(self, _service: str, **_: str) -> Any:
        return self

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)
        if self.over:
            raise VantageError("told to end")

    def end(self) -> None:
        self.over = True

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.asked.append((name, arguments))
            return self.do(name)

        return call


def fault(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "not you"}}, "Any")


def made(plane: Plane, tmp_path: Path) -> scratch.Scratch:
    given: Any = plane
    ledger = Ledger(tmp_path / "ledger.jsonl")
    return scratch.Scratch(given, run_id="1a2b", account_id="111122223333", ledger=ledger, notify=lambda _line: None)


def test_where_nothing_can_be_made_it_says_so_and_the_ledger_knows(tmp_path: Path) -> None:
    def refuse(name: str) -> Any:
        if name == "create_bucket":
            raise fault("AccessDenied")
        return {"Role": {"RoleId": "AROA"}}

    plane = Plane(refuse)
    with pytest.raises(RunError, match=r"can't make what it needs: AccessDenied: not you; calibrate with an admin"):
        made(plane, tmp_path).make()
    kinds = [row.kind for row in Ledger(tmp_path / "ledger.jsonl").open_entries()]
    assert kinds == [Kind.IAM_ROLE] * 4 + [Kind.S3_BUCKET]
    assert dict(plane.asked)["create_bucket"] == {"Bucket": "s3vpce-calibration-1a2b-111122223333"}


def test_a_role_that_is_not_known_yet_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_PAUSE", 0.0)
    errors = [fault("AccessDenied"), fault("AccessDenied")]

    def late(_name: str) -> Any:
        if errors:
            raise errors.pop()
        return {"Credentials": {"AccessKeyId": "A"}}

    assert made(Plane(late), tmp_path).session(scratch.ALL) == {"AccessKeyId": "A"}


@pytest.mark.parametrize(("answers", "version"), [([{}, {}, {"VersionId": "v1"}], "v1"), ([{}] * 30, "null")])
def test_versioning_that_does_not_count_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, str]], version: str
) -> None:
    monkeypatch.setattr(scratch, "_PAUSE", 0.0)
    left = list(answers)

    def do(name: str) -> Any:
        if name == "create_role":
            return {"Role": {"RoleId": "AROA"}}
        puts = [row for row, _ in plane.asked if row == "put_object"]
        if name == "put_object" and len(puts) > 1:  # the first makes the canary of the new bucket
            return left.pop(0)
        return {"Buckets": []}

    plane = Plane(do)
    found = made(plane, tmp_path)
    found.make()
    assert (found.version, left) == (version, [])


@pytest.mark.parametrize(("code", "calls"), [("AccessDenied", 3), ("ExpiredToken", 1)])
def test_a_role_that_stays_unknown_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, calls: int
) -> None:
    monkeypatch.setattr(scratch, "_PAUSE", 0.0)

    def never(_name: str) -> Any:
        raise fault(code)

    plane = Plane(never)
    with pytest.raises(RunError, match=f"a role of the calibration can't be assumed: {code}: not you"):
        made(plane, tmp_path).session(scratch.ALL, tries=3)
    assert len(plane.asked) == calls


def test_an_interrupted_calibration_waits_for_no_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_PAUSE", 0.05)

    def never(_name: str) -> Any:
        raise fault("AccessDenied")

    nothing: Any = None
    asker = RealAsker(made(Plane(never), tmp_path), nothing, nothing)
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        asker.ask([Question(operation="GetObject")])
    assert time.monotonic() - started < 1


# --- the calibration as a whole --------------------------------------------------------------------------------------


def test_an_account_that_can_not_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    inventory = load_inventory(tmp_path / "s3vpce.yaml")
    error = CredentialError("not this account")
    monkeypatch.setattr("pytest_s3vpce.accounts.Accounts.guard", lambda _self, _names: {"scratch": error})
    with pytest.raises(CredentialError, match="not this account"):
        calibrator.Calibrator(
            inventory,
            Environment(),
            RunFolder.create(tmp_path),
            account="scratch",
            given=Given(),
            notify=lambda _line: None,
        )


def test_nothing_is_measured_by_a_role_that_can_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrator, "_PAUSE", 0.0)
    waiting: Any = SimpleNamespace(_asker=Asker(lambda _: reply(403, "AccessDenied", DENIED)))
    with pytest.raises(RunError, match="can't read the bucket that was made for it"):
        calibrator.Calibrator._await_rights(waiting)


def rights(late: str, after: int) -> Callable[[Question], Reply]:
    """All roles' policies count at once, but one: it counts when it was asked so many times."""
    asked: list[str] = []

    def answer(question: Question) -> Reply:
        asked.append(question.role)
        counts = question.role != late or asked.count(late) > after
        return reply(200) if counts else reply(403, "AccessDenied", DENIED)

    return answer


@pytest.mark.parametrize("role", [scratch.ALL, scratch.FEW, scratch.BOUND])
def test_every_roles_policy_is_waited_for(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(calibrator, "time", SimpleNamespace(sleep=slept.append))
    waiting: Any = SimpleNamespace(_asker=Asker(rights(role, 3)))
    calibrator.Calibrator._await_rights(waiting)
    assert len(slept) == 3
    waiting._asker = Asker(rights(role, 999))
    with pytest.raises(RunError, match=f"role `{role}` can't read the bucket that was made for it"):
        calibrator.Calibrator._await_rights(waiting)


@pytest.mark.parametrize("fails", [True, False])
def test_what_is_left_is_told_also_where_an_experiment_fails(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def experiment(_asker: Any) -> Iterator[Any]:
        if fails:
            raise RunError("no more of this")
        yield from ()

    monkeypatch.setitem(EXPERIMENTS, "order", Experiment(run=experiment))
    told: list[str] = []
    own = SimpleNamespace(
        make=lambda: None, remove=lambda _planes: ["iam_role r: Lambda needs it"], account_id="1", region="eu-west-1"
    )
    calibration: Any = SimpleNamespace(
        _scratch=own,
        _planes=SimpleNamespace(of=None),
        _given=Given(only=frozenset({"order"})),
        _notify=told.append,
        _await_rights=lambda: None,
        _from=lambda _name: None,
        _done=lambda name, row: calibrator.Calibrator._done(calibration, name, row),
        _environment=Environment(),
    )
    if fails:
        with pytest.raises(RunError, match="no more of this"):
            calibrator.Calibrator.run(calibration)
    else:
        found, left = calibrator.Calibrator.run(calibration)
        assert left == ["iam_role r: Lambda needs it"]
        assert found.findings["attributes/actions"].value == "not run: left out by --only"
    assert told == ["experiment: order", "left: iam_role r: Lambda needs it"]


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, left: list[str], *more: str) -> Any:
    (folder / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(calibrator.Calibrator, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(calibrator.Calibrator, "run", lambda _self: (NONE, left))
    return CliRunner().invoke(calibrate, ["--account", "scratch", *more])


def test_where_something_is_left_the_command_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(tmp_path, monkeypatch, ["iam_role r: Lambda needs it"])
    assert (done.exit_code, done.stderr) == (1, "")  # the calibration itself tells it
    assert "0 of 0 rules are as assumed, 0 are not" in done.stdout
    assert run(tmp_path, monkeypatch, []).exit_code == 0


def test_the_table_tells_undecided_from_other_than_assumed() -> None:
    values = {
        "attributes/actions": "503 SlowDown",
        "root-arn/alone": "allowed",
        "key/star-in-variable": "wildcard",
        "function/aws:SourceIp": "not run: needs a place",
    }
    table = _table(Calibration(findings={rule: Finding(rule=rule, value=row) for rule, row in values.items()}))
    rows = [" ".join(line.split()[1:]) for line in table.splitlines()[2:6]]
    out = Finding(rule="order/kms", value=EXPERIMENTS["order"].why_not("order", Given(only=frozenset({"keys"}))))
    assert _table(Calibration(findings={"order/kms": out})).splitlines()[2:] == [
        "",
        "0 of 1 rules are as assumed, 0 are not, 1 not run, in account ",
    ]
    assert rows == [
        "503 SlowDown undecided",
        "allowed assumed is: denied",
        "wildcard",
        "not run needs a place",
    ]
    assert "1 of 4 rules are as assumed, 1 are not, 1 undecided, 1 not run, in account" in table


def test_an_experiment_is_done_if_it_is_wanted_and_has_what_it_needs() -> None:
    rows = {
        (Given(), "functions"): "not run: needs --with-function, which makes a Lambda function outside of VPCs",
        (Given(function="made"), "functions"): "",
        (Given(only=frozenset({"order"})), "forms"): "not run: left out by --only",
        (Given(), "forms"): "",
    }
    assert {key: EXPERIMENTS[key[1]].why_not(key[1], key[0]) for key in rows} == rows
    assert wanted(["forms", "order"]) == {"forms", "order"}
    with pytest.raises(RunError, match="there is no experiment `form`; known are forms, order, messages"):
        wanted(["form"])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Given(endpoint="made"), "--with-endpoint alone comes to nothing; give --inside NAME and --with-endpoint (an"),
        (Given(far="us-east-1", inside="a"), "--other-region alone comes to nothing; give --inside NAME, --with-"),
        (Given(partner="b"), "--partner alone comes to nothing; give --inside NAME, --with-endpoint and --partner"),
        (Given(only=frozenset({"endpoints"})), "experiment `endpoints` can't be done; it needs --inside NAME and"),
    ],
)
def test_what_comes_to_nothing_is_told_before_anything_is_made(given: Given, why: str) -> None:
    with pytest.raises(RunError) as raised:
        check(given)
    assert str(raised.value).startswith(why)


def test_what_has_what_it_needs_is_done() -> None:
    check(Given())
    check(Given(inside="a", endpoint="made", partner="b", far="us-east-1"))
    check(Given(only=frozenset({"gateways", "keys"}), inside="a"))


def test_samples_are_counted_by_how_long_they_took() -> None:
    assert spread([0.2]) == "1 samples: 1 within 1 s; median 0.2 s"
    many = [0.5, 3.0, 0.7, 61.0, 4.0]
    assert spread(many) == "5 samples: 2 within 1 s, 4 within 5 s, 1 later; median 3.0 s"
    finding = measured("propagation/role-policy", many, ["A"])
    assert (finding.value, finding.samples, finding.decided) == ("more than 60", tuple(many), False)
    assert measured("propagation/role-policy", [0.04, 0.5], []).value == "0.5"


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(tmp_path, monkeypatch, [], "--output", str(tmp_path))
    assert str(done.exception) == f"the calibration `{tmp_path}` can't be written: it is a folder; name a file"
    nowhere = run(tmp_path, monkeypatch, [], "--output", str(tmp_path / "none" / "c.json"))
    assert (
        str(nowhere.exception)
        == f"the folder of the calibration `{tmp_path / 'none' / 'c.json'}` is not there; make it"
    )


def test_what_settles_nothing_leaves_a_rule_as_it_was_assumed() -> None:
    rule = "attributes/actions"
    unclear = Calibration(findings={rule: Finding(rule=rule, value="503 SlowDown")})
    assert unclear.value(rule) == NONE.value(rule)


# --- networks, other Regions, what reports lean on -------------------------------------------------------------------


class Vpc(Plane):
    """A VPC whose endpoint is known a little late, and never becomes available."""

    looks = 0

    def describe_vpc_endpoints(self, **_: Any) -> Any:
        self.looks += 1
        if self.looks == 1:
            raise fault("InvalidVpcEndpointId.NotFound")
        return {"VpcEndpoints": [{"State": "pending"}]}

    def create_vpc_endpoint(self, **_: object) -> Any:
        return {"VpcEndpoint": {"VpcEndpointId": "vpce-1"}}

    def create_security_group(self, **_: object) -> Any:
        return {"GroupId": "sg-1"}

    def get_function_configuration(self, **_: object) -> Any:
        return {"VpcConfig": {"VpcId": "vpc-1", "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-0"]}}


def network_of(plane: Any, tmp_path: Path) -> network.Network:
    function: Any = SimpleNamespace(function="f")
    ledger = Ledger(tmp_path / "ledger.jsonl")
    return network.Network(plane, function=function, run_id="1a2b", tags={}, ledger=ledger, notify=lambda _line: None)


def test_an_endpoint_that_does_not_come_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_PAUSE", 0.0)
    monkeypatch.setattr(network, "_TRIES", 2)
    plane = Vpc(lambda _name: None)
    with pytest.raises(RunError, match="endpoint `vpce-1` was not available in time"):
        network_of(plane, tmp_path).make_endpoint("us-east-1")
    kinds = [row.kind for row in Ledger(tmp_path / "ledger.jsonl").open_entries()]
    assert kinds == [Kind.SECURITY_GROUP, Kind.VPC_ENDPOINT]


def test_an_endpoint_that_may_not_be_made_is_told(tmp_path: Path) -> None:
    def refuse(_name: str) -> Any:
        raise fault("UnauthorizedOperation")

    with pytest.raises(
        RunError, match=r"can't make an endpoint: UnauthorizedOperation: not you; leave --with-endpoint"
    ):
        network_of(Plane(refuse), tmp_path).make_endpoint("us-east-1")


def test_a_bucket_of_another_region_that_may_not_be_made_is_told(tmp_path: Path) -> None:
    def refuse(_name: str) -> Any:
        raise fault("AccessDenied")

    with pytest.raises(RunError, match="can't make what it needs: AccessDenied"):
        made(Plane(refuse), tmp_path).make_bucket_in("eu-west-1")


def test_an_endpoint_that_is_not_reached_tells_nothing_of_http() -> None:
    asker: Any = Asker(lambda _: reply(None))
    found = inside._by_http(asker, "http/interface", NAMED)
    assert (found.value, found.decided) == ("not reached by https: connect_timeout", False)


@pytest.mark.parametrize(("closed", "value"), [("", "no answer"), ("a rule is missing", None)])
def test_silence_by_http_is_s3s_where_the_network_lets_it_through(closed: str, value: str | None) -> None:
    asker: Any = Asker(lambda row: reply(None if row.transport is Transport.HTTP else 200))
    asker.network = SimpleNamespace(why_closed=lambda *_, **__: closed)
    found = inside._by_http(asker, "http/interface", NAMED)
    assert found.value == (value or f"not let through: {closed}")
    assert found.decided is (value is not None)


def test_a_network_that_can_not_be_read_or_leads_nowhere_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"near": "10.0.0.4:40000", "account_id": "111122223333"}
    there = network_of(Vpc(lambda _name: None), tmp_path)
    monkeypatch.setattr(network, "network", lambda _ec2, **_: None)
    assert there.why_closed(NAMED, **where) == "the network may not be described"
    empty = described.topology(dict.fromkeys(described.CALLS, ()), account="111122223333", region="us-east-1")
    monkeypatch.setattr(network, "network", lambda _ec2, **_: empty)
    assert there.why_closed(NAMED, **where) == "subnet `subnet-1` does not exist"
    name = "bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com"
    assert there.why_closed(Host(endpoint_url=f"https://{name}"), **where) == f"`{name}` does not resolve"


def test_an_interrupted_calibration_takes_away_what_it_made(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []

    def remove(_planes: Any) -> list[Any]:
        removed.append("all")
        return []

    def stop(_asker: Any) -> Iterator[Any]:
        raise KeyboardInterrupt

    monkeypatch.setitem(EXPERIMENTS, "order", Experiment(run=stop))
    scratch_: Any = SimpleNamespace(make=lambda: None, remove=remove)
    calibration: Any = SimpleNamespace(
        _scratch=scratch_,
        _planes=SimpleNamespace(of=None),
        _notify=lambda _line: None,
        _await_rights=lambda: None,
        _done=lambda _name, row: row.run(None),
    )
    monkeypatch.setattr(calibrator, "EXPERIMENTS", {"order": EXPERIMENTS["order"]})
    with pytest.raises(KeyboardInterrupt):
        calibrator.Calibrator.run(calibration)
    assert removed == ["all"]


def test_a_run_leans_on_the_forms_it_sent_and_on_the_policies_that_denials_named() -> None:
    identity = f"{DENIED} because no identity-based policy allows the s3:GetObject action"
    session = f"{DENIED} with an explicit deny in a session policy"
    endpoint = f"{DENIED} with an explicit deny in a VPC endpoint policy"
    answers = {
        "PutObject": reply(412, "PreconditionFailed"),
        "GetObject": reply(403, "AccessDenied", identity),
        "HeadObject": reply(403, "AccessDenied", session),
        "ListObjectsV2": reply(403, "AccessDenied", endpoint),
        "GetObjectAttributes": reply(200),
    }
    outcomes = {Probe(cell=cell(name)): row.outcome for name, row in answers.items()}
    assert list(leant_on(outcomes)) == [
        "form/PutObject",
        "message/identity-implicit",
        "message/endpoint-explicit",
        "attributes/actions",
    ]
