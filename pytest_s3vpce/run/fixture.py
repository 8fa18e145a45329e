"""The `s3vpce` fixture's object: probes and proofs in Python tests."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pytest_s3vpce.errors import ExpectationError, S3VpceError
from pytest_s3vpce.expectations import declared, plan_cells
from pytest_s3vpce.matrix import CellResult, ClaimResult, Verdict
from pytest_s3vpce.model import Expect, Outcome, Place
from pytest_s3vpce.operations import operation
from pytest_s3vpce.run.clients import Clients
from pytest_s3vpce.run.verdicts import verdicts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import requests
    from botocore.config import Config

    from pytest_s3vpce.claims.keys import KeyReadings
    from pytest_s3vpce.run.session import RunSession
    from pytest_s3vpce.vantage.lookups import Connected, Resolved

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class ResolvedBucket:
    """A bucket of the inventory with its references resolved."""

    name: str
    account_id: str
    region: str
    canary: str


class NotProven(AssertionError):  # noqa: N818 - reads as what happened
    """A claim that is not proven; `result` carries verdict, evidence and coverage."""

    def __init__(self, text: str, result: ClaimResult) -> None:
        super().__init__(text)
        self.result = result


def _told_at_the_caller(method: Callable[_Given, _Answer]) -> Callable[_Given, _Answer]:
    """What goes wrong is shown at the test's own line: frames of this package would say nothing to its author."""

    @functools.wraps(method)
    def call(*args: _Given.args, **named: _Given.kwargs) -> _Answer:
        __tracebackhide__ = True
        try:
            return method(*args, **named)
        except (S3VpceError, NotProven) as error:
            raise error.with_traceback(None) from None

    return call


class S3vpce:
    """What a Python test may ask. Each `probe` is one send of its own; declared cells are batched."""

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._clients = Clients(session)

    @_told_at_the_caller
    def bucket(self, name: str) -> ResolvedBucket:
        """A bucket by its name in the inventory. Raises ExpectationError where there is none."""
        inventory = self._session.inventory
        if name not in inventory.buckets:
            raise ExpectationError(f"unknown bucket `{name}`", remedy=f"declared are {', '.join(inventory.buckets)}")
        world = self._session.operator.world
        facts = world.bucket(name)
        return ResolvedBucket(name=facts.name, account_id=facts.account_id, region=world.region(name), canary=facts.key)

    @_told_at_the_caller
    def probe(
        self,
        action: str,
        *,
        bucket: str,
        principal: str,
        vantage: str,
        transport: str = "https",
        parameters: Mapping[str, Any] | None = None,
        key: str | None = None,
        host: str | None = None,
        inferred: bool = False,
        mutating: bool = False,
    ) -> Outcome:
        """Sends one probe and gives its outcome: `.allowed`, `.denied`, `.unreachable`, `.inconclusive`, `.layer`.

        `action` is an IAM action or an operation's name; the other names are the inventory's. Raises ExpectationError
        for a name that is not declared.
        """
        ask = {
            "action" if ":" in action else "operation": action,
            "parameters": parameters or {},
            "inferred": inferred,
            "mutating": mutating,
        }
        entry = {"bucket": bucket, "actions": [ask], "allow": [f"{principal}:{vantage}"], "transport": transport}
        file = declared({"expect": [{**entry, "key": key, "host": host}]}, self._session.inventory, place=_here())
        cells = plan_cells([file], self._session.inventory).cells
        reads = not operation(cells[0].cell.operation).writes
        # What reads needs no canary, and what writes one that somebody else reads where the files say who may.
        unread = tuple(replace(row, expect=Expect.DENY) for row in cells)
        readers = self._session.readers_for(unread, [])
        matrix = self._session.operator.observe(unread if reads else cells, [], readers=readers)
        self._session.keep(replace(matrix, cells=(), controls=()))
        return _outcome(matrix.cells[0])

    @_told_at_the_caller
    def prove(self, kind: str, **fields: Any) -> ClaimResult:
        """Proves a claim, with the fields it has in YAML. Raises NotProven where it is refuted or inconclusive.

        In a strict run also where the claim knows of something that it does not cover.
        """
        file = declared({"claims": [{kind: fields}]}, self._session.inventory, place=_here())
        readers = self._session.readers_for([], file.claims)
        try:
            matrix = self._session.operator.observe([], file.claims, readers=readers)
        except S3VpceError as error:
            self._session.unproven(file.claims[0].id, error)
            raise
        if matrix.claims[0].verdict is not Verdict.PROVEN:
            matrix = self._session.foreseen(matrix)
        result = matrix.claims[0]
        self._session.keep(matrix)
        if not result.passed:
            raise NotProven(verdicts_of(self._session.shown(matrix))[result.id].text, result)
        return result

    @_told_at_the_caller
    def client(
        self,
        service: str,
        *,
        principal: str,
        vantage: str,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        config: Config | None = None,
    ) -> Any:
        """A boto3 client whose requests are signed here by the principal and leave from the vantage point.

        `region_name` is the principal's account's where none is given. Usable from several threads.
        """
        return self._clients.client(
            service,
            principal=principal,
            vantage=vantage,
            region_name=region_name,
            endpoint_url=endpoint_url,
            config=config,
            place=_here(),
        )

    @_told_at_the_caller
    def http(self, *, vantage: str) -> requests.Session:
        """A `requests.Session` whose requests leave from the vantage point: to AWS, and to the `allow_hosts`."""
        return self._clients.http(vantage=vantage, place=_here())

    @_told_at_the_caller
    def resolve(self, host: str, *, vantage: str) -> Resolved:
        """The addresses that the vantage point's resolver gives: `.addresses`, `.ok`, `.failure`, `.detail`."""
        return self._clients.resolve(host, vantage=vantage, place=_here())

    @_told_at_the_caller
    def connect(self, host: str, port: int, *, vantage: str) -> Connected:
        """Whether a TCP connection comes up from there: `.ok`, `.failure`, `.peer`, `.local`, `.addresses`."""
        return self._clients.connect(host, port, vantage=vantage, place=_here())

    @_told_at_the_caller
    def read_keys(
        self, *, principal: str, vantage: str, bucket: str | None = None, endpoints: Sequence[str] = ()
    ) -> KeyReadings:
        """The condition keys that S3 sees: `.source_vpce`, `.source_vpc`, `.source_ip`, `.secure_transport`, ...

        Measured on the canary of the account's control bucket, or of `bucket`. `endpoints` are candidates besides
        those that the vantage point's account describes.
        """
        return self._clients.read_keys(
            principal=principal, vantage=vantage, bucket=bucket, endpoints=endpoints, place=_here()
        )


def _here() -> Place:
    """Where the test called from: the first frame outside of this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to a caller's line without building a whole stack
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("pytest_s3vpce."):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def _outcome(row: CellResult) -> Outcome:
    counted = row.counted
    return Outcome(
        kind=counted.outcome,
        layer=counted.layer,
        explicit=counted.explicit,
        action=counted.action,
        code=counted.code,
        message=counted.message,
        reason=counted.reason,
    )
