"""What is left of every kind that is ever made is found where the ledger is lost, and nothing else is taken.

Each thing is made by the code that makes it in a run or a calibration, in the lab without sockets.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import boto3
import pytest
from botocore import xform_name

import pytest_s3vpce
from pytest_s3vpce.connection import AccountKeys, Connection
from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.organizations import enroll
from pytest_s3vpce.probe import Credentials
from pytest_s3vpce.run.calibrating.network import Network
from pytest_s3vpce.run.calibrating.organization import Management
from pytest_s3vpce.run.calibrating.scratch import Scratch
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.sweeping import Sweeper
from pytest_s3vpce.vantage import ControlPlane, Deployment, Kind, Launch, LaunchedEc2Vantage, Ledger, marks, removal
from pytest_s3vpce.vantage.base import silent
from pytest_s3vpce.vantage.deployment import Deployer
from pytest_s3vpce.vantage.leftovers import TABLE, Scope
from pytest_s3vpce.vantage.removal import MARK
from tests.unit.labnetwork import make
from tests.unit.labstage import LOADER, REGION, Person, Stage, deny, policy

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN, MEMBER = "310000000074", "310000000075"
FAR: Final = "eu-west-1"
RUN, LIVING = "0a0a0a0a", "0b0b0b0b"
REPORTS: Final = "left-without-ledger"
INVENTORY: Final = f"""\
accounts:
  main: {{id: "{MAIN}", region: {REGION}}}
  member: {{id: "{MEMBER}", region: {REGION}}}
