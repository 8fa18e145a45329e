"""STS's answers, as documents."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from pytest_s3vpce.lab.keys import Minted

_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"


def answered(name: str, result: str) -> HttpResponse:
    request_id = str(uuid.uuid4())
    text = (
        f'<{name}Response xmlns="{_NAMESPACE}"><{name}Result>{result}</{name}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
    )
    headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
    return HttpResponse(status=200, headers=headers, body=text.encode())


def credentials(minted: Minted) -> str:
    text = elements(
        AccessKeyId=minted.access_key_id,
        SecretAccessKey=minted.secret_access_key,
        SessionToken=minted.session_token,
        Expiration=minted.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return f"<Credentials>{text}</Credentials>"


def packed(percent: int | None) -> str:
    return "" if percent is None else elements(PackedPolicySize=str(percent))


def elements(**values: str) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
