"""One pytest run's access session: files, folder, lab, who probes and who reads, and what is left at the end."""

from __future__ import annotations

import shlex
import threading
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_s3vpce.connection import forget_models
from pytest_s3vpce.errors import ExpectationError, RunError, S3VpceError
from pytest_s3vpce.expectations import Plan, find_expectations, plan_of
from pytest_s3vpce.inventory import find_inventory, load_inventory
from pytest_s3vpce.matrix import Matrix
from pytest_s3vpce.redaction import Level, names_of, redacted
from pytest_s3vpce.run import gathering
from pytest_s3vpce.run.background import BackgroundLab
from pytest_s3vpce.run.environment import Environment, from_ready_file
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.parts import Parting
from pytest_s3vpce.run.plan import substitutes
from pytest_s3vpce.run.preview import preview
from pytest_s3vpce.run.progress import Following
from pytest_s3vpce.run.verdicts import ItemVerdict, verdicts_of
from pytest_s3vpce.vantage.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pytest_s3vpce.claimbase import ClaimSpec, Pair
    from pytest_s3vpce.expectations import ExpectedCell
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.matrix import Call
    from pytest_s3vpce.model import Place
    from pytest_s3vpce.run.fixture import S3vpce


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line and the ini file say. `mode` is `lab`, `lab-ready` or `live`."""

    mode: str
    root: Path
    inventory: str | None = None
    ready_file: str | None = None
    strict: bool = False
    redact: Level = Level.SECRETS
    predict: bool = False
    settle: float | None = None
    evidence: bool = False
    shard: str = ""
    """The part of the access tests that this run is, such as `1/3`; empty where it is the whole."""


@dataclass(frozen=True, slots=True)
class Row:
    """An item to be: its id and where it was written."""

    id: str
    place: Place


class RunSession:
    """Made in the controller (or the only process), and in each worker with the folder that was handed over."""

    def __init__(self, settings: Settings, *, handed: str | None, notify: Callable[[str], None]) -> None:
        self.settings = settings
        self._notify = notify
        self._handed = handed
        self._folder: RunFolder | None = RunFolder(Path(handed)) if handed else None
        self._inventory: Inventory | None = None
        self._plan: Plan | None = None
        self._parting = Parting(settings.shard)
        self._operator: Operator | None = None
        self._own: Matrix | None = None
        """What this process probed itself."""
        self._shown: tuple[Matrix, Matrix] | None = None
        """What was shown last, as it was measured and as it may be seen."""
        self._verdicts: dict[str, ItemVerdict] = {}
        self._error: S3VpceError | None = None
        self._lab: BackgroundLab | None = None
        self._releasing: threading.Thread | None = None
        self._following: Following | None = None
        self._interrupted = False
        self.left: list[str] = []
        """What could not be removed at the end, and why."""
        self.failed: list[str] = []
        """What went wrong once every item had its verdict: the run has failed all the same."""

    # --- files -------------------------------------------------------------------------------------------------------

    @property
    def inventory(self) -> Inventory:
        if self._inventory is None:
            self._inventory = load_inventory(find_inventory(self.settings.root, self.settings.inventory))
            if self.settings.evidence:
                from pytest_s3vpce.run import evidencing

                evidencing.check(self._inventory)
        return self._inventory

    def readers_for(self, cells: Sequence[ExpectedCell], specs: Sequence[ClaimSpec]) -> dict[str, Pair]:
        """Who reads the canaries of what a Python test asks for: whom the files allow, or its claim."""
        try:
            plan = self.plan
        except S3VpceError:  # told by the files themselves
            plan = Plan(cells=(), claims=())
        return substitutes(plan, cells, specs)

    @property
    def plan(self) -> Plan:
        """All expectation files that belong to the inventory: `everyone-else` needs every one of them."""
        if self._plan is None:
            self._plan = plan_of(self.inventory)
        return self._plan

    def items_of(self, path: Path) -> Iterator[Row]:
        """The cells and claims that a file declares, in its order. ExpectationError where it belongs elsewhere."""
        items = self.plan.items_of(path)
        if not items:
            raise ExpectationError(
                f"`{path}` does not belong to the inventory `{self.inventory.path}`",
                remedy="keep expectation files in the inventory's folder or below it, or name another inventory",
            )
        for item in items:
            yield Row(item.id, item.place)

    # --- the folder and the lab --------------------------------------------------------------------------------------

    @property
    def folder(self) -> RunFolder:
        if self._folder is None:
            self._folder = RunFolder.create(self.settings.root)
        return self._folder

    def hand_over(self) -> str:
        """What a worker needs: the run folder's path. The lab starts now, so that workers collect while it comes up."""
        self.start_lab()
        if self._following is None:
            self._following = Following(self.folder, self._notify)
        return str(self.folder.path)

    def start_lab(self) -> None:
        """Starts the embedded lab in the background; `environment` waits for it."""
        if self.settings.mode == "lab" and self._lab is None:
            # The folder is made here: two threads that both ask for it first would make two.
            self._lab = BackgroundLab(self.folder)
            if self._handed is None:
                self._lab.start(lambda: self.inventory)

    @property
    def environment(self) -> Environment:
        """AWS, or the lab once it is ready. Raises LabError where it did not come up."""
        if self.settings.mode == "live":
            return Environment()
        if self.settings.ready_file is not None:
            return from_ready_file(Path(self.settings.ready_file))
        self.start_lab()
        assert self._lab is not None
        return self._lab.environment()

    # --- the run -----------------------------------------------------------------------------------------------------

    @property
    def operator(self) -> Operator:
        """Who sends: the inventory resolved against AWS or the lab, with this run's vantage points."""
        if self._operator is None:
            self._operator = Operator(
                self.inventory,
                self.environment,
                self.folder,
                notify=self.say,
                strict=self.settings.strict,
                settle=self.settings.settle,
            )
        return self._operator

    def say(self, line: str) -> None:
        """A line of progress: into the folder for the controller, and to this process's terminal."""
        self.folder.note(line)
        if self._following is None:
            self._notify(line)

    def run(self, chosen: Callable[[], Sequence[str]]) -> bool:
        """Probes every chosen item, once for all processes; True where this call did it.

        Raises S3VpceError, the same for every item.
        """
        if self._verdicts:
            return False
        if self._error is None:
            try:
                self._verdicts = verdicts_of(self.shown(self._answers(chosen())))
            except S3VpceError as error:
                self._error = error
        if self._error is not None:
            raise self._error
        return True

    def _answers(self, chosen: Sequence[str]) -> Matrix:
        """The first process to hold the lock probes; the others read what it wrote."""
        folder = self.folder
        with folder.locked():
            text = folder.text(gathering.ANSWERS)
            if text is not None:
                return Matrix.from_json(text)
            failed = folder.read(gathering.FAILED)
            if failed is not None:
                raise RunError(failed["error"])
            if folder.started.exists():
                raise RunError(
                    "the process that was probing died without answers, and nothing is deployed a second time",
                    remedy="see its output, then run again",
                )
            folder.started.touch()
            try:
                matrix = self.foreseen(self.operator.run(self.plan, set(chosen)))
            except S3VpceError as error:
                folder.write(gathering.FAILED, {"error": str(error)})
                raise
            folder.write_text(gathering.ANSWERS, matrix.to_json())
            self._own = matrix
            return matrix

    def foreseen(self, matrix: Matrix) -> Matrix:
        """With what the accounts' policies and networks say of it now, where predictions are wanted."""
        if not self.settings.predict:
            return matrix
        from pytest_s3vpce.run.predicting import predicted

        self.say("reading what decides, to predict the cells")
        return predicted(matrix, self.plan.cells, self.operator)

    def plan_text(self, chosen: Sequence[str]) -> str:
        """What a run of these items would do; where none was chosen, no file is needed to say so."""
        if not chosen:
            return "no cell and no claim was chosen: nothing would be sent or created"
        return preview(self.plan, self.inventory, chosen)

    def release(self) -> None:
        """Nothing more will be sent by this run: what was made is removed while pytest still reports its items.

        Not in a worker: others may still read, and the controller removes.
        """
        if self._handed is None and self._releasing is None and self._operator is not None:
            self._releasing = threading.Thread(target=self._release, args=(self._operator,), daemon=True)
            self._releasing.start()

    def _release(self, operator: Operator) -> None:
        with suppress(S3VpceError):  # `finish` sweeps again, and says what is left
            operator.sweep()

    def verdict(self, item: str) -> ItemVerdict:
        """How an item ended; RunError where the run did not cover it."""
        try:
            return self._verdicts[item]
        except KeyError:
            raise RunError(f"`{item}` was not probed in this run", remedy="run it again") from None

    def fixture(self) -> S3vpce:
        """The object behind the `s3vpce` fixture."""
        from pytest_s3vpce.run.fixture import S3vpce

        return S3vpce(self)

    def record(self, call: Call) -> None:
        """Adds a request of a test's own code to the run's evidence; from any thread."""
        gathering.record(self.folder, call)

    def keep(self, matrix: Matrix) -> None:
        """Adds what a Python test measured to the run's evidence."""
        gathering.keep(self.folder, matrix)

    def unproven(self, claim: str, error: S3VpceError) -> None:
        """Notes that a Python test's claim came to no result: without it, the rest is not the whole."""
        gathering.unproven(self.folder, claim, error)

    # --- the end -----------------------------------------------------------------------------------------------------

    def matrix(self) -> Matrix | None:
        """Everything that all processes measured, as people may see it; None where nothing was."""
        found = self._whole()
        return None if found is None else self.shown(found)

    def _whole(self) -> Matrix | None:
        if self._folder is None:
            return None
        interrupted = "not all was measured: the run was interrupted" if self._interrupted else ""
        self._parting.learn(self._folder)
        found = gathering.gathered(self._folder, own=self._own, mode=self._mode, interrupted=interrupted)
        return None if found is None else self._parting.named(found)

    def parted(self, tests: Iterable[str], *, ours: int) -> None:
        """Notes of which tests this run is a part, and how many of them are its own."""
        files: list[Path] = []
        with suppress(S3VpceError):  # told by the tests themselves
            files = [self.inventory.path, *find_expectations(self.inventory.path.parent)]
        self._parting.note(tests, files, ours=ours, folder=self._folder if self._handed else None)

    def nothing(self) -> Matrix:
        """What a part says that measured nothing: whoever joins the parts must know that it is there."""
        return self._parting.nothing(self._mode)

    @property
    def declared(self) -> frozenset[str]:
        """The ids of all cells and claims of the expectation files, chosen or not."""
        return frozenset({*(row.id for row in self.plan.cells), *(row.id for row in self.plan.claims)})

    def shown(self, matrix: Matrix) -> Matrix:
        """The matrix as people may see it: without what the settings take out."""
        if matrix is self._own and self.settings.redact is Level.SECRETS:
            return matrix  # which holds none
        if self._shown is None or self._shown[0] is not matrix:
            self._shown = matrix, redacted(matrix, level=self.settings.redact, names=names_of(matrix))
        return self._shown[1]

    @property
    def _mode(self) -> str:
        return "live" if self.settings.mode == "live" else "lab"

    def interrupted(self) -> None:
        """Whoever ended the run waits for nothing any more, for no evidence either."""
        self._interrupted = True

    def finish(self, *, patience: AbstractContextManager[object] | None = None) -> Matrix | None:
        """Removes what the ledger lists, looks for evidence within `patience`, stops the lab; back comes the matrix."""
        try:
            try:
                found = self._whole()
            finally:
                self._sweep()  # before logs are waited for, which takes minutes
            if found is not None and self.settings.evidence:
                with patience or nullcontext():
                    found = self._evidenced(found)  # addresses are searched for, so nothing is taken out before
            return None if found is None else self.shown(found)
        finally:
            self._stop()

    def _evidenced(self, matrix: Matrix) -> Matrix:
        """With what logs say of it."""
        if self._interrupted:
            return replace(matrix, notes=(*matrix.notes, "evidence: not looked for, as the run was interrupted"))
        from pytest_s3vpce.run import evidencing

        found = evidencing.evidenced(matrix, self.operator.world, self.environment, notify=self._notify)
        self.failed += evidencing.turned(matrix, self.shown(found))
        return found

    def _sweep_command(self) -> str:
        """How to remove later what could not be removed now."""
        words = ["s3vpce", "sweep", str(self.folder.path), "--inventory", str(self.inventory.path), "--wait"]
        ready = [] if self.settings.ready_file is None else ["--lab-ready", self.settings.ready_file]
        return shlex.join([*words, *ready])

    def _sweep(self) -> None:
        try:
            if self._releasing is not None:
                self._releasing.join()
            if self._folder is not None and self._folder.ledger.exists():
                left = [str(row) for row in self.operator.sweep()]
                self.left += [*left, f"to remove it: {self._sweep_command()}"] if left else []
        except S3VpceError as error:
            self.left.append(f"the ledger {self.folder.ledger} could not be swept: {error}")

    def _stop(self) -> None:
        self._operator = None  # nobody sends any more
        forget_models()
        if self._following is not None:
            self._following.end()
        if self._lab is not None:
            self._lab.stop()
        if self._folder is not None:
            self._folder.tidy(keep=bool(self.left) or Ledger(self._folder.ledger).is_needed)
