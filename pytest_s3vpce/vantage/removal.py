"""Removing what the ledger lists: each kind in its way; gone already counts as removed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.vantage import policies
from pytest_s3vpce.vantage.base import silent
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.ledger import Kind, Remaining

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.vantage.control import ControlPlane
    from pytest_s3vpce.vantage.ledger import Entry, Ledger

ROLE_POLICY: Final = "network-interfaces"
"""The name of the one inline policy of a role made for a run."""
MARK: Final = "s3vpce:name"
"""The tag by which an instance is found: EC2 gives it an id only when it is made."""
LIVING: Final = ("pending", "running", "stopping", "stopped")
"""The states of an instance that has not been terminated."""
GONE: Final = frozenset(
    {
        "ResourceNotFoundException",
        "NoSuchEntity",
        "NoSuchEntityException",
        "NoSuchBucket",
        "NoSuchKey",
        "NoSuchVersion",
        "NoSuchUpload",
        "InvalidInstanceID.NotFound",
        "InvalidGroup.NotFound",
        "PolicyNotFoundException",
    }
)
SCRATCH: Final = "s3vpce-calibration-"
"""Of the names of all buckets that are made: no other is ever emptied or removed."""
_DOING: Final = {Kind.BUCKET_POLICY: "putting back"}
_AT_ONCE: Final = 8
_ENDING: Final = frozenset({"deleting", "deleted"})
DELETED: Final = "deleted"
"""The state of an endpoint that is gone, and shown for a while."""
_POLICY_TYPES: Final = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")
_BUSY: Final = "ResourceConflictException"
_BUSY_TRIES: Final = 15
_BUSY_PAUSE: Final = 2.0
_DELETING_TRIES: Final = 60
_DELETING_PAUSE: Final = 5.0
_NO_ENDPOINT: Final = "InvalidVpcEndpointId.NotFound"
_IN_USE: Final = "DependencyViolation"
_UNSEEN_AGE: Final = 120.0
"""Seconds for which EC2 may not know what it has made."""
_UNSEEN_TRIES: Final = 10
_UNSEEN_PAUSE: Final = 2.0


def remove(entry: Entry, control: ControlPlane) -> str | None:
    """Remove what an entry of the ledger stands for; why it is still there, or None if it is gone."""
    try:
        return _REMOVERS[entry.kind](entry, control)
    except FAULTS as error:
        return None if code_of(error) in GONE else words_of(error)


def _remove_function(entry: Entry, control: ControlPlane) -> str | None:
    client = control.client("lambda", region=entry.region)
    for _ in range(_BUSY_TRIES):
        try:
            client.delete_function(FunctionName=entry.identifier)
        except FAULTS as error:
            if code_of(error) != _BUSY:
                raise
            time.sleep(_BUSY_PAUSE)  # still being created
        else:
            return None
    return "the function is still being created; sweep again in a few minutes"


def _remove_instance(entry: Entry, control: ControlPlane) -> str | None:
    """EC2 takes a while to terminate it, but nothing more can be done with it from then on."""
    client = control.client("ec2", region=entry.region)

    def terminate(ids: list[str]) -> None:
        client.terminate_instances(InstanceIds=ids)

    _once_known(entry, named=lambda: _instances(client, entry.identifier), take=terminate)
    return None


def _once_known(entry: Entry, *, named: Callable[[], Iterable[str]], take: Callable[[list[str]], None]) -> None:
    """Removes what has the entry's name or id, looked for until EC2 knows of it.

    It may not know yet what was made a moment ago, which would stay if that were believed:
    https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    """
    told = {entry.given_id} if entry.given_id else set()
    for left in reversed(range(_unseen_tries(entry))):
        try:
            if ids := told.union(named()):
                take(sorted(ids))
                return
        except FAULTS as error:
            if code_of(error) not in GONE:
                raise
        if left:
            time.sleep(_UNSEEN_PAUSE)


def _instances(client: Any, name: str) -> list[str]:
    """The ids of those that have the name in their tag, for where no id was told, or not of all."""
    pages = client.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": f"tag:{MARK}", "Values": [name]},
            {"Name": "instance-state-name", "Values": list(LIVING)},
        ]
    )
    return [row["InstanceId"] for page in pages for group in page["Reservations"] for row in group["Instances"]]


def _remove_endpoint(entry: Entry, control: ControlPlane) -> str | None:
    """By the name in its tag, and by its id; gone when its network interfaces are, which takes minutes."""
    client = control.client("ec2", region=entry.region)
    left, unseen = _DELETING_TRIES, _unseen_tries(entry)
    while True:
        states = _endpoints(client, entry)
        living = [name for name, state in states.items() if state not in _ENDING]
        if living:
            errors = [
                row["Error"] for row in client.delete_vpc_endpoints(VpcEndpointIds=living).get("Unsuccessful", ())
            ]
            for error in errors:
                if not error["Code"].endswith(".NotFound"):
                    return f"{error['Code']}: {error['Message']}"
        going = [name for name, state in states.items() if state != DELETED]
        left, unseen = left - 1, 0 if states else unseen - 1
        if not going and unseen <= 0:
            return None
        if not left:
            return "the endpoint is still being deleted; sweep again in a few minutes"
        time.sleep(_DELETING_PAUSE if going and not living else _UNSEEN_PAUSE)


def _endpoints(client: Any, entry: Entry) -> dict[str, str]:
    """Ids and states, of one whose tag is not seen yet by the id that was told."""
    named = {"Filters": [{"Name": f"tag:{MARK}", "Values": [entry.identifier]}]}
    rows = client.describe_vpc_endpoints(**named)["VpcEndpoints"]
    if not rows and entry.given_id:
        rows = endpoint_rows(client, entry.given_id)
    return {row["VpcEndpointId"]: row["State"].lower() for row in rows}


def endpoint_rows(client: Any, endpoint: str) -> list[dict[str, Any]]:
    """What EC2 says of an endpoint; nothing of one that it does not know, or not yet."""
    try:
        rows: list[dict[str, Any]] = client.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"]
    except FAULTS as error:
        if code_of(error) != _NO_ENDPOINT:
            raise
        return []
    return rows


def _remove_group(entry: Entry, control: ControlPlane) -> str | None:
    """An interface that used it may be seen for a moment after it is gone."""
    client = control.client("ec2", region=entry.region)
    named = {"Filters": [{"Name": f"tag:{MARK}", "Values": [entry.identifier]}]}

    def groups() -> list[str]:
        return [row["GroupId"] for row in client.describe_security_groups(**named)["SecurityGroups"]]

    def delete(ids: list[str]) -> None:
        for name in ids:
            _delete_group(client, name)

    _once_known(entry, named=groups, take=delete)
    return None


def _delete_group(client: Any, name: str) -> None:
    for left in reversed(range(_BUSY_TRIES)):
        try:
            client.delete_security_group(GroupId=name)
        except FAULTS as error:
            if not left or code_of(error) != _IN_USE:
                raise
        else:
            return
        time.sleep(_BUSY_PAUSE)


def _unseen_tries(entry: Entry) -> int:
    """How many times what EC2 does not show is looked for: it may not be known yet."""
    return _UNSEEN_TRIES if time.time() - entry.made < _UNSEEN_AGE else 1


def _remove_organization_policy(entry: Entry, control: ControlPlane) -> str | None:
    """By its id; where none was told, by its name, which is one run's own.

    There may be empty pages before others:
    https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListTargetsForPolicy.html
    """
    client = control.client("organizations")
    named = (row["Id"] for row in policies_of(client) if row["Name"] == entry.identifier)
    for name in [entry.given_id] if entry.given_id else [*named]:
        pages = client.get_paginator("list_targets_for_policy").paginate(PolicyId=name)
        for target in [row["TargetId"] for page in pages for row in page["Targets"]]:
            client.detach_policy(PolicyId=name, TargetId=target)
        client.delete_policy(PolicyId=name)
    return None


def policies_of(client: Any) -> Iterator[dict[str, Any]]:
    """All of an organization's of the types that calibrations make."""
    pages = client.get_paginator("list_policies")
    return (row for kind in _POLICY_TYPES for page in pages.paginate(Filter=kind) for row in page["Policies"])


