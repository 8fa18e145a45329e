"""A real sshd on loopback, with keys and settings of its own."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def sshd(folder: Path) -> Iterator[list[str]]:
    """An ssh command to this machine, by a server of our own on loopback; a test is skipped where there can be none."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH server and client are installed")
    if os.getuid() == 0:
        _separate()
    for name in ("host", "own"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "motd").write_text("Welcome to this machine\n", encoding="utf-8")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "own.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "Banner": folder / "motd",
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([program, "-D", "-e", "-f", config], stderr=log)
        try:
            _await(port, daemon, folder / "log")
            yield [
                "ssh",
                *("-F", "none", "-p", str(port), "-i", str(folder / "own"), "-o", "BatchMode=yes"),
                *("-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={folder / 'known'}"),
                f"{getpass.getuser()}@127.0.0.1",
            ]
        finally:
            daemon.terminate()
            daemon.wait()


def _separate() -> None:
    """Root's sshd wants an empty folder, which the service makes where it runs; its package makes a user for it."""
    try:
        pwd.getpwnam("sshd")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    except (KeyError, OSError) as error:
        pytest.skip(f"sshd run by root has no place for its privilege separation: {error}")


def _await(port: int, daemon: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if daemon.poll() is not None:
            pytest.skip(f"sshd does not run here: {log.read_text(encoding='utf-8')[-200:]}")
        time.sleep(0.05)
    pytest.fail("sshd does not listen")
