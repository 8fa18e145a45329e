"""A second, naive evaluator: what a request of the decide format leads to, straight from the raw JSON.

It exists to disagree with `pytest_s3vpce.policy`: it was written from AWS's documentation without reading that
package, has no compile step and no cache, and prefers the words of the documentation to speed.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

ANY_RUN, ANY_ONE = "\ue000", "\ue001"
"""Stand for the wildcards of a pattern, so that a `*` that came from `${*}` can stay a star."""

# ---------------------------------------------------------------------------------------------- the caller


@dataclass(frozen=True)
class Caller:
    """Who signed the request, as the Principal element sees it."""

    kind: str  # anonymous, service, root, user, role, session, federated
    name: str  # what the request said, without "service:"
    account: str | None
    role: str | None = None  # the ARN of the role behind a session
    linked: bool = False  # a service-linked role


KINDS = (
    (r"arn:[^:]+:iam::(\d+):root", "root", "Account"),
    (r"arn:[^:]+:iam::(\d+):user/.+", "user", "User"),
    (r"arn:[^:]+:iam::(\d+):role/.+", "role", "AssumedRole"),
    (r"arn:[^:]+:sts::(\d+):assumed-role/[^/]+/.+", "session", "AssumedRole"),
    (r"arn:[^:]+:sts::(\d+):federated-user/.+", "federated", "FederatedUser"),
)


def caller_of(request: Json) -> Caller:
    name = request["principal"]
    if name == "anonymous":
        return Caller("anonymous", name, None)
    if name.startswith("service:"):
        return Caller("service", name.removeprefix("service:"), None)
    for pattern, kind, _ in KINDS:
        if found := re.fullmatch(pattern, name):
            role = role_of(name, kind, lookup(request.get("context", {}), "aws:PrincipalArn"))
            linked = role is not None and bool(re.search(r"role/(aws-service-role/|AWSServiceRoleFor)", role))
            return Caller(kind, name, found[1], role, linked)
    raise AssertionError(name)


def role_of(name: str, kind: str, stated: list[str] | None) -> str | None:
    """A session's ARN has no path; the whole ARN of its role is known only where the request states it."""
    if kind == "role":
        return name
    if kind != "session":
        return None
    _, partition, _, _, account, resource = name.split(":", 5)
    role = resource.split("/")[1]
    if stated and ":role/" in stated[0] and stated[0].endswith("/" + role):
        return stated[0]
    return f"arn:{partition}:iam::{account}:role/{role}"


def full_context(request: Json, caller: Caller) -> Json:
    """What the request carries, with the keys that follow from the principal and from the bucket's account."""
    derived: Json = dict.fromkeys(("aws:ResourceAccount", "s3:ResourceAccount"), request["resource_account"])
    if caller.kind == "anonymous":
        derived |= {"aws:PrincipalAccount": "anonymous", "aws:PrincipalType": "Anonymous"}
    elif caller.account:
        derived["aws:PrincipalAccount"] = caller.account
        derived["aws:PrincipalArn"] = caller.role or caller.name
        derived["aws:PrincipalType"] = next(kind for _, name, kind in KINDS if name == caller.kind)
    given: Json = request.get("context", {})
    names = {key.lower() for key in given}
    return {key: value for key, value in derived.items() if key.lower() not in names} | given


# ------------------------------------------------------------------------------------- patterns, variables


def glob(pattern: str, text: str) -> bool:
    """Whether the whole text fits: tries every length for each wildcard."""
    if not pattern:
        return not text
    if pattern[0] == ANY_RUN:
        return glob(pattern[1:], text) or (bool(text) and glob(pattern, text[1:]))
    return bool(text) and pattern[0] in (ANY_ONE, text[0]) and glob(pattern[1:], text[1:])


def wild(text: str) -> str:
    return text.replace("*", ANY_RUN).replace("?", ANY_ONE)


