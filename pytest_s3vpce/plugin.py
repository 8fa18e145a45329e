"""The pytest plugin: a thin shell, light enough for runs that don't use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce import options

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.run.fixture import S3vpce


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_to(parser)


def pytest_configure(config: pytest.Config) -> None:
    mode = options.mode_of(config)
    if mode is not None:
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
