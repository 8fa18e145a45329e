"""The inventory, `s3vpce.yaml`: accounts, principals, vantage points, buckets and controls, as the user wrote them."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads annotations
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema

from pytest_s3vpce import forms, references
from pytest_s3vpce.dangling import faults_of_names
from pytest_s3vpce.errors import InventoryError
from pytest_s3vpce.faults import Fault, KeyFault, accepted, translated
from pytest_s3vpce.model import Place
from pytest_s3vpce.references import OutputsFile
from pytest_s3vpce.yamlplaces import Document, read

FILE_NAME: Final = "s3vpce.yaml"


class _Written(GenerateJsonSchema):
    """The schema of what a user writes: a key that is not wanted is left out, never null."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        made = super().default_schema(schema)
        return {name: value for name, value in made.items() if name != "default" or value}


class Strict(BaseModel):
    """A mapping of a user's file: frozen, and an unknown key is an error that lists the accepted ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)

    @classmethod
    def written_schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        return cls.model_json_schema(schema_generator=_Written, mode="validation")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if isinstance(given, dict):
            known = [row.alias or name for name, row in cls.model_fields.items()]
            for key in given:
                if key not in known:
                    raise KeyFault(f"unknown key `{key}`", path=(key,), remedy=accepted(known, instead_of=key))
        return given


def _one_of(*names: str) -> list[Any]:
    return [{"required": [name]} for name in names]


def _exactly_one(values: Mapping[str, object]) -> None:
    given = [name for name, value in values.items() if value not in (None, False)]
    if len(given) != 1:
        found = " and ".join(f"`{name}`" for name in given) or "none"
        raise Fault(
            f"exactly one of {', '.join(values)} is wanted, found {found}", remedy="keep one" if given else "add one"
        )


Text = Annotated[str, AfterValidator(forms.TEXT)]
Name = Annotated[
    str, AfterValidator(forms.NAME.strict), Field(json_schema_extra={"pattern": f"^{forms.NAME.pattern}$"})
]
AccountId = Annotated[
    str, BeforeValidator(lambda given: given, json_schema_input_type=str | int), AfterValidator(forms.ACCOUNT_ID)
]
Region = Annotated[str, AfterValidator(forms.REGION)]
RoleArn = Annotated[str, AfterValidator(forms.ROLE)]
Who = Annotated[str, AfterValidator(forms.WHO.strict)]
Flag = Annotated[bool, BeforeValidator(forms.boolean, json_schema_input_type=bool)]


class _OneOrMore:
    """Tells the JSON Schema that one item may stand for a list of one."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler(schema)
        return {"anyOf": [made["items"], {**made, "minItems": 1}]}


_T = TypeVar("_T")
Several = Annotated[tuple[_T, ...], _OneOrMore(), BeforeValidator(forms.listed), AfterValidator(forms.filled)]


# --- who -----------------------------------------------------------------------------------------------------------


class Account(Strict):
    """An AWS account; without a profile or role the default credential chain is used."""

    id: AccountId
    profile: Text | None = None
    role: RoleArn | None = None
    external_id: Text | None = Field(default=None, repr=False)
    region: Region

    @model_validator(mode="after")
    def _external_id_has_role(self) -> Self:
        if self.external_id is not None and self.role is None:
            raise Fault("`external_id` is for assuming a role", path=("external_id",), remedy="add `role`")
        return self


class Infrastructure(Strict):
    """Where `${out:NAME}` comes from."""

    file: Text


class Principal(Strict):
    """Who signs: a role, a profile, nobody (`anonymous`), or the vantage point's own credentials (`ambient`)."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _one_of("role", "profile", "anonymous", "ambient")})

    role: RoleArn | None = None
    profile: Text | None = None
    anonymous: Flag = False
    ambient: Flag = False
    account: Text | None = None
    send_credentials_in_clear: Flag = False
    """Sign plain http requests with these credentials although they are no role's short session."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        _exactly_one({"role": self.role, "profile": self.profile, "anonymous": self.anonymous, "ambient": self.ambient})
        if self.account and (self.anonymous or self.ambient):
            raise Fault("`account` goes with `role` or `profile` only", path=("account",), remedy="leave it out")
        return self