def expand(text: str, version: str, context: Json, raw: Callable[[str], str]) -> str | None:
    """The text with its variables filled in and `raw` applied to the rest; None where a variable has no value."""
    if version != "2012-10-17":
        return raw(text)
    result = ""
    while found := re.search(r"\$\{([^}]*)\}", text):
        result += raw(text[: found.start()])
        value = variable(found[1], context)
        if value is None:
            return None
        result += value
        text = text[found.end() :]
    return result + raw(text)


def expand_resource(pattern: str, version: str, context: Json) -> str | None:
    """Variables may stand in the last part of an ARN only."""
    *parts, last = pattern.split(":", 5)
    expanded = expand(last, version, context, wild)
    return None if expanded is None else ":".join([wild(part) for part in parts] + [expanded])


def variable(inner: str, context: Json) -> str | None:
    if inner in ("*", "?", "$"):
        return inner
    name, comma, default = inner.partition(",")
    values = lookup(context, name.strip())
    if values is not None and len(values) == 1:
        return values[0]
    if values is None and comma:
        return default.strip().removeprefix("'").removesuffix("'")
    return None


def arn_fits(pattern: str, arn: str) -> bool:
    """Each of the six parts by itself: no wildcard runs over one of the first five colons."""
    wanted, actual = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(actual) == 6 and all(glob(w, a) for w, a in zip(wanted, actual, strict=True))


# ---------------------------------------------------------------------------------------------- conditions


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def lookup(context: Json, key: str) -> list[str] | None:
    """A key's values; names of keys have no case. None: absent."""
    for name, value in context.items():
        if name.lower() == key.lower():
            return [text_of(item) for item in listed(value)]
    return None


def number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def moment(text: str) -> Decimal | None:
    """Seconds since 1970, from ISO 8601 or from just these seconds."""
    if re.fullmatch(r"\d{5,}(\.\d+)?", text):
        return Decimal(text)
    found = re.fullmatch(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d))?)?)?", text)
    if not found:
        return None
    try:
        zone = (found[5] or "Z").replace("Z", "+00:00")
        day = f"{found[1]}-{found[2] or '01'}-{found[3] or '01'}"
        return Decimal(str(datetime.fromisoformat(f"{day}T{found[4] or '00:00'}{zone}").astimezone(UTC).timestamp()))
    except ValueError:
        return None


def decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def in_network(actual: str, wanted: str) -> bool:
    try:
        address, network = ipaddress.ip_address(actual), ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False
    return address.version == network.version and address in network


def plain(text: str) -> str:
    return text


@dataclass(frozen=True)
class Operator:
    """How one actual value is compared with one wanted value (after expansion)."""

    test: Callable[[str, str], bool]
    negated: bool = False
    variables: bool = False
    raw: Callable[[str], str] = plain
    readable: Callable[[str], Any] | None = None  # None from it: the comparison is false, negated or not


def compared(read: Callable[[str], Any], test: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    def by_value(actual: str, wanted: str) -> bool:
        left, right = read(actual), read(wanted)
        return left is not None and right is not None and test(left, right)

    return by_value


def same(left: Any, right: Any) -> bool:
    return bool(left == right)


def caseless(actual: str, wanted: str) -> bool:
    return actual.lower() == wanted.lower()


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": same,
    "LessThan": lambda left, right: left < right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanEquals": lambda left, right: left >= right,
}


def like(actual: str, wanted: str) -> bool:
    return glob(wanted, actual)


def arn_like(actual: str, wanted: str) -> bool:
    return arn_fits(wanted, actual)


