"""Who signs a request, as an inventory says it: the kinds of principals and their settings."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from pytest_s3vpce import forms
from pytest_s3vpce.faults import Fault, KeyFault
from pytest_s3vpce.schema import Flag, RoleArn, Seconds, Several, Strict, Text, exactly_one, one_of

_KINDS: Final = ("role", "profile", "keys", "anonymous", "ambient", "presigned")
_OF_ROLES: Final = (
    "through",
    "external_id",
    "session_name",
    "session_tags",
    "transitive_tags",
    "session_policy",
    "source_identity",
    "mfa",
    "web_identity",
)
_SIGNING_HERE: Final = ("role", "profile", "keys")
_SessionName = Annotated[str, AfterValidator(forms.SESSION)]
_Variable = Annotated[str, AfterValidator(forms.VARIABLE)]


class Keys(Strict):
    """Static keys, by the names of the environment variables that hold them: no secret stands in a file."""

    access_key_id: _Variable
    secret_access_key: _Variable
    session_token: _Variable | None = None


class Presigned(Strict):
    """A URL that another principal signed: whoever sends it acts as that one.

    `age` is how long ago it was signed when it is sent, `expires` how long it is valid, in seconds.
    """

    by: Text
    age: Seconds = 0
    expires: Annotated[Seconds, Field(ge=1, le=604_800)] = 3600


class Principal(Strict):
    """Who signs: a role, a profile, keys, nobody, the vantage point's own credentials, or whoever signed a URL."""

    model_config = ConfigDict(json_schema_extra={"oneOf": one_of(*_KINDS)})

    role: RoleArn | None = None
    profile: Text | None = None
    keys: Keys | None = None
    anonymous: Flag = False
    ambient: Flag = False
    presigned: Presigned | None = None
    account: Text | None = None
    through: Several[RoleArn] = ()
    """Roles to assume on the way to `role`, first to last."""
    external_id: Text | None = Field(default=None, repr=False)
    session_name: _SessionName | None = None
    """By default the run's own."""
    session_tags: dict[str, str] = Field(default_factory=dict)
    transitive_tags: Several[str] = ()
    session_policy: Text | dict[str, Any] | None = None
    """A policy that limits the session: a JSON file beside the inventory, or the policy itself."""
    source_identity: _SessionName | None = None
    mfa: Annotated[str, AfterValidator(forms.MFA)] | None = None
    """The serial number of an MFA device; its code is asked for once, at a terminal."""
    web_identity: Text | None = None
    """A file that holds a token, with which the role is assumed instead of with the account's credentials."""
    policy_files: dict[str, Text] = Field(default_factory=dict)
    """Files that its policies are made from, by the policies' names or ARNs: explanations point into them."""
    send_credentials_in_clear: Flag = False
    """Sign plain http requests with these credentials although they are no role's short session."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        exactly_one({name: getattr(self, name) for name in _KINDS})
        if self.account and not any(getattr(self, name) for name in _SIGNING_HERE):
            raise Fault(
                "`account` goes with `role`, `profile` or `keys` only", path=("account",), remedy="leave it out"
            )
        for name in _OF_ROLES:
            if name in self.model_fields_set and self.role is None:
                remedy = "it is for assuming a role; add `role` or leave it out"
                raise KeyFault(f"`{name}` goes with `role` only", path=(name,), remedy=remedy)
        return self

    @model_validator(mode="after")
    def _one_way_to_the_role(self) -> Self:
        if self.web_identity is not None:
            # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
            for name in ("through", "external_id", "session_tags", "transitive_tags", "source_identity", "mfa"):
                if name in self.model_fields_set:
                    remedy = "the token itself carries it; leave it out, or leave `web_identity` out"
                    raise KeyFault(f"`{name}` can't be given with `web_identity`", path=(name,), remedy=remedy)
        for tag in self.transitive_tags:
            if tag not in self.session_tags:
                remedy = "give it a value under `session_tags`"
                raise Fault(f"`{tag}` is no session tag", path=("transitive_tags",), remedy=remedy)
        return self

    @property
    def signs_here(self) -> bool:
        """Whether this machine has its keys."""
        return any(getattr(self, name) for name in _SIGNING_HERE)
