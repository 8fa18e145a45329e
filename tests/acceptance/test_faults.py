"""Whatever goes wrong between the runner and AWS: no wrong verdict, nothing left behind, one clear message."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import re
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.httpsession import URLLib3Session

from pytest_s3vpce.connection import Connection
from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.vantage import launch, ssm
from tests.acceptance import faulty
from tests.acceptance.faulty import Clock, Fault, Way
from tests.acceptance.test_kill import made
from tests.acceptance.test_kinds import Example, running

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from pytest_s3vpce.matrix import Matrix
    from tests.acceptance.conftest import Stage

WHOLE: Final = "as without the fault"
PAUSES: Final = 700.0
"""Seconds that a run may wait at one vantage point before it gives up."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, and what comes of it: what the cells that are lost say, and what can't be removed while it lasts."""

    id: str
    faults: Callable[[], list[Fault]]
    lost: str = WHOLE
    left: str = ""
    fast: bool = False
    """Whether it is among the few that every run of the tests takes."""


def always(operations: str, before: Any = None, *, after: Any = None, times: int | None = None) -> Any:
    return lambda: [Fault(only=operations, times=times, before=before, after=after)]


READS: Final = 4.0
"""Seconds that answers are waited for here, in place of a minute or more."""
SILENCE: Final = READS + 1.0
THROTTLED: Final = r"Rate exceeded.*in a minute"
BUT_INVOKE: Final = r"(?!lambda:Invoke).*"
"""An invoke whose answer is lost is not repeated: the function may have run."""
CREATE: Final = r"lambda:CreateFunction"
LOOK: Final = r"lambda:GetFunctionConfiguration"
INVOKE: Final = r"lambda:Invoke"
ASSUME: Final = r"sts:AssumeRole"
FRESH: Final = "The role defined for the function cannot be assumed by Lambda."
POWERLESS: Final = "The provided execution role does not have permissions to call CreateNetworkInterface on EC2"
"""https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html"""


def state(name: str, code: str, why: str) -> Any:
    """What GetFunctionConfiguration says of a function."""

    def changed(found: Any) -> Any:
        return {**found, "State": name, "StateReasonCode": code, "StateReason": why}

    return faulty.document(changed)


def answers(change: Callable[[list[Any]], list[Any]]) -> Any:
    """The agent's answers changed."""
    return faulty.document(
        lambda found: {**found, "answers": change(found["answers"])} if "answers" in found else found
    )


def of_another_batch(found: list[Any]) -> list[Any]:
    """Whole answers, in the form and number that are waited for."""
    return [{**row, "id": f"0123456789ab-{position}"} for position, row in enumerate(found)]


def stale(found: list[Any]) -> list[Any]:
    unsent: dict[str, Any] = {
        "status": None,
        "headers": [],
        "body": "",
        "failure": "stale",
        "detail": "signed too long ago",
    }
    return [{**row, **unsent} for row in found]


