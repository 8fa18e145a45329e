"""Where the control plane is, with what keys, and how its clients ask: AWS itself, or a lab."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import botocore.loaders
from botocore.config import Config

from pytest_s3vpce.onename import UNPREFIXED, keep_to_one_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.probe import Credentials

_CONTROL: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=10,
    read_timeout=70,
    max_pool_connections=32,  # as many as threads ask at once: urllib3 warns of each one more
)


@cache
def models(data_path: str | None) -> Any:
    """Of services. It keeps what it has read, of which EC2's alone takes longer than most commands."""
    return botocore.loaders.create_loader(data_path)


def forget_models() -> None:
    """Of all that a run keeps they are the most objects, which pytest and Python, at their ends, go through again."""
    models.cache_clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKeys:
    """Keys that stand in for an account's profile, and the role to assume with them: what a lab hands out."""

    credentials: Credentials
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the control plane is and with what keys: AWS itself (all defaults), or a lab."""

    endpoint_url: str | None = None
    ca_bundle: str | None = None
    """Whose certificates the endpoint has; None: what boto3 trusts."""
    keys: Mapping[str, AccountKeys] = field(default_factory=dict)
    pauses: tuple[float, ...] = (2.0, 4.0, 8.0)
    """Seconds before a role that may not be assumed is tried again: IAM makes changes known in moments, a lab at once.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency"""

    def client(self, session: Any, service: str, *, region: str | None = None, config: Config | None = None) -> Any:
        """A client of a session there; botocore's own proxy settings and retries apply."""
        own = _CONTROL if config is None else _CONTROL.merge(config)
        if self.endpoint_url is None:
            return session.client(service, region_name=region, config=own, verify=self.ca_bundle)
        made = session.client(
            service,
            region_name=region,
            config=own.merge(UNPREFIXED),
            endpoint_url=self.endpoint_url,
            verify=self.ca_bundle,
        )
        keep_to_one_name(made.meta.events)
        return made
