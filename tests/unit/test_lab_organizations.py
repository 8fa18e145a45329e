"""Organizations: service control and resource control policies at every level, who is exempt, what denials say.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html and
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab.organizations import enroll
from tests.unit.labstage import Person, Stage, allow, deny, make_role, policy, refusal

MANAGEMENT, OUTSIDE, INVITED = "310000000021", "310000000022", "310000000023"
ROLE = "OrganizationAccountAccessRole"
FULL = "p-FullAWSAccess"
SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"


@dataclass
class World:
    """An organization: root, a unit in a unit, a member account in the inner one."""

    stage: Stage
    organizations: Any
    id: str
    root: str
    outer: str
    inner: str
    member: str
    attached: list[tuple[str, str]] = field(default_factory=list)

    @property
    def admin(self) -> Person:
        """The member's administrator, by the role that CreateAccount made."""
        manager = self.stage.admin(MANAGEMENT)
        return manager.assume(f"arn:aws:iam::{self.member}:role/{ROLE}")

    def attach(self, kind: str, target: str, *statements: dict[str, Any]) -> str:
        name = f"policy-{len(self.attached)}-{id(statements)}"
        made = self.organizations.create_policy(Content=policy(*statements), Description="", Name=name, Type=kind)
        found = made["Policy"]["PolicySummary"]
        self.organizations.attach_policy(PolicyId=found["Id"], TargetId=target)
        self.attached.append((found["Id"], target))
        arn: str = found["Arn"]
        return arn

    def clear(self) -> None:
        for policy_id, target in self.attached:
            self.organizations.detach_policy(PolicyId=policy_id, TargetId=target)
        self.attached.clear()


@pytest.fixture(scope="module")
def whole() -> World:
    stage = Stage(MANAGEMENT, OUTSIDE, INVITED)
    organizations = stage.admin(MANAGEMENT).client("organizations")
    found = organizations.create_organization(FeatureSet="ALL")["Organization"]
    root = organizations.list_roots()["Roots"][0]["Id"]
    for kind in (SCP, RCP):
        organizations.enable_policy_type(RootId=root, PolicyType=kind)
    outer = organizations.create_organizational_unit(ParentId=root, Name="outer")["OrganizationalUnit"]["Id"]
    inner = organizations.create_organizational_unit(ParentId=outer, Name="inner")["OrganizationalUnit"]["Id"]
    made = organizations.create_account(AccountName="member", Email="m@example.com")["CreateAccountStatus"]
    member = made["AccountId"]
    organizations.move_account(AccountId=member, SourceParentId=root, DestinationParentId=inner)
    world = World(stage, organizations, found["Id"], root, outer, inner, member)
    for person, bucket in ((world.admin, "lab-orgs-member"), (stage.admin(MANAGEMENT), "lab-orgs-management")):
        s3 = person.client("s3")
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    return world


@pytest.fixture
def world(whole: World) -> Any:
    yield whole
    whole.clear()


def read(person: Person, bucket: str = "lab-orgs-member") -> Any:
    return person.client("s3").get_object(Bucket=bucket, Key="k")


def denial(person: Person, bucket: str = "lab-orgs-member") -> str:
    status, code, message = refusal(person.client("s3").get_object, Bucket=bucket, Key="k")
    assert (status, code) == (403, "AccessDenied")
    return message