principals: {{nobody: {{anonymous: true}}}}
vantage_points: {{here: local}}
buckets: {{reports: {{name: {REPORTS}, canary: {{create: "nobody:here"}}}}}}
"""
NOW: Final = dt.timedelta(0)


class InProcess(Connection):
    """Clients whose requests are handed to the lab."""

    stage: Stage
    known: ClassVar[dict[tuple[str, ...], Any]] = {}

    def client(self, session: Any, service: str, *, region: str | None = None, config: Any = None) -> Any:
        del config
        keys = session.get_credentials().get_frozen_credentials()
        where = region or session.region_name
        key = (keys.access_key, service, where)
        if key not in self.known:
            person = Person(self.stage, keys.access_key, keys.secret_key, keys.token)
            self.known[key] = person.client(service, region=where)
        return self.known[key]


@dataclass(frozen=True)
class Left:
    """What a run and a calibration made, and what looks like it and is not theirs."""

    admin: Person
    environment: Environment
    folder: Path
    made: dict[Kind, set[str]]

    def sweeper(self) -> Sweeper:
        inventory = load_inventory(self.folder / "s3vpce.yaml")
        return Sweeper(inventory, self.environment, roots=[self.folder], notify=silent)

    def control(self) -> ControlPlane:
        session = boto3.Session(self.admin.key, self.admin.secret, self.admin.token, region_name=REGION)
        return ControlPlane("main", session=session, region=REGION, connection=self.environment.connection)

    def client(self, service: str) -> Any:
        return self.control().client(service)

    def there(self) -> dict[Kind, set[str]]:
        """The names of all that there is of each kind."""
        ec2, s3 = self.client("ec2"), self.client("s3")
        instances = [row for group in ec2.describe_instances()["Reservations"] for row in group["Instances"]]
        rows = {
            Kind.S3_UPLOAD: [row["Key"] for row in s3.list_multipart_uploads(Bucket=REPORTS).get("Uploads", ())],
            Kind.S3_OBJECT: [row["Key"] for row in s3.list_objects_v2(Bucket=REPORTS).get("Contents", ())],
            Kind.S3_BUCKET: [row["Name"] for row in s3.list_buckets()["Buckets"]],
            Kind.LAMBDA_FUNCTION: [row["FunctionName"] for row in self.client("lambda").list_functions()["Functions"]],
            Kind.VPC_ENDPOINT: [name_of(row) for row in ec2.describe_vpc_endpoints()["VpcEndpoints"]],
            Kind.SECURITY_GROUP: [name_of(row) for row in ec2.describe_security_groups()["SecurityGroups"]],
            Kind.EC2_INSTANCE: [name_of(row) for row in instances if row["State"]["Name"] == "running"],
            Kind.IAM_ROLE: [row["RoleName"] for row in self.client("iam").list_roles()["Roles"]],
            Kind.ORGANIZATION_POLICY: [row["Name"] for row in policies(self.client("organizations"))],
        }
        return {kind: set(names) for kind, names in rows.items()}


def name_of(row: dict[str, Any]) -> str:
    return str({tag["Key"]: tag["Value"] for tag in row.get("Tags", ())}.get(MARK, ""))


def policies(organizations: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = organizations.list_policies(Filter="SERVICE_CONTROL_POLICY")["Policies"]
    return found


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """All of it, in one lab."""
    folder = tmp_path_factory.mktemp("left")
    (folder / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    stage = Stage(MAIN, MEMBER)
    keys = {}
    for name, account in (("main", MAIN), ("member", MEMBER)):
        user = stage.user(account)
        credentials = Credentials(access_key_id=user.key, secret_access_key=user.secret)
        keys[name] = AccountKeys(credentials=credentials, role=f"arn:aws:iam::{account}:role/s3vpce-runner")
    InProcess.stage = stage
    environment = Environment(mode="lab", connection=InProcess(keys=keys, pauses=()))
    found = Left(stage.admin(MAIN), environment, folder, {})
    found.client("s3").create_bucket(Bucket=REPORTS)
    found.client("organizations").create_organization(FeatureSet="ALL")
    enroll(stage.state.backends("organizations"), MEMBER, management_account=MAIN, name="member")
    before = found.there()
    function = deploy(found, run_id=RUN, ledger=Ledger(folder / "ledger.jsonl"))
    calibrate(found.control(), function=function, run_id=RUN, ledger=Ledger(folder / "ledger.jsonl"))
    deploy(found, run_id=LIVING, ledger=Ledger(folder / "other.jsonl"))
    for kind, names in found.there().items():
        found.made[kind] = names - before[kind]
    make_theirs(found)
    return found


def deploy(left: Left, *, run_id: str, ledger: Ledger) -> str:
    """As a run does: a function with its role, an instance, and what its probes make in a bucket."""
    control, net = left.control(), make(left.admin, MAIN, "10.7")
    place = Deployment(subnets=(net.a,), security_groups=(net.group,))
    deployer = Deployer(control, place, run_id=run_id, vantage="app", ledger=ledger, error=VantageError)
    deployer.deploy(environment={}, timeout=90, notify=silent)
    launch_instance(control, subnet=net.a, group=net.group, run_id=run_id, ledger=ledger)
    for key in (f".s3vpce/canary-{run_id}", f".s3vpce/canary-{run_id}.made-{run_id}"):
        control.client("s3").put_object(Bucket=REPORTS, Key=key)
        control.client("s3").create_multipart_upload(Bucket=REPORTS, Key=key)
    return deployer.function


def launch_instance(control: ControlPlane, *, subnet: str, group: str, run_id: str, ledger: Ledger) -> None:
    control.client("iam").create_instance_profile(InstanceProfileName=f"probe-{run_id}")
    where = Launch(subnet=subnet, security_groups=(group,), profile=f"probe-{run_id}", image="ami-12345678")
    point = LaunchedEc2Vantage("machine", control=control, launch=where, run_id=run_id, ledger=ledger)
    point._started(silent)


def calibrate(control: ControlPlane, *, function: str, run_id: str, ledger: Ledger) -> None:
    """As a calibration does, with all of its options."""
    scratch = Scratch(control, run_id=run_id, account_id=MAIN, ledger=ledger, notify=silent)
    scratch.make()
    scratch.make_access_point()
    scratch.s3.create_multipart_upload(Bucket=scratch.bucket, Key="begun")
    scratch.s3.put_bucket_policy(Bucket=scratch.bucket, Policy=policy(rule(scratch)))
    scratch.make_bucket_in(FAR)
    control.client("s3").create_bucket(Bucket=scratch.bucket_of(MAIN))  # killed before it was tagged
    given: dict[str, Any] = {"run_id": run_id, "tags": scratch.tags, "ledger": ledger, "notify": silent}
    place: Any = SimpleNamespace(function=function)
    Network(control, function=place, **given).make_endpoint(REGION)
    statement = deny("s3:GetObjectAcl", scratch.arns)
    Management(control, **given).attach("SERVICE_CONTROL_POLICY", statement, account=MEMBER)


def rule(scratch: Scratch) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"AWS": scratch.root_arn},
        "Action": "s3:GetObject",
        "Resource": scratch.arns,
    }


def make_theirs(left: Left) -> None:
    """Names like ours, and tags of others; what is kept; a run's tags and a name that is none of ours."""
    others = {"team": "other", marks.CREATED: "2020-01-01T00:00:00Z"}
    kept = marks.of_kept("app", owner="ana", content="c")
    run = marks.of_run(RUN, owner="ana")
    iam, client, s3 = left.client("iam"), left.client("lambda"), left.client("s3")
    trust = policy({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})
    for name, tags in (("s3vpce-theirs", others), ("s3vpce-kept-app", kept), ("theirs", run)):
        rows = [{"Key": key, "Value": value} for key, value in tags.items()]
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=rows)["Role"]["Arn"]
        code = {"ZipFile": b"PK\x05\x06" + bytes(18)}
        function = {"Runtime": "python3.13", "Handler": "a.b", "Code": code, "Role": role}
        client.create_function(FunctionName=name, Tags=tags, **function)
        content = {"Content": policy(deny("s3:GetObject")), "Description": "", "Type": "SERVICE_CONTROL_POLICY"}
        left.client("organizations").create_policy(Name=name, Tags=rows, **content)
    for bucket in (
        f"s3vpce-calibration-{RUN}-{MEMBER}",
        "s3vpce-calibration-theirs",
        f"s3vpce-calibration-0c0c0c0c-{MAIN}",
    ):
        s3.create_bucket(Bucket=bucket)
    tagged = [{"Key": "team", "Value": "other"}]
    s3.put_bucket_tagging(Bucket=f"s3vpce-calibration-0c0c0c0c-{MAIN}", Tagging={"TagSet": tagged})
    for key in (".s3vpce/canary", f".s3vpce/canary-{RUN}.txt", "reports/one"):
        s3.put_object(Bucket=REPORTS, Key=key)
        s3.create_multipart_upload(Bucket=REPORTS, Key=key)
    make_their_network(left, others)


