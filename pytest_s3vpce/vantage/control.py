"""The control plane of one account: boto3 clients for what a vantage point creates and removes."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from pytest_s3vpce.connection import Connection
from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.vantage.base import TOLD_TO_END

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

FAULTS: Final = (BotoCoreError, ClientError)
"""What a call to AWS raises when it does not succeed."""


class ControlPlane:
    """An account by its name in the inventory, its session, its Region, and where its services are reached.

    Clients are made once, under a lock, because a boto3 session is not made for several threads: share one per account.
    """

    def __init__(
        self,
        account: str,
        *,
        session: boto3.Session,
        region: str,
        connection: Connection | None = None,
    ) -> None:
        self.account = account
        self.region = region
        self._session = session
        self._connection = connection or Connection()
        self._lock = threading.Lock()
        self._owner: str | None = None
        self._clients: dict[tuple[str, str, Config | None], Any] = {}
        self._ended = threading.Event()

    def end(self) -> None:
        """Nobody waits any longer for what is being made: the run was told to end, and has it to remove."""
        self._ended.set()

    def pause(self, seconds: float) -> None:
        """Wait before asking again. VantageError as soon as the run ends."""
        if self._ended.wait(seconds):
            raise VantageError(TOLD_TO_END)

    def at(self, region: str) -> ControlPlane:
        """The same account in another Region."""
        other = copy.copy(self)
        other.region = region
        return other

    @property
    def owner(self) -> str:
        """The ARN of whoever makes things here, asked for once; it needs no right."""
        with self._lock:
            known = self._owner
        if known is None:
            known = str(self.client("sts").get_caller_identity()["Arn"])
            with self._lock:
                self._owner = known
        return known

    def client(self, service: str, *, region: str | None = None, config: Config | None = None) -> Any:
        key = (service, region or self.region, config)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._connection.client(self._session, service, region=key[1], config=config)
            return self._clients[key]


def code_of(error: Exception) -> str:
    """AWS's error code, or the kind of failure where no answer came."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else type(error).__name__


def words_of(error: Exception) -> str:
    """What AWS said, on one line: `Code: message`."""
    text = error.response["Error"].get("Message", "") if isinstance(error, ClientError) else str(error)
    return " ".join(f"{code_of(error)}: {text}".split())[:500]