# --- where from ----------------------------------------------------------------------------------------------------


class Local(Strict):
    """This machine. `proxy` is `none`, `environment` (HTTPS_PROXY and its kin) or a URL."""

    proxy: Annotated[str, AfterValidator(forms.proxy)] = Field(default="none", repr=False)
    ca_bundle: Text | None = None


class Lambda(Strict):
    """A Lambda function: one that the run makes in subnets, or one that is there (`function`)."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["subnets", "security_groups"]}, {"required": ["function"]}]}
    )

    function: Annotated[str, AfterValidator(forms.FUNCTION)] | None = None
    account: Text | None = None
    region: Region | None = None
    subnets: Several[Annotated[str, AfterValidator(forms.SUBNET)]] = ()
    security_groups: Several[Annotated[str, AfterValidator(forms.GROUP)]] = ()
    role: RoleArn | None = None
    """The function's role; without it one is made, with `role_path` and `permissions_boundary`."""
    role_path: Annotated[str, AfterValidator(forms.ROLE_PATH)] | None = None
    permissions_boundary: Annotated[str, AfterValidator(forms.POLICY)] | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    architecture: Annotated[str, AfterValidator(forms.ARCHITECTURE)] | None = None
    memory: Annotated[int, BeforeValidator(forms.memory, json_schema_input_type=int)] | None = None
    runtime: Annotated[str, AfterValidator(forms.RUNTIME)] | None = None

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


class VantagePoint(Strict):
    """Where a request is sent from: exactly one kind."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    local: Local | None = None
    lambda_: Lambda | None = Field(default=None, alias="lambda")

    @model_validator(mode="before")
    @classmethod
    def _kind(cls, given: Any) -> Any:
        for kind in given if isinstance(given, dict) else ():
            if kind in _PLANNED:
                raise KeyFault(f"vantage point kind `{kind}` is not available yet", path=(kind,), remedy=_KINDS)
            if kind not in ("local", "lambda"):
                raise KeyFault(f"unknown vantage point kind `{kind}`", path=(kind,), remedy=_KINDS)
        if isinstance(given, dict) and len(given) != 1:
            raise Fault("a vantage point is of one kind", remedy=_KINDS)
        return given

    @property
    def kind(self) -> Literal["local", "lambda"]:
        return "local" if self.lambda_ is None else "lambda"

    @property
    def account(self) -> str | None:
        """The account it is made in as written; None where that is the default, or for this machine."""
        return self.lambda_.account if self.lambda_ else None


def _point(given: Any) -> Any:
    return {given: {}} if isinstance(given, str) and given else given


_Point = Annotated[VantagePoint, BeforeValidator(_point, json_schema_input_type=Literal["local"] | VantagePoint)]
_PLANNED: Final = ("ec2", "command")
_KINDS: Final = "available are local and lambda"


# --- what ----------------------------------------------------------------------------------------------------------


class Canary(Strict):
    """An object whose bytes probes read and write back: one that is there (`key`), or one that the run makes."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _one_of("key", "create")})

    key: Text | None = None
    create: Who | None = None
    """Who makes it, and from where."""
    reader: Who | None = None
    """Who reads it before and after writes; default: the bucket's first `allow` cell."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        _exactly_one({"key": self.key, "create": self.create})
        return self


def _canary(given: Any) -> Any:
    return {"key": given} if isinstance(given, str) else given


_BucketName = Annotated[str, AfterValidator(forms.BUCKET)]
_Canary = Annotated[Canary, BeforeValidator(_canary, json_schema_input_type=str | Canary)]


class Bucket(Strict):
    """A bucket under test; `keys` and `hosts` name other objects and hosts than the default ones."""

    name: _BucketName
    account: Text | None = None
    region: Region | None = None
    canary: _Canary
    keys: dict[Name, Text] = Field(default_factory=dict)
    hosts: dict[Name, Annotated[str, AfterValidator(forms.HOST)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for name in self.hosts:
            if name in self.keys:
                remedy = "give each its own: both go into ids as BUCKET+NAME"
                raise KeyFault(f"`{name}` names a key and a host", path=("hosts", name), remedy=remedy)
        return self


class ControlBucket(Strict):
    """A bucket without the restrictions, by which a principal's reach and credentials are shown."""

    name: _BucketName
    canary: _Canary
    region: Region | None = None

    @model_validator(mode="after")
    def _canary_is_there(self) -> Self:
        for name in ("create", "reader"):
            if getattr(self.canary, name) is not None:
                remedy = "give the key of an object that is there"
                raise KeyFault(f"a control bucket's canary takes no `{name}`", path=("canary", name), remedy=remedy)
        return self