def _remove_role(entry: Entry, control: ControlPlane) -> str | None:
    """A role is kept while Lambda needs it to remove the function's network interfaces, which takes up to 20 minutes.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    left = network_interfaces(entry.identifier, control.client("ec2", region=entry.region))
    if left:
        return (
            f"Lambda has yet to remove network interface {', '.join(left)} and needs this role for it, "
            "up to 20 minutes, longer where another function shares the interface; sweep again then"
        )
    client = control.client("iam", region=entry.region)
    try:
        client.delete_role_policy(RoleName=entry.identifier, PolicyName=ROLE_POLICY)
    except FAULTS as error:
        if code_of(error) not in GONE:
            raise
    client.delete_role(RoleName=entry.identifier)
    return None


def network_interfaces(function: str, ec2: Any) -> list[str]:
    """The ids of the interfaces that Lambda made for a function; their description names it."""
    pages = ec2.get_paginator("describe_network_interfaces").paginate(
        Filters=[{"Name": "description", "Values": [f"AWS Lambda VPC ENI-{function}-*"]}]
    )
    return [found["NetworkInterfaceId"] for page in pages for found in page["NetworkInterfaces"]]


def _remove_object(entry: Entry, control: ControlPlane) -> str | None:
    """By version id; where none is known (the run died before it was told), every version of the run's own key."""
    bucket, _, key = entry.identifier.partition("/")
    client = control.client("s3", region=entry.region)
    versions = [entry.given_id] if entry.given_id else _versions(client, bucket, key)
    for version in versions:
        client.delete_object(Bucket=bucket, Key=key, VersionId=version)
    return None


