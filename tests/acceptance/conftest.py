"""The first example on a stage: one lab, provisioned once, whose protections and controls tests take away."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pytest_s3vpce.expectations import find_expectations, load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.run.environment import from_ready_file
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.expectations import Plan
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.matrix import Matrix
    from pytest_s3vpce.run.environment import Environment

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@dataclass
class Stage:
    """A running lab with the example in it."""

    inventory: Inventory
    plan: Plan
    environment: Environment
    ready: Mapping[str, Any]
    root: Path
    _operator: Operator | None = None

    @property
    def outputs(self) -> Mapping[str, Any]:
        assert self.environment.outputs is not None
        return self.environment.outputs

    def session(self, account: str) -> Any:
        """The root user's session of an account: it provisions, and may always repair a bucket policy."""
        row = self.ready["accounts"][account]
        return boto3.Session(
            aws_access_key_id=row["access_key_id"],
            aws_secret_access_key=row["secret_access_key"],
            region_name=row["region"],
        )

    def client(self, service: str, account: str = "main") -> Any:
        return self.session(account).client(service, endpoint_url=self.ready["endpoint_url"])

    @property
    def operator(self) -> Operator:
        """One operator for all tests of a module: functions are deployed once."""
        if self._operator is None:
            folder = RunFolder.create(self.root)
            self._operator = Operator(self.inventory, self.environment, folder, notify=lambda _line: None, strict=False)
        return self._operator

    def fresh_operator(self) -> Operator:
        """One that signs in anew, on the functions that are there."""
        operator = Operator(
            self.inventory, self.environment, self.operator._folder, notify=lambda _line: None, strict=False
        )
        operator._guarded = set(self.operator._guarded)
        return operator

    def run(self, *, only: Callable[[str], bool] = lambda _: True) -> Matrix:
        """Everything that the example declares, probed now."""
        names = [*(row.id for row in self.plan.cells), *(row.id for row in self.plan.claims)]
        chosen = {name for name in names if only(name)}
        return self.fresh_operator().run(self.plan, chosen)

    def claims(self) -> dict[str, str]:
        """The verdict of each claim, now."""
        matrix = self.run(only=lambda name: name in {row.id for row in self.plan.claims})
        return {row.id.partition("/")[0]: row.verdict.value for row in matrix.claims}

    @contextmanager
    def bucket_policy(self, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """The bucket's policy with a change, for a while."""
        s3 = self.client("s3")
        bucket = self.outputs["ReportsBucket"]
        before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        policy = copy.deepcopy(json.loads(before))
        change(policy)
        if policy["Statement"]:
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        else:
            s3.delete_bucket_policy(Bucket=bucket)
        try:
            yield
        finally:
            s3.put_bucket_policy(Bucket=bucket, Policy=before)

    @contextmanager
    def endpoint_policy(self, account: str, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """An endpoint's policy with a change, for a while."""
        ec2 = self.client("ec2", account)
        endpoint = self.outputs["Endpoint" if account == "main" else "PartnerEndpoint"]
        before = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]["PolicyDocument"]
        policy = copy.deepcopy(json.loads(before))
        change(policy)
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=json.dumps(policy))
        try:
            yield
        finally:
            ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=before)

    def route_table(self, output: str = "AppSubnet", account: str = "main") -> str:
        tables = self.client("ec2", account).describe_route_tables(
            Filters=[{"Name": "association.subnet-id", "Values": [self.outputs[output]]}]
        )
        return str(tables["RouteTables"][0]["RouteTableId"])

    @contextmanager
    def unrouted(self, *, to: str | None = None) -> Iterator[None]:
        """The app subnet's route table taken from the endpoint; with `to`, given a route to that NAT instead."""
        ec2 = self.client("ec2")
        table, endpoint = self.route_table(), self.outputs["Endpoint"]
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, RemoveRouteTableIds=[table])
        if to is not None:
            ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=to)
        try:
            yield
        finally:
            if to is not None:
                ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
            ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[table])

    @contextmanager
    def role_policy(self, account: str, role: str, policy: Mapping[str, Any] | None) -> Iterator[None]:
        """A role's one inline policy replaced, or taken away, for a while."""
        iam = self.client("iam", account)
        before = iam.get_role_policy(RoleName=role, PolicyName="buckets")["PolicyDocument"]
        if policy is None:
            iam.delete_role_policy(RoleName=role, PolicyName="buckets")
        else:
            iam.put_role_policy(RoleName=role, PolicyName="buckets", PolicyDocument=json.dumps(policy))
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=role, PolicyName="buckets", PolicyDocument=json.dumps(before))


@contextmanager
def staged(example: str, folder: Path, *, enforce: Enforcement = Enforcement.DEFAULT) -> Iterator[Stage]:
    """An example in a lab of its own."""
    inventory = load_inventory(EXAMPLES / example / "s3vpce.yaml")
    files = [load_expectations(path, inventory) for path in find_expectations(inventory.path.parent)]
    lab = start_lab(
        folder / "lab",
        accounts={name: (row.id, row.region) for name, row in inventory.accounts.items()},
        provision=EXAMPLES / example / "provision.py",
        enforce=enforce,
    )
    made = Stage(
        inventory=inventory,
        plan=plan_cells(files, inventory),
        environment=from_ready_file(lab.ready_file),
        ready=json.loads(lab.ready_file.read_text(encoding="utf-8")),
        root=folder,
    )
    try:
        yield made
        left = made.operator.sweep()
        assert left == [], [str(row) for row in left]
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged("endpoint_only", tmp_path_factory.mktemp("stage")) as made:
        yield made
