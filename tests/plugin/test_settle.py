"""`--s3vpce-settle`: what docs/predict.md says, in the running lab; the rest of settling is tested without time."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.expectations import load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Answer, OutcomeKind
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.run.access import AccessRun
from tests.unit.predictions import cell
from tests.unit.test_settling import Counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_s3vpce.run.observed import Observed
    from tests.plugin.conftest import Example, SharedLab

ONE = ("-k", "GetObject and app and internet and not partner", "test_reports.access.yaml")


def test_each_request_is_sent_again_for_a_span(example: Example, shared_lab: SharedLab, in_lab: str) -> None:
    before = shared_lab.log.stat().st_size
    example.run(in_lab, "--s3vpce-settle=1s", *ONE).assert_outcomes(passed=1, deselected=38)
    with shared_lab.log.open(encoding="utf-8") as log:
        log.seek(before)
        rows = [json.loads(line) for line in log]
    about = [row for row in rows if row["operation"] == "GetObject" and row["bucket"] == "reports-111122223333"]
    at = [datetime.fromisoformat(row["at"]) for row in about if row["source"] == "198.51.100.10"]
    assert 2 <= len(at) <= 6
    assert (at[-1] - at[0]).total_seconds() > 0.9


@pytest.mark.parametrize("span", ["soon", "-1s", "1.5m", "s"])
def test_a_span_that_is_none_is_a_usage_error(example: Example, span: str) -> None:
    done = example.run("--s3vpce-lab", f"--s3vpce-settle={span}", *ONE)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert f"`{span}` is no span of time; give one such as 30s or 2m" in done.stderr.str()


def test_files_say_it_too(example: Example) -> None:
    example.replace("s3vpce.yaml", "infrastructure:", "settle: 30s\ninfrastructure:")
    allow = 'allow: ["app:app-subnet", "partner:partner-vpc"]\n'
    example.replace("test_reports.access.yaml", allow, f"{allow}    settle: 2m\n")
    inventory = load_inventory(example.path / "s3vpce.yaml")
    assert inventory.settle == 30
    plan = plan_cells([load_expectations(example.path / "test_reports.access.yaml", inventory)], inventory)
    spans = {row.cell.operation: row.cell.settle for row in plan.cells}
    assert spans == {"GetObject": 120, "PutObject": None, "ListObjectsV2": None}


REFUSED = (
    b"<Error><Code>AccessDenied</Code><Message>User: a is not authorized to perform: s3:GetObject on resource: b "
    b"because no resource-based policy allows the s3:GetObject action</Message></Error>"
)


class Scripted(AccessRun):
    """A run whose answers are read from a script: by probe, one status a round, the last one for good."""

    def script(self, statuses: dict[Probe, list[int]]) -> None:
        self.statuses = statuses

    def _batches(self, probes: Sequence[Probe], seen: Observed) -> None:
        for probe in probes:
            row = self.statuses[probe]
            status = row.pop(0) if len(row) > 1 else row[0]
            body = b"" if status == 206 else REFUSED
            headers = {"x-amz-request-id": "R"}
            seen.answers[probe] = Answer(id="0", status=status, headers=headers, body=body)


class World:
    """What a run asks of the world where nothing is signed."""

    def __init__(self) -> None:
        self.accounts = self
        self.canaries: dict[str, bytes] = {}
        self.canary_versions: dict[str, str] = {}
        self.calibration = NONE

    def prepare(self, _kinds: object) -> None: ...

    def session(self, _probe: Probe) -> None: ...


class Untouched:
    """Nothing that changes anything is sent."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: []


def test_flapping_is_inconclusive_with_its_sequence() -> None:
    world: Any = World()
    other: Any = Untouched()
    flapping, steady = (Probe(cell=cell(who=f"app:{place}")) for place in ("here", "there"))
    run = Scripted(world, other, builder=other, notify=lambda _: None, mutations=other, settle=30, clock=Counted())
    run.script({flapping: [206, 403] * 40, steady: [403]})
    seen = run.send([flapping, steady], {}, unmade={})
    outcome = seen.counted[flapping]
    assert outcome.kind is OutcomeKind.INCONCLUSIVE
    assert outcome.reason.startswith("its answers did not settle: allowed, denied, allowed, denied")
    assert seen.counted[steady].denied


def test_a_cell_has_a_span_of_its_own_and_without_one_nothing_is_sent_again() -> None:
    world: Any = World()
    other: Any = Untouched()
    clock = Counted()
    own, plain = Probe(cell=cell(who="app:here", settle=10)), Probe(cell=cell(who="app:there"))
    run = Scripted(world, other, builder=other, notify=lambda _: None, mutations=other, clock=clock)
    run.script({own: [206, 403], plain: [206, 403]})
    seen = run.send([own, plain], {}, unmade={})
    assert seen.counted[own].denied
    assert seen.counted[plain].allowed
    assert clock.time == 100 + 12
