"""Expectation files, `test_*.access.yaml`: what each cell must give, and the claims to prove."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence  # noqa: TC003 - pydantic reads annotations
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from pytest_s3vpce import forms
from pytest_s3vpce.claimbase import ClaimSpec, inventory_of
from pytest_s3vpce.claimforms import ClaimItem  # noqa: TC001
from pytest_s3vpce.closedworld import EVERYONE_ELSE, ClosedWorld, Wish, check_claims
from pytest_s3vpce.dangling import check_name, check_who
from pytest_s3vpce.errors import ExpectationError
from pytest_s3vpce.faults import Fault, KeyFault, translated
from pytest_s3vpce.inventory import Inventory
from pytest_s3vpce.model import Cell, Expect, Place, Target, Transport
from pytest_s3vpce.questions import (
    action_of,
    granted_cells,
    row_of,
    row_of_action,
    row_of_operation,
    variant_of,
)
from pytest_s3vpce.schema import Flag, Name, Seconds, Several, Strict, Text
from pytest_s3vpce.yamlplaces import Document, read, within

PATTERN: Final = "test_*.access.yaml"
_NO_TESTS: Final = ("*.egg", ".*", "build", "dist", "node_modules", "venv", "__pycache__")
"""Folders without tests, as pytest's own norecursedirs has them."""


@dataclass(frozen=True, slots=True)
class ExpectedCell:
    """A cell, what it must give, and where that was written."""

    cell: Cell
    expect: Expect
    place: Place

    @property
    def id(self) -> str:
        return self.cell.id


@dataclass(frozen=True, slots=True)
class ExpectationFile:
    """A file that was read and checked against the inventory; `wishes` and `claims` are in file order."""

    path: Path
    wishes: tuple[Wish, ...]
    claims: tuple[ClaimSpec, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Every cell and claim of all files."""

    cells: tuple[ExpectedCell, ...]
    claims: tuple[ClaimSpec, ...]
    by_file: Mapping[str, tuple[ExpectedCell | ClaimSpec, ...]] = field(default_factory=dict, repr=False)

    def items_of(self, path: Path) -> tuple[ExpectedCell | ClaimSpec, ...]:
        """One file's cells and claims, in file order; each has an `id` and a `place`."""
        return self.by_file.get(os.path.realpath(path), ())


_Transport = Annotated[
    Transport, BeforeValidator(forms.choice(Transport, "transport"), json_schema_input_type=Transport)
]


class Ask(Strict):
    """What is asked: an action or an operation, with boto3's parameters where they matter."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["action"]}, {"required": ["operation"]}]})

    action: Annotated[str, AfterValidator(lambda text: action_of(row_of_action(text)))] | None = None
    operation: Annotated[str, AfterValidator(lambda text: row_of_operation(text).name)] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    name: Name | None = None
    inferred: Flag = False
    mutating: Flag = False

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.action is None) == (self.operation is None):
            raise Fault("exactly one of action, operation is wanted", remedy="keep one")
        for name, remedy in _TARGETS.items():
            if name in self.parameters:
                raise KeyFault(f"`{name}` is no parameter here", path=("parameters", name), remedy=remedy)
        return self

    @property
    def asked(self) -> str:
        return self.action or self.operation or ""


_TARGETS: Final = {
    "Bucket": "the entry's `bucket` names it",
    "Key": "the entry's `key` names one of the bucket's `keys`",
}


def _ask(given: Any) -> Any:
    return {"action" if ":" in given else "operation": given} if isinstance(given, str) else given


class Entry(Strict):
    """Actions on a bucket, and who may do them from where."""

    bucket: Text
    actions: Several[Annotated[Ask, BeforeValidator(_ask, json_schema_input_type=str | Ask)]]
    allow: Several[Text] | None = None
    deny: Several[Text] | None = None
    unreachable: Several[Text] | None = None
    blocked: Several[Text] | None = None
    transport: _Transport | None = None
    transports: Several[_Transport] | None = None
    key: Text | None = None
    host: Text | None = None
    inferred: Flag = False
    mutating: Flag = False
    timeout: Annotated[Seconds, Field(ge=1, le=50)] | None = None
    """In seconds; by default the vantage point's own."""
    settle: Seconds | None = None
    """In seconds: measured until the answers agree throughout; by default the inventory's, or the command line's."""

    @model_validator(mode="after")
    def _is_declared(self, info: ValidationInfo) -> Self:
        inventory = inventory_of(info)
        check_name(inventory.buckets, self.bucket, "bucket", ("bucket",))
        bucket = inventory.buckets[self.bucket]
        for name, known in (("key", bucket.keys), ("host", bucket.hosts)):
            if getattr(self, name) is not None:
                check_name(known, getattr(self, name), f"{name} of bucket `{self.bucket}`:", (name,))
        if self.transport and self.transports:
            raise KeyFault("`transport` and `transports` say the same", path=("transports",), remedy="keep one")
        for number, ask in enumerate(self.actions):
            if self.key and not row_of(ask.asked).on_object:
                remedy = "put it into an entry without `key`"
                raise Fault(f"`{ask.asked}` is about no key", path=("actions", number), remedy=remedy)
        mentions = list(self.mentions())
        if not mentions:
            raise Fault("this expects nothing of anybody", remedy="add allow, deny, unreachable or blocked")
        for expect, path, who in mentions:
            if who != EVERYONE_ELSE:
                if ":" not in who and expect is not Expect.ALLOW:
                    remedy = f"{forms.WHO.remedy}, or {EVERYONE_ELSE}"
                    raise Fault(f"`{who}` is not {forms.WHO.what}", path=path, remedy=remedy)
                check_who(inventory, who, path)
            elif expect is Expect.ALLOW:
                remedy = "it stands under deny, unreachable or blocked"
                raise Fault(f"`{who}` can't be allowed", path=path, remedy=remedy)
        return self

    def mentions(self) -> Iterator[tuple[Expect, tuple[str, int], str]]:
        """Each who with its expectation and its path in the entry."""
        for expect in Expect:
            for number, who in enumerate(getattr(self, expect.value) or ()):
                yield expect, (expect.value, number), who

    def questions(self, inventory: Inventory) -> Iterator[Cell]:
        """Each action over each transport, asked by nobody yet."""
        bucket = inventory.buckets[self.bucket]
        target = Target(
            bucket=self.bucket,
            name="+".join(name for name in (self.key, self.host) if name),
            key=bucket.keys[self.key] if self.key else None,
            host=bucket.hosts[self.host] if self.host else None,
        )
        for ask in self.actions:
            row = row_of(ask.asked)
            for transport in self.transports or (self.transport or Transport.HTTPS,):
                yield Cell(
                    operation=row.name,
                    action=ask.action or action_of(row),
                    target=target,
                    principal="",
                    vantage="",
                    transport=transport,
                    variant=ask.name or variant_of(ask.parameters),
                    parameters=ask.parameters,
                    inferred=self.inferred or ask.inferred,
                    mutating=self.mutating or ask.mutating,
                    timeout=self.timeout,
                    settle=self.settle,
                )


# --- files -----------------------------------------------------------------------------------------------------------


class AccessFile(Strict):
    """A whole expectation file."""

    expect: Annotated[tuple[Entry, ...], AfterValidator(forms.filled)] = ()
    claims: Annotated[tuple[ClaimItem, ...], AfterValidator(forms.filled)] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        forms.filled((*self.expect, *self.claims))
        return self


def find_expectations(folder: Path) -> tuple[Path, ...]:
    """Every expectation file under a folder, in a stable order."""
    found: list[Path] = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in _NO_TESTS)]
        found += [Path(here, name) for name in files if fnmatch(name, PATTERN)]
    return tuple(sorted(found))


