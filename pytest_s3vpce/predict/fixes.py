"""The fix of a cell that did not give what was expected, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.network.path import Dropped, Path
from pytest_s3vpce.policy.conditions import OPERATORS
from pytest_s3vpce.predict.culprits import NETWORK, Subject, irrelevance, is_for_others
from pytest_s3vpce.snapshot.state import Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.network.topology import Endpoint
    from pytest_s3vpce.policy.conditions import Condition
    from pytest_s3vpce.predict.culprits import Miss, Suspect
    from pytest_s3vpce.predict.judging import Prediction
    from pytest_s3vpce.snapshot.state import Snapshot

_DROPS: Final[tuple[tuple[str, str], ...]] = (
    ("DNS support", "turn DNS support of the VPC on"),
    ("no egress rule", "add an egress rule for port {port} to S3's prefix list, or to the endpoint's addresses"),
    ("no ingress rule", "add an ingress rule for port {port} from {vantage} to the endpoint's security group"),
    ("network ACL", "let S3's ranges through it: port {port} out, ports 1024 to 65535 back in"),
    ("black hole", "replace the route whose target is gone"),
    ("no public address", "send through a NAT gateway or an S3 endpoint: the interface can't use an internet gateway"),
    ("not attached", "attach the internet gateway to the VPC"),
    ("NAT gateway", "mend the NAT gateway, or associate the route table with an S3 gateway endpoint"),
    ("no route table", "give the subnet a route table"),
    ("no route to it", "associate the route table with an S3 gateway endpoint, or add a route to a NAT gateway"),
    ("does not resolve", "use a host name that resolves there"),
    ("no endpoint with the name", "correct the endpoint's host name"),
    ("peering", "mend the peering connection and the routes by it"),
)
"""Words of a path's reason, and what mends it."""
_LAYERS: Final[Mapping[str, str]] = {
    "scp": "in a service control policy of every level above {principal}'s account",
    "vpc_endpoint": "in the {policy}",
    "identity": "in an identity policy of {principal}",
    "resource": "in the bucket policy of {bucket}",
    "permissions_boundary": "in the permissions boundary of {principal}",
    "session": "in the session policy of {principal}",
    "kms": "in the key policy, or in an identity policy of {principal} where the key policy delegates to the account",
    "acl": "in the bucket policy of {bucket}",
}
_DENIES: Final[Mapping[Subject, str]] = {
    Subject.WAY: "add a deny of {actions} on the bucket and its objects to the bucket policy of {bucket}, "
    "StringNotEquals aws:SourceVpce: this request came by {through}",
    Subject.HTTP: "add a deny of s3:* to the bucket policy of {bucket} where Bool aws:SecureTransport is false",
    Subject.VERSION: "add a deny of s3:* to the bucket policy of {bucket} where NumericLessThan s3:TlsVersion 1.3",
    Subject.ENCRYPTION: "add a deny of {action} to the bucket policy of {bucket} for other values of "
    "s3:x-amz-server-side-encryption than are meant",
    Subject.TAGS: "add a deny of {action} to the bucket policy of {bucket} where the object's tag "
    "(s3:ExistingObjectTag/...) is another than the caller's (${{aws:PrincipalTag/...}}), or none",
    Subject.AGE: "add a deny of s3:* to the bucket policy of {bucket} where NumericGreaterThan s3:signatureAge",
    Subject.CALLER: "add a deny of {action} to the bucket policy of {bucket}, ArnNotEquals aws:PrincipalArn of those "
    "who may: {caller} is none of them",
}
"""The deny that is missing, by what it should be about."""
_SWAPS: Final[Mapping[str, str]] = {
    "StringEquals": "StringNotEquals",
    "StringLike": "StringNotLike",
    "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase",
    "ArnEquals": "ArnNotEquals",
    "ArnLike": "ArnNotLike",
    "IpAddress": "NotIpAddress",
}
_BACK: Final = {negated: plain for plain, negated in _SWAPS.items()}


def of_drop(prediction: Prediction) -> str:
    """Where the network lets nothing through."""
    assert prediction.way is not None
    assert isinstance(prediction.way.path, Dropped)
    reason = prediction.way.path.reason
    port = "80" if prediction.cell.transport.scheme == "http" else "443"
    found = next((remedy for words, remedy in _DROPS if words in reason), f"open this way: {reason}")
    return found.format(port=port, vantage=prediction.cell.vantage)


