"""`s3vpce lab`: served as a process, used from subnets by other processes, followed, and ended without a trace."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
)

from pytest_s3vpce.labcommand import lab as lab_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "first_test"
COMMAND = [sys.executable, "-m", "pytest_s3vpce.cli", "lab"]
ACCOUNTS = ["--account", "main=111122223333", "--account", "partner=444455556666@us-east-1", "--region", "eu-west-1"]
BUCKET = "reports-111122223333"
KEY = ".s3vpce/canary"
UNREACHABLE = (ConnectTimeoutError, EndpointConnectionError)
WITHIN_SECONDS = 3.0


@dataclass
class Lab:
    """A lab that `s3vpce lab` serves."""

    process: subprocess.Popen[str]
    file: Path
    _ready: dict[str, Any] = field(default_factory=dict)

    @property
    def ready(self) -> dict[str, Any]:
        if not self._ready:
            self._ready = json.loads(self.file.read_text(encoding="utf-8"))
        return self._ready

    @property
    def outputs(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.ready["outputs"]
        return found

    def client(self, service: str, *, at: str | None = None, account: str = "main", **config: Any) -> Any:
        """A root client; `at` is another address than the internet's."""
        row = self.ready["accounts"][account]
        session: Any = boto3.Session(
            aws_access_key_id=row["access_key_id"],
            aws_secret_access_key=row["secret_access_key"],
            region_name=row["region"],
        )
        quick = Config(connect_timeout=0.4, read_timeout=20, retries={"total_max_attempts": 1}, **config)
        proxied = "proxies" in config
        address = None if proxied else at or self.ready["endpoint_url"]
        return session.client(service, endpoint_url=address, verify=self.ready["ca_bundle"], config=quick)

    def command(self, *arguments: str, named: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """A command of `s3vpce lab` for this lab; its file is named in the environment, as its exports say."""
        environment = {**os.environ, **({"S3VPCE_LAB_READY": str(self.file)} if named else {})}
        return subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, check=False, env=environment, timeout=60, **options
        )

    def path(self, subnet: str, *groups: str) -> dict[str, str]:
        options = [option for group in groups for option in ("--security-group", group)]
        done = self.command("path", subnet, *options, "--ready-file", str(self.file), named=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


@contextmanager
def started(folder: Path, *options: str, wait: bool = True, file: str = "lab.json") -> Iterator[Lab]:
    lab = Lab(
        subprocess.Popen(
            [*COMMAND, "--ready-file", str(folder / file), *(options or ACCOUNTS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            start_new_session=True,
        ),
        folder / file,
    )
    try:
        if wait:
            until(lambda: lab.file.exists() or lab.process.poll() is not None, seconds=30)
            assert lab.process.poll() is None, lab.process.communicate()
        yield lab
    finally:
        lab.process.kill()
        lab.process.wait()
        for stream in (lab.process.stdout, lab.process.stderr):
            if stream is not None:
                stream.close()


def until(condition: Any, *, seconds: float = WITHIN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab-command")
    with started(
        folder, *ACCOUNTS, "--provision", str(EXAMPLE / "provision.py"), "--log-requests", "requests.jsonl"
    ) as running:
        yield running
        assert running.end(signal.SIGTERM) == 0
        assert not running.file.exists()


@pytest.fixture(scope="module")
def app(lab: Lab) -> dict[str, str]:
    """The subnet with the endpoint."""
    return lab.path(lab.outputs["AppSubnet"], lab.outputs["ProbeGroup"])


def outcome(client: Any) -> str:
    """What reading the canary gives."""
    try:
        client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except UNREACHABLE:
        return "unreachable"
    return "allowed"


# --- the ready file and what is printed ------------------------------------------------------------------------------


def test_the_ready_file_has_the_documented_form(lab: Lab) -> None:
    port = lab.ready["endpoint_url"].rpartition(":")[2]
    assert lab.ready["endpoint_url"] == f"http://127.0.0.1:{port}"
    assert lab.ready["https_endpoint_url"] == f"https://127.0.0.1:{port}"
    assert lab.ready["proxy_url"] == f"http://127.0.0.1:{port}"
    assert Path(lab.ready["ca_bundle"]).read_text(encoding="ascii").startswith("-----BEGIN CERTIFICATE-----")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", lab.ready["control_url"])
    assert {name: (row["account_id"], row["region"]) for name, row in lab.ready["accounts"].items()} == {
        "main": ("111122223333", "eu-west-1"),
        "partner": ("444455556666", "us-east-1"),
    }
    assert lab.file.stat().st_mode & 0o777 == 0o600
    for account, row in lab.ready["accounts"].items():
        arn = lab.client("sts", account=account).get_caller_identity()["Arn"]
        assert arn == f"arn:aws:iam::{row['account_id']}:root"


def test_the_printed_exports_lead_a_shell_to_the_lab(lab: Lab) -> None:
    assert lab.process.stdout is not None
    printed = ""
    while "s3vpce lab exec" not in printed:
        printed += lab.process.stdout.readline()
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    script = f'{printed_exports(printed)}\n"{sys.executable}" -c "{code}"\n'
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, env=clean)
    assert (done.stdout.strip(), done.stderr) == ("arn:aws:iam::111122223333:root", "")
    # the other way, as the comments say
    other = "\n".join(line.removeprefix("# ") for line in printed.splitlines() if "_PROXY=" in line)
    done = subprocess.run(
        ["sh", "-c", f'{printed_exports(printed)}\nunset AWS_ENDPOINT_URL\n{other}\n"{sys.executable}" -c "{code}"'],
        capture_output=True,
        text=True,
        check=False,
        env=clean,
    )
    assert (done.stdout.strip(), done.stderr) == ("arn:aws:iam::111122223333:root", "")


def printed_exports(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("export ")]
    assert len(lines) >= 6
    return "\n".join(lines)


def test_pytest_runs_in_it_and_leaves_it_as_it_was(lab: Lab, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".s3vpce", "__pycache__"))
    (tmp_path / "provision.py").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--s3vpce-lab-ready={lab.file}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✔ proven") == 2
    assert lab.client("lambda").list_functions()["Functions"] == []


# --- path ------------------------------------------------------------------------------------------------------------


def test_a_path_is_the_same_lab_from_inside(lab: Lab, app: dict[str, str]) -> None:
    assert list(app) == ["endpoint_url", "https_endpoint_url", "proxy_url"]
    assert len({address.rpartition(":")[2] for address in app.values()}) == 3
    assert outcome(lab.client("s3", at=lab.ready["https_endpoint_url"])) == "AccessDenied"
    assert outcome(lab.client("s3", at=app["https_endpoint_url"])) == "allowed"
    assert outcome(lab.client("s3", at=app["endpoint_url"])) == "AccessDenied"  # the bucket wants TLS
    assert lab.path(lab.outputs["AppSubnet"], lab.outputs["ProbeGroup"]) == app


def test_through_the_proxy_requests_go_under_their_real_names(lab: Lab, app: dict[str, str]) -> None:
    proxies = {"https": app["proxy_url"], "http": app["proxy_url"]}
    for style in ("virtual", "path"):
        assert outcome(lab.client("s3", proxies=proxies, s3={"addressing_style": style})) == "allowed"
    plain = lab.client("s3", proxies=proxies)
    plain.meta.events.register(
        "before-sign.s3.GetObject", lambda request, **_: setattr(request, "url", request.url.replace("https:", "http:"))
    )
    assert outcome(plain) == "AccessDenied"
    for service in ("sts", "ec2"):  # a gateway endpoint leads to S3 alone
        client = lab.client(service, proxies=proxies)
        with pytest.raises(ProxyConnectionError):
            client.get_caller_identity() if service == "sts" else client.describe_vpcs()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("example.com:443", "example.com does not resolve"),
        ("s3.eu-west-1.amazonaws.com:22", "port 22"),
        ("sts.amazonaws.com:443", "way"),
    ],
)
def test_the_proxy_says_what_it_does_not_reach(app: dict[str, str], target: str, said: str) -> None:
    with socket.create_connection(("127.0.0.1", int(app["proxy_url"].rpartition(":")[2]))) as connection:
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 504 ")
    assert said in answer