def load_expectations(path: Path, inventory: Inventory) -> ExpectationFile:
    """Reads a file and checks its names; ExpectationError says the place, the bad value and what is accepted."""
    return _checked(read(path, error=ExpectationError), inventory)


def declared(data: Mapping[str, Any], inventory: Inventory, *, place: Place) -> ExpectationFile:
    """What a Python test asks for, checked as a file's content is: `data` holds `expect` and `claims`."""
    return _checked(Document(Path(place.path), within(data, place)), inventory)


def _checked(document: Document, inventory: Inventory) -> ExpectationFile:
    try:
        rows = AccessFile.model_validate(document.data, context={"inventory": inventory})
    except ValidationError as found:
        raise translated(found.errors(include_url=False), document, error=ExpectationError) from None
    wishes = tuple(
        Wish(question, expect, who, document.place("expect", number, *at))
        for number, entry in enumerate(rows.expect)
        for question in entry.questions(inventory)
        for expect, at, who in entry.mentions()
    )
    claims = tuple(claim.spec(document, number, inventory) for number, claim in enumerate(rows.claims))
    return ExpectationFile(document.path, wishes, claims)


def plan_of(inventory: Inventory) -> Plan:
    """What all expectation files beside the inventory and below it declare: `everyone-else` needs every one."""
    files = [load_expectations(path, inventory) for path in find_expectations(inventory.path.parent)]
    return plan_cells(files, inventory)


def plan_cells(files: Sequence[ExpectationFile], inventory: Inventory) -> Plan:
    """One expectation per cell over all files, `everyone-else` spelled out; ExpectationError names both of a clash."""
    claims = tuple(claim for file in files for claim in file.claims)
    check_claims((claim.id, claim.place) for claim in claims)
    granted = {cell for claim in claims for cell in granted_cells(claim.bucket, claim.actions, claim.granted)}
    world = ClosedWorld([wish for file in files for wish in file.wishes], granted=granted, inventory=inventory)
    rows = world.expected()
    by_file: dict[str, tuple[ExpectedCell | ClaimSpec, ...]] = {}
    cells: list[ExpectedCell] = []
    for file in files:
        own = [ExpectedCell(cell, wish.expect, wish.place) for wish in file.wishes for cell in rows[wish]]
        by_file[os.path.realpath(file.path)] = (*own, *file.claims)
        cells += own
    return Plan(cells=tuple(cells), claims=claims, by_file=by_file)


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas of both files, by file name, for editors: they describe what a user writes."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        "inventory.schema.json": head | Inventory.written_schema(),
        "expectations.schema.json": head | AccessFile.written_schema(),
    }
