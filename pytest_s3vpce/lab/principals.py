"""Roles, users and their policies, read from the objects that hold IAM's state; and each account's runner."""

from __future__ import annotations

import json
import secrets
import string
from typing import Any

from pytest_s3vpce.lab import reading
from pytest_s3vpce.lab.resources import PARTITIONS, RUNNER, RoleState, RunnerKeys, UserKey, partition_of

_ADMINISTRATOR = "arn:{partition}:iam::aws:policy/AdministratorAccess"
_RUNNER_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:GetCallerIdentity"], "Resource": "*"}],
}
_KEY_LETTERS = string.ascii_uppercase + "234567"
_SECRET_LETTERS = string.ascii_letters + string.digits
_NOTHING = '{"Version": "2012-10-17", "Statement": []}'


def mend_users(user_class: Any, responses: Any, *, done: Any) -> None:
    """Users have permissions boundaries too; `done` makes the answer that says no more than that.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPermissionsBoundary.html
    """

    def boundary(self: Any) -> dict[str, str] | None:
        arn = self.permissions_boundary_arn
        return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn} if arn else None

    original = responses.create_user

    def create_user(self: Any) -> Any:
        answer = original(self)
        self.backend.get_user(self._get_param("UserName")).permissions_boundary_arn = self._get_param(
            "PermissionsBoundary"
        )
        return answer

    def put(self: Any) -> Any:
        user = self.backend.get_user(self._get_param("UserName"))
        user.permissions_boundary_arn = self._get_param("PermissionsBoundary")
        return done()

    def delete(self: Any) -> Any:
        self.backend.get_user(self._get_param("UserName")).permissions_boundary_arn = None
        return done()

    user_class.permissions_boundary_arn = None
    user_class.permissions_boundary = property(boundary)
    responses.create_user = create_user
    responses.put_user_permissions_boundary = put
    responses.delete_user_permissions_boundary = delete


class Principals:
    """The IAM of all accounts: `backends` by account and partition."""

    def __init__(self, backends: Any) -> None:
        self._backends = backends

    def role(self, role_arn: str) -> RoleState | None:
        found = self._principal(role_arn, kind="role")
        if found is None:
            return None
        return RoleState(
            arn=found.arn,
            name=found.name,
            id=found.id,
            path=found.path,
            account=found.account_id,
            trust_policy=str(found.assume_role_policy_document),
            max_session_seconds=int(found.max_session_duration or 3600),
            tags=reading.tags(found.tags),
        )

    def named(self, name: str, *, kind: str, account: str) -> Any:
        """A role or user of an account by its name alone, whatever its path; None where there is none."""
        for backend in list(self._backends[account].values()):
            for entry in list((backend.roles if kind == "role" else backend.users).values()):
                if entry.name == name:
                    return entry
        return None

    def identity_policies(self, arn: str) -> tuple[tuple[str, str], ...] | None:
        """Name and text of every identity policy of a role or user; None where there is no such principal."""
        principal = self._principal(arn, kind="role") or self._principal(arn, kind="user")
        if principal is None:
            return None
        found = reading.policies(principal)
        if ":user/" in arn:
            groups = list(self._iam(arn).groups.values())
            found += [entry for group in groups if principal in group.users for entry in reading.policies(group)]
        return tuple(found)

    def boundary(self, arn: str) -> tuple[str, str] | None:
        """ARN and text of a role's or user's permissions boundary; one that does not exist allows nothing."""
        principal = self._principal(arn, kind="role") or self._principal(arn, kind="user")
        boundary = principal.permissions_boundary_arn if principal is not None else None
        if not boundary:
            return None
        policy = self._iam(arn).managed_policies.get(boundary)
        return boundary, reading.document(policy) if policy else _NOTHING

    def is_missing(self, arn: str) -> bool:
        """Whether this would be a user or role of an account that has any, and is none."""
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "iam" or parts[4] not in self._backends:
            return False
        kind = parts[5].partition("/")[0]
        used = any(backend.roles or backend.users for backend in list(self._backends[parts[4]].values()))
        return used and kind in {"user", "role"} and self._principal(arn, kind=kind) is None

    def managed_policy(self, policy_arn: str, *, account: str) -> str | None:
        """The text of a policy of this account or of AWS."""
        parts = policy_arn.split(":", 5)
        if len(parts) != 6 or parts[1] not in {"aws", *PARTITIONS.values()} or parts[4] not in {account, "aws"}:
            return None
        policy = self._backends[account][parts[1]].managed_policies.get(policy_arn)
        return None if policy is None else reading.document(policy)

    def access_key(self, access_key_id: str) -> UserKey | None:
        """An active key of a user of any account."""
        for partitions in list(self._backends.values()):
            for backend in list(partitions.values()):
                key = backend.access_keys.get(access_key_id)
                user = backend.users.get(key.user_name) if key is not None else None
                if key is not None and user is not None and key.status == "Active":
                    tags = reading.tags(backend.tagger.list_tags_for_resource(user.arn)["Tags"])
                    return UserKey(
                        access_key_id=access_key_id,
                        secret=key.secret_access_key,
                        account=backend.account_id,
                        user_arn=user.arn,
                        user_id=user.id,
                        tags=tags,
                    )
        return None

    def _iam(self, arn: str) -> Any:
        _, partition, _, _, account, _ = arn.split(":", 5)
        return self._backends[account][partition]

    def _principal(self, arn: str, *, kind: str) -> Any:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "iam" or not parts[5].startswith(f"{kind}/"):
            return None
        if len(parts[4]) != 12 or not parts[4].isdigit() or parts[1] not in {"aws", *PARTITIONS.values()}:
            return None
        backend = self._iam(arn)
        entries = list((backend.roles if kind == "role" else backend.users).values())
        return next((entry for entry in entries if entry.arn == arn), None)

    def make_runner(self, keys: RunnerKeys, *, region: str) -> None:
        """An account's administrator role and the user that may assume it, both named `s3vpce-runner`."""
        _, partition, _, _, account, _ = keys.role.split(":", 5)
        iam = self._backends[account][partition]
        principal = {"AWS": f"arn:{partition}:iam::{account}:root"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": ["sts:AssumeRole", "sts:TagSession"]}
        iam.create_role(
            role_name=RUNNER,
            assume_role_policy_document=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            path="/",
            permissions_boundary=None,
            description="Administrator of the lab's account",
            tags=[],
            max_session_duration="43200",
        )
        iam.attach_role_policy(_ADMINISTRATOR.format(partition=partition), RUNNER)
        iam.create_user(region, RUNNER)
        iam.put_user_policy(RUNNER, "assume-roles", json.dumps(_RUNNER_POLICY))
        key = iam.create_access_key(RUNNER)
        del iam.access_keys[key.access_key_id]
        key.access_key_id, key.secret_access_key = keys.access_key_id, keys.secret_access_key
        iam.access_keys[key.access_key_id] = key


def runner_of(account: str, region: str) -> RunnerKeys:
    """New keys of an account's runner, for `make_runner`."""
    access_key_id, secret = access_keys()
    role = f"arn:{partition_of(region)}:iam::{account}:role/{RUNNER}"
    return RunnerKeys(access_key_id=access_key_id, secret_access_key=secret, role=role)


def access_keys() -> tuple[str, str]:
    """A new access key's id and secret."""
    access_key_id = "AKIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16))
    return access_key_id, "".join(secrets.choice(_SECRET_LETTERS) for _ in range(40))
