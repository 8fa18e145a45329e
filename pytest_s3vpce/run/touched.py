"""What an inventory's runs touch in its accounts: the ARNs of roles, functions, instances, networks and buckets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import ExpectationError
from pytest_s3vpce.expectations import find_expectations
from pytest_s3vpce.references import looked_up
from pytest_s3vpce.run.planes import world_of
from pytest_s3vpce.run.world import partition_of
from pytest_s3vpce.vantage.kept import kept_name
from pytest_s3vpce.vantage.launch import image_parameter
from pytest_s3vpce.vantage.removal import SCRATCH
from pytest_s3vpce.vantage.ssm import DOCUMENT
from pytest_s3vpce.yamlplaces import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.points import Ec2, Lambda
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.signers import Principal
    from pytest_s3vpce.yamlplaces import Document

OURS: Final = "s3vpce-*"
"""Names of what is ours, and of the sessions that runs sign with."""
MADE: Final = "s3vpce-????????-*"
"""Names of what runs make: with eight hex digits, so that no runner's own role is among them."""

_OF_RUNS: Final = ("principals", "vantage_points", "buckets", "controls", "allow_hosts")
_OF_DEPLOYMENTS: Final = ("vantage_points", "allow_hosts")
_OF_SWEEPS: Final = ("vantage_points", "buckets")
"""Sections of an inventory whose references are resolved."""
_LOOKED_UP: Final = {"cfn": ("stacks", "cloudformation"), "ssm": ("parameters", "ssm")}

_ABOUT_OPENNESS: Final = "not-public"
_ABOUT_OTHERS: Final = frozenset(
    {
        "cross-account",
        "presigned-bounded",
        "endpoint-only",
        "vpc-only",
        "source-ip-only",
        "tls-only",
        "separate-duties",
        _ABOUT_OPENNESS,
    }
)

Facts = dict[str, dict[str, None]]
"""Kinds of things to their ARNs or values, in the order in which the inventory names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """An account, and the role that its profile assumes there, if any."""

    name: str
    id: str
    role: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """Somebody who assumes a role on the way to a principal, and how."""

    role: str
    by: str
    actions: tuple[str, ...]
    where: Mapping[str, Any]
    is_chained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """Facts by the accounts' names."""

    accounts: tuple[Runner, ...]
    facts: Mapping[str, Facts]
    assumptions: tuple[Assumption, ...]


def touched(inventory: Inventory, environment: Environment, *, keeps: bool, sweeps: bool) -> Touched:
    """Read from the inventory alone; `keeps` takes functions that runs would make for such as are there.

    With `sweeps`, what was left is looked for wherever the inventory leads; else, where its runs make anything.
    """
    return _Reader(inventory, environment, keeps=keeps).touched(sweeps=sweeps)


