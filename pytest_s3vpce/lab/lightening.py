"""What the account state reads while it loads is put off until somebody asks for it, or read once for all accounts."""

from __future__ import annotations

import importlib
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_OFFERINGS = "instance_type_offerings"


class Offerings(dict[str, Any]):
    """The instance types that one kind of location offers, by Region: each Region's file is read when it is asked for.

    There are a hundred such files, and most labs start no instance.
    """

    def __init__(self, kind: str, *, files: dict[str, str], read: Any) -> None:
        super().__init__()
        self._kind = kind
        self._files = files
        self._read = read

    def __missing__(self, region: str) -> list[dict[str, Any]]:
        rows = [{**row, "LocationType": self._kind} for row in self._read(self._files[region])]
        self[region] = rows
        return rows

    def get(self, region: str, default: Any = None) -> Any:
        return self[region] if region in self._files else default

    def __contains__(self, region: object) -> bool:
        return region in self._files


@contextmanager
def offerings_when_asked() -> Iterator[None]:
    """EC2 is loaded in here without its instance types' offerings, which are read once they are asked for."""
    reading: Any = importlib.import_module("moto.utilities.utils")
    read, passed = reading.load_resource, list[str]()

    def later(resource: str) -> Any:
        if _OFFERINGS not in resource:
            return read(resource)
        passed.append(resource)
        return []

    reading.load_resource = later
    try:
        yield
    finally:
        reading.load_resource = read
    if not passed:
        return  # it was loaded before, in this process
    offered = importlib.import_module("moto.ec2.models.instance_types").INSTANCE_TYPE_OFFERINGS
    for kind in offered:
        files = {Path(name).name.partition(".")[0]: name for name in passed if Path(name).parent.name == kind}
        offered[kind] = Offerings(kind, files=files, read=read)


def share_managed_policies() -> None:
    """AWS's own policies, which fill two megabytes of JSON, are read once and not anew in each account."""
    models = importlib.import_module("moto.iam.models")
    policy_class, text = models.AWSManagedPolicy, models.aws_managed_policies_data
    known: dict[str, list[Any]] = {}

    def policies(self: Any) -> list[Any]:
        if self.partition not in known:
            rows = json.loads(text).items()
            known[self.partition] = [policy_class.from_data(name, "aws", self.region_name, row) for name, row in rows]
        return [_copied(policy, account=self.account_id) for policy in known[self.partition]]

    models.IAMBackend._init_aws_policies = policies  # noqa: SLF001 - what the state behind calls it


def _copied(policy: Any, *, account: str) -> Any:
    """An account's own: it counts how often the policy is attached there."""
    fresh = object.__new__(type(policy))
    vars(fresh).update(vars(policy), account_id=account, versions=list(policy.versions), tags=dict(policy.tags))
    return fresh
