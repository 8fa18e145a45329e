"""References to stacks, Terraform's folders and the parameter store: looked up once, told with their place."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import InventoryError
from pytest_s3vpce.infrastructure import Infrastructure
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Place
from pytest_s3vpce.references import References
from tests.unit.labstage import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.inventory import Inventory

MAIN = "360000000039"
HERE = Place("s3vpce.yaml", 7, 12)
TEXT = """
accounts:
  main: {id: "360000000039", region: us-east-1}
principals:
  nobody: {anonymous: true}
vantage_points:
  internet: local
buckets:
  b: {name: abc, canary: c}
"""
TEMPLATE = """
Resources:
  Stored: {Type: AWS::SSM::Parameter, Properties: {Name: /a/b, Type: String, Value: stored}}
  Several: {Type: AWS::SSM::Parameter, Properties: {Name: several, Type: StringList, Value: "a,b"}}
Outputs:
  Name: {Value: told}
"""


class Accounts:
    """The lab's clients, counted."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.asked: list[str] = []

    def client(self, service: str, *, account: str) -> Any:
        self.asked.append(f"{service} {account}")
        return self._stage.admin(MAIN).client(service)


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    made.admin(MAIN).client("cloudformation").create_stack(StackName="perimeter", TemplateBody=TEMPLATE)
    return made


@pytest.fixture
def accounts(stage: Stage) -> Any:
    return Accounts(stage)


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    (tmp_path / "s3vpce.yaml").write_text(TEXT, encoding="utf-8")
    return load_inventory(tmp_path / "s3vpce.yaml")


def references(inventory: Inventory, accounts: Any, outputs: dict[str, Any] | None = None) -> References:
    made = References(outputs, environment={})
    made.learn(Infrastructure(inventory, accounts, provisioned=made.provisioned))
    return made


def test_stacks_and_parameters_are_read_once(inventory: Inventory, accounts: Any) -> None:
    found = references(inventory, accounts)
    for _ in range(2):
        assert found.resolve("${cfn:perimeter.Name}-${cfn:main:perimeter.Name}", HERE) == "told-told"
        assert found.resolve("${ssm:/a/b} ${ssm:main:/a/b}", HERE) == "stored stored"
        assert found.resolve_list(["${ssm:several}"], HERE) == ("a", "b")
    assert accounts.asked == ["cloudformation main", "ssm main", "ssm main"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${cfn:lost.Name}", "stack `lost` of account `main` can't be read: Stack with id lost does not exist"),
        (
            "${cfn:perimeter.Nam}",
            "`Nam` is not among the outputs of stack `perimeter` of account `main`; accepted are Name",
        ),
        ("${cfn:other:perimeter.Name}", "unknown account `other`; accepted are main"),
        ("${ssm:/lost}", "parameter `/lost` of account `main` can't be read: Parameter /lost not found."),
        ("${tf:lost#Name}", "there is no folder `FOLDER/lost`; name the one of a Terraform module"),
    ],
)
def test_what_has_no_value_is_told_each_time(inventory: Inventory, accounts: Any, text: str, told: str) -> None:
    found = references(inventory, accounts)
    for _ in range(2):
        with pytest.raises(InventoryError) as caught:
            found.resolve(text, HERE)
        message = str(caught.value).replace(str(inventory.path.parent), "FOLDER")
        assert message == f"s3vpce.yaml:7:12: `{text}`: {told}"
    assert len(accounts.asked) <= 1


def test_in_the_lab_its_own_outputs_stand_for_those_of_folders(inventory: Inventory, accounts: Any) -> None:
    found = references(inventory, accounts, {"Name": "of the lab"})
    assert found.resolve("${tf:infra#Name}", HERE) == "of the lab"
    with pytest.raises(InventoryError, match="`Lost` is not among the outputs of the lab"):
        found.resolve("${tf:infra#Lost}", HERE)


# --- Terraform -------------------------------------------------------------------------------------------------------


def terraform(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program of that name is the only one on the PATH."""
    folder.mkdir(exist_ok=True)
    (folder / "terraform").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "terraform").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_terraform_is_asked_once(
    inventory: Inventory, accounts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "infra").mkdir()
    said = json.dumps({"Name": {"value": "applied"}, "List": {"value": ["a", "b"]}})
    terraform(tmp_path / "bin", monkeypatch, f"echo \"$@\" >> {tmp_path}/asked\necho '{said}'")
    found = references(inventory, accounts)
    assert found.resolve("${tf:infra#Name}", HERE) == "applied"
    assert found.resolve_list(["${tf:infra#List}"], HERE) == ("a", "b")
    assert (tmp_path / "asked").read_text() == f"-chdir={tmp_path}/infra output -json -no-color\n"


def test_terraform_that_fails_is_told(
    inventory: Inventory, accounts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "infra").mkdir()
    for script, told in (
        ("echo no state >&2; exit 1", "`terraform output` failed: no state; run `terraform init` in the folder"),
        ("echo hello", "what Terraform says of `FOLDER/infra` is no JSON of outputs"),
    ):
        terraform(tmp_path / "bin", monkeypatch, script)
        with pytest.raises(InventoryError) as caught:
            references(inventory, accounts).resolve("${tf:infra#Name}", HERE)
        assert str(caught.value).replace(str(tmp_path), "FOLDER") == f"s3vpce.yaml:7:12: `${{tf:infra#Name}}`: {told}"


def test_without_terraform_the_state_file_is_read(
    inventory: Inventory, accounts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    (tmp_path / "infra").mkdir()
    with pytest.raises(InventoryError, match="neither `terraform` on the PATH nor a state file"):
        references(inventory, accounts).resolve("${tf:infra#Name}", HERE)
    state = {"version": 4, "outputs": {"Name": {"value": "of the state", "type": "string"}}}
    (tmp_path / "infra" / "terraform.tfstate").write_text(json.dumps(state), encoding="utf-8")
    assert references(inventory, accounts).resolve("${tf:infra#Name}", HERE) == "of the state"


# --- accounts themselves ---------------------------------------------------------------------------------------------


def test_accounts_can_not_be_looked_up_with_their_own_credentials(tmp_path: Path) -> None:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(TEXT.replace('"360000000039"', '"${ssm:/account}"'), encoding="utf-8")
    with pytest.raises(InventoryError, match=r"3:14: `\$\{ssm:/account\}` takes an account's credentials"):
        load_inventory(path)


def test_without_accounts_there_is_nobody_to_ask() -> None:
    with pytest.raises(InventoryError, match="it has no value before the accounts are known"):
        References({}).resolve("${cfn:perimeter.Name}", HERE)
