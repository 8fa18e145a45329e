"""The inventory's accounts and principals as AWS sees them: sessions, the account guard, role sessions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver
from botocore.exceptions import NoCredentialsError

from pytest_s3vpce import __version__
from pytest_s3vpce.connection import models
from pytest_s3vpce.credential_errors import translated
from pytest_s3vpce.errors import CredentialError, S3VpceError
from pytest_s3vpce.infrastructure import Infrastructure
from pytest_s3vpce.probe import Credentials
from pytest_s3vpce.signing_in import (
    MFA_SECONDS,
    Renewed,
    ask_for_code,
    check_account,
    checked_policy,
    environment_keys,
    mfa_of_profile,
    read_policy,
    role_arguments,
    session_policy,
    share_roles,
    token_in,
    tried,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_s3vpce.connection import Connection
    from pytest_s3vpce.inventory import Account, Inventory
    from pytest_s3vpce.model import Place
    from pytest_s3vpce.references import References
    from pytest_s3vpce.signers import Principal

_T = TypeVar("_T")
_Made = TypeVar("_Made")
SESSION_SECONDS: Final = 3600
"""How long a principal's session lives; an hour is the limit where a role is assumed from a role.
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use.html"""
CLEAR_SECONDS: Final = 900
"""The shortest session there is, for requests whose token crosses plain http."""
RENEWED_BEFORE: Final = 300
"""In seconds: keys that end sooner are made anew before they sign."""
_WORKERS: Final = 16
_UNMADE: Final = S3VpceError("these credentials were not made yet")


@dataclass(frozen=True, slots=True)
class SessionKind:
    """One signing identity of the run: a principal, limited by an inline session policy where that is not empty."""

    principal: str
    policy: str = ""
    seconds: int = SESSION_SECONDS


class Accounts:
    """Sessions and credentials, each made once; errors are kept and raised again for every user of them."""

    def __init__(
        self, inventory: Inventory, references: References, *, connection: Connection, session_name: str
    ) -> None:
        self._inventory = inventory
        self._references = references
        self._connection = connection
        self._session_name = session_name
        with translated(profile=None, place=inventory.place("accounts")):
            self.loader = models(botocore.session.Session().get_config_variable("data_path"))
        """botocore's models, read once for all sessions."""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._sessions: dict[str, boto3.Session | CredentialError] = {}
        self._signers: dict[SessionKind, Credentials | S3VpceError | None] = {}
        self._held: dict[str, Any] = {}
        """botocore's own credentials of principals that are profiles, by the principals' names."""
        self._checked: set[str] = set()
        """Principals whose keys are of the account that the inventory says."""
        self._mfa_lock = threading.Lock()
        self._assumed_by_profiles: dict[str, Any] = {}
        """What botocore keeps of roles that profiles stand for, so that a second session needs no second code."""
        self._after_codes: dict[str, Any] = {}
        self._clients: dict[tuple[str, str, str], Any] = {}
        self.infrastructure = Infrastructure(inventory, self, provisioned=references.provisioned)
        references.learn(self.infrastructure)

    def _boto3(
        self, *, provider: CredentialProvider | None = None, asker: Place | None = None, **arguments: Any
    ) -> boto3.Session:
        """A boto3 session; all of a run share one loader, so that each service's model is read once.

        `asker` is who names the profile: one that wants an MFA code is asked for it once in a run, at a terminal alone.
        """
        core = botocore.session.Session()
        core.register_component("data_loader", self.loader)
        core.user_agent_extra = f"s3vpce/{__version__} {self._session_name}"
        if provider is not None:
            core.register_component("credential_provider", CredentialResolver([provider]))
        made: Any = boto3.Session(botocore_session=core, **arguments)
        core.get_scoped_config()  # a profile that does not exist is told now, not by the first client
        serial = None if asker is None else mfa_of_profile(core)
        if asker is not None and serial is not None:
            share_roles(core, serial, kept=self._assumed_by_profiles, ended=self._ended, place=asker)
            made.get_credentials().get_frozen_credentials()  # here, where one session is made at a time
        session: boto3.Session = made
        return session

    def guard(self, names: Iterable[str]) -> dict[str, CredentialError]:
        """Compares each account's id with GetCallerIdentity, before anything else is asked of it.

        Returns the accounts that can't be used and why; whoever uses one of them later gets the same error.
        https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
        """
        accounts = list(dict.fromkeys(names))
        found = self._at_once(self._guarded, accounts)
        return {account: error for account, error in zip(accounts, found, strict=True) if error is not None}

    def _guarded(self, account: str) -> CredentialError | None:
        try:
            self._check_account(account)
        except CredentialError as error:
            with self._lock:
                self._sessions[account] = error
            return error
        return None

    def session(self, account: str) -> boto3.Session:
        """The session of an account's own credentials. Raises CredentialError, each time for the same reason."""
        with self._lock:
            if account not in self._sessions:
                try:
                    self._sessions[account] = self._make_session(account)
                except CredentialError as error:
                    self._sessions[account] = error
            found = self._sessions[account]
        if isinstance(found, CredentialError):
            raise found
        return found

    def client(self, service: str, *, account: str, region: str | None = None) -> Any:
        """A control-plane client of an account; botocore's own proxy settings and retries apply."""
        session = self.session(account)
        where = region or self.region(account)
        with self._lock:
            key = (service, account, where)
            if key not in self._clients:
                with translated(
                    profile=self._inventory.accounts[account].profile, place=self._inventory.place("accounts", account)
                ):
                    self._clients[key] = self._connection.client(session, service, region=where)
            return self._clients[key]

    def region(self, account: str) -> str:
        """The account's own Region, references resolved."""
        row = self._inventory.accounts[account]
        return self._references.resolve(row.region, self._inventory.place("accounts", account, "region"))

    def prepare(self, kinds: Iterable[SessionKind]) -> None:
        """Makes the credentials of all these sessions at once; failures are kept for `credentials` to raise."""
        todo = [kind for kind in dict.fromkeys(kinds) if kind not in self._signers]
        self._signers.update(zip(todo, self._at_once(self._make_credentials, todo), strict=True))

    def _at_once(self, work: Callable[[_T], _Made], rows: Iterable[_T]) -> list[_Made]:
        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                return list(pool.map(work, rows))
            except KeyboardInterrupt:
                self.end()
                raise

    def end(self) -> None:
        """No role and no code is waited for any longer: the run was told to end, and has things to remove."""
        self._ended.set()

    def credentials(self, kind: SessionKind) -> Credentials | None:
        """The keys of a session, None for `anonymous`. Raises CredentialError with the principal's place."""
        made = self._signers.get(kind, _UNMADE)
        if made is _UNMADE or (isinstance(made, Credentials) and self._may_end(kind, made)):
            made = self._signers[kind] = self._make_credentials(kind)
        if isinstance(made, S3VpceError):
            raise made
        return made

    def _may_end(self, kind: SessionKind, made: Credentials) -> bool:
        """Keys of a profile are botocore's to renew, who tells nobody when: it is asked each time."""
        return kind.principal in self._held or made.ends_within(RENEWED_BEFORE)

    def signed_session(self, kind: SessionKind, *, region: str) -> boto3.Session:
        """A session with the keys of a principal's, for a client; without any where nobody signs here."""
        found = self.credentials(kind)
        place = self._inventory.place("principals", kind.principal)
        if found is None:
            return self._boto3(region_name=region)
        if kind.principal in self._held:
            profile = self._resolved(self._inventory.principals[kind.principal].profile, place)
            with translated(profile=profile, place=place):
                return self._boto3(profile_name=profile, region_name=region, asker=place)
        if found.expires_at is None:
            return self._boto3(**found.arguments, region_name=region)
        return self._boto3(provider=Renewed(found, lambda: self.credentials(kind) or found), region_name=region)

    def _make_session(self, account: str) -> boto3.Session:
        row = self._inventory.accounts[account]
        place = self._inventory.place("accounts", account)
        region = self.region(account)
        keys = self._connection.keys.get(account)
        if keys is not None:
            base = self._boto3(**keys.credentials.arguments, region_name=region)
            return self._assumed(base, role=keys.role, external_id=None, region=region, place=place)
        with translated(profile=row.profile, place=place):
            base = self._boto3(profile_name=self._resolved(row.profile, place), region_name=region, asker=place)
        role = self._resolved(row.role, place)
        if role is None:
            return base
        external_id = self._resolved(row.external_id, place)
        return self._assumed(base, role=role, external_id=external_id, region=region, place=place)

    def _assumed(
        self, base: boto3.Session, *, role: str, external_id: str | None, region: str, place: Place
    ) -> boto3.Session:
        arguments = {"ExternalId": external_id} if external_id else {}
        client = self._connection.client(base, "sts", region=region)
        with translated(profile=None, place=place, role=role):
            made = self._assume(client, role=role, arguments=arguments)
        renewed = Renewed(made, lambda: self._assume(client, role=role, arguments=arguments))
        return self._boto3(provider=renewed, region_name=region)

    def _assume(self, client: Any, *, role: str, arguments: Mapping[str, Any]) -> Credentials:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
        given = {"RoleSessionName": self._session_name, **arguments}
        return self._tried(partial(client.assume_role, RoleArn=role, **given))

    def _tried(self, assume: Callable[[], Any]) -> Credentials:
        return _keys_in(tried(assume, pauses=self._connection.pauses, wait=self._ended.wait))

    def _check_account(self, account: str) -> None:
        row: Account = self._inventory.accounts[account]
        place = self._inventory.place("accounts", account, "id")
        wanted = self._references.resolve(row.id, place)
        with translated(profile=row.profile, place=self._inventory.place("accounts", account)):
            check_account(self.client("sts", account=account), f"account `{account}`", wanted=wanted, place=place)

    def _make_credentials(self, kind: SessionKind) -> Credentials | S3VpceError | None:
        try:
            return self._sign_in(kind)
        except S3VpceError as error:
            return error

    def _sign_in(self, kind: SessionKind) -> Credentials | None:
        row: Principal = self._inventory.principals[kind.principal]
        place = self._inventory.place("principals", kind.principal)
        if row.anonymous or row.ambient or row.presigned:
            return None
        account = row.account or self._inventory.default_account
        if row.role is None:
            return self._plain_keys(row, kind, account=account, place=place)
        own = None if row.session_policy is None else self._own_policy(row, kind.principal)
        policy = session_policy(own, kind.policy)
        arguments: dict[str, Any] = {"DurationSeconds": kind.seconds, **({"Policy": policy} if policy else {})}
        if row.session_name is not None:
            arguments["RoleSessionName"] = self._references.resolve(row.session_name, place)
        role = self._references.resolve(row.role, place)
        if row.web_identity is not None:
            return self._with_token(row, role=role, arguments=arguments, account=account, place=place)
        arguments |= role_arguments(row, resolve=lambda text: self._references.resolve(text, place))
        client = self._sts(row, account=account, place=place)
        with translated(profile=self._inventory.accounts[account].profile, place=place, role=role):
            return self._assume(client, role=role, arguments=arguments)

    def _sts(self, row: Principal, *, account: str, place: Place) -> Any:
        """The client that assumes a principal's role: the account's, after MFA, or that of the role before it."""
        client = self.client("sts", account=account)
        if row.mfa is not None:
            client = self._after_mfa(row.mfa, account=account, place=place)
        for text in row.through:
            role = self._references.resolve(text, place)
            with translated(profile=self._inventory.accounts[account].profile, place=place, role=role):
                client = self._client_of(self._assume(client, role=role, arguments={}), account=account)
        return client

    def _after_mfa(self, serial: str, *, account: str, place: Place) -> Any:
        """A client whose session has passed MFA; the code is asked for once, however many sessions follow.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
        """
        with self._mfa_lock:
            if serial not in self._after_codes:
                try:
                    self._after_codes[serial] = self._pass_mfa(serial, account=account, place=place)
                except S3VpceError as error:  # nor is anybody asked again who could not give it
                    self._after_codes[serial] = error
            found = self._after_codes[serial]
        if isinstance(found, S3VpceError):
            raise found
        return found

    def _pass_mfa(self, serial: str, *, account: str, place: Place) -> Any:
        device = self._references.resolve(serial, place)
        code = ask_for_code(device, place=place, ended=self._ended)
        client = self._users_client(account)
        with translated(profile=self._inventory.accounts[account].profile, place=place):
            answer = client.get_session_token(SerialNumber=device, TokenCode=code, DurationSeconds=MFA_SECONDS)
        return self._client_of(_keys_in(answer), account=account)

    def _users_client(self, account: str) -> Any:
        """STS by the account's user, who alone passes MFA: a lab's own has a session of the runner's role otherwise."""
        given = self._connection.keys.get(account)
        return (
            self.client("sts", account=account)
            if given is None
            else self._client_of(given.credentials, account=account)
        )

    def _client_of(self, keys: Credentials, *, account: str) -> Any:
        return self._connection.client(self._boto3(**keys.arguments, region_name=self.region(account)), "sts")

    def _with_token(
        self, row: Principal, *, role: str, arguments: dict[str, Any], account: str, place: Place
    ) -> Credentials:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"""
        assert row.web_identity is not None
        path = self._inventory.beside(self._references.resolve(row.web_identity, place))
        token = token_in(path, place=place)
        session = self._boto3(region_name=self.region(account))
        client = self._connection.client(session, "sts", config=Config(signature_version=UNSIGNED))
        arguments = {"RoleSessionName": self._session_name, **arguments}
        with translated(profile=None, place=place, role=role):
            assume = partial(client.assume_role_with_web_identity, RoleArn=role, WebIdentityToken=token, **arguments)
            return self._tried(assume)

    def own_policy(self, principal: str) -> dict[str, Any] | None:
        """The session policy that the inventory gives a principal."""
        row: Principal = self._inventory.principals[principal]
        return None if row.session_policy is None else self._own_policy(row, principal)

    def _own_policy(self, row: Principal, principal: str) -> dict[str, Any]:
        place = self._inventory.place("principals", principal, "session_policy")
        if isinstance(row.session_policy, str):
            return read_policy(self._inventory.beside(self._references.resolve(row.session_policy, place)), place=place)
        return checked_policy(self._references.resolve_policy(row.session_policy, place), place=place)

    def _plain_keys(self, row: Principal, kind: SessionKind, *, account: str, place: Place) -> Credentials:
        if kind.policy:
            raise CredentialError(
                f"principal `{kind.principal}` is no role, so its session can't carry a session policy", place=place
            )
        given = None if row.keys is None else environment_keys(row, place=place)
        found = given or self._profile_keys(row, kind.principal, account=account, place=place)
        if kind.principal not in self._checked:
            wanted = self._references.resolve(self._inventory.accounts[account].id, place)
            whose = f"principal `{kind.principal}`'s account"
            with translated(profile=row.profile, place=place):
                check_account(self._client_of(found, account=account), whose, wanted=wanted, place=place)
            self._checked.add(kind.principal)
        return found

    def _profile_keys(self, row: Principal, name: str, *, account: str, place: Place) -> Credentials:
        profile = self._resolved(row.profile, place)
        region = self.region(account)
        with self._mfa_lock, translated(profile=profile, place=place):
            found = self._held.get(name)
            if found is None:
                found = self._boto3(profile_name=profile, region_name=region, asker=place).get_credentials()
            if found is None:
                raise NoCredentialsError
            self._held[name] = found
            keys: Any = found.get_frozen_credentials()
        return Credentials(access_key_id=keys.access_key, secret_access_key=keys.secret_key, session_token=keys.token)

    def _resolved(self, text: str | None, place: Place) -> str | None:
        return None if text is None else self._references.resolve(text, place)


def _keys_in(answer: Any) -> Credentials:
    """The keys that STS gave."""
    keys = answer["Credentials"]
    return Credentials(
        access_key_id=keys["AccessKeyId"],
        secret_access_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
        expires_at=keys["Expiration"].timestamp(),
    )