OPERATORS: dict[str, Operator] = {
    "StringEquals": Operator(same, variables=True),
    "StringNotEquals": Operator(same, negated=True, variables=True),
    "StringEqualsIgnoreCase": Operator(caseless, variables=True),
    "StringNotEqualsIgnoreCase": Operator(caseless, negated=True, variables=True),
    "StringLike": Operator(like, variables=True, raw=wild),
    "StringNotLike": Operator(like, negated=True, variables=True, raw=wild),
    "Bool": Operator(caseless, variables=True),
    "BinaryEquals": Operator(compared(decoded, same)),
    "IpAddress": Operator(in_network),
    "NotIpAddress": Operator(in_network, negated=True),
    "ArnEquals": Operator(arn_like, variables=True, raw=wild),
    "ArnLike": Operator(arn_like, variables=True, raw=wild),
    "ArnNotEquals": Operator(arn_like, negated=True, variables=True, raw=wild),
    "ArnNotLike": Operator(arn_like, negated=True, variables=True, raw=wild),
}
for _kind, _read in (("Numeric", number), ("Date", moment)):
    for _name, _test in COMPARISONS.items():
        OPERATORS[_kind + _name] = Operator(compared(_read, _test), readable=_read)
    OPERATORS[_kind + "NotEquals"] = Operator(compared(_read, same), negated=True, readable=_read)
BY_LOWER_NAME = {name.lower(): operator for name, operator in OPERATORS.items()}


def conditions_hold(conditions: Json, version: str, context: Json) -> bool:
    return all(
        condition_holds(name, key, [text_of(item) for item in listed(wanted)], version, context)
        for name, keys in conditions.items()
        for key, wanted in keys.items()
    )


def condition_holds(name: str, key: str, wanted: list[str], version: str, context: Json) -> bool:
    actual = lookup(context, key)
    quantifier, _, bare = name.lower().rpartition(":")
    if bare == "null":
        return any((actual is None) == (want.lower() == "true") for want in wanted)
    if actual is None and bare.endswith("ifexists"):
        return True
    operator = BY_LOWER_NAME[bare.removesuffix("ifexists")]

    unreadable_matters = wanted if operator.negated else []

    def fits(value: str) -> bool:
        """Whether one actual value satisfies the operator: a negated one asks that no wanted value is met."""
        if operator.readable and None in [operator.readable(text) for text in (value, *unreadable_matters)]:
            return False
        met = any(meets(operator, value, want, version, context) for want in wanted)
        return met != operator.negated

    if quantifier == "forallvalues":
        return all(fits(value) for value in actual or [])
    if quantifier == "foranyvalue":
        return any(fits(value) for value in actual or [])
    if actual is None:
        return operator.negated
    return all(fits(value) for value in actual) if operator.negated else any(fits(value) for value in actual)


def meets(operator: Operator, actual: str, wanted: str, version: str, context: Json) -> bool:
    if not operator.variables:
        return operator.test(actual, wanted)
    expanded = expand(wanted, version, context, operator.raw)
    return expanded is not None and operator.test(actual, expanded)


# ---------------------------------------------------------------------------------------------- statements


def statements(policy: Json) -> Iterator[tuple[Json, str]]:
    for statement in listed(policy["Statement"]):
        yield statement, policy.get("Version", "2008-10-17")


def action_fits(statement: Json, action: str) -> bool:
    def among(patterns: Any) -> bool:
        return any(glob(wild(pattern.lower()), action.lower()) for pattern in listed(patterns))

    if "NotAction" in statement:
        return not among(statement["NotAction"])
    return among(statement["Action"])


def resource_fits(statement: Json, version: str, resource: str, context: Json) -> bool:
    def among(patterns: Any) -> bool:
        for pattern in listed(patterns):
            expanded = expand_resource(pattern, version, context)
            if expanded is not None and (expanded == ANY_RUN or arn_fits(expanded, resource)):
                return True
        return False

    if "NotResource" in statement:
        return not among(statement["NotResource"])
    # A role's trust policy names no resource: it speaks of its own role.
    return among(statement["Resource"]) if "Resource" in statement else True


def applies(statement: Json, version: str, request: Json, context: Json) -> bool:
    """Everything but the principal."""
    return (
        action_fits(statement, request["action"])
        and resource_fits(statement, version, request["resource"], context)
        and conditions_hold(statement.get("Condition", {}), version, context)
    )


