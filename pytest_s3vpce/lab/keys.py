"""Who an access key belongs to: root users, IAM users, and the sessions that the lab's STS handed out."""

from __future__ import annotations

import secrets
import string
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_s3vpce.lab.signatures import Anonymous, Secret

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_s3vpce.lab.resources import RoleState, UserKey
    from pytest_s3vpce.lab.signatures import Verified
    from pytest_s3vpce.lab.state import State

_LETTERS = string.ascii_uppercase + "234567"


class SessionKind(StrEnum):
    """Which call temporary keys come from: they may do different things with them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
    """

    ROLE = "AssumeRole"
    USER = "GetSessionToken"
    FEDERATION = "GetFederationToken"
    ROOT = "AssumeRoot"


Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `arn` is what messages show and policies match, `principal_arn` what aws:PrincipalArn holds."""

    arn: str
    account: str | None = None
    principal_arn: str | None = None
    userid: str | None = None
    username: str | None = None
    is_root: bool = False
    session_policies: tuple[str, ...] | None = None
    tags: Tags = ()
    user_arn: str | None = None
    """The user behind a federated session: its policies are the most that the session may have."""
    session: SessionKind | None = None
    transitive_tags: Tags = ()
    """Those of the session's tags that the next session in a chain of roles has too."""
    source_identity: str | None = None
    issued_at: datetime | None = None
    mfa_at: datetime | None = None
    """When the session's user passed MFA."""
    brought: Tags = ()
    """Condition keys that travel with the credentials: where the service that gave them out gave them to.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-role-properties"""

    @property
    def anonymous(self) -> bool:
        return self.account is None

    @property
    def bearer(self) -> str | None:
        """The ARN of the user or role whose policies apply."""
        return self.user_arn or self.principal_arn


ANONYMOUS = Caller(arn="anonymous")


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """Temporary keys of a session."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires: datetime
    caller: Caller


class Keys:
    """The table of keys. Safe to use from several threads."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._roots: dict[str, tuple[str, str, str]] = {}
        self._sessions: dict[str, Minted] = {}

    def add_root(self, access_key_id: str, secret: str, *, account: str, partition: str) -> None:
        """Keys of an account's root user: for provisioning."""
        self._roots[access_key_id] = (secret, account, partition)

    def mint(
        self,
        role: RoleState,
        *,
        session_name: str,
        now: datetime,
        seconds: int,
        policies: tuple[str, ...] | None = None,
        tags: Tags = (),
        transitive_tags: Tags = (),
        source_identity: str | None = None,
        mfa_at: datetime | None = None,
        brought: Tags = (),
    ) -> Minted:
        """Keys of a new session of the role. https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
        partition = role.arn.split(":", 2)[1]
        caller = Caller(
            arn=f"arn:{partition}:sts::{role.account}:assumed-role/{role.name}/{session_name}",
            account=role.account,
            principal_arn=role.arn,
            userid=f"{role.id}:{session_name}",
            session_policies=policies,
            tags=merged(role.tags, tags),
            session=SessionKind.ROLE,
            transitive_tags=transitive_tags,
            source_identity=source_identity,
            mfa_at=mfa_at,
            brought=brought,
        )
        return self.issue(caller, now=now, seconds=seconds)

    def issue(self, caller: Caller, *, now: datetime, seconds: int) -> Minted:
        """Temporary keys of this caller."""
        minted = Minted(
            access_key_id="ASIA" + _random(_LETTERS, 16),
            secret_access_key=_random(string.ascii_letters + string.digits, 40),
            session_token=secrets.token_urlsafe(120),
            expires=now + timedelta(seconds=seconds),
            caller=replace(caller, issued_at=now),
        )
        with self._lock:
            gone = [key for key, session in self._sessions.items() if session.expires < now - timedelta(hours=1)]
            for key in gone:
                del self._sessions[key]
            self._sessions[minted.access_key_id] = minted
        return minted

    def lookup(self, access_key_id: str) -> Secret | None:
        """What `signatures.verify` asks for."""
        session = self._sessions.get(access_key_id)
        if session is not None:
            return Secret(
                secret_access_key=session.secret_access_key,
                session_token=session.session_token,
                expires=session.expires,
            )
        root = self._roots.get(access_key_id)
        if root is not None:
            return Secret(secret_access_key=root[0])
        user = self._state.access_key(access_key_id)
        return None if user is None else Secret(secret_access_key=user.secret)

    def caller(self, verified: Verified | Anonymous) -> Caller:
        """Who signed a verified request."""
        if isinstance(verified, Anonymous):
            return ANONYMOUS
        session = self._sessions.get(verified.access_key_id)
        if session is not None:
            return session.caller
        root = self._roots.get(verified.access_key_id)
        if root is not None:
            _, account, partition = root
            arn = f"arn:{partition}:iam::{account}:root"
            return Caller(arn=arn, account=account, principal_arn=arn, userid=account, is_root=True)
        user = self._state.access_key(verified.access_key_id)
        return ANONYMOUS if user is None else _user(user)


def _user(user: UserKey) -> Caller:
    return Caller(
        arn=user.user_arn,
        account=user.account,
        principal_arn=user.user_arn,
        userid=user.user_id,
        username=user.user_arn.rpartition("/")[2],
        tags=user.tags,
    )


def merged(own: Tags, given: Tags) -> Tags:
    """A principal's tags under those of its session. Keys that differ in case only are one key.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
    """
    taken = {name.lower() for name, _ in given}
    return (*(tag for tag in own if tag[0].lower() not in taken), *given)


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))
