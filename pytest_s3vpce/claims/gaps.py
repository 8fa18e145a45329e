"""What a claim does not cover: told, or accepted by its author, name by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Gap:
    """A sentence, or the beginning of one and the names that end it: operations, who from where, values of a policy.

    `bound` is, of a policy's deny, the element or condition key that bounds it, in lower case.
    """

    says: str
    names: tuple[str, ...] = ()
    bound: str = ""

    def __str__(self) -> str:
        return f"{self.says} {', '.join(self.names)}" if self.names else self.says


def sorted_out(gaps: Iterable[Gap], accepts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that are left, and those that are accepted: by each of its names, or by the whole sentence without any.

    What is accepted and was covered after all, or is no gap's name, is a gap itself.
    """
    wanted = dict.fromkeys(accepts)
    left: list[str] = []
    accepted: list[str] = []
    met: set[str] = set()
    for gap in gaps:
        known = gap.names or (gap.says,)
        taken = tuple(name for name in known if name in wanted)
        met.update(taken)
        for rows, names in ((left, tuple(name for name in known if name not in wanted)), (accepted, taken)):
            if names:
                rows.append(str(replace(gap, names=names if gap.names else ())))
    left += [f"`{name}` is accepted as not covered, and no gap is of that name" for name in wanted if name not in met]
    return tuple(left), tuple(accepted)
