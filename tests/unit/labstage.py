"""The lab's gateway without sockets: real boto3 clients whose signed requests are handed to it, from any origin."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from pytest_s3vpce.lab.compute import InvokeResult
from pytest_s3vpce.lab.delays import Delays
from pytest_s3vpce.lab.gateway import Gateway
from pytest_s3vpce.lab.keys import Keys
from pytest_s3vpce.lab.onuse import OnUse
from pytest_s3vpce.lab.origin import Internet, Placement
from pytest_s3vpce.lab.state import State
from pytest_s3vpce.lab.wire import HttpRequest

if TYPE_CHECKING:
    from pytest_s3vpce.lab.origin import Origin

REGION = "us-east-1"
INTERNET = Internet()
LOADER = botocore.session.Session().get_component("data_loader")
"""Keeps what it has read of botocore's models: half of a test's time, if each client had its own."""
ROOT_KEYS = ("AKIAROOTOFTHELAB0000", "root-secret")


class Functions:
    """Stands for the workers: answers what it was told to."""

    def __init__(self) -> None:
        self.result = InvokeResult(status=200, payload=b'"done"', function_error=None, log_tail=b"said")
        self.invoked: list[tuple[str, bytes, Placement | None]] = []
        self.forgotten: list[str] = []

    def invoke(self, function: Any, *, payload: bytes, placement: Placement | None) -> InvokeResult:
        self.invoked.append((function.name, payload, placement))
        return self.result

    def forget(self, arn: str) -> None:
        self.forgotten.append(arn)


class Stage:
    """Some accounts behind a gateway. Account ids are the test module's own: the state is one for all modules."""

    def __init__(self, *accounts: str) -> None:
        self.state = State()
        self.state.load()
        self.keys = Keys(self.state)
        self.functions = Functions()
        self.notes: list[dict[str, Any]] = []
        functions: Any = OnUse(lambda: self.functions)
        self.gateway = Gateway(
            self.state, keys=self.keys, functions=functions, log=self._note, delays=Delays(records=0.02)
        )
        self._people: dict[str, Person] = {}
        for number, account in enumerate(accounts):
            key = f"{ROOT_KEYS[0][:-1]}{number}"
            self.keys.add_root(key, ROOT_KEYS[1], account=account, partition="aws")
            self._people[f"root:{account}"] = Person(self, key, ROOT_KEYS[1])
            runner = self.state.make_account(account, REGION)
            self._people[f"user:{account}"] = Person(self, runner.access_key_id, runner.secret_access_key)

    def _note(self, note: Any) -> None:
        self.notes.append(dict(note))

    def root(self, account: str) -> Person:
        return self._people[f"root:{account}"]

    def user(self, account: str) -> Person:
        return self._people[f"user:{account}"]

    def admin(self, account: str) -> Person:
        return self.user(account).assume(f"arn:aws:iam::{account}:role/s3vpce-runner")


@dataclass(frozen=True)
class Person:
    """Somebody with keys."""

    stage: Stage
    key: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    def client(
        self,
        service: str,
        *,
        origin: Origin = INTERNET,
        region: str = REGION,
        url: str | None = None,
        **config: Any,
    ) -> Any:
        models = botocore.session.Session()
        models.register_component("data_loader", LOADER)
        session: Any = boto3.Session(
            botocore_session=models,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            aws_session_token=self.token,
            region_name=region,
        )
        settings: dict[str, Any] = {"retries": {"total_max_attempts": 1}, **config}
        client = session.client(service, endpoint_url=url, config=Config(**settings))

        def send(request: Any, **_: object) -> Any:
            return answered(self.stage, request, origin=origin)

        client.meta.events.register("before-send.*", send)
        return client

    def assume(self, role: str, *, session_name: str = "test", **parameters: Any) -> Person:
        sts = self.client("sts")
        keys = sts.assume_role(RoleArn=role, RoleSessionName=session_name, **parameters)["Credentials"]
        return Person(self.stage, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def answered(stage: Stage, request: Any, *, origin: Origin) -> Any:
    """What the gateway answers to a request of botocore's, as botocore's response."""
    parts = urlsplit(request.url)
    body = request.body or b""
    body = body.read() if hasattr(body, "read") else body
    headers = {"Host": parts.netloc} | {
        name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
    }
    answer = stage.gateway.handle(
        HttpRequest(
            method=request.method,
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            headers=tuple(headers.items()),
            body=body.encode() if isinstance(body, str) else bytes(body),
            host=parts.netloc,
            scheme="https" if parts.scheme == "https" else "http",
            tls="TLSv1.3" if parts.scheme == "https" else None,
            origin=origin,
            peer="127.0.0.1:1",
        )
    )
    named: Any = {key.lower(): value for key, value in answer.headers}
    made: Any = AWSResponse(request.url, answer.status, named, io.BytesIO(answer.body))
    made._content = answer.body
    return made


def refusal(call: Any, **parameters: Any) -> tuple[int, str, str]:
    """Status, code and message of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error.get("Message", "")


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def make_role(person: Person, name: str, *statements: dict[str, Any], trust: Any, **more: Any) -> str:
    """A role with these inline statements; `trust` is its Principal, or a whole statement."""
    iam = person.client("iam")
    whole = trust if "Effect" in trust else {"Effect": "Allow", "Principal": trust, "Action": "sts:AssumeRole"}
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(whole), **more)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy(*statements))
    return arn
