"""A second, naive evaluator: what a request of the decide format leads to, straight from the raw JSON.

It exists to disagree with `pytest_s3vpce.policy`: it was written from AWS's documentation without reading that
package, has no compile step and no cache, and prefers the words of the documentation to speed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.naive.caller import caller_of, full_context
from tests.naive.layers import Asked, identity, permissions_boundary, rcp, scp, session, vpc_endpoint
from tests.naive.owner import at_key, block_public_access, on_access_point, resource
from tests.naive.statements import ALLOW, DENY, SILENT

if TYPE_CHECKING:
    from tests.naive.patterns import Json


def evaluate(line: Json) -> Json:
    """The decision and the layer that decided a denial, for one input line of the decide format."""
    kindest = decide(line, kindest=True)
    if kindest["decision"] == ALLOW and decide(line, kindest=False)["decision"] != ALLOW:
        return {"decision": "unknown", "layer": None}
    return kindest


def decide(line: Json, *, kindest: bool) -> Json:
    request = line["request"]
    caller = caller_of(request)
    asked = Asked(
        action=request["action"],
        resource=request["resource"],
        owner=request["resource_account"],
        caller=caller,
        context=full_context(request, caller),
        policies=line.get("policies", {}),
        kindest=kindest,
    )
    answers = [answered(asked)]
    if of_key := at_key(asked):
        decision, layer = answered(of_key)
        answers.append((decision, layer and "kms"))
    for wanted in (DENY, SILENT):  # explicit beats implicit; what S3 itself says is named before what KMS says
        for decision, layer in answers:
            if decision == wanted:
                return {"decision": decision, "layer": layer}
    return {"decision": ALLOW, "layer": None}


def answered(asked: Asked) -> tuple[str, str | None]:
    said = {  # in the order in which explicit denies are named
        "scp": scp(asked),
        "rcp": rcp(asked),
        "vpc_endpoint": endpoint(asked),
        "resource": resource(asked),
        "block_public_access": block_public_access(asked),
        "identity": identity(asked),
        "permissions_boundary": permissions_boundary(asked),
        "session": session(asked),
    }
    layer = next((layer for layer, effect in said.items() if effect == DENY), None)
    if layer:
        return DENY, named(layer, asked)
    layer = first_lacking(said, asked)
    return (SILENT, named(layer, asked)) if layer else (ALLOW, None)


def named(layer: str, asked: Asked) -> str:
    """A key's policy is a resource policy with a name of its own."""
    of_key = layer == "resource" and asked.action.lower().startswith("kms:") and asked.policies.get("key") is not None
    return "kms" if of_key else layer


def endpoint(asked: Asked) -> str:
    """An endpoint's policy must allow both the access point and the bucket behind it."""
    said = {vpc_endpoint(asked)}
    if asked.policies.get("access_point") is not None:
        said.add(vpc_endpoint(asked.of(on_access_point(asked))))
    return DENY if DENY in said else SILENT if SILENT in said else ALLOW


def first_lacking(said: dict[str, str], asked: Asked) -> str | None:
    """The layer whose missing Allow refuses the request; None: nothing is missing."""
    for layer in ("scp", "vpc_endpoint"):
        if said[layer] == SILENT:
            return layer
    # Trust policies and key policies must allow even in one account.
    service = asked.action.lower().partition(":")[0]
    on_key = service == "kms" and asked.resource != "*"
    must_grant = not asked.within_account or on_key or (service == "sts" and ":role/" in asked.resource)
    enough = asked.within_account and said["resource"] in ("passes", "grants")
    if not enough and said["identity"] == SILENT:
        return "identity"
    if must_grant and said["resource"] == SILENT:
        return "resource"
    if asked.within_account and said["resource"] == "passes":
        return None
    return next((layer for layer in ("permissions_boundary", "session") if said[layer] == SILENT), None)