def test_a_new_member_is_administered_from_the_management_account_only(world: World) -> None:
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_access-cross-account-role.html"""
    arn = f"arn:aws:iam::{world.member}:role/{ROLE}"
    assert world.admin.client("iam").get_role(RoleName=ROLE)["Role"]["Arn"] == arn
    attached = world.admin.client("iam").list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
    assert [row["PolicyName"] for row in attached] == ["AdministratorAccess"]
    outsider = world.stage.admin(OUTSIDE).client("sts")
    assert refusal(outsider.assume_role, RoleArn=arn, RoleSessionName="no")[:2] == (403, "AccessDenied")
    named = world.organizations.create_account(AccountName="b", Email="b@example.com", RoleName="Way")
    other = named["CreateAccountStatus"]["AccountId"]
    assert world.stage.admin(MANAGEMENT).assume(f"arn:aws:iam::{other}:role/Way").token


@pytest.mark.parametrize("level", ["root", "outer", "inner", "member"])
def test_an_scp_denies_at_every_level(world: World, level: str) -> None:
    person = world.admin
    arn = world.attach(SCP, getattr(world, level), deny("s3:GetObject"))
    caller = f"arn:aws:sts::{world.member}:assumed-role/{ROLE}/test"
    assert denial(person) == (
        f"User: {caller} is not authorized to perform: s3:GetObject on resource: "
        f'"arn:aws:s3:::lab-orgs-member/k" with an explicit deny in a service control policy: {arn}'
    )
    world.clear()
    assert read(person)


@pytest.mark.parametrize("level", ["outer", "inner", "member"])
def test_every_level_must_allow(world: World, level: str) -> None:
    person, target = world.admin, getattr(world, level)
    world.attach(SCP, target, allow("s3:List*"))
    world.organizations.detach_policy(PolicyId=FULL, TargetId=target)
    try:
        assert denial(person).endswith("because no service control policy allows the s3:GetObject action")
    finally:
        world.organizations.attach_policy(PolicyId=FULL, TargetId=target)
    assert read(person)


def test_an_scp_binds_root_and_sts_but_not_the_management_account(world: World) -> None:
    world.stage.keys.add_root("AKIAMEMBERROOT000000", "secret", account=world.member, partition="aws")
    root = Person(world.stage, "AKIAMEMBERROOT000000", "secret")
    assert read(root)
    role = make_role(world.admin, "target", allow("*"), trust={"AWS": world.member})
    world.attach(SCP, world.root, deny(["s3:GetObject", "sts:AssumeRole"]))
    assert "in a service control policy" in denial(root)
    assert read(world.stage.admin(MANAGEMENT), "lab-orgs-management")
    message = refusal(world.admin.client("sts").assume_role, RoleArn=role, RoleSessionName="no")[2]
    assert "sts:AssumeRole" in message
    assert "with an explicit deny in a service control policy: arn:aws:organizations" in message


def test_an_scp_does_not_bind_others_principals(world: World) -> None:
    grant = allow("s3:GetObject", "arn:aws:s3:::lab-orgs-member/*", Principal={"AWS": OUTSIDE})
    world.admin.client("s3").put_bucket_policy(Bucket="lab-orgs-member", Policy=policy(grant))
    world.attach(SCP, world.member, deny("s3:*"))
    outsider = world.stage.admin(OUTSIDE)
    assert read(outsider)
    # An RCP does, and tells them nothing.
    world.attach(RCP, world.inner, deny("s3:GetObject", Principal="*"))
    assert denial(outsider) == "Access Denied"
    world.clear()
    world.admin.client("s3").delete_bucket_policy(Bucket="lab-orgs-member")


@pytest.mark.parametrize("level", ["root", "outer", "inner", "member"])
def test_an_rcp_denies_at_every_level(world: World, level: str) -> None:
    person = world.admin
    arn = world.attach(RCP, getattr(world, level), deny("s3:GetObject", Principal="*"))
    assert denial(person).endswith(f"with an explicit deny in a resource control policy: {arn}")
    world.clear()
    assert read(person)


def test_rcps_do_not_protect_the_management_accounts_buckets(world: World) -> None:
    world.attach(RCP, world.root, deny("s3:*", Principal="*"))
    assert read(world.stage.admin(MANAGEMENT), "lab-orgs-management")


def test_rcps_bind_the_management_accounts_principals_at_members_buckets(world: World) -> None:
    grant = allow("s3:GetObject", "arn:aws:s3:::lab-orgs-member/*", Principal={"AWS": MANAGEMENT})
    world.admin.client("s3").put_bucket_policy(Bucket="lab-orgs-member", Policy=policy(grant))
    manager = world.stage.admin(MANAGEMENT)
    assert read(manager)
    world.attach(RCP, world.root, deny("s3:GetObject", Principal="*"))
    # Within one organization the reason is told across accounts.
    assert "in a resource control policy" in denial(manager)
    world.clear()
    world.admin.client("s3").delete_bucket_policy(Bucket="lab-orgs-member")


def test_organization_keys_say_where_both_stand(world: World) -> None:
    path = f"{world.id}/{world.root}/{world.outer}/{world.inner}/"

    def holds(condition: dict[str, Any]) -> bool:
        text = policy(allow("*"), deny("*", Condition=condition))
        arn = f"arn:aws:iam::{world.member}:role/{ROLE}"
        s3 = world.stage.admin(MANAGEMENT).assume(arn, Policy=text).client("s3")
        try:
            s3.get_object(Bucket="lab-orgs-member", Key="k")
        except s3.exceptions.ClientError:
            return True
        return False

    for side in ("Principal", "Resource"):
        assert holds({"StringEquals": {f"aws:{side}OrgID": world.id}})
        assert not holds({"StringNotEquals": {f"aws:{side}OrgID": world.id}})
        assert holds({"ForAnyValue:StringEquals": {f"aws:{side}OrgPaths": path}})
        assert holds({"ForAnyValue:StringLike": {f"aws:{side}OrgPaths": f"{world.id}/*/{world.inner}/*"}})
    assert holds({"Null": {"aws:VpceOrgID": "true"}})


def test_without_an_organization_the_keys_are_absent(world: World) -> None:
    role = f"arn:aws:iam::{OUTSIDE}:role/s3vpce-runner"
    s3 = world.stage.admin(OUTSIDE).client("s3")
    s3.create_bucket(Bucket="lab-orgs-outside")
    s3.put_object(Bucket="lab-orgs-outside", Key="k", Body=b"")
    absent = {"Null": {"aws:PrincipalOrgID": "false"}}
    person = world.stage.user(OUTSIDE).assume(role, Policy=policy(allow("*"), deny("*", Condition=absent)))
    assert read(person, "lab-orgs-outside")


def test_an_invited_account_is_a_member_too(world: World) -> None:
    state = world.stage.state
    backends = state.backends("organizations")
    assert state.membership(INVITED) is None
    enroll(backends, INVITED, management_account=MANAGEMENT, name="invited", parent=world.outer)
    found = state.membership(INVITED)
    assert found is not None
    assert (found.organization, found.path) == (world.id, f"{world.id}/{world.root}/{world.outer}/")
    assert not found.is_management
    assert [json.loads(level[0][1])["Statement"][0]["Effect"] for level in found.scps] == ["Allow"] * 3
    listed = {row["Id"]: row for row in world.organizations.list_accounts()["Accounts"]}
    assert listed[INVITED]["JoinedMethod"] == "INVITED"
    with pytest.raises(LabError, match="in an organization already"):
        enroll(backends, INVITED, management_account=MANAGEMENT, name="again")
    with pytest.raises(LabError, match="manages no organization"):
        enroll(backends, OUTSIDE, management_account=INVITED, name="no")
    world.organizations.remove_account_from_organization(AccountId=INVITED)
    assert state.membership(INVITED) is None


UNLOCK = {"arn": "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"}


def test_a_members_root_unlocks_a_bucket(world: World) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoot.html"""
    locked = deny("s3:*", ["arn:aws:s3:::lab-orgs-member", "arn:aws:s3:::lab-orgs-member/*"], Principal="*")
    world.admin.client("s3").put_bucket_policy(Bucket="lab-orgs-member", Policy=policy(locked))
    assert refusal(world.admin.client("s3").delete_bucket_policy, Bucket="lab-orgs-member")[0] == 403
    sts = world.stage.admin(MANAGEMENT).client("sts")
    keys = sts.assume_root(TargetPrincipal=world.member, TaskPolicyArn=UNLOCK)["Credentials"]
    root = Person(world.stage, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    assert root.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{world.member}:root"
    # For this task and for nothing else.
    assert denial(root).endswith("with an explicit deny in a resource-based policy")
    assert "explicit deny" in refusal(root.client("s3").create_bucket, Bucket="lab-orgs-no")[2]
    assert refused_role(root, f"arn:aws:iam::{world.member}:role/{ROLE}")[2].startswith("Roles may not be assumed")
    root.client("s3").delete_bucket_policy(Bucket="lab-orgs-member")
    assert read(world.admin)
    assert denial(root).split(":")[0] == "User"


def refused_role(person: Person, role: str) -> tuple[int, str, str]:
    return refusal(person.client("sts").assume_role, RoleArn=role, RoleSessionName="no")


@pytest.mark.parametrize(
    ("account", "target", "task", "code"),
    [
        (MANAGEMENT, OUTSIDE, UNLOCK, "AccessDenied"),
        (MANAGEMENT, MANAGEMENT, UNLOCK, "AccessDenied"),
        (OUTSIDE, "member", UNLOCK, "AccessDenied"),
        (MANAGEMENT, "member", {"arn": "arn:aws:iam::aws:policy/AdministratorAccess"}, "AccessDenied"),
        (MANAGEMENT, "member", {"arn": "arn:aws:iam::aws:policy/root-task/NoSuchTask"}, "AccessDenied"),
        (MANAGEMENT, "nobody in particular", UNLOCK, "ValidationError"),
    ],
)
def test_who_is_no_members_root(world: World, account: str, target: str, task: dict[str, str], code: str) -> None:
    target = world.member if target == "member" else target
    sts = world.stage.admin(account).client("sts", parameter_validation=False)
    assert refusal(sts.assume_root, TargetPrincipal=target, TaskPolicyArn=task)[1] == code


def test_a_members_root_needs_the_right_to_assume_it(world: World) -> None:
    sts = world.stage.user(MANAGEMENT).client("sts")
    found = refusal(sts.assume_root, TargetPrincipal=world.member, TaskPolicyArn=UNLOCK)
    assert found[2].endswith("because no identity-based policy allows the sts:AssumeRoot action")
    long = refusal(sts.assume_root, TargetPrincipal=world.member, TaskPolicyArn=UNLOCK, DurationSeconds=901)
    assert long[1] == "ValidationError"


def test_an_rcp_binds_who_assumes_a_role(world: World) -> None:
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html"""
    role = make_role(world.admin, "for-outsiders", allow("*"), trust={"AWS": OUTSIDE})
    outsider = world.stage.admin(OUTSIDE)
    assert outsider.assume(role).token
    outside = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": world.id}}
    world.attach(RCP, world.root, deny("sts:AssumeRole", Principal="*", Condition=outside))
    assert refused_role(outsider, role)[:2] == (403, "AccessDenied")
    assert world.admin.assume(make_role(world.admin, "for-us", allow("*"), trust={"AWS": world.member})).token
