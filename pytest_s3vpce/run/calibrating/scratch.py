"""What a calibration makes for itself: a bucket with a canary, and four roles; in the ledger, tagged, removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.run.canaries import BODY
from pytest_s3vpce.vantage import marks
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.deployment import resource_name
from pytest_s3vpce.vantage.ledger import Kind
from pytest_s3vpce.vantage.removal import ROLE_POLICY, SCRATCH, clear, strike

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.vantage import ControlPlane, Ledger, Remaining

KEY: Final = ".s3vpce/canary"
ALL: Final = "all"
"""The role that may do everything with the bucket; sessions of it are limited by session policies."""
FEW: Final = "few"
"""The role that may ask where the bucket is and nothing else, with a Deny of s3:GetObjectTagging."""
BOUND: Final = "bound"
"""The role that may do everything with the bucket, within a boundary that lets it read only."""
CLOSED: Final = "closed"
"""The role that may do everything, within a boundary that denies everything."""
CLOSING: Final = "iam::aws:policy/AWSDenyAll"
_BOUNDARIES: Final = {BOUND: "iam::aws:policy/AmazonS3ReadOnlyAccess", CLOSED: CLOSING}
"""Policies of AWS's own, so that none has to be made."""
_NOWHERE: Final = "us-east-1"
"""The Region that takes no location: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html"""
_TRIES: Final = 30
_PAUSE: Final = 2.0
_EARLY: Final = frozenset({"AccessDenied", "NoSuchEntity"})


