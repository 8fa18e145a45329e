"""Who calibrates a lab: its clients, and the rights that docs/calibration.md names as its one policy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import boto3

PAGE: Final = (Path(__file__).parent.parent.parent / "docs" / "calibration.md").read_text(encoding="utf-8")
RUNNER: Final = "s3vpce-runner"
_ACTIONS: Final = re.compile(r"`((?:iam|sts|ec2|s3|lambda):[A-Z][A-Za-z]*)`")
_NAMED: Final = [
    "arn:aws:s3:::s3vpce-*",
    "arn:aws:s3:*:*:accesspoint/s3vpce-*",
]
_ROLES: Final = "arn:aws:iam::*:role/s3vpce-*"


def client(ready: Path, service: str, *, account: str = "scratch", region: str = "eu-west-1") -> Any:
    """Of an account's root, by the lab's ready file."""
    row = json.loads(ready.read_text(encoding="utf-8"))
    keys = row["accounts"][account]
    session: Any = boto3.Session(
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        region_name=region,
    )
    return session.client(service, endpoint_url=row["endpoint_url"])


def restrict(iam: Any) -> None:
    """The account's administrator may do what the page says, and nothing else."""
    actions = sorted({*_ACTIONS.findall(PAGE)})
    of_roles = [name for name in actions if name.startswith(("iam:", "sts:"))]
    rows = [
        {"Effect": "Allow", "Action": "s3:*", "Resource": _NAMED},
        {"Effect": "Allow", "Action": of_roles, "Resource": _ROLES},
        {"Effect": "Allow", "Action": [name for name in actions if name not in of_roles], "Resource": "*"},
    ]
    iam.detach_role_policy(RoleName=RUNNER, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    policy = json.dumps({"Version": "2012-10-17", "Statement": rows})
    iam.put_role_policy(RoleName=RUNNER, PolicyName="page", PolicyDocument=policy)
