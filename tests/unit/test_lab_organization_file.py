"""`--organization FILE`: what can't be is told at its line; what is made holds for requests."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pytest_s3vpce.errors import FileError, LabError, PolicyError, S3VpceError
from pytest_s3vpce.lab.organizationfile import Organization
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.lab.serving import Settings, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ACCOUNTS = {"main": ("1" * 12, "us-east-1"), "partner": ("2" * 12, "us-east-1"), "outside": ("3" * 12, "us-east-1")}
FILE = """
management: main
rcps: [ours.json]
accounts: [main]
units:
  data:
    units:
      inner:
        scps: [no-put.json]
        accounts: [partner]
"""
NO_PUT = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}
OURS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": "*",
    "Condition": {"Null": {"aws:PrincipalOrgID": "true"}},
}


def policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("organization")
    (found / "no-put.json").write_text(policy(NO_PUT))
    (found / "ours.json").write_text(policy(OURS))
    (found / "broken.json").write_text("{}")
    (found / "binary.json").write_bytes(b"\xff")
    (found / "long.json").write_text(policy(NO_PUT) + " " * 5200)
    return found


@pytest.fixture(scope="module")
def ready(folder: Path) -> Iterator[Mapping[str, Any]]:
    (folder / "org.yaml").write_text(FILE)
    settings = Settings(ready_file=folder / "ready.json", accounts=ACCOUNTS, organization=folder / "org.yaml")
    stop, announced = threading.Event(), threading.Event()
    told: dict[str, Any] = {}

    def announce(found: Mapping[str, Any]) -> None:
        told.update(found)
        announced.set()

    kept = dict(os.environ)  # a lab is no client of the user's AWS
    thread = threading.Thread(target=serve, args=(settings,), kwargs={"stop": stop, "announce": announce})
    thread.start()
    try:
        assert announced.wait(30)
        yield told
    finally:
        stop.set()
        thread.join()
        os.environ.update(kept)


def client(ready: Mapping[str, Any], account: str, service: str) -> Any:
    row = ready["accounts"][account]
    session: Any = boto3.Session(
        aws_access_key_id=row["access_key_id"],
        aws_secret_access_key=row["secret_access_key"],
        region_name="us-east-1",
    )
    return session.client(service, endpoint_url=ready["endpoint_url"])


def test_units_accounts_and_policies_stand_where_the_file_says(ready: Mapping[str, Any]) -> None:
    organizations = client(ready, "main", "organizations")
    assert organizations.describe_organization()["Organization"]["MasterAccountId"] == "1" * 12
    root = organizations.list_roots()["Roots"][0]
    (data,) = organizations.list_organizational_units_for_parent(ParentId=root["Id"])["OrganizationalUnits"]
    (inner,) = organizations.list_organizational_units_for_parent(ParentId=data["Id"])["OrganizationalUnits"]
    assert (data["Name"], inner["Name"]) == ("data", "inner")
    members = organizations.list_accounts_for_parent(ParentId=inner["Id"])["Accounts"]
    assert [(row["Id"], row["Name"]) for row in members] == [("2" * 12, "partner")]
    kinds = (("SERVICE_CONTROL_POLICY", inner), ("RESOURCE_CONTROL_POLICY", root))
    for kind, target in kinds:
        attached = organizations.list_policies_for_target(TargetId=target["Id"], Filter=kind)["Policies"]
        assert len([row for row in attached if not row["AwsManaged"]]) == 1


def test_its_policies_hold(ready: Mapping[str, Any]) -> None:
    for account in ACCOUNTS:
        client(ready, account, "s3").create_bucket(Bucket=f"org-{account}")
    client(ready, "main", "s3").put_object(Bucket="org-main", Key="k")
    client(ready, "outside", "s3").put_object(Bucket="org-outside", Key="k")
    with pytest.raises(ClientError, match="with an explicit deny in a service control policy"):
        client(ready, "partner", "s3").put_object(Bucket="org-partner", Key="k")


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (
            "accounts: [other]",
            FileError,
            "org.yaml:1:12: there is no account `other`; it is one of main, partner, outside",
        ),
        ("management: other", FileError, "org.yaml:1:13: there is no account `other`"),
        ("accounts: [main]\nunits: {a: {accounts: [main]}}", FileError, "2:24: account `main` stands at `"),
        ("scps: [none.json]", FileError, "org.yaml:1:8: `none.json` can't be read: No such file or directory"),
        ("scps: [binary.json]", FileError, "org.yaml:1:8: `binary.json` is not UTF-8"),
        ("rcps: [broken.json]", PolicyError, "org.yaml:1:8: policy `broken.json`: element Statement is missing"),
        ("scps: [long.json]", FileError, "org.yaml:1:8: `long.json` is longer than 5120 bytes; shorten it"),
        ("unit: {}", FileError, "org.yaml:1:1: unknown key `unit`; accepted are units"),
        ("units: [a]", FileError, "org.yaml:1"),
    ],
)
def test_what_can_not_be_is_told_at_its_line(folder: Path, text: str, error: type[S3VpceError], said: str) -> None:
    path = folder / "bad-org.yaml"
    path.write_text(text)
    with pytest.raises(error) as caught:
        Organization.load(path, accounts=ACCOUNTS)
    assert said in str(caught.value)


def test_a_run_is_told_too(folder: Path, tmp_path: Path) -> None:
    path = folder / "run-org.yaml"
    path.write_text("accounts: [nobody]")
    with pytest.raises(LabError, match=r"run-org.yaml:1:12: there is no account `nobody`; it is one of main, partner"):
        start_lab(tmp_path, accounts=ACCOUNTS, organization=path)


def test_an_organization_of_nothing_is_one_all_the_same(folder: Path) -> None:
    path = folder / "least.yaml"
    path.write_text("{}")
    assert Organization.load(path, accounts=ACCOUNTS).management == "main"
