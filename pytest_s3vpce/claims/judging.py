"""What every claim is judged by besides its own: where its vantage points stand, and what nobody could read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.exclusion import knows_scps
from pytest_s3vpce.claims.findings import Finding, Kind, path_read
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.matrix import Status
from pytest_s3vpce.model import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.claims.claim import Claim
    from pytest_s3vpce.claims.setting import Results, Setting


def findings_of(claim: Claim, setting: Setting, results: Results) -> list[Finding]:
    """The claim's own, one for each vantage point that is two places in one, and one where the policy was two.

    What was shown is of one of them.
    """
    rows = claim.judge(setting, results)
    for vantage in _vantages(claim, setting):
        differs = setting.astride.get(vantage)
        if differs:
            sentence = f"{vantage} stands in several subnets, and requests may leave from any: {differs}"
            rows.append(Finding(kind=Kind.PATH, name=f"subnets {vantage}", status=Status.MISSING, sentence=sentence))
    if claim.bucket in setting.changed:
        sentence = f"somebody changed the policy of {claim.bucket} while it was measured: run it again"
        name = f"policy {claim.bucket}"
        rows.append(Finding(kind=Kind.CONFIGURATION, name=name, status=Status.MISSING, sentence=sentence))
    return rows


def with_ways(claim: Claim, setting: Setting, results: Results) -> Setting:
    """The setting with the ways to its bucket's Region that the claim's requests were read to take, and who denied."""
    there = setting.toward(claim.bucket)
    ways = {
        vantage: path_read(there, results, vantage, candidates=setting.vantage_endpoints.get(vantage, ()))
        for vantage in _vantages(claim, setting)
    }
    outcomes = (results.outcome(probe) for probe in claim.probes(setting))
    denying = frozenset(outcome.layer for outcome in outcomes if outcome.denied)
    return replace(setting, ways=ways, denying=denying)


def gaps_of(claim: Claim, setting: Setting) -> Iterator[Gap]:
    """What it knows that it does not cover, what the bucket's policy spares, and what is not known of its sides."""
    yield from claim.gaps(setting)
    exemptions = setting.exemptions.get(claim.bucket)
    if exemptions is None:
        yield Gap(f"the policy of {claim.bucket} could not be read, so its exemptions are not known")
    # Where other layers denied all that was denied, nothing rests on what these spare.
    controls = setting.controls.get(claim.bucket, ()) if setting.denying & {Layer.RCP, None} else ()
    if controls is None:
        what = f"the resource control policies over {claim.bucket}"
        yield Gap(f"{what} could not be read, so their exemptions are not known")
    for gap in (*(exemptions or ()), *(controls or ())):
        if (left := claim.unmeant(gap, setting)) is not None:
            yield left
    uncompared = tuple(name for name in _vantages(claim, setting) if setting.astride.get(name, "") is None)
    if uncompared:
        yield Gap("stand in several subnets whose ways to S3 could not be compared:", uncompared)
    unknown = tuple(name for name in claim.explained() if not knows_scps(setting, name, bucket=claim.bucket))
    if unknown:
        yield Gap(
            "the service control policies over other accounts' callers are not known, and one that denies just this "
            "bucket by its network would look like the bucket's:",
            unknown,
        )


def _vantages(claim: Claim, setting: Setting) -> tuple[str, ...]:
    return tuple(dict.fromkeys(probe.cell.vantage for probe in claim.probes(setting)))
