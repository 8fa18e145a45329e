"""What runs and calibrations left in an account, found without any ledger: by tags, else by our names and by age."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.vantage import marks
from pytest_s3vpce.vantage.control import FAULTS, code_of
from pytest_s3vpce.vantage.ledger import Entry, Kind
from pytest_s3vpce.vantage.removal import DELETED, GONE, LIVING, MARK, SCRATCH, policies_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_s3vpce.vantage.control import ControlPlane

PREFIX: Final = "s3vpce-"
"""Of the names of all functions, roles and policies that are made: no others are asked for their tags."""
CANARIES: Final = ".s3vpce/canary-"
"""How the keys begin of all objects that runs make."""
_CANARY: Final = re.compile(rf"{re.escape(CANARIES)}([0-9a-f]{{8}})(?:\.made-\1)?")
_SCRATCH: Final = re.compile(rf"{SCRATCH}([0-9a-f]{{8}})-(?:far-|with-)?(\d{{12}})")
_UNTAGGED: Final = "NoSuchTagSet"
_NO_ORGANIZATION: Final = "AWSOrganizationsNotInUseException"
_OURS: Final = [{"Name": "tag-key", "Values": [marks.RUN]}]


class Scope(StrEnum):
    """Where things of a kind are looked for."""

    REGION = "each Region"
    ACCOUNT = "each account"
    BUCKET = "each bucket whose canary is made"
    LEDGER = "the ledger alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How leftovers of one kind are found; `look` takes a control plane, an age, and in buckets their name."""

    words: str
    told_by: str
    scope: Scope
    look: Callable[..., Iterator[Entry]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """What is old enough to be taken: expired, or made that long ago; and runs that go on, which are spared."""

    now: dt.datetime
    older_than: dt.timedelta | None = None
    living: frozenset[str] = frozenset()

    def takes(self, tags: Mapping[str, str]) -> bool:
        is_over = marks.is_over(tags, now=self.now, older_than=self.older_than)
        return is_over and tags[marks.RUN] not in self.living

    def takes_named(self, run: str, made: dt.datetime) -> bool:
        """What carries no tags goes by the run that its name tells, and by when it was made."""
        old = made <= self.now - (marks.LIFE if self.older_than is None else self.older_than)
        return old and run not in self.living


def uploads(control: ControlPlane, age: Age, *, bucket: str) -> Iterator[Entry]:
    """To keys of runs, in a bucket: they carry no tags."""
    pages = control.client("s3").get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=CANARIES)
    rows = ((row["Key"], row["Initiated"]) for page in pages for row in page.get("Uploads", ()))
    return _keyed(Kind.S3_UPLOAD, control, age, rows, bucket=bucket)


def canaries(control: ControlPlane, age: Age, *, bucket: str) -> Iterator[Entry]:
    """Objects that runs made in a bucket: tags would be part of what is probed."""
    pages = control.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=CANARIES)
    found = (row for page in pages for row in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())))
    return _keyed(Kind.S3_OBJECT, control, age, ((row["Key"], row["LastModified"]) for row in found), bucket=bucket)


def _keyed(
    kind: Kind, control: ControlPlane, age: Age, rows: Iterable[tuple[str, dt.datetime]], *, bucket: str
) -> Iterator[Entry]:
    """Keys whose newest version or upload is old enough."""
    newest: dict[str, dt.datetime] = {}
    for key, made in rows:
        newest[key] = max(made, newest.get(key, made))
    for key, made in newest.items():
        named = _CANARY.fullmatch(key)
        if named is not None and age.takes_named(named[1], made):
            yield _entry(kind, control, f"{bucket}/{key}")


