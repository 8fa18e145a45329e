"""A role's session in a running lab, for commands that stand on an instance with that role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.client import RunningLab

_SESSION: Final = "s3vpce-lab"


def assume(running: RunningLab, role_arn: str) -> dict[str, str]:
    """The session's environment variables; LabError in STS's words where the role trusts nobody of its account.

    The account's own administrator role, `s3vpce-runner`, assumes it: root users may assume none.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    parts = role_arn.split(":")
    if len(parts) != 6 or not parts[5].startswith("role/"):
        raise LabError(f"`{role_arn}` is no role's ARN", remedy="give arn:aws:iam::ACCOUNT:role/NAME")
    owner = running.account_of(parts[4])
    runner = running.runners[parts[4]]
    keys = {"AccessKeyId": runner.access_key_id, "SecretAccessKey": runner.secret_access_key}
    try:
        for arn in dict.fromkeys((runner.role, role_arn)):
            asked = _sts(running, keys, region=owner.region).assume_role(RoleArn=arn, RoleSessionName=_SESSION)
            keys = asked["Credentials"]
    except (BotoCoreError, ClientError) as error:
        told = error.response["Error"] if isinstance(error, ClientError) else {}
        why = f"{told['Code']}: {told['Message']}" if told else str(error)
        raise LabError(f"role `{role_arn}` can't be assumed: {why}", remedy="let it trust its account") from error
    return {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }


def _sts(running: RunningLab, keys: Mapping[str, str], *, region: str) -> Any:
    import boto3
    from botocore.config import Config

    session: Any = boto3.Session(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        region_name=region,
    )
    return session.client(
        "sts",
        endpoint_url=running.urls["endpoint_url"],
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )
