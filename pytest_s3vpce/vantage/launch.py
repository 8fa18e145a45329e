"""A small EC2 instance made for the run: started where the user says, awaited until SSM has it, terminated with it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping  # noqa: TC003 - a field's type
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.vantage import marks, reasons
from pytest_s3vpce.vantage.base import silent
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.deployment import resource_name
from pytest_s3vpce.vantage.ec2 import Ec2Vantage
from pytest_s3vpce.vantage.freshness import SECONDS, is_unknown, when_known
from pytest_s3vpce.vantage.ledger import Kind
from pytest_s3vpce.vantage.removal import MARK, strike
from pytest_s3vpce.vantage.ssm import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.vantage.base import AgentConfig, Limits
    from pytest_s3vpce.vantage.control import ControlPlane
    from pytest_s3vpce.vantage.ledger import Entry, Ledger

_ARM: Final = re.compile(r"[a-z]+\d+g[a-z]*\.")
_PARAMETER: Final = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
"""https://docs.aws.amazon.com/linux/al2023/ug/ec2.html"""
SMALLEST: Final = "t4g.nano"
_LIFE_MINUTES: Final = 180
# Whatever becomes of the run, the instance ends itself: a shutdown terminates it.
_USER_DATA: Final = f"#!/bin/sh\nshutdown -h +{_LIFE_MINUTES}\n"
_ONLINE_SECONDS: Final = 300
_PAUSE: Final = 3.0
_REMEDIES: Final = {
    "UnauthorizedOperation": "give the account's credentials ec2:RunInstances, ec2:CreateTags, ec2:DescribeInstances, "
    "ec2:TerminateInstances and iam:PassRole on the profile's role",
    "InsufficientInstanceCapacity": "name another `type`, or a subnet in another zone",
    "Unsupported": "name another `type`, or a subnet in another zone",
    "VcpuLimitExceeded": "raise the account's quota, or name another `type`",
    "InsufficientFreeAddressesInSubnet": "free addresses, or name another subnet",
    "InvalidSubnetID.NotFound": "name a subnet of the account and the Region",
    "InvalidGroup.NotFound": "name security groups of the subnet's VPC",
    "InvalidAMIID.NotFound": "name an `image` of the Region, with the SSM agent and Python",
    "InvalidParameterValue": "check what the inventory says of it, the account and the Region",
    "InvalidParameterCombination": "name an `image` that fits the `type`",
}


def image_parameter(image: str | None, *, type: str | None = None) -> str | None:  # noqa: A002 - as EC2 calls it
    """The public parameter that says which image is the newest; None where one is named."""
    architecture = "arm64" if _ARM.match(type or SMALLEST) else "x86_64"
    return _PARAMETER.format(architecture) if image is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Where the instance stands, and as what. The profile is the user's, as subnet and groups are."""

    subnet: str
    security_groups: tuple[str, ...]
    profile: str
    image: str | None = None
    type: str = SMALLEST
    tags: Mapping[str, str] = field(default_factory=dict)


class LaunchedEc2Vantage(Ec2Vantage):
    """An instance started for the run, in the given subnet and with the given profile, and terminated with it."""

    def __init__(
        self,
        name: str,
        *,
        control: ControlPlane,
        launch: Launch,
        run_id: str,
        ledger: Ledger,
        config: AgentConfig | None = None,
        limits: Limits | None = None,
        connect_to: Sequence[str] = (),
        place: Place | None = None,
    ) -> None:
        super().__init__(
            name, control=control, instance="", config=config, limits=limits, connect_to=connect_to, place=place
        )
        self._launch = launch
        self._ledger = ledger
        self._run_id = run_id
        self._name = resource_name(run_id, name)
        self._entry: Entry | None = None

    def prepare(self, *, notify: Callable[[str], None] = silent) -> None:
        notify(f"starting instance {self._name}")
        self.instance = self._commands.instance = self._started(notify)
        self._await_online(notify)
        super().prepare(notify=notify)

    def remove(self, *, notify: Callable[[str], None] = silent) -> None:
        if self._entry is not None:
            notify(f"removing {self._entry}")
            reason = strike(self._ledger, self._entry, self._control)
            if reason is None:
                self._entry = None
            else:
                notify(f"kept {self._entry}: {reason}")

    def _started(self, notify: Callable[[str], None]) -> str:
        """The id of the instance; its profile may have been made a moment ago."""
        self._entry = entry = self._ledger.creating(
            Kind.EC2_INSTANCE, account=self._control.account, region=self._control.region, identifier=self._name
        )
        try:
            run = partial(self._control.client("ec2").run_instances, **self._arguments(self._control.owner))
            known = f"instance profile {self._launch.profile}"
            answer = when_known(run, what=known, notify=notify, pause=self._control.pause)
        except VantageError:  # told to end just after a refusal
            self._strike(entry)
            raise
        except FAULTS as error:
            if (
                isinstance(error, ClientError)
                and error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500
            ):
                self._strike(entry)
            raise self.error(
                f"instance `{self._name}` can't be started: {words_of(error)}", remedy=self._remedy(error)
            ) from error
        instance = str(answer["Instances"][0]["InstanceId"])
        self._entry = self._ledger.given(entry, instance)
        return instance

    def _strike(self, entry: Entry) -> None:
        """Nothing was started."""
        self._ledger.removed(entry)
        self._entry = None

    def _remedy(self, error: Exception) -> str:
        if is_unknown(error):
            return (
                f"EC2 did not know instance profile `{self._launch.profile}`, or a role in it, for {SECONDS} s: "
                "check its name and the account"
            )
        code = code_of(error)
        return _REMEDIES.get(code) or reasons.remedy(code, otherwise="check what the inventory says of it")

    def _arguments(self, owner: str) -> dict[str, Any]:
        launch = self._launch
        ours = {"Name": self._name, MARK: self._name, **marks.of_run(self._run_id, owner=owner)}
        tags = [{"Key": key, "Value": value} for key, value in {**launch.tags, **ours}.items()]
        parameter = image_parameter(launch.image, type=launch.type)
        return {
            "ImageId": f"resolve:ssm:{parameter}" if parameter else launch.image,
            "InstanceType": launch.type,
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": self._name,
            "SubnetId": launch.subnet,
            "SecurityGroupIds": list(launch.security_groups),
            "IamInstanceProfile": {"Arn" if launch.profile.startswith("arn:") else "Name": launch.profile},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required"},
            "UserData": _USER_DATA,
            "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        }

    def _await_online(self, notify: Callable[[str], None]) -> None:
        notify(f"waiting for instance {self.instance} to connect to SSM")
        end = time.monotonic() + _ONLINE_SECONDS
        while not self._commands.online():
            self._check_alive()
            if time.monotonic() > end:
                raise self.error(
                    f"instance `{self.instance}` did not connect to SSM within {_ONLINE_SECONDS} s", remedy=ENDPOINTS
                )
            self._control.pause(_PAUSE)

    def _check_alive(self) -> None:
        """VantageError with EC2's reason if the instance has ended; one that EC2 does not show yet is alive."""
        try:
            answer = self._control.client("ec2").describe_instances(InstanceIds=[self.instance])
        except FAULTS:
            return
        for row in (row for group in answer["Reservations"] for row in group["Instances"]):
            if row["State"]["Name"] not in ("pending", "running"):
                said = row.get("StateReason", {}).get("Message") or row["State"]["Name"]
                raise self.error(
                    f"instance `{self.instance}` ended before it could be used: {said}",
                    remedy="see its state reason in the console; quotas and encrypted images are usual ones",
                )
