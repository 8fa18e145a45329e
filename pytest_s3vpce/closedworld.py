"""From what expectation files wish to one expectation per cell: `everyone-else` spelled out, clashes refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.dangling import implied
from pytest_s3vpce.errors import ExpectationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.model import Cell, Expect, Place

EVERYONE_ELSE: Final = "everyone-else"


@dataclass(frozen=True, slots=True)
class Wish:
    """One mention in a file: this question, asked by `who` (or everyone else), must end like that.

    `question` is a cell of nobody from nowhere: operation, target, parameters and transport alone.
    """

    question: Cell
    expect: Expect
    who: str
    place: Place

    @property
    def named(self) -> bool:
        return self.who != EVERYONE_ELSE

    @property
    def cell(self) -> Cell:
        """The one cell that a named wish is about."""
        return asked(self.question, who=self.who)


def asked(question: Cell, *, who: str) -> Cell:
    """The question, asked by a principal from a vantage point."""
    principal, _, vantage = who.partition(":")
    return replace(question, principal=principal, vantage=vantage)


class ClosedWorld:
    """All wishes of all files: which cells are named, so that everybody else is known."""

    def __init__(self, wishes: Iterable[Wish], *, granted: Iterable[Cell], inventory: Inventory) -> None:
        self._wishes = tuple(wishes)
        # Of a command nobody knows whether it leads to credentials: whoever expects something of them does.
        spoken_for = {wish.who for wish in self._wishes}
        self._everyone = tuple(
            f"{principal}:{vantage}"
            for principal in inventory.principals
            for vantage in inventory.vantage_points
            if implied(inventory, principal=principal, vantage=vantage) or f"{principal}:{vantage}" in spoken_for
        )
        _check_variants(self._wishes)
        self._named = {wish.cell for wish in self._wishes if wish.named} | set(granted)

    def expected(self) -> Mapping[Wish, tuple[Cell, ...]]:
        """The cells of each wish, by `everyone-else` several; ExpectationError where a cell is expected twice."""
        wished: dict[Cell, Wish] = {}
        rows: dict[Wish, tuple[Cell, ...]] = {}
        for wish in self._wishes:
            rows[wish] = tuple(self._cells(wish))
            for cell in rows[wish]:
                if cell in wished:
                    raise _twice(cell, wished[cell], wish)
                wished[cell] = wish
        return rows

    def _cells(self, wish: Wish) -> Iterator[Cell]:
        if wish.named:
            yield wish.cell
            return
        for who in self._everyone:
            cell = asked(wish.question, who=who)
            if cell not in self._named:
                yield cell


def check_claims(claims: Iterable[tuple[str, Place]]) -> None:
    """Raises ExpectationError where two claims have one id, naming both."""
    first: dict[str, Place] = {}
    for name, place in claims:
        if name in first:
            what = f"`{name}` is claimed twice, first at {first[name]}"
            raise ExpectationError(what, place=place, remedy="give one of them a `name`")
        first[name] = place


def _twice(cell: Cell, first: Wish, second: Wish) -> ExpectationError:
    if first.expect is second.expect:
        what = f"`{cell.id}` is declared twice, first at {first.place}"
    else:
        what = f"`{cell.id}` can't be both {first.expect} (at {first.place}) and {second.expect}"
    return ExpectationError(what, place=second.place, remedy="keep one")


def _check_variants(wishes: Iterable[Wish]) -> None:
    """One id stands for one request: parameters that differ need names that differ."""
    first: dict[Cell, Wish] = {}
    for wish in wishes:
        other = first.setdefault(wish.question, wish)
        if (other.question.parameters, other.question.target) != (wish.question.parameters, wish.question.target):
            label = f"{wish.question.operation}+{wish.question.variant}"
            raise ExpectationError(
                f"`{label}` stands for two requests with different parameters, the first at {other.place}",
                place=wish.place,
                remedy="give one of them a `name`",
            )
