"""Why a claim is not proven: which statements decided its counterexamples, each told once, and what mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.matrix import Explanation, Status, Verdict
from pytest_s3vpce.model import Expect, OutcomeKind
from pytest_s3vpce.predict import Blame, Subject, tell
from pytest_s3vpce.run.foreseen import answered, blame_beside, is_surprise, predicted_of, surprising

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_s3vpce.matrix import CellResult, ClaimResult, Evidence, Matrix, Predicted
    from pytest_s3vpce.model import Cell
    from pytest_s3vpce.predict import Predictor

_WANTED: Final = {
    "positive": Expect.ALLOW,
    "reach": Expect.ALLOW,
    "negative": Expect.DENY,
    "layer": Expect.DENY,
    "path": Expect.DENY,
}
"""What is demanded of a finding's cell, by the finding's kind."""
_BLAMES: Final = {
    "endpoint-policy-limits": Blame.ENDPOINT,
    "least-privilege": Blame.GRANT,
    "not-public": Blame.GRANT,
    "cross-account": Blame.GRANT,
    "tag-scoped": Blame.PLACE,
    "break-glass": Blame.PLACE,
    "encrypted-writes": Blame.PLACE,
}
"""What is wrong where something is allowed, where a claim's kind says it."""
_SUBJECTS: Final = {
    "tag-scoped": Subject.TAGS,
    "break-glass": Subject.CALLER,
    "encrypted-writes": Subject.ENCRYPTION,
}
"""What a deny is to be about, where a claim's kind says it."""


def with_explanations(
    matrix: Matrix, sent: Mapping[str, Cell], predictor: Predictor, *, allowed: Mapping[str, Sequence[Cell]]
) -> Matrix:
    """The matrix with an explanation of every claim that is not proven; their controls have predictions, too.

    `sent` are the cells of all that was sent, by id; `allowed` those that files say are to be allowed, by bucket.
    """
    known = {row.id: row for row in (*matrix.controls, *matrix.cells)}
    explaining = _Explaining(known, sent, predictor, allowed)
    claims = tuple(
        row if row.verdict is Verdict.PROVEN else replace(row, explanations=explaining.of(row)) for row in matrix.claims
    )
    controls = tuple(
        replace(row, predicted=explaining.found.get(row.id, row.predicted)) if row.predicted is None else row
        for row in matrix.controls
    )
    return replace(matrix, claims=claims, controls=controls)


class _Explaining:
    """The explanations of one matrix in the making; `found` are the predictions of cells that were explained."""

    def __init__(
        self,
        known: Mapping[str, CellResult],
        sent: Mapping[str, Cell],
        predictor: Predictor,
        allowed: Mapping[str, Sequence[Cell]],
    ) -> None:
        self._known = known
        self._sent = sent
        self._predictor = predictor
        self._allowed = allowed
        self.found: dict[str, Predicted] = {}

    def of(self, claim: ClaimResult) -> tuple[Explanation, ...]:
        """What the same statements decided, or should have, stands together."""
        groups: dict[tuple[object, ...], Explanation] = {}
        for name, finding in self._told(claim).items():
            wanted = _WANTED[finding.kind]
            row = self._predicted(claim, finding)
            key = _key(wanted, row)
            if key in groups:
                groups[key] = replace(groups[key], cells=(*groups[key].cells, name))
            else:
                groups[key] = Explanation(wanted=wanted, cells=(name,), predicted=row)
        return tuple(groups.values())

    def _told(self, claim: ClaimResult) -> dict[str, Evidence]:
        """The cells that are explained, and the finding of each: what refutes the claim, else what leaves it open."""
        bad = [row for row in claim.evidence if row.status is Status.BAD]
        found: dict[str, Evidence] = {}
        for row in self._decided(bad or claim.evidence):
            found.setdefault(row.cell, row)
        return found

    def _decided(self, rows: Sequence[Evidence]) -> Iterator[Evidence]:
        """Findings that a policy, or the network, is the reason of."""
        for row in rows:
            if row.status is Status.GOOD or row.kind not in _WANTED or row.cell not in self._sent:
                continue
            measured = self._known.get(row.cell)
            outcome = None if measured is None else measured.measured.outcome
            if row.status is Status.BAD or outcome in (OutcomeKind.DENIED, OutcomeKind.UNREACHABLE):
                yield row

    def _predicted(self, claim: ClaimResult, finding: Evidence) -> Predicted:
        name = finding.cell
        cell, row = self._sent[name], self._known.get(name)
        found = self._predictor.predict(cell)
        blame = self._blame(claim, finding)
        subject = _SUBJECTS.get(claim.kind)
        if claim.kind == "presigned-bounded" and blame is Blame.GRANT:  # a younger one is to be allowed from there
            blame, subject = Blame.PLACE, Subject.AGE
        said = "" if row is None else answered(row)
        telling = tell(found, self._predictor.snapshot, answered=said, blame=blame, subject=subject)
        surprise = row is not None and is_surprise(found.expected, row.measured.outcome)
        lines = [*telling.decisive]
        if surprise and row is not None:
            lines.append(surprising(found, row))
        lines += [] if found.way is None else [f"path: {found.way.words}"]
        lines += [f"fix: {telling.fix}"] if telling.fix else []
        made = predicted_of(found, telling, surprise=surprise, lines=tuple(lines))
        self.found[name] = made
        return made

    def _blame(self, claim: ClaimResult, finding: Evidence) -> Blame:
        if _WANTED[finding.kind] is Expect.ALLOW:
            return Blame.NOTHING
        if finding.kind == "path":
            return Blame.PLACE
        if claim.kind in _BLAMES:
            return _BLAMES[claim.kind]
        cell = self._sent[finding.cell]
        own = [self._sent[row.cell] for row in claim.evidence if row.kind == "positive" and row.cell in self._sent]
        return blame_beside(cell, [*own, *self._allowed.get(cell.target.bucket, ())])


def _key(wanted: Expect, row: Predicted) -> tuple[object, ...]:
    """What two cells have in common that one explanation serves; where no statement decided, the reason."""
    if row.missed:
        return (wanted, row.expected, row.missed, row.surprise)
    why = None if row.statement else row.reason
    return (wanted, row.expected, row.layer, row.policy, row.statement, row.place, row.surprise, why)