class _Reader:
    """The inventory, resolved, and what was found so far."""

    def __init__(self, inventory: Inventory, environment: Environment, *, keeps: bool) -> None:
        self._inventory = inventory
        self._world = world_of(inventory, environment, run_id="permissions")
        self._accounts = self._world.accounts
        self._facts: dict[str, Facts] = {name: defaultdict(dict) for name in inventory.accounts}
        self._keeps = keeps
        self._open: set[tuple[str, str]] = set()
        self._assumptions: list[Assumption] = []

    def touched(self, *, sweeps: bool) -> Touched:
        for name, principal in self._inventory.principals.items():
            if principal.role is not None and principal.web_identity is None:
                self._signed(name, principal)
        for name, point in self._inventory.vantage_points.items():
            if point.lambda_ is not None:
                self._function(name, point.lambda_)
            elif point.ec2 is not None:
                self._instance(name, point.ec2)
        for label, bucket in self._inventory.buckets.items():
            self._bucket(label, made=bucket.canary.create is not None)
        for number in range(len(self._inventory.evidence)):
            self._evidence(number)
        for account, fact in self._open:
            self._facts[account].pop(fact, None)
        self._references()
        if sweeps or any(facts["functions_made_here"] or facts["made_instances"] for facts in self._facts.values()):
            for account in self._facts:
                self._sweep(account)
        accounts = [Runner(name=name, id=self._world.account_id(name), role=self._runner(name)) for name in self._facts]
        return Touched(accounts=tuple(accounts), facts=self._facts, assumptions=tuple(self._assumptions))

    def _references(self) -> None:
        """What `${cfn:...}` and `${ssm:...}` ask for, here and in expectations beside; deploying reads points only."""
        files = [read(path, error=ExpectationError) for path in find_expectations(self._inventory.path.parent)]
        written = [text for file in files for text in file.root.texts()]
        self._looked_up("", *self._inventory.texts(*_OF_RUNS), *(str(text.value) for text in written))
        self._looked_up("deployed_", *self._inventory.texts(*_OF_DEPLOYMENTS))
        self._looked_up("swept_", *self._inventory.texts(*_OF_SWEEPS))
        for kind, bucket in dict.fromkeys(_claims(files)):
            if bucket in self._inventory.buckets:
                self._claimed(kind, bucket)

    def _claimed(self, kind: str, label: str) -> None:
        """What a claim has read besides: its bucket's organization, other accounts' callers, openness."""
        first = self._inventory.default_account
        owner = self._inventory.buckets[label].account or first
        self._add(owner, "explained_here", "*")
        for name, row in self._inventory.principals.items() if kind in _ABOUT_OTHERS else ():
            account = row.account or first
            if row.role is not None and account != owner:
                role = self._world.resolve(row.role, "principals", name, "role")
                partition, number = role.split(":")[1], self._world.account_id(account)
                policies = [f"arn:{partition}:iam::{place}:policy/*" for place in (number, "aws")]
                self._add(account, "explained_roles", role)
                self._add(account, "explained_policies", *policies)
                self._add(account, "explained_here", "*")
        if kind == _ABOUT_OPENNESS:
            facts = self._world.bucket(label)
            self._add(facts.account, "open_buckets", f"arn:{facts.partition}:s3:::{facts.name}")
            self._add(facts.account, "open_here", "*")

    def _looked_up(self, prefix: str, *texts: str) -> None:
        for kind, parts in (found for text in texts for found in looked_up(text)):
            account = parts["account"] or self._inventory.default_account
            region = self._accounts.region(account)
            home = f"{region}:{self._world.account_id(account)}"
            name = f"stack/{parts['stack']}/*" if kind == "cfn" else f"parameter/{str(parts['name']).lstrip('/')}"
            fact, service = _LOOKED_UP[kind]
            self._add(account, f"{prefix}{fact}", f"arn:{partition_of(region)}:{service}:{home}:{name}")

    def _sweep(self, account: str) -> None:
        """What a sweep looks at in an account, and what may be ours there."""
        partition = partition_of(self._accounts.region(account))
        number, begins = self._world.account_id(account), f"arn:{partition}"
        self._add(account, "swept", "*")
        self._add(account, "our_functions", f"{begins}:lambda:*:{number}:function:{OURS}")
        self._add(account, "our_roles", f"{begins}:iam::{number}:role/{OURS}")
        self._add(account, "our_buckets", f"{begins}:s3:::{SCRATCH}*")
        self._add(account, "our_objects", f"{begins}:s3:::{SCRATCH}*/*")
        self._add(account, "our_access_points", f"{begins}:s3:*:{number}:accesspoint/{OURS}")
        for fact, kind in (("instances", "instance"), ("endpoints", "vpc-endpoint"), ("groups", "security-group")):
            self._add(account, f"any_{fact}", f"{begins}:ec2:*:{number}:{kind}/*")
        for fact, kind in (("policies", "policy"), ("accounts", "account")):
            self._add(account, f"organization_{fact}", f"{begins}:organizations::{number}:{kind}/*")

    def _runner(self, account: str) -> str | None:
        row = self._inventory.accounts[account]
        return None if row.role is None else self._world.resolve(row.role, "accounts", account, "role")

    def _add(self, account: str, name: str, *values: str) -> None:
        self._facts[account][name].update(dict.fromkeys(values))

    # --- principals --------------------------------------------------------------------------------------------------

    def _signed(self, name: str, row: Principal) -> None:
        """Who assumes the role, by which way."""
        account = row.account or self._inventory.default_account
        path = ("principals", name)
        way = [self._world.resolve(text, *path, "through") for text in row.through]
        way.append(self._world.resolve(row.role or "", *path, "role"))
        by = self._runner(account) or self._root(account)
        for at, role in enumerate(way):
            last = at == len(way) - 1
            assumption = Assumption(
                role=role,
                by=by,
                actions=("sts:AssumeRole", *(_session_actions(row) if last else ())),
                where=self._conditions(row, path) if last else {"StringLike": {"sts:RoleSessionName": OURS}},
                is_chained=at > 0,
            )
            self._assumptions.append(assumption)
            by = role
        self._add(account, "roles", way[0])
        if len(way) == 1:
            self._add(account, "tagged_roles", *(way if row.session_tags else []))
            self._add(account, "sourced_roles", *(way if row.source_identity else []))

    def _root(self, account: str) -> str:
        partition = partition_of(self._accounts.region(account))
        return f"arn:{partition}:iam::{self._world.account_id(account)}:root"

    def _conditions(self, row: Principal, path: tuple[str, str]) -> dict[str, Any]:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html"""
        equal = {
            "sts:ExternalId": row.external_id,
            "sts:RoleSessionName": row.session_name,
            "sts:SourceIdentity": row.source_identity,
        }
        named = {key: self._world.resolve(value, *path) for key, value in equal.items() if value is not None}
        found: dict[str, Any] = {"StringEquals": named} if named else {}
        if row.session_name is None:
            found["StringLike"] = {"sts:RoleSessionName": OURS}
        if row.mfa is not None and not row.through:
            found["Bool"] = {"aws:MultiFactorAuthPresent": "true"}
        return found

    # --- vantage points ----------------------------------------------------------------------------------------------

    def _place(self, row: Lambda | Ec2, *path: str) -> tuple[str, str, str]:
        """The account, and how ARNs there begin: partition, and Region with the account's id."""
        account = row.account or self._inventory.default_account
        region = self._world.resolve(row.region, *path, "region") if row.region else self._accounts.region(account)
        return account, partition_of(region), f"{region}:{self._world.account_id(account)}"

    def _function(self, name: str, row: Lambda) -> None:
        path = ("vantage_points", name, "lambda")
        account, partition, home = self._place(row, *path)
        self._add(account, "places", "*")
        if row.function is not None:
            function = self._world.resolve(row.function, *path, "function")
            whole = function if function.startswith("arn:") else f"arn:{partition}:lambda:{home}:function:{function}"
            self._add(account, "functions", whole)
            return
        several = isinstance(row.subnets, Mapping) or len(row.subnets) > 1
        for fact in ("subnets_looked_at", "groups_looked_at", *(["routes_compared"] if several else [])):
            self._add(account, fact, "*")
        if self._keeps or row.keep:
            kept = f"arn:{partition}:lambda:{home}:function:{kept_name(name)}"
            self._add(account, "functions", kept)
            if row.keep:
                self._kept(name, row, account=account, function=kept)
            return
        self._add(account, "functions_made_here", "*")
        self._add(account, "made_functions", f"arn:{partition}:lambda:{home}:function:{MADE}")
        self._chosen(account, "subnets", row.subnets, *path, "subnets")
        self._chosen(account, "groups", row.security_groups, *path, "security_groups")
        key = getattr(row, "kms_key", None)
        self._add(account, "keys", *([self._world.resolve(key, *path, "kms_key")] if key else []))
        if row.role is not None:
            self._add(account, "function_roles", self._world.resolve(row.role, *path, "role"))
            return
        number = self._world.account_id(account)
        roles = f"arn:{partition}:iam::{number}:role{row.role_path or '/'}{MADE}"
        self._add(account, "our_roles", roles)
        self._add(account, "function_roles", roles)
        self._add(account, "made_roles", roles)
        self._add(account, "roles_made_here", "*")
        if row.permissions_boundary:
            boundary = self._world.resolve(row.permissions_boundary, *path, "permissions_boundary")
            self._add(account, "boundaries", boundary)

    def _kept(self, name: str, row: Lambda, *, account: str, function: str) -> None:
        """What `s3vpce deploy` makes, changes and takes away."""
        path = ("vantage_points", name, "lambda")
        self._add(account, "deployed_functions", function)
        self._add(account, "deployed_here", "*")
        partition, number = function.split(":")[1], self._world.account_id(account)
        made = f"arn:{partition}:iam::{number}:role{row.role_path or '/'}{kept_name(name)}"
        self._add(account, "deployed_roles", *([] if row.role else [made]))
        self._add(account, "kept_roles", self._world.resolve(row.role, *path, "role") if row.role else made)
        if row.kms_key:
            self._add(account, "kept_keys", self._world.resolve(row.kms_key, *path, "kms_key"))

    def _chosen(self, account: str, fact: str, chosen: Any, *path: str) -> None:
        """Ids that a condition may name; by tags it could be any, for all functions of the account."""
        if isinstance(chosen, Mapping):
            self._open.add((account, fact))
        else:
            self._add(account, fact, *self._world.resolve_list(chosen, *path))

    def _instance(self, name: str, row: Ec2) -> None:
        path = ("vantage_points", name, "ec2")
        account, partition, home = self._place(row, *path)
        region = home.partition(":")[0]
        arn = f"arn:{partition}:ec2:{home}"
        for fact in ("places", "groups_looked_at", "commands", "instances_sought"):
            self._add(account, fact, "*")
        self._add(account, "documents", f"arn:{partition}:ssm:{region}::document/{DOCUMENT}")
        if row.instance is not None:
            self._add(account, "instances", f"{arn}:instance/{self._world.resolve(row.instance, *path, 'instance')}")
        elif row.subnet is None:
            self._add(account, "tagged_instances", f"{arn}:instance/*")
            tags = {key: self._world.resolve(value, *path, "tags", key) for key, value in row.tags.items()}
            self._add(account, "instance_tags", *(f"{key}={value}" for key, value in tags.items()))
        else:
            self._launched(row, row.subnet, account=account, arn=arn, path=path)

    def _launched(self, row: Ec2, subnet: str, *, account: str, arn: str, path: tuple[str, ...]) -> None:
        _, partition, _, region, number = arn.split(":")
        self._add(account, "subnets_looked_at", "*")
        self._add(account, "made_instances", f"{arn}:instance/*")
        self._add(account, "made_volumes", f"{arn}:volume/*")
        self._add(account, "made_machines", f"{arn}:instance/*", f"{arn}:volume/*")
        groups = self._world.resolve_list(row.security_groups, *path, "security_groups")
        image = None if row.image is None else self._world.resolve(row.image, *path, "image")
        parameter = image_parameter(image, type=row.type)
        self._add(
            account,
            "launch_places",
            f"{arn}:subnet/{self._world.resolve(subnet, *path, 'subnet')}",
            *(f"{arn}:security-group/{group}" for group in groups),
            f"{arn}:network-interface/*",
            f"arn:{partition}:ec2:{region}::image/{'*' if parameter else image}",
        )
        if parameter:
            self._add(account, "image_parameters", f"arn:{partition}:ssm:{region}::parameter{parameter}")
        profile = self._world.resolve(row.profile or "", *path, "profile")
        whole = profile if profile.startswith("arn:") else f"arn:{partition}:iam::{number}:instance-profile/{profile}"
        self._add(account, "profiles", whole)
        self._add(account, "instance_roles", f"arn:{partition}:iam::{number}:role/*")

    # --- buckets -----------------------------------------------------------------------------------------------------

    def _bucket(self, label: str, *, made: bool) -> None:
        facts = self._world.bucket(label)
        arn = f"arn:{facts.partition}:s3:::{facts.name}"
        self._add(facts.account, "buckets", arn)
        if label in self._inventory.buckets and self._inventory.buckets[label].scratch:
            self._add(facts.account, "scratch_buckets", arn)
        if made:
            self._add(facts.account, "canary_buckets", arn)
            self._add(facts.account, "canaries", f"{arn}/.s3vpce/canary-*")

    # --- logs --------------------------------------------------------------------------------------------------------

    def _evidence(self, number: int) -> None:
        """The log that a source of evidence is, and of a bucket no more than the files below its prefix."""
        row, place = self._inventory.evidence[number], self._inventory.place("evidence", number)
        resolve = self._world.references.resolve
        account = row.account or self._inventory.default_account
        region = resolve(row.region, place) if row.region else self._accounts.region(account)
        name, partition = resolve(row.name, place), partition_of(region)
        if row.kind in {"log_group", "flow_logs"}:
            group = f"arn:{partition}:logs:{region}:{self._world.account_id(account)}:log-group:{name}"
            self._add(account, "record_groups", group, f"{group}:*")
            return
        prefix = resolve(row.prefix or "", place)
        if row.kind in {"trail_bucket", "flow_log_bucket"}:
            prefix = f"{prefix.rstrip('/')}/AWSLogs/" if prefix else "AWSLogs/"
        bucket = f"arn:{partition}:s3:::{name}"
        self._add(account, "record_buckets", bucket)
        self._add(account, "record_prefixes", f"{prefix}*")
        self._add(account, "record_files", f"{bucket}/{prefix}*")


def _session_actions(row: Principal) -> Iterator[str]:
    if row.session_tags:
        yield "sts:TagSession"
    if row.source_identity:
        yield "sts:SetSourceIdentity"


def _claims(files: Iterable[Document]) -> Iterator[tuple[str, str]]:
    """The kind and bucket of each claim that files make; what is no claim there is told by those who read it."""
    for file in files:
        rows = file.data.get("claims") if isinstance(file.data, dict) else None
        for row in rows if isinstance(rows, list) else ():
            for kind, body in row.items() if isinstance(row, dict) else ():
                if isinstance(body, dict) and isinstance(body.get("bucket"), str):
                    yield kind, body["bucket"]
