"""Terraform against the lab: unmodified modules, by the inventory, by `s3vpce lab --terraform` and by hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import terraform
from pytest_s3vpce.lab.provisioning import AccountSession

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
FULL = Path(__file__).parent / "terraform" / "full"
SOAK = "S3VPCE_SOAK" in os.environ
_FOLDERS = ("/opt/tf-plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins")
_PROVIDER = Path("registry.terraform.io") / "hashicorp" / "aws"

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="there is no terraform on this machine")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the AWS provider; Terraform's own variable leads `init` there."""
    named = [os.environ.get("TF_PLUGIN_CACHE_DIR"), *_FOLDERS, str(Path.home() / ".terraform.d" / "plugins")]
    found = next((Path(name) for name in named if name and (Path(name) / _PROVIDER).is_dir()), None)
    if found is None:
        pytest.skip("there is no AWS provider of Terraform on this machine")
    monkeypatch.setenv("TF_CLI_ARGS_init", f"-plugin-dir={found}")
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    return found


# --- with the AWS provider -------------------------------------------------------------------------------------------


def test_the_inventory_has_a_module_applied_and_pytest_proves_it(plugins: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "terraform", tmp_path, dirs_exist_ok=True)
    before = sorted(path.name for path in (tmp_path / "infra").iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--s3vpce-lab"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✔ proven") == 2
    assert sorted(path.name for path in (tmp_path / "infra").iterdir()) == before


@pytest.mark.skipif(not SOAK, reason="a minute of the provider's own waits: `make soak` runs it")
def test_by_hand_a_whole_perimeter_applies_has_no_second_plan_and_is_destroyed(plugins: Path, tmp_path: Path) -> None:
    module = tmp_path / "full"
    shutil.copytree(FULL, module)
    with zipfile.ZipFile(module / "probe.zip", "w") as archive:
        archive.writestr("probe.py", "def handler(event, context):\n    return 'here'\n")
    file = tmp_path / "lab.json"
    command = [sys.executable, "-m", "pytest_s3vpce.cli", "lab", "--ready-file", str(file)]
    with subprocess.Popen([*command, "--account", "main=111122223333"], stdout=subprocess.DEVNULL) as lab:
        try:
            while not file.exists():
                assert lab.poll() is None
                time.sleep(0.05)
            environment = by_hand(json.loads(file.read_text(encoding="utf-8")))

            def run(*words: str) -> int:
                return subprocess.run(
                    ["terraform", f"-chdir={module}", *words, "-no-color"], check=False, env=environment
                ).returncode

            assert run("init") == 0
            assert run("apply", "-auto-approve") == 0
            assert run("plan", "-detailed-exitcode") == 0  # 2 would be a difference
            assert run("destroy", "-auto-approve") == 0
        finally:
            lab.send_signal(signal.SIGTERM)
            assert lab.wait(10) == 0


