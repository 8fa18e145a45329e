"""What is called for an inventory, and so what rights it takes: one table, NEEDS, by statement.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html says for each action which resources
it is asked for, and by which condition keys it can be narrowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.vantage import marks

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mode(StrEnum):
    """How much a runner is to do."""

    CREATE = "create"
    """All that the inventory says, with what runs make and remove."""
    KEEP = "keep"
    """The same with functions that `s3vpce deploy` made and keeps: runs create nothing."""
    DEPLOY = "deploy"
    """What `s3vpce deploy` and `undeploy` do with those functions, and no run."""
    SWEEP = "sweep"
    """What `s3vpce sweep` takes to find and to remove all that runs and calibrations left."""
    ASSUME = "assume"
    """Sign in as the principals, and nothing else: for vantage points outside AWS."""


_ALL: Final = frozenset(Mode) - {Mode.DEPLOY, Mode.SWEEP}
_LOOKING: Final = frozenset({Mode.CREATE, Mode.KEEP})
_SWEEPING: Final = frozenset({Mode.SWEEP})
_FINDING: Final = frozenset({Mode.CREATE, Mode.SWEEP})
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
    Need(sid="ReadStacksToSweep", actions=("cloudformation:DescribeStacks",), on="swept_stacks", modes=_SWEEPING),
    Need(sid="ReadParametersToSweep", actions=("ssm:GetParameter",), on="swept_parameters", modes=_SWEEPING),
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
    Need(
        sid="CompareRoutes",
        actions=("ec2:DescribeRouteTables", "ec2:DescribeNetworkAcls"),
        on="routes_compared",
        modes=_LOOKING,
    ),
    Need(sid="ExplainBuckets", actions=("s3:GetBucketPolicy",), on="buckets", modes=_LOOKING),
    # run/deletions.py, and vantage/removal.py after a run that was killed
    Need(
        sid="PutPoliciesBack",
        actions=("s3:GetBucketPolicy", "s3:PutBucketPolicy"),
        on="scratch_buckets",
        modes=_ALL | _SWEEPING,
    ),
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
    # and, of the buckets of claims, whether there are resource control policies
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
    # vantage/leftovers.py: what `s3vpce sweep` looks for
    Need(
        sid="Sweep",
        actions=(
            "lambda:ListFunctions",
            "iam:ListRoles",
            "ec2:DescribeInstances",
            "ec2:DescribeVpcEndpoints",
            "ec2:DescribeSecurityGroups",
            "s3:ListAllMyBuckets",
            "organizations:DescribeOrganization",
            "organizations:ListPolicies",
        ),
        on="swept",
        modes=_FINDING,
    ),
    Need(sid="SweepFunctionsByTags", actions=("lambda:ListTags",), on="our_functions", modes=_FINDING),
    Need(sid="SweepRolesByTags", actions=("iam:ListRoleTags",), on="our_roles", modes=_FINDING),
    Need(sid="SweepBucketsByTags", actions=("s3:GetBucketTagging",), on="our_buckets", modes=_FINDING),
    Need(
        sid="SweepPoliciesByTags",
        actions=("organizations:ListTagsForResource",),
        on="organization_policies",
        modes=_FINDING,
    ),
    Need(
        sid="SweepCanaries",
        actions=("s3:ListBucketVersions",),
        on="canary_buckets",
        where={"StringLike": {"s3:prefix": ".s3vpce/canary-*"}},
        modes=_LOOKING | _SWEEPING,
    ),
    Need(
        sid="SweepUploads",
        actions=("s3:ListBucketMultipartUploads",),
        on="canary_buckets",
        modes=_LOOKING | _SWEEPING,
    ),
    # vantage/removal.py: what it takes, besides what runs have the rights to remove that made it
    Need(sid="TakeFunctions", actions=("lambda:DeleteFunction",), on="our_functions", modes=_SWEEPING),
    Need(sid="TakeRoles", actions=("iam:DeleteRolePolicy", "iam:DeleteRole"), on="our_roles", modes=_SWEEPING),
    Need(sid="TakeRolesInTime", actions=("ec2:DescribeNetworkInterfaces",), on="swept", modes=_SWEEPING),
    Need(sid="TakeInstances", actions=("ec2:TerminateInstances",), on="any_instances", where=_OWN, modes=_SWEEPING),
    Need(sid="TakeEndpoints", actions=("ec2:DeleteVpcEndpoints",), on="any_endpoints", where=_OWN, modes=_SWEEPING),
    Need(sid="TakeGroups", actions=("ec2:DeleteSecurityGroup",), on="any_groups", where=_OWN, modes=_SWEEPING),
    Need(
        sid="TakeBuckets",
        actions=("s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:DeleteBucket"),
        on="our_buckets",
        modes=_SWEEPING,
    ),
    Need(
        sid="EmptyBuckets",
        actions=("s3:DeleteObjectVersion", "s3:AbortMultipartUpload"),
        on="our_objects",
        modes=_SWEEPING,
    ),
    Need(sid="FindAccessPoints", actions=("s3:ListAccessPoints",), on="swept", modes=_SWEEPING),
    Need(sid="TakeAccessPoints", actions=("s3:DeleteAccessPoint",), on="our_access_points", modes=_SWEEPING),
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html
    Need(
        sid="TakePolicies",
        actions=("organizations:ListTargetsForPolicy", "organizations:DetachPolicy", "organizations:DeletePolicy"),
        on="organization_policies",
        where=_OWN,
        modes=_SWEEPING,
    ),
    Need(sid="DetachPolicies", actions=("organizations:DetachPolicy",), on="organization_accounts", modes=_SWEEPING),
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
    Need(
        sid="RemoveCanaries",
        actions=("s3:DeleteObjectVersion", "s3:AbortMultipartUpload"),
        on="canaries",
        modes=_LOOKING | _SWEEPING,
    ),
)
