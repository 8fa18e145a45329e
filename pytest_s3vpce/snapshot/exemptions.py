"""What a bucket's policy spares: for whom, what and when each deny does not hold, and the networks it lets in."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.claims.admitted import Admitted, Granted
from pytest_s3vpce.claims.encryptions import ENCRYPTION_KEYS
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.network.keys import NETWORK_KEYS, PRIVATE_IP, SOURCE_IP, TRANSPORT_KEYS
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.policy.conditions import OPERATORS, parse_operator
from pytest_s3vpce.policy.patterns import arn_parts
from pytest_s3vpce.snapshot.asking import asked
from pytest_s3vpce.snapshot.state import Unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_s3vpce.snapshot.state import Rows

AMBIENT: Final = "ambient"
"""The bound of what only such credentials meet."""
NEEDS_AMBIENT: Final = "which only a function's or an instance's own credentials carry: such cells need `ambient`"
_AMBIENT_KEYS: Final = (
    "lambda:SourceFunctionArn",
    "ec2:SourceInstanceARN",
    "ec2:RoleDelivery",
    "aws:Ec2InstanceSourceVpc",
    "aws:Ec2InstanceSourcePrivateIPv4",
)
"""Condition keys that only requests with a function's or an instance's own credentials carry.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html and
https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
"""
_CALLERS: Final = frozenset(
    {
        "aws:principalarn",
        "aws:principaltag",
        "aws:viaawsservice",
        "aws:principalisawsservice",
        "aws:principalservicename",
        "aws:calledvia",
        "aws:userid",
    }
)
"""Condition keys by which a deny spares somebody, whatever else it is about."""
_CONSTANT: Final = frozenset(
    {
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principaltype",
        "aws:requestedregion",
        "aws:resourceaccount",
        "aws:resourceorgid",
        "aws:resourceorgpaths",
        "aws:securetransport",
        "s3:resourceaccount",
        "s3:tlsversion",
    }
)
"""Keys that are the same in all requests of a caller's to a bucket, over TLS: whoever was tried met them or not."""
_DEPUTIES: Final = frozenset({"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths"})
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
_PURPOSES: Final = (
    NETWORK_KEYS,
    TRANSPORT_KEYS,
    ENCRYPTION_KEYS,
    frozenset({"s3:existingobjecttag"}),
    frozenset({"s3:signatureage"}),
)
"""What a deny may be about. Its other conditions spare somebody or something; where it is about two, each does."""
_EVERYTHING: Final = frozenset({"*", "s3:*"})
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")


def policy_text(s3: Any, bucket: str) -> str | None:
    """A bucket's policy, empty where it has none; None where it may not be read."""
    found = asked(lambda: str(s3.get_bucket_policy(Bucket=bucket)["Policy"]), absent=("NoSuchBucketPolicy",))
    return None if isinstance(found, Unread) else found or ""


def exemptions_of(text: str) -> tuple[Gap, ...] | None:
    """What the denies of a policy text spare; None where it can't be read.

    With them goes what only `ambient` credentials can meet, whether it allows or denies.
    """
    rows = _statements(text)
    if rows is None:
        return None
    denied = (gap for name, row in rows if row.get("Effect") == "Deny" for gap in _spared(name, row))
    return (*denied, *(Gap(sentence, bound=AMBIENT) for sentence in ambient_needs(text)))


def exemptions_under(levels: Iterable[Rows] | Unread, *, bucket: str) -> tuple[Gap, ...] | None:
    """As `exemptions_of`, of the resource control policies over a bucket: of those denies that may be about it.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps_syntax.html
    """
    if isinstance(levels, Unread):
        return None
    found: dict[Gap, None] = {}
    for policy in (row for level in levels for row in level):
        rows = _statements(json.dumps(policy.document)) or []
        named = policy.name.rpartition("/")[2]
        about = [{**row, "Sid": f"{name} of {named}"} for name, row in rows if _is_about(row, bucket)]
        found |= dict.fromkeys(exemptions_of(json.dumps({"Statement": about})) or ())
    return tuple(found)


def _is_about(row: Mapping[str, Any], bucket: str) -> bool:
    services = {text.lower().partition(":")[0] for text in _listed(row.get("Action", "*"))}
    names = {_VARIABLE.sub("*", _named(text)).partition("/")[0] for text in _listed(row.get("Resource", "*"))}
    return any(fnmatchcase("s3", text) for text in services) and any(fnmatchcase(bucket, text) for text in names)


