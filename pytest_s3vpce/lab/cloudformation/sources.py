"""Where a request's template comes from: its own text, an object in S3, or the stack that is there.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from pytest_s3vpce.lab.cloudformation.faults import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def template_text(given: Mapping[str, str], *, client: Callable[[str], Any], before: str | None) -> str:
    if given.get("UsePreviousTemplate") == "true" and before is not None:
        return before
    if "TemplateURL" in given:
        return _stored(given["TemplateURL"], client)
    if "TemplateBody" in given:
        return given["TemplateBody"]
    raise invalid("Either Template URL or Template Body must be specified.")


def _stored(url: str, client: Callable[[str], Any]) -> str:
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
    bucket, dot, rest = host.partition(".s3")
    if not dot or not rest.endswith(("amazonaws.com", "amazonaws.com.cn")):
        bucket, _, path = path.partition("/")
    try:
        body: bytes = client("s3").get_object(Bucket=bucket, Key=path)["Body"].read()
    except ClientError as error:
        raise invalid(f"S3 error: {error.response['Error'].get('Message', '')}") from error
    return body.decode("utf-8", "replace")
