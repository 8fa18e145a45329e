"""What runs left in an account, found by its tags: for when the ledger is lost, or is on another machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.vantage import marks
from pytest_s3vpce.vantage.control import FAULTS, code_of
from pytest_s3vpce.vantage.ledger import Entry, Kind
from pytest_s3vpce.vantage.removal import GONE, LIVING, MARK

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.vantage.control import ControlPlane

PREFIX: Final = "s3vpce-"
"""Of the names of all functions and roles that are made: no others are asked for their tags."""
_CANARY: Final = re.compile(r"\.s3vpce/canary-([0-9a-f]{8})(?:\.made-\1)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """What is old enough to be taken: expired, or made that long ago; and runs that go on, which are spared."""

    now: dt.datetime
    older_than: dt.timedelta | None = None
    living: frozenset[str] = frozenset()

    def takes(self, tags: Mapping[str, str]) -> bool:
        is_over = marks.is_over(tags, now=self.now, older_than=self.older_than)
        return is_over and tags[marks.RUN] not in self.living

    def takes_object(self, key: str, made: dt.datetime) -> bool:
        """An object carries no tags of ours: its key has a run's name, and S3 knows when it was made."""
        named = _CANARY.fullmatch(key)
        if named is None or named[1] in self.living:
            return False
        return made <= self.now - (marks.LIFE if self.older_than is None else self.older_than)


def functions(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the control plane's Region."""
    client = control.client("lambda")
    for page in client.get_paginator("list_functions").paginate():
        for row in page["Functions"]:
            if row["FunctionName"].startswith(PREFIX):
                tags = _asked(client.list_tags, Resource=row["FunctionArn"]).get("Tags", {})
                if age.takes(tags):
                    yield _entry(Kind.LAMBDA_FUNCTION, control, row["FunctionName"])


def instances(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the control plane's Region, found again by the name in their tag."""
    pages = (
        control.client("ec2")
        .get_paginator("describe_instances")
        .paginate(
            Filters=[
                {"Name": "tag-key", "Values": [marks.RUN]},
                {"Name": "instance-state-name", "Values": list(LIVING)},
            ]
        )
    )
    for row in (row for page in pages for group in page["Reservations"] for row in group["Instances"]):
        tags = _mapping(row["Tags"])
        if MARK in tags and age.takes(tags):
            yield _entry(Kind.EC2_INSTANCE, control, tags[MARK])


def roles(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the account; each belongs to a function of the Region that its tag names."""
    client = control.client("iam")
    for page in client.get_paginator("list_roles").paginate():
        for row in page["Roles"]:
            if row["RoleName"].startswith(PREFIX):
                tags = _mapping(_asked(client.list_role_tags, RoleName=row["RoleName"]).get("Tags", []))
                if age.takes(tags):
                    yield _entry(Kind.IAM_ROLE, control.at(tags.get(marks.REGION, control.region)), row["RoleName"])


def canaries(control: ControlPlane, age: Age, *, bucket: str) -> Iterator[Entry]:
    """Objects that runs made in a bucket."""
    pages = control.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=".s3vpce/canary-")
    keys: dict[str, dt.datetime] = {}
    for row in (row for page in pages for row in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))):
        keys[row["Key"]] = max(row["LastModified"], keys.get(row["Key"], row["LastModified"]))
    for key, made in keys.items():
        if age.takes_object(key, made):
            yield _entry(Kind.S3_OBJECT, control, f"{bucket}/{key}")


def _entry(kind: Kind, control: ControlPlane, identifier: str) -> Entry:
    return Entry(token="", kind=kind, account=control.account, region=control.region, identifier=identifier)


def _asked(ask: Callable[..., dict[str, Any]], **what: str) -> dict[str, Any]:
    """The answer about something that was listed a moment ago, and may be gone by now."""
    try:
        return ask(**what)
    except FAULTS as error:
        if code_of(error) in GONE:
            return {}
        raise


def _mapping(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["Key"]: row["Value"] for row in rows}