def of_deny(prediction: Prediction, deny: Suspect, snapshot: Snapshot) -> str:
    """Where a deny matched that should not: by the condition that is about how the request came."""
    conditions = deny.conditions
    if prediction.layer == "block_public_access":
        return f"name accounts or roles in Principal of `{deny.statement.name}`: `*` makes the policy public"
    if deny.statement.not_principals is not None:
        return (
            f"write Principal `*` in `{deny.statement.name}`, and spare roles by ArnNotEquals aws:PrincipalArn: "
            "NotPrincipal takes a role's sessions for others"
        )
    if not conditions:
        what = f"{prediction.action} on {prediction.resource}"
        return f"take {what} out of `{deny.statement.name}`, or spare {prediction.cell.principal} by a condition"
    return _of_condition(prediction, deny, conditions[0], snapshot)


def _of_condition(prediction: Prediction, deny: Suspect, condition: Condition, snapshot: Snapshot) -> str:
    name, key = f"`{deny.statement.name}`", condition.shown
    actual = deny.asked.values.get(condition.key, ())
    wanted = ", ".join(condition.wanted)
    shown = ", ".join(actual)
    if any("${" in value for value in condition.wanted) and condition.keys == {condition.key}:
        return f"give the {deny.policy} Version 2012-10-17: in an older one {wanted} is a text, and no variable"
    if condition.key == "aws:securetransport":
        return f"send it over https: {name} denies plain http"
    if condition.name in _SWAPS:
        return (
            f"write {_swapped(condition, _SWAPS)} for {condition.written} in {name}: as it is, it denies just {wanted}"
        )
    if condition.key.startswith(("aws:sourcevpc", "aws:vpc")) and condition.name in _BACK:
        return _of_place(prediction, name, condition, snapshot, actual=shown)
    if condition.key == "aws:sourceip" and not actual:
        return f"requests by an endpoint carry no aws:SourceIp: spare the endpoint in {name} by aws:SourceVpce as well"
    if condition.key.startswith("s3:x-amz-server-side-encryption"):
        return f"write with {key} {wanted}, as {name} demands"
    if condition.name in _BACK:
        return f"add {shown or 'what this request carries'} to {key} of {name}"
    return f"change {condition.written} {key} of {name}, which {shown or 'its absence'} meets"


def _swapped(condition: Condition, table: Mapping[str, str]) -> str:
    return condition.written.replace(condition.name, table[condition.name])


def _of_place(prediction: Prediction, name: str, condition: Condition, snapshot: Snapshot, *, actual: str) -> str:
    """A deny for all that does not come from a named endpoint or VPC."""
    way, cell = prediction.way, prediction.cell
    endpoints = [
        row
        for network in snapshot.networks
        if not isinstance(network.topology, Unread)
        for row in network.topology.endpoints
    ]
    ours = [row for row in endpoints if way is not None and row.vpc_id == way.vpc]
    known = {row.id for row in endpoints} | {row.vpc_id for row in endpoints}
    wrong = [value for value in condition.wanted if value not in known and "*" not in value]
    if actual:
        again = f" in place of {', '.join(wrong)}, which the snapshot does not know" if wrong else ""
        return f"write {actual} into {condition.shown} of {name}{again}"
    named = [row for row in ours if {row.id, row.vpc_id} & set(condition.wanted)]
    if named and way is not None and ":" in (getattr(way.path, "public_ip", None) or ""):
        return f"use a host name without dual-stack: {named[0].id} routes IPv4 alone, and this request went by IPv6"
    if named:
        return f"{_route(named[0], cell.vantage)}: now {cell.vantage} goes by no endpoint"
    if wrong and ours:
        return f"write {ours[0].id} for {', '.join(wrong)} in {name}, and {_route(ours[0], cell.vantage)}"
    return f"send it through {', '.join(condition.wanted)}: {cell.vantage} goes by no endpoint"


def _route(endpoint: Endpoint, vantage: str) -> str:
    if endpoint.kind.value == "gateway":
        return f"associate the route table of {vantage} with {endpoint.id}"
    return f"turn private DNS of {endpoint.id} on, or use its own host name"


def of_silence(prediction: Prediction, near: Suspect | None, *, bucket: str, policy: str) -> str:
    """Where a layer allows nothing."""
    if near is not None and len(near.misses) == 1:
        return of_miss(near, near.misses[0])
    where = _LAYERS.get(prediction.layer or "", "").format(
        principal=prediction.cell.principal, bucket=bucket, policy=policy
    )
    return f"allow {prediction.action} on {prediction.resource} {where}".rstrip()


def of_miss(row: Suspect, miss: Miss) -> str:
    """What to change of a statement so that it matches."""
    name, statement = f"`{row.statement.name}`", row.statement
    element = miss.element
    if miss.condition is not None:
        return _of_missed_condition(row, miss.condition)
    actual = {"Principal": row.asked.caller.text, "Action": row.asked.written, "Resource": row.asked.resource}
    value = actual[element.removeprefix("Not")]
    if element.startswith("Not"):
        return f"narrow {element} of {name}: it takes {value} in"
    if element == "Principal" and statement.deny:
        return f'write "Principal": "*" in {name}, so that it takes in {value}'
    if element == "Resource" and statement.deny and "/" in value:
        value = f"{value.partition('/')[0]}/*"  # all objects are meant, not the one that was asked for
    return f"add {value} to {element} of {name}"


