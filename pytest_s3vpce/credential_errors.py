"""botocore's exceptions as our one CredentialError, with the inventory's line and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
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
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (BotoCoreError, ClientError)):
            raise self._error(error) from error

    def _error(self, error: BotoCoreError | ClientError) -> CredentialError:
        for kinds, what, remedy in _REMEDIES:
            if isinstance(error, kinds):
                return CredentialError(what(self._profile), place=self._place, remedy=remedy(self._profile))
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


_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_THROTTLES: Final = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
"""Said of anybody's calls, so they say nothing of these credentials."""


def _named(profile: str | None) -> str:
    return f" in profile `{profile}`" if profile else ""


_REMEDIES: Final[tuple[tuple[Any, Callable[[str | None], str], Callable[[str | None], str]], ...]] = (
    (
        (UnauthorizedSSOTokenError, SSOTokenLoadError, TokenRetrievalError, SSOError),
        lambda profile: f"the SSO session{_named(profile)} has expired",
        lambda profile: f"run `aws sso login --profile {profile or 'default'}`",
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