def ambient_needs(text: str) -> tuple[str, ...]:
    """What in a policy text runner-made sessions never carry, a sentence for each statement and key."""
    return tuple(
        f"`{name}` asks for {key}, {NEEDS_AMBIENT}"
        for name, row in _statements(text) or ()
        for key in _AMBIENT_KEYS
        if key.lower() in json.dumps(row.get("Condition") or {}).lower()
    )


def admitted_of(text: str) -> tuple[Admitted, ...]:
    """The networks that a policy's denies spare; where none is about networks, those that its grants ask for."""
    rows = _statements(text) or []
    spared = tuple(_networks(rows, effect="Deny"))
    return spared or tuple(_networks(rows, effect="Allow"))


def grants_of(text: str) -> tuple[Granted, ...]:
    """Whom a policy's statements let in, principal by principal."""
    rows = _statements(text) or []
    bound = bool(denied_by(text) & NETWORK_KEYS)
    return tuple(
        Granted(
            name,
            principal,
            _granted(row),
            resources=tuple(_listed(row.get("Resource", ()))),
            where=_said(row),
            near=_near(row),
            scoped=_is_scoped(row),
            any_way=not bound and not _names_network(row),
        )
        for name, row in rows
        if row.get("Effect") == "Allow"
        for principal in _principals(row)
    )


def denied_by(text: str) -> frozenset[str]:
    """The condition keys by which a policy's denies tell requests apart, in lower case.

    But for the version of TLS where plain http, which has none, does not meet the condition.
    """
    denies = [row for _, row in _statements(text) or () if row.get("Effect") == "Deny"]
    rows = [(operator.lower(), _plain(full)) for row in denies for operator, full, _ in _written(row)]
    return frozenset(key for operator, key in rows if key != "s3:tlsversion" or operator.endswith("ifexists"))


def _names_network(row: Mapping[str, Any]) -> bool:
    """Whether an allow is met by named networks alone: not by requests without the key, nor by all but those named."""
    return any(_plain(full) in NETWORK_KEYS and _binds(operator) for operator, full, _ in _written(row))


def _binds(operator: str) -> bool:
    """Whether an operator is met by the values that it names alone, and not by a request without the key."""
    quantifier, name, if_exists = parse_operator(operator) or ("", "", False)
    return not (quantifier == "forallvalues" or name == "Null" or if_exists or _is_negated(operator))


