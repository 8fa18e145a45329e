"""The agent as the zip file that a Lambda function is made of: the same bytes each time, on every machine."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Final

from pytest_s3vpce.vantage import agent

HANDLER: Final = "agent.handler"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip file can hold."""


def agent_zip() -> bytes:
    member = zipfile.ZipInfo("agent.py", date_time=_EPOCH)
    member.create_system = 3  # Unix, whatever this machine is
    member.external_attr = 0o644 << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, Path(agent.__file__).read_bytes())  # as it is: not every machine's zlib packs alike
    return packed.getvalue()