def test_the_internets_proxy_serves_hosts_of_aws_alone(lab: Lab) -> None:
    with socket.create_connection(("127.0.0.1", int(lab.ready["proxy_url"].rpartition(":")[2]))) as connection:
        connection.sendall(b"CONNECT registry.terraform.io:443 HTTP/1.1\r\nHost: registry.terraform.io\r\n\r\n")
        answer = connection.makefile("rb").read().decode()
    assert "registry.terraform.io is no host of AWS's" in answer


def test_what_else_the_network_drops_is_cut_off_without_an_answer(lab: Lab, app: dict[str, str]) -> None:
    with pytest.raises(HTTPClientError, match="onnection"):
        lab.client("sts", at=app["https_endpoint_url"]).get_caller_identity()


def test_changes_show_within_three_seconds_on_addresses_that_stay(lab: Lab, app: dict[str, str]) -> None:
    ec2, endpoint = lab.client("ec2"), lab.outputs["Endpoint"]
    inside = lab.client("s3", at=app["https_endpoint_url"])
    tables = ec2.describe_route_tables(
        Filters=[{"Name": "association.subnet-id", "Values": [lab.outputs["AppSubnet"]]}]
    )
    table = tables["RouteTables"][0]["RouteTableId"]
    assert outcome(inside) == "allowed"
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, RemoveRouteTableIds=[table])
    until(lambda: outcome(inside) == "unreachable")
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[table])
    until(lambda: outcome(inside) == "allowed")
    nothing = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [nothing]})
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=policy)
    until(lambda: outcome(inside) == "AccessDenied")
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, ResetPolicy=True)
    until(lambda: outcome(inside) == "allowed")


