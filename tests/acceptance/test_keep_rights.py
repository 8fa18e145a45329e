"""docs/live.md says what who deploys may do, and what a run with a kept function may: in a lab that enforces all."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.model import SignedRequest
from pytest_s3vpce.run.environment import Environment, from_ready_file
from pytest_s3vpce.run.keeping import Keepers, kept_point
from pytest_s3vpce.run.planes import Planes, world_of
from tests.acceptance.conftest import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TEXT = (EXAMPLES.parent / "docs" / "live.md").read_text(encoding="utf-8")
FUNCTION = "s3vpce-kept-app-subnet"
RUN = ("lambda:InvokeFunction", "lambda:GetFunctionConfiguration")
WHERE = {
    "lambda": f"arn:aws:lambda:eu-west-1:111122223333:function:{FUNCTION}",
    "iam": f"arn:aws:iam::111122223333:role/{FUNCTION}",
    "ec2": "*",
}


def rights() -> list[str]:
    """The actions that the docs list for who deploys, each with its service."""
    (paragraph,) = re.findall(r"^Who deploys needs.*?(?=\n\n)", TEXT, re.DOTALL | re.MULTILINE)
    found, service = [], ""
    for named, action in re.findall(r"`(?:(lambda|ec2|iam):)?([A-Z]\w+)`", paragraph):
        service = named or service
        found.append(f"{service}:{action}")
    return found


DEPLOY = rights()


class Lab:
    """The example's lab, the inventory with a kept function, and what the account's runner may do."""

    def __init__(self, folder: Path, environment: Environment, root: Any) -> None:
        self.path = folder / "s3vpce.yaml"
        self.environment = environment
        self._root = root
        self._text = self.path.read_text(encoding="utf-8")

    def may(self, actions: Sequence[str]) -> None:
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": WHERE[action.partition(":")[0]]} for action in actions
        ]
        with suppress(self._root.exceptions.NoSuchEntityException):
            self._root.detach_role_policy(
                RoleName="s3vpce-runner", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
            )
        self._root.put_role_policy(
            RoleName="s3vpce-runner",
            PolicyName="rights",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
        )

    def keepers(self, *, memory: int = 512) -> Keepers:
        self.path.write_text(self._text.replace("keep: true", f"keep: true, memory: {memory}"), encoding="utf-8")
        return Keepers(load_inventory(self.path), self.environment)

    def cycle(self) -> list[object]:
        """Deployed, brought up to date, and removed; what each came to."""
        found: list[object] = []
        for memory in (512, 1024):
            found += self.keepers(memory=memory).deploy(notify=lambda _line: None).values()
        return [*found, *self.keepers().undeploy(notify=lambda _line: None).values()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("rights")
    example = folder / "example"
    shutil.copytree(EXAMPLES / "endpoint_only", example, ignore=shutil.ignore_patterns(".s3vpce"))
    path = example / "s3vpce.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("{lambda: {subnets: [", "{lambda: {keep: true, subnets: [", 1), encoding="utf-8")
    inventory = load_inventory(path)
    running = start_lab(
        folder / "lab",
        accounts={name: (row.id, row.region) for name, row in inventory.accounts.items()},
        provision=example / "provision.py",
        enforce=Enforcement.ALL,
    )
    try:
        ready = json.loads(running.ready_file.read_text(encoding="utf-8"))
        row = ready["accounts"]["main"]
        root = boto3.client(
            "iam",
            aws_access_key_id=row["access_key_id"],
            aws_secret_access_key=row["secret_access_key"],
            region_name=row["region"],
            endpoint_url=ready["endpoint_url"],
        )
        yield Lab(example, from_ready_file(running.ready_file), root)
    finally:
        running.stop()


def test_who_deploys_may_do_with_what_the_docs_list(lab: Lab) -> None:
    assert len(DEPLOY) == 19
    lab.may(DEPLOY)
    assert lab.cycle() == ["created", "updated", []]


def test_a_run_needs_two_rights(lab: Lab) -> None:
    lab.may(DEPLOY)
    lab.keepers().deploy(notify=lambda _line: None)
    inventory = load_inventory(lab.path)
    row = inventory.vantage_points["app-subnet"].lambda_
    assert row is not None

    def run() -> None:
        world = world_of(inventory, lab.environment, run_id="run")
        planes = Planes(world, lab.environment)
        point = kept_point(world, lab.environment, planes, name="app-subnet", row=row)
        point.prepare()
        (answer,) = point.send(
            [SignedRequest(id="r", method="GET", url="https://s3.eu-west-1.amazonaws.com/", headers=())]
        )
        assert answer.status is not None

    lab.may(RUN)
    run()
    for action in RUN:
        lab.may([other for other in RUN if other != action])
        with pytest.raises(S3VpceError, match=action):
            run()
    lab.may(DEPLOY)
    lab.keepers().undeploy(notify=lambda _line: None)


@pytest.mark.skipif(not os.environ.get("S3VPCE_SOAK"), reason="each right is taken away in `make soak`")
@pytest.mark.parametrize("action", DEPLOY)
def test_each_right_of_who_deploys_is_needed(lab: Lab, action: str) -> None:
    lab.may([other for other in DEPLOY if other != action])
    found = lab.cycle()
    lab.may(DEPLOY)
    lab.keepers().undeploy(notify=lambda _line: None)
    assert any(isinstance(row, S3VpceError) or (isinstance(row, list) and row) for row in found), found
