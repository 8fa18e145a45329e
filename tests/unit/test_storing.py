"""Files of a format with a name: written as ASCII, read back, refused where they are something else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce import matrix
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.snapshot import state
from pytest_s3vpce.storing import Stored

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Thing:
    """Something to store."""

    name: str
    count: int = 0


THINGS = Stored(Thing, "thing", "s3vpce-thing/2", "A thing", writer="`things`", older=("s3vpce-thing/1",))


def test_what_is_written_is_read_back_and_steers_no_terminal() -> None:
    text = THINGS.text(Thing("a\x1b[2Jé\u2028", 3))
    assert text.isascii()
    assert "\x1b" not in text
    assert list(json.loads(text)) == ["format", "name", "count"]
    assert THINGS.read(text) == Thing("a\x1b[2Jé\u2028", 3)
    assert THINGS.read('{"format": "s3vpce-thing/1", "name": "old"}') == Thing("old")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON; name what `things` wrote"),
        ("[" * 100_000, "is not JSON; name what `things` wrote"),
        ("[]", "names no format; name what `things` wrote"),
        ('{"format": "s3vpce-thing/3"}', "has the format `s3vpce-thing/3`; this version reads s3vpce-thing/1, "),
        ('{"format": "s3vpce-thing/2", "name": []}', "does not hold what s3vpce-thing/2 holds: name: input should"),
    ],
)
def test_what_is_something_else_is_refused_by_its_name(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RunError) as raised:
        THINGS.read(text)
    assert str(raised.value).startswith(f"the thing {said}")
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError) as raised:
        THINGS.load(tmp_path / "a.json")
    assert str(raised.value).startswith(f"the thing `{tmp_path / 'a.json'}` {said}")


def test_what_can_not_be_read_is_told_with_its_writer(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff")
    for name, why in (("none", "No such file or directory"), (".", "Is a directory"), ("latin", "it is not UTF-8")):
        with pytest.raises(RunError) as raised:
            THINGS.load(tmp_path / name)
        assert str(raised.value) == f"the thing `{tmp_path / name}` can't be read: {why}; name what `things` wrote"


def test_reports_and_snapshots_are_stored_alike() -> None:
    kinds = {matrix.stored().word: matrix.schema(), state.stored().word: state.schema()}
    assert list(kinds) == ["report", "snapshot"]
    for made in kinds.values():
        assert made["required"][0] == "format"
        assert next(iter(made["properties"])) == "format"
