"""Why a cell gives what it gives, in a few lines: what was sent, by which path, what decided, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.escaping import escaped
from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.policy.reasons import WORDS
from pytest_s3vpce.predict import fixes
from pytest_s3vpce.predict.culprits import (
    Subject,
    decider,
    granters,
    irrelevance,
    is_for_others,
    nearest_allow,
    nearest_deny,
)

if TYPE_CHECKING:
    from pytest_s3vpce.predict.culprits import Suspect
    from pytest_s3vpce.predict.judging import Prediction
    from pytest_s3vpce.snapshot.state import Snapshot

LINES: Final = 12


class Blame(Enum):
    """What is wrong where a cell is allowed that should not be, as far as the other cells' expectations tell."""

    NOTHING = "nothing: it is to be allowed"
    PLACE = "where it came from: a deny should have matched"
    WAY = "how it came there: it was to reach nothing"
    GRANT = "who or what was allowed: other requests from there are to be allowed, so that a grant is too wide"
    ENDPOINT = "what the endpoint's policy lets through: it is that policy which is to limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """An explanation. `statement` decided, or should have; `lines` say it all, for people."""

    lines: tuple[str, ...]
    decisive: tuple[str, ...] = ()
    """Of the lines, those that say what decided."""
    layer: str | None = None
    policy: str | None = None
    statement: str | None = None
    place: str | None = None
    missed: str | None = None
    """The deny that should have matched and did not, where something is allowed."""
    fix: str = ""

    def __str__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What of an explanation depends on what was decided."""

    lines: tuple[str, ...]
    suspect: Suspect | None = None
    missed: Suspect | None = None
    fix: str = ""


def tell(
    prediction: Prediction,
    snapshot: Snapshot,
    *,
    answered: str = "",
    blame: Blame | None = None,
    subject: Subject | None = None,
) -> Telling:
    """The explanation. `answered` is what S3 said, where it was asked; `blame` says what is wrong where it is not so.

    Without it an allow is taken for wrong, and so is a denial. `subject` is what a deny should have been about, where
    more is known of that than the cell itself tells.
    """
    subject = subject or Subject.of(prediction.cell)
    part = _part(prediction, snapshot, blame=blame or Blame.PLACE, subject=subject)
    part = replace(part, fix=_fix(prediction, part, blame))
    lines = [*_head(prediction, answered), *part.lines]
    if prediction.unread:
        lines += [f"not read: {WORDS.get(layer, layer)}: {why}" for layer, why in prediction.unread.items()]
    lines = lines[: LINES - 1] + ([f"fix: {part.fix}"] if part.fix else [])
    decided = part.suspect
    return Telling(
        lines=tuple(map(escaped, lines)),
        decisive=tuple(map(escaped, part.lines)),
        layer=prediction.layer,
        policy=None if decided is None else decided.policy,
        statement=None if decided is None else decided.statement.name,
        place=None if decided is None or decided.place is None else str(decided.place),
        missed=None if part.missed is None else part.missed.statement.name,
        fix=escaped(part.fix),
    )


def _fix(prediction: Prediction, part: _Part, blame: Blame | None) -> str:
    """None where it is as it should be; where nothing was to be reached, the way is what is wrong."""
    reached = prediction.expected is Expected.ALLOW or prediction.expected.denied
    if blame is Blame.WAY:
        way = prediction.way
        return f"close the way that it takes: {way.words}" if reached and way is not None else ""
    wanted = blame in (Blame.PLACE, Blame.GRANT, Blame.ENDPOINT) and prediction.expected.denied
    return "" if wanted else part.fix


def _head(prediction: Prediction, answered: str) -> list[str]:
    cell, decision = prediction.cell, prediction.decision
    who = cell.principal
    if decision is not None:
        who = f"{cell.principal} ({decision.case.asked.caller.text})"
    resource = f" on {prediction.resource}" if prediction.resource else ""
    lines = [
        f"asked: {prediction.action or cell.action}{resource} by {who} from {cell.vantage}, {cell.transport.value}"
    ]
    if prediction.way is not None:
        lines.append(f"path: {prediction.way.words}")
    if answered:
        lines.append(f"S3 said: {answered}")
    return lines