def by_hand(ready: dict[str, Any]) -> dict[str, str]:
    """What the lab prints, set as its second way says."""
    row = ready["accounts"]["main"]
    return {
        **{name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"},
        "HTTPS_PROXY": ready["proxy_url"],
        "HTTP_PROXY": ready["proxy_url"],
        "AWS_CA_BUNDLE": ready["ca_bundle"],
        "AWS_ACCESS_KEY_ID": row["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": row["secret_access_key"],
        "AWS_REGION": row["region"],
    }


# --- with nothing but Terraform --------------------------------------------------------------------------------------

PLAIN = """
terraform {
  required_version = ">= 1.4"
}

resource "terraform_data" "spy" {
  provisioner "local-exec" {
    command = "env > spied; cat \\"$AWS_SHARED_CREDENTIALS_FILE\\" > profiles"
  }
}

output "Text" {
  value     = "a"
  sensitive = true
}

output "List" {
  value = ["a", "b"]
}
"""
ACCOUNTS = {
    name: AccountSession(account_id=number * 12, region=region, access_key_id=f"AKIA{name}", secret_access_key="hush")
    for name, number, region in (("main", "1", "eu-west-1"), ("partner", "2", "us-east-1"))
}
WAY = terraform.Way(proxy_url="http://127.0.0.1:1", ca_bundle="/ca.pem", accounts=ACCOUNTS)


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "infra"
    folder.mkdir()
    (folder / "main.tf").write_text(PLAIN, encoding="utf-8")
    yield folder
    assert not (folder / ".terraform").exists()
    assert not (folder / "terraform.tfstate").exists()


def test_outputs_come_back_and_the_environment_leads_to_the_lab(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "prod")
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("TF_VAR_given", "1")
    outputs = terraform.run(module, way=WAY, folder=tmp_path, stop=threading.Event())
    assert outputs == {"Text": "a", "List": ["a", "b"]}
    spied = dict(line.split("=", 1) for line in (module / "spied").read_text().splitlines() if "=" in line)
    assert spied["HTTPS_PROXY"] == spied["HTTP_PROXY"] == "http://127.0.0.1:1"
    assert (spied["AWS_ACCESS_KEY_ID"], spied["AWS_REGION"]) == ("AKIAmain", "eu-west-1")
    assert (spied["AWS_CA_BUNDLE"], spied["TF_VAR_given"]) == ("/ca.pem", "1")
    assert "AWS_PROFILE" not in spied
    assert "*" not in spied["NO_PROXY"]
    assert "[partner]\naws_access_key_id = AKIApartner\n" in (module / "profiles").read_text()
    assert (tmp_path / "terraform" / "profiles").stat().st_mode & 0o777 == 0o600


def test_a_remote_backend_is_left_aside_and_what_lies_beside_is_found(module: Path, tmp_path: Path) -> None:
    (tmp_path / "modules" / "name").mkdir(parents=True)
    (tmp_path / "modules" / "name" / "main.tf").write_text(
        'output "name" {\n  value = file("${path.module}/n.txt")\n}\n'
    )
    (tmp_path / "modules" / "name" / "n.txt").write_text("beside")
    (module / "src" / "deep").mkdir(parents=True)
    (module / "src" / "deep" / "a.txt").write_text("within")
    (module / "main.tf").write_text(
        'terraform {\n  backend "s3" {\n    bucket = "none"\n    key = "k"\n    region = "eu-west-1"\n  }\n}\n'
        'module "name" {\n  source = "../modules/name"\n}\n'
        'output "Name" {\n  value = module.name.name\n}\n'
        'output "Files" {\n  value = tolist(fileset("${path.module}/src", "**"))\n}\n',
        encoding="utf-8",
    )
    before = sorted(tmp_path.rglob("*"))
    outputs = terraform.run(module, way=WAY, folder=tmp_path, stop=threading.Event())
    assert outputs == {"Name": "beside", "Files": ["deep/a.txt"]}
    assert sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "terraform")) == before


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('output "A" {\n  value = nothing.here\n}\n', 2, "terraform apply failed: Reference to undeclared resource"),
        ("output {\n", 1, "terraform init failed: "),
        (
            'resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    command = "exit 3"\n  }\n}\n',
            2,
            "terraform apply failed: local-exec provisioner error: Error running command 'exit 3': exit status 3",
        ),
    ],
    ids=["reference", "syntax", "provisioner"],
)
def test_a_module_that_fails_is_one_error_at_its_place(
    module: Path, tmp_path: Path, text: str, line: int, words: str
) -> None:
    (module / "main.tf").write_text(text, encoding="utf-8")
    with pytest.raises(LabError) as caught:
        terraform.run(module, way=WAY, folder=tmp_path, stop=threading.Event())
    told = str(caught.value)
    assert told.startswith(f"{module / 'main.tf'}:{line}: {words}")
    assert "\n" not in told
    assert len(told) < 600


def test_a_module_that_is_none_and_a_missing_terraform_are_told(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabError, match=r"there is no Terraform module in `.*none`; name a folder with .tf files"):
        terraform.check_module(tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="there is no `terraform` on the PATH; install Terraform"):
        terraform.check_module(module)


SLOW = """
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "echo $$ > pid; sleep 60"
  }
}
"""


def test_a_module_that_takes_too_long_or_is_stopped_is_ended(module: Path, tmp_path: Path) -> None:
    (module / "main.tf").write_text(SLOW, encoding="utf-8")
    with pytest.raises(LabError, match=r"terraform apply was not done in time; see `.*apply.log`"):
        terraform.run(module, way=WAY, folder=tmp_path, stop=threading.Event(), seconds=2)
    stop = threading.Event()
    threading.Timer(1, stop.set).start()
    assert terraform.run(module, way=WAY, folder=tmp_path, stop=stop) == {}
    deadline = time.monotonic() + 5
    while runs((module / "pid").read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(pid: str) -> bool:
    try:
        return (Path("/proc") / pid / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_command_takes_a_module_and_a_script(module: Path, tmp_path: Path) -> None:
    script = tmp_path / "provision.py"
    script.write_text("def provision(accounts):\n    return {'Script': list(accounts)}\n", encoding="utf-8")
    file = tmp_path / "lab.json"
    command = [sys.executable, "-m", "pytest_s3vpce.cli", "lab", "--ready-file", str(file)]
    command += ["--account", "main=111122223333", "--terraform", str(module), "--provision", str(script)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as lab:
        deadline = time.monotonic() + 30
        while not file.exists():
            assert lab.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        outputs = json.loads(file.read_text(encoding="utf-8"))["outputs"]
        lab.send_signal(signal.SIGTERM)
        assert lab.wait(10) == 0
    assert outputs == {"Text": "a", "List": ["a", "b"], "Script": ["main"]}