def _of_missed_condition(row: Suspect, condition: Condition) -> str:
    name = f"`{row.statement.name}`"
    actual = ", ".join(row.asked.values.get(condition.key, ()))
    deny = row.statement.deny
    if deny and condition.name in _SWAPS and condition.key.startswith("s3:x-amz-server-side-encryption"):
        wanted = ", ".join(condition.wanted)
        return f"write {_swapped(condition, _SWAPS)} and what is meant in {name}: as it is, it denies just {wanted}"
    if deny and condition.name in _SWAPS:
        return f"write {_swapped(condition, _SWAPS)} for {condition.written} in {name}"
    if deny and condition.name == "Bool" and not actual and not condition.if_exists:
        return f"write {condition.written}IfExists for {condition.written} in {name}: {condition.shown} is absent"
    if deny and _beside_a_path(row, condition):
        return f"give {condition.shown} a deny of its own: in {name} all conditions must be met for one to deny"
    if deny and condition.name in _BACK and any("*" in value for value in condition.wanted) and actual:
        what = "ARNs" if condition.key.endswith("arn") else "ids"
        return f"write the {what} that are meant into {condition.shown} of {name} for {', '.join(condition.wanted)}"
    if deny and condition.name in _BACK and actual:
        return f"take {actual} out of {condition.shown} of {name}, which spares it"
    if not actual and condition.if_exists and deny:
        return f"write {condition.written.removesuffix('IfExists')} in {name}, so that absence counts"
    if not actual:
        return f"let {name} match requests without {condition.shown}: {condition.written} needs the key"
    if condition.name in OPERATORS and not OPERATORS[condition.name].negated:
        return f"add {actual} to {condition.shown} of {name}"
    return f"let {condition.written} {condition.shown} of {name} match {actual}"


def _beside_a_path(row: Suspect, condition: Condition) -> bool:
    """Whether a condition that is no exemption stands beside one about the network, which is met."""
    met = [other for other in row.statement.conditions if other is not condition and other.holds(row.asked.values)]
    return condition.key in ("aws:securetransport", "aws:principalaccount") and any(
        other.key.startswith(NETWORK) for other in met
    )


def _lacks_if_exists(row: Suspect) -> bool:
    """Whether a deny fails by one Bool alone, whose key is absent: it was to take those in who show nothing."""
    condition = row.misses[0].condition if len(row.misses) == 1 else None
    return condition is not None and condition.name == "Bool" and not condition.if_exists and not _seen(row, condition)


def _seen(row: Suspect, condition: Condition) -> tuple[str, ...]:
    return row.asked.values.get(condition.key, ())


def of_grant(prediction: Prediction, allow: Suspect) -> str:
    """Where a statement allows too much."""
    who = allow.asked.caller.text
    for condition in allow.statement.conditions:
        if condition.quantifier == "forallvalues" and not allow.asked.values.get(condition.key):
            return f"take ForAllValues out of `{allow.statement.name}`: it is true where {condition.shown} is absent"
    return f"narrow `{allow.statement.name}` of the {allow.policy}: it lets {who} {prediction.action}"


def of_hole(
    prediction: Prediction,
    missed: Suspect | None,
    allow: Suspect | None,
    *,
    subject: Subject,
    gate: Suspect | None = None,
) -> str:
    """Where something is allowed that should not be; `gate` is what the endpoint's policy allows it by."""
    decision, cell = prediction.decision, prediction.cell
    assert decision is not None
    foreign = not decision.case.asked.same
    near = None if missed is None else irrelevance(missed, cell, subject)
    if missed is not None and (near == 0 or (missed.about_encryption and near == 1)):
        return "; and ".join(of_miss(missed, miss) for miss in missed.misses[:2])
    if missed is not None and _lacks_if_exists(missed):
        return of_miss(missed, missed.misses[0])
    if foreign and allow is not None:
        fix = of_grant(prediction, allow)
        beside = subject is Subject.WAY and gate not in (None, allow)
        return f"{fix}; or narrow `{gate.statement.name}` of the {gate.policy}" if beside and gate is not None else fix
    path = prediction.way.path if prediction.way is not None else None
    through = path.endpoint.id if isinstance(path, Path) and path.endpoint is not None else "no endpoint"
    bound = missed is not None and is_for_others(missed, subject)
    return _DENIES[subject].format(
        bucket=cell.target.bucket,
        through=through,
        caller=decision.case.asked.caller.text,
        action=prediction.action,
        actions=prediction.action if bound else "s3:*",
    )
