"""What is asked: one action on one resource by one caller, and the form that statements are matched against."""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.conditions import Doubted
from pytest_s3vpce.policy.doubts import EMPTY_LIST_IS_ABSENT, USUAL
from pytest_s3vpce.policy.principals import LIMITABLE, Caller, CallerKind, caller_of, with_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_s3vpce.policy.documents import Statement
    from pytest_s3vpce.policy.doubts import Doubts


_BUCKET: Final = re.compile(r"arn:[^:]+:s3:::[^/]+(?:/(?P<key>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One action on one resource. `context` values are text or several texts; an absent key is absent.

    `principal` is an ARN, `service:NAME` or `anonymous`. Keys that follow from it and from `resource_account` are
    derived where absent; given ones win.
    """

    action: str
    resource: str
    resource_account: str
    principal: str
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


class Asked:
    """A request in the form that statements are matched against: action and keys in lower case, derived keys added."""

    __slots__ = ("action", "bounded", "caller", "doubts", "resource", "resource_account", "same", "values", "written")

    def __init__(self, request: Request, *, bounded: bool, doubts: Doubts = USUAL) -> None:
        self.doubts = doubts
        self.values = _values(request.context)
        if doubts is not USUAL:
            self.values = Doubted(self.values, doubts)
        self.caller = with_context(caller_of(request.principal), self.values)
        self.written = request.action
        self.action = request.action.lower()
        self.resource = request.resource
        self.resource_account = request.resource_account
        self.bounded = bounded and self.caller.kind in LIMITABLE
        self.same = self.caller.account is not None and self.caller.account == request.resource_account
        owner = None if self.action in doubts.ownerless else request.resource_account
        _derive(self.values, self.caller, owner)

    def by_access_point(self) -> Asked:
        """The same, on the access point that the context names: what its own policy is matched against.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html
        """
        point = self.values.get("s3:dataaccesspointarn", ())
        bucket = _BUCKET.fullmatch(self.resource) if len(point) == 1 else None
        if bucket is None:
            return self
        found = copy(self)
        found.resource = point[0] if bucket["key"] is None else f"{point[0]}/object/{bucket['key']}"
        return found

    def met_by(self, statement: Statement) -> bool:
        """Whether action, resource and conditions of the statement match; principals are the layer's matter."""
        return statement.covers(self.action, self.resource, self.values)


def _values(context: Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    found = {key.lower(): (value,) if isinstance(value, str) else tuple(value) for key, value in context.items()}
    if EMPTY_LIST_IS_ABSENT and () in found.values():
        return {key: value for key, value in found.items() if value}
    return found


def _derive(values: dict[str, tuple[str, ...]], caller: Caller, owner: str | None) -> None:
    """Keys that follow from who asks and whose the resource is.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    values.setdefault("aws:principaltype", (caller.type,))
    account = caller.account or ("anonymous" if caller.kind is CallerKind.ANONYMOUS else None)
    if account is not None:
        values.setdefault("aws:principalaccount", (account,))
    if caller.principal_arn is not None:
        values.setdefault("aws:principalarn", (caller.principal_arn,))
    if owner is not None:
        values.setdefault("aws:resourceaccount", (owner,))
        values.setdefault("s3:resourceaccount", (owner,))
