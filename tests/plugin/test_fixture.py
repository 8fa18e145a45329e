"""The `s3vpce` fixture: `probe`, `prove`, `bucket`, and what they say where something is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab


def test_without_a_mode_the_fixture_errors_and_says_how_to_give_one(example: Example) -> None:
    result = example.run("test_reports.py")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*access tests need a mode: --s3vpce-lab *--s3vpce-live *"])
    result.stdout.no_fnmatch_line("*plugin.py*")


def test_the_example_in_python_passes_and_its_claim_is_reported(
    example: Example, shared_lab: SharedLab, in_lab: str
) -> None:
    result = example.run(in_lab, "test_reports.py")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*proven  tls-only/reports*"])
    assert shared_lab.functions() == shared_lab.roles() == set()
    assert not example.run_folders


def test_names_that_are_not_declared_are_told(example: Example, in_lab: str) -> None:
    example.pytester.makepyfile(
        test_names="""
        import pytest
        from pytest_s3vpce.errors import ExpectationError

        GOOD = {"bucket": "reports", "principal": "anonymous", "vantage": "internet"}

        @pytest.mark.parametrize("name", ["bucket", "principal", "vantage"])
        def test_probe(s3vpce, name):
            with pytest.raises(ExpectationError, match="`moon`"):
                s3vpce.probe("s3:GetObject", **{**GOOD, name: "moon"})

        @pytest.mark.parametrize("action", ["s3:GetObjekt", "GetObjekt", "ec2:RunInstances"])
        def test_action(s3vpce, action):
            with pytest.raises(ExpectationError) as caught:
                s3vpce.probe(action, **GOOD)
            assert f"`{action}`" in str(caught.value)
            assert "test_names.py:" in str(caught.value)

        def test_transport(s3vpce):
            with pytest.raises(ExpectationError, match="`gopher`"):
                s3vpce.probe("s3:GetObject", transport="gopher", **GOOD)

        def test_kind(s3vpce):
            with pytest.raises(ExpectationError, match="`endpoint-olny`"):
                s3vpce.prove("endpoint-olny", bucket="reports")

        def test_field(s3vpce):
            with pytest.raises(ExpectationError, match="`bukket`"):
                s3vpce.prove("tls-only", bukket="reports", principal="app", at="app-subnet")

        def test_missing_field(s3vpce):
            with pytest.raises(ExpectationError, match="bucket"):
                s3vpce.prove("tls-only", principal="app", at="app-subnet")

        def test_bucket(s3vpce):
            with pytest.raises(ExpectationError, match="unknown bucket `moon`; declared are reports"):
                s3vpce.bucket("moon")
        """
    )
    result = example.run(in_lab, "test_names.py")
    result.assert_outcomes(passed=11)
    assert not example.run_folders


def test_an_outcome_carries_layer_code_and_message(example: Example, in_lab: str) -> None:
    example.pytester.makepyfile(
        test_my_outcome="""
        def test_denied(s3vpce):
            outcome = s3vpce.probe("s3:GetObject", bucket="reports", principal="app", vantage="internet")
            assert outcome.denied and not outcome.allowed and not outcome.unreachable and not outcome.inconclusive
            assert (outcome.layer, outcome.code, outcome.explicit) == ("resource", "AccessDenied", True)
            assert "explicit deny in a resource-based policy" in outcome.message

        def test_operation_by_name(s3vpce):
            assert s3vpce.probe("HeadObject", bucket="reports", principal="app", vantage="internet").denied

        def test_bucket(s3vpce):
            bucket = s3vpce.bucket("reports")
            assert bucket.name == "reports-111122223333"
            assert (bucket.account_id, bucket.region, bucket.canary) == ("111122223333", "eu-west-1", ".s3vpce/canary")
        """
    )
    result = example.run(in_lab, "test_my_outcome.py")
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*was measured*")  # it was, and the tests judge it themselves


def test_writes_are_probed_where_another_reads_the_canary_and_reads_need_none(example: Example, in_lab: str) -> None:
    """The expectation files say who may read it."""
    example.pytester.makepyfile(
        test_outside="""
        def test_denied(s3vpce):
            for action in ("s3:PutObject", "s3:GetObject"):
                outside = s3vpce.probe(action, bucket="reports", principal="app", vantage="internet")
                assert outside.denied, outside.reason
                assert outside.layer == "resource"
        """
    )
    result = example.run(in_lab, "test_outside.py")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*was not read*")


def test_a_claim_that_is_not_proven_fails_with_its_sentence_and_no_frames_of_ours(
    example: Example, in_lab: str
) -> None:
    example.pytester.makepyfile(
        test_claim="""
        def test_granted_from_the_internet(s3vpce):
            s3vpce.prove(
                "cross-account",
                bucket="reports",
                granted=["partner:internet"],
                refused=["partner:nat-subnet"],
                actions=["s3:GetObject"],
            )
        """
    )
    result = example.run(in_lab, "test_claim.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*NotProven: refuted: *partner:internet*", "*declared: *test_claim.py:2*"])
    result.stdout.no_fnmatch_line("*pytest_s3vpce/run/fixture.py*")


def test_a_place_that_is_not_there_is_told_by_its_own_reason(example: Example, in_lab: str) -> None:
    example.replace("s3vpce.yaml", "  internet:    local", "  internet: {command: [s3vpce-no-such-command]}")
    gone = """\
principals:
  elsewhere: {role: "${env:S3VPCE_NOT_SET}"}
  gone: {role: "arn:aws:iam::111122223333:role/app", external_id: "${env:S3VPCE_NOT_SET}"}
"""
    example.replace("s3vpce.yaml", "principals:\n", gone)
    result = example.run(in_lab, "-k", "GetObject and app: and internet")
    result.assert_outcomes(failed=1)
    text = result.stdout.str().partition("\nnotes\n")[2]
    assert text.startswith("  internet: ")
    assert "`s3vpce-no-such-command`" in text
    assert "S3VPCE_NOT_SET" not in text


def test_a_wrong_inventory_is_a_short_error_of_the_test(example: Example, in_lab: str) -> None:
    example.replace("s3vpce.yaml", "partner:   {role", "partner:   {rolle")
    result = example.run(in_lab, "test_reports.py", "-k", "bucket")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*s3vpce.yaml:11:*`rolle`*"])
    result.stdout.no_fnmatch_line("*pytest_s3vpce/run/*")
