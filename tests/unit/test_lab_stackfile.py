"""Stacks of an inventory: their outputs are joined, and what is wrong is told with the line where it stands."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.lab import stackfile
from pytest_s3vpce.lab.provisioning import AccountSession
from pytest_s3vpce.lab.stackfile import StackRow
from pytest_s3vpce.model import Place
from tests.unit.labstage import REGION, Stage

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "360000000038"
KEYS = AccountSession(account_id=MAIN, region=REGION, access_key_id="AKIA", secret_access_key="hush")
HERE = Place("s3vpce.yaml", 16, 14)
TEMPLATE = """
Parameters:
  Text: {Type: String, Default: nothing}
Resources:
  One:
    Type: AWS::SSM::Parameter
    Properties: {Type: String, Value: !Ref Text}
  Two:
    Type: AWS::S3::Bucket
    Properties: {BucketName: !Sub "two-${AWS::AccountId}-${AWS::StackName}"}
Outputs:
  Text: {Value: !GetAtt One.Value}
  Bucket: {Value: !Ref Two}
"""


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(MAIN)


@pytest.fixture(autouse=True)
def client(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = stage.root(MAIN).client("cloudformation")
    monkeypatch.setattr(stackfile, "_client", lambda _keys, _url: made)
    return made


def row(name: str, folder: Path, template: str, **parameters: str) -> StackRow:
    path = folder / f"{name}.yaml"
    path.write_text(template, encoding="utf-8")
    places = {key: Place("s3vpce.yaml", 17, number) for number, key in enumerate(parameters, 1)}
    return StackRow(name=name, template=str(path), account="main", place=HERE, parameters=parameters, places=places)


def create(*rows: StackRow, **outputs: str) -> dict[str, Any]:
    return stackfile.create(rows, endpoint_url="", accounts={"main": KEYS}, outputs=outputs, stop=threading.Event())


def test_outputs_are_joined_and_feed_the_next_stack(tmp_path: Path) -> None:
    first = row("first", tmp_path, TEMPLATE, Text="${out:Made}")
    second = row("second", tmp_path, TEMPLATE, Text="${out:Bucket}")
    found = create(first, second, Made="before")
    assert found == {"Text": f"two-{MAIN}-first", "Bucket": f"two-{MAIN}-second"}


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [row("first", tmp_path, TEMPLATE, Text="a"), row("second", tmp_path, TEMPLATE)]
    stackfile.write(rows, tmp_path / "stacks.json")
    assert stackfile.read(tmp_path / "stacks.json") == rows


@pytest.mark.parametrize(
    ("written", "instead", "parameters", "told"),
    [
        ("Type: AWS::S3::Bucket", "Type: AWS::S3::Bukket", {}, "wrong.yaml:8: stack `wrong` is refused: "),
        ("BucketName:", "BuckName:", {}, "wrong.yaml:8: stack `wrong` is refused: "),
        ("{BucketName:", "{ObjectLockEnabled: x, BucketName:", {}, "wrong.yaml:8: stack `wrong` is refused: "),
        ("two-$", "a/$", {}, "wrong.yaml:8: stack `wrong` failed: resource `Two`: "),
        ("Outputs:", "Outputs:", {"Lost": "a"}, "s3vpce.yaml:16:14: stack `wrong` is refused: Parameters: [Lost]"),
        ("Outputs:", "Outputs:", {"Text": "${out:Lost}"}, "s3vpce.yaml:17:1: `${out:Lost}` is not among the outputs"),
        ("Resources:", "Resources: [", {}, "wrong.yaml:6:9: stack `wrong` is refused: Template format error"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, written: str, instead: str, parameters: dict[str, str], told: str
) -> None:
    with pytest.raises(S3VpceError) as caught:
        create(row("wrong", tmp_path, TEMPLATE.replace(written, instead), **parameters))
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(told)


@pytest.fixture(autouse=True)
def cleared(client: Any) -> Any:
    yield
    for stack in client.describe_stacks()["Stacks"]:
        client.delete_stack(StackName=stack["StackName"])
