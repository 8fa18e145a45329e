"""Which situations a matrix of requests holds, and which of its cells are in which: see `alike`."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.policy.alike import READ, READ_FOR_KMS, Axis, Contents, Likeness, Numbers, documents_in, face_of
from pytest_s3vpce.policy.axes import LAYERS, lower

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.policy.alike import Face
    from pytest_s3vpce.policy.axes import Axes, Bucket, Check, Principal, Vantage
    from pytest_s3vpce.policy.documents import Document

_BUCKET: Final = re.compile(r"(arn:[^:]+:s3:::)[^:/]+")
_CHUNK: Final = 20_000
"""Decisions in one piece of work for an executor: enough to be worth sending policies along."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A bucket and a principal: the class of each vantage point; from `start` on, each class has its row of rulings."""

    vantages: Sequence[int]
    start: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Situations to decide, each with every operation."""

    buckets: Mapping[int, Bucket]
    principals: Mapping[int, Principal]
    vantages: Mapping[int, Vantage]
    checks: tuple[Check, ...]
    operations: tuple[tuple[int, ...], ...]
    situations: Sequence[tuple[int, int, int]]


class Plan:
    """Which situations there are, and which cells have which of them."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._contents = Contents()
        self._checks = [check for operation in axes.operations for check in operation.checks]
        paths = sorted({check.path for check in self._checks})
        self._faces = {
            Axis.BUCKET: [self._bucket(bucket, paths) for bucket in axes.buckets],
            Axis.PRINCIPAL: [self._face(row, principal=row.principal) for row in axes.principals],
            Axis.VANTAGE: [self._face(row) for row in axes.vantages],
            Axis.CHECK: [
                face_of(lower(check.context), fixed=(check.action.lower(), check.path)) for check in self._checks
            ],
        }
        read = READ if all(row.key is None for row in axes.buckets) else READ | READ_FOR_KMS
        self._likeness = Likeness(self._faces, self._contents, read=read)
        self.situations: list[tuple[int, int, int]] = []
        self.sheets: list[Sheet] = []
        self._sort_operations()
        self._sort_buckets()

    def _face(self, row: Any, **given: Any) -> Face:
        layers = [getattr(row, name) for name in LAYERS[type(row)]]
        return face_of(
            lower(row.context),
            documents=tuple(documents_in(tuple(layers))),
            fixed=tuple(map(self._contents.shape, layers)),
            **given,
        )

    def _bucket(self, bucket: Bucket, paths: Sequence[str]) -> Face:
        face = self._face(bucket, account=bucket.account, resources=tuple(bucket.arn + path for path in paths))
        # Names differ, and patterns tell whether that matters; but KMS is told the name, and other ARNs are rare.
        plain = _BUCKET.fullmatch(bucket.arn) if bucket.key is None else None
        return replace(face, fixed=(face.fixed, plain[1] if plain else bucket.arn))

    def _documents(self, *axes: Axis) -> list[Document]:
        """Each different document of the axes, once."""
        found = {
            self._contents.number(document): document
            for axis in axes
            for face in self._faces[axis]
            for document in face.documents
        }
        return list(found.values())

    def _sort_operations(self) -> None:
        everything = self._documents(Axis.BUCKET, Axis.PRINCIPAL, Axis.VANTAGE)
        likeness = self._likeness
        rows = zip(likeness.alone(Axis.CHECK), likeness.to(Axis.CHECK, everything), strict=True)
        classes, first = _classes(rows)
        self._distinct = tuple(self._checks[index] for index in first)
        number, operations = 0, Numbers()
        self.operation_classes = array("L")
        for operation in self._axes.operations:
            size = len(operation.checks)
            self.operation_classes.append(operations.of(tuple(classes[number : number + size])))
            number += size
        self._needs = tuple(operations)

    def _sort_buckets(self) -> None:
        likeness = self._likeness
        others = self._documents(Axis.PRINCIPAL, Axis.VANTAGE)
        bucket = Axis.BUCKET
        rows = zip(likeness.alone(bucket), likeness.own(bucket), likeness.to(bucket, others), strict=True)
        self.bucket_classes, first = _classes(rows)
        principal, vantage = Axis.PRINCIPAL, Axis.VANTAGE
        elsewhere = likeness.to(principal, self._documents(vantage))
        self._principals = list(zip(likeness.alone(principal), likeness.own(principal), elsewhere, strict=True))
        self._vantages = list(zip(likeness.alone(vantage), likeness.own(vantage), strict=True))
        self._to_principal = [likeness.to(vantage, face.documents) for face in self._faces[principal]]
        self.sheet_numbers = [self._sort_principals(index) for index in first]

    def _sort_principals(self, bucket: int) -> array[int]:
        """The sheet of each principal for a bucket."""
        documents = self._faces[Axis.BUCKET][bucket].documents
        seen = self._likeness.to(Axis.PRINCIPAL, documents)
        classes, first = _classes(zip(self._principals, seen, strict=True))
        vantages = list(zip(self._vantages, self._likeness.to(Axis.VANTAGE, documents), strict=True))
        start = len(self.sheets)
        for principal in first:
            numbers, different = _classes(zip(vantages, self._to_principal[principal], strict=True))
            self.sheets.append(Sheet(numbers, len(self.situations) * len(self._needs)))
            self.situations += [(bucket, principal, vantage) for vantage in different]
        return array("L", [start + number for number in classes])

    def pieces(self) -> Iterator[Piece]:
        step = max(1, _CHUNK // max(1, len(self._distinct)))
        axes = self._axes
        for start in range(0, len(self.situations), step):
            part = self.situations[start : start + step]
            buckets, principals, vantages = (set(column) for column in zip(*part, strict=True))
            yield Piece(
                {number: axes.buckets[number] for number in buckets},
                {number: axes.principals[number] for number in principals},
                {number: axes.vantages[number] for number in vantages},
                self._distinct,
                self._needs,  # type: ignore[arg-type]
                part,
            )


def _classes(rows: Iterable[Hashable]) -> tuple[array[int], list[int]]:
    """A number for each row, the same for equal ones; and where each number comes first."""
    numbers = Numbers()
    first: list[int] = []
    classes = array("L")
    for index, row in enumerate(rows):
        number = numbers.of(row)
        classes.append(number)
        if number == len(first):
            first.append(index)
    return classes, first
