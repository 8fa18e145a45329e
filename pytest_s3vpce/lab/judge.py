"""The lab's one place of decision: collects what applies to a request and asks the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_s3vpce.policy import Decision, Document, Policies, Request, decide, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.network.topology import Endpoint

_OPEN = '{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}'
"""The policy of an endpoint that was given none: https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html"""


@lru_cache(maxsize=4096)
def _document(text: str, name: str) -> Document:
    return parse(text, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An action on a resource: whose it is, its own policy, and what the request carries."""

    action: str
    resource: str
    owner: str
    resource_policy: str | None
    restricts_public: bool = False
    """Whether RestrictPublicBuckets is on for it."""
    endpoint: Endpoint | None = None
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


class Judge:
    """Decides. Policies are read at each decision and parsed once for each text."""

    def __init__(self, state: State) -> None:
        self._state = state

    def decide(self, caller: Caller, question: Question) -> Decision:
        """The engine's decision under everything that applies to this caller and resource."""
        request = Request(
            action=question.action,
            resource=question.resource,
            resource_account=question.owner,
            principal=caller.arn,
            context={**question.context, **_principal_keys(caller)},
        )
        return decide(request, self._policies(caller, question))

    def _policies(self, caller: Caller, question: Question) -> Policies:
        endpoint = question.endpoint
        boundary = None if caller.bearer is None else self._state.boundary(caller.bearer)
        return Policies(
            identity=self._identity(caller),
            permissions_boundary=None if boundary is None else (_document(boundary[1], boundary[0]),),
            session=None
            if caller.session_policies is None
            else tuple(_document(text, "session policy") for text in caller.session_policies),
            resource=None if question.resource_policy is None else _document(question.resource_policy, "resource"),
            restrict_public_buckets=question.restricts_public,
            vpc_endpoint=None if endpoint is None else _document(endpoint.policy or _OPEN, endpoint.id),
            endpoint_type=None if endpoint is None else endpoint.kind.value,
        )

    def _identity(self, caller: Caller) -> tuple[Document, ...]:
        if caller.anonymous or caller.is_root or caller.bearer is None:
            return ()
        if caller.bearer.endswith(":root"):
            return (_document(_OPEN, "root"),)  # a federated session of the root user's
        found = self._state.identity_policies(caller.bearer) or ()
        return tuple(_document(text, name) for name, text in found)


def _principal_keys(caller: Caller) -> dict[str, str]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    if caller.anonymous:
        return {}
    named = {
        "aws:PrincipalIsAWSService": "false",
        "aws:PrincipalArn": caller.principal_arn,
        "aws:userid": caller.userid,
        "aws:username": caller.username,
        "aws:SourceIdentity": caller.source_identity,
    }
    if caller.issued_at is not None:
        named["aws:TokenIssueTime"] = caller.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        named["aws:MultiFactorAuthPresent"] = "false"
    found = {key: value for key, value in named.items() if value is not None}
    return found | {f"aws:PrincipalTag/{name}": value for name, value in caller.tags}