# ---------------------------------------------------------------------------------------------- principals


def entries(element: Any) -> list[tuple[str, str]]:
    """The element's (type, value) pairs; `"*"` is `{"AWS": "*"}`."""
    if element == "*":
        return [("AWS", "*")]
    return [(kind, value) for kind, values in element.items() for value in listed(values)]


def how_named(kind: str, value: str, caller: Caller) -> str | None:
    """By what an entry names the caller: everyone, account, role, or the caller itself; None if it does not."""
    if kind == "AWS" and value == "*":
        return "everyone"
    if kind == "Service":
        return "itself" if caller.kind == "service" and caller.name == value else None
    if kind != "AWS" or caller.account is None:
        return None
    if value == caller.account or re.fullmatch(rf"arn:[^:]+:iam::{caller.account}:root", value):
        return "account"
    if value == caller.role:
        return "role"
    return "itself" if value == caller.name else None


def names(statement: Json, caller: Caller, *, bounded: bool) -> set[str]:
    """By what a statement reaches the caller; empty: it does not."""
    if "NotPrincipal" not in statement:
        return {how for entry in entries(statement.get("Principal", {})) if (how := how_named(*entry, caller))}
    spared = {how for entry in entries(statement["NotPrincipal"]) if (how := how_named(*entry, caller))}
    if statement["Effect"] == "Allow":
        return set() if spared else {"everyone"}
    # A deny spares only who is listed with all that stands behind it, and nobody who carries a boundary.
    behind = {
        "session": {"itself", "role", "account"},
        "role": {"itself", "role", "account"},  # never "itself": its session's name is not known
        "user": {"itself", "account"},
        "federated": {"itself", "account"},
        "root": {"account"},
        "service": {"itself"},
        "anonymous": {"everyone"},
    }[caller.kind]
    is_spared = "everyone" in spared or behind <= spared
    return set() if is_spared and not bounded else {"everyone"}


# -------------------------------------------------------------------------------------------------- layers

ALLOW, DENY, SILENT = "allow", "explicit_deny", "implicit_deny"
GRANTS = ("passes", "grants", "delegates")
"""What a bucket policy's Allow is worth in one account: it passes boundary and session policy, it grants within
them, or it hands the question on to the account's identity policies."""