def ended(found: list[Any]) -> list[Any]:
    """What S3 answers to keys whose time is over. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
    body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    refused = {"status": 400, "failure": None, "body": base64.b64encode(body).decode()}
    return [{**row, **refused} for row in found]


def ending_soon(body: bytes) -> bytes:
    """Keys that end in a minute; botocore and the runner renew such before they sign."""
    end = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return re.sub(rb"<Expiration>[^<]*<", f"<Expiration>{end}<".encode(), body)


ROWS: Final = (
    # throttling and faults of AWS's own
    Row(id="every call throttled twice", faults=always(r".*", faulty.throttled, times=2), fast=True),
    Row(id="every call throttled", faults=always(r".*", faulty.throttled), lost=THROTTLED, fast=True),
    Row(
        id="lambda and iam throttled",
        faults=always(r"(lambda|iam):.*", faulty.throttled),
        lost=THROTTLED,
    ),
    Row(
        id="functions can be made, not removed",
        faults=always(r"lambda:DeleteFunction", faulty.throttled),
        left="Rate exceeded",
    ),
    Row(id="every call a 500 twice", faults=always(BUT_INVOKE, faulty.error("InternalError", status=500), times=2)),
    Row(
        id="every call a 503 twice", faults=always(BUT_INVOKE, faulty.error("ServiceUnavailable", status=503), times=2)
    ),
    Row(id="every call a 500", faults=always(r".*", faulty.error("InternalError", status=500)), lost="said by a test"),
    Row(
        id="invokes a 500",
        faults=always(INVOKE, faulty.error("ServiceException", status=500)),
        lost="Lambda itself failed",
    ),
    # what was made a moment ago
    Row(
        id="a role that Lambda does not know yet",
        faults=always(CREATE, faulty.error("InvalidParameterValueException", FRESH), times=3),
        fast=True,
    ),
    Row(
        id="a role that Lambda never knows",
        faults=always(CREATE, faulty.error("InvalidParameterValueException", FRESH)),
        lost="cannot be assumed",
    ),
    Row(
        id="a policy that Lambda does not know yet",
        faults=always(CREATE, faulty.error("InvalidParameterValueException", POWERLESS), times=3),
    ),
    Row(
        id="roles that can not be assumed at first",
        faults=always(ASSUME, faulty.error("AccessDenied", status=403), times=3),
        fast=True,
    ),
    Row(
        id="roles that can never be assumed",
        faults=always(ASSUME, faulty.error("AccessDenied", status=403)),
        lost="can't be assumed.*a minute later",
    ),
    # interfaces
    Row(id="a function pending long", faults=always(LOOK, after=state("Pending", "Creating", ""), times=30)),
    Row(
        id="a function pending for ever",
        faults=always(LOOK, after=state("Pending", "Creating", "The function is being created.")),
        lost="did not become active.*Creating",
    ),
    *(
        Row(id=f"a function failed for {code}", faults=always(LOOK, after=state("Failed", code, why)), lost=said)
        for code, why, said in (
            ("EniLimitExceeded", "limit", "EniLimitExceeded.*quota"),
            ("SubnetOutOfIPAddresses", "no address", "SubnetOutOfIPAddresses.*free addresses"),
            ("InsufficientRolePermissions", "rights", "InsufficientRolePermissions.*give the role"),
            ("InternalError", "", "InternalError.*Health"),
        )
    ),
    # a function that does not come to its end, or says nonsense
    Row(
        id="a function killed midway",
        faults=always(
            INVOKE, faulty.failed("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: killed")
        ),
        lost="signal: killed",
        fast=True,
    ),
    Row(
        id="a function timed out",
        faults=always(
            INVOKE, faulty.failed("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 90.00 seconds")
        ),
        lost="timed out after 90.00 seconds.*timeout is at least 90 s",
    ),
    Row(id="an answer broken off", faults=always(INVOKE, after=faulty.broken_off), lost="network", fast=True),
    Row(
        id="an answer cut off",
        faults=always(INVOKE, after=faulty.text(lambda body: body[: len(body) // 2])),
        lost="not JSON",
        fast=True,
    ),
    Row(id="an answer of nothing", faults=always(INVOKE, after=faulty.text(lambda _body: b"")), lost="not JSON"),
    Row(
        id="an answer of another program",
        faults=always(INVOKE, after=faulty.text(lambda _body: b"[1]")),
        lost="not an agent",
    ),
    Row(
        id="an answer too large",
        faults=always(
            INVOKE,
            faulty.failed(
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            ),
        ),
        lost="payload size",
    ),
    Row(
        id="a request too large",
        faults=always(INVOKE, faulty.error("RequestTooLargeException", status=413)),
        lost="too large",
    ),
    Row(
        id="an answer missing",
        faults=always(INVOKE, after=answers(lambda found: found[:-1])),
        lost="did not answer each",
    ),
    Row(
        id="an answer twice",
        faults=always(INVOKE, after=answers(lambda found: [*found, found[0]])),
        lost="did not answer each",
        fast=True,
    ),
    Row(
        id="answers without ids",
        faults=always(INVOKE, after=answers(lambda found: [{**row, "id": None} for row in found])),
        lost="did not answer each",
    ),
    Row(
        id="answers of other requests",
        faults=always(INVOKE, after=answers(lambda found: [{**row, "id": "x"} for row in found])),
        lost="did not answer each",
    ),
    Row(
        id="answers of another batch",
        faults=always(INVOKE, after=answers(of_another_batch)),
        lost="did not answer each",
    ),
    Row(id="signatures stale once", faults=always(INVOKE, after=answers(stale), times=1)),
    Row(id="signatures always stale", faults=always(INVOKE, after=answers(stale)), lost="stale|signed too long ago"),
    # credentials that end while the run goes on
    Row(id="keys that end soon", faults=always(ASSUME, after=faulty.text(ending_soon))),
    Row(
        id="keys that have ended",
        faults=always(r"lambda:.*", faulty.error("ExpiredTokenException", status=403)),
        lost="ExpiredTokenException.*renew them",
    ),
    Row(
        id="keys that S3 takes for ended once",
        faults=always(INVOKE, after=answers(ended), times=2),
        lost="expired|ExpiredToken",
    ),
    Row(
        id="keys that S3 takes for ended",
        faults=always(INVOKE, after=answers(ended)),
        lost="expired|ExpiredToken",
        fast=True,
    ),
    # the network between here and AWS
    Row(id="every call unanswered once", faults=always(BUT_INVOKE, faulty.silent(SILENCE), times=1)),
    Row(
        id="creations done and never told",
        faults=always(r".*:Create.*", after=faulty.never_told(SILENCE), times=1),
    ),
    Row(id="invokes unanswered", faults=always(INVOKE, faulty.silent(SILENCE)), lost="network"),
    Row(id="every call unanswered", faults=always(r".*", faulty.silent(SILENCE)), lost="network"),
    Row(id="every connection lost twice", faults=always(BUT_INVOKE, faulty.lost, times=2)),
    Row(id="every answer lost", faults=always(r".*", after=faulty.answer_lost), lost="network"),
    Row(
        id="creations done, their answers lost",
        faults=always(r".*:Create.*", after=faulty.answer_lost, times=1),
        fast=True,
    ),
    Row(
        id="creations done, their answers 500",
        faults=always(
            r".*:Create.*", after=lambda call, _reply: faulty.error("InternalError", status=500)(call), times=1
        ),
    ),
    Row(
        id="creations done, their answers always lost",
        faults=always(r".*:Create.*", after=faulty.answer_lost),
        lost="can't be created.*network",
    ),
    Row(id="invokes done, their answers lost", faults=always(INVOKE, after=faulty.answer_lost), lost="network"),
    Row(id="removals done, their answers lost", faults=always(r".*:Delete.*", after=faulty.answer_lost, times=1)),
    Row(id="control plane lost when it ends", faults=always(r".*:Delete.*", faulty.lost), left="Connection was closed"),
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    found.shorten(monkeypatch)
    return found


@pytest.fixture(autouse=True)
def hasty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command is waited for long, and no answer where there is none."""
    monkeypatch.setattr(ssm, "_UNKNOWN_SECONDS", 3)
    monkeypatch.setattr(launch, "_ONLINE_SECONDS", 3)
    row = getattr(request.node, "callspec", SimpleNamespace(params={})).params.get("row")
    if row is None or not re.search("unanswered|never told", row.id):
        return
    whole = URLLib3Session.__init__

    def hastily(self: URLLib3Session, *arguments: Any, **named: Any) -> None:
        whole(self, *arguments, **{**named, "timeout": (READS, READS)})

    monkeypatch.setattr(URLLib3Session, "__init__", hastily)