def document(*statements: dict[str, Any]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Scratch:
    """Made by `make`, removed by `remove`; what can't go stays in the ledger for `s3vpce sweep`."""

    def __init__(
        self, control: ControlPlane, *, run_id: str, account_id: str, ledger: Ledger, notify: Callable[[str], None]
    ) -> None:
        self.bucket = f"{SCRATCH}{run_id}-{account_id}"
        self._far = f"{SCRATCH}{run_id}-far-{account_id}"
        self.account_id = account_id
        self.region = control.region
        self.version = "null"
        self.control = control
        self._run_id = run_id
        self._ledger = ledger
        self._notify = notify
        self._roles = {name: resource_name(run_id, f"calibration-{name}") for name in (ALL, FEW, BOUND, CLOSED)}
        self._ids: dict[str, str] = {}

    @property
    def arns(self) -> list[str]:
        """The bucket and all in it."""
        return self.arns_of(self.bucket)

    def arns_of(self, bucket: str) -> list[str]:
        """A bucket and all in it."""
        return [self._arn(f"s3:::{bucket}"), self._arn(f"s3:::{bucket}/*")]

    def bucket_of(self, account_id: str) -> str:
        """The name of the bucket that is made in another account."""
        return f"{SCRATCH}{self._run_id}-with-{account_id}"

    @property
    def _other_arns(self) -> list[str]:
        return [*self.arns_of(self._far), *self.arns_of(self.bucket_of("*"))]

    @property
    def _points(self) -> str:
        return self._arn(f"s3:{self.region}:{self.account_id}:accesspoint/s3vpce-{self._run_id}*")

    def role_arn(self, name: str) -> str:
        return self._arn(f"iam::{self.account_id}:role/{self._roles[name]}")

    @property
    def partition(self) -> str:
        return str(self.control.owner.split(":")[1])

    def userid(self, name: str) -> str:
        """What aws:userid holds in a session of a role."""
        return f"{self._ids[name]}:{self._session_name}"

    @property
    def _session_name(self) -> str:
        return f"s3vpce-{self._run_id}"

    @property
    def root_arn(self) -> str:
        return self._arn(f"iam::{self.account_id}:root")

    @property
    def s3(self) -> Any:
        """The account's own client: it sets the bucket's policy."""
        return self.control.client("s3")

    def make(self) -> None:
        """Everything, in the ledger before it is asked for. RunError where it can't be made; then some may be there."""
        try:
            self._make_roles(self._tags(self.region))
            self.make_bucket(self.bucket, self.region, control=self.control)
            self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
            self.version = self._versioned()
        except FAULTS as error:
            raise _unmade(error) from error

    def _versioned(self) -> str:
        """The version of the canary; `null` where the bucket gives none for long.

        Versioning takes a while to count: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
        """
        for _ in range(_TRIES):
            made = self.s3.put_object(Bucket=self.bucket, Key=KEY, Body=BODY)
            if "VersionId" in made:
                return str(made["VersionId"])
            self.control.pause(_PAUSE)
        return "null"

    def make_bucket_in(self, region: str) -> str:
        """Another bucket with a canary, in another Region."""
        try:
            self.make_bucket(self._far, region, control=self.control)
        except FAULTS as error:
            raise _unmade(error) from error
        return self._far

    def _tags(self, region: str) -> list[dict[str, str]]:
        tags = {**self.tags, marks.REGION: region}
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    @property
    def tags(self) -> dict[str, str]:
        """Of all that one calibration makes."""
        return marks.of_run(self._run_id, owner=self.control.owner)

    def _few(self, *actions: str) -> list[dict[str, Any]]:
        denied = {"Effect": "Deny", "Action": "s3:GetObjectTagging", "Resource": self.arns}
        allowed = ["s3:GetBucketLocation", *actions]
        return [denied, {"Effect": "Allow", "Action": allowed, "Resource": self.arns}]

    def let_few(self, *actions: str) -> None:
        """Allows the role `few` these actions, besides the one that it always may."""
        policy = document(*self._few(*actions))
        iam = self.control.client("iam")
        iam.put_role_policy(RoleName=self._roles[FEW], PolicyName=ROLE_POLICY, PolicyDocument=policy)

    def take_public_policies(self) -> None:
        """A public policy may be put then; it still lets nobody in but the account's own."""
        self._block(BlockPublicPolicy=False)

    def block_public_policies(self) -> None:
        """As it is in every new bucket."""
        self._block(BlockPublicPolicy=True)

    def _block(self, **switched: bool) -> None:
        others = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
        self.s3.put_public_access_block(Bucket=self.bucket, PublicAccessBlockConfiguration={**others, **switched})

    def make_access_point(self) -> str:
        """Its ARN; it goes with the bucket."""
        name = f"s3vpce-{self._run_id}"
        self._notify(f"creating access point {name}")
        self.control.client("s3control").create_access_point(AccountId=self.account_id, Name=name, Bucket=self.bucket)
        return self._arn(f"s3:{self.region}:{self.account_id}:accesspoint/{name}")

    def remove(self, planes: Callable[[str], ControlPlane]) -> list[Remaining]:
        """Takes it all away, from whichever account it is in; what remains, and why."""
        return clear(
            self._ledger.open_entries(),
            lambda entry: strike(self._ledger, entry, planes(entry.account)),
            notify=self._notify,
        )

    def session(self, role: str, *statements: dict[str, Any], tries: int = _TRIES) -> dict[str, Any]:
        """Keys of a session of a role, limited by these statements if there are any."""
        limits = {"Policy": document(*statements)} if statements else {}
        sts = self.control.client("sts")
        while True:
            tries -= 1
            try:
                found: dict[str, Any] = sts.assume_role(
                    RoleArn=self.role_arn(role), RoleSessionName=self._session_name, **limits
                )["Credentials"]
            except FAULTS as error:
                # A role made a moment ago is not known everywhere yet.
                if not tries or code_of(error) not in _EARLY:
                    raise RunError(f"a role of the calibration can't be assumed: {words_of(error)}") from error
                self.control.pause(_PAUSE)
            else:
                return found

    def _make_roles(self, tags: list[dict[str, str]]) -> None:
        iam = self.control.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": self.root_arn}, "Action": "sts:AssumeRole"}
        everything = [
            {"Effect": "Allow", "Action": "s3:*", "Resource": [*self.arns, self._points, *self._other_arns]},
            {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"},
        ]
        for name, statements in ((ALL, everything), (FEW, self._few()), (BOUND, everything), (CLOSED, everything)):
            role = self._roles[name]
            self._notify(f"creating role {role}")
            self._ledger.creating(Kind.IAM_ROLE, account=self.control.account, region=self.region, identifier=role)
            boundary = {"PermissionsBoundary": self._arn(_BOUNDARIES[name])} if name in _BOUNDARIES else {}
            made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=document(trust), Tags=tags, **boundary)
            self._ids[name] = made["Role"]["RoleId"]
            iam.put_role_policy(RoleName=role, PolicyName=ROLE_POLICY, PolicyDocument=document(*statements))

    def make_bucket(self, name: str, region: str, *, control: ControlPlane) -> Any:
        """With a canary, the access lists off and Block Public Access on, as every new bucket is; its client."""
        self._notify(f"creating bucket {name}")
        client, bucket = control.client("s3", region=region), {"Bucket": name}
        place = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != _NOWHERE else {}
        self._ledger.creating(Kind.S3_BUCKET, account=control.account, region=region, identifier=name)
        client.create_bucket(**bucket, **place)
        client.put_bucket_tagging(**bucket, Tagging={"TagSet": self._tags(region)})
        client.put_object(**bucket, Key=KEY, Body=BODY)
        return client

    def _arn(self, rest: str) -> str:
        return f"arn:{self.partition}:{rest}"


def _unmade(error: Exception) -> RunError:
    return RunError(
        f"a calibration can't make what it needs: {words_of(error)}",
        remedy="calibrate with an administrator of a scratch account",
    )
