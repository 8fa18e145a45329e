"""Files of a format with a name: written as ASCII, read back, refused where they are something else."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from pytest_s3vpce import matrix
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.snapshot import state
from pytest_s3vpce.storing import Stored


@dataclass(frozen=True)
class Thing:
    """Something to store."""

    name: str
    count: int = 0


THINGS = Stored(Thing, "thing", "s3vpce-thing/2", "A thing", older=("s3vpce-thing/1",))


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
        ("{", "the thing is not JSON"),
        ("[" * 100_000, "the thing is not JSON"),
        ("[]", "the thing's format is `None`; this version reads s3vpce-thing/1, s3vpce-thing/2"),
        ('{"format": "s3vpce-thing/3"}', "the thing's format is `s3vpce-thing/3`"),
        (
            '{"format": "s3vpce-thing/2", "name": []}',
            "the thing does not hold what s3vpce-thing/2 holds: name: input should",
        ),
    ],
)
def test_what_is_something_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(RunError) as raised:
        THINGS.read(text)
    assert str(raised.value).startswith(said)


def test_reports_and_snapshots_are_stored_alike() -> None:
    kinds = {matrix.stored().word: matrix.schema(), state.stored().word: state.schema()}
    assert list(kinds) == ["report", "snapshot"]
    for made in kinds.values():
        assert made["required"][0] == "format"
        assert next(iter(made["properties"])) == "format"
