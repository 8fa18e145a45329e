"""What denials say to another account of the bucket's organization: by an endpoint's policy, by the bucket's own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import NOT_RUN, Finding
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.run.calibrating.asking import Question, allow, deny
from pytest_s3vpce.run.calibrating.measuring import denied, seconds_until
from pytest_s3vpce.run.calibrating.policies import said
from pytest_s3vpce.run.calibrating.scratch import ALL, document
from pytest_s3vpce.vantage.control import FAULTS, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.run.calibrating.asking import Asker
    from pytest_s3vpce.run.calibrating.scratch import Scratch
    from pytest_s3vpce.vantage import ControlPlane

_LET: Final = ("s3:GetObject", "s3:GetObjectTagging")
_ACROSS, _IMPLICIT = "message/endpoint-across-accounts", "message/resource-implicit"


class Partner:
    """The other account: it owns a bucket that it lets the calibration's role read."""

    def __init__(self, control: ControlPlane, *, account_id: str) -> None:
        self._control = control
        self.account_id = account_id

    def in_one_organization(self, scratch: Scratch) -> bool:
        """Whether both are known to be; who may not ask is not known to be."""
        try:
            found = {_organization(self._control), _organization(scratch.control)}
        except FAULTS:
            return False
        return len(found) == 1

    def make_bucket(self, scratch: Scratch) -> str:
        """In the scratch bucket's Region, whose endpoint leads to it."""
        name = scratch.bucket_of(self.account_id)
        reader = {"Principal": {"AWS": scratch.role_arn(ALL)}, "Resource": scratch.arns_of(name)}
        try:
            client = scratch.make_bucket(name, scratch.region, control=self._control)
            client.put_bucket_policy(Bucket=name, Policy=document({**allow(*_LET), **reader}))
        except FAULTS as error:
            raise RunError(
                f"a calibration can't make a bucket in `{self._control.account}`: {words_of(error)}",
                remedy="leave --partner out",
            ) from error
        return name


def _organization(control: ControlPlane) -> Any:
    return control.client("organizations").describe_organization()["Organization"]["Id"]


def other_accounts(asker: Asker) -> Iterator[Finding]:
    """By an endpoint whose policy denies one action; and where the bucket's policy says nothing."""
    if not asker.partner.in_one_organization(asker.scratch):
        why = f"{NOT_RUN}: needs --partner an account that is seen to be of the same organization"
        yield from (Finding(rule=rule, value=why) for rule in (_ACROSS, _IMPLICIT))
        return
    bucket = asker.partner.make_bucket(asker.scratch)
    host = asker.network.make_endpoint(asker.network.region)
    everything = {**allow("s3:*"), "Principal": "*"}
    asker.network.set_policy(document(everything, {**deny("s3:GetObjectTagging"), "Principal": "*"}))
    question = partial(Question, host=host, bucket=bucket, owner=asker.partner.account_id)
    _, reached = seconds_until(asker, question(operation="GetObject"))
    _, across = seconds_until(asker, question(operation="GetObjectTagging"), met=denied)
    (implicit,) = asker.ask([question(operation="GetObjectAcl")])
    for rule, reply in ((_ACROSS, across), (_IMPLICIT, implicit)):
        yield said(rule, reply) if reached.outcome.allowed else Finding(rule=rule, value=f"not reached: {reached.code}")
