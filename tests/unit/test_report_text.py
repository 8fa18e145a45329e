"""A file that is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.report.text import write_text


def test_what_can_not_be_written_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.json"
    write_text("old", path)

    def full(self: Path, text: str, **_: object) -> None:
        self.write_bytes(text[:1].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RunError, match=r"the snapshot `.*` can't be written: No space left"):
        write_text("new", path, what="snapshot")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
