"""A matrix as a picture of the network: where requests start, what they go through, and where each is stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.model import Layer, OutcomeKind
from pytest_s3vpce.report.reading import LAYERS, decided_by, networks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_s3vpce.matrix import CellResult, Matrix, VantageResult
    from pytest_s3vpce.report.reading import Network

SYMBOLS: Final[Mapping[OutcomeKind, str]] = {
    OutcomeKind.ALLOWED: "✔",
    OutcomeKind.DENIED: "✘",
    OutcomeKind.UNREACHABLE: "⊘",
    OutcomeKind.INCONCLUSIVE: "?",
}
_MOST_LANES: Final = 40
"""With more, buckets are drawn as one where all is as expected; with still more, all are."""
_MOST_VANTAGES: Final = 30
_AT_THE_START: Final = frozenset({Layer.IDENTITY, Layer.SCP, Layer.PERMISSIONS_BOUNDARY, Layer.SESSION})
"""Layers of the caller's own side: its requests are drawn to end where they begin."""
_BOX: Final = 36
"""The height of a box."""


class Keeps(Enum):
    """What stays apart when buckets are drawn as one."""

    SURPRISES = "surprises"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where columns stand, left and width in the picture's own units, and how high a lane is."""

    name: str
    width: int
    start: tuple[int, int]
    via: tuple[int, int]
    bucket: tuple[int, int]
    lane: int
    label_at: int
    """From the top of a lane to its text's base line; the line itself is drawn below it."""
    letter: float
    """The width of a letter, for shortening."""
    below: int = 0
    """How far under the top of its boxes the first lane begins: 0 is beside them."""


