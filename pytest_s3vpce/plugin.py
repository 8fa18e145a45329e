"""The pytest plugin: a thin shell, light enough for runs that don't use it."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce import options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import ModuleType

    from pytest_s3vpce.run.fixture import S3vpce


class _AsTheyAre:
    """Finds this package's modules as Python does: pytest would compile each anew, to rewrite asserts of tests."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, path, target) if name.startswith("pytest_s3vpce.") else None


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_to(parser)


def pytest_configure(config: pytest.Config) -> None:
    mode = options.mode_of(config)
    if mode is not None:
        if _AsTheyAre not in sys.meta_path:
            sys.meta_path.insert(0, _AsTheyAre)
        from pytest_s3vpce.hooks import register

        register(config, mode)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name.startswith("test_") and file_path.name.endswith(".access.yaml"):
        from pytest_s3vpce.collector import AccessFile

        return AccessFile.from_parent(parent, path=file_path)
    return None


@pytest.fixture(scope="session")
def s3vpce(pytestconfig: pytest.Config) -> S3vpce:
    """Live access tests in Python: `probe`, `prove`, `client`, `http`. Needs a mode: --s3vpce-lab or --s3vpce-live."""
    from pytest_s3vpce.collector import NO_MODE, running

    session = running(pytestconfig)
    if session is None:
        pytest.fail(NO_MODE, pytrace=False)
    return session.fixture()
