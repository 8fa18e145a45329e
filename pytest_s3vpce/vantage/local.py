"""The vantage point `local`: the agent in this process, so requests leave from this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_s3vpce.vantage import agent
from pytest_s3vpce.vantage.base import AgentVantage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_s3vpce.model import SignedRequest


class LocalVantage(AgentVantage):
    """This machine. TLS trusts AWS_CA_BUNDLE or the system's store; no proxy unless the configuration names one."""

    kind = "local"

    def _deadline(self, batch: Sequence[SignedRequest]) -> float:
        """Nothing here ends a batch that takes long: a client may give its request more time."""
        own = [(row.connect_timeout or 0) + (row.read_timeout or 0) for row in batch]
        return max([self.limits.deadline, *own])

    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        try:
            return agent.handle(payload, self.config.as_json())
        except ValueError as error:
            raise self.error(str(error), remedy="correct the vantage point's configuration") from error