WIDE: Final = Geometry("wide", 1160, (24, 210), (290, 220), (970, 166), 24, 11, 6.4)
NARROW: Final = Geometry("narrow", 400, (12, 128), (150, 134), (312, 84), 26, 14, 6.2, below=_BOX)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with a line or two of text."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """Measured paths that went alike: a line, the sign at its end, and a label."""

    outcome: str
    line: str
    sign: str
    sign_x: float
    sign_y: float
    label: str
    label_x: float
    label_y: float
    surprise: bool
    title: str


@dataclass(slots=True)
class Picture:
    """What is drawn, and the same in sentences."""

    name: str
    width: int
    height: float = 0
    frames: list[Box] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Way:
    """Cells of one vantage point that ended alike."""

    bucket: str
    outcome: OutcomeKind
    layer: Layer | None
    by: str
    principals: tuple[str, ...]
    surprise: bool

    def words(self) -> str:
        ended = self.outcome.value
        if self.outcome is OutcomeKind.DENIED:
            ended = f"denied by {self.by}"
        who = ", ".join(self.principals)
        return f"{who}: {ended}" if who else ended


def draw(matrix: Matrix, geometry: Geometry) -> Picture:
    """The picture in that geometry; one without boxes where no cell was measured."""
    return _Drawing(matrix, geometry).picture()


class _Drawing:
    """One picture in the making."""

    def __init__(self, matrix: Matrix, geometry: Geometry) -> None:
        self._matrix = matrix
        self._g = geometry
        self._made = Picture(geometry.name, geometry.width)
        self._accounts = {row.name: row.id for row in matrix.accounts}
        self._endpoints = {row.id: row for row in matrix.endpoints}
        self._names = {row.label: row.name for row in matrix.buckets}
        self._labels = {cell.bucket for cell in matrix.cells}
        self._leaving = {
            cell.vantage: cell.predicted.path.partition(",")[0]
            for cell in matrix.cells
            if cell.predicted is not None and "gateway" in cell.predicted.path
        }
        self._todo: list[tuple[_Way, VantageResult, float]] = []

    def picture(self) -> Picture:
        ways = self._ways()
        y, drawn = 8.0, 0
        for network in networks(self._matrix):
            shown = network.vantages[: max(0, _MOST_VANTAGES - drawn)]
            drawn += len(shown)
            self._made.left_out += len(network.vantages) - len(shown)
            if shown:
                y = self._network(network, shown, ways, y) + 10
        self._made.height = y
        self._buckets(y)
        return self._made

    def _ways(self) -> Mapping[str, list[_Way]]:
        """By vantage point: how its cells ended, alike ones together."""
        found = {name: list(_alike(cells)) for name, cells in self._cells().items()}
        together = f"{len(self._labels)} buckets"
        for keeps in Keeps:
            if sum(len(rows) for rows in found.values()) > _MOST_LANES:
                found = {name: list(_merged(rows, together, keeps=keeps)) for name, rows in found.items()}
        return found

    def _cells(self) -> Mapping[str, list[CellResult]]:
        found: dict[str, list[CellResult]] = {}
        for cell in self._matrix.cells:
            found.setdefault(cell.vantage, []).append(cell)
        return found

    def _network(
        self, network: Network, shown: Sequence[VantageResult], ways: Mapping[str, list[_Way]], top: float
    ) -> float:
        """Draws a network's vantage points below `top`; where it ends."""
        g = self._g
        inside = network.account is not None
        y = top + (22 if inside else 4)
        for vantage in shown:
            y = self._vantage(vantage, ways[vantage.name], y)
        if inside:
            left, right = 4, g.via[0] + g.via[1] + 8
            caption = f"account {network.account} {self._accounts.get(network.account or '', '')}"
            place = network.vpc or "network not read"
            title = f"{caption}, {place}"
            self._made.frames.append(
                Box("vpc", left, top, right - left, y - top, (self._short(title, right - left - 12),), title)
            )
        return y

    def _vantage(self, vantage: VantageResult, ways: list[_Way], top: float) -> float:
        g = self._g
        via = self._via(vantage)
        place = ", ".join(vantage.subnets) or vantage.kind
        start = ("vantage", (vantage.name, place), f"{vantage.name}, {place}")
        for (kind, lines, title), (x, width) in ((start, g.start), (via, g.via)):
            short = tuple(self._short(line, width - 12) for line in lines)
            self._made.boxes.append(Box(kind, x, top, width, _BOX, short, title))
        for number, way in enumerate(ways):
            self._todo.append((way, vantage, top + g.below + number * g.lane))
        self._made.sentences.append(
            f"From {vantage.name} through {' '.join(via[1])}{self._known(vantage)}: "
            + "; ".join(f"{way.bucket} {way.words()}{', not as expected' if way.surprise else ''}" for way in ways)
        )
        return top + max(_BOX, g.below + len(ways) * g.lane) + 8

    def _via(self, vantage: VantageResult) -> tuple[str, tuple[str, str], str]:
        """What requests from there went through: its kind, its two lines, and all that is known of it."""
        if vantage.path is None:
            lines = ("unknown", ("path unknown", "nothing read it"))
        elif vantage.path == "none" and vantage.account is None:
            lines = ("internet", ("internet", "no endpoint"))
        elif vantage.path == "none":
            lines = ("gate", ("no endpoint", self._leaving.get(vantage.name, "NAT or internet gateway")))
        else:
            row = self._endpoints.get(vantage.path)
            called = "VPC endpoint" if row is None else f"{row.type} endpoint {row.name}".rstrip()
            lines = ("endpoint", (called, vantage.path))
        return (*lines, f"{', '.join(lines[1])}{self._known(vantage)}")

    def _known(self, vantage: VantageResult) -> str:
        """How the endpoint on its path is reached; without one, how those of its VPC are that it did not go through."""
        if vantage.path not in (None, "none"):
            row = self._endpoints.get(vantage.path or "")
            return "" if row is None else f", {row.reached}"
        others = [row for row in self._endpoints.values() if row.vpc == vantage.vpc]
        told = (f"{row.type} endpoint {row.name or row.id} has {row.reached}" for row in others)
        word = "not by what is in" if vantage.path else "it may be one in"
        return f" ({word} {vantage.vpc}: {'; '.join(told)})" if others else ""

    def _buckets(self, height: float) -> None:
        """The buckets, spread over the height, and every line that leads to them."""
        g = self._g
        labels = list(dict.fromkeys(way.bucket for way, _, _ in self._todo))
        step = height / max(1, len(labels))
        middle = {label: step * (number + 0.5) for number, label in enumerate(labels)}
        x, width = g.bucket
        for label in labels:
            name = self._names.get(label, "")
            lines = tuple(self._short(line, width - 10) for line in (label, name) if line)
            self._made.boxes.append(Box("bucket", x, middle[label] - 20, width, 40, lines, f"bucket {label} {name}"))
        arriving: dict[str, int] = {}
        for way, vantage, top in self._todo:
            count = arriving[way.bucket] = arriving.get(way.bucket, 0) + 1
            total = sum(other.bucket == way.bucket for other, _, _ in self._todo)
            y = middle[way.bucket] - 16 + 32 * count / (total + 1)
            self._made.lanes.append(self._lane(way, vantage, top, target=y))

    def _lane(self, way: _Way, vantage: VantageResult, top: float, *, target: float) -> Lane:
        g = self._g
        y = top + g.label_at + 5
        bend = g.bucket[0] - 24
        head = f"M{g.start[0] + g.start[1]} {y:g}" if not g.below else f"M{g.start[0] + 6} {top - 8:g}V{y:g}"
        sign_x = self._stops().get(_end(way), bend)
        line = f"{head}H{sign_x:g}"
        if way.outcome is OutcomeKind.ALLOWED:
            line = f"{head}H{bend:g}L{g.bucket[0]} {target:.1f}"
        words = f"{'! ' if way.surprise else ''}{f'{way.bucket}, ' if len(self._labels) > 1 else ''}{way.words()}"
        left = g.start[0] + 14 if g.below else g.via[0] + g.via[1] + 22
        return Lane(
            outcome=way.outcome.value,
            line=line,
            sign=SYMBOLS[way.outcome],
            sign_x=sign_x,
            sign_y=y,
            label=self._short(words, bend - left - 12),
            label_x=left,
            label_y=top + g.label_at,
            surprise=way.surprise,
            title=f"{vantage.name} to {way.bucket}: {words}",
        )

    def _stops(self) -> Mapping[str, float]:
        """Where a path that does not arrive is drawn to end."""
        g = self._g
        if g.below:
            return {"start": g.start[0] + g.start[1], "via": g.via[0] + g.via[1]}
        return {"start": g.start[0] + g.start[1] + 12, "via": g.via[0] + g.via[1] + 12}

    def _short(self, text: str, width: float) -> str:
        most = max(4, int(width / self._g.letter))
        return text if len(text) <= most else f"{text[: most - 1]}…"


