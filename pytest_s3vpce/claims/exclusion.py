"""Whether the VPC endpoint can be excluded as the cause of a denial that names no layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_s3vpce.claims.findings import path_read
from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.model import Layer, Transport
from pytest_s3vpce.operations import Check, checks, context, operation
from pytest_s3vpce.policy import UNKNOWN, Policies, Request, decide, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.claims.setting import EndpointFacts, Results, Setting
    from pytest_s3vpce.probe import Probe


def endpoint_exclusion(setting: Setting, results: Results) -> Callable[[Probe], str | None]:
    """A function from a denied probe to the sentence that excludes its endpoint, or None where nothing does."""

    def excluded(probe: Probe) -> str | None:
        vantage = probe.cell.vantage
        candidates = setting.vantage_endpoints.get(vantage, ())
        read = path_read(setting, results, vantage, candidates=candidates)
        if read is None:
            return None
        if not read:
            return f"{vantage} reaches S3 through no endpoint"
        facts = setting.endpoints.get(read)
        if facts is None or facts.policy is None or not policy_allows(setting, facts, probe):
            return None
        return f"the policy of {read} allows it"

    return excluded


def policy_allows(setting: Setting, endpoint: EndpointFacts, probe: Probe) -> bool:
    """Whether the endpoint's policy, as read, allows everything that the probe asks for.

    False as well where the policy reads a condition key whose value here is not known: absent and unknown differ.
    """
    cell = probe.cell
    bucket = setting.buckets[cell.target.bucket]
    row = operation(cell.operation)
    known = {
        **context(row, cell.parameters),
        "aws:SourceVpce": endpoint.id,
        "aws:SourceVpc": endpoint.vpc,
        "aws:VpceAccount": endpoint.account_id,
        "aws:SecureTransport": "false" if cell.transport is Transport.HTTP else "true",
    }
    asked = [*checks(row, cell.parameters)]
    if row.safe is not None:
        asked += [Check(helper.action, helper.resource) for helper in row.safe.helpers]
    facts = setting.principals[cell.principal]
    who = "anonymous" if facts.anonymous else facts.arn
    if who is None:
        return False
    try:
        document = parse(endpoint.policy or "", name=endpoint.id)
        if not document.keys <= _derived(known):
            return False
        policies = Policies(
            identity=UNKNOWN, resource=UNKNOWN, vpc_endpoint=document, endpoint_type=endpoint.type.lower()
        )
        return all(
            decide(
                Request(
                    action=check.action,
                    resource=bucket.arn(check),
                    resource_account=bucket.account_id,
                    principal=who,
                    context=known,
                ),
                policies,
            ).layers.get(Layer.VPC_ENDPOINT)
            == "allow"
            for check in asked
        )
    except PolicyError:
        return False


def _derived(known: dict[str, Any]) -> set[str]:
    derived = ("aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:resourceaccount")
    return {key.lower() for key in known} | {*derived, "s3:resourceaccount"}