class Lab(Strict):
    """What only the embedded lab reads."""

    provision: Text


class Inventory(Strict):
    """The whole file. Values keep their references, `${out:NAME}`, as text; `References` resolves them at use."""

    accounts: Annotated[dict[Name, Account], AfterValidator(forms.filled)]
    infrastructure: Infrastructure | None = None
    principals: Annotated[dict[Name, Principal], AfterValidator(forms.filled)]
    vantage_points: Annotated[dict[Name, _Point], AfterValidator(forms.filled)]
    buckets: Annotated[dict[Name, Bucket], AfterValidator(forms.filled)]
    controls: Annotated[dict[Text, ControlBucket], AfterValidator(forms.filled)] = Field(default_factory=dict)
    lab: Lab | None = None
    _document: Document | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        self._document = (context or {}).get("document")

    @model_validator(mode="after")
    def _names_are_declared(self) -> Self:
        for fault in faults_of_names(self):
            raise fault
        return self

    @property
    def path(self) -> Path:
        """The file it was read from."""
        return self._document.path if self._document else Path(FILE_NAME)

    @property
    def default_account(self) -> str:
        """The account of whatever names none: the first one listed."""
        return next(iter(self.accounts))

    def place(self, *path: str | int) -> Place:
        """Where an item was written, for errors about it: `place("buckets", "reports", "name")`."""
        return self._document.place(*path) if self._document else Place(str(self.path))

    def beside(self, path: str) -> Path:
        """A path of the inventory: relative ones count from its folder."""
        return self.path.parent / Path(path).expanduser()

    def outputs_file(self) -> OutputsFile | None:
        """Where `${out:NAME}` comes from outside the lab; None where the inventory names none."""
        if self.infrastructure is None:
            return None
        return OutputsFile(self.beside(self.infrastructure.file), self.place("infrastructure", "file"))


def load_inventory(path: Path) -> Inventory:
    """Reads and checks an inventory; InventoryError says file, line, column, the bad value and what is accepted."""
    document = read(path, error=InventoryError)
    for text in document.root.texts():
        references.check_at(str(text.value), text.place)
    try:
        return Inventory.model_validate(document.data, context={"document": document})
    except ValidationError as found:
        raise translated(found.errors(include_url=False), document, error=InventoryError) from None


def find_inventory(rootdir: Path, option: str | None) -> Path:
    """The inventory's path: as the option says, from `rootdir` or here, else `s3vpce.yaml` in `rootdir`."""
    wanted = Path(option).expanduser() if option else Path(FILE_NAME)
    for candidate in (rootdir / wanted, Path.cwd() / wanted) if option else (rootdir / wanted,):
        if candidate.is_file():
            return candidate
    raise InventoryError(
        f"there is no inventory `{rootdir / wanted}`", remedy="write it, or name another with --s3vpce-inventory"
    )