@pytest.fixture(scope="module")
def way(stage: Stage) -> Iterator[Way]:
    found = Way(stage.ready["endpoint_url"])
    yield found
    found.stop()


class Faulty:
    """A run of the example whose control plane is reached by the faulty way; everything is made anew for it."""

    def __init__(self, stage: Stage, way: Way, root: Path) -> None:
        self._stage = stage
        self.way = way
        connection = replace(stage.environment.connection, endpoint_url=way.url, pauses=Connection().pauses)
        self.said: list[str] = []
        folder = RunFolder.create(root)
        self.run_id = folder.run_id
        self.operator = Operator(
            stage.inventory,
            replace(stage.environment, connection=connection),
            folder,
            notify=self.said.append,
            strict=False,
        )

    def run(self, faults: list[Fault], *, only: Collection[str] = ()) -> Matrix:
        plan = self._stage.plan
        self.way.faults = faults
        return self.operator.run(plan, set(only) or {*(row.id for row in plan.cells), *(row.id for row in plan.claims)})

    def sweep(self) -> list[str]:
        return [str(row) for row in self.operator.sweep()]


@pytest.fixture
def run_of(way: Way, tmp_path: Path) -> Iterator[Callable[[Stage], Faulty]]:
    """The faulty run of a stage, and what it leaves removed."""
    runs: list[Faulty] = []

    def made_for(stage: Stage) -> Faulty:
        way.faults = ()
        way.calls.clear()
        runs.append(Faulty(stage, way, tmp_path))
        return runs[-1]

    yield made_for
    way.faults = ()
    for found in runs:
        found.sweep()


