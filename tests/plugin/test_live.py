"""Live mode where there is nothing to sign in with: one clear error per account, and nothing is sent."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "endpoint_only"
CELL = "GetObject/reports/app:internet/https"


def live(folder: Path, aws: str, *, profile: bool = True) -> str:
    """A live run of one cell, with that AWS configuration and no other credentials in reach."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".s3vpce", "test_reports.py"))
    if not profile:
        inventory = folder / "s3vpce.yaml"
        text = inventory.read_text(encoding="utf-8")
        inventory.write_text(text.replace("profile: staging, ", ""), encoding="utf-8")
    names = set(re.findall(r"\$\{out:(\w+)\}", (folder / "s3vpce.yaml").read_text(encoding="utf-8")))
    outputs = {name: f"arn:aws:iam::111122223333:role/{name}" if "Arn" in name else name.lower() for name in names}
    outputs["PartnerRoleArn"] = "arn:aws:iam::444455556666:role/partner"
    (folder / "outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    config = folder / "aws-config"
    config.write_text(aws, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env |= {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--s3vpce-live", "-k", "GetObject and app:internet"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    out = done.stdout + done.stderr
    assert done.returncode == 1, out
    assert "pytest_s3vpce/" not in out, "a traceback of ours"
    return " ".join(out.split())


def test_a_profile_that_does_not_exist(tmp_path: Path) -> None:
    out = live(tmp_path / "x", "")
    assert "s3vpce.yaml:3" in out
    assert "profile `staging` does not exist; `aws configure list-profiles` lists those that do" in out


@pytest.mark.parametrize("profile", [True, False])
def test_no_credentials_at_all(tmp_path: Path, profile: bool) -> None:
    out = live(tmp_path / "x", "[profile staging]\nregion = eu-west-1\n", profile=profile)
    assert "there are no credentials" in out
    assert "name a `profile` or `role` for the account" in out


def test_an_expired_sso_session(tmp_path: Path) -> None:
    sso = (
        "[profile staging]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = x\nregion = eu-west-1\n"
        "[sso-session corp]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\n"
    )
    out = live(tmp_path / "x", sso)
    assert "aws sso login --profile staging" in out