def make_their_network(left: Left, tags: dict[str, str]) -> None:
    ec2, net = left.client("ec2"), make(left.admin, MAIN, "10.9")
    for given in ({**tags, MARK: "theirs"}, {marks.RUN: RUN, MARK: "theirs-too"}):
        rows = [{"Key": key, "Value": value} for key, value in given.items()]
        vpce = net.interface(PrivateDnsEnabled=False)["VpcEndpointId"]
        group = ec2.create_security_group(GroupName=given[MARK], Description="g", VpcId=net.vpc)["GroupId"]
        answer = ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=net.a)
        ec2.create_tags(Resources=[vpce, group, answer["Instances"][0]["InstanceId"]], Tags=rows)


@pytest.fixture(scope="module")
def swept(left: Left) -> Iterator[dict[str, Any]]:
    """What is found, and what there is before and after; one of the two runs goes on."""
    going = RunFolder(left.folder / ".s3vpce" / f"run-{LIVING}")
    going.path.mkdir(parents=True)
    going.hold()
    sweeper = left.sweeper()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(removal, "_BUSY_PAUSE", 0.05)
        yield {
            "young": sweeper.find(older_than=dt.timedelta(hours=1)),
            "unexpired": sweeper.find(),
            "before": left.there(),
            "found": sweeper.find(older_than=NOW),
            "left": sweeper.sweep(older_than=NOW),
            "after": left.there(),
        }
    going.tidy(keep=False)


LOOKED_FOR: Final = [kind for kind, row in TABLE.items() if row.scope is not Scope.LEDGER]


def test_every_kind_has_a_row() -> None:
    assert set(TABLE) == set(Kind)
    assert [kind for kind, row in TABLE.items() if row.look is None] == [Kind.BUCKET_POLICY]
    assert list(TABLE) == list(Kind)


