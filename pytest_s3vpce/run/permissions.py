"""The rights that an inventory's runs need and no others: per account, in probed roles' trust, in a function's role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.run.needs import NEEDS, Mode
from pytest_s3vpce.run.statements import conditions, document, statement, without_repetition
from pytest_s3vpce.run.touched import touched
from pytest_s3vpce.vantage import deployment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.touched import Assumption, Facts, Runner


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRights:
    """The policy of an account's runner; `signs_in` is that of the profile, where the runner is a role."""

    name: str
    id: str
    runner: Mapping[str, Any]
    signs_in: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """All policies that an inventory's runs rest on, as documents."""

    accounts: tuple[AccountRights, ...]
    trust: Mapping[str, Mapping[str, Any]]
    """Of the probed roles, by their ARNs."""
    chains: Mapping[str, Mapping[str, Any]]
    """Of the roles on the way to them: what each has to assume."""
    function_trust: Mapping[str, Any] | None
    """With `function`, of the role that a function has; None where no function is made."""
    function: Mapping[str, Any] | None


def permissions(inventory: Inventory, environment: Environment, *, mode: Mode = Mode.CREATE) -> Permissions:
    """What this inventory needs. Asks nobody: only references are resolved."""
    found = touched(inventory, environment, keeps=mode not in (Mode.CREATE, Mode.SWEEP), sweeps=mode is Mode.SWEEP)
    made = mode is Mode.CREATE and any(facts.get("made_functions") for facts in found.facts.values())
    return Permissions(
        accounts=tuple(_account(row, found.facts[row.name], mode) for row in found.accounts),
        trust=_trust(found.assumptions),
        chains=_chains(found.assumptions),
        function_trust=deployment.TRUST if made else None,
        function=deployment.INTERFACES if made else None,
    )


def _account(row: Runner, facts: Facts, mode: Mode) -> AccountRights:
    entry = None if row.role is None else [statement("AssumeTheRunner", ("sts:AssumeRole",), [row.role])]
    return AccountRights(
        name=row.name,
        id=row.id,
        runner=document([*without_repetition([*_statements(facts, mode)])]),
        signs_in=None if entry is None else document(entry),
    )


# --- documents -------------------------------------------------------------------------------------------------------


def _trust(assumptions: Iterable[Assumption]) -> dict[str, dict[str, Any]]:
    """What the roles that are assumed have to say of who assumes them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in assumptions:
        whole = {"Effect": "Allow", "Principal": {"AWS": row.by}, "Action": list(row.actions)}
        whole["Condition"] = dict(row.where)
        rows = found.setdefault(row.role, [])
        rows += [whole] if whole not in rows else []
    return {role: document(rows) for role, rows in found.items()}


def _chains(assumptions: Iterable[Assumption]) -> dict[str, dict[str, Any]]:
    """What the roles on the way need themselves."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in assumptions:
        if row.is_chained:
            found.setdefault(row.by, []).append(statement("", row.actions, [row.role]))
    return {role: document(rows) for role, rows in found.items()}


def _statements(facts: Facts, mode: Mode) -> Iterator[dict[str, Any]]:
    for need in NEEDS:
        resources = list(facts.get(need.on, ()))
        if resources and mode in need.modes:
            yield statement(need.sid, need.actions, resources, conditions(need.where, facts))
