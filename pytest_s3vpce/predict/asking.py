"""What the engine is asked about one check of a case: its condition keys, its policies, and what of them is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.network.path import Path
from pytest_s3vpce.operations import Resource
from pytest_s3vpce.operations.creations import CREATIONS
from pytest_s3vpce.operations.objectlists import OF_OBJECTS
from pytest_s3vpce.operations.tags import TAG_READERS
from pytest_s3vpce.policy import UNKNOWN, Policies
from pytest_s3vpce.policy.acl import ALL_USERS, Acl, AclGrant
from pytest_s3vpce.policy.layers import ENFORCED
from pytest_s3vpce.predict import keys
from pytest_s3vpce.predict.doubt import Doubt
from pytest_s3vpce.predict.layers import Layers, acl_of, organization_of
from pytest_s3vpce.snapshot.state import AccessPointRow, ObjectRow, OrganizationRow, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.operations import Check
    from pytest_s3vpce.policy import Unknown
    from pytest_s3vpce.predict.case import Case
    from pytest_s3vpce.predict.ways import Way
    from pytest_s3vpce.snapshot.state import AccountRow, BucketRow, KeyRow, Snapshot

_BROUGHT: Final = Doubt(prefixes=("lambda:source", "ec2:source", "ec2:roledelivery", "aws:ec2instancesource"))
"""Keys that only a function's or an instance's own credentials carry."""
_CONTEXT: Final = Doubt(keys=frozenset({keys.CONTEXT.lower()}))
_OF_KEYS: Final = Doubt(keys=frozenset({"kms:resourcealiases"}), prefixes=("aws:resourcetag/",))
"""What conditions may ask of a KMS key and nobody reads."""


class Asking:
    """Reads one snapshot."""

    def __init__(self, snapshot: Snapshot, *, now: float) -> None:
        self.snapshot = snapshot
        self.layers = Layers(snapshot.endpoint_sources)
        self._now = now
        self._canonical = {
            row.acl["Owner"]["ID"]: row.account_id
            for row in snapshot.buckets
            if row.acl is not None and not isinstance(row.acl, Unread)
        }

    def keys(
        self, check: Check, bucket: BucketRow, point: AccessPointRow | Unread | None, way: Way, case: Case
    ) -> tuple[dict[str, Any], Doubt]:
        """The condition keys of a check, and which of them are not known."""
        found = {
            **keys.of_way(way, transport=case.cell.transport),
            **keys.of_time(self._now),
            **keys.of_request(
                case.request, case.row, case.parameters, region=bucket.region, calibration=case.calibration
            ),
        }
        prefix = case.prefix(check)
        if prefix is not None:
            found["s3:prefix"] = prefix
        doubt = Doubt(keys=way.unknown)
        if case.caller.kind != "anonymous":
            own, mine = keys.of_principal(case.caller, session=case.session_name, now=self._now)
            found |= {**own, **keys.of_signature(age=case.age, calibration=case.calibration), **(case.brought or {})}
            doubt = doubt.joined(mine).joined(_BROUGHT if case.brought is None else Doubt())
        for whose, account_id in self._members(bucket, way, case):
            more, unknown = self._organization(whose, account_id)
            found |= more
            doubt = doubt.joined(unknown)
        if isinstance(point, AccessPointRow):
            found |= keys.of_point(point)
        elif isinstance(point, Unread):
            doubt = doubt.joined(Doubt(prefixes=("s3:dataaccesspoint", "s3:accesspointnetworkorigin")))
        more, unknown = self._tags(check, bucket, case)
        if check.action.lower() not in case.doubts.ownerless:
            found |= {"aws:ResourceAccount": bucket.account_id, "s3:ResourceAccount": bucket.account_id}
        found |= more
        return found, doubt.joined(unknown)

    def keys_for_kms(
        self, check: Check, bucket: BucketRow, key: KeyRow, way: Way, case: Case, *, encrypted: str | None
    ) -> tuple[dict[str, Any], Doubt]:
        """The condition keys that S3's question to KMS carries, where the key is the resource."""
        given, doubt = self.keys(check, bucket, None, way, case)
        found = keys.for_kms(given, account=case.caller.account or None, encrypted=encrypted, region=bucket.region)
        if encrypted is None:
            doubt = doubt.joined(_CONTEXT)
        more, unknown = self._organization("Resource", key.account)
        doubt = doubt.without("aws:resource").joined(unknown).joined(_OF_KEYS)
        if isinstance(key.policy, Unread) and not key.arn.startswith("arn:"):
            # An alias that nobody could look up may be any account's.
            return found | more, doubt.joined(Doubt(keys=frozenset({"aws:resourceaccount"})))
        return found | more | {"aws:ResourceAccount": key.account}, doubt

    def owned_by(self, account_id: str, given: Mapping[str, Any], doubt: Doubt) -> tuple[dict[str, Any], Doubt]:
        """The condition keys where the resource is this account's: another's access point or object."""
        kept = {key: value for key, value in given.items() if not key.lower().startswith("aws:resourceorg")}
        more, unknown = self._organization("Resource", account_id)
        return kept | more, doubt.without("aws:resourceorg").joined(unknown)

    def policies_of_owner(self, account_id: str) -> dict[str, Any]:
        """What of the policies is the resource's account's: its organization may differ from the bucket's.

        https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
        """
        account = self.snapshot.account_by_id(account_id)
        return {**self.layers.of_owner(account), "resource_in_management_account": _manages(account)}

    def _organization(self, whose: str, account_id: str) -> tuple[dict[str, Any], Doubt]:
        return keys.of_organization(whose, organization_of(self.snapshot.account_by_id(account_id)))

    def _members(self, bucket: BucketRow, way: Way, case: Case) -> Iterator[tuple[str, str]]:
        if case.caller.kind != "anonymous":
            yield "Principal", case.caller.account
        yield "Resource", bucket.account_id
        if isinstance(way.path, Path) and way.path.endpoint is not None:
            yield "Vpce", way.path.endpoint.account

    def _tags(self, check: Check, bucket: BucketRow, case: Case) -> tuple[dict[str, str], Doubt]:
        """The tags of the object that is there, for the actions that look at them."""
        if check.action not in TAG_READERS:
            return {}, Doubt()
        found = self.object_(check, bucket, case)
        tags = found if isinstance(found, Unread) else {} if found is None else found.tags
        if isinstance(tags, Unread):
            return {}, Doubt(prefixes=("s3:existingobjecttag/",))
        return {f"s3:ExistingObjectTag/{name}": value for name, value in tags.items()}, Doubt()

    def object_(self, check: Check, bucket: BucketRow, case: Case) -> ObjectRow | Unread | None:
        key = case.key(check)
        if case.is_absent(key):
            return None
        return bucket.objects.get(key, Unread(unread=f"object {key} was not read"))

    def acl(self, check: Check, bucket: BucketRow, case: Case) -> Acl | Unknown | None:
        if bucket.ownership == ENFORCED or check.resource is Resource.NONE:
            return None
        if isinstance(bucket.ownership, Unread):
            self.layers.unread["acl"] = bucket.ownership.unread
            return UNKNOWN
        if check.action == "s3:PutObjectAcl" and case.row.api_name in CREATIONS:
            return _of_new(case.caller.account or None, bucket)
        given: Mapping[str, Any] | Unread | None = bucket.acl
        if check.action in OF_OBJECTS:
            found = self.object_(check, bucket, case)
            given = found.acl if isinstance(found, ObjectRow) else found
        if isinstance(given, Unread):
            self.layers.unread["acl"] = given.unread
        return acl_of(given, accounts=self._canonical)

    def policies(
        self, bucket: BucketRow, point: AccessPointRow | Unread | None, acl: Acl | Unknown | None, way: Way, case: Case
    ) -> Policies:
        account = self.snapshot.account(bucket.account)
        endpoint: dict[str, Any] = {"vpc_endpoint": UNKNOWN}
        if isinstance(way.path, Path):
            endpoint = self.layers.of_endpoint(way.path.endpoint)
        return Policies(
            **self._of_caller(case),
            **self.layers.of_bucket(bucket, account=account, point=point, acl=acl),
            **endpoint,
            resource_in_management_account=_manages(account),
        )

    def policies_of_key(self, key: KeyRow, case: Case) -> Policies:
        """What decides at KMS: of the key's account, which need not be the bucket's."""
        account = self.snapshot.account_by_id(key.account)
        return Policies(
            **self._of_caller(case),
            **self.layers.of_owner(account),
            key=self.layers.document(key.policy, name=f"policy of {key.arn}", layer="kms"),
            resource_in_management_account=_manages(account),
        )

    def _of_caller(self, case: Case) -> dict[str, Any]:
        mine = self.snapshot.account_by_id(case.caller.account) if case.caller.account else None
        found = self.layers.of_caller(case.caller, session=case.session, account=mine)
        return {**found, "principal_in_management_account": _manages(mine), "doubts": case.doubts}


def _of_new(writer: str | None, bucket: BucketRow) -> Acl:
    """Of the object that a write makes: where ACLs are on, it is its writer's, who sets its list.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    """
    return Acl(grants=(AclGrant(writer or ALL_USERS, "FULL_CONTROL"),), owner=writer or bucket.account_id)


def _manages(account: AccountRow | None) -> bool:
    place = None if account is None else account.organization
    return isinstance(place, OrganizationRow) and account is not None and place.management_account == account.id
