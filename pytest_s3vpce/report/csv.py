"""The cells as CSV, for a spreadsheet: no text of others is a formula there."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.escaping import harmless
from pytest_s3vpce.report.text import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.matrix import CellResult, Matrix

COLUMNS: Final = (
    "id",
    "operation",
    "variant",
    "bucket",
    "principal",
    "vantage",
    "transport",
    "path",
    "expected",
    "outcome",
    "passed",
    "controlled",
    "layer",
    "code",
    "message",
    "reason",
    "look_at",
    "predicted",
    "surprise",
    "statement",
    "method",
    "url",
    "status",
    "request_id",
    "failure",
    "peer",
    "tls",
    "seconds",
    "declared",
    "run_id",
    "mode",
)
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the beginning of a formula: https://owasp.org/www-community/attacks/CSV_Injection"""


def write(matrix: Matrix, path: Path) -> None:
    """Writes the file whole or not at all. RunError where it can't be written."""
    write_text(render(matrix), path)


def render(matrix: Matrix) -> str:
    """The text, with a line of column names, as RFC 4180 has it."""
    shown = harmless(matrix)
    paths = {row.name: row.path for row in shown.vantages}
    stream = io.StringIO()
    lines = csv.writer(stream, quoting=csv.QUOTE_ALL)
    lines.writerow(COLUMNS)
    for cell in shown.cells:
        values = _values(cell) | {"path": paths.get(cell.vantage), "run_id": shown.run_id, "mode": shown.mode}
        lines.writerow([_plain(values[name]) for name in COLUMNS])
    return stream.getvalue()


def _values(cell: CellResult) -> dict[str, object]:
    sent, received = cell.sent, cell.received
    return {
        "id": cell.id,
        "operation": cell.operation,
        "variant": cell.variant,
        "bucket": cell.bucket,
        "principal": cell.principal,
        "vantage": cell.vantage,
        "transport": cell.transport.value,
        "expected": cell.expect.value if cell.expect else None,
        "outcome": cell.counted.outcome.value,
        "passed": cell.passed,
        "controlled": cell.controlled,
        "layer": cell.counted.layer.value if cell.counted.layer else None,
        "code": cell.measured.code,
        "message": cell.measured.message,
        "reason": cell.counted.reason,
        "look_at": cell.hint,
        "predicted": cell.predicted.expected.value if cell.predicted else None,
        "surprise": cell.predicted.surprise if cell.predicted else None,
        "statement": cell.predicted.statement if cell.predicted else None,
        "method": sent.method if sent else None,
        "url": sent.url if sent else None,
        "status": received.status if received else None,
        "request_id": received.request_id if received else None,
        "failure": received.failure if received else None,
        "peer": received.peer if received else None,
        "tls": received.tls if received else None,
        "seconds": received.seconds if received else None,
        "declared": cell.place,
    }


def _plain(value: object) -> str:
    """A text that begins like a formula gets an apostrophe before it, as spreadsheets write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text
