"""Takes a snapshot: everything of an inventory that decides about requests, read with read-only rights."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.accounts import SessionKind
from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.operations.creations import MANAGED
from pytest_s3vpce.run.standing import of_function, of_instance, of_place, session_of
from pytest_s3vpce.run.world import partition_of
from pytest_s3vpce.snapshot import buckets, organization, people
from pytest_s3vpce.snapshot.asking import asked
from pytest_s3vpce.snapshot.paths import network_row
from pytest_s3vpce.snapshot.state import (
    AccountRow,
    BucketRow,
    KeyRow,
    NetworkRow,
    PolicyRow,
    PrincipalRow,
    Snapshot,
    Unread,
    VantageRow,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.world import World

_WORKERS: Final = 16
_TOKENS: Final = Unread(unread="the token that it signs in with may carry tags")
_UNSENT: Final = Unread(unread="it was not asked for")


def take(world: World, environment: Environment, *, kms_keys: Collection[str] = ()) -> Snapshot:
    """The snapshot. Asks as the accounts' own credentials; what they may not read is unread, with the reason.

    `kms_keys` are keys that requests name, besides those of buckets and objects.
    """
    return _Taker(world, environment).take(kms_keys)


class _Taker:
    """The inventory resolved, and the answers so far."""

    def __init__(self, world: World, environment: Environment) -> None:
        self._world = world
        self._inventory = world.inventory
        self._environment = environment
        self._ids = {world.account_id(name): name for name in self._inventory.accounts}

    def take(self, kms_keys: Collection[str]) -> Snapshot:
        with ThreadPoolExecutor(_WORKERS) as pool:
            accounts = pool.map(self._account, self._inventory.accounts)
            people_ = tuple(pool.map(self._principal, self._inventory.principals))
            rows = pool.map(self._bucket, self._world.labels)
            points = tuple(pool.map(self._vantage, self._inventory.vantage_points))
            networks = tuple(pool.map(self._network, self._places(points)))
            found = tuple(rows)
            wanted = self._keys(found, kms_keys)
            others = self._namesakes(wanted, [*people_, *(row.role for row in points if row.role is not None)])
            keys, namesakes = (pool.map(lambda one: self._key(*one), asked_for) for asked_for in (wanted, others))
            return Snapshot(
                mode=self._environment.mode,
                taken_at=round(time.time(), 3),
                inventory=str(self._inventory.path),
                accounts=tuple(accounts),
                principals=people_,
                buckets=found,
                vantages=points,
                networks=networks,
                keys=(*keys, *(row for row in namesakes if row.arn != row.named)),
                endpoint_sources=self._endpoint_sources(),
            )

    def _client(self, service: str, account: str, *, region: str | None = None) -> Any:
        return self._world.accounts.client(service, account=account, region=region)

    def _endpoint_sources(self) -> dict[str, str]:
        given = self._inventory.endpoint_policies
        return {
            self._world.resolve(endpoint, "endpoint_policies", endpoint): str(self._inventory.beside(file))
            for endpoint, file in given.items()
        }

    # --- accounts and who signs --------------------------------------------------------------------------------------

    def _account(self, name: str) -> AccountRow:
        account_id = self._world.account_id(name)
        row = AccountRow(
            name=name, id=account_id, region=self._world.accounts.region(name), organization=_UNSENT, block=_UNSENT
        )
        try:
            others = organization.Clients(self._ids, lambda other: self._client("organizations", other))
            return replace(
                row,
                organization=organization.place_of(
                    self._client("organizations", name), account_id, of_management=others
                ),
                block=buckets.account_block(self._client("s3control", name), account_id),
            )
        except S3VpceError as error:
            why = Unread(unread=error.what)
            return replace(row, organization=why, block=why)

    def _principal(self, name: str) -> PrincipalRow:
        row = self._inventory.principals[name]
        if row.anonymous or row.ambient:
            return PrincipalRow(name=name, kind="anonymous" if row.anonymous else "ambient")
        if row.presigned is not None:
            return PrincipalRow(name=name, kind="presigned", by=row.presigned.by, age=row.presigned.age)
        try:
            arn = self._world.resolve(row.role, "principals", name, "role") if row.role else self._arn_of(name)
            found = self._person(PrincipalRow(name=name, kind="", arn=arn))
        except S3VpceError as error:
            return PrincipalRow(name=name, kind="unknown", why=error.what)
        place = self._inventory.place("principals", name)
        own = self._world.accounts.own_policy(name)
        return replace(
            found,
            identity=people.sourced(
                found.identity, {policy: str(self._inventory.beside(file)) for policy, file in row.policy_files.items()}
            ),
            session=None if own is None else PolicyRow(name="session policy", document=own),
            session_name=None if row.session_name is None else self._world.references.resolve(row.session_name, place),
            source_identity=None
            if row.source_identity is None
            else self._world.references.resolve(row.source_identity, place),
            tags=_TOKENS
            if row.web_identity is not None
            else found.tags
            if isinstance(found.tags, Unread)
            else {**found.tags, **self._tags(name)},
            mfa=row.mfa is not None,
        )

    def _tags(self, name: str) -> dict[str, str]:
        place = self._inventory.place("principals", name, "session_tags")
        given = self._inventory.principals[name].session_tags
        return {key: self._world.references.resolve(value, place) for key, value in given.items()}

    def _arn_of(self, name: str) -> str:
        """Of whoever has these keys, said by STS, which everybody may ask."""
        account = self._inventory.principals[name].account or self._inventory.default_account
        region = self._world.accounts.region(account)
        session = self._world.accounts.signed_session(SessionKind(name), region=region)
        sts = self._environment.connection.client(session, "sts")
        found = asked(lambda: str(sts.get_caller_identity()["Arn"]))
        if not isinstance(found, str):
            raise S3VpceError("whose keys these are could not be asked" if found is None else found.unread)
        return found

    def _person(self, row: PrincipalRow) -> PrincipalRow:
        """A role, user or root, by its ARN, with what IAM of its account says."""
        parts = row.arn.split(":", 5)
        account_id, rest = parts[4], parts[5]
        kind, _, name = rest.partition("/")
        row = replace(row, account=account_id)
        if rest == "root":
            return replace(row, kind="root", id=account_id)
        if kind == "assumed-role":
            row = replace(row, arn=f"arn:{parts[1]}:iam::{account_id}:role/{name.partition('/')[0]}")
            kind = "role"
        if kind not in ("role", "user"):
            return replace(row, kind="unknown", why=f"`{row.arn}` is neither a role nor a user")
        row = replace(row, kind=kind)
        account = self._ids.get(account_id)
        if account is None:
            why = Unread(unread=f"account `{account_id}` is not in the inventory")
            return replace(row, id=why, tags=why, identity=why, boundary=why)
        iam = self._client("iam", account)
        return people.role(iam, row) if kind == "role" else people.user(iam, row)

    # --- where from --------------------------------------------------------------------------------------------------

    def _vantage(self, name: str) -> VantageRow:
        point = self._inventory.vantage_points[name]
        path = ("vantage_points", name, point.kind)
        if point.settled is None:
            direct = point.local is not None and point.local.proxy == "none"
            written = None if point.local is None else point.local.address
            own = None if written is None else self._world.resolve(written, *path, "address")
            return of_place(name, point.kind, direct=direct, address=self._environment.address or own)
        account = point.account or self._inventory.default_account
        row = VantageRow(name=name, kind=point.kind, account=account)
        try:
            own = point.settled.region
            region = self._world.resolve(own, *path, "region") if own else self._world.accounts.region(account)
            row = replace(row, region=region)
            ec2 = self._client("ec2", account, region=region)
            if point.lambda_ is not None:
                functions = self._client("lambda", account, region=region)
                found, role = of_function(row, ec2, functions, self._world, point.lambda_)
            else:
                assert point.ec2 is not None
                found, role = of_instance(row, ec2, self._client("iam", account), self._world, point.ec2)
            if role is None:
                return found
            signer = self._person(PrincipalRow(name="", kind="", arn=role))
            return replace(found, role=replace(signer, session_name=session_of(found)))
        except S3VpceError as error:
            return replace(row, why=error.what)

    def _places(self, points: Iterable[VantageRow]) -> list[tuple[str, str]]:
        own = [(name, self._world.accounts.region(name)) for name in self._inventory.accounts]
        return list(dict.fromkeys([*own, *((row.account, row.region) for row in points if row.region)]))

    def _network(self, place: tuple[str, str]) -> NetworkRow:
        account, region = place
        account_id = self._world.account_id(account)
        try:
            return network_row(self._client("ec2", account, region=region), region=region, account_id=account_id)
        except S3VpceError as error:
            return NetworkRow(account=account_id, region=region, topology=Unread(unread=error.what))

    # --- what is asked for -------------------------------------------------------------------------------------------

    def _bucket(self, label: str) -> BucketRow:
        facts = self._world.bucket(label)
        declared = self._inventory.buckets.get(label)
        path = ("buckets", label)
        keys = {} if declared is None else declared.keys
        hosts = {} if declared is None else declared.hosts
        source = None if declared is None or declared.policy_file is None else declared.policy_file
        row = BucketRow(
            label=label,
            name=facts.name,
            account=facts.account,
            account_id=facts.account_id,
            region=self._world.region(label),
            key=facts.key,
            keys={name: self._world.resolve(text, *path, "keys", name) for name, text in keys.items()},
            hosts={name: self._world.resolve(text, *path, "hosts", name) for name, text in hosts.items()},
            policy=None
            if source is None
            else PolicyRow(name="", document={}, source=str(self._inventory.beside(source))),
            block=_UNSENT,
            ownership=_UNSENT,
            acl=None,
            encryption=_UNSENT,
        )
        try:
            client = self._client("s3", facts.account, region=row.region)
            found = buckets.bucket(client, row, keys=(row.key, *row.keys.values()))
            return replace(found, points=dict(self._points(found)))
        except S3VpceError as error:
            why = Unread(unread=error.what)
            return replace(row, policy=why, block=why, ownership=why, acl=why, encryption=why)

    def _points(self, row: BucketRow) -> Iterator[tuple[str, Any]]:
        for arn in row.hosts.values():
            if arn.startswith("arn:"):
                _, _, _, region, account_id, _ = arn.split(":", 5)
                account = self._ids.get(account_id)
                if account is None:
                    yield arn, Unread(unread=f"account `{account_id}` is not in the inventory")
                else:
                    yield arn, buckets.access_point(self._client("s3control", account, region=region), arn)

    def _keys(self, rows: Sequence[BucketRow], named: Collection[str]) -> list[tuple[str | None, str, str]]:
        """Each key's name, the account that it is asked of, and its Region."""
        found = [(name, self._owner(name, row.account), row.region) for row in rows for name in buckets.key_names(row)]
        first = self._inventory.default_account
        region = rows[0].region if rows else self._world.accounts.region(first)
        return list(dict.fromkeys([*found, *((name, self._owner(name, first), region) for name in named)]))

    def _namesakes(
        self, wanted: Sequence[tuple[str | None, str, str]], people_: Sequence[PrincipalRow]
    ) -> list[tuple[str | None, str, str]]:
        """Aliases alone in the accounts of callers, where they may stand for other keys or for none.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html
        """
        aliases = [
            (name, region) for name, _, region in wanted if (name or "").startswith("alias/") and name != MANAGED
        ]
        callers = dict.fromkeys(self._ids[row.account] for row in people_ if row.account in self._ids)
        found = ((name, account, region) for name, region in aliases for account in callers)
        return [one for one in dict.fromkeys(found) if one not in wanted]

    def _owner(self, name: str | None, default: str) -> str:
        parts = (name or "").split(":")
        return self._ids.get(parts[4], default) if len(parts) > 5 else default

    def _key(self, name: str | None, account: str, region: str) -> KeyRow:
        account_id = self._world.account_id(account)
        try:
            kms = self._client("kms", account, region=region)
            return buckets.key(kms, name, account=account_id, region=region, partition=partition_of(region))
        except S3VpceError as error:
            return KeyRow(named=name or "", arn=name or "", account=account_id, policy=Unread(unread=error.what))
