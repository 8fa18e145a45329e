"""Kinds of principals: sessions with a policy and a name of their own, keys of the environment, presigned URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