def _remove_uploads(entry: Entry, control: ControlPlane) -> str | None:
    """All to that key, which is one run's own."""
    bucket, _, key = entry.identifier.partition("/")
    _abort(control.client("s3", region=entry.region), bucket, to=lambda found: found == key, Prefix=key)
    return None


def _abort(client: Any, bucket: str, *, to: Callable[[str], bool] = lambda _: True, **listed: str) -> None:
    """End the uploads to some keys, of those that are listed."""
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, **listed):
        for found in page.get("Uploads", ()):
            if to(found["Key"]):
                client.abort_multipart_upload(Bucket=bucket, Key=found["Key"], UploadId=found["UploadId"])


def _remove_bucket(entry: Entry, control: ControlPlane) -> str | None:
    """With all that is in it: it was made for one calibration, whose name it has."""
    if not entry.identifier.startswith(SCRATCH):
        return f"its name does not begin with {SCRATCH}, so it is none that was made here"
    client = control.client("s3", region=entry.region)
    bucket = {"Bucket": entry.identifier}
    _remove_access_points(entry, control.client("s3control", region=entry.region))
    _abort(client, entry.identifier)
    for page in client.get_paginator("list_object_versions").paginate(**bucket):
        for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            client.delete_object(**bucket, Key=found["Key"], VersionId=found["VersionId"])
    client.delete_bucket(**bucket)
    return None


def _put_policy_back(entry: Entry, control: ControlPlane) -> str | None:
    client = control.client("s3", region=entry.region)
    return policies.put_back(client, entry.identifier, text=entry.content or "", sleep=time.sleep)


def _remove_access_points(entry: Entry, client: Any) -> None:
    """Those that the calibration made: its bucket's name ends with the account."""
    account = {"AccountId": entry.identifier.rpartition("-")[2]}
    found = client.list_access_points(**account, Bucket=entry.identifier)
    for row in found["AccessPointList"]:
        client.delete_access_point(**account, Name=row["Name"])


def _versions(client: Any, bucket: str, key: str) -> list[str]:
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    return [
        found["VersionId"]
        for page in pages
        for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        if found["Key"] == key
    ]


_REMOVERS: Final[Mapping[Kind, Callable[[Entry, ControlPlane], str | None]]] = {
    Kind.BUCKET_POLICY: _put_policy_back,
    Kind.S3_UPLOAD: _remove_uploads,
    Kind.S3_OBJECT: _remove_object,
    Kind.S3_BUCKET: _remove_bucket,
    Kind.LAMBDA_FUNCTION: _remove_function,
    Kind.VPC_ENDPOINT: _remove_endpoint,
    Kind.SECURITY_GROUP: _remove_group,
    Kind.EC2_INSTANCE: _remove_instance,
    Kind.IAM_ROLE: _remove_role,
    Kind.ORGANIZATION_POLICY: _remove_organization_policy,
}


def strike(ledger: Ledger, entry: Entry, control: ControlPlane) -> str | None:
    """Remove one entry's thing and record how that went; the reason why it is still there, or None."""
    reason = remove(entry, control)
    if reason is None:
        ledger.removed(entry)
    else:
        ledger.kept(entry, reason)
    return reason


def sweep(
    ledger: Ledger,
    session_for: Callable[[str], ControlPlane],
    *,
    notify: Callable[[str], None] = silent,
) -> list[Remaining]:
    """Remove everything that the ledger still lists; what remains, and why.

    `session_for` gives an account's control plane by the account's name. May be run any number of times: what is
    gone already counts as removed.
    """
    return clear(
        ledger.open_entries(),
        lambda entry: strike(ledger, entry, session_for(entry.account)),
        notify=notify,
    )


def clear(
    found: Sequence[Entry], take: Callable[[Entry], str | None], *, notify: Callable[[str], None] = silent
) -> list[Remaining]:
    """Take these away, users before what they use; what remains, and why."""

    def taken(entry: Entry) -> Remaining | None:
        notify(f"{_DOING.get(entry.kind, 'removing')} {entry}")
        try:
            reason = take(entry)
        except S3VpceError as error:
            reason = str(error)
        return None if reason is None else Remaining(entry, reason)

    remaining: list[Remaining] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for kind in Kind:
            rows = pool.map(taken, [entry for entry in found if entry.kind is kind])
            remaining += [row for row in rows if row is not None]
    return remaining
