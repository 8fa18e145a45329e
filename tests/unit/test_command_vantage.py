from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import FailureKind, Place, SignedRequest
from pytest_s3vpce.vantage import CommandVantage, agent, program
from pytest_s3vpce.vantage.base import TOLD_TO_END, AgentConfig, Limits
from tests.sshd import sshd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYTHON = [sys.executable, "-"]
REQUEST = SignedRequest(
    id="cell",
    method="GET",
    url="https://elsewhere.example/k",
    headers=(("Authorization", "Signature=5ec2e7"),),
)
QUICK = Limits(deadline=1.5 - program.MARGIN)


def make(command: Sequence[str], **given: Any) -> CommandVantage:
    return CommandVantage("inside", command=command, place=Place("s3vpce.yaml", 12, 3), **given)


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "there.sh"
    path.write_text(f"{text}\n", encoding="utf-8")
    return ["sh", str(path)]


def fault(command: Sequence[str], **given: Any) -> str:
    with pytest.raises(VantageError) as caught:
        make(command, **given).prepare()
    return str(caught.value)


def test_python_that_reads_its_program_from_stdin_is_a_vantage_point() -> None:
    vantage = make(PYTHON)
    said: list[str] = []
    vantage.prepare(notify=said.append)
    assert said == ["asking vantage point inside whether Python runs there"]
    (answer,) = vantage.send([REQUEST])
    assert answer.id == "cell"
    assert answer.failure is FailureKind.FORBIDDEN_HOST
    assert "`elsewhere.example` is not among the hosts" in answer.detail


def test_the_configuration_goes_with_the_program() -> None:
    vantage = make(PYTHON, config=AgentConfig(hosts=("elsewhere.example",)))
    (answer,) = vantage.send([SignedRequest(id="a", method="GET", url=REQUEST.url, headers=(), signed_at=1.0)])
    assert answer.failure is FailureKind.STALE


def test_nothing_of_a_request_is_in_an_argument_or_the_environment(tmp_path: Path) -> None:
    spy = f"tr '\\0' ' ' < /proc/$$/cmdline > {tmp_path}/seen; env >> {tmp_path}/seen; exec {sys.executable} -"
    vantage = make(["sh", "-c", spy])
    vantage.send([REQUEST])
    seen = (tmp_path / "seen").read_text(encoding="utf-8")
    assert "exec" in seen
    assert "5ec2e7" not in seen
    assert base64.b64encode(b"elsewhere.example").decode()[:8] not in seen


def test_banners_before_and_after_and_an_echo_of_the_program_are_passed_over(tmp_path: Path) -> None:
    noise = f"echo Welcome; tee {tmp_path}/copy | sed p | head -3; cat {tmp_path}/copy"
    vantage = make(script(tmp_path, f"{noise}; {sys.executable} - < {tmp_path}/copy; echo; echo Bye"))
    assert [answer.failure for answer in vantage.send([REQUEST])] == [FailureKind.FORBIDDEN_HOST]


def test_what_the_command_leaves_running_does_not_hold_it_up(tmp_path: Path) -> None:
    began = time.monotonic()
    make(script(tmp_path, f"sleep 5 & exec {sys.executable} -")).prepare()
    assert time.monotonic() - began < 4


def test_a_relative_command_counts_from_the_folder_and_no_shell_splits_it(tmp_path: Path) -> None:
    (tmp_path / "a b").write_text(f"#!/bin/sh\nexec {sys.executable} -\n", encoding="utf-8")
    (tmp_path / "a b").chmod(0o755)
    vantage = make(["./a b"], folder=tmp_path)
    assert [answer.failure for answer in vantage.send([REQUEST])] == [FailureKind.FORBIDDEN_HOST]


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (["s3vpce-no-such-command", "-x"], "command `s3vpce-no-such-command` can't be started: No such file or dir"),
        (["a\0b"], "can't be started: embedded null byte; install it, or correct the command"),
        (["cat"], "what ran there printed no answer of the agent; it has to end in a Python 3"),
        (["true"], "what ran there printed no answer of the agent"),
        (
            ["sh", "-c", "echo one >&2; printf 'two\\033[31m\\n' >&2; exit 3"],
            "ended with status 3: one two [31m; it has",
        ),
        (["sh", "-c", "kill -9 $$"], "ended by signal 9; it has to end in a Python 3"),
        (["sh", "-c", "exec s3vpce-no-such-python -"], "not found; install Python 3.8 or newer there"),
        (["sh", "-c", "echo Permission denied >&2; exit 255"], "status 255: Permission denied; ssh reports failures"),
        (["sh", "-c", "exit 126"], "the command was found over there, but it can't be executed"),
        (["sh"], "ended with status 2"),
    ],
)
def test_each_bad_command_is_one_error_with_what_it_said(command: list[str], wanted: str) -> None:
    text = fault(command)
    assert wanted in text
    assert text.startswith("s3vpce.yaml:12:3: vantage point `inside`: ")
    assert "\n" not in text
    assert "\033" not in text


@pytest.mark.parametrize("command", ["sleep 30", "trap '' TERM; sleep 30", "exec >&- 2>&-; sleep 30"])
def test_a_command_that_gives_no_answer_is_ended(command: str, tmp_path: Path) -> None:
    began = time.monotonic()
    text = fault(script(tmp_path, f"echo slow >&2; {command}"), limits=QUICK)
    assert "within 2 s" in text
    assert time.monotonic() - began < 8


