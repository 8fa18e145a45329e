"""Which values of a matrix's axes look alike to the policies in play, so that one decision serves them all.

Only what the engine reads counts: whether a condition holds, whether a pattern matches, how an element names a caller.
What the engine reads by itself, whatever the policies say, is listed here too: `DERIVED`, `READ`,
`READ_FOR_KMS`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.policy.asked import Asked, Request
from pytest_s3vpce.policy.documents import Document
from pytest_s3vpce.policy.principals import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.policy.conditions import Condition
    from pytest_s3vpce.policy.documents import Statement
    from pytest_s3vpce.policy.principals import Caller

    Reader = Callable[["Face"], Hashable]
    """What a document can tell of an axis value."""


class Axis(Enum):
    """What may differ between requests. A key given on several of them has the value of the last one here."""

    PRINCIPAL = auto()
    BUCKET = auto()
    VANTAGE = auto()
    CHECK = auto()


PRINCIPAL_ARN: Final = "aws:principalarn"
DERIVED: Final[Mapping[Axis, frozenset[str]]] = {
    Axis.PRINCIPAL: frozenset({"aws:principaltype", "aws:principalaccount", PRINCIPAL_ARN}),
    Axis.BUCKET: frozenset({"aws:resourceaccount", "s3:resourceaccount"}),
}
"""The keys that follow from an axis value itself where no context gives them."""
READ: Final = frozenset({"s3:dataaccesspointarn", "s3:accesspointnetworkorigin"})
"""The keys whose values the engine itself uses."""
READ_FOR_KMS: Final = frozenset({"s3:x-amz-server-side-encryption-aws-kms-key-id", "aws:requestedregion"})
"""Those that it uses where there is a key policy."""
_OF_KMS: Final = "kms:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """An axis value as policies see it: its part of a request, and the policies that come with it."""

    context: Mapping[str, Sequence[str]]
    """As given, by key in lower case."""
    documents: tuple[Document, ...] = ()
    fixed: Hashable = ()
    """What else tells it from others, whatever the policies read."""
    principal: str = ANONYMOUS
    account: str = ""
    resources: tuple[str, ...] = ()
    """Every ARN that may be asked for here."""
    asked: Asked

    @property
    def caller(self) -> Caller:
        return self.asked.caller


def face_of(
    context: Mapping[str, Sequence[str]],
    *,
    principal: str = ANONYMOUS,
    account: str = "",
    documents: tuple[Document, ...] = (),
    fixed: Hashable = (),
    resources: tuple[str, ...] = (),
) -> Face:
    request = Request(action="", resource="", resource_account=account, principal=principal, context=context)
    return Face(
        context=context,
        documents=documents,
        fixed=fixed,
        principal=principal,
        account=account,
        resources=resources,
        asked=Asked(request, bounded=False),
    )


def documents_in(value: Any) -> Iterator[Document]:
    """The documents of a layer, through lists and levels."""
    if isinstance(value, Document):
        yield value
    elif isinstance(value, tuple):
        for row in value:
            yield from documents_in(row)


class Numbers:
    """A number for each different thing, in the order in which they come."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, thing: Hashable) -> int:
        return self._numbers.setdefault(thing, len(self._numbers))

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._numbers)


class Contents:
    """Documents that say the same under the same name are one; the number stands for it."""

    def __init__(self) -> None:
        self._by_content = Numbers()
        self._by_id: dict[int, tuple[Document, int]] = {}

    def number(self, document: Document) -> int:
        # The document is kept, so that its id stays its own.
        found = self._by_id.get(id(document))
        if found is None:
            number = self._by_content.of((document.name, json.dumps(document.data)))
            found = self._by_id[id(document)] = (document, number)
        return found[1]

    def shape(self, layer: Any) -> Hashable:
        """A layer with the numbers of its documents in their places."""
        if isinstance(layer, Document):
            return ("document", self.number(layer))
        return tuple(map(self.shape, layer)) if isinstance(layer, tuple) else layer


