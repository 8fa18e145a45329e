"""What a run saw, and what that says: each probe's answer classified, and counted for the action under test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_s3vpce.calibration import NONE, Calibration
from pytest_s3vpce.claims import Results
from pytest_s3vpce.claims.setting import helper_probes
from pytest_s3vpce.model import Answer, Outcome, OutcomeKind, SignedRequest
from pytest_s3vpce.operations import OPERATIONS, operation
from pytest_s3vpce.outcome import UNAUTHENTIC_CODES, classify, for_action
from pytest_s3vpce.probe import form_of
from pytest_s3vpce.run.objects import is_bare, is_s3s, object_of

if TYPE_CHECKING:
    from pytest_s3vpce.probe import Probe


@dataclass(slots=True)
class Observed:
    """What a run saw: each probe's request and answer, or why there is none."""

    requests: dict[Probe, SignedRequest] = field(default_factory=dict)
    answers: dict[Probe, Answer] = field(default_factory=dict)
    refusals: dict[Probe, str] = field(default_factory=dict)
    handed: set[Probe] = field(default_factory=set)
    """Those that a vantage point was given to send, whether or not an answer came back."""
    canaries: dict[str, tuple[bool, str]] = field(default_factory=dict)
    outcomes: dict[Probe, Outcome] = field(default_factory=dict)
    """As classified."""
    counted: dict[Probe, Outcome] = field(default_factory=dict)
    """Counted for the action under test."""
    flapping: dict[Probe, tuple[str, ...]] = field(default_factory=dict)
    """What probes gave whose answers did not settle, one after the other."""
    policies: dict[str, tuple[bool, str]] = field(default_factory=dict)
    """Of buckets whose policies were deleted: whether they are as they were, and a sentence that says so."""
    gone: set[str] = field(default_factory=set)
    """Labels of objects that were not there, or were read and could not be read again."""
    unshown: set[str] = field(default_factory=set)
    """Buckets whose readers S3 refused the canary, or told that nothing is there."""
    elsewhere: set[Probe] = field(default_factory=set)
    """Those refused that S3 let in where no owner of the bucket was expected."""
    calibration: Calibration = NONE

    def heard(self, probe: Probe, answer: Answer) -> None:
        """What it was refused for before no longer counts."""
        self.answers[probe] = answer
        self.refusals.pop(probe, None)

    def unheard(self, probe: Probe, why: str) -> None:
        """What was heard of it before no longer counts, and nobody knows that it was sent."""
        self.refusals[probe] = why
        self.answers.pop(probe, None)
        self.requests.pop(probe, None)

    def doubt(self) -> None:
        """Where S3 showed nothing to who was to read it, a refusal without a reason may be no policy's."""
        results = self.results()
        absent = {label for label in self.gone | self.unshown if not results.is_there(label)}
        unentered = self.unshown - {row.cell.target.bucket for row, told in self.outcomes.items() if told.allowed}
        unauthentic = self._unauthentic()
        for probe in [sent for sent in self.counted if is_bare(sent, self.outcomes)]:
            bucket, row = probe.cell.target.bucket, OPERATIONS[probe.cell.operation]
            why = unauthentic.get(probe.cell.who, "") if row.api_name.startswith("Head") else ""
            if row.on_object and (label := object_of(probe)) in absent:
                why = (
                    "S3 named no policy, as where nothing is and the caller may not list, "
                    f"and no object was shown to be there on {label} all along"
                )
            elif not row.on_object and bucket in unentered:
                why = f"S3 named no policy, as where another account owns the bucket, and nobody was let into {bucket}"
            elif probe in self.elsewhere:
                why = f"S3 let it in where no owner was expected: another account than the inventory's owns {bucket}"
            if why:
                self.counted[probe] = replace(self.counted[probe], kind=OutcomeKind.INCONCLUSIVE, reason=why)

    def _unauthentic(self) -> dict[str, str]:
        """By who sent a HEAD, why S3 may have refused it: its answer does not say, but those to others of theirs do."""
        codes: dict[str, set[str]] = {}
        for row, told in self.outcomes.items():
            if told.code in UNAUTHENTIC_CODES:
                codes.setdefault(row.cell.who, set()).add(str(told.code))
        said = "S3 does not say why it refuses a HEAD, and refused others of"
        return {who: f"{said} {who} with {', '.join(sorted(found))}" for who, found in codes.items()}

    def results(self) -> Results:
        return Results(
            outcomes=self.counted,
            canaries=self.canaries,
            policies=self.policies,
            calibration=self.calibration,
            gone=frozenset(self.gone),
        )


def outcome_of(probe: Probe, seen: Observed) -> Outcome:
    """What its answer says; inconclusive where there is none."""
    if probe in seen.flapping:
        reason = f"its answers did not settle: {', '.join(seen.flapping[probe])}"
        return Outcome(kind=OutcomeKind.INCONCLUSIVE, reason=reason)
    answer = seen.answers.get(probe)
    if answer is None:
        return Outcome(kind=OutcomeKind.INCONCLUSIVE, reason=seen.refusals.get(probe, "it was not sent"))
    row = operation(probe.cell.operation)
    form = form_of(probe.cell, row)
    authorised = form.authorised if probe.cell.mutating else (*form.authorised, *seen.calibration.answers(row.name))
    outcome = classify(answer, operation=row.api_name, authorised=authorised)
    if (outcome.allowed or outcome.denied) and not is_s3s(answer):
        # A proxy or portal may answer 200, or S3's own words, to everything; S3 puts its request id into every answer.
        reason = "the answer carries no request id of S3's: something in between gave it"
        return replace(outcome, kind=OutcomeKind.INCONCLUSIVE, reason=reason)
    return outcome


def counted_of(probe: Probe, seen: Observed) -> Outcome:
    """Its outcome as far as it is one of the action under test: others may have been asked for as well."""
    form = OPERATIONS[probe.cell.operation].safe
    if form is None or not form.helpers or probe.cell.mutating:
        return for_action(seen.outcomes[probe], action=probe.cell.action, helpers=(), shown=())
    helpers = [helper.action for helper in form.helpers]
    shown = [
        helper.cell.action
        for helper in helper_probes(probe.cell)
        if helper in seen.outcomes and seen.outcomes[helper].allowed
    ]
    return for_action(seen.outcomes[probe], action=probe.cell.action, helpers=helpers, shown=shown)