def test_a_command_is_not_waited_for_once_the_run_ends(tmp_path: Path) -> None:
    ended = threading.Event()
    threading.Timer(0.3, ended.set).start()
    began = time.monotonic()
    assert fault(script(tmp_path, "echo $$ > pid; sleep 30"), ended=ended, folder=tmp_path) == TOLD_TO_END
    assert time.monotonic() - began < 1.3
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="utf-8")), 0)


def test_output_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_s3vpce.vantage.command._OUTPUT_LIMIT", 100_000)
    assert "command `yes` prints without end" in fault(["yes"])


def test_an_interpreter_that_quotes_the_program_gives_nothing_away(tmp_path: Path) -> None:
    text = fault(script(tmp_path, "head -c 2000 >&2; exit 1"))
    assert "ended with status 1" in text
    assert " ... " in text
    longest = max(text.split(), key=len)
    assert len(longest) < 100


def test_an_old_python_says_so() -> None:
    made = program.packed({"ping": True}, AgentConfig()).text.replace("(3, 8)", "(9, 9)")
    done = subprocess.run(PYTHON, input=made, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("the agent needs Python 3.8 or newer, and this is 3.")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("head -c 300", "the answer was cut off after"),
        ("tr ABCDEFG GFEDCBA", "the agent's answer was damaged on its way; keep other output out of it"),
    ],
)
def test_an_answer_that_did_not_come_over_whole_is_an_error(change: str, wanted: str, tmp_path: Path) -> None:
    vantage = make(script(tmp_path, f"{sys.executable} - | {change}"))
    with pytest.raises(VantageError, match=wanted):
        vantage.send([REQUEST] * 8)


def in_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str) -> None:
    path = tmp_path / "agent.py"
    path.write_text(source, encoding="utf-8")
    monkeypatch.setattr(agent, "__file__", str(path))


def test_a_failure_of_the_agent_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proxied = AgentConfig(proxy="socks://user:pass@h")
    with pytest.raises(VantageError, match="the agent failed there: the proxy must be an http:// address"):
        make(PYTHON, config=proxied).send([REQUEST])
    in_its_place(monkeypatch, tmp_path, "raise LookupError('5ec2e7')")
    text = fault(PYTHON)
    assert "the agent failed there: unexpected: LookupError" in text
    assert "5ec2e7" not in text


def test_something_else_in_the_agents_place_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_its_place(monkeypatch, tmp_path, "def _envelope():\n    return {'version': 0}\n")
    assert "what answered is not the agent that was sent" in fault(PYTHON)
    in_its_place(monkeypatch, tmp_path, "def _envelope():\n    return [AGENT]\n")
    assert "the agent's answer was damaged on its way" in fault(PYTHON)


def test_a_long_answer_is_kept_where_room_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    made = program.packed({"ping": True}, AgentConfig(), room=20)
    done = subprocess.run(PYTHON, input=made.text, capture_output=True, text=True, check=True)
    output = program.found(made, done.stdout)
    assert output is not None
    assert (len(output.text), output.whole) == (20, False)
    kept = Path(output.kept)
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert len(kept.read_text(encoding="utf-8")) == output.length
    assert program.unpacked(kept.read_text(encoding="utf-8"))["version"] == 1


class Own(program.ProgramVantage):
    """A kind of somebody else's."""

    def run(self, _program: str) -> str:
        if "gives" in self.settings:
            return self.settings["gives"]  # type: ignore[no-any-return]
        raise LookupError(self.settings["raises"])


def test_whatever_a_kind_of_anothers_raises_or_gives_is_one_error() -> None:
    with pytest.raises(VantageError, match="vantage point `own`: the program can't be run: LookupError: a b"):
        Own("own", settings={"raises": "a\nb"}).send([REQUEST])
    for given in (None, b"bytes", ""):
        with pytest.raises(VantageError, match="what ran there printed no answer of the agent"):
            Own("own", settings={"gives": given}).send([REQUEST])
    with pytest.raises(VantageError, match="the program can't be run: KeyError: 'raises'"):
        Own("own").prepare()


# --- a real sshd ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[list[str]]:
    with sshd(tmp_path) as command:
        yield command


def test_through_a_real_sshd_on_loopback(ssh: list[str]) -> None:
    vantage = make([*ssh, sys.executable, "-"])
    vantage.prepare()
    answers = vantage.send([REQUEST] * 200)
    assert {answer.failure for answer in answers} == {FailureKind.FORBIDDEN_HOST}
    assert "install Python 3.8 or newer there" in fault([*ssh, "s3vpce-no-such-python", "-"])
    refused = [part.replace("/own", "/host") for part in ssh]
    text = fault([*refused, sys.executable, "-"])
    assert "Permission denied" in text
    assert "ssh reports failures of its own with 255" in text


def test_the_carried_text_is_one_compressed_piece() -> None:
    batch = {"requests": [{"url": f"https://b.s3.amazonaws.com/{number}"} for number in range(1000)]}
    assert len(json.dumps(batch)) > 40_000
    made = program.packed(batch, AgentConfig()).text
    assert len(made) < 25_000
    assert "{{" not in made
    assert max(map(len, made.splitlines())) <= 121
    assert made[500:540] not in repr(program.packed(batch, AgentConfig()))
    assert "secret" not in repr(program.Output(text="secret", length=6, kept=""))
