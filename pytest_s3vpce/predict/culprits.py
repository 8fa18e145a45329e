"""Which statements are to blame: those that decided, and those that came nearest to deciding otherwise."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.model import Transport
from pytest_s3vpce.policy import Document, Effect
from pytest_s3vpce.policy.conditions import OPERATORS
from pytest_s3vpce.policy.layers import ignored_by
from pytest_s3vpce.policy.principals import Grant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.model import Cell, Place
    from pytest_s3vpce.policy import Decision, Statement
    from pytest_s3vpce.policy.asked import Asked
    from pytest_s3vpce.policy.conditions import Condition

NETWORK: Final = ("aws:sourcevpce", "aws:sourcevpc", "aws:sourceip", "aws:vpcsourceip", "aws:vpce")
_ENCRYPTION: Final = ("s3:x-amz-server-side-encryption",)


class Subject(Enum):
    """What a request differs by from those that are to be allowed: in words, and the condition keys that tell it."""

    WAY = ("the way that it came by", NETWORK)
    HTTP = ("plain http", ("aws:securetransport",))
    VERSION = ("the version of TLS", ("s3:tlsversion",))
    ENCRYPTION = ("encryption", _ENCRYPTION)
    TAGS = ("tags", ("aws:principaltag/", "s3:existingobjecttag/"))
    AGE = ("the age of its signature", ("s3:signatureage",))
    CALLER = ("who asks", ("aws:principalarn", "aws:userid", "aws:username"))

    def __init__(self, words: str, keys: tuple[str, ...]) -> None:
        self.words = words
        self.keys = keys

    @classmethod
    def of(cls, cell: Cell) -> Subject:
        """As far as the cell itself tells."""
        if cell.transport is not Transport.HTTPS:
            return cls.HTTP if cell.transport.scheme == "http" else cls.VERSION
        sealed = any("SSE" in name or "Encryption" in name for name in cell.parameters)
        return cls.ENCRYPTION if sealed else cls.WAY


_LAYERS: Final = (
    "resource",
    "vpc_endpoint",
    "rcp",
    "scp",
    "identity",
    "permissions_boundary",
    "session",
)
_NEGATED: Final = frozenset(name for name, row in OPERATORS.items() if row.negated)
_GRANTING: Final = ("resource", "identity", "vpc_endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One element of a statement that does not fit the request; `condition` where it is one."""

    element: str
    says: str
    condition: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A statement, where it stands, and what kept it from matching; nothing did where it matched."""

    layer: str
    policy: str
    statement: Statement
    asked: Asked
    misses: tuple[Miss, ...]

    @property
    def place(self) -> Place | None:
        return self.statement.place

    @property
    def name(self) -> str:
        """The statement, its policy and where that stands, for people."""
        where = f" ({self.place})" if self.place else ""
        return f"`{self.statement.name}` of the {self.policy}{where}"

    @property
    def conditions(self) -> list[Condition]:
        """Those about the network first: they say how this request differs from others."""
        return sorted(
            self.statement.conditions,
            key=lambda row: not row.key.startswith((*NETWORK, *Subject.HTTP.keys, *Subject.VERSION.keys)),
        )

    @property
    def about_encryption(self) -> bool:
        return any(row.key.startswith(_ENCRYPTION) for row in self.statement.conditions)

    @property
    def met(self) -> str:
        """The condition by which it matched, and how many more there are."""
        if not self.conditions:
            return ""
        first, *others = self.conditions
        are = "is" if len(others) == 1 else "are"
        more = f", and {len(others)} more of its conditions {are} met" if others else ""
        return f"{first.why(self.asked.values)}{more}"

    @property
    def but(self) -> str:
        """What kept it from matching."""
        return " and ".join(miss.says for miss in self.misses)


def suspects(decision: Decision, *, denies: bool) -> list[Suspect]:
    """Every deny, or every allow, of every policy that was read, in the order of the layers."""
    found = []
    for layer, document, asked, ignored in _documents(decision):
        for statement in document.denies if denies else document.allows:
            misses = tuple(_misses(statement, asked, ignored=ignored))
            found.append(
                Suspect(layer=layer, policy=document.name or layer, statement=statement, asked=asked, misses=misses)
            )
    return found


def decider(decision: Decision) -> Suspect | None:
    """The deny that decided."""
    layer = _home(decision)
    rows = suspects(decision, denies=decision.layer != "block_public_access")
    return next(
        (
            row
            for row in rows
            if (row.layer, row.statement.name) == (layer, decision.statement)
            and row.policy == (decision.policy or row.policy)
        ),
        None,
    )


def _home(decision: Decision) -> str | None:
    """Whose statements a layer's are: of a key's own policy, and of the bucket's that is public."""
    return "resource" if decision.layer in ("block_public_access", "kms") else decision.layer


def granters(decision: Decision) -> list[Suspect]:
    """The allows that let a request in: the first that matched of each layer whose allow was needed, endpoints last."""
    found: dict[str, Suspect] = {}
    for row in suspects(decision, denies=False):
        needed = row.layer in _GRANTING and decision.layers.get(row.layer) is Effect.ALLOW
        if needed and not row.misses:
            found.setdefault(row.layer, row)
    return sorted(found.values(), key=lambda row: _GRANTING.index(row.layer))


