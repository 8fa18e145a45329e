"""Runs a command, and ends it with all that it started once the other end of a pipe is gone: `leash.py FD COMMAND...`.

Run as a program, as the leader of a process group of its own; never imported by the lab.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading


def die_with(pipe: int) -> None:
    poll = select.poll()
    poll.register(pipe, 0)
    poll.poll()
    os.killpg(os.getpid(), signal.SIGKILL)


def main(pipe: int, command: list[str]) -> int:
    """The command's exit status, as a shell gives it."""
    threading.Thread(target=die_with, args=(pipe,), daemon=True).start()
    try:
        status = subprocess.call(command)  # noqa: S603 - the lab says which
    except OSError as failure:
        print(f"{command[0]}: {failure.strerror}", file=sys.stderr)  # noqa: T201 - for the log of the command
        return 127
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
