"""One cell as a request: who signs it, with what session, where it goes, and what it carries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import NONE, Calibration
from pytest_s3vpce.claims.readings import limited
from pytest_s3vpce.claims.setting import needs
from pytest_s3vpce.model import Transport
from pytest_s3vpce.operations import Check, Resource, checks, operation
from pytest_s3vpce.policy.doubts import USUAL, Doubts
from pytest_s3vpce.policy.layers import ENFORCED
from pytest_s3vpce.probe import Credentials, Destination, Host, Probe, ProbeBuilder, form_of, parameters_of
from pytest_s3vpce.signing_in import session_policy
from pytest_s3vpce.snapshot.state import AccessPointRow, BlockRow, PrincipalRow, Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.model import Cell, SignedRequest
    from pytest_s3vpce.operations import Operation
    from pytest_s3vpce.snapshot.state import BucketRow, Snapshot

_UNSIGNED: Final = Credentials(access_key_id="AKIAEXAMPLE", secret_access_key="unset")  # noqa: S106 - signs nothing
_ABSENT: Final = ".absent-prediction"
_PARTITIONS: Final = {"cn": "aws-cn", "us-gov": "aws-us-gov", "eusc": "aws-eusc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request: everything about it but its way."""

    cell: Cell
    row: Operation
    request: SignedRequest
    parameters: Mapping[str, Any]
    bucket: BucketRow
    caller: PrincipalRow
    session: str
    """The text of the session policy, empty where there is none."""
    session_name: str | None
    brought: Mapping[str, str] | None
    """What a vantage point's own credentials carry beside, and no others; None where that is not known."""
    age: int | None
    """Of a presigned URL, in seconds."""
    point: AccessPointRow | Unread | None
    calibration: Calibration = NONE
    doubts: Doubts = USUAL
    """What the calibration says of the engine."""

    @property
    def principal(self) -> str:
        """Who asks, as the engine takes it."""
        caller = self.caller
        if caller.kind == "anonymous":
            return "anonymous"
        if caller.kind != "role":
            return caller.arn
        partition = caller.arn.split(":")[1]
        session = caller.session_name or self.session_name or "s3vpce"
        return f"arn:{partition}:sts::{caller.account}:assumed-role/{caller.arn.rpartition('/')[2]}/{session}"

    @property
    def checks(self) -> tuple[tuple[Check, ...], ...]:
        """The actions that S3 looks at, in order, one of each group being enough: the operation's, then the form's."""
        form = None if self.cell.mutating else self.row.safe
        return self.calibration.alternatives(self.row, checks(self.row, self.parameters, form=form))

    def owner(self, check: Check, snapshot: Snapshot) -> BucketRow:
        """The bucket that a check is about: a copy's source may be another one, and one to be made is nobody's yet."""
        if check.resource is Resource.NONE or self.row.api_name == "CreateBucket":
            return self._own(snapshot)
        if check.resource is Resource.SOURCE:
            name = str(self.parameters.get("CopySource", "")).partition("/")[0]
            return next((row for row in snapshot.buckets if row.name == name), self.bucket)
        return self.bucket

    def _own(self, snapshot: Snapshot) -> BucketRow:
        """What stands for the caller's own account: whatever the policies of a bucket that is there say.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
        """
        name = next((row.name for row in snapshot.accounts if row.id == self.caller.account), "")
        return replace(
            self.bucket,
            account=name,
            account_id=self.caller.account,
            policy=None,
            block=BlockRow(),
            ownership=ENFORCED,
            acl=None,
            points={},
        )

    def key(self, check: Check) -> str:
        """The object's key, of the source for a copy's source."""
        if check.resource is Resource.SOURCE:
            return str(self.parameters.get("CopySource", "")).partition("/")[2].partition("?versionId=")[0]
        given = self.parameters.get("Delete") or {}
        entries = given.get("Objects") or () if isinstance(given, dict) else ()
        return str(self.parameters.get("Key") or next((row["Key"] for row in entries), self.bucket.key))

    def prefix(self, check: Check) -> str | None:
        """The prefix by which S3 looks whether the caller may learn that nothing is at the form's key."""
        key = self.key(check)
        of_its_own = any(requirement.action == check.action for requirement in self.row.requires)
        if check.action != "s3:ListBucket" or of_its_own or not self.is_absent(key):
            return None
        return key if self.calibration.value("absent-key/list-by-prefix") == "404" else None

    def is_absent(self, key: str) -> bool:
        """Whether the form names a key where nothing is."""
        return key.endswith(_ABSENT)

    def arn(self, check: Check, bucket: BucketRow) -> str:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-arn-format.html"""
        return arn_of(check, bucket, key=self.key(check))


def arn_of(check: Check, bucket: BucketRow, *, key: str) -> str:
    if check.resource is Resource.NONE:
        return "*"
    partition = next((name for start, name in _PARTITIONS.items() if bucket.region.startswith(f"{start}-")), "aws")
    whole = f"arn:{partition}:s3:::{bucket.name}"
    return whole if check.resource is Resource.BUCKET else f"{whole}/{key}"


class Cases:
    """Makes cases of cells. Not for several threads: it builds requests."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        session_name: str | None,
        builder: ProbeBuilder | None = None,
        calibration: Calibration = NONE,
    ) -> None:
        self._snapshot = snapshot
        self._calibration = calibration
        self._doubts = Doubts(**calibration.engine)
        self._session_name = session_name
        self._builder = builder or ProbeBuilder(user_agent="s3vpce")
        self._requests: dict[tuple[object, ...], SignedRequest] = {}

    def case(self, cell: Cell, *, request: SignedRequest | None, policy: str) -> Case | str:
        """The case, or why there is none. `policy` is a further session policy."""
        bucket = self._snapshot.bucket(cell.target.bucket)
        if bucket is None:
            return f"bucket `{cell.target.bucket}` is not in the snapshot"
        caller, age = self._caller(cell)
        if isinstance(caller, str):
            return caller
        own = self._snapshot.principal(cell.principal)
        ambient = own is not None and own.kind == "ambient"
        row = operation(cell.operation)
        destination = self._destination(cell, bucket)
        parameters = parameters_of(Probe(cell=cell), row, form_of(cell, row), destination)
        if request is None:
            request = self._request(cell, destination, signer=None if caller.kind == "anonymous" else _UNSIGNED)
        host = destination.host.access_point
        return Case(
            cell=cell,
            row=row,
            request=request,
            parameters=_written(parameters),
            bucket=bucket,
            caller=caller,
            session=self._session(cell, caller, bucket, policy, key=destination.key),
            session_name=None if ambient else self._session_name,
            brought=self._brought(cell) if ambient else {},
            age=age,
            point=None if host is None else bucket.points.get(host, Unread(unread="the access point was not read")),
            calibration=self._calibration,
            doubts=self._doubts,
        )

    def _request(self, cell: Cell, destination: Destination, *, signer: Credentials | None) -> SignedRequest:
        """What the cell will send, but for its signature; one serves every principal and vantage point."""
        key = (cell.operation, cell.variant, cell.label, cell.transport, cell.mutating, signer is None)
        if key not in self._requests:
            made = self._builder.build(Probe(cell=cell), request_id="0", destination=destination, credentials=signer)
            self._requests[key] = made
        return self._requests[key]

    def _caller(self, cell: Cell) -> tuple[PrincipalRow | str, int | None]:
        row = self._snapshot.principal(cell.principal)
        age = None
        if row is not None and row.kind == "presigned":
            age = row.age
            row = self._snapshot.principal(row.by)
        if row is not None and row.kind == "ambient":
            vantage = self._snapshot.vantage(cell.vantage)
            row = None if vantage is None else vantage.role
            if row is None:
                return f"whose credentials {cell.vantage} has is not known", age
        if row is None:
            return f"principal `{cell.principal}` is not in the snapshot", age
        return (row.why or f"who {cell.principal} is was not read", age) if row.kind == "unknown" else (row, age)

    def _brought(self, cell: Cell) -> Mapping[str, str] | None:
        vantage = self._snapshot.vantage(cell.vantage)
        return None if vantage is None else vantage.brought

    def _destination(self, cell: Cell, bucket: BucketRow) -> Destination:
        key = cell.target.key or bucket.key
        key = bucket.keys.get(cell.target.name, bucket.key) if "${" in key else key
        host = cell.target.host
        if host is not None and "${" in host:
            host = bucket.hosts.get(cell.target.name)
        return Destination(
            bucket=bucket.name,
            owner=bucket.account_id,
            region=bucket.region,
            key=key,
            host=Host.of(host) if host else Host(),
            canary_body=b"",
            absent_key=f"{key}{_ABSENT}",
            canary_version="null",
            run_key=f"{key}.made",
        )

    def _session(self, cell: Cell, caller: PrincipalRow, bucket: BucketRow, policy: str, *, key: str) -> str:
        """The session policy: what crosses plain http is signed by a session that may do nothing else."""
        own = self._snapshot.principal(cell.principal)
        declared = own is not None and own.kind == "role"
        if not policy and cell.transport is Transport.HTTP and declared:
            policy = limited((check.action, arn_of(check, bucket, key=key) + beside) for check, beside in needs(cell))
        return session_policy(None if caller.session is None else caller.session.document, policy)


def _written(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they are written into the request, where condition keys show them."""
    found = dict(parameters)
    source = found.get("CopySource")
    if isinstance(source, dict):
        version = f"?versionId={source['VersionId']}" if "VersionId" in source else ""
        found["CopySource"] = f"{source['Bucket']}/{source['Key']}{version}"
    return found
