"""Where requests are sent from, as an inventory says it: the kinds of vantage points and their settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator
from pydantic.json_schema import SkipJsonSchema  # noqa: TC002 - pydantic reads annotations

from pytest_s3vpce import forms, kinds
from pytest_s3vpce.faults import Fault, KeyFault, accepted
from pytest_s3vpce.schema import Flag, Region, RoleArn, Several, Strict, Text, exactly_one


class Local(Strict):
    """This machine. `proxy` is `none`, `environment` (HTTPS_PROXY and its kin) or a URL."""

    proxy: Annotated[str, AfterValidator(forms.proxy)] = Field(default="none", repr=False)
    ca_bundle: Text | None = None
    address: Annotated[str, AfterValidator(forms.address)] | None = None
    """The public address that its requests come from, for predictions; by default it is not known."""


class Tagged(Strict):
    """All that have these tags."""

    tags: Annotated[dict[str, str], Field(min_length=1)]


_Written = str | Annotated[list[str], Field(min_length=1)] | Tagged
_Subnets = Annotated[
    tuple[str, ...] | dict[str, str], PlainValidator(forms.chosen(forms.SUBNET), json_schema_input_type=_Written)
]
_Groups = Annotated[
    tuple[str, ...] | dict[str, str], PlainValidator(forms.chosen(forms.GROUP), json_schema_input_type=_Written)
]


class Lambda(Strict):
    """A Lambda function: one made in subnets, for the run or to be kept (`keep`), or one that is there (`function`)."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["subnets", "security_groups"]}, {"required": ["function"]}]}
    )

    function: Annotated[str, AfterValidator(forms.FUNCTION)] | None = None
    account: Text | None = None
    region: Region | None = None
    keep: Flag = False
    """Made once by `s3vpce deploy`, and found again by each run, which creates nothing."""
    subnets: _Subnets = ()
    security_groups: _Groups = ()
    role: RoleArn | None = None
    """The function's role; without it one is made, with `role_path` and `permissions_boundary`."""
    role_path: Annotated[str, AfterValidator(forms.ROLE_PATH)] | None = None
    permissions_boundary: Annotated[str, AfterValidator(forms.POLICY)] | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    architecture: Annotated[str, AfterValidator(forms.ARCHITECTURE)] | None = None
    memory: Annotated[int, BeforeValidator(forms.memory, json_schema_input_type=int)] | None = None
    runtime: Annotated[str, AfterValidator(forms.RUNTIME)] | None = None
    dual_stack: Flag = False
    """IPv6 too, in subnets that have both."""
    kms_key: Annotated[str, AfterValidator(forms.KEY)] | None = None
    """Encrypts the function's environment variables, which hold no secret."""

    @model_validator(mode="after")
    def _made_or_there(self) -> Self:
        given = [name for name in type(self).model_fields if name in self.model_fields_set]
        if self.function is not None:
            for name in given:
                if name not in ("function", "account", "region"):
                    remedy = "it takes `account` and `region` only; to have one made, leave `function` out"
                    raise KeyFault(f"`{name}` can't be given to a function that is there", path=(name,), remedy=remedy)
            return self
        for name in ("subnets", "security_groups"):
            if not getattr(self, name):
                remedy = "list at least one, or name a `function` that is there"
                raise Fault(f"`{name}` is missing", path=(name,), remedy=remedy)
        for name in ("role_path", "permissions_boundary"):
            if self.role is not None and name in given:
                remedy = "leave it out, or leave `role` out to have one made"
                raise KeyFault(
                    f"`{name}` is for a role that is made, and `role` names one", path=(name,), remedy=remedy
                )
        return self


