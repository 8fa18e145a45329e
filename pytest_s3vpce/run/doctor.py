"""What stands in the way of a run: an inventory's accounts, principals, places and buckets, looked at, not probed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from tabulate import tabulate

from pytest_s3vpce.accounts import SessionKind
from pytest_s3vpce.errors import S3VpceError, VantageError
from pytest_s3vpce.escaping import escaped
from pytest_s3vpce.evidence.sources import NOTHING
from pytest_s3vpce.run.evidencing import source_at
from pytest_s3vpce.run.keeping import kept_point
from pytest_s3vpce.run.planes import Planes, world_of
from pytest_s3vpce.run.world import CONTROL
from pytest_s3vpce.vantage import reasons
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.placing import Wanted, look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.points import Ec2, Lambda
    from pytest_s3vpce.run.environment import Environment

_WORKERS: Final = 8
_SKEW: Final = 300
"""Seconds; S3 refuses requests whose clock is 15 minutes off, and a third of that is a warning in time.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (RequestTimeTooSkewed)"""
_RUNNING: Final = "running"


class State(StrEnum):
    """Of one thing that a run needs."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    """It can't be told from here, which is no fault by itself."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing, what was found of it, and what would be right where it is a problem."""

    subject: str
    state: State
    found: str
    remedy: str = ""

    @property
    def in_the_way(self) -> bool:
        return self.state is State.PROBLEM

    @property
    def words(self) -> str:
        """What was found, and the remedy, safe for a terminal."""
        return escaped(f"{self.found}; {self.remedy}" if self.remedy else self.found)


def examine(inventory: Inventory, environment: Environment) -> list[Check]:
    """Everything that the inventory names, in its order. Sends no probe, creates and changes nothing."""
    return _Doctor(inventory, environment).examine()


