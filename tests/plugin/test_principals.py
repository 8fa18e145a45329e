"""Kinds of principals: sessions with a policy and a name of their own, keys of the environment, presigned URLs."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Example, SharedLab

_PRINCIPALS = """\
principals:
  narrow:    {role: "${out:AppRoleArn}", session_policy: narrow.json, session_name: auditor}
  link:      {presigned: {by: app, expires: 10m}}
  aged:      {presigned: {by: app, age: 1h, expires: 2h}}
  stale:     {presigned: {by: app, age: 2h, expires: 1h}}
  keys:      {keys: {access_key_id: TEST_KEY_ID, secret_access_key: TEST_SECRET}}
"""
_NARROW = """\
{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}
"""


@pytest.fixture
def many(example: Example, shared_lab: SharedLab, monkeypatch: pytest.MonkeyPatch) -> Example:
    example.replace("s3vpce.yaml", "principals:\n", _PRINCIPALS)
    (example.path / "narrow.json").write_text(_NARROW, encoding="utf-8")
    row = shared_lab.ready["accounts"]["main"]
    monkeypatch.setenv("TEST_KEY_ID", row["access_key_id"])
    monkeypatch.setenv("TEST_SECRET", row["secret_access_key"])
    for path in example.path.glob("test_*"):
        path.unlink()
    return example


def test_each_kind_signs_as_it_says(many: Example, in_lab: str) -> None:
    many.pytester.makepyfile(
        test_my_kinds="""
        import pytest
        from pytest_s3vpce.errors import ExpectationError

        def asked(s3vpce, action, principal, vantage="app-subnet"):
            return s3vpce.probe(action, bucket="reports", principal=principal, vantage=vantage)

        def test_a_session_policy_narrows(s3vpce):
            assert asked(s3vpce, "s3:GetObject", "app").allowed
            assert asked(s3vpce, "s3:GetObject", "narrow").allowed
            assert asked(s3vpce, "s3:ListBucket", "app").allowed
            listed = asked(s3vpce, "s3:ListBucket", "narrow")
            assert listed.denied and listed.layer == "session"

        def test_readings_hold_under_a_session_policy(s3vpce):
            # its session allows reading alone, so the claim is asked for that
            s3vpce.prove(
                "endpoint-only", bucket="reports", principals=["narrow"], endpoints=["${out:Endpoint}"],
                inside=["app-subnet"], outside=["internet"], actions=["s3:GetObject"],
            )

        def test_a_url_is_its_signers(s3vpce):
            assert asked(s3vpce, "s3:GetObject", "link").allowed
            assert asked(s3vpce, "s3:GetObject", "aged").allowed
            outside = asked(s3vpce, "s3:GetObject", "link", "internet")
            assert outside.denied and outside.layer == "resource"

        def test_a_url_past_its_age_is_no_denial_by_policy(s3vpce):
            assert asked(s3vpce, "s3:GetObject", "stale").inconclusive

        def test_keys_of_the_environment_sign(s3vpce):
            outside = asked(s3vpce, "s3:GetObject", "keys", "internet")
            assert outside.denied and outside.layer == "resource"

        def test_a_client_needs_keys(s3vpce):
            with pytest.raises(ExpectationError, match="`link` is a presigned URL"):
                s3vpce.client("s3", principal="link", vantage="internet")
        """
    )
    result = many.run(in_lab)
    result.assert_outcomes(passed=6)


def test_a_variable_that_is_not_set_is_one_error(many: Example, in_lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_SECRET")
    many.pytester.makepyfile(
        test_my_kinds="""
        def test_keys(s3vpce):
            found = s3vpce.probe("s3:GetObject", bucket="reports", principal="keys", vantage="internet")
            assert found.allowed, found.reason
        """
    )
    result = many.run(in_lab)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*environment variable `TEST_SECRET` is not set*"])


@pytest.fixture
def container(many: Example, shared_lab: SharedLab) -> Iterator[str]:
    """Where a container's credentials are, those of `app`, for who has the token."""
    runner = shared_lab.ready["accounts"]["main"]["runner"]
    keys = {"AccessKeyId": runner["access_key_id"], "SecretAccessKey": runner["secret_access_key"]}
    for role in (runner["role"], shared_lab.ready["outputs"]["AppRoleArn"]):
        sts: Any = boto3.client(
            "sts",
            region_name="eu-west-1",
            endpoint_url=shared_lab.ready["endpoint_url"],
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
        )
        keys = sts.assume_role(RoleArn=role, RoleSessionName="task")["Credentials"]
    answer = {"AccessKeyId": keys["AccessKeyId"], "SecretAccessKey": keys["SecretAccessKey"]}
    text = json.dumps({**answer, "Token": keys["SessionToken"], "Expiration": "2099-01-01T00:00:00Z"}).encode()
    (many.path / "token").write_text("of the pod", encoding="utf-8")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Authorization"] == "of the pod" else 403)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/credentials"
        server.shutdown()


def test_a_containers_credentials_sign_where_a_command_leads(many: Example, in_lab: str, container: str) -> None:
    unset = [word for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") for word in ("-u", name)]
    given = [
        f"AWS_CONTAINER_CREDENTIALS_FULL_URI={container}",
        f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={many.path / 'token'}",
    ]
    command = json.dumps(["env", *unset, *given, sys.executable, "-"])
    many.replace("s3vpce.yaml", "vantage_points:\n", f"vantage_points:\n  pod: {{command: {command}}}\n")
    many.replace("s3vpce.yaml", "principals:\n", "principals:\n  own: {ambient: true}\n")
    many.pytester.makepyfile(
        test_my_kinds="""
        import pytest
        from botocore.exceptions import ClientError
        from pytest_s3vpce.errors import ExpectationError

        def test_probed(s3vpce):
            found = s3vpce.probe("s3:GetObject", bucket="reports", principal="own", vantage="pod")
            assert found.denied and found.layer == "resource"
            assert ":assumed-role/app/task is not authorized" in found.message

        def test_by_boto3(s3vpce):
            s3 = s3vpce.client("s3", principal="own", vantage="pod")
            with pytest.raises(ClientError, match=":assumed-role/app/task is not authorized"):
                s3.get_object(Bucket=s3vpce.bucket("reports").name, Key="k")

        def test_not_here(s3vpce):
            with pytest.raises(ExpectationError, match="`internet` is this machine, which has no role"):
                s3vpce.probe("s3:GetObject", bucket="reports", principal="own", vantage="internet")
        """
    )
    many.run(in_lab).assert_outcomes(passed=3)
