from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)

from pytest_s3vpce.credential_errors import translated
from pytest_s3vpce.errors import CredentialError
from pytest_s3vpce.model import Place

URL: dict[str, Any] = {"endpoint_url": "https://sts.eu-west-1.amazonaws.com/", "proxy_url": "http://proxy"}


def told(error: BotoCoreError | OSError) -> str:
    with pytest.raises(CredentialError) as caught, translated(profile="p", place=Place("s3vpce.yaml", 3, 3)):
        raise error
    return str(caught.value)


@pytest.mark.parametrize(
    "kind",
    [
        ReadTimeoutError,
        ConnectTimeoutError,
        ConnectionClosedError,
        EndpointConnectionError,
        ProxyConnectionError,
        SSLError,
    ],
)
def test_an_answer_that_does_not_come_is_the_networks_fault_and_no_profiles(kind: type[BotoCoreError]) -> None:
    """Several of these are OSErrors too."""
    text = told(kind(error="reset", **URL))
    assert text.startswith("s3vpce.yaml:3:3: AWS could not be asked: ")
    assert text.endswith("check the network and the Region")


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "no such program"), CredentialRetrievalError(provider="p", error_msg="no")]
)
def test_a_program_that_gives_no_keys_is_the_profiles_fault(error: BotoCoreError | OSError) -> None:
    assert "credentials in profile `p` can't be had" in told(error)
