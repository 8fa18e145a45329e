"""Calibrations that find everything otherwise than it is assumed: each rule in each way that would settle it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.calibration import Calibration, Finding
from pytest_s3vpce.run.calibrating.experiments import EXPERIMENTS
from pytest_s3vpce.undocumented import OTHER_ANSWER, RULES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NOT_HERE: Final = {name for name, row in EXPERIMENTS.items() if row.run is None or {*row.takes} - {"function"}}
"""Those whose tests are in files of their own, for they take a VPC or an organization; and what none settles yet."""
MEASURES: Final = {
    "propagation/bucket-policy": 0.4,
    "propagation/role-policy": 0.5,
    "propagation/public-access-block": 0.6,
}
"""How long policies take there, in seconds."""
_APART: Final = {"absent-key/list-elsewhere", "message/policy-arn"}
"""Rules that other flips hide: they are flipped with others."""
_FORMS: Final = {name for name, rule in RULES.items() if rule.experiment == "forms"}


def _others(number: int, *, but: Collection[str] = ()) -> dict[str, str]:
    """For each rule that has so many, what else may be found of it."""
    rows = {name: rule.others for name, rule in RULES.items() if name not in but and rule.experiment not in NOT_HERE}
    return {name: others[number] for name, others in rows.items() if number < len(others)}


FLIPS: Final[list[dict[str, str]]] = [
    {**_others(0, but=_APART), **{name: str(seconds) for name, seconds in MEASURES.items()}},
    {**_others(1, but=_FORMS | {"message/boundary-explicit"}), **{name: RULES[name].others[0] for name in _APART}},
    {
        **{name: value for name, value in _others(1).items() if name in _FORMS},
        **_others(2),
        "message/boundary-explicit": RULES["message/boundary-explicit"].others[1],
    },
]
"""Three sets of them that do not hide one another."""


def flipped(values: Mapping[str, str]) -> Calibration:
    """A calibration that found these."""
    rows = {}
    for rule, value in values.items():
        answer = f"400 Odd{''.join(filter(str.isalnum, rule))}" if value == OTHER_ANSWER else ""
        rows[rule] = Finding(rule=rule, value=value, answer=answer)
    return Calibration(made="2026-01-01T00:00:00Z", mode="lab", findings=rows)


def differences(number: int, found: Mapping[str, Finding]) -> dict[str, tuple[str, str, str]]:
    """What a calibration found otherwise than a lab with these flips does it, beside what that is."""
    wanted = {name: row for name, row in flipped(FLIPS[number]).findings.items() if name not in MEASURES}
    odd = {
        name: found[name]
        for name, row in wanted.items()
        if (found[name].value, found[name].answer) != (row.value, row.answer)
    }
    return {name: (wanted[name].value, row.value, row.detail) for name, row in odd.items()}
