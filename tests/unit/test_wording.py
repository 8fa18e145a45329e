"""Words in the number that they are counted in."""

from __future__ import annotations

from pytest_s3vpce.wording import counted


def test_one_is_not_several() -> None:
    assert [counted(number, "cell") for number in (0, 1, 2)] == ["0 cells", "1 cell", "2 cells"]
