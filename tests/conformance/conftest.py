"""One lab for all rules of a worker: accounts, clients of all kinds and raw requests, by the ready file alone."""

from __future__ import annotations

import http.client
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from pytest_s3vpce.lab.process import start_lab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REGION = "us-east-1"
ACCOUNTS = {"main": "111122223333", "alt": "444455556666", "tenant": "777788889999"}
LOADER = botocore.session.Session().get_component("data_loader")
"""Keeps what it has read of botocore's models."""
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Answer:
    """What came back for a raw request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error document; empty where there is none."""
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


@dataclass(frozen=True)
class Keys:
    """Somebody's credentials."""

    key: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass
class World:
    """A running lab, as an outside suite sees it."""

    ready_file: Path
    ready: Mapping[str, Any]
    pid: int
    _clients: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        found: str = self.ready["endpoint_url"]
        return found

    def root(self, account: str) -> Keys:
        row = self.ready["accounts"][account]
        return Keys(row["access_key_id"], row["secret_access_key"])

    def client(self, service: str, who: str | Keys | None = "main", **config: Any) -> Any:
        """A client of an account's root user, of other keys, or of nobody."""
        at = (service, who, tuple(sorted(config.items())))
        if at not in self._clients:
            self._clients[at] = self.fresh(service, who, **config)
        return self._clients[at]

    def secure(self, service: str, who: str | Keys | None = "main", **config: Any) -> Any:
        """The same over HTTPS."""
        return self.fresh(service, who, url=self.ready["https_endpoint_url"], **config)

    def fresh(self, service: str, who: str | Keys | None = "main", *, url: str | None = None, **config: Any) -> Any:
        """A client of one test's own, at any address."""
        keys = self.root(who) if isinstance(who, str) else who
        models = botocore.session.Session()
        models.register_component("data_loader", LOADER)
        session: Any = boto3.Session(
            botocore_session=models,
            aws_access_key_id=keys.key if keys else "",
            aws_secret_access_key=keys.secret if keys else "",
            aws_session_token=keys.token if keys else None,
            region_name=REGION,
        )
        settings: dict[str, Any] = {"retries": {"total_max_attempts": 1}, **config}
        if keys is None:
            settings["signature_version"] = UNSIGNED
        return session.client(
            service, endpoint_url=url or self.url, verify=self.ready["ca_bundle"], config=Config(**settings)
        )

    def bucket(self, *keys: str, account: str = "main", **parameters: Any) -> str:
        """A new bucket as AWS makes them, with objects whose content is their key."""
        name = self.name()
        s3 = self.client("s3", account)
        s3.create_bucket(Bucket=name, **parameters)
        for key in keys:
            s3.put_object(Bucket=name, Key=key, Body=key.encode())
        return name

    def open_bucket(self, *keys: str, account: str = "main", **parameters: Any) -> str:
        """One that takes public policies and ACLs."""
        parameters.setdefault("ObjectOwnership", "ObjectWriter")
        name = self.bucket(*keys, account=account, **parameters)
        self.client("s3", account).delete_public_access_block(Bucket=name)
        return name

    def name(self, prefix: str = "conformance") -> str:
        return f"{prefix}-{next(_NUMBERS)}"

    def policy(self, bucket: str, *statements: dict[str, Any], account: str = "main") -> None:
        self.client("s3", account).put_bucket_policy(Bucket=bucket, Policy=document(*statements))

    def user(self, *statements: dict[str, Any], account: str = "main") -> Keys:
        """A new user with an inline policy of these statements."""
        iam, name = self.client("iam", account), self.name("user")
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=document(*statements))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(made["AccessKeyId"], made["SecretAccessKey"])

    def raw(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = b""
    ) -> Answer:
        """A request exactly as given; a body of None has no Content-Length."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True, skip_host="Host" in (headers or {}))
            given = dict(headers or {})
            if body is not None and not {"Content-Length", "Transfer-Encoding"} & given.keys():
                given["Content-Length"] = str(len(body))
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def signed(
        self,
        method: str,
        target: str,
        *,
        who: str | Keys = "main",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        after: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """A request signed by version 4; `after` changes or takes away headers behind the signature's back."""
        keys = self.root(who) if isinstance(who, str) else who
        request = AWSRequest(method=method, url=self.url + target, data=body, headers=dict(headers or {}))
        S3SigV4Auth(Credentials(keys.key, keys.secret, keys.token), "s3", REGION).add_auth(request)
        sent = {name: str(value) for name, value in request.headers.items()}
        for name, value in (after or {}).items():
            sent = {other: kept for other, kept in sent.items() if other.lower() != name.lower()}
            if value is not None:
                sent[name] = value
        return self.raw(method, target, headers=sent, body=body)


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], *resources: str, **more: Any) -> dict[str, Any]:
    """A statement for everybody, unless it says for whom; resources are given by bucket and key."""
    named = [f"arn:aws:s3:::{resource}" for resource in resources]
    found = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": action, "Resource": named, **more}
    return {name: value for name, value in found.items() if value is not None}


def deny(action: str | list[str], *resources: str, **more: Any) -> dict[str, Any]:
    return allow(action, *resources, Effect="Deny", **more)


def of_identity(statement: dict[str, Any]) -> dict[str, Any]:
    """The same as an identity's policy says it: without a principal."""
    return {name: value for name, value in statement.items() if name != "Principal"}


def outcome(call: Any, **parameters: Any) -> tuple[int, str]:
    """Status and, where it is refused, the code."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        response: Any = error.response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], ""


DENIED = (403, "AccessDenied")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("conformance")
    ready_file = folder / "ready.json"
    accounts = {name: (number, REGION) for name, number in ACCOUNTS.items()}
    lab = start_lab(folder, accounts=accounts)
    try:
        yield World(ready_file, json.loads(ready_file.read_text(encoding="utf-8")), lab.pid)
    finally:
        lab.stop()
