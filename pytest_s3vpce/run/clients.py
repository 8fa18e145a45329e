"""What a test's own code may use of a vantage point: boto3 clients, requests sessions, lookups and key readings."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.accounts import SessionKind
from pytest_s3vpce.claims.keys import SOURCE_VPC, SOURCE_VPCE, KeyReadings, read_keys
from pytest_s3vpce.claims.setting import allowances, make_probe
from pytest_s3vpce.dangling import NO_ROLE, possible
from pytest_s3vpce.errors import ExpectationError
from pytest_s3vpce.faults import accepted
from pytest_s3vpce.run.describing import describe
from pytest_s3vpce.run.world import CONTROL
from pytest_s3vpce.vantage import boto, lookups, requests_
from pytest_s3vpce.vantage.relay import Relay, call_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import requests
    from botocore.config import Config

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.model import Outcome, Place
    from pytest_s3vpce.run.operator import Operator
    from pytest_s3vpce.run.session import RunSession
    from pytest_s3vpce.signers import Principal
    from pytest_s3vpce.vantage.lookups import Connected, Resolved


class Clients:
    """Made of the run's principals and vantage points; everything that is sent goes on the run's record.

    `place` is where the test asked, for what is wrong with its words.
    """

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._lock = threading.Lock()

    def client(
        self,
        service: str,
        *,
        principal: str,
        vantage: str,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        config: Config | None = None,
        place: Place,
    ) -> Any:
        row = self._principal(principal, vantage, place)
        relay = self._relay("boto3", vantage, principal, place)
        operator = self._operator
        region = region_name or operator.accounts.region(row.account or self._inventory.default_account)
        with self._lock:  # making a client is not for several threads, using it is
            session = operator.accounts.signed_session(SessionKind(principal), region=region)
            return boto.client(
                service,
                relay=relay,
                signing=boto.Signing(session=session, signer=_signer(row), schemes=_schemes(row)),
                region=region,
                user_agent=operator.user_agent,
                config=config,
                endpoint_url=endpoint_url,
            )

    def http(self, *, vantage: str, place: Place) -> requests.Session:
        relay = self._relay("requests", vantage, None, place)
        return requests_.session(relay=relay, user_agent=self._operator.user_agent)

    def resolve(self, host: str, *, vantage: str, place: Place) -> Resolved:
        return lookups.resolve(self._relay("resolve", vantage, None, place), host)

    def connect(self, host: str, port: int, *, vantage: str, place: Place) -> Connected:
        return lookups.connect(self._relay("connect", vantage, None, place), host, port)

    def read_keys(
        self, *, principal: str, vantage: str, bucket: str | None, endpoints: Sequence[str], place: Place
    ) -> KeyReadings:
        row = self._principal(principal, vantage, place)
        if row.role is None:
            raise ExpectationError(
                f"principal `{principal}` is no role, and only a role's session can carry a key reading",
                place=place,
                remedy=accepted(
                    (name for name, other in self._inventory.principals.items() if other.role), instead_of=""
                ),
            )
        label = self._bucket(bucket, row, place)
        self._guard([principal], vantage, place)
        operator = self._operator
        described = describe(operator.world, [vantage], ())
        probe = make_probe("GetObject", label, principal=principal, vantage=vantage)
        grants = allowances(probe, operator.world.bucket(label))

        def ask(policies: Sequence[str]) -> list[Outcome]:
            probes = [
                make_probe("GetObject", label, principal=principal, vantage=vantage, session_policy=policy)
                for policy in policies
            ]
            return self._asked(probes)

        facts = described.endpoints.values()
        found = read_keys(
            ask,
            grants=grants,
            candidates={
                SOURCE_VPCE: dict.fromkeys([*endpoints, *described.endpoints]),
                SOURCE_VPC: dict.fromkeys(row.vpc for row in facts),
            },
        )
        names = ("source_vpce", "source_vpc", "source_ip", "secure_transport", "tls_version")
        readings = dict(zip(names, found.values(), strict=True))
        return KeyReadings(principal=principal, vantage=vantage, bucket=label, **readings)

    def _asked(self, probes: Sequence[Any]) -> list[Outcome]:
        started = time.time()
        seen = self._operator.readings(probes)
        for probe in probes:
            if probe in seen.requests:
                cell = probe.cell
                self._session.record(
                    call_of(
                        seen.requests[probe],
                        seen.answers.get(probe),
                        client="reading",
                        vantage=cell.vantage,
                        principal=cell.principal,
                        started=started,
                    )
                )
        return [seen.counted[probe] for probe in probes]

    # --- names -------------------------------------------------------------------------------------------------------

    @property
    def _inventory(self) -> Inventory:
        return self._session.inventory

    @property
    def _operator(self) -> Operator:
        return self._session.operator

    def _principal(self, name: str, vantage: str, place: Place) -> Principal:
        """A declared principal whose account is the one it should be, where it can be at the vantage point."""
        self._declared(name, self._inventory.principals, "principal", place)
        self._declared(vantage, self._inventory.vantage_points, "vantage point", place)
        if not possible(self._inventory, principal=name, vantage=vantage):
            raise ExpectationError(
                f"`{name}:{vantage}` can't exist: {NO_ROLE[0].format(vantage)}",
                place=place,
                remedy=NO_ROLE[1],
            )
        row = self._inventory.principals[name]
        if row.presigned is not None:
            raise ExpectationError(
                f"principal `{name}` is a presigned URL, which a client can't sign with",
                place=place,
                remedy=f"name `{row.presigned.by}`, who signs it, and have its client presign; or use `probe`",
            )
        self._guard([name], vantage, place)
        if row.signs_here:
            self._operator.accounts.session(row.account or self._inventory.default_account)
        return row

    def _bucket(self, label: str | None, row: Principal, place: Place) -> str:
        if label is not None:
            self._declared(label, self._inventory.buckets, "bucket", place)
            return label
        account = row.account or self._inventory.default_account
        if account not in self._inventory.controls:
            raise ExpectationError(
                f"no control bucket is declared for account `{account}`, on which keys are read",
                place=place,
                remedy="declare one under `controls`, or name a `bucket` that the principal may read from there",
            )
        return f"{CONTROL}{account}"

    def _relay(self, client: str, vantage: str, principal: str | None, place: Place) -> Relay:
        self._guard([principal] if principal else [], vantage, place)
        ready = self._operator.vantages.get(vantage)
        return Relay(ready, client=client, principal=principal, record=self._session.record)

    def _guard(self, principals: Iterable[str], vantage: str, place: Place) -> None:
        self._declared(vantage, self._inventory.vantage_points, "vantage point", place)
        self._operator.guard(principals, [vantage])

    def _declared(self, name: str, known: Iterable[str], what: str, place: Place) -> None:
        if name not in known:
            raise ExpectationError(f"unknown {what} `{name}`", place=place, remedy=accepted(known, instead_of=name))


def _signer(row: Principal) -> boto.Signer:
    if row.ambient:
        return boto.Signer.AGENT
    return boto.Signer.NOBODY if row.anonymous else boto.Signer.HERE


def _schemes(row: Principal) -> frozenset[str]:
    return frozenset({"https", "http"}) if row.send_credentials_in_clear else frozenset({"https"})