def test_the_addresses_stand_for_their_ports_and_the_groups_for_their_rules(lab: Lab) -> None:
    ec2 = lab.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[lab.outputs["AppSubnet"]])["Subnets"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="web", Description="-", VpcId=vpc)["GroupId"]
    everything = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    found = lab.path(lab.outputs["AppSubnet"], group)
    by_http, by_https = (lab.client("s3", at=found[name]) for name in ("endpoint_url", "https_endpoint_url"))
    assert (outcome(by_http), outcome(by_https)) == ("unreachable", "unreachable")
    lists = ec2.describe_managed_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": ["com.amazonaws.eu-west-1.s3"]}]
    )
    rule = {
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "PrefixListIds": [{"PrefixListId": lists["PrefixLists"][0]["PrefixListId"]}],
    }
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[rule])
    until(lambda: outcome(by_http) == "AccessDenied")
    assert outcome(by_https) == "unreachable"


def test_without_groups_it_is_the_vpcs_default_one(lab: Lab) -> None:
    assert outcome(lab.client("s3", at=lab.path(lab.outputs["AppSubnet"])["https_endpoint_url"])) == "allowed"


def test_two_hundred_connections_at_once_are_answered(lab: Lab, app: dict[str, str]) -> None:
    port = int(app["endpoint_url"].rpartition(":")[2])
    connections = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(200)]
    try:
        request = f"GET /{BUCKET}/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()

        def answered(connection: socket.socket) -> bytes:
            connection.sendall(request)
            with connection.makefile("rb") as answer:
                return answer.readline()

        with ThreadPoolExecutor(200) as pool:
            assert set(pool.map(answered, connections)) == {b"HTTP/1.1 403 Forbidden\r\n"}
    finally:
        for connection in connections:
            connection.close()


# --- exec ------------------------------------------------------------------------------------------------------------

READ = f"""
import boto3
print(boto3.client("s3").get_object(Bucket={BUCKET!r}, Key={KEY!r})["ContentLength"])
"""