class Likeness:
    """Sorts the values of each axis into those that look alike to given documents."""

    def __init__(self, faces: Mapping[Axis, Sequence[Face]], contents: Contents, *, read: frozenset[str]) -> None:
        """`read` are keys whose values count whether policies read them or not."""
        self._faces = faces
        self._read = sorted(read)
        self._contents = contents
        self._numbers = Numbers()
        self._keys = {
            axis: DERIVED.get(axis, frozenset()).union(*(face.context for face in row)) for axis, row in faces.items()
        }
        self._readers: dict[tuple[Axis, int], tuple[Reader, ...]] = {}
        self._seen: dict[tuple[Axis, int], tuple[int, ...]] = {}
        # Such a key changes who asks, not only what conditions read.
        self._arn_elsewhere = any(
            PRINCIPAL_ARN in keys for axis, keys in self._keys.items() if axis is not Axis.PRINCIPAL
        )

    def alone(self, axis: Axis) -> tuple[int, ...]:
        """A number for each value of an axis; it tells those apart that differ in themselves."""
        faces = self._faces[axis]
        return tuple(self._numbers.of(("alone", axis, self._itself(face))) for face in faces)

    def _itself(self, face: Face) -> Hashable:
        arn = (face.principal, _raw(face, PRINCIPAL_ARN)) if self._arn_elsewhere else None
        read = tuple(_raw(face, key) for key in self._read)
        return face.fixed, face.account, face.caller.kind, face.caller.account, arn, read

    def own(self, axis: Axis) -> tuple[int, ...]:
        """A number for each value of an axis: how it looks to the documents that come with it."""
        found = []
        for index, face in enumerate(self._faces[axis]):
            seen = tuple(self._seen_by(axis, document)[index] for document in face.documents)
            found.append(self._numbers.of(seen))
        return tuple(found)

    def to(self, axis: Axis, documents: Iterable[Document]) -> tuple[int, ...]:
        """A number for each value of an axis: values that look alike to all the documents have the same one."""
        rows = [self._seen_by(axis, document) for document in documents]
        return (
            tuple(self._numbers.of(row) for row in zip(*rows, strict=True)) if rows else (-1,) * len(self._faces[axis])
        )

    def _seen_by(self, axis: Axis, document: Document) -> tuple[int, ...]:
        key = axis, self._contents.number(document)
        found = self._seen.get(key)
        if found is None:
            readers = tuple(self._readers_of(axis, document))
            found = tuple(self._numbers.of(tuple(read(face) for read in readers)) for face in self._faces[axis])
            self._seen[key] = found
        return found

    def _readers_of(self, axis: Axis, document: Document) -> Iterator[Reader]:
        keys: set[str] = set()
        for statement in document.statements:
            bound = statement.resources.keys if statement.resources else frozenset()
            keys |= bound
            yield from self._conditions(axis, statement, keys)
            if axis is Axis.PRINCIPAL and (statement.principals or statement.not_principals):
                yield _naming(statement)
            elif axis is Axis.BUCKET:
                yield _matching(statement) if not bound else _resources
        read = sorted(keys & self._keys[axis])
        if read:
            yield lambda face: tuple(_raw(face, key) for key in read)

    def _conditions(self, axis: Axis, statement: Statement, keys: set[str]) -> Iterator[Reader]:
        """One reader for each condition that one key of this axis decides; the keys of the others go to `keys`.

        KMS is asked with fewer keys and with ones of its own: a condition on two keys may hold in S3 and not there.
        """
        others = frozenset().union(*(found for other, found in self._keys.items() if other is not axis))
        for condition in statement.conditions:
            if condition.keys.isdisjoint(self._keys[axis]):
                continue
            if condition.keys.isdisjoint(others) and len(condition.keys) == 1 and not condition.key.startswith(_OF_KMS):
                yield _holding(condition)
            else:
                keys |= condition.keys


def _raw(face: Face, key: str) -> Hashable:
    """What an axis value gives under a key. What is derived follows from caller and account, which count anyway."""
    given = face.context.get(key)
    return given if given is None or isinstance(given, str) else tuple(given)


def _holding(condition: Condition) -> Reader:
    return lambda face: condition.holds(face.asked.values)


def _naming(statement: Statement) -> Reader:
    return lambda face: (statement.grant(face.caller), statement.denies(face.caller, bounded=False))


def _matching(statement: Statement) -> Reader:
    return lambda face: tuple(statement.covers_resource(resource, {}) for resource in face.resources)


def _resources(face: Face) -> Hashable:
    return face.resources
