"""S3 Control as the lab serves it: access points and an account's Block Public Access, each call authorised.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_AWS_S3_Control.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.lab import accesspoints, s3public
from pytest_s3vpce.lab.denials import s3_blocked, s3_denial
from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.refused import Refused, not_served
from pytest_s3vpce.lab.s3answers import answered
from pytest_s3vpce.lab.s3forms import element
from pytest_s3vpce.lab.s3words import invalid_request
from pytest_s3vpce.markup import below, elements
from pytest_s3vpce.policy import parse

if TYPE_CHECKING:
    from pytest_s3vpce.lab.accesspoints import AccessPoint
    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.visit import Visit
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_ROOT: Final = "/v20180820"
_NAMESPACE: Final = "http://awss3control.amazonaws.com/doc/2018-08-20/"
_ACCOUNT_HOST: Final = re.compile(r"(?P<account>\d{12})\.(?:s3-control|control\.vpce-)")
_ACTIONS: Final[tuple[tuple[str, str, str], ...]] = (
    ("GET", "/accesspoint", "ListAccessPoints"),
    ("PUT", "/accesspoint/{name}", "CreateAccessPoint"),
    ("GET", "/accesspoint/{name}", "GetAccessPoint"),
    ("DELETE", "/accesspoint/{name}", "DeleteAccessPoint"),
    ("PUT", "/accesspoint/{name}/policy", "PutAccessPointPolicy"),
    ("GET", "/accesspoint/{name}/policy", "GetAccessPointPolicy"),
    ("DELETE", "/accesspoint/{name}/policy", "DeleteAccessPointPolicy"),
    ("GET", "/accesspoint/{name}/policyStatus", "GetAccessPointPolicyStatus"),
    ("GET", "/configuration/publicAccessBlock", "GetAccountPublicAccessBlock"),
    ("PUT", "/configuration/publicAccessBlock", "PutAccountPublicAccessBlock"),
    ("DELETE", "/configuration/publicAccessBlock", "PutAccountPublicAccessBlock"),
    ("GET", "/tags/{arn}", "ListTagsForResource"),
    ("POST", "/tags/{arn}", "TagResource"),
    ("DELETE", "/tags/{arn}", "UntagResource"),
    ("GET", "/storagelens", "ListStorageLensConfigurations"),
    ("GET", "/storagelens/{lens}", "GetStorageLensConfiguration"),
    ("PUT", "/storagelens/{lens}", "PutStorageLensConfiguration"),
    ("DELETE", "/storagelens/{lens}", "DeleteStorageLensConfiguration"),
    ("GET", "/storagelens/{lens}/tagging", "GetStorageLensConfigurationTagging"),
    ("PUT", "/storagelens/{lens}/tagging", "PutStorageLensConfigurationTagging"),
)
"""Method, path and action: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"""


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    names = {"arn": ".+"}
    text = "".join(f"(?P<{part}>{names.get(part, '[^/]+')})" if at % 2 else part for at, part in enumerate(parts))
    return re.compile(text)


_ROUTES: Final = tuple((method, _pattern(path), action) for method, path, action in _ACTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    action: str
    account: str
    resource: str
    point: AccessPoint | None
    name: str | None


class S3Control:
    """One instance serves all accounts."""

    def __init__(self, state: State, judge: Judge) -> None:
        self._state = state
        self._judge = judge

    def handle(self, visit: Visit) -> HttpResponse:
        """The answer to a verified request; Refused where it is denied, wrong or not served."""
        request, caller = visit.request, visit.caller
        asked = self._asked(request, caller, region=visit.region)
        question = Question(
            action=f"s3:{asked.action}",
            resource=asked.resource,
            owner=asked.account,
            resource_policy=None,
            endpoint=visit.path.endpoint,
            context={**visit.keys(), **_point_keys(asked, request)},
        )
        decision = self._judge.decide(caller, question)
        visit.note.update(operation=asked.action)
        visit.decided(question.action, decision)
        relation = self._judge.relation(caller, asked.account)
        if not decision.allowed:
            raise s3_denial(decision, caller=caller, action=question.action, resource=asked.resource, relation=relation)
        if asked.action == "PutAccessPointPolicy" and asked.point is not None:
            reason = self._refused_policy(request.body, asked.point)
            if reason is not None:
                raise s3_blocked(
                    reason, caller=caller, action=question.action, resource=asked.resource, relation=relation
                )
        if asked.action == "GetAccessPointPolicyStatus" and asked.point is not None:
            return _policy_status(asked.point)
        return self._state.call("s3control", request, account=asked.account, region=visit.region)

    def _asked(self, request: HttpRequest, caller: Caller, *, region: str) -> _Asked:
        path = request.target.partition("?")[0].removeprefix(_ROOT).rstrip("/")
        fits = ((pattern.fullmatch(path), action) for method, pattern, action in _ROUTES if method == request.method)
        match, action = next(((match, action) for match, action in fits if match), (None, ""))
        if match is None:
            raise not_served("s3control")
        host = _ACCOUNT_HOST.match(request.host)
        account = request.header("x-amz-account-id") or (host["account"] if host else caller.account or "")
        if not re.fullmatch(r"\d{12}", account, re.ASCII):
            raise invalid_request("AccountId must be 12 digits")
        named = {name: unquote(value) for name, value in match.groupdict().items()}
        name, resource, point = named.get("name"), named.get("arn", "*"), None
        if name is not None:
            point = accesspoints.find(self._state, account, name)
            partition = caller.arn.split(":", 2)[1]
            made = f"arn:{partition}:s3:{region}:{account}:accesspoint/{name}"
            resource = made if point is None else point.arn
        return _Asked(action=action, account=account, resource=resource, point=point, name=name)

    def _refused_policy(self, body: bytes, point: AccessPoint) -> str | None:
        """Why an access point's policy is not taken, as the end of S3's sentence."""
        text = next((row.text or "" for row in below(element(body), "Policy")), "")
        try:
            statements = parse(text, name="access point").statements
        except PolicyError as error:
            message = "Policies must be valid JSON and the first byte must be '{'"
            broken = not text.lstrip().startswith("{") or error.what.endswith("must be JSON")
            raise _malformed(message if broken else f"Policy document is malformed: {error.what}") from error
        if any(row.principals is None and row.not_principals is None for row in statements):
            raise _malformed("Missing required field Principal")
        if any(row.resources is None for row in statements):
            raise _malformed("Missing required field Resource")
        if not _resources_fit(text, point):
            raise _malformed("Policy has invalid resource")
        bucket = self._state.bucket(point.bucket)
        of_account = self._state.account_public_access_block(point.account, point.region)
        block = s3public.effective(point.block, of_account, None if bucket is None else bucket.public_access_block)
        public = point.vpc is None and s3public.is_public(text)
        return s3public.POLICIES_BLOCKED if public and block.block_public_policy else None


def _resources_fit(text: str, point: AccessPoint) -> bool:
    """A policy names its own access point, and objects by it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html
    """
    rows = json.loads(text)["Statement"]
    for row in rows if isinstance(rows, list) else [rows]:
        named = row.get("Resource", row.get("NotResource"))
        for arn in named if isinstance(named, list) else [named]:
            if arn != "*" and not (arn == point.arn or arn.startswith(f"{point.arn}/object/")):
                return False
    return True


def _point_keys(asked: _Asked, request: HttpRequest) -> dict[str, str]:
    """Of the access point, or of the one that is to be made."""
    if asked.point is not None or asked.name is None:
        return {} if asked.point is None else asked.point.keys()
    keys = {"s3:DataAccessPointArn": asked.resource, "s3:DataAccessPointAccount": asked.account}
    if asked.action == "CreateAccessPoint":
        keys["s3:AccessPointNetworkOrigin"] = "VPC" if b"<VpcId>" in request.body else "Internet"
    return keys


def _policy_status(point: AccessPoint) -> HttpResponse:
    public = point.policy is not None and point.vpc is None and s3public.is_public(point.policy)
    status = f"<PolicyStatus>{elements(IsPublic=str(public).lower())}</PolicyStatus>"
    return answered("GetAccessPointPolicyStatusResult", status, namespace=_NAMESPACE)


def _malformed(message: str) -> Refused:
    return Refused("MalformedPolicy", status=400, message=message)