def _said(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The conditions on what differs from request to request, and on networks that name none which it is to come from.

    But for its encryption, in which claims try every form.
    """
    known = {*ENCRYPTION_KEYS, *_CONSTANT}
    return tuple(
        f"{operator} {full} {', '.join(_names(value))}"
        for operator, full, value in _written(row)
        if (not _binds(operator) if _plain(full) in NETWORK_KEYS else _plain(full) not in known)
    )


def _near(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The networks that an allow names."""
    rows = [value for operator, full, value in _written(row) if _plain(full) in NETWORK_KEYS and _binds(operator)]
    return tuple(one for value in rows for one in _names(value))


def _is_scoped(row: Mapping[str, Any]) -> bool:
    return any(_plain(full) in _DEPUTIES and _binds(operator) for operator, full, _ in _written(row))


def _granted(row: Mapping[str, Any]) -> tuple[str, ...]:
    if "NotAction" in row:
        return (f"everything but {', '.join(_listed(row['NotAction']))}",)
    return tuple(_listed(row.get("Action", "*")))


def _principals(row: Mapping[str, Any]) -> Iterator[str]:
    """As they are written; all accounts but some are nobody's name."""
    if "NotPrincipal" in row:
        yield f"everybody but {', '.join(_names(row['NotPrincipal']))}"
    written = row.get("Principal", ())
    rows = [value for values in written.values() for value in _listed(values)] if isinstance(written, dict) else written
    yield from _listed(rows)


def _networks(rows: Iterable[tuple[str, Mapping[str, Any]]], *, effect: str) -> Iterator[Admitted]:
    for name, row in rows:
        if row.get("Effect") != effect:
            continue
        for operator, full, value in _written(row):
            asks = _plain(full) in NETWORK_KEYS and operator.lower() != "null"
            if asks and _is_negated(operator) is (effect == "Deny"):
                yield from (Admitted(name, full, one) for one in _listed(value))


def _statements(text: str) -> list[tuple[str, Mapping[str, Any]]] | None:
    """Each statement with what it is called."""
    if not text:
        return []
    try:
        found = json.loads(text)["Statement"]
    except (ValueError, KeyError, TypeError):
        return None
    rows = [found] if isinstance(found, dict) else found
    return [(row.get("Sid") or f"statement {number}", row) for number, row in enumerate(rows)]


def _written(row: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Operator, key and values of each condition."""
    for operator, keys in (row.get("Condition") or {}).items():
        for key, value in keys.items():
            yield operator, key, value


def _plain(key: str) -> str:
    """A condition key in lower case, without the name of a tag."""
    return key.lower().split("/")[0]


def _is_negated(operator: str) -> bool:
    _, name, _ = parse_operator(operator) or ("", "", False)
    return name in OPERATORS and OPERATORS[name].negated


def _shuts_all_else(operator: str, key: str) -> bool:
    """Whether a deny by it holds for all but the values it names, and for requests without the key.

    An operator of another type than the key's can't read its values, and then holds for none of them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    quantifier, name, if_exists = parse_operator(operator) or ("", "", False)
    fits = name.startswith(("String", "Arn")) or (name == "NotIpAddress" and key in (SOURCE_IP, PRIVATE_IP))
    return fits and _is_negated(operator) and (if_exists or quantifier != "foranyvalue")


def _is_plain_http(operator: str, value: Any) -> bool:
    """Whether plain http meets a condition on aws:SecureTransport, and nothing else does."""
    return {text.lower() for text in _names(value)} == {"true" if _is_negated(operator) else "false"}


def _spared(name: str, row: Mapping[str, Any]) -> Iterator[Gap]:
    keys = {_plain(key) for _, key, _ in _written(row)}
    purposes = [group for group in _PURPOSES if group & keys]
    for element in ("NotPrincipal", "NotAction", "NotResource"):
        if element in row:
            yield Gap(f"`{name}` spares {element}", _names(row[element]), element.lower())
    if "Principal" in row and not _is_everybody(row["Principal"]):
        yield Gap(f"`{name}` holds only for Principal", _names(row["Principal"]), "principal")
    actions = _listed(row.get("Action", "*"))
    if purposes != [ENCRYPTION_KEYS] and not _EVERYTHING & {text.lower() for text in actions}:
        yield Gap(f"`{name}` holds only for", _names(actions), "action")
    if "Resource" in row and not _is_whole(_listed(row["Resource"]), actions):
        yield Gap(f"`{name}` holds only on", _names(row["Resource"]), "resource")
    about = purposes[0] if len(purposes) == 1 else frozenset()
    if not purposes and len(keys - _CALLERS) == 1:
        about = frozenset(keys - _CALLERS)
    for operator, full, value in _written(row):
        key = _plain(full)
        bound = key in NETWORK_KEYS and not _shuts_all_else(operator, key)
        bound |= key == "aws:securetransport" and not _is_plain_http(operator, value)
        if key in _CALLERS or key not in about or bound:
            yield Gap(f"`{name}` holds only where {operator} {full}", _names(value), key)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value]


def _is_everybody(principal: Any) -> bool:
    if isinstance(principal, dict):
        return any("*" in _listed(value) for key, value in principal.items() if key == "AWS")
    return bool(principal == "*")


def _is_whole(resources: list[str], actions: list[str]) -> bool:
    """Whether a bucket's objects and the bucket itself are meant, as far as the actions are about them."""
    names = [_named(text) for text in resources]
    on_objects, on_buckets = _abouts(tuple(actions))
    objects = any(name == "*" or name.partition("/")[2] == "*" or _ends_open(name) for name in names)
    buckets = any("/" not in name for name in names)
    return (objects or not on_objects) and (buckets or not on_buckets)


def _named(resource: str) -> str:
    """The bucket of an ARN, with the key that may follow; there may be colons in that."""
    return (arn_parts(resource) or [resource])[-1]


def _ends_open(name: str) -> bool:
    """`reports*` is the bucket and all that is in it."""
    return "/" not in name and name.endswith("*")


@cache
def _abouts(actions: tuple[str, ...]) -> tuple[bool, bool]:
    """Whether the actions are about objects, and about buckets."""
    rows = [
        row for row in OPERATIONS.values() if any(fnmatchcase(row.actions[0].lower(), text.lower()) for text in actions)
    ]
    return any(row.on_object for row in rows), any(not row.on_object for row in rows)


def _names(value: Any) -> tuple[str, ...]:
    """Values as they are written, so that one that is added is another name."""
    rows = value if isinstance(value, list) else [value]
    return tuple(row if isinstance(row, str) else json.dumps(row) for row in rows)
