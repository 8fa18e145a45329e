"""The undocumented rules that a run's verdicts lean on: those of the forms it sent, and of the words it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.model import Layer
from pytest_s3vpce.undocumented import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.model import Outcome
    from pytest_s3vpce.probe import Probe

_SHORT: Final = {"permissions_boundary": "boundary", "vpc_endpoint": "endpoint"}
"""Layers in the names of rules."""
_ATTRIBUTES: Final = "GetObjectAttributes"


def leant_on(outcomes: Mapping[Probe, Outcome]) -> Iterator[str]:
    """By their names, each as often as it is leant on."""
    for probe, outcome in outcomes.items():
        yield from (name for name in _of(probe, outcome) if name in RULES)


def _of(probe: Probe, outcome: Outcome) -> Iterator[str]:
    yield f"form/{probe.cell.operation}"
    if probe.cell.operation == _ATTRIBUTES:
        yield "attributes/actions"
    # What only reads a key is denied by its session, and no verdict hangs on that.
    if outcome.denied and outcome.layer is not None and outcome.layer is not Layer.SESSION:
        effect = "explicit" if outcome.explicit else "implicit"
        yield f"message/{_SHORT.get(outcome.layer.value, outcome.layer.value)}-{effect}"