def nearest_allow(decision: Decision) -> Suspect | None:
    """Of the layer that allows nothing: the allow that fits best."""
    rows = [row for row in suspects(decision, denies=False) if row.layer == _home(decision) and row.misses]
    close = [row for row in rows if _closeness(row) < 2 or row.misses[0].element == "Condition"]
    return min(close, key=lambda row: (_closeness(row), _weight(row)), default=None)


def nearest_deny(decision: Decision, cell: Cell, subject: Subject) -> Suspect | None:
    """The deny that should have matched: about what tells this cell from allowed ones, and nearly fitting."""
    rows = [row for row in suspects(decision, denies=True) if row.misses]
    return min(
        rows,
        key=lambda row: (
            irrelevance(row, cell, subject),
            _closeness(row),
            _weight(row) > 0,
            _LAYERS.index(row.layer),
            _weight(row),
        ),
        default=None,
    )


def irrelevance(row: Suspect, cell: Cell, subject: Subject) -> int:
    """How little a deny has to do with what tells the cell from allowed ones: by the keys of its conditions."""
    keys = [condition.key for condition in row.statement.conditions]
    if any(key.startswith(subject.keys) for key in keys):
        return 2 if is_for_others(row, subject) else 0
    if is_elsewhere(row):
        return 2
    others = {key for other in Subject if other is not subject for key in other.keys}
    if cell.action == "s3:PutObject":  # one that asks for no encryption is what a deny about it may be about
        others -= {*_ENCRYPTION}
    return 2 if keys and all(key.startswith(tuple(others)) for key in keys) else 1


def is_elsewhere(row: Suspect) -> bool:
    """Whether a deny names other buckets alone."""
    if not any(miss.element == "Resource" for miss in row.misses):
        return False
    named = row.statement.row.get("Resource", ())
    bucket = _bucket_of(row.asked.resource)
    return not any(fnmatchcase(bucket, _bucket_of(str(one))) for one in ([named] if isinstance(named, str) else named))


def _bucket_of(arn: str) -> str:
    """Or its pattern; a variable may be anything."""
    return re.sub(r"\$\{.*", "*", arn.rpartition(":::")[2].partition("/")[0])


def is_for_others(row: Suspect, subject: Subject) -> bool:
    """Whether a deny spares this request on purpose, and is bound to other requests besides."""
    spared = any(
        miss.condition is not None
        and miss.condition.key.startswith(subject.keys)
        and miss.condition.name in _NEGATED
        and row.asked.values.get(miss.condition.key)
        for miss in row.misses
    )
    return spared and any(miss.condition is None for miss in row.misses)


def _closeness(row: Suspect) -> int:
    return len(row.misses)


def _weight(row: Suspect) -> int:
    order = ("Condition", "Resource", "NotResource", "Action", "NotAction", "Principal", "NotPrincipal")
    return max(order.index(miss.element) for miss in row.misses)


def _documents(decision: Decision) -> Iterator[tuple[str, Document, Asked, Grant | None]]:
    """Every policy that was read, with its layer, the request as that sees it, and the Principal form it ignores."""
    case = decision.case
    policies, asked = case.policies, case.asked
    owned = {
        "resource": (
            (policies.resource, asked, Grant.NONE),
            (policies.access_point, asked.by_access_point(), Grant.NONE),
        ),
        "vpc_endpoint": ((policies.vpc_endpoint, asked, ignored_by(policies.endpoint_type, asked)),),
    }
    listed = {
        "rcp": _flat(policies.rcps),
        "scp": _flat(policies.scps),
        "identity": _flat(policies.identity),
        "permissions_boundary": _flat(policies.permissions_boundary),
        "session": _flat(policies.session),
    }
    for layer in _LAYERS:
        for document, seen, ignored in owned.get(layer, ()):
            if isinstance(document, Document):
                yield layer, document, seen, ignored
        for document in listed.get(layer, ()):
            yield layer, document, asked, None


def _flat(value: object) -> list[Document]:
    if isinstance(value, Document):
        return [value]
    return [row for part in value for row in _flat(part)] if isinstance(value, tuple) else []


def _misses(statement: Statement, asked: Asked, *, ignored: Grant | None) -> Iterator[Miss]:
    if ignored is not None:
        if statement.deny:
            named = statement.denies(asked.caller, bounded=asked.bounded, ignored=ignored)
        else:
            named = statement.grant(asked.caller) not in (Grant.NONE, ignored)
        if not named:
            yield _miss(statement, "Principal", asked.caller.text)
    if not statement.covers_action(asked.action):
        yield _miss(statement, "Action", asked.written)
    if not statement.covers_resource(asked.resource, asked.values):
        yield _miss(statement, "Resource", asked.resource)
    for condition in statement.conditions:
        if not condition.holds(asked.values):
            yield Miss(element="Condition", says=condition.why(asked.values), condition=condition)


def _miss(statement: Statement, element: str, actual: str) -> Miss:
    negated = f"Not{element}" in statement.row
    name = f"Not{element}" if negated else element
    verb = "takes in" if negated else "does not name" if element == "Principal" else "does not match"
    return Miss(element=name, says=f"{name} {written(statement.row.get(name, 'missing'))} {verb} {actual}")


def written(value: object) -> str:
    """A value of a policy in one line, cut off where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else f"{text[:157]}..."