def effect(policies: list[Json], request: Json, context: Json) -> str:
    """What policies without principals say, taken together."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement, version in statements(policy)
        if applies(statement, version, request, context)
    }
    return DENY if "Deny" in effects else ALLOW if "Allow" in effects else SILENT


def named_effect(
    policy: Json, request: Json, context: Json, reaches: Callable[[Json], set[str]]
) -> tuple[str, set[str]]:
    """What a policy with principals says, and by what names it allows."""
    allowed_by: set[str] = set()
    for statement, version in statements(policy):
        how = reaches(statement)
        if how and applies(statement, version, request, context):
            if statement["Effect"] == "Deny":
                return DENY, set()
            allowed_by |= how
    return (ALLOW if allowed_by else SILENT), allowed_by


@dataclass(frozen=True)
class World:
    """One reading of the unreadable layers: the kindest or the harshest."""

    kind: bool

    @property
    def unreadable(self) -> str:
        return ALLOW if self.kind else DENY


def documents(named: list[Json]) -> list[Json]:
    return [item["policy"] for item in named]


def limit(layer: str, policies: Json, world: World, request: Json, context: Json) -> str:
    """A permissions boundary or session policies: without one, nothing is limited."""
    given = policies.get(layer)
    if given is None:
        return ALLOW
    return world.unreadable if given == "unknown" else effect(documents(given), request, context)


def identity(policies: Json, caller: Caller, world: World, request: Json, context: Json) -> str:
    if caller.kind == "root":
        return ALLOW
    given = policies.get("identity") or []
    return world.unreadable if given == "unknown" else effect(documents(given), request, context)


def session(policies: Json, caller: Caller, world: World, request: Json, context: Json) -> str:
    if caller.kind == "federated" and policies.get("session") is None:
        return SILENT  # a federated user's session without a policy may do nothing by itself
    return limit("session", policies, world, request, context)


def service_control(policies: Json, caller: Caller, world: World, request: Json, context: Json) -> str:
    levels = policies.get("scps") or []
    exempt = policies.get("principal_in_management_account") or caller.linked
    if exempt or caller.account is None or not levels:
        return ALLOW
    if levels == "unknown":
        return world.unreadable
    said = [effect(documents(level["policies"]), request, context) for level in levels]
    return DENY if DENY in said else SILENT if SILENT in said else ALLOW


def resource_control(policies: Json, caller: Caller, world: World, request: Json, context: Json) -> str:
    levels = policies.get("rcps") or []
    if policies.get("resource_in_management_account") or caller.linked:
        return ALLOW
    if request["action"].lower() == "kms:retiregrant":
        return ALLOW
    if levels == "unknown":
        return world.unreadable
    said = {
        named_effect(policy, request, context, lambda _: {"everyone"})[0]  # an RCP's principal is always "*"
        for level in levels
        for policy in documents(level["policies"])
    }
    return DENY if DENY in said else ALLOW  # RCPFullAWSAccess is attached everywhere


def endpoint(policies: Json, caller: Caller, world: World, request: Json, context: Json) -> str:
    policy = policies.get("vpc_endpoint")
    if policy is None:
        return ALLOW
    if policy == "unknown":
        return world.unreadable

    def reaches(statement: Json) -> set[str]:
        how = names(statement, caller, bounded=False)
        if policies.get("endpoint_type") == "gateway" and caller.kind != "root":
            how -= {"account"}  # at a gateway endpoint an account's number means its root user alone
        return how

    return named_effect(policy, request, context, reaches)[0]


OWN_POLICY = ("s3:getbucketpolicy", "s3:putbucketpolicy", "s3:deletebucketpolicy")


def resource(policies: Json, caller: Caller, world: World, request: Json, context: Json) -> str:
    """DENY, SILENT or one of GRANTS."""
    owner_root = caller.kind == "root" and caller.account == request["resource_account"]
    keeps_policy = owner_root and request["action"].lower() in OWN_POLICY
    policy = policies.get("resource")
    if policy is None:
        return SILENT
    if policy == "unknown":
        return "passes" if world.kind or keeps_policy else DENY
    bounded = policies.get("permissions_boundary") is not None and caller.kind in ("user", "role", "session")
    if policies.get("permissions_boundary") == "unknown":
        bounded = not world.kind
    said, by = named_effect(policy, request, context, lambda statement: names(statement, caller, bounded=bounded))
    if said == DENY:
        return SILENT if keeps_policy else DENY
    if caller.kind == "user" and policies.get("session") is not None and "everyone" not in by:
        by = {"role" if how == "itself" else how for how in by}  # a user's temporary session is limited like a role's
    if by & {"everyone", "itself"}:
        return "passes"
    return "grants" if "role" in by else "delegates" if by else SILENT


# ------------------------------------------------------------------------------------- is the policy public

FIXED_KEYS = {
    "aws:principalorgid", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount",
    "s3:x-amz-server-side-encryption-aws-kms-key-id", "aws:userid", "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
}  # fmt: skip
FIXING = ("stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike")


def is_public(policy: Json) -> bool:
    return any(statement["Effect"] == "Allow" and not is_fixed(statement) for statement in listed(policy["Statement"]))


def is_fixed(statement: Json) -> bool:
    """Whether a statement grants to fixed principals only, or under a condition with fixed values only."""
    if "Principal" in statement and all("*" not in value for _, value in entries(statement["Principal"])):
        return True
    return any(
        fixes(name.lower(), key.lower(), [text_of(value) for value in listed(values)])
        for name, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def fixes(operator: str, key: str, values: list[str]) -> bool:
    bare = operator.removeprefix("foranyvalue:")
    if key == "aws:sourceip":
        return bare == "ipaddress" and all(narrow(value) for value in values)
    if key not in FIXED_KEYS or bare not in FIXING:
        return False
    if key == "s3:dataaccesspointarn":  # the access point's name may be a wildcard, its account may not
        values = [":".join(value.split(":", 5)[:5]) for value in values]
    return not any(re.search(r"[*?]|\$\{", value) for value in values)


def narrow(cidr: str) -> bool:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    if isinstance(network, ipaddress.IPv4Network):
        inside = any(network.subnet_of(ipaddress.IPv4Network(block)) for block in private)
        return network.prefixlen >= 8 and not inside
    return network.prefixlen >= 32


def public_block(policies: Json, caller: Caller, request: Json) -> str:
    """RestrictPublicBuckets: while the policy is public, nobody of another account gets in, services apart."""
    policy = policies.get("resource")
    if not (policies.get("block_public_access") or {}).get("restrict_public_buckets"):
        return ALLOW
    if policy in (None, "unknown") or caller.kind == "service" or caller.account == request["resource_account"]:
        return ALLOW
    return DENY if is_public(policy) else ALLOW


# ------------------------------------------------------------------------------------------------ decisions

EXPLICIT_ORDER = (
    "scp", "rcp", "vpc_endpoint", "resource", "block_public_access", "identity", "permissions_boundary", "session",
)  # fmt: skip


def evaluate(line: Json) -> Json:
    """The decision and the layer that decided a denial, for one input line of the decide format."""
    request, policies = line["request"], line.get("policies", {})
    kindest = decide(request, policies, World(kind=True))
    if kindest["decision"] == ALLOW and decide(request, policies, World(kind=False))["decision"] != ALLOW:
        return {"decision": "unknown", "layer": None}
    return kindest


def decide(request: Json, policies: Json, world: World) -> Json:
    caller = caller_of(request)
    context = full_context(request, caller)
    iam = caller.account is not None  # services and anonymous callers have no policies of their own
    said = {
        "scp": service_control(policies, caller, world, request, context),
        "rcp": resource_control(policies, caller, world, request, context),
        "vpc_endpoint": endpoint(policies, caller, world, request, context),
        "resource": resource(policies, caller, world, request, context),
        "block_public_access": public_block(policies, caller, request),
        "identity": identity(policies, caller, world, request, context) if iam else ALLOW,
        "permissions_boundary": ALLOW,
        "session": session(policies, caller, world, request, context) if iam else ALLOW,
    }
    if iam and caller.kind != "root":
        said["permissions_boundary"] = limit("permissions_boundary", policies, world, request, context)
    for layer in EXPLICIT_ORDER:
        if said[layer] == DENY:
            return {"decision": DENY, "layer": layer}
    lacking = first_lacking(said, caller, request)
    return {"decision": SILENT, "layer": lacking} if lacking else {"decision": ALLOW, "layer": None}


def first_lacking(said: dict[str, str], caller: Caller, request: Json) -> str | None:
    """The layer whose missing Allow refuses the request; None: nothing is missing."""
    for layer in ("scp", "vpc_endpoint"):
        if said[layer] == SILENT:
            return layer
    same_account = caller.account == request["resource_account"]
    granted = said["resource"] in GRANTS
    # Trust policies and key policies must allow even in one account.
    service = request["action"].lower().partition(":")[0]
    must_grant = not same_account or service == "kms" or (service == "sts" and ":role/" in request["resource"])
    enough = same_account and said["resource"] in ("passes", "grants")
    if not enough and said["identity"] == SILENT:
        return "identity"
    if must_grant and not granted:
        return "resource"
    if same_account and said["resource"] == "passes":
        return None
    return next((layer for layer in ("permissions_boundary", "session") if said[layer] == SILENT), None)
