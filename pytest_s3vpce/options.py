"""The options of pytest and of its ini file: declared, and read into what a run is told."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_s3vpce.run.session import Settings

_MODES = ("lab", "live")
_UNITS = {"s": 1, "m": 60, "h": 3600}


def add_to(parser: pytest.Parser) -> None:
    group = parser.getgroup("s3vpce", "access tests of Amazon S3 (pytest-s3vpce)")
    _add_modes(group)
    _add_reports(group)
    group.addoption(
        "--s3vpce-strict", action="store_true", help="fail denials that nothing controls, and gaps in coverage"
    )
    group.addoption(
        "--s3vpce-evidence", action="store_true", help="wait for the trails' and logs' records of what was sent"
    )
    group.addoption(
        "--s3vpce-predict",
        action="store_true",
        help="read the accounts' policies and networks, and say what each cell should give and why",
    )
    group.addoption(
        "--s3vpce-settle",
        metavar="SPAN",
        type=_span,
        help="measure until the answers agree throughout this time, such as 30s or 2m",
    )
    group.addoption(
        "--s3vpce-shard", metavar="I/N", type=_shard, help="only the I-th of N parts of the access tests, for CI jobs"
    )
    parser.addini("s3vpce_mode", "the mode of access tests where no option names one: lab or live")
    parser.addini("s3vpce_inventory", "the inventory's path, relative to the root folder")


def _add_modes(group: pytest.OptionGroup) -> None:
    group.addoption("--s3vpce-lab", action="store_true", help="run access tests against the embedded lab")
    group.addoption("--s3vpce-lab-ready", metavar="FILE", help="run them against the running lab of this ready file")
    group.addoption("--s3vpce-live", action="store_true", help="run access tests against AWS, with real requests")
    group.addoption(
        "--s3vpce-inventory", metavar="FILE", help="the inventory (default: s3vpce.yaml in the root folder)"
    )
    group.addoption(
        "--s3vpce-plan", action="store_true", help="print the cells, what would be created, its cost; send nothing"
    )


def _add_reports(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--s3vpce-report",
        action="append",
        default=[],
        metavar="PATH",
        help="write the access matrix to a file; the suffix is its format (.json, .html, .md, .csv), `github` is the "
        "summary of the GitHub Actions job; repeatable",
    )
    group.addoption(
        "--s3vpce-baseline", metavar="FILE", help="an older JSON report: tell what changed, fail where anything opened"
    )
    group.addoption(
        "--s3vpce-redact",
        metavar="LEVEL",
        default="secrets",
        choices=["secrets", "accounts", "buckets", "addresses"],
        help="what reports leave out: secrets always; account ids; bucket names too; IP addresses too",
    )


def _span(text: str) -> float:
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is no span of time; give one such as 30s or 2m")
    return float(int(number) * _UNITS[unit])


def _shard(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"`{text}` is no part of a whole; give I/N with I from 1 to N, such as 2/3")
    return int(number), int(count)


def mode_of(config: pytest.Config) -> str | None:
    """`lab`, `lab-ready` or `live`; None where nothing names one. Two at once are a usage error."""
    modes = {"--s3vpce-lab": "lab", "--s3vpce-lab-ready": "lab-ready", "--s3vpce-live": "live"}
    given = [name for name in modes if config.getoption(name)]
    if len(given) > 1:
        raise pytest.UsageError(f"{' and '.join(given)} exclude each other; give one")
    if given:
        return modes[given[0]]
    ini = str(config.getini("s3vpce_mode") or "")
    if ini and ini not in _MODES:
        raise pytest.UsageError(f"s3vpce_mode is `{ini}` in the ini file; it is one of {', '.join(_MODES)}")
    return ini or ("live" if config.getoption("--s3vpce-plan") else None)


def settings_of(config: pytest.Config, mode: str) -> Settings:
    """What a run of that mode is told."""
    from pytest_s3vpce.redaction import Level
    from pytest_s3vpce.run.session import Settings

    option = config.getoption
    return Settings(
        mode=mode,
        root=config.rootpath,
        inventory=option("--s3vpce-inventory") or str(config.getini("s3vpce_inventory")) or None,
        ready_file=option("--s3vpce-lab-ready"),
        redact=Level(option("--s3vpce-redact")),
        strict=option("--s3vpce-strict"),
        predict=option("--s3vpce-predict"),
        settle=option("--s3vpce-settle"),
        evidence=option("--s3vpce-evidence"),
        shard="/".join(map(str, option("--s3vpce-shard") or ())),
    )
