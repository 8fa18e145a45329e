"""The rights that an inventory's runs need and no others: per account, in probed roles' trust, in a function's role.

What is called stands in one table, NEEDS. https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
says for each action which resources it is asked for, and by which condition keys it can be narrowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.run.statements import conditions, document, statement, without_repetition
from pytest_s3vpce.run.touched import touched
from pytest_s3vpce.vantage import deployment, marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.touched import Assumption, Facts, Runner


class Mode(StrEnum):
    """How much a runner is to do."""

    CREATE = "create"
    """All that the inventory says, with what runs make and remove."""
    KEEP = "keep"
    """The same with functions that `s3vpce deploy` made and keeps: runs create nothing."""
    DEPLOY = "deploy"
    """What `s3vpce deploy` and `undeploy` do with those functions, and no run."""
    ASSUME = "assume"
    """Sign in as the principals, and nothing else: for vantage points outside AWS."""


_ALL: Final = frozenset(Mode) - {Mode.DEPLOY}
_LOOKING: Final = frozenset({Mode.CREATE, Mode.KEEP})
_MAKING: Final = frozenset({Mode.CREATE})
_DEPLOYING: Final = frozenset({Mode.DEPLOY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A statement: `on` names the facts that are its resources; without any of those it is left out.

    In `where`, values in angle brackets name facts too; a key whose fact is empty is left out.
    """

    sid: str
    actions: tuple[str, ...]
    on: str
    where: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    modes: frozenset[Mode] = _MAKING


