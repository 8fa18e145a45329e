"""The lab as a process: real boto3 through it, provisioning and its errors, and an end with its parent."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import process, provisioning, reports
from pytest_s3vpce.lab.__main__ import main
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.lab.serving import accounts_of
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNTS = {"main": ("111122223333", "eu-central-1"), "partner": ("444455556666", "us-east-1")}
PROVISION = """
    import json

    TRUST = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ]}
    READ = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"},
    ]}


    def provision(accounts):
        print("said while provisioning")
        session = accounts["main"]
        ec2, s3 = session.client("ec2"), session.resource("s3")
        vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        inside, outside = (
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{n}.0/24")["Subnet"]["SubnetId"] for n in (1, 2)
        )
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=inside)
        endpoint = ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName="com.amazonaws.eu-central-1.s3", RouteTableIds=[table]
        )["VpcEndpoint"]["VpcEndpointId"]
        group = ec2.create_security_group(GroupName="g", Description="-", VpcId=vpc)["GroupId"]
        bucket = s3.create_bucket(
            Bucket="lab-process", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        bucket.put_object(Key="canary", Body=b"here")
        policy = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lab-process/*",
            "Condition": {"StringNotEquals": {"aws:SourceVpce": endpoint}},
        }]}
        session.client("s3").put_bucket_policy(Bucket="lab-process", Policy=json.dumps(policy))
        iam = session.client("iam")
        role = iam.create_role(RoleName="fn", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        iam.put_role_policy(RoleName="fn", PolicyName="read", PolicyDocument=json.dumps(READ))
        return {"Inside": inside, "Outside": outside, "Group": group, "Role": role, "Endpoint": endpoint}
"""
HANDLER = """
    import boto3
    from botocore.config import Config

    def handler(event, context):
        config = Config(connect_timeout=0.5, retries={"total_max_attempts": 1})
        try:
            found = boto3.client("s3", config=config).get_object(Bucket="lab-process", Key="canary")
            return found["Body"].read().decode()
        except Exception as error:
            return type(error).__name__ + ": " + str(error)
"""


def script(folder: Path, text: str) -> Path:
    path = folder / "provision.py"
    path.write_text(textwrap.dedent(text))
    return path


class Client:
    """boto3 clients of one account of a running lab."""

    def __init__(self, ready: dict[str, Any], *, account: str = "main") -> None:
        self.ready = ready
        self.entry = ready["accounts"][account]

    def as_root(self, service: str, *, https: bool = False) -> Any:
        return self._client(service, self.entry, https=https)

    def as_runner(self, service: str) -> Any:
        runner = self.entry["runner"]
        sts = self._client("sts", runner)
        keys = sts.assume_role(RoleArn=runner["role"], RoleSessionName="test")["Credentials"]
        return self._client(
            service,
            {"access_key_id": keys["AccessKeyId"], "secret_access_key": keys["SecretAccessKey"]},
            token=keys["SessionToken"],
        )

    def _client(self, service: str, keys: dict[str, str], *, https: bool = False, token: str | None = None) -> Any:
        session: Any = boto3.Session(
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            aws_session_token=token,
            region_name=self.entry["region"],
        )
        return session.client(
            service,
            endpoint_url=self.ready["https_endpoint_url" if https else "endpoint_url"],
            verify=self.ready["ca_bundle"],
            config=Config(retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("lab")
    log = folder / "requests.jsonl"
    running = start_lab(folder / "files", accounts=ACCOUNTS, provision=script(folder, PROVISION), log=log)
    try:
        ready = json.loads(running.ready_file.read_text())
        yield {**ready, "file": running.ready_file, "log": log, "pid": running.pid, "folder": folder / "files"}
    finally:
        running.stop()
        assert not running.alive
        assert not running.ready_file.exists()


def test_the_ready_file_says_where_the_lab_is_to_its_user_alone(lab: dict[str, Any]) -> None:
    assert lab["file"].stat().st_mode & 0o777 == 0o600
    assert set(lab["outputs"]) == {"Inside", "Outside", "Group", "Role", "Endpoint"}
    assert lab["control_url"].startswith("http://127.0.0.1:")
    for name, (account, region) in ACCOUNTS.items():
        entry = lab["accounts"][name]
        assert (entry["account_id"], entry["region"]) == (account, region)
        assert entry["runner"]["role"] == f"arn:aws:iam::{account}:role/s3vpce-runner"


def test_what_the_script_prints_is_kept_in_the_folder(lab: dict[str, Any]) -> None:
    assert "said while provisioning" in (lab["folder"] / "provisioning.log").read_text()


@pytest.mark.parametrize("name", list(ACCOUNTS))
def test_each_account_has_root_and_a_runner_of_its_own(lab: dict[str, Any], name: str) -> None:
    client = Client(lab, account=name)
    account, _ = ACCOUNTS[name]
    assert client.as_root("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:root"
    assumed = client.as_runner("sts").get_caller_identity()["Arn"]
    assert assumed == f"arn:aws:sts::{account}:assumed-role/s3vpce-runner/test"


def test_the_runner_administers_its_account(lab: dict[str, Any]) -> None:
    names = [bucket["Name"] for bucket in Client(lab).as_runner("s3").list_buckets()["Buckets"]]
    assert names == ["lab-process"]
    assert Client(lab, account="partner").as_runner("s3").list_buckets()["Buckets"] == []
    vpcs = Client(lab).as_runner("ec2").describe_vpcs()["Vpcs"]
    assert "10.7.0.0/16" in [vpc["CidrBlock"] for vpc in vpcs]


def test_https_is_served_at_the_same_port(lab: dict[str, Any]) -> None:
    assert Client(lab).as_root("s3", https=True).head_bucket(Bucket="lab-process")


def test_from_outside_the_buckets_deny_is_met(lab: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="with an explicit deny in a resource-based policy"):
        Client(lab).as_runner("s3").get_object(Bucket="lab-process", Key="canary")


@pytest.fixture(scope="module")
def invoke(lab: dict[str, Any]) -> Callable[[str], str]:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("index.py", textwrap.dedent(HANDLER))
    client = Client(lab).as_runner("lambda")

    def call(subnet: str) -> str:
        client.create_function(
            FunctionName=subnet,
            Runtime="python3.12",
            Role=lab["outputs"]["Role"],
            Handler="index.handler",
            Timeout=10,
            Code={"ZipFile": data.getvalue()},
            VpcConfig={"SubnetIds": [lab["outputs"][subnet]], "SecurityGroupIds": [lab["outputs"]["Group"]]},
        )
        client.get_waiter("function_active_v2").wait(FunctionName=subnet)
        answer: str = json.load(client.invoke(FunctionName=subnet)["Payload"])
        return answer

    return call


def test_a_function_in_a_subnet_with_the_endpoint_reads_the_bucket(
    lab: dict[str, Any], invoke: Callable[[str], str]
) -> None:
    assert invoke("Inside") == "here"
    noted = [json.loads(line) for line in lab["log"].read_text().splitlines()]
    assert [note["endpoint"] for note in noted if note.get("operation") == "GetObject"][-1] == lab["outputs"][
        "Endpoint"
    ]
    secrets = [entry["secret_access_key"] for entry in lab["accounts"].values()]
    assert not [secret for secret in secrets if secret in lab["log"].read_text()]


def test_a_function_in_a_subnet_that_leads_nowhere_does_not_connect(invoke: Callable[[str], str]) -> None:
    assert invoke("Outside").startswith("ConnectTimeoutError")


def test_a_function_whose_role_is_gone_is_refused(lab: dict[str, Any], invoke: Callable[[str], str]) -> None:
    client = Client(lab).as_runner("lambda")
    iam = Client(lab).as_runner("iam")
    service = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [service]})
    role = iam.create_role(RoleName="short", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): pass")
    client.create_function(
        FunctionName="orphan",
        Runtime="python3.12",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": data.getvalue()},
    )
    iam.delete_role(RoleName="short")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="cannot be assumed by Lambda"):
        client.invoke(FunctionName="orphan")


# --- provisioning that fails -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "def provision(accounts):\n    return helper()\n\ndef helper():\n    1 / 0\n",
            5,
            "ZeroDivisionError: division",
        ),
        ("import nonesuch\n", 1, "ModuleNotFoundError: No module named 'nonesuch'"),
        ("def provision(accounts:\n", 1, "the script is not Python: '(' was never closed"),
        ("import sys\ndef provision(accounts):\n    sys.exit(3)\n", 3, "SystemExit: 3"),
        ("def provision(accounts):\n    accounts['other']\n", 2, "no account `other` in the inventory, which has main"),
        ("def provison(accounts):\n    pass\n", 0, "the script defines no `provision`; define `def provision"),
        ("def provision(accounts):\n    return 5\n", 0, "returned `5`, not a dict; return a dict of names to strings"),
        ("def provision(accounts):\n    return {'a': object}\n", 0, "returned `'a': <class 'object'>`"),
        ("def provision(accounts):\n    return {'a': [object]}\n", 0, "returned what is not JSON"),
        (
            "import os\ndef provision(accounts):\n    print('so it ends', flush=True)\n    os._exit(4)\n",
            0,
            "status 4: so it ends",
        ),
        (
            "def provision(accounts):\n    accounts['main'].client('s3').head_bucket(Bucket='none')\n",
            2,
            "ClientError: An error occurred",
        ),
    ],
)
def test_a_script_that_fails_is_one_message_at_its_own_line(
    tmp_path: Path, lab: dict[str, Any], text: str, line: int, words: str
) -> None:
    path = script(tmp_path, text)
    with pytest.raises(LabError) as caught:
        provisioning.run(path, endpoint_url=lab["endpoint_url"], accounts=sessions(lab), folder=tmp_path)
    place = caught.value.place
    assert place is not None
    assert (place.path, place.line) == (str(path), line)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def sessions(lab: dict[str, Any]) -> dict[str, provisioning.AccountSession]:
    entry = {key: value for key, value in lab["accounts"]["main"].items() if key != "runner"}
    return {"main": provisioning.AccountSession(**entry)}


def test_a_script_may_return_nothing_and_import_what_lies_beside_it(tmp_path: Path, lab: dict[str, Any]) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 1\n")
    path = script(tmp_path, "import beside\ndef provision(accounts):\n    assert beside.VALUE\n")
    assert provisioning.run(path, endpoint_url=lab["endpoint_url"], accounts=sessions(lab), folder=tmp_path) == {}


ACCESS_POINTS = """
    from botocore.config import Config

    def provision(accounts):
        main = accounts["main"]
        given = {"AccountId": main.client("sts").get_caller_identity()["Account"], "Name": "by-script"}
        main.client("s3control").create_access_point(**given, Bucket="lab-process")
        quick = Config(retries={"total_max_attempts": 1})
        found = main.client("s3control", config=quick).get_access_point(**given)
        main.client("s3control", config=quick, endpoint_url=main.client("s3").meta.endpoint_url)
        main.client("s3control").delete_access_point(**given)
        return {"Bucket": found["Bucket"]}
"""


def test_a_script_makes_access_points_as_on_aws(tmp_path: Path, lab: dict[str, Any]) -> None:
    path = script(tmp_path, ACCESS_POINTS)
    found = provisioning.run(path, endpoint_url=lab["endpoint_url"], accounts=sessions(lab), folder=tmp_path)
    assert found == {"Bucket": "lab-process"}


def test_a_script_sees_nothing_of_the_users_own_accounts() -> None:
    own = {"AWS_PROFILE": "prod", "AWS_ACCESS_KEY_ID": "AKIA", "https_proxy": "http://proxy", "PATH": "/bin"}
    found = provisioning.environment(own, endpoint_url="http://127.0.0.1:1")
    assert {"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "https_proxy"}.isdisjoint(found)
    assert (found["PATH"], found["AWS_ENDPOINT_URL"], found["NO_PROXY"]) == ("/bin", "http://127.0.0.1:1", "*")
    assert found["AWS_CONFIG_FILE"] == os.devnull


def test_a_script_that_does_not_end_is_ended(tmp_path: Path) -> None:
    path = script(tmp_path, "import time\ndef provision(accounts):\n    time.sleep(60)\n")
    with pytest.raises(LabError, match=r"provisioning was not done after 1 s; see `.*provisioning.log`"):
        provisioning.run(path, endpoint_url="http://127.0.0.1:1", accounts={}, folder=tmp_path, seconds=1)


def test_a_script_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no provisioning script `.*none.py`"):
        provisioning.run(tmp_path / "none.py", endpoint_url="", accounts={}, folder=tmp_path)


def test_root_keys_are_not_shown() -> None:
    entry = provisioning.AccountSession(account_id="1", region="r", access_key_id="AKIA", secret_access_key="hush")
    assert "hush" not in repr(entry)


# --- starting and ending ---------------------------------------------------------------------------------------------


def test_a_lab_that_can_not_start_says_why(tmp_path: Path) -> None:
    path = script(tmp_path, "def provision(accounts):\n    raise RuntimeError('no\\nway')\n")
    with pytest.raises(LabError) as caught:
        start_lab(tmp_path / "lab", accounts=ACCOUNTS, provision=path)
    assert str(caught.value) == f"{path}:2: provisioning failed: RuntimeError: no way"


@pytest.mark.parametrize(
    ("accounts", "words"),
    [
        ({"main": ("12", "us-east-1")}, "`main=12@us-east-1` is no account; write NAME=ID, the id being twelve digits"),
        ({"a": ("1" * 12, "us-east-1"), "b": ("1" * 12, "us-east-1")}, "accounts `a` and `b` have one id"),
        ({"main": ("1" * 12, "us-nowhere-1")}, "`us-nowhere-1` is no Region"),
    ],
)
def test_accounts_that_can_not_be_are_refused(tmp_path: Path, accounts: dict[str, tuple[str, str]], words: str) -> None:
    with pytest.raises(LabError, match=words):
        start_lab(tmp_path, accounts=accounts)


def test_a_lab_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "_NEEDED", ("moto_of_nowhere", "json"))
    with pytest.raises(LabError, match=r"the lab needs moto_of_nowhere; pip install 'pytest-s3vpce\[lab\]'"):
        start_lab(tmp_path, accounts=ACCOUNTS)


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"the lab's folder .* can't be made"):
        start_lab(tmp_path / "file" / "lab", accounts=ACCOUNTS)


def test_a_lab_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    path = script(tmp_path, "import time\ndef provision(accounts):\n    time.sleep(60)\n")
    began = time.monotonic()
    with pytest.raises(LabError, match=r"the lab was not ready after 3 s; see `.*lab.log`"):
        start_lab(tmp_path / "lab", accounts=ACCOUNTS, provision=path, seconds=3)
    assert time.monotonic() - began < 20


def test_the_users_profile_does_not_disturb_the_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nonesuch")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "999999999999")
    running = start_lab(tmp_path, accounts=ACCOUNTS)
    try:
        ready = json.loads(running.ready_file.read_text())
        monkeypatch.delenv("AWS_PROFILE")
        vpc = Client(ready, account="partner").as_root("ec2").describe_vpcs()["Vpcs"][0]
        assert vpc["OwnerId"] == ACCOUNTS["partner"][0]
    finally:
        running.stop()


def test_ctrl_c_is_left_to_the_run(lab: dict[str, Any]) -> None:
    """The run removes what it made before it stops the lab."""
    assert os.getpgid(lab["pid"]) == lab["pid"] != os.getpgid(0)


def test_a_lab_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "_END_SECONDS", 0.1)
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        output.readline()
    process.LabProcess(child, ready_file=tmp_path / "ready.json").stop()
    assert child.returncode == -signal.SIGKILL


def test_an_interpreter_that_breaks_leaves_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "_MODULE", "pytest_s3vpce.nonesuch")
    with pytest.raises(LabError, match=r"the lab ended before it was ready: .*No module named pytest_s3vpce.nonesuch"):
        start_lab(tmp_path, accounts=ACCOUNTS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lab_ends_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import sys, time; from pathlib import Path; from pytest_s3vpce.lab.process import start_lab;"
        "lab = start_lab(Path(sys.argv[1]), accounts={'a': ('1' * 12, 'us-east-1')});"
        "print(lab.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout as output:
        child = int(output.readline())
    parent.send_signal(number)
    parent.wait()
    deadline = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < deadline, "the lab outlived its parent"
        time.sleep(0.02)
    assert not (tmp_path / "ready.json").exists()


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123 - no path to look into
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_command_line_alone_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "pytest_s3vpce.lab", "--ready-file", str(ready), "--account", f"a={'1' * 12}"]
    lab = subprocess.Popen([*command, "--region", "eu-north-1"], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        found = json.loads(ready.read_text())
        assert found["accounts"]["a"]["region"] == "eu-north-1"
        folder = os.path.dirname(found["ca_bundle"])  # noqa: PTH120 - a string as it stands in the file
    finally:
        lab.send_signal(signal.SIGTERM)
        assert lab.wait(10) == 0
    assert not ready.exists()
    assert not os.path.exists(folder)  # noqa: PTH110 - as above


def test_a_taken_port_and_a_file_that_can_not_be_written_are_errors(
    tmp_path: Path, lab: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    port = lab["endpoint_url"].rpartition(":")[2]
    ready = tmp_path / "ready.json"
    options = ["--ready-file", str(ready), "--account", f"a={'1' * 12}", "--folder", str(tmp_path)]
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    environment = dict(os.environ)
    try:
        assert main([*options, "--port", port]) == 1
        assert f"can't listen on port {port}" in capsys.readouterr().err
        assert reports.load(process.error_file(ready).read_text()).what.startswith("can't listen")
        assert main([*options, "--log-requests", str(tmp_path / "none" / "log")]) == 1
        assert "can't be written" in capsys.readouterr().err
    finally:
        os.environ.update(environment)
        for number, handler in kept.items():
            signal.signal(number, handler)


def test_accounts_of_the_command_line() -> None:
    assert accounts_of([f"a={'1' * 12}", f"b={'2' * 12}@eu-west-1"], region="us-east-1") == {
        "a": ("1" * 12, "us-east-1"),
        "b": ("2" * 12, "eu-west-1"),
    }
    with pytest.raises(LabError, match="account `a` is given twice"):
        accounts_of([f"a={'1' * 12}", f"a={'2' * 12}"], region="us-east-1")


def test_errors_survive_the_way_between_processes() -> None:
    for error in (LabError("what"), LabError("what", place=Place("f", 3, 4), remedy="this")):
        found = reports.load(reports.dump(error))
        assert (found.what, found.place, found.remedy) == (error.what, error.place, error.remedy)
    for text in ("", "[]", "{}", "5", '{"what": "a", "place": 5, "remedy": null}'):
        with pytest.raises(ValueError, match=r"."):
            reports.load(text)