def buckets(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the account, in whichever Region: ListBuckets tells it to who asks with a parameter.

    One whose calibration was killed before it was tagged goes by its name, which ends with the account that has it.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
    """
    for page in control.client("s3").get_paginator("list_buckets").paginate(Prefix=SCRATCH):
        for row in page["Buckets"]:
            named = _SCRATCH.fullmatch(row["Name"])
            if named is None or named[2] != control.owner.split(":")[4]:
                continue
            there = control.at(row["BucketRegion"])
            tags = _bucket_tags(there, row["Name"])
            if age.takes(tags) if tags else tags is not None and age.takes_named(named[1], row["CreationDate"]):
                yield _entry(Kind.S3_BUCKET, there, row["Name"])


def _bucket_tags(control: ControlPlane, bucket: str) -> dict[str, str] | None:
    """None where the bucket is gone by now."""
    try:
        return _mapping(control.client("s3").get_bucket_tagging(Bucket=bucket)["TagSet"])
    except FAULTS as error:
        if code_of(error) in GONE:
            return None
        if code_of(error) == _UNTAGGED:
            return {}
        raise


def functions(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the control plane's Region."""
    client = control.client("lambda")
    for page in client.get_paginator("list_functions").paginate():
        for row in page["Functions"]:
            if row["FunctionName"].startswith(PREFIX):
                tags = _asked(client.list_tags, Resource=row["FunctionArn"]).get("Tags", {})
                if age.takes(tags):
                    yield _entry(Kind.LAMBDA_FUNCTION, control, row["FunctionName"])


def endpoints(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the control plane's Region; one that is being deleted is waited for."""
    pages = control.client("ec2").get_paginator("describe_vpc_endpoints").paginate(Filters=_OURS)
    rows = (row for page in pages for row in page["VpcEndpoints"] if row["State"].lower() != DELETED)
    return _marked(Kind.VPC_ENDPOINT, control, age, rows)


def security_groups(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the control plane's Region."""
    pages = control.client("ec2").get_paginator("describe_security_groups").paginate(Filters=_OURS)
    return _marked(Kind.SECURITY_GROUP, control, age, (row for page in pages for row in page["SecurityGroups"]))


def instances(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the control plane's Region."""
    living = {"Name": "instance-state-name", "Values": list(LIVING)}
    pages = control.client("ec2").get_paginator("describe_instances").paginate(Filters=[*_OURS, living])
    found = (row for page in pages for group in page["Reservations"] for row in group["Instances"])
    return _marked(Kind.EC2_INSTANCE, control, age, found)


def _marked(kind: Kind, control: ControlPlane, age: Age, rows: Iterable[dict[str, Any]]) -> Iterator[Entry]:
    """What EC2 made, found again by the name in its tag."""
    for row in rows:
        tags = _mapping(row["Tags"])
        if MARK in tags and age.takes(tags):
            yield _entry(kind, control, tags[MARK])


def roles(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the account; each belongs to a function of the Region that its tag names."""
    client = control.client("iam")
    for page in client.get_paginator("list_roles").paginate():
        for row in page["Roles"]:
            if row["RoleName"].startswith(PREFIX):
                tags = _mapping(_asked(client.list_role_tags, RoleName=row["RoleName"]).get("Tags", []))
                if age.takes(tags):
                    yield _entry(Kind.IAM_ROLE, control.at(tags.get(marks.REGION, control.region)), row["RoleName"])


def organization_policies(control: ControlPlane, age: Age) -> Iterator[Entry]:
    """Those of the organization that the account manages, if it does: no other may list them."""
    client = control.client("organizations")
    try:
        manager = client.describe_organization()["Organization"]["MasterAccountId"]
    except FAULTS as error:
        if code_of(error) == _NO_ORGANIZATION:
            return
        raise
    if manager != control.owner.split(":")[4]:
        return
    for row in policies_of(client):
        if row["Name"].startswith(PREFIX):
            tags = _mapping(_asked(client.list_tags_for_resource, ResourceId=row["Id"]).get("Tags", []))
            if age.takes(tags):
                yield _entry(Kind.ORGANIZATION_POLICY, control, row["Name"], given_id=row["Id"])


def _entry(kind: Kind, control: ControlPlane, identifier: str, *, given_id: str | None = None) -> Entry:
    return Entry(
        token="",
        kind=kind,
        account=control.account,
        region=control.region,
        identifier=identifier,
        given_id=given_id,
    )


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


_TAGS: Final = "its tags"
TABLE: Final[Mapping[Kind, Row]] = {
    Kind.BUCKET_POLICY: Row(
        words="deleted bucket policies", told_by="the ledger: only there is the policy's text", scope=Scope.LEDGER
    ),
    Kind.S3_UPLOAD: Row(words="uploads", told_by="its key and its age", scope=Scope.BUCKET, look=uploads),
    Kind.S3_OBJECT: Row(words="canaries", told_by="its key and its age", scope=Scope.BUCKET, look=canaries),
    Kind.S3_BUCKET: Row(
        words="buckets", told_by="its tags; before it has any, its name and its age", scope=Scope.ACCOUNT, look=buckets
    ),
    Kind.LAMBDA_FUNCTION: Row(words="functions", told_by=_TAGS, scope=Scope.REGION, look=functions),
    Kind.VPC_ENDPOINT: Row(words="VPC endpoints", told_by=_TAGS, scope=Scope.REGION, look=endpoints),
    Kind.SECURITY_GROUP: Row(words="security groups", told_by=_TAGS, scope=Scope.REGION, look=security_groups),
    Kind.EC2_INSTANCE: Row(words="instances", told_by=_TAGS, scope=Scope.REGION, look=instances),
    Kind.IAM_ROLE: Row(words="roles", told_by=_TAGS, scope=Scope.ACCOUNT, look=roles),
    Kind.ORGANIZATION_POLICY: Row(
        words="organization policies", told_by=_TAGS, scope=Scope.ACCOUNT, look=organization_policies
    ),
}
"""Every kind that is ever made. What has no kind goes with one of these: with a role its policy, with an instance its
volume, with an endpoint its interfaces, with a bucket its objects, uploads, policy and access points."""