class Ec2(Strict):
    """An EC2 instance, reached by SSM: one that is there (`instance`, or `tags` to find it), or one made for the run.

    An instance that the run makes stands in `subnet`, with `security_groups` and the instance profile `profile`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["instance"]},
                {"required": ["subnet", "security_groups", "profile"]},
                {"required": ["tags"], "not": {"required": ["subnet"]}},
            ]
        }
    )

    instance: Annotated[str, AfterValidator(forms.INSTANCE)] | None = None
    account: Text | None = None
    region: Region | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    """Those of the instance to be found; for one that the run makes, tags that it is given besides ours."""
    subnet: Annotated[str, AfterValidator(forms.SUBNET)] | None = None
    security_groups: Several[Annotated[str, AfterValidator(forms.GROUP)]] = ()
    profile: Annotated[str, AfterValidator(forms.PROFILE)] | None = None
    """The instance profile's name or ARN; its role must let SSM in, as AmazonSSMManagedInstanceCore does."""
    image: Annotated[str, AfterValidator(forms.IMAGE)] | None = None
    """An AMI with the SSM agent and Python 3.8 or newer; by default the newest Amazon Linux 2023."""
    type: Annotated[str, AfterValidator(forms.INSTANCE_TYPE)] | None = None

    @model_validator(mode="after")
    def _made_or_there(self) -> Self:
        found = {"instance": self.instance, "tags": self.tags or None, "subnet": self.subnet}
        if self.subnet is None or self.instance is not None:
            exactly_one(found)
            for name in ("subnet", "security_groups", "profile", "image", "type"):
                if name in self.model_fields_set:
                    remedy = "leave it out, or name a `subnet` to have an instance made there"
                    raise KeyFault(f"`{name}` is for an instance that the run makes", path=(name,), remedy=remedy)
            return self
        for name in ("security_groups", "profile"):
            if not getattr(self, name):
                raise Fault(f"`{name}` is missing", path=(name,), remedy="an instance that the run makes needs it")
        return self


class Outside(Strict):
    """A kind that another package brings, and what it is given."""

    kind: str
    settings: Any = None


class VantagePoint(Strict):
    """Where a request is sent from: exactly one kind."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    local: Local | None = None
    lambda_: Lambda | None = Field(default=None, alias="lambda")
    ec2: Ec2 | None = None
    command: Annotated[tuple[Text, ...], BeforeValidator(forms.words), AfterValidator(forms.filled)] | None = None
    """A command that ends in a Python 3 reading its program from stdin; no shell splits or expands it."""
    outside: SkipJsonSchema[Outside | None] = None

    @model_validator(mode="before")
    @classmethod
    def _kind(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        for kind in given:
            if kind not in kinds.OWN and kind not in kinds.outside():
                remedy = accepted(kinds.known(), instead_of=str(kind))
                raise KeyFault(f"unknown vantage point kind `{kind}`", path=(kind,), remedy=remedy)
        if len(given) != 1:
            remedy = f"give exactly one of {', '.join(kinds.known())}"
            raise Fault("a vantage point is of one kind", remedy=remedy)
        ((kind, settings),) = given.items()
        return given if kind in kinds.OWN else {"outside": {"kind": kind, "settings": settings}}

    @property
    def kind(self) -> str:
        """The key that it was written under."""
        if self.outside is not None:
            return self.outside.kind
        return next(name for name in kinds.OWN if getattr(self, name.replace("lambda", "lambda_")) is not None)

    @property
    def settled(self) -> Lambda | Ec2 | None:
        """Its settings where it stands in an account; None for a place of the user's own."""
        return self.lambda_ or self.ec2

    @property
    def account(self) -> str | None:
        """The account it is in as written; None where that is the default, or where it is in none."""
        return self.settled.account if self.settled else None

    @property
    def has_role(self) -> bool:
        """Whether the place is known to have credentials of its own."""
        return self.settled is not None

    @property
    def may_have_role(self) -> bool:
        """Whether it could: where a command or another package's kind leads, a container's credentials may be."""
        return self.local is None


def _point(given: Any) -> Any:
    return {given: {}} if isinstance(given, str) and given else given


Point = Annotated[VantagePoint, BeforeValidator(_point, json_schema_input_type=Literal["local"] | VantagePoint)]
