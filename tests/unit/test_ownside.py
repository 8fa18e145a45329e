"""A role's own side and a bucket's openness, as far as they can be read: what can't is unknown, never empty."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from pytest_s3vpce.claims import PublicFacts
from pytest_s3vpce.openness import public_facts
from pytest_s3vpce.ownside import own_side
from pytest_s3vpce.policy import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = "arn:aws:iam::444455556666:role/path/partner"
MANAGED = "arn:aws:iam::444455556666:policy/managed"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
NAMED = {"RoleName": "partner"}
TIME = "2026-01-01T00:00:00Z"
BLOCK = {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "IgnorePublicAcls": False}}


class Client:
    """A client whose next answers are given."""

    def __init__(self, service: str) -> None:
        session: Any = boto3.Session(region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
        self.real: Any = session.client(service)
        self.stub = Stubber(self.real)
        self.stub.activate()

    def says(self, call: str, answer: dict[str, Any], given: dict[str, Any] | None = None) -> Client:
        self.stub.add_response(call, answer, given)
        return self

    def refuses(self, call: str, code: str = "AccessDenied") -> Client:
        self.stub.add_client_error(call, code)
        return self


@pytest.fixture
def iam() -> Iterator[Client]:
    client = Client("iam")
    yield client
    client.stub.assert_no_pending_responses()


def role(**more: Any) -> dict[str, Any]:
    return {
        "Role": {"Path": "/path/", "RoleName": "partner", "RoleId": "A" * 20, "Arn": ROLE, "CreateDate": TIME, **more}
    }


def managed(client: Client) -> None:
    client.says("get_policy", {"Policy": {"DefaultVersionId": "v2"}}, {"PolicyArn": MANAGED})
    version = {"PolicyArn": MANAGED, "VersionId": "v2"}
    client.says("get_policy_version", {"PolicyVersion": {"Document": POLICY}}, version)


def alone() -> Any:
    return Client("organizations").refuses("describe_organization", "AWSOrganizationsNotInUseException").real


def test_inline_and_attached_policies_and_the_boundary(iam: Client) -> None:
    iam.says("get_role", role(PermissionsBoundary={"PermissionsBoundaryArn": MANAGED}), NAMED)
    iam.says("list_role_policies", {"PolicyNames": ["one"]}, NAMED)
    iam.says("get_role_policy", {"RoleName": "partner", "PolicyName": "one", "PolicyDocument": POLICY})
    iam.says("list_attached_role_policies", {"AttachedPolicies": [{"PolicyArn": MANAGED}]}, NAMED)
    managed(iam)
    managed(iam)
    found = own_side(iam.real, alone(), ROLE)
    assert found is not None
    assert isinstance(found.identity, tuple)
    assert isinstance(found.permissions_boundary, tuple)
    assert [row.name for row in (*found.identity, *found.permissions_boundary)] == ["one", MANAGED, MANAGED]
    assert found.scps == ()


@pytest.mark.parametrize("call", ["get_role", "list_role_policies", "list_attached_role_policies"])
def test_what_may_not_be_read_leaves_all_unknown(iam: Client, call: str) -> None:
    for name, answer in (("get_role", role()), ("list_role_policies", {"PolicyNames": []})):
        if name == call:
            break
        iam.says(name, answer)
    iam.refuses(call)
    assert own_side(iam.real, alone(), ROLE) is None


def test_a_policy_that_nobody_understands_leaves_all_unknown(iam: Client) -> None:
    iam.says("get_role", role()).says("list_role_policies", {"PolicyNames": ["one"]})
    iam.says("get_role_policy", {"RoleName": "partner", "PolicyName": "one", "PolicyDocument": "[]"})
    assert own_side(iam.real, alone(), ROLE) is None


@pytest.mark.parametrize(("master", "scps"), [("444455556666", ()), ("111122223333", UNKNOWN)])
def test_scps_bind_all_but_the_management_account(iam: Client, master: str, scps: object) -> None:
    iam.says("get_role", role()).says("list_role_policies", {"PolicyNames": []})
    iam.says("list_attached_role_policies", {"AttachedPolicies": []})
    organizations = Client("organizations").says("describe_organization", {"Organization": {"MasterAccountId": master}})
    found = own_side(iam.real, organizations.real, ROLE)
    assert found is not None
    assert found.scps == scps


def test_an_organization_that_may_not_be_asked_for_leaves_scps_unknown(iam: Client) -> None:
    iam.says("get_role", role()).says("list_role_policies", {"PolicyNames": []})
    iam.says("list_attached_role_policies", {"AttachedPolicies": []})
    found = own_side(iam.real, Client("organizations").refuses("describe_organization").real, ROLE)
    assert found is not None
    assert found.scps is UNKNOWN


def openness(s3: Client, control: Client) -> PublicFacts:
    return public_facts(s3.real, control.real, bucket="reports", account_id="111122223333")


def test_bucket_and_account_add_up() -> None:
    s3 = Client("s3").says("get_bucket_policy_status", {"PolicyStatus": {"IsPublic": True}})
    s3.says("get_public_access_block", BLOCK).says("get_bucket_request_payment", {"Payer": "Requester"})
    s3.says("get_bucket_ownership_controls", {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}})
    other = {"PublicAccessBlockConfiguration": {"RestrictPublicBuckets": True}}
    found = openness(s3, Client("s3control").says("get_public_access_block", other))
    blocks = frozenset({"BlockPublicAcls", "RestrictPublicBuckets"})
    assert found == PublicFacts(policy_is_public=True, blocks=blocks, requesters_pay=True, acls=True)


def test_what_is_not_set_is_neither_public_nor_blocked() -> None:
    s3 = Client("s3").refuses("get_bucket_policy_status", "NoSuchBucketPolicy")
    s3.refuses("get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
    s3.says("get_bucket_request_payment", {"Payer": "BucketOwner"})
    s3.refuses("get_bucket_ownership_controls", "OwnershipControlsNotFoundError")
    control = Client("s3control").refuses("get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
    assert openness(s3, control) == PublicFacts(
        policy_is_public=False, blocks=frozenset(), requesters_pay=False, acls=True
    )


def test_acls_that_are_switched_off_do_not_count() -> None:
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3 = Client("s3").refuses("get_bucket_policy_status").refuses("get_public_access_block")
    s3.refuses("get_bucket_request_payment").says("get_bucket_ownership_controls", {"OwnershipControls": rules})
    assert openness(s3, Client("s3control").refuses("get_public_access_block")) == PublicFacts(acls=False)


def test_what_may_not_be_read_is_not_known() -> None:
    s3 = Client("s3").refuses("get_bucket_policy_status").says("get_public_access_block", BLOCK)
    assert openness(s3, Client("s3control").refuses("get_public_access_block")) == PublicFacts()


@pytest.mark.parametrize("said", [{}, {"PolicyStatus": {}}])
def test_an_answer_that_does_not_say_what_is_asked_is_none(said: dict[str, Any]) -> None:
    s3 = Client("s3").says("get_bucket_policy_status", said).says("get_public_access_block", BLOCK)
    s3.says("get_bucket_request_payment", {})
    found = openness(s3, Client("s3control").refuses("get_public_access_block"))
    assert (found.policy_is_public, found.requesters_pay) == (None, None)


class Cut:
    """A client without a way to AWS."""

    def __getattr__(self, name: str) -> Any:
        def call(**_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="https://aws.invalid")

        return call


def test_nobody_to_ask_is_no_answer(iam: Client) -> None:
    assert own_side(Cut(), Cut(), ROLE) is None
    assert public_facts(Cut(), Cut(), bucket="reports", account_id="111122223333") == PublicFacts()
    iam.says("get_role", role()).says("list_role_policies", {"PolicyNames": []})
    iam.says("list_attached_role_policies", {"AttachedPolicies": []})
    found = own_side(iam.real, Cut(), ROLE)
    assert found is not None
    assert found.scps is UNKNOWN
