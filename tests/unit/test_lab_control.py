"""The lab's journal, control API, client, log lines, environments and leashed commands, each without a lab."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import leashed, serving, surroundings
from pytest_s3vpce.lab.client import running_lab
from pytest_s3vpce.lab.control import Control
from pytest_s3vpce.lab.journal import Journal
from pytest_s3vpce.lab.logline import line
from pytest_s3vpce.lab.provisioning import AccountSession
from pytest_s3vpce.lab.worker import leash
from pytest_s3vpce.labcommand import _noted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEYS = AccountSession(account_id="1" * 12, region="eu-west-1", access_key_id="AKIA", secret_access_key="hush")


# --- the journal -----------------------------------------------------------------------------------------------------


def test_notes_are_read_from_any_number_on_and_the_oldest_are_forgotten() -> None:
    journal = Journal(kept=3)
    assert journal.since(0) == (0, [])
    for number in range(5):
        journal.add({"n": number})
    assert journal.since(0) == (5, [{"n": 2}, {"n": 3}, {"n": 4}])
    assert journal.since(4) == (5, [{"n": 4}])
    assert journal.since(5) == (5, [])
    assert journal.since(99) == (5, [])


def test_a_long_journal_is_read_in_parts() -> None:
    journal = Journal()
    for number in range(1500):
        journal.add({"n": number})
    following, notes = journal.since(0)
    assert (following, len(notes)) == (1000, 1000)
    following, notes = journal.since(following)
    assert (following, notes[-1]) == (1500, {"n": 1499})


def test_a_reader_waits_for_news_and_is_let_go_at_the_end() -> None:
    journal = Journal()
    threading.Timer(0.05, journal.add, [{"n": 1}]).start()
    assert journal.since(0, seconds=10) == (1, [{"n": 1}])
    threading.Timer(0.05, journal.close).start()
    assert journal.since(1, seconds=10) == (1, [])
    journal.add({"n": 2})  # of a request that was being served


def test_the_file_has_a_line_for_each_note(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log")
    journal.add({"n": 1, "at": Path("x")})
    journal.close()
    journal.add({"n": 2})
    assert (tmp_path / "log").read_text() == '{"n": 1, "at": "x"}\n'
    with pytest.raises(LabError, match=r"`.*none/log` can't be written: No such file or directory; make its folder"):
        Journal(tmp_path / "none" / "log")


# --- the control API and its client ----------------------------------------------------------------------------------


class FakeDoor:
    placement = type("P", (), {"account": "1" * 12, "region": "eu-west-1"})

    def urls(self) -> dict[str, str]:
        return {"endpoint_url": "http://127.0.0.1:1", "https_endpoint_url": "https://127.0.0.1:2", "proxy_url": "p"}


class FakeDoors:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def open(self, subnet_id: str, *, security_group_ids: tuple[str, ...]) -> FakeDoor:
        self.asked.append((subnet_id, security_group_ids))
        if subnet_id == "subnet-none":
            raise LabError("there is no subnet `subnet-none`", remedy="name another")
        if subnet_id == "subnet-bug":
            raise RuntimeError
        return FakeDoor()


@pytest.fixture
def doors() -> FakeDoors:
    return FakeDoors()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def control(doors: Any, journal: Journal) -> Iterator[Control]:
    made = Control(doors=doors, journal=journal)
    yield made
    made.close()


@pytest.fixture
def file(control: Control, tmp_path: Path) -> Path:
    row = {"account_id": "1" * 12, "region": "eu-west-1", "access_key_id": "AKIA", "secret_access_key": "hush"}
    ready = {
        **FakeDoor().urls(),
        "ca_bundle": "ca.pem",
        "control_url": control.url,
        "control_token": control.token,
        "accounts": {"main": {**row, "runner": {"access_key_id": "AK", "secret_access_key": "hush", "role": "r"}}},
    }
    (tmp_path / "lab.json").write_text(json.dumps(ready), encoding="utf-8")
    return tmp_path / "lab.json"


def test_the_client_asks_for_paths_and_notes(file: Path, doors: FakeDoors, journal: Journal) -> None:
    lab = running_lab(file)
    found = lab.path("subnet-1", security_group_ids=["sg-1"])
    assert found == {**FakeDoor().urls(), "account_id": "1" * 12, "region": "eu-west-1"}
    lab.path("subnet-2")
    assert doors.asked == [("subnet-1", ("sg-1",)), ("subnet-2", ())]
    journal.add({"n": 1})
    assert lab.log(0) == (1, [{"n": 1}])
    assert lab.answers()
    assert lab.account("main") == lab.account_of("1" * 12) == KEYS


def test_following_an_empty_log_waits_for_news(file: Path, journal: Journal) -> None:
    waited: list[float] = []
    since = journal.since

    def spy(number: int, *, seconds: float = 0.0) -> Any:
        waited.append(seconds)
        return since(number, seconds=seconds)

    journal.since = spy  # type: ignore[method-assign]
    noted = _noted(running_lab(file), seconds=20.0)
    threading.Timer(0.1, journal.add, [{"n": 1}]).start()
    assert next(noted) == {"n": 1}
    assert waited == [0.0, 20.0]
    assert list(_noted(running_lab(file), seconds=0.0)) == [{"n": 1}]


def test_what_was_forgotten_is_told(file: Path, journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10_003):
        journal.add({"n": number})
    assert len(list(_noted(running_lab(file), seconds=0.0))) == 10_000
    assert capsys.readouterr().err == "(3 older requests are forgotten)\n"


def test_the_client_is_not_led_astray_by_proxies(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert running_lab(file).answers()


def test_errors_of_the_lab_are_its_clients(file: Path) -> None:
    lab = running_lab(file)
    with pytest.raises(LabError, match="there is no subnet `subnet-none`; name another"):
        lab.path("subnet-none")
    with pytest.raises(LabError, match=r"refuses: the lab failed at this request; read its ready file anew"):
        lab.path("subnet-bug")
    with pytest.raises(LabError, match="there is no account `other` in this lab; it has main"):
        lab.account("other")
    with pytest.raises(LabError, match="has no keys of account `222222222222`; name an account with --account"):
        lab.account_of("2" * 12)


def test_a_lab_that_is_gone_does_not_answer(tmp_path: Path, doors: Any, journal: Journal, file: Path) -> None:
    lab = running_lab(file)
    text = file.read_text().replace(lab._control, "http://127.0.0.1:9")
    file.write_text(text)
    with pytest.raises(LabError, match=r"the lab of `.*lab.json` does not answer; start it anew"):
        running_lab(file).path("subnet-1")
    assert not running_lab(file).answers()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b'{"accounts": []}'])
def test_what_is_no_ready_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LabError, match=r"`.*x` is no lab's ready file; `s3vpce lab --ready-file FILE` writes one"):
        running_lab(tmp_path / "x")
    with pytest.raises(LabError, match="can't be read: No such file"):
        running_lab(tmp_path / "none")


def test_neither_token_nor_keys_are_shown(file: Path, control: Control) -> None:
    shown = repr(running_lab(file))
    assert control.token not in shown
    assert "hush" not in shown


@pytest.mark.parametrize(
    ("method", "target", "token", "body", "status", "said"),
    [
        ("GET", "/lab", "", b"", 401, "token"),
        ("GET", "/lab", "Bearer wrong", b"", 401, "token"),
        ("POST", "/path", "Bearer \xe9", b"{}", 401, "token"),
        ("GET", "/nothing", None, b"", 404, "nothing here"),
        ("GET", "/log?since=x", None, b"", 400, "`since` is `x`"),
        ("GET", "/log?since=-1", None, b"", 400, "`since` is `-1`"),
        ("GET", "/log?seconds=nan", None, b"", 400, "`seconds` is `nan`"),
        ("POST", "/path", None, b"", 400, "not understood"),
        ("POST", "/path", None, b"[]", 400, "not understood"),
        ("POST", "/path", None, b'{"subnet_id": 5}', 400, "not understood"),
        ("POST", "/path", None, b'{"subnet_id": "a", "security_group_ids": "b"}', 400, "not understood"),
        ("POST", "/path", None, b'{"subnet_id": "a", "security_group_ids": [5]}', 400, "not understood"),
        ("POST", "/path", None, b"x" * 70_000, 413, "too large"),
    ],
)
def test_requests_that_are_none_of_a_clients(
    control: Control, *, method: str, target: str, token: str | None, body: bytes, status: int, said: str
) -> None:
    connection = http.client.HTTPConnection(control.url.removeprefix("http://"), timeout=5)
    given = f"Bearer {control.token}" if token is None else token
    connection.putrequest(method, target)
    connection.putheader("Authorization", given.encode("latin-1"))
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    if status != 413:
        connection.send(body)
    answer = connection.getresponse()
    assert answer.status == status
    assert said in answer.read().decode()
    connection.close()


def test_a_length_that_is_no_number_is_refused(control: Control) -> None:
    connection = http.client.HTTPConnection(control.url.removeprefix("http://"), timeout=5)
    headers = {"Authorization": f"Bearer {control.token}", "Content-Length": "many"}
    connection.request("POST", "/path", headers=headers)
    assert connection.getresponse().status == 413
    connection.close()


# --- lines of the log ------------------------------------------------------------------------------------------------

NOTE = {
    "at": "2026-11-25T21:55:42.824+00:00",
    "method": "GET",
    "caller": "arn:aws:iam::111122223333:role/app",
    "source": "subnet-1 10.0.1.26",
    "path": "gateway_endpoint",
    "endpoint": "vpce-1",
    "service": "s3",
    "operation": "GetObject",
    "action": "s3:GetObject",
    "bucket": "reports",
    "key": "k",
    "status": 403,
    "code": "AccessDenied",
    "decision": "explicit_deny",
    "layer": "resource",
    "reason": "statement `x`",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            (
                "21:55:42.824 arn:aws:iam::111122223333:role/app from subnet-1 10.0.1.26 by gateway endpoint vpce-1 "
                "s3:GetObject reports/k -> 403 AccessDenied explicit_deny by resource: statement `x`"
            ),
        ),
        (
            {"caller": "anonymous", "path": "nat", "endpoint": None, "operation": "HeadObject", "reason": None},
            (
                "21:55:42.824 anonymous from subnet-1 10.0.1.26 by a NAT gateway s3:HeadObject (s3:GetObject) "
                "reports/k -> 403 AccessDenied explicit_deny by resource"
            ),
        ),
        (
            {"path": None, "status": None, "code": None, "decision": None, "reason": "no route", "action": None},
            (
                "21:55:42.824 arn:aws:iam::111122223333:role/app from subnet-1 10.0.1.26 s3:GetObject reports/k "
                "-> no answer: no route"
            ),
        ),
        (
            {
                "path": "tunnel",
                "endpoint": None,
                "key": "a\nb\x1b[1m",
                "layer": None,
                "decision": "allow",
                "code": None,
            },
            (
                "21:55:42.824 arn:aws:iam::111122223333:role/app from subnet-1 10.0.1.26 by tunnel s3:GetObject "
                "reports/a\ufffdb\ufffd[1m -> 403 allow: statement `x`"
            ),
        ),
    ],
)
def test_a_note_is_one_line(changes: Mapping[str, Any], expected: str) -> None:
    assert line({**NOTE, **changes}) == expected


def test_a_note_of_which_little_is_known_is_a_line_too() -> None:
    assert line({"method": "GET"}) == " nobody known from somewhere ?:GET -> no answer"


# --- environments ----------------------------------------------------------------------------------------------------

URLS = {
    "endpoint_url": "http://127.0.0.1:1",
    "https_endpoint_url": "https://127.0.0.1:2",
    "proxy_url": "http://127.0.0.1:3",
}


def test_a_commands_environment_leads_to_the_lab_alone() -> None:
    own = {
        "AWS_PROFILE": "prod",
        "all_proxy": "x",
        "No_Proxy": "*",
        "SSL_CERT_DIR": "/etc",
        "PATH": "/bin",
        "TF_VAR": "1",
    }
    found = surroundings.of_command(own, urls=URLS, ca_bundle="/ca", keys=KEYS)
    assert {"AWS_PROFILE", "all_proxy", "No_Proxy", "SSL_CERT_DIR", "AWS_ENDPOINT_URL"}.isdisjoint(found)
    assert (found["PATH"], found["TF_VAR"], found["HTTPS_PROXY"]) == ("/bin", "1", "http://127.0.0.1:3")
    assert found["NODE_EXTRA_CA_CERTS"] == found["AWS_CA_BUNDLE"] == "/ca"
    assert found["AWS_CONFIG_FILE"] == os.devnull
    other = surroundings.of_command(own, urls=URLS, ca_bundle="/ca", keys=KEYS, via=surroundings.Via.ENDPOINT)
    assert other["AWS_ENDPOINT_URL"] == "https://127.0.0.1:2"
    assert "HTTPS_PROXY" not in other


def test_exports_are_safe_for_a_shell() -> None:
    assert surroundings.exports({"A": "b", "C": "d e'f$"}) == ["export A=b", "export C='d e'\"'\"'f$'"]


# --- leashed commands ------------------------------------------------------------------------------------------------


def run(tmp_path: Path, *command: str, stop: threading.Event | None = None, seconds: float = 20) -> tuple[int, str]:
    with (tmp_path / "out").open("wb") as output:
        status = leashed.run(
            command,
            environment=dict(os.environ),
            output=output,
            stop=stop or threading.Event(),
            seconds=seconds,
            said=b"said",
        )
    return status, (tmp_path / "out").read_text()


def test_a_leashed_command_gets_its_input_and_gives_its_status(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "cat; echo told >&2; exit 3") == (3, "saidtold\n")
    assert run(tmp_path, "sh", "-c", "kill -9 $$")[0] == 128 + 9
    status, text = run(tmp_path, "no-such-command")
    assert (status, text) == (127, "no-such-command: No such file or directory\n")


def test_what_a_leashed_command_started_ends_with_it(tmp_path: Path) -> None:
    status, text = run(tmp_path, "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
    assert status == 0
    assert ended(int(text))


def test_a_leashed_command_is_ended_by_the_clock_and_by_an_event(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        run(tmp_path, "sh", "-c", "echo $$; exec sleep 60", seconds=0.3)
    assert ended(int((tmp_path / "out").read_text()))
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    status, text = run(tmp_path, "sh", "-c", "echo $$; exec sleep 60", stop=stop)
    assert status == -signal.SIGTERM
    assert ended(int(text))


def test_a_leashed_command_ends_with_the_process_that_holds_the_leash(tmp_path: Path) -> None:
    code = (
        "import os, sys, threading; from pytest_s3vpce.lab import leashed\n"
        "leashed.run(['sh', '-c', 'echo $$; sleep 60 & exec sleep 60'], environment=dict(os.environ), "
        "output=open(sys.argv[1], 'wb'), stop=threading.Event(), seconds=60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out")]) as holder:
        deadline = time.monotonic() + 10
        while not (tmp_path / "out").exists() or not (tmp_path / "out").read_text().endswith("\n"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        holder.kill()
    assert ended(int((tmp_path / "out").read_text()))


@pytest.mark.parametrize(
    ("command", "status"), [(["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137), (["no-such-command"], 127)]
)
def test_the_leash_gives_the_commands_status(monkeypatch: pytest.MonkeyPatch, command: list[str], status: int) -> None:
    held: list[int] = []
    monkeypatch.setattr(leash, "die_with", held.append)
    assert leash.main(5, command) == status
    assert held == [5]


def test_the_leash_ends_its_group_when_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: killed.append((group, number)))
    held, ours = os.pipe()
    thread = threading.Thread(target=leash.die_with, args=(held,))
    thread.start()
    assert not killed
    os.close(ours)
    thread.join(5)
    os.close(held)
    assert killed == [(os.getpid(), signal.SIGKILL)]


def test_no_pipe_is_left_where_nothing_could_be_started(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - links that may be gone are only counted
    with (tmp_path / "out").open("wb") as output, pytest.raises(FileNotFoundError):
        leashed.run(
            ["true"], environment={}, output=output, stop=threading.Event(), seconds=1, folder=tmp_path / "none"
        )
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


def ended(pid: int) -> bool:
    """Whether the process is gone within a moment, or nobody has waited for it yet."""
    stat = Path("/proc") / str(pid) / "stat"
    for _ in range(100):
        try:
            if stat.read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


# --- serving ---------------------------------------------------------------------------------------------------------


def test_a_ready_file_is_not_taken_from_a_running_lab(file: Path) -> None:
    settings = serving.Settings(ready_file=file, accounts={"main": ("1" * 12, "eu-west-1")})
    with pytest.raises(LabError, match=r"a lab is running with the ready file `.*lab.json`; name another, or end that"):
        serving.serve(settings, stop=threading.Event())
    assert file.exists()


def test_a_folder_is_no_ready_file(tmp_path: Path) -> None:
    settings = serving.Settings(ready_file=tmp_path, accounts={"main": ("1" * 12, "eu-west-1")})
    with pytest.raises(LabError, match=r"can't be written: it is a folder; name a file"):
        serving.serve(settings, stop=threading.Event())


@pytest.mark.parametrize("port", [70_000, 0])
def test_a_port_that_can_not_be_is_told_at_once(tmp_path: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = port or taken.getsockname()[1]
        settings = serving.Settings(ready_file=tmp_path / "r", accounts={"main": ("1" * 12, "eu-west-1")}, port=port)
        with pytest.raises(LabError, match=rf"can't listen on port {port}: .*; choose another port"):
            serving.serve(settings, stop=threading.Event())


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with serving.told_to_end() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_another_thread_got_ends_it_too() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    ident = other.ident
    assert ident is not None
    with serving.told_to_end() as stop:
        sending = threading.Timer(0.2, signal.pthread_kill, (ident, signal.SIGTERM))
        late = threading.Timer(10, stop.set)
        began = time.monotonic()
        sending.start()
        late.start()
        serving.wait_for(stop)
        took = time.monotonic() - began
    late.cancel()
    over.set()
    assert took < 5


def test_signals_set_the_event_and_are_given_back() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it, as nohup does
    try:
        with serving.told_to_end() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.wait(5)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