@pytest.mark.parametrize("via", ["proxy", "endpoint"])
def test_a_command_stands_in_the_subnet(lab: Lab, via: str, tmp_path: Path) -> None:
    subnet, group = lab.outputs["AppSubnet"], lab.outputs["ProbeGroup"]
    done = lab.command(
        *("exec", "--subnet", subnet, "--security-group", group, "--via", via, "--", sys.executable, "-c", READ),
        cwd=tmp_path,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("57\n", "", 0)


def test_its_environment_leads_nowhere_else(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "t", "AWS_ENDPOINT_URL_S3": "https://other", "NO_PROXY": "*"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    done = lab.command("exec", "--subnet", lab.outputs["AppSubnet"], "--account", "partner", "--", "env", "-0")
    found = dict(line.split("=", 1) for line in done.stdout.rstrip("\0").split("\0"))
    row = lab.ready["accounts"]["partner"]
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == (
        row["access_key_id"],
        row["secret_access_key"],
    )
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"
    assert found["AWS_CA_BUNDLE"] == found["REQUESTS_CA_BUNDLE"] == lab.ready["ca_bundle"]
    assert found["HTTPS_PROXY"] == found["http_proxy"]
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} & found.keys()
    assert "*" not in found["NO_PROXY"]


@pytest.mark.parametrize(
    ("command", "status"),
    [(["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], -9), (["no-such-command"], 127), ([str(ROOT)], 126)],
)
def test_the_exit_status_is_the_commands(lab: Lab, command: list[str], status: int) -> None:
    done = lab.command("exec", "--subnet", lab.outputs["AppSubnet"], "--", *command)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_a_command_may_have_a_roles_session(lab: Lab) -> None:
    subnet, role = lab.outputs["AppSubnet"], lab.outputs["AppRoleArn"]
    code = READ + "print(boto3.client('s3').meta.region_name)"
    done = lab.command("exec", "--subnet", subnet, "--role", role, "--", sys.executable, "-c", code)
    assert (done.stdout, done.stderr, done.returncode) == ("57\neu-west-1\n", "", 0)
    noted = [json.loads(line) for line in lab.command("log", "--json").stdout.splitlines()]
    last = [note for note in noted if note.get("operation") == "GetObject"][-1]
    assert last["caller"] == "arn:aws:sts::111122223333:assumed-role/app/s3vpce-lab"
    assert last["source"].startswith(subnet)


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("app", "`app` is no role's ARN; give arn:aws:iam::ACCOUNT:role/NAME"),
        ("arn:aws:iam::999999999999:role/app", "the ready file has no keys of account `999999999999`"),
        (
            "arn:aws:iam::111122223333:role/none",
            "role `arn:aws:iam::111122223333:role/none` can't be assumed: AccessDenied: User: ",
        ),
    ],
)
def test_a_role_that_can_not_be_had_is_one_error(lab: Lab, role: str, said: str) -> None:
    done = lab.command("exec", "--subnet", lab.outputs["AppSubnet"], "--role", role, "--", "true")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    done = lab.command("exec", "--subnet", "s", "--role", role, "--account", "main", "--", "true")
    assert (done.returncode, done.stderr) == (2, "s3vpce: --account and --role exclude each other; leave one out\n")


def test_the_aws_cli_works_there(lab: Lab) -> None:
    if shutil.which("aws") is None:
        pytest.skip("there is no AWS CLI on this machine")
    done = lab.command(
        "exec", "--subnet", lab.outputs["AppSubnet"], "--", "aws", "s3", "cp", f"s3://{BUCKET}/{KEY}", "-"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a canary of pytest-s3vpce")


# --- log -------------------------------------------------------------------------------------------------------------


def test_the_log_is_followed_and_holds_no_secrets(lab: Lab, app: dict[str, str]) -> None:
    assert outcome(lab.client("s3")) == "AccessDenied"
    with pytest.raises(HTTPClientError):
        lab.client("sts", at=app["https_endpoint_url"]).get_caller_identity()
    environment = {**os.environ, "S3VPCE_LAB_READY": str(lab.file), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*COMMAND, "log", "-f"], stdout=subprocess.PIPE, text=True, env=environment) as follower:
        assert follower.stdout is not None
        client = lab.client("s3", at=app["https_endpoint_url"])
        with pytest.raises(ClientError):
            client.get_object(Bucket=BUCKET, Key="odd\x1b[2Jkey")
        for line in follower.stdout:
            if "odd" in line:
                break
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 0
    endpoint, subnet = lab.outputs["Endpoint"], lab.outputs["AppSubnet"]
    assert f"arn:aws:iam::111122223333:root from {subnet} 10.20.1." in line
    assert (
        f" by gateway endpoint {endpoint} s3:GetObject (s3:ListBucket) {BUCKET}/odd\ufffd[2Jkey -> 404 NoSuchKey allow"
        in line
    )
    everything = lab.command("log", "--json").stdout + lab.command("log").stdout
    assert "explicit_deny by resource" in everything
    assert " ec2:CreateVpcEndpoint -> 200" in everything
    assert re.search(r" sts:GetCallerIdentity -> no answer: .*route", everything)
    secrets = [row["secret_access_key"] for row in lab.ready["accounts"].values()] + [lab.ready["control_token"]]
    assert not [secret for secret in secrets if secret in everything]
    written = (lab.file.parent / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(written[-1]).keys() >= {"at", "caller", "source", "path", "operation", "status"}


# --- the page --------------------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8")


def shown(command: str) -> list[str]:
    """The words of a command line that the page shows."""
    (line,) = re.findall(rf"^\$ s3vpce lab( {command}.*)$", PAGE, re.MULTILINE)
    return shlex.split(line)


def test_the_pages_lab_starts_as_it_is_printed(tmp_path: Path) -> None:
    words = shown("--ready-file")
    assert words[:2] == ["--ready-file", "lab.json"]
    with started(tmp_path, *words[2:]) as lab:
        (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
        printed = json.loads(block)
        assert list(lab.ready) == list(printed)
        assert list(lab.ready["accounts"]["main"]) == list(printed["accounts"]["main"])
        assert {row["region"] for row in lab.ready["accounts"].values()} == {"us-east-1", "eu-west-1"}
        assert lab.end(signal.SIGTERM) == 0


def test_the_pages_commands_run_as_they_are_printed(lab: Lab) -> None:
    real = {"subnet-0abc": "AppSubnet", "sg-0abc": "ProbeGroup"}
    path = lab.command(*(lab.outputs[real[word]] if word in real else word for word in shown("path")))
    (printed,) = re.findall(r"^\{.*\}$", PAGE, re.MULTILINE)
    assert list(json.loads(path.stdout)) == list(json.loads(printed))
    assert outcome(lab.client("s3", at=json.loads(path.stdout)["https_endpoint_url"])) == "allowed"
    if shutil.which("aws") is not None:
        words = [lab.outputs["AppSubnet"] if word == "subnet-0abc" else word for word in shown("exec")]
        done = lab.command(*(word.replace("s3://reports", f"s3://{BUCKET}") for word in words))
        assert "PRE .s3vpce/" in done.stdout, done.stderr
    assert shown("log") == ["log", "--follow"]
    (line,) = re.findall(r"^\d\d:\d\d.*$", PAGE, re.MULTILINE)
    shape = re.compile(r"[\d:.]{12} arn:\S+ from subnet-\w+ [\d.]+ by gateway endpoint vpce-\w+ s3:\w+ \S+ -> \d+ .*: ")
    assert shape.match(line)
    assert any(shape.match(found) for found in lab.command("log").stdout.splitlines())


def test_the_page_names_every_option() -> None:
    for command in (lab_command, *lab_command.commands.values()):
        for parameter in command.params:
            for name in parameter.opts:
                assert not name.startswith("--") or re.search(rf"{name}\b", PAGE), f"{command.name} {name}"


# --- what can't be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["path", "subnet-none"], "there is no subnet `subnet-none` in this lab; name one that was made in it"),
        (["path", "SUBNET", "--security-group", "sg-no"], "there is no security group `sg-no` in the VPC of `SUBNET`"),
        (
            ["exec", "--subnet", "SUBNET", "--account", "x", "--", "true"],
            "no account `x` in this lab; it has main, par",
        ),
        (["exec", "--subnet", "subnet-none", "--", "true"], "there is no subnet `subnet-none`"),
        (["path", "SUBNET", "--ready-file", "none.json"], "`none.json` can't be read: No such file or directory"),
        (["log", "--ready-file", str(ROOT / "README.md")], "README.md` is no lab's ready file"),
    ],
)
def test_what_a_lab_does_not_have_is_one_error(lab: Lab, arguments: list[str], said: str) -> None:
    subnet = lab.outputs["AppSubnet"]
    done = lab.command(*(subnet if word == "SUBNET" else word for word in arguments))
    assert done.returncode == 2
    assert said.replace("SUBNET", subnet) in done.stderr
    assert done.stderr.count("\n") == 1


def test_bad_options_are_one_error_each(lab: Lab, tmp_path: Path) -> None:
    main, ready = ["--account", "main=111122223333"], ["--ready-file", "r.json"]
    port = lab.ready["endpoint_url"].rpartition(":")[2]
    (tmp_path / "raises.py").write_text("def provision(accounts):\n    raise RuntimeError('no way')\n")
    rows = [
        ([*ready, "--account", "main=1111"], "`main=1111` is no account; write NAME=ID, the id being twelve digits"),
        ([*main, *ready, "--account", "main=444455556666"], "account `main` is given twice"),
        ([*main, *ready, "--account", "b=111122223333"], "accounts `main` and `b` have one id"),
        ([*main, *ready, "--region", "us-nowhere-1"], "`us-nowhere-1` is no Region"),
        ([*main, *ready, "--port", port], f"can't listen on port {port}: Address already in use; choose another port"),
        ([*main, "--ready-file", "none/r.json"], "`none/r.json` can't be written: No such file"),
        ([*main, "--ready-file", str(lab.file)], "a lab is running with the ready file"),
        ([*main, *ready, "--log-requests", "none/log"], "`none/log` can't be written: No such file"),
        ([*main, *ready, "--provision", "none.py"], "there is no provisioning script `none.py`"),
        ([*main, *ready, "--provision", "raises.py"], "raises.py:2: provisioning failed: RuntimeError: no way"),
        (ready, "no account is named"),
        (main, "no ready file is named"),
    ]

    def told(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )

    with ThreadPoolExecutor(4) as pool:
        for (arguments, said), done in zip(rows, pool.map(told, [row[0] for row in rows]), strict=True):
            assert done.returncode == 2, (arguments, done)
            assert said in done.stderr, arguments
            assert (done.stderr.count("\n"), done.stdout) == (1, ""), arguments
    assert {path.name for path in tmp_path.iterdir()} <= {"__pycache__", "raises.py"}
    assert lab.file.exists()


# --- starting and ending ---------------------------------------------------------------------------------------------

SLOW = """
import os, subprocess, sys, time

def provision(accounts):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    with open("pids", "w") as file:
        file.write(f"{os.getpid()} {child.pid} ")
    time.sleep(120)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_in_the_midst_of_provisioning_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    with started(tmp_path, *ACCOUNTS, "--provision", "slow.py", wait=False) as lab:
        until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().endswith(" "), seconds=30)
        pids = [int(text) for text in (tmp_path / "pids").read_text().split()]
        assert lab.end(number) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    until(lambda: not any(runs(pid) for pid in pids))
    assert not lab.file.exists()


def test_two_labs_side_by_side_know_nothing_of_each_other(lab: Lab, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with started(tmp_path, *ACCOUNTS, "--port", port) as other:
        assert other.ready["endpoint_url"] == f"http://127.0.0.1:{port}"
        assert other.client("s3").list_buckets()["Buckets"] == []
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            lab.client("s3", at=other.ready["endpoint_url"]).list_buckets()
        assert other.command("path", lab.outputs["AppSubnet"]).returncode == 2
        folder = Path(other.ready["ca_bundle"]).parent
        follow = [*COMMAND, "log", "-f", "--ready-file", str(other.file)]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            try:
                assert "ListBuckets" in follower.stdout.readline()
                assert other.end(signal.SIGINT) == 0
                assert follower.wait(5) == 0
            finally:
                follower.kill()
        assert not other.file.exists()
        assert not folder.exists()
    done = lab.command("path", lab.outputs["AppSubnet"], "--ready-file", str(other.file))
    assert done.returncode == 2


def runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123 - no path to look into
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