def _end(way: _Way) -> str:
    """Where a path is stopped."""
    if way.outcome is OutcomeKind.DENIED and way.layer in _AT_THE_START:
        return "start"
    if way.outcome is OutcomeKind.UNREACHABLE or way.layer is Layer.VPC_ENDPOINT:
        return "via"
    return "bucket"


def _alike(cells: Sequence[CellResult]) -> Iterator[_Way]:
    found: dict[tuple[str, OutcomeKind, Layer | None, str, bool], dict[str, None]] = {}
    for cell in cells:
        layer = cell.counted.layer if cell.counted.outcome is OutcomeKind.DENIED else None
        by = decided_by(cell) if cell.counted.outcome is OutcomeKind.DENIED else ""
        key = (cell.bucket, cell.counted.outcome, layer, by, cell.passed is False)
        found.setdefault(key, {})[cell.principal] = None
    order = list(OutcomeKind)
    for (bucket, outcome, layer, by, surprise), principals in sorted(
        found.items(), key=lambda row: (row[0][0], order.index(row[0][1]), not row[0][4])
    ):
        yield _Way(bucket, outcome, layer, by, tuple(principals), surprise)


def _merged(ways: Sequence[_Way], name: str, *, keeps: Keeps) -> Iterator[_Way]:
    """The ways of all buckets as those of one."""
    if keeps is Keeps.SURPRISES:
        yield from (way for way in ways if way.surprise)
        ways = [way for way in ways if not way.surprise]
    for outcome, layer, surprise in dict.fromkeys((way.outcome, way.layer, way.surprise) for way in ways):
        yield _Way(name, outcome, layer, LAYERS[layer], (), surprise)