_TAGGED: Final = {"Null": {f"aws:RequestTag/{marks.RUN}": "false"}}
_OWN: Final = {"Null": {f"aws:ResourceTag/{marks.RUN}": "false"}}
NEEDS: Final = (
    # accounts.py, signing_in.py
    Need(sid="AssumePrincipals", actions=("sts:AssumeRole",), on="roles", modes=_ALL),
    Need(sid="TagSessions", actions=("sts:TagSession",), on="tagged_roles", modes=_ALL),
    Need(sid="NameSources", actions=("sts:SetSourceIdentity",), on="sourced_roles", modes=_ALL),
    # infrastructure.py: what references stand for
    Need(sid="ReadStacks", actions=("cloudformation:DescribeStacks",), on="stacks", modes=_ALL),
    Need(sid="ReadParameters", actions=("ssm:GetParameter",), on="parameters", modes=_ALL),
    Need(sid="ReadStacksToDeploy", actions=("cloudformation:DescribeStacks",), on="deployed_stacks", modes=_DEPLOYING),
    Need(sid="ReadParametersToDeploy", actions=("ssm:GetParameter",), on="deployed_parameters", modes=_DEPLOYING),
    # vantage/lambda_.py: functions that are there; GetFunctionConfiguration where one is asleep, and for the doctor
    Need(
        sid="UseFunctions",
        actions=("lambda:InvokeFunction", "lambda:GetFunctionConfiguration"),
        on="functions",
        modes=_LOOKING,
    ),
    # vantage/deployment.py
    # GetFunction and GetRole: whether what is there was made by this run, where the answer to its creation was lost
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
    Need(
        sid="CreateFunctions",
        actions=("lambda:CreateFunction",),
        on="made_functions",
        where={
            "ForAllValues:StringEquals": {"lambda:SubnetIds": "<subnets>", "lambda:SecurityGroupIds": "<groups>"},
            "Null": {"lambda:SubnetIds": "false", f"aws:RequestTag/{marks.RUN}": "false"},
        },
    ),
    Need(
        sid="UseMadeFunctions",
        actions=(
            "lambda:TagResource",
            "lambda:GetFunction",
            "lambda:GetFunctionConfiguration",
            "lambda:InvokeFunction",
            "lambda:DeleteFunction",
        ),
        on="made_functions",
    ),
    Need(
        sid="PassFunctionRoles",
        actions=("iam:PassRole",),
        on="function_roles",
        where={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
    Need(sid="EncryptSettings", actions=("kms:Encrypt", "kms:CreateGrant"), on="keys"),
    Need(
        sid="CreateRoles",
        actions=("iam:CreateRole",),
        on="made_roles",
        where={"StringEquals": {"iam:PermissionsBoundary": "<boundaries>"}, **_TAGGED},
    ),
    Need(
        sid="UseMadeRoles",
        actions=("iam:PutRolePolicy", "iam:DeleteRolePolicy"),
        on="made_roles",
        where={"StringEquals": {"iam:PermissionsBoundary": "<boundaries>"}},
    ),
    Need(sid="TagMadeRoles", actions=("iam:TagRole", "iam:GetRole", "iam:DeleteRole"), on="made_roles"),
    # vantage/deployment.py looks at the network first, and so does Lambda, with the rights of its caller
    Need(sid="LookAtSubnets", actions=("ec2:DescribeSubnets",), on="subnets_looked_at", modes=_LOOKING),
    Need(sid="LookAtGroups", actions=("ec2:DescribeSecurityGroups",), on="groups_looked_at", modes=_LOOKING),
    Need(sid="LetLambdaLook", actions=("ec2:DescribeVpcs",), on="functions_made_here"),
    # vantage/removal.py
    Need(sid="WaitForInterfaces", actions=("ec2:DescribeNetworkInterfaces",), on="roles_made_here"),
    # vantage/ec2.py, vantage/ssm.py
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/run-command-setting-up.html
    Need(sid="SendCommands", actions=("ssm:SendCommand",), on="instances", modes=_LOOKING),
    Need(
        sid="SendCommandsByTags",
        actions=("ssm:SendCommand",),
        on="tagged_instances",
        where={"StringEquals": {"ssm:resourceTag/*": "<instance_tags>"}},
        modes=_LOOKING,
    ),
    Need(
        sid="SendCommandsToOwn",
        actions=("ssm:SendCommand",),
        on="made_instances",
        where={"Null": {f"ssm:resourceTag/{marks.RUN}": "false"}},
    ),
    Need(sid="RunShellScripts", actions=("ssm:SendCommand",), on="documents", modes=_LOOKING),
    Need(
        sid="FollowCommands",
        actions=("ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation", "ssm:CancelCommand"),
        on="commands",
        modes=_LOOKING,
    ),
    Need(sid="FindInstances", actions=("ec2:DescribeInstances",), on="instances_sought", modes=_LOOKING),
    # vantage/launch.py
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html#iam-example-runinstances
    Need(
        sid="RunInstances",
        actions=("ec2:RunInstances",),
        on="made_instances",
        where={"ArnLike": {"ec2:InstanceProfile": "<profiles>"}, **_TAGGED},
    ),
    Need(sid="RunInstancesWithVolumes", actions=("ec2:RunInstances",), on="made_volumes", where=_TAGGED),
    Need(sid="RunInstancesThere", actions=("ec2:RunInstances",), on="launch_places"),
    Need(
        sid="TagInstances",
        actions=("ec2:CreateTags",),
        on="made_machines",
        where={"StringEquals": {"ec2:CreateAction": "RunInstances"}},
    ),
    Need(sid="FindImages", actions=("ssm:GetParameters",), on="image_parameters"),
    Need(
        sid="PassInstanceRoles",
        actions=("iam:PassRole",),
        on="instance_roles",
        where={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    ),
    Need(sid="EndInstances", actions=("ec2:TerminateInstances",), on="made_instances", where=_OWN),
    # snapshot.py: what explains paths and denials; what can't be read is reported as unknown
    Need(sid="ExplainPaths", actions=("ec2:DescribeVpcEndpoints",), on="places", modes=_LOOKING),
    # where a function stands in several subnets
    Need(sid="CompareRoutes", actions=("ec2:DescribeRouteTables",), on="routes_compared", modes=_LOOKING),
    Need(sid="ExplainBuckets", actions=("s3:GetBucketPolicy",), on="buckets", modes=_LOOKING),
    # run/deletions.py, and vantage/removal.py after a run that was killed
    Need(sid="PutPoliciesBack", actions=("s3:GetBucketPolicy", "s3:PutBucketPolicy"), on="scratch_buckets", modes=_ALL),
    # ownside.py: where a claim is about principals of other accounts
    Need(
        sid="ReadCallers",
        actions=("iam:GetRole", "iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"),
        on="explained_roles",
        modes=_LOOKING,
    ),
    Need(
        sid="ReadCallersPolicies",
        actions=("iam:GetPolicy", "iam:GetPolicyVersion"),
        on="explained_policies",
        modes=_LOOKING,
    ),
    Need(sid="ReadOrganization", actions=("organizations:DescribeOrganization",), on="explained_here", modes=_LOOKING),
    # openness.py: where a bucket is claimed not to be public
    Need(
        sid="ReadOpenness",
        actions=(
            "s3:GetBucketPolicyStatus",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketRequestPayment",
            "s3:GetBucketOwnershipControls",
        ),
        on="open_buckets",
        modes=_LOOKING,
    ),
    Need(sid="ReadOpennessOfAccounts", actions=("s3:GetAccountPublicAccessBlock",), on="open_here", modes=_LOOKING),
    # evidence/sources.py, where the inventory declares evidence
    Need(sid="ReadRecords", actions=("logs:FilterLogEvents",), on="record_groups", modes=_LOOKING),
    Need(
        sid="FindRecordFiles",
        actions=("s3:ListBucket",),
        on="record_buckets",
        where={"StringLike": {"s3:prefix": "<record_prefixes>"}},
        modes=_LOOKING,
    ),
    Need(sid="ReadRecordFiles", actions=("s3:GetObject",), on="record_files", modes=_LOOKING),
    # vantage/leftovers.py, vantage/removal.py: what `s3vpce sweep` looks for and takes
    Need(sid="Sweep", actions=("lambda:ListFunctions", "iam:ListRoles", "ec2:DescribeInstances"), on="swept"),
    Need(sid="SweepFunctionsByTags", actions=("lambda:ListTags",), on="our_functions"),
    Need(sid="SweepRolesByTags", actions=("iam:ListRoleTags",), on="our_roles"),
    Need(
        sid="SweepCanaries",
        actions=("s3:ListBucketVersions",),
        on="canary_buckets",
        where={"StringLike": {"s3:prefix": ".s3vpce/canary-*"}},
        modes=_LOOKING,
    ),
    # vantage/kept.py
    Need(
        sid="DeployFunctions",
        actions=(
            "lambda:CreateFunction",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
            "lambda:TagResource",
            "lambda:ListTags",
            "lambda:GetFunctionConfiguration",
            "lambda:InvokeFunction",
            "lambda:DeleteFunction",
        ),
        on="deployed_functions",
        modes=_DEPLOYING,
    ),
    Need(
        sid="DeployRoles",
        actions=(
            "iam:CreateRole",
            "iam:TagRole",
            "iam:PutRolePolicy",
            "iam:GetRole",
            "iam:DeleteRolePolicy",
            "iam:DeleteRole",
        ),
        on="deployed_roles",
        modes=_DEPLOYING,
    ),
    Need(
        sid="PassKeptRoles",
        actions=("iam:PassRole",),
        on="kept_roles",
        where={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        modes=_DEPLOYING,
    ),
    Need(sid="EncryptKeptSettings", actions=("kms:Encrypt", "kms:CreateGrant"), on="kept_keys", modes=_DEPLOYING),
    Need(
        sid="DeployThere",
        actions=(
            "ec2:DescribeSubnets",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeVpcs",
            "ec2:DescribeNetworkInterfaces",
        ),
        on="deployed_here",
        modes=_DEPLOYING,
    ),
    Need(sid="RemoveCanaries", actions=("s3:DeleteObjectVersion",), on="canaries", modes=_LOOKING),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRights:
    """The policy of an account's runner; `signs_in` is that of the profile, where the runner is a role."""

    name: str
    id: str
    runner: Mapping[str, Any]
    signs_in: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """All policies that an inventory's runs rest on, as documents."""

    accounts: tuple[AccountRights, ...]
    trust: Mapping[str, Mapping[str, Any]]
    """Of the probed roles, by their ARNs."""
    chains: Mapping[str, Mapping[str, Any]]
    """Of the roles on the way to them: what each has to assume."""
    function_trust: Mapping[str, Any] | None
    """With `function`, of the role that a function has; None where no function is made."""
    function: Mapping[str, Any] | None


def permissions(inventory: Inventory, environment: Environment, *, mode: Mode = Mode.CREATE) -> Permissions:
    """What this inventory needs. Asks nobody: only references are resolved."""
    found = touched(inventory, environment, keeps=mode is not Mode.CREATE)
    made = mode is Mode.CREATE and any(facts.get("made_functions") for facts in found.facts.values())
    return Permissions(
        accounts=tuple(_account(row, found.facts[row.name], mode) for row in found.accounts),
        trust=_trust(found.assumptions),
        chains=_chains(found.assumptions),
        function_trust=deployment.TRUST if made else None,
        function=deployment.INTERFACES if made else None,
    )


def _account(row: Runner, facts: Facts, mode: Mode) -> AccountRights:
    entry = None if row.role is None else [statement("AssumeTheRunner", ("sts:AssumeRole",), [row.role])]
    return AccountRights(
        name=row.name,
        id=row.id,
        runner=document([*without_repetition([*_statements(facts, mode)])]),
        signs_in=None if entry is None else document(entry),
    )


# --- documents -------------------------------------------------------------------------------------------------------


def _trust(assumptions: Iterable[Assumption]) -> dict[str, dict[str, Any]]:
    """What the roles that are assumed have to say of who assumes them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in assumptions:
        whole = {"Effect": "Allow", "Principal": {"AWS": row.by}, "Action": list(row.actions)}
        whole["Condition"] = dict(row.where)
        rows = found.setdefault(row.role, [])
        rows += [whole] if whole not in rows else []
    return {role: document(rows) for role, rows in found.items()}


def _chains(assumptions: Iterable[Assumption]) -> dict[str, dict[str, Any]]:
    """What the roles on the way need themselves."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in assumptions:
        if row.is_chained:
            found.setdefault(row.by, []).append(statement("", row.actions, [row.role]))
    return {role: document(rows) for role, rows in found.items()}


def _statements(facts: Facts, mode: Mode) -> Iterator[dict[str, Any]]:
    for need in NEEDS:
        resources = list(facts.get(need.on, ()))
        if resources and mode in need.modes:
            yield statement(need.sid, need.actions, resources, conditions(need.where, facts))
