"""What differs between AWS and a lab, and nothing else does: endpoint URLs, credentials, and where `local` stands."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pytest_s3vpce.connection import AccountKeys, Connection
from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab.origin import Internet
from pytest_s3vpce.probe import Credentials
from pytest_s3vpce.vantage.agent import HOSTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_NOWHERE: Final = "127.0.0.1:1"
"""Refuses connections: nobody listens at loopback's port 1."""
_REMEDY: Final = "`s3vpce lab --ready-file FILE` writes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """AWS itself by default; `from_ready_file` makes a lab's."""

    mode: str = "live"
    connection: Connection = field(default_factory=Connection)
    connect_to: tuple[str, ...] = ()
    """`host:port:address:port` as in curl: how `local` finds the lab under S3's real names."""
    loopback: bool = False
    """Whether agents may talk to loopback addresses: only where a lab is."""
    ca_bundle: str | None = None
    address: str | None = None
    """The public address of `local`, where it is known."""
    outputs: Mapping[str, Any] | None = None
    """What the lab's provisioning returned; None: the inventory's infrastructure file is read."""


def from_ready_file(path: Path) -> Environment:
    """The environment of a running lab; LabError where the file is not one that a lab wrote."""
    try:
        ready = json.loads(path.read_text(encoding="utf-8"))
        address = urlsplit(ready["endpoint_url"]).netloc
        return Environment(
            mode="lab",
            connection=Connection(
                endpoint_url=ready["https_endpoint_url"],
                ca_bundle=ready["ca_bundle"],
                keys={name: _keys(row) for name, row in ready["accounts"].items()},
                pauses=(),
            ),
            connect_to=_routes(address),
            loopback=True,
            ca_bundle=ready["ca_bundle"],
            address=Internet().address,
            outputs=ready.get("outputs") or {},
        )
    except OSError as error:
        raise LabError(f"the lab's ready file `{path}` can't be read: {error.strerror}", remedy=_REMEDY) from error
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"`{path}` is no lab's ready file", remedy=_REMEDY) from error


def _routes(address: str) -> tuple[str, ...]:
    """From the public internet every service is at the lab; interface endpoints are not, nor is anything on AWS's
    hosts' other ports: their names are public, but lead to private addresses.
    """
    inside = (f"*.vpce.{suffix}::{_NOWHERE}" for suffix in ("amazonaws.com", "amazonaws.com.cn"))
    served = (f"*:{port}:{address}" for port in (80, 443))
    return (*inside, *served, *(f"{pattern}::{_NOWHERE}" for pattern in HOSTS))


def _keys(row: Mapping[str, Any]) -> AccountKeys:
    runner = row["runner"]
    return AccountKeys(
        credentials=Credentials(access_key_id=runner["access_key_id"], secret_access_key=runner["secret_access_key"]),
        role=runner["role"],
    )
