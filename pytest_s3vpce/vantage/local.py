"""The vantage point `local`: the agent in this process, so requests leave from this machine."""

from __future__ import annotations

from typing import Any

from pytest_s3vpce.vantage import agent
from pytest_s3vpce.vantage.base import AgentVantage


class LocalVantage(AgentVantage):
    """This machine. TLS trusts AWS_CA_BUNDLE or the system's store; no proxy unless the configuration names one."""

    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        try:
            return agent.handle(payload, self.config.as_json())
        except ValueError as error:
            raise self._error(str(error), remedy="correct the vantage point's configuration") from error