def _part(prediction: Prediction, snapshot: Snapshot, *, blame: Blame, subject: Subject) -> _Part:
    if prediction.expected is Expected.UNREACHABLE:
        return _Part(lines=(f"no answer: {prediction.why}",), fix=fixes.of_drop(prediction))
    if prediction.decision is None or prediction.expected is Expected.UNKNOWN:
        word = "denied" if prediction.expected.denied else "unknown"
        return _Part(lines=(f"{word}: {prediction.why}",))
    if prediction.expected is Expected.ALLOW:
        return _of_allow(prediction, blame=blame, subject=subject)
    if prediction.expected is Expected.EXPLICIT_DENY:
        return _of_deny(prediction, snapshot)
    return _of_silence(prediction)


def _of_allow(prediction: Prediction, *, blame: Blame, subject: Subject) -> _Part:
    decision = prediction.decision
    assert decision is not None
    allows = granters(decision)
    lines = [f"allowed by {row.name}{f', because {row.met}' if row.met else ''}" for row in allows]
    if not allows:
        lines = ["allowed by the access control list" if "acl" in decision.layers else "allowed to the owner itself"]
    to_blame = [row for row in allows if row.layer == "vpc_endpoint"] if blame is Blame.ENDPOINT else allows
    first = next(iter(to_blame), None)
    if blame is Blame.NOTHING:
        return _Part(lines=tuple(lines), suspect=first)
    if blame in (Blame.GRANT, Blame.ENDPOINT) and first is not None:
        return _Part(lines=tuple(lines), suspect=first, fix=fixes.of_grant(prediction, first))
    missed = nearest_deny(decision, prediction.cell, subject)
    gate = next((row for row in allows if row.layer == "vpc_endpoint"), None)
    fix = fixes.of_hole(prediction, missed, first, subject=subject, gate=gate)
    if missed is None:
        lines.append("no deny stands in any policy that was read")
    elif irrelevance(missed, prediction.cell, subject) > (1 if subject is Subject.WAY else 0):
        others = is_for_others(missed, subject)
        told = f"about {subject.words} is for such requests" if others else f"that was read is about {subject.words}"
        lines.append(f"no deny {told}; the nearest is {missed.name}, but {missed.but}")
        missed = None
    else:
        lines.append(f"the deny that should have matched is {missed.name}, but {missed.but}")
    return _Part(lines=tuple(lines), suspect=first, missed=missed, fix=fix)


def _of_deny(prediction: Prediction, snapshot: Snapshot) -> _Part:
    decision = prediction.decision
    assert decision is not None
    deny = decider(decision)
    by = WORDS.get(decision.layer or "", decision.layer)
    if deny is None:
        return _Part(lines=(f"denied by the {by}: {decision.reason}",))
    why = deny.met if deny.met and decision.layer != "block_public_access" else decision.reason
    lines = (f"denied by {deny.name}, a {by}", f"because {why}")
    return _Part(lines=lines, suspect=deny, fix=fixes.of_deny(prediction, deny, snapshot))


def _of_silence(prediction: Prediction) -> _Part:
    decision = prediction.decision
    assert decision is not None
    near = nearest_allow(decision)
    lines = [f"denied: no {WORDS.get(decision.layer or '', decision.layer)} allows it"]
    if near is not None:
        lines.append(f"near miss: {near.name} would, but {near.but}")
    way = prediction.way
    endpoint = getattr(way.path, "endpoint", None) if way is not None else None
    policy = "endpoint policy" if endpoint is None else f"policy of {endpoint.id}"
    fix = fixes.of_silence(prediction, near, bucket=prediction.cell.target.bucket, policy=policy)
    return _Part(lines=tuple(lines), suspect=near, fix=fix)
