"""Environment variables that lead a program to the lab: for people to copy, and for commands that the lab's own run."""

from __future__ import annotations

import os
import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.provisioning import AccountSession

_BUNDLES: Final = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_OWN: Final = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
"""The command's own machine is none of the network's business."""
_REMOVED: Final = frozenset({"ALL_PROXY", "NO_PROXY", "SSL_CERT_DIR", *(name.upper() for name in _PROXIES)})


class Via(StrEnum):
    """How a command reaches the lab: under AWS's own names through a proxy, or at an address in their place."""

    PROXY = "proxy"
    ENDPOINT = "endpoint"


def of_command(
    inherited: Mapping[str, str],
    *,
    urls: Mapping[str, str],
    ca_bundle: str,
    keys: AccountSession,
    via: Via = Via.PROXY,
) -> dict[str, str]:
    """A command's whole environment: nothing in it leads to the user's own AWS accounts, nor round the lab."""
    kept = {
        name: value for name, value in inherited.items() if not name.startswith("AWS_") and name.upper() not in _REMOVED
    }
    return {
        **kept,
        **credentials(keys),
        **dict.fromkeys(_BUNDLES, ca_bundle),
        **_way(urls, via=via),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def credentials(keys: AccountSession) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": keys.region,
        "AWS_DEFAULT_REGION": keys.region,
    }


def _way(urls: Mapping[str, str], *, via: Via) -> dict[str, str]:
    if via is Via.ENDPOINT:
        return {"AWS_ENDPOINT_URL": urls["https_endpoint_url"], **_OWN}
    return {**dict.fromkeys(_PROXIES, urls["proxy_url"]), **_OWN}


def exports(variables: Mapping[str, str]) -> list[str]:
    """Lines for a shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
