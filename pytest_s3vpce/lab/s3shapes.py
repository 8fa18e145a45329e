"""How S3's operations look on the wire: read from `s3shapes.json`, which holds what botocore's model of S3 says.

The model itself is a megabyte that botocore must be loaded for; a test holds the two together.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

FILE: Final = Path(__file__).with_name("s3shapes.json")
IGNORED_QUERY: Final = re.compile(r"x-id|X-Amz-\w|x-amz-\w", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How an operation looks on the wire."""

    name: str
    method: str
    level: int
    """0: the service, 1: a bucket, 2: a key."""
    literals: Mapping[str, str]
    required_query: frozenset[str]
    required_headers: frozenset[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    integers: frozenset[str]
    document: str | None
    document_required: bool

    @property
    def weight(self) -> int:
        return 2 * len(self.literals) + len(self.required_query) + len(self.required_headers)

    def fits(self, query: Mapping[str, str], headers: AbstractSet[str]) -> bool:
        """Whether a request of its method and level is it."""
        return (
            all(name in query and value in ("", query[name]) for name, value in self.literals.items())
            and self.required_query <= query.keys()
            and self.required_headers <= headers
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """All operations by method and level, the most specific ones first; and the names of all sub-resources.

    The sub-resources of operations that the catalogue does not know count as well: they must not fall through.
    """

    rows: Mapping[tuple[str, int], tuple[Shape, ...]]
    plain: Mapping[tuple[str, int], tuple[Shape, ...]]
    """Those of them that no query is needed for."""
    query: frozenset[str]
    """The names in a query that any operation needs."""
    subresources: frozenset[str]

    @classmethod
    def of(cls, rows: Iterable[Shape]) -> Shapes:
        by_place: dict[tuple[str, int], list[Shape]] = {}
        ordered = sorted(rows, key=lambda row: -row.weight)
        for row in ordered:
            by_place.setdefault((row.method, row.level), []).append(row)
        names = {name for row in ordered for name in (*row.literals, *row.required_query)}
        return cls(
            rows={place: tuple(found) for place, found in by_place.items()},
            plain={
                place: tuple(row for row in found if not row.literals and not row.required_query)
                for place, found in by_place.items()
            },
            query=frozenset(names),
            subresources=frozenset(name for name in names if not IGNORED_QUERY.match(name)),
        )

    def match(self, method: str, level: int, query: Mapping[str, str], headers: AbstractSet[str]) -> Shape | None:
        """The most specific operation that fits; None where the query names a sub-resource that it does not."""
        rows = self.plain if self.query.isdisjoint(query) else self.rows
        best = next((row for row in rows.get((method, level), ()) if row.fits(query, headers)), None)
        if best is None:
            return None
        strange = any(
            name in self.subresources and name not in best.literals and name not in best.query for name in query
        )
        return None if strange else best


@cache
def shapes() -> Shapes:
    """Those of the file."""
    return Shapes.of(_shape(row) for row in json.loads(FILE.read_text(encoding="utf-8")))


def _shape(row: dict[str, Any]) -> Shape:
    sets = {name: frozenset(row[name]) for name in ("required_query", "required_headers", "integers")}
    return Shape(**{**row, **sets})
