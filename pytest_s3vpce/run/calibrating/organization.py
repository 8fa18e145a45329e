"""What a denial by a policy of the organization says: each denies one action on the scratch bucket, and goes again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import NOT_RUN, Finding
from pytest_s3vpce.run.calibrating.asking import Question, deny
from pytest_s3vpce.run.calibrating.measuring import denied, measured, seconds_until
from pytest_s3vpce.run.calibrating.policies import said
from pytest_s3vpce.vantage.control import FAULTS, words_of
from pytest_s3vpce.vantage.deployment import resource_name
from pytest_s3vpce.vantage.ledger import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.run.calibrating.asking import Asker
    from pytest_s3vpce.vantage import ControlPlane, Ledger

_SCP, _RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
_BY_SCP: Final = Question(operation="GetObjectAcl")
_BY_RCP: Final = Question(operation="GetBucketVersioning")
_IMPLICIT: Final = (
    f"{NOT_RUN}: needs FullAWSAccess to be taken from the account, which nobody should do to try this out"
)


class Management:
    """The management account of the scratch account's organization."""

    def __init__(
        self,
        control: ControlPlane,
        *,
        run_id: str,
        tags: Mapping[str, str],
        ledger: Ledger,
        notify: Callable[[str], None],
    ) -> None:
        self._control = control
        self._run_id = run_id
        self._tags = tags
        self._ledger = ledger
        self._notify = notify

    def attach(self, kind: str, statement: Mapping[str, Any], *, account: str) -> None:
        """A policy of this one statement, attached to an account."""
        client = self._control.client("organizations")
        name = resource_name(self._run_id, f"calibration-{kind.partition('_')[0].lower()}")
        self._notify(f"creating {Kind.ORGANIZATION_POLICY.value} {name}")
        where = {"account": self._control.account, "region": self._control.region}
        entry = self._ledger.creating(Kind.ORGANIZATION_POLICY, identifier=name, **where)
        made = client.create_policy(
            Name=name,
            Description="made by s3vpce calibrate",
            Type=kind,
            Content=json.dumps({"Version": "2012-10-17", "Statement": [dict(statement)]}),
            Tags=[{"Key": key, "Value": value} for key, value in self._tags.items()],
        )["Policy"]["PolicySummary"]["Id"]
        self._ledger.given(entry, made)
        client.attach_policy(PolicyId=made, TargetId=account)


def organizations(asker: Asker) -> Iterator[Finding]:
    """One service control policy and one resource control policy, attached to the scratch account alone."""
    scratch = asker.scratch
    by_scp = {**deny("s3:GetObjectAcl"), "Resource": scratch.arns}
    by_rcp = {**deny("s3:GetBucketVersioning"), "Principal": "*", "Resource": scratch.arns}
    samples: list[float] = []
    ids: list[str] = []
    rows = (("message/scp-explicit", _SCP, by_scp, _BY_SCP), ("message/rcp-explicit", _RCP, by_rcp, _BY_RCP))
    for rule, kind, statement, question in rows:
        try:
            asker.management.attach(kind, statement, account=scratch.account_id)
        except FAULTS as error:
            yield Finding(rule=rule, value=words_of(error))
            continue
        passed, reply = seconds_until(asker, question, met=denied)
        samples.append(passed)
        ids += reply.request_ids
        yield said(rule, reply)
    yield Finding(rule="message/scp-implicit", value=_IMPLICIT)
    measure = "propagation/organization-policy"
    yield measured(measure, samples, ids) if samples else Finding(rule=measure, value="no policy was attached")