class _Doctor:
    """The inventory, resolved, and the accounts' control planes."""

    def __init__(self, inventory: Inventory, environment: Environment) -> None:
        self._inventory = inventory
        self._world = world_of(inventory, environment, run_id="doctor")
        self._accounts = self._world.accounts
        self._environment = environment
        self._planes = Planes(self._world, environment)

    def examine(self) -> list[Check]:
        bad = self._accounts.guard(self._inventory.accounts)
        checks = [self._account(name, bad.get(name)) for name in self._inventory.accounts]
        jobs: list[tuple[str, Callable[[], Check]]] = [
            *((f"principal {name}", lambda name=name: self._principal(name)) for name in self._inventory.principals),
            *(
                (f"vantage point {name}", lambda name=name: self._point(name))
                for name in self._inventory.vantage_points
            ),
            *((f"bucket {name}", lambda name=name: self._bucket(name)) for name in self._inventory.buckets),
            *(
                (f"control bucket of {name}", lambda name=name: self._bucket(f"{CONTROL}{name}"))
                for name in self._inventory.controls
            ),
            *(
                (f"evidence {number + 1}", lambda number=number: self._evidence(number))
                for number in range(len(self._inventory.evidence))
            ),
        ]
        with ThreadPoolExecutor(_WORKERS) as pool:
            return checks + list(pool.map(_settled, jobs))

    # --- accounts and principals -------------------------------------------------------------------------------------

    def _account(self, name: str, error: S3VpceError | None) -> Check:
        subject = f"account {name}"
        if error is not None:
            return _problem(subject, error)
        answer = self._accounts.client("sts", account=name).get_caller_identity()
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        skew = time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0
        if abs(skew) > _SKEW:
            found = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS's"
            return Check(subject, State.PROBLEM, found, "set the clock: S3 refuses what is signed 15 minutes off")
        return Check(subject, State.OK, f"{answer['Account']}, as {answer['Arn']}")

    def _principal(self, name: str) -> Check:
        subject = f"principal {name}"
        row = self._inventory.principals[name]
        if row.anonymous:
            return Check(subject, State.OK, "signs nothing")
        if row.ambient:
            return Check(subject, State.UNKNOWN, "the vantage point's own credentials, which only it has")
        signer = self._world.signer(name)
        if self._inventory.principals[signer].mfa is not None:
            return Check(subject, State.UNKNOWN, "its role asks for an MFA code, which is asked for when it signs")
        keys = self._accounts.credentials(SessionKind(signer))
        assert keys is not None
        return Check(
            subject, State.OK, f"signs as {signer}'s URL" if row.presigned else f"signs with {keys.access_key_id}"
        )

    # --- vantage points ----------------------------------------------------------------------------------------------

    def _point(self, name: str) -> Check:
        point = self._inventory.vantage_points[name]
        subject = f"vantage point {name}"
        if point.lambda_ is not None:
            found = self._function(name, point.lambda_)
        elif point.ec2 is not None:
            found = self._instance(name, point.ec2)
        else:
            return Check(subject, State.UNKNOWN, f"{point.kind}: it is there when it answers")
        return Check(subject, State.OK, found)

    def _client(self, service: str, row: Lambda | Ec2, *path: str) -> Any:
        account = row.account or self._inventory.default_account
        region = None if row.region is None else self._world.resolve(row.region, *path, "region")
        return self._accounts.client(service, account=account, region=region)

    def _function(self, name: str, row: Lambda) -> str:
        path = ("vantage_points", name, "lambda")
        if row.function is not None:
            function = self._world.resolve(row.function, *path, "function")
            found = self._client("lambda", row, *path).get_function_configuration(FunctionName=function)
            if found.get("State", "Active") not in ("Active", "Inactive"):
                code = str(found.get("StateReasonCode") or found["State"])
                said = found.get("StateReason") or reasons.words(code)
                raise _Found(f"function {function} is {found['State']}: {said}", reasons.remedy(code))
            return f"function {function} is {found.get('State', 'Active')}"
        if row.keep:
            kept = kept_point(self._world, self._environment, self._planes, name=name, row=row)
            return f"function {kept.function} is deployed, up to date and {kept.check()}"
        wanted = Wanted(
            subnets=self._world.chosen(row.subnets, *path, "subnets"),
            security_groups=self._world.chosen(row.security_groups, *path, "security_groups"),
            dual_stack=row.dual_stack,
        )
        network = look_up(self._planes.at(row.account, row.region, *path), wanted, error=VantageError)
        ec2 = self._client("ec2", row, *path)
        found = ec2.describe_subnets(SubnetIds=list(network.subnets))["Subnets"]
        full = [subnet["SubnetId"] for subnet in found if not subnet["AvailableIpAddressCount"]]
        if full:
            raise _Found(f"subnet {', '.join(full)} has no address left", "free some, or name another subnet")
        return f"a function can stand in {', '.join(network.subnets)} of {found[0]['VpcId']}"

    def _instance(self, name: str, row: Ec2) -> str:
        path = ("vantage_points", name, "ec2")
        ec2 = self._client("ec2", row, *path)
        if row.subnet is not None:
            subnet = self._world.resolve(row.subnet, *path, "subnet")
            ec2.describe_subnets(SubnetIds=[subnet])
            groups = self._world.resolve_list(row.security_groups, *path, "security_groups")
            if groups:
                ec2.describe_security_groups(GroupIds=list(groups))
            return f"an instance can stand in {subnet}"
        if row.instance is not None:
            given: dict[str, Any] = {"InstanceIds": [self._world.resolve(row.instance, *path, "instance")]}
        else:
            tags = {key: self._world.resolve(value, *path, "tags", key) for key, value in row.tags.items()}
            given = {"Filters": [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]}
        rows = [one for group in ec2.describe_instances(**given)["Reservations"] for one in group["Instances"]]
        running = [one["InstanceId"] for one in rows if one["State"]["Name"] == _RUNNING]
        if not running:
            raise _Found("no such instance is running", "start it, or name another")
        return self._managed(running[0], self._client("ssm", row, *path))

    def _managed(self, instance: str, ssm: Any) -> str:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_InstanceInformation.html"""
        filters = [{"Key": "InstanceIds", "Values": [instance]}]
        rows = ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]
        if not rows or rows[0].get("PingStatus") != "Online":
            state = rows[0].get("PingStatus", "unknown") if rows else "not managed"
            remedy = "its agent needs a way to ssm and ssmmessages, and a profile with AmazonSSMManagedInstanceCore"
            raise _Found(f"SSM's agent on {instance} is {state}", remedy)
        return f"{instance} runs, and SSM's agent is online"

    # --- buckets -----------------------------------------------------------------------------------------------------

    def _bucket(self, label: str) -> Check:
        """A bucket by its account's own credentials, which a closed bucket may refuse: then it can't be told."""
        facts = self._world.bucket(label)
        subject = f"control bucket of {facts.account}" if label.startswith(CONTROL) else f"bucket {label}"
        client = self._accounts.client("s3", account=facts.account, region=self._world.region(label))
        wanted = self._world.region(label)
        try:
            headers = client.head_bucket(Bucket=facts.name)["ResponseMetadata"]["HTTPHeaders"]
        except client.exceptions.ClientError as error:
            headers = error.response["ResponseMetadata"]["HTTPHeaders"]
            if code_of(error) == "404":
                return Check(
                    subject, State.PROBLEM, f"there is no bucket {facts.name}", "create it, or correct the name"
                )
            if code_of(error) != "403" and "x-amz-bucket-region" not in headers:
                raise
        region = headers.get("x-amz-bucket-region")
        if region and region != wanted:
            return Check(
                subject, State.PROBLEM, f"{facts.name} is in {region}, not in {wanted}", f"write `region: {region}`"
            )
        declared = self._inventory.buckets.get(label)
        made = declared is not None and declared.canary.key is None
        return self._canary(client, subject, facts.name, facts.key, made=made)

    def _canary(self, client: Any, subject: str, bucket: str, key: str, *, made: bool) -> Check:
        if made:
            return Check(subject, State.OK, f"{bucket} is there; its canary is made by each run")
        try:
            client.head_object(Bucket=bucket, Key=key)
        except client.exceptions.ClientError as error:
            if code_of(error) == "404":
                remedy = (
                    "put a small object there, or let the run make one: `canary: {create: PRINCIPAL:VANTAGE_POINT}`"
                )
                return Check(subject, State.PROBLEM, f"{bucket} has no canary {key}", remedy)
            if code_of(error) == "403":
                found = f"{bucket} is there; whether its canary is, the account's credentials may not see from here"
                return Check(subject, State.UNKNOWN, found)
            raise
        return Check(subject, State.OK, f"{bucket} and its canary are there")

    # --- evidence ----------------------------------------------------------------------------------------------------

    def _evidence(self, number: int) -> Check:
        """Whether a log can be read: by looking for nothing in what came just now, and in its newest file."""
        source, now = source_at(self._world, self._planes, number), time.time()
        for _ in source.look((NOTHING,), since=now, now=now):
            break
        found = "can be read" if source.read_newest(now) else "can be listed, and holds nothing yet"
        return Check(f"evidence {number + 1}", State.OK, f"{source.label} {found}")


class _Found(Exception):  # noqa: N818 - a finding on its way up
    """A problem, in words, with its remedy."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


def _settled(job: tuple[str, Callable[[], Check]]) -> Check:
    """The check's outcome; whatever stands in its way is a problem with its remedy."""
    subject, check = job
    try:
        return check()
    except _Found as found:
        return Check(subject, State.PROBLEM, str(found), found.remedy)
    except S3VpceError as error:
        return _problem(subject, error)
    except FAULTS as error:
        remedy = "check the name, the account and the Region, and the rights of the account's credentials"
        return Check(subject, State.PROBLEM, words_of(error), remedy)


def _problem(subject: str, error: S3VpceError) -> Check:
    where = f"{error.place}: " if error.place else ""
    return Check(subject, State.PROBLEM, f"{where}{error.what}", error.remedy or "")


def table(checks: Sequence[Check]) -> str:
    """The checks for people, each with its remedy below it, and how many are in the way."""
    rows = [[check.state.value, check.subject, check.words] for check in checks]
    bad = sum(check.in_the_way for check in checks)
    verb = "is" if bad == 1 else "are"
    ending = f"{bad} of {len(checks)} {verb} in the way of a run" if bad else "nothing is in the way of a run"
    return f"{tabulate(rows, tablefmt='plain')}\n\n{ending}"