@pytest.fixture
def run(stage: Stage, run_of: Callable[[Stage], Faulty]) -> Faulty:
    return run_of(stage)


@pytest.fixture(scope="module")
def truth(stage: Stage, way: Way, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """What a run without faults says."""
    faultless = Faulty(stage, way, tmp_path_factory.mktemp("truth"))
    found = faultless.run([])
    assert faultless.sweep() == []
    assert {row.verdict.value for row in found.claims} == {"proven"}
    assert {row.passed for row in found.cells} == {True}
    return found


def lost_cells(found: Matrix, truth: Matrix) -> list[str]:
    """The reasons of the cells without an answer; every other cell and claim is as it truly is."""
    reasons = []
    whole = {cell.id: cell for cell in truth.cells}
    for cell in found.cells:
        true = whole[cell.id]
        if cell.counted.outcome.value == "inconclusive":
            assert not cell.passed
            reasons.append(cell.counted.reason)
        else:
            assert (cell.counted.outcome, cell.passed) == (true.counted.outcome, true.passed), cell
    for claim, proven in zip(found.claims, truth.claims, strict=len(found.cells) == len(whole)):
        assert claim.verdict.value == "inconclusive" or claim.verdict == proven.verdict, claim
    assert not reasons or not found.claims or {row.verdict.value for row in found.claims} >= {"inconclusive"}
    return reasons


def check_message(text: str, wanted: str) -> None:
    assert re.search(wanted, text), text
    assert "Traceback" not in text
    assert "\n" not in text
    assert len(text) < 700, text


TAKEN: Final = [row for row in ROWS if row.fast or os.environ.get("S3VPCE_SOAK")]


def check(row: Row, run: Faulty, truth: Matrix, clock: Clock, *, only: Collection[str] = ()) -> None:
    """The row's run: what it says, and what can be removed while the fault lasts and after it."""
    faults = row.faults()
    try:
        found = run.run(faults, only=only)
    except S3VpceError as error:
        reasons = [str(error)]
    else:
        reasons = lost_cells(found, truth)
    left = run.sweep()
    assert any(fault.seen for fault in faults)
    assert clock.paused < PAUSES
    assert bool(reasons) is (row.lost != WHOLE), reasons
    for reason in reasons:
        check_message(reason, row.lost)
    assert bool(left) is bool(row.left), left
    for line in left:
        check_message(line, row.left)
    run.way.faults = ()
    assert run.sweep() == []


@pytest.mark.parametrize("row", TAKEN, ids=[row.id.replace(" ", "-") for row in TAKEN])
def test_no_wrong_verdict_and_nothing_left(row: Row, run: Faulty, truth: Matrix, stage: Stage, clock: Clock) -> None:
    check(row, run, truth, clock)
    assert [name for name in made(stage) if run.run_id in name] == []


# --- each call of the runner ------------------------------------------------------------------------------------------

CALLS: Final = (
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:PutRolePolicy",
    "lambda:CreateFunction",
    "lambda:DeleteFunction",
    "lambda:GetFunctionConfiguration",
    "lambda:Invoke",
    "organizations:DescribeOrganization",
    "s3:GetBucketPolicy",
    "sts:AssumeRole",
    "sts:GetCallerIdentity",
)
"""All that a run of the example asks of control planes."""
WAYS_TO_FAIL: Final = {
    "throttled": faulty.throttled,
    "a 500": faulty.error("InternalError", status=500),
    "refused": faulty.error("AccessDenied", "no", status=403),
    "lost": faulty.lost,
}


def test_each_call_of_the_runners_has_its_rows(run: Faulty) -> None:
    run.run([])
    run.sweep()
    found = {f"{call.service}:{call.operation}" for call in run.way.calls}
    assert found - set(CALLS) == set()
    assert set(CALLS) - found == set()


@pytest.mark.skipif(not os.environ.get("S3VPCE_SOAK"), reason="each call fails in each way in `make soak`")
@pytest.mark.parametrize(("call", "failing"), [(call, failing) for call in CALLS for failing in WAYS_TO_FAIL])
@pytest.mark.usefixtures("clock")
def test_one_call_that_always_fails(call: str, failing: str, run: Faulty, truth: Matrix, stage: Stage) -> None:
    fault = Fault(only=re.escape(call), before=WAYS_TO_FAIL[failing])
    try:
        found = run.run([fault])
    except S3VpceError as error:
        reasons = [str(error)]
    else:
        reasons = lost_cells(found, truth)
    left = run.sweep()
    assert fault.seen
    for line in (*reasons, *left):
        check_message(line, r"\w")
    run.way.faults = ()
    assert run.sweep() == []
    assert [name for name in made(stage) if run.run_id in name] == []


# --- instances, by SSM ------------------------------------------------------------------------------------------------

SEND: Final = r"ssm:SendCommand"
FOLLOW: Final = r"ssm:GetCommandInvocation"
KNOWN: Final = r"ssm:DescribeInstanceInformation"


def became(status: str, details: str, code: int, *, said: str = "") -> Any:
    """What SSM says of a command. https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html"""

    def changed(found: Any) -> Any:
        ended = {"Status": status, "StatusDetails": details, "ResponseCode": code, "StandardErrorContent": said}
        return {**found, **ended, "StandardOutputContent": ""}

    return faulty.document(changed)


def cut(characters: int) -> Any:
    return faulty.document(
        lambda found: {**found, "StandardOutputContent": found.get("StandardOutputContent", "")[:characters]}
    )


def known(**facts: str) -> Any:
    return faulty.document(
        lambda found: {"InstanceInformationList": [{**row, **facts} for row in found["InstanceInformationList"]]}
    )


nobody: Final = faulty.document(lambda _found: {"InstanceInformationList": []})

BY_SSM: Final = (
    Row(id="output at its limit", faults=always(FOLLOW, after=cut(24_000))),
    Row(id="output cut short", faults=always(FOLLOW, after=cut(500)), lost="cut off|not all", fast=True),
    Row(id="output lost", faults=always(FOLLOW, after=cut(0)), lost="no answer|printed no"),
    Row(id="commands throttled", faults=always(r"ssm:.*", faulty.throttled, times=2), fast=True),
    Row(id="commands always throttled", faults=always(r"ssm:.*", faulty.throttled), lost=THROTTLED),
    Row(
        id="commands not known at first",
        faults=always(FOLLOW, faulty.error("InvocationDoesNotExist"), times=4),
    ),
    Row(id="commands never known", faults=always(FOLLOW, faulty.error("InvocationDoesNotExist")), lost="DoesNotExist"),
    Row(
        id="commands undeliverable",
        faults=always(FOLLOW, after=became("Failed", "Undeliverable", -1)),
        lost="can't be delivered.*ssmmessages",
    ),
    Row(
        id="commands not delivered in time",
        faults=always(FOLLOW, after=became("TimedOut", "DeliveryTimedOut", -1)),
        lost="not delivered.*ssmmessages",
    ),
    Row(
        id="commands not done in time",
        faults=always(FOLLOW, after=became("TimedOut", "ExecutionTimedOut", -1)),
        lost="come to its end in time",
    ),
    Row(
        id="no python",
        faults=always(FOLLOW, after=became("Failed", "Failed", 127, said="there is no python3")),
        lost="there is no python3.*install Python",
    ),
    Row(id="an agent offline", faults=always(KNOWN, after=known(PingStatus="ConnectionLost")), lost="ssmmessages"),
    Row(id="windows", faults=always(KNOWN, after=known(PlatformType="Windows")), lost="Windows.*not supported"),
    Row(id="commands sent, their answers lost", faults=always(SEND, after=faulty.answer_lost), lost="network"),
    Row(id="what became of commands lost twice", faults=always(FOLLOW, after=faulty.answer_lost, times=2)),
    Row(id="what became of commands always lost", faults=always(FOLLOW, after=faulty.answer_lost), lost="network"),
    Row(id="keys that SSM takes for ended", faults=always(FOLLOW, faulty.error("ExpiredTokenException")), lost="renew"),
    Row(id="credentials without rights", faults=always(SEND, faulty.error("AccessDeniedException")), lost="give"),
)


RUN: Final = r"ec2:RunInstances"
UNKNOWN: Final = "Value (probe) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
"""https://github.com/aws/aws-sdk-js-v3/issues/5253"""
LAUNCHED: Final = (
    Row(
        id="a profile that EC2 does not know yet",
        faults=always(RUN, faulty.error("InvalidParameterValue", UNKNOWN), times=3),
        fast=True,
    ),
    Row(
        id="a profile that EC2 never knows",
        faults=always(RUN, faulty.error("InvalidParameterValue", UNKNOWN)),
        lost="can't be started.*did not know instance profile `probe`",
    ),
    Row(id="ec2 throttled", faults=always(r"ec2:.*", faulty.throttled, times=2)),
    Row(id="ec2 always throttled", faults=always(RUN, faulty.throttled), lost=THROTTLED),
    Row(id="no capacity", faults=always(RUN, faulty.error("InsufficientInstanceCapacity", status=500)), lost="subnet"),
    Row(id="instances started, their answers lost", faults=always(RUN, after=faulty.answer_lost, times=1)),
    Row(
        id="instances started, their answers always lost", faults=always(RUN, after=faulty.answer_lost), lost="network"
    ),
    Row(
        id="instances can be started, not ended",
        faults=always(r"ec2:TerminateInstances", faulty.throttled),
        left="Rate exceeded",
    ),
    Row(
        id="an instance that is not there when it connects",
        faults=always(r"ec2:DescribeInstances", faulty.error("InvalidInstanceID.NotFound"), times=2),
    ),
    Row(id="connects late", faults=always(KNOWN, after=nobody, times=4)),
    Row(id="never connects", faults=always(KNOWN, after=nobody), lost="did not connect to SSM.*ssmmessages"),
)


@pytest.fixture(scope="module")
def profile(stage: Stage) -> str:
    """An instance profile as SSM wants it."""
    iam = stage.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="probe", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    iam.attach_role_policy(RoleName="probe", PolicyArn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore")
    iam.create_instance_profile(InstanceProfileName="probe")
    iam.add_role_to_instance_profile(InstanceProfileName="probe", RoleName="probe")
    return "probe"


def with_instance(stage: Stage, folder: Path, point: str) -> Stage:
    """The example with an instance in place of the function of `app-subnet`."""
    example = Example(stage, folder, {"app-subnet": f"{{ec2: {{{point}}}}}"})
    return replace(stage, inventory=example.inventory, plan=example.plan, root=folder, _operator=None)


@pytest.fixture(scope="module")
def by_ssm(stage: Stage, profile: str, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    made = stage.client("ec2").run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        SubnetId=stage.outputs["AppSubnet"],
        SecurityGroupIds=[stage.outputs["ProbeGroup"]],
        IamInstanceProfile={"Name": profile},
    )
    return with_instance(stage, tmp_path_factory.mktemp("by-ssm"), f"instance: {made['Instances'][0]['InstanceId']}")


@pytest.fixture(scope="module")
def launched(stage: Stage, profile: str, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    point = f'subnet: "${{out:AppSubnet}}", security_groups: ["${{out:ProbeGroup}}"], profile: {profile}'
    return with_instance(stage, tmp_path_factory.mktemp("launched"), point)


BY_SSM_TAKEN: Final = [row for row in BY_SSM if row.fast or os.environ.get("S3VPCE_SOAK")]
LAUNCHED_TAKEN: Final = [row for row in LAUNCHED if row.fast or os.environ.get("S3VPCE_SOAK")]


@pytest.mark.parametrize("row", BY_SSM_TAKEN, ids=[row.id.replace(" ", "-") for row in BY_SSM_TAKEN])
def test_no_wrong_verdict_by_ssm(
    row: Row, by_ssm: Stage, run_of: Callable[[Stage], Faulty], truth: Matrix, clock: Clock
) -> None:
    check(row, run_of(by_ssm), truth, clock, only=of_instance(by_ssm))


@pytest.mark.parametrize("row", LAUNCHED_TAKEN, ids=[row.id.replace(" ", "-") for row in LAUNCHED_TAKEN])
def test_no_wrong_verdict_and_nothing_left_of_an_instance_that_is_started(
    row: Row, launched: Stage, run_of: Callable[[Stage], Faulty], truth: Matrix, clock: Clock
) -> None:
    check(row, run_of(launched), truth, clock, only=of_instance(launched))
    assert [found["InstanceId"] for found in running(launched)] == []


def of_instance(stage: Stage) -> set[str]:
    return {row.id for row in stage.plan.cells if row.id.split(":")[1].startswith("app-subnet")}
