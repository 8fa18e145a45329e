"""Asking S3 as one of a calibration's roles: requests as runs send them, from this machine, each batch at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.model import Cell, OutcomeKind, Target, Transport
from pytest_s3vpce.operations import Form, operation
from pytest_s3vpce.outcome import classify
from pytest_s3vpce.probe import Credentials, Destination, Host, Probe
from pytest_s3vpce.run.calibrating.scratch import ALL, KEY
from pytest_s3vpce.run.canaries import BODY
from pytest_s3vpce.run.objects import is_s3s

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pytest_s3vpce.model import Answer, Outcome, SignedRequest
    from pytest_s3vpce.presigning import Presign
    from pytest_s3vpce.probe import ProbeBuilder
    from pytest_s3vpce.run.calibrating.network import Network
    from pytest_s3vpce.run.calibrating.organization import Management
    from pytest_s3vpce.run.calibrating.partner import Partner
    from pytest_s3vpce.run.calibrating.scratch import Scratch
    from pytest_s3vpce.vantage import Vantage

PLAIN: Final = Form(documented=True, source="https://docs.aws.amazon.com/AmazonS3/latest/API/")
"""The operation as it is."""
NAMED: Final = Host()
"""S3's own name in the Region."""
ABSENT: Final = f"{KEY}.absent"
_WORKERS: Final = 8


def allow(*actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"}


def deny(action: str, condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    found = {**allow(action), "Effect": "Deny"}
    return {**found, "Condition": condition} if condition else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request: an operation, in its safe form unless another is given, by a session of a role."""

    operation: str
    statements: tuple[dict[str, Any], ...] = ()
    """The session's policy; none is the role as it is."""
    role: str = ALL
    form: Form | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    presign: Presign | None = None
    host: Host = NAMED
    transport: Transport = Transport.HTTPS
    region: str = ""
    """Where it is sent and what it is signed for, if not the scratch bucket's Region."""
    bucket: str = ""
    """Another one than the scratch bucket."""
    owner: str = ""
    """Of that bucket, if it is another account's."""
    body: bytes | None = None
    """What takes the body's place once the request is signed."""

    def by(self, *statements: dict[str, Any]) -> Question:
        """The same by another session of the role."""
        return replace(self, statements=statements)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    answer: Answer
    outcome: Outcome

    @property
    def code(self) -> str:
        """Status and code, as forms list them; or how there came no answer."""
        shown = self.answer.status if self.answer.failure is None else self.answer.failure.value
        return f"{shown} {self.outcome.code}" if self.outcome.code else str(shown)

    @property
    def answered(self) -> bool:
        """Whether S3 said yes or no."""
        return self.outcome.allowed or self.outcome.denied

    @property
    def request_ids(self) -> tuple[str, ...]:
        return (self.answer.request_id,) if self.answer.request_id else ()


def heard(answer: Answer, *, operation: str | None = None, authorised: Collection[str] = ()) -> Reply:
    """What S3 said; what something in between did is neither a yes nor a no."""
    outcome = classify(answer, operation=operation, authorised=authorised)
    if answer.failure is None and not is_s3s(answer):
        outcome = replace(outcome, kind=OutcomeKind.INCONCLUSIVE, reason="it carries no request id of S3's")
    return Reply(answer, outcome)


class Asker:
    """Signs and sends."""

    def __init__(
        self,
        scratch: Scratch,
        vantage: Vantage,
        builder: ProbeBuilder,
        *,
        network: Network | None = None,
        management: Management | None = None,
        partner: Partner | None = None,
        far: str = "",
    ) -> None:
        self.scratch = scratch
        self.far = far
        """Another Region, for what takes one."""
        self._network = network
        self._management = management
        self._partner = partner
        self._vantage = vantage
        self._builder = builder
        self._learnt: dict[str, str] = {}

    @property
    def network(self) -> Network:
        """Where it stands, if that is inside of a VPC."""
        assert self._network is not None
        return self._network

    @property
    def management(self) -> Management:
        """The organization's, if one is given."""
        assert self._management is not None
        return self._management

    @property
    def partner(self) -> Partner:
        """The other account, if one is given."""
        assert self._partner is not None
        return self._partner

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        """The replies, in the order of the questions."""
        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                keys = list(pool.map(lambda row: _keys(self.scratch.session(row.role, *row.statements)), questions))
            except KeyboardInterrupt:
                self.scratch.control.end()  # nobody waits for roles any longer: they are to be removed
                raise
        batch = [
            self._signed(row, credentials, request_id=f"c{number}")
            for number, (row, credentials) in enumerate(zip(questions, keys, strict=True))
        ]
        answers = self._vantage.send(batch)
        return [self._reply(row, answer) for row, answer in zip(questions, answers, strict=True)]

    def learn(self, operation: str, answer: str) -> None:
        """From now on this answer of an operation's means that the caller was authorised."""
        self._learnt[operation] = answer

    def _reply(self, question: Question, answer: Answer) -> Reply:
        row = operation(question.operation)
        form = question.form or row.safe
        known = [*(form.authorised if form else ()), self._learnt.get(row.name, "")]
        return heard(answer, operation=row.api_name, authorised=known)

    def _signed(self, row: Question, credentials: Credentials, *, request_id: str) -> SignedRequest:
        made = self._builder.build(
            Probe(cell=_cell(row)),
            request_id=request_id,
            destination=self._destination(row),
            credentials=credentials,
            presign=row.presign,
            form=row.form,
        )
        # A body in S3's own chunks is sent whole: the agent tells its length.
        headers = tuple(pair for pair in made.headers if pair[0].lower() != "transfer-encoding")
        return replace(made, headers=headers, body=made.body if row.body is None else row.body)

    def _destination(self, row: Question) -> Destination:
        return Destination(
            bucket=row.bucket or self.scratch.bucket,
            owner=row.owner or self.scratch.account_id,
            region=row.region or self.scratch.region,
            host=row.host,
            key=KEY,
            canary_body=BODY,
            absent_key=ABSENT,
            canary_version=self.scratch.version,
        )


def _cell(question: Question) -> Cell:
    row = operation(question.operation)
    return Cell(
        operation=row.name,
        action=row.default_of or row.actions[0],
        target=Target(bucket="calibration"),
        principal=question.role,
        vantage="here",
        parameters=question.parameters,
        transport=question.transport,
        inferred=True,
    )


def _keys(found: Mapping[str, Any]) -> Credentials:
    return Credentials(
        access_key_id=found["AccessKeyId"],
        secret_access_key=found["SecretAccessKey"],
        session_token=found["SessionToken"],
    )