def test_every_kind_is_made_here(left: Left) -> None:
    """All but what is made by requests of probes, and the policy that only the ledger knows."""
    recorded = {entry.kind for entry in Ledger(left.folder / "ledger.jsonl").open_entries()}
    assert recorded | {Kind.S3_UPLOAD, Kind.S3_OBJECT, Kind.BUCKET_POLICY} == set(Kind)
    assert {kind for kind, names in left.made.items() if names} == set(LOOKED_FOR)


def test_what_is_young_stays(swept: dict[str, Any]) -> None:
    assert swept["young"] == swept["unexpired"] == ([], [])


@pytest.mark.parametrize("kind", LOOKED_FOR)
def test_each_kind_is_found_and_taken_and_nothing_else(left: Left, swept: dict[str, Any], kind: Kind) -> None:
    ours = {name for name in left.made[kind] if RUN in name}
    found, unseen = swept["found"]
    assert ours
    assert {row.identifier.removeprefix(f"{REPORTS}/") for row in found if row.kind is kind} == ours
    assert unseen == swept["left"] == []
    assert swept["before"][kind] - swept["after"][kind] == ours
    assert {name for name in left.made[kind] if LIVING in name} <= swept["after"][kind]


def test_a_bucket_of_another_region_is_removed_there(swept: dict[str, Any]) -> None:
    assert {row.region for row in swept["found"][0] if row.kind is Kind.S3_BUCKET} == {REGION, FAR}


# --- what is created ------------------------------------------------------------------------------------------------

_CALLED: Final = re.compile(r"\.([a-z]+_\w+)")
_CREATES: Final = re.compile(
    r"(?:add|allocate|associate|attach|authorize|copy|create|enable|import|modify|publish|put|register|request|run|"
    r"send|start|tag|update|upload)_\w+"
)
_SERVICES: Final = ("ec2", "iam", "kms", "lambda", "logs", "organizations", "s3", "s3control", "ssm", "sts")
CREATIONS: Final = {
    "attach_policy": Kind.ORGANIZATION_POLICY,
    "authorize_security_group_ingress": Kind.SECURITY_GROUP,
    "create_access_point": Kind.S3_BUCKET,
    "create_bucket": Kind.S3_BUCKET,
    "create_function": Kind.LAMBDA_FUNCTION,
    "create_policy": Kind.ORGANIZATION_POLICY,
    "create_role": Kind.IAM_ROLE,
    "create_security_group": Kind.SECURITY_GROUP,
    "create_vpc_endpoint": Kind.VPC_ENDPOINT,
    "modify_vpc_endpoint": Kind.VPC_ENDPOINT,
    "put_bucket_policy": Kind.BUCKET_POLICY,
    "put_bucket_tagging": Kind.S3_BUCKET,
    "put_bucket_versioning": Kind.S3_BUCKET,
    "put_object": Kind.S3_OBJECT,
    "put_public_access_block": Kind.S3_BUCKET,
    "put_role_policy": Kind.IAM_ROLE,
    "run_instances": Kind.EC2_INSTANCE,
    "tag_resource": Kind.LAMBDA_FUNCTION,
    "update_function_code": Kind.LAMBDA_FUNCTION,
    "update_function_configuration": Kind.LAMBDA_FUNCTION,
}
"""What goes with the removal of what."""
PASSING: Final = {"send_command"}
"""A command ends by itself, and SSM's record of it can't be removed."""


def test_every_call_that_creates_belongs_to_a_kind() -> None:
    """Whoever adds one says here with what it goes; what probes send is `leaves` in the catalogue's rows."""
    package = Path(pytest_s3vpce.__file__).parent
    known: set[str] = set()
    for service in _SERVICES:
        model = LOADER.load_service_model(service, "service-2")
        known |= {name for name in map(xform_name, model["operations"]) if _CREATES.fullmatch(name)}
    called = set()
    for path in package.rglob("*.py"):
        if "lab" not in path.relative_to(package).parts:
            called |= set(_CALLED.findall(path.read_text(encoding="utf-8"))) & known
    assert called == {*CREATIONS, *PASSING}


def test_the_page_has_the_table() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "live.md").read_text(encoding="utf-8")
    lines = [line.strip(" |").split(" | ") for line in page.splitlines() if line.startswith("  |")]
    told = {cells[0]: tuple(cells[2:]) for cells in lines}
    assert {row.words: (row.told_by, row.scope.value) for row in TABLE.values()}.items() <= told.items()
