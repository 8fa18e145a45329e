"""Instances that are asked for again under one client token, as SDKs do where an answer is lost, are started once.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

_OTHERWISE: Final = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
_TERMINATED: Final = (
    "The client token you have provided is associated with a terminated instance. Please use a different client token."
)


def mend_launches(response_class: Any) -> None:
    """The same request under the same token gets the first one's answer; that an instance is gone is told."""
    original: Callable[[Any], Any] = response_class.run_instances

    def run_instances(self: Any) -> Any:
        token, known = self._get_param("ClientToken"), vars(self.ec2_backend).setdefault("s3vpce_launches", {})
        if not token:
            return original(self)
        if token not in known:
            known[token] = (dict(self.data), original(self))
        sent, answer = known[token]
        if sent != self.data:
            raise Refused("IdempotentParameterMismatch", status=400, message=_OTHERWISE)
        if any(instance.instance_state.name == "terminated" for instance in answer.result.instances):
            raise Refused("IdempotentInstanceTerminated", status=400, message=_TERMINATED)
        return answer

    response_class.run_instances = run_instances
