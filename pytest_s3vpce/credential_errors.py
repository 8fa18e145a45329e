"""botocore's exceptions as our one CredentialError, with the inventory's line and the remedy."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    ConnectionError,  # noqa: A004 - botocore's name
    CredentialRetrievalError,
    HTTPClientError,
    InvalidConfigError,
    LoginError,
    MetadataRetrievalError,
    MissingDependencyException,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from pytest_s3vpce.errors import CredentialError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.model import Place


class translated:  # noqa: N801 - reads as a word at its callers: `with translated(...):`
    """Turns botocore's exceptions into one CredentialError that names the inventory line and the remedy."""

    def __init__(self, *, profile: str | None, place: Place, role: str | None = None) -> None:
        self._profile = profile
        self._place = place
        self._role = role

    def __enter__(self) -> None:
        self._quiet = _Quiet()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._quiet)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._quiet)
        if isinstance(error, (BotoCoreError, ClientError, OSError)):
            raise self._error(error) from error

    def _error(self, error: BotoCoreError | ClientError | OSError) -> CredentialError:
        if isinstance(error, ProfileNotFound) and self._profile is None:
            named = f"profile `{error.kwargs['profile']}`, which AWS_PROFILE names, does not exist"
            return CredentialError(named, place=self._place, remedy="unset AWS_PROFILE, or name one that is there")
        for kinds, what, remedy in () if isinstance(error, _UNREACHED) else _REMEDIES:
            if isinstance(error, kinds):
                text = f"{what(self._profile)}: {_line(error)}" if kinds in _TOLD else what(self._profile)
                return CredentialError(text, place=self._place, remedy=remedy(self._profile))
        if isinstance(error, ClientError):
            return self._refused(error)
        return CredentialError(
            f"AWS could not be asked: {_line(error)}", place=self._place, remedy="check the network and the Region"
        )

    def _refused(self, error: ClientError) -> CredentialError:
        code = error.response.get("Error", {}).get("Code", "")
        message = _line(error)
        if code in _EXPIRED:
            remedy = f"run `aws sso login --profile {self._profile}` or renew them" if self._profile else "renew them"
            return CredentialError(f"the credentials have expired ({code})", place=self._place, remedy=remedy)
        if code in _THROTTLES or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
            return CredentialError(
                f"AWS does not answer now: {message}", place=self._place, remedy="run it again in a minute"
            )
        if error.operation_name == "GetSessionToken":
            return CredentialError(
                f"MFA was not passed: {message}",
                place=self._place,
                remedy="the account's credentials must be an IAM user's, `mfa` the serial of that user's own device, "
                "and the code the one that it shows then",
            )
        if self._role is not None:
            return CredentialError(
                f"role `{self._role}` can't be assumed: {message}",
                place=self._place,
                remedy="its trust policy must name the account's role or user that assumes it, whose policies must "
                "allow sts:AssumeRole; what was changed a moment ago is known everywhere a minute later",
            )
        return CredentialError(
            f"the credentials are refused: {message}", place=self._place, remedy="check the profile or keys"
        )


class _Quiet(logging.Filter):
    """Keeps from logs what this thread's error says: botocore warns with the traceback of each failed renewal."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread


_LOGGERS: Final = ("botocore.credentials", "botocore.tokens")
_UNREACHED: Final = (HTTPClientError, ConnectionError)
"""The way to AWS; several of these are OSErrors besides, as a credential process that can't be started gives."""
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_THROTTLES: Final = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
"""Said of anybody's calls, so they say nothing of these credentials."""


def _named(profile: str | None) -> str:
    return f" in profile `{profile}`" if profile else ""


_TOLD: Final = (
    (ConfigParseError, ConfigNotFound, InvalidConfigError, MissingDependencyException),
    (CredentialRetrievalError, MetadataRetrievalError, OSError),
)
"""Those that botocore has words for."""
_REMEDIES: Final[tuple[tuple[Any, Callable[[str | None], str], Callable[[str | None], str]], ...]] = (
    (
        (UnauthorizedSSOTokenError, SSOTokenLoadError, TokenRetrievalError, SSOError),
        lambda profile: f"the SSO session{_named(profile)} has expired",
        lambda profile: f"run `aws sso login --profile {profile or 'default'}`",
    ),
    (
        LoginError,
        lambda profile: f"the console login{_named(profile)} has expired",
        lambda profile: f"run `aws login --profile {profile or 'default'}`",
    ),
    (
        RefreshWithMFAUnsupportedError,
        lambda profile: f"the session{_named(profile)} has ended, and botocore asks for no second MFA code",
        lambda _: "name the `role` itself, with `mfa`: its sessions are renewed for twelve hours",
    ),
    (
        _TOLD[0],
        lambda _: "the AWS configuration can't be used",
        lambda _: "correct it: `aws configure list` says where it stands",
    ),
    (
        _TOLD[1],
        lambda profile: f"credentials{_named(profile)} can't be had",
        lambda _: "see whether what the profile names (a command, a file, a metadata service) gives any",
    ),
    (
        ProfileNotFound,
        lambda profile: f"profile `{profile}` does not exist",
        lambda _: "`aws configure list-profiles` lists those that do",
    ),
    (
        (NoCredentialsError, PartialCredentialsError),
        lambda profile: f"there are no credentials{_named(profile)}",
        lambda _: "name a `profile` or `role` for the account, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
)


def _line(error: Exception) -> str:
    """The exception's text on one line, without what a hostile answer could break a report with."""
    return " ".join(str(error).split())[:500]
