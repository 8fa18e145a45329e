"""STS's answers, as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab import queryprotocol
from pytest_s3vpce.markup import elements

if TYPE_CHECKING:
    from pytest_s3vpce.lab.keys import Minted
    from pytest_s3vpce.lab.wire import HttpResponse

_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"


def answered(name: str, result: str) -> HttpResponse:
    return queryprotocol.answered(name, result, namespace=_NAMESPACE)


def credentials(minted: Minted) -> str:
    text = elements(
        AccessKeyId=minted.access_key_id,
        SecretAccessKey=minted.secret_access_key,
        SessionToken=minted.session_token,
        Expiration=minted.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return f"<Credentials>{text}</Credentials>"


def assumed(minted: Minted) -> str:
    """A role's session: its keys, and who it is."""
    user = elements(AssumedRoleId=minted.caller.userid or "", Arn=minted.caller.arn)
    return f"{credentials(minted)}<AssumedRoleUser>{user}</AssumedRoleUser>"


def packed(percent: int | None) -> str:
    return "" if percent is None else elements(PackedPolicySize=str(percent))
