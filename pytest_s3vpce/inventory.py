"""The inventory, `s3vpce.yaml`: accounts, principals, vantage points, buckets and controls, as the user wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from pytest_s3vpce import forms, references
from pytest_s3vpce.dangling import faults_of_names
from pytest_s3vpce.errors import InventoryError
from pytest_s3vpce.evidenceforms import EvidenceSource  # noqa: TC001 - pydantic reads annotations
from pytest_s3vpce.faults import Fault, KeyFault, translated
from pytest_s3vpce.model import Place
from pytest_s3vpce.points import Point  # noqa: TC001 - pydantic reads annotations
from pytest_s3vpce.references import OutputsFile
from pytest_s3vpce.schema import (
    AccountId,
    Flag,
    Name,
    Region,
    RoleArn,
    Seconds,
    Several,
    Strict,
    Text,
    Who,
    exactly_one,
    one_of,
)
from pytest_s3vpce.signers import Principal  # noqa: TC001 - pydantic reads annotations
from pytest_s3vpce.yamlplaces import Document, Located, read

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_NAME: Final = "s3vpce.yaml"


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


# --- what ----------------------------------------------------------------------------------------------------------


class Canary(Strict):
    """An object whose bytes probes read and write back: one that is there (`key`), or one that the run makes."""

    model_config = ConfigDict(json_schema_extra={"oneOf": one_of("key", "create")})

    key: Text | None = None
    create: Who | None = None
    """Who makes it, and from where."""
    reader: Who | None = None
    """Who reads it before and after writes; default: the bucket's first `allow` cell."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        exactly_one({"key": self.key, "create": self.create})
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
    requester_pays: Flag = False
    """Whether requests say that who sends them pays, as a bucket may ask of other accounts."""
    scratch: Flag = False
    """Whether its policy may really be deleted, and put back, by what is `mutating`."""
    keys: dict[Name, Text] = Field(default_factory=dict)
    hosts: dict[Name, Annotated[str, AfterValidator(forms.HOST)]] = Field(default_factory=dict)
    policy_file: Text | None = None
    """The file that its policy is made from: explanations point into it."""

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


class LabStack(Strict):
    """A CloudFormation stack that the embedded lab creates; its outputs are outputs of the infrastructure."""

    name: Annotated[str, AfterValidator(forms.STACK.strict)]
    template: Text
    parameters: dict[Name, str] = Field(default_factory=dict)
    account: Text | None = None


class Lab(Strict):
    """What only the embedded lab reads: the organization, then the module, the stacks and the script."""

    model_config = ConfigDict(json_schema_extra={"anyOf": one_of("provision", "terraform", "stacks")})

    provision: Text | None = None
    terraform: Text | None = None
    stacks: tuple[LabStack, ...] = ()
    organization: Text | None = None

    @model_validator(mode="after")
    def _builds_something(self) -> Self:
        if self.provision is None and self.terraform is None and not self.stacks:
            what = "none of `provision`, `terraform` and `stacks` is given"
            raise Fault(what, remedy="name what is to be built in the lab")
        return self


class Inventory(Strict):
    """The whole file. Values keep their references, `${out:NAME}`, as text; `References` resolves them at use."""

    accounts: Annotated[dict[Name, Account], AfterValidator(forms.filled)]
    infrastructure: Infrastructure | None = None
    principals: Annotated[dict[Name, Principal], AfterValidator(forms.filled)]
    vantage_points: Annotated[dict[Name, Point], AfterValidator(forms.filled)]
    buckets: Annotated[dict[Name, Bucket], AfterValidator(forms.filled)]
    controls: Annotated[dict[Text, ControlBucket], AfterValidator(forms.filled)] = Field(default_factory=dict)
    endpoint_policies: dict[Text, Text] = Field(default_factory=dict)
    """Files that the policies of VPC endpoints are made from, by the endpoints' ids."""
    allow_hosts: Several[Annotated[str, AfterValidator(forms.HOSTS)]] = ()
    """Patterns of hosts besides AWS's own that vantage points may reach; an agent gets them when it is deployed."""
    calibration: Text | None = None
    """The file that `s3vpce calibrate` wrote, beside the inventory."""
    evidence: Several[EvidenceSource] = ()
    """The logs that are asked about a run's requests, with --s3vpce-evidence."""
    settle: Seconds = 0
    """In seconds: each request is measured until its answers agree throughout."""
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

    def texts(self, *sections: str) -> Iterator[str]:
        """Every text that was written, or those of these sections."""
        root = self._document.root if self._document else None
        nodes = [root.child(name) for name in sections] if root and sections else [root]
        for node in nodes:
            yield from (str(text.value) for text in (node.texts() if node is not None else ()))

    def beside(self, path: str) -> Path:
        """A path of the inventory: relative ones count from its folder."""
        return self.path.parent / Path(path).expanduser()

    def outputs_file(self) -> OutputsFile | None:
        """Where `${out:NAME}` comes from outside the lab; None where the inventory names none."""
        if self.infrastructure is None:
            return None
        return OutputsFile(self.beside(self.infrastructure.file), self.place("infrastructure", "file"))


def _texts(root: Located) -> Iterator[Located]:
    """Every text that may hold references: `${aws:...}` in a session policy is a variable of IAM's.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    rows = root.child("principals")
    people = rows.value.values() if rows is not None and isinstance(rows.value, dict) else ()
    policies = [row for person in people if (row := person.child("session_policy")) and isinstance(row.value, dict)]
    theirs = {id(text) for policy in policies for text in policy.texts()}
    yield from (text for text in root.texts() if id(text) not in theirs)


def load_inventory(path: Path) -> Inventory:
    """Reads and checks an inventory; InventoryError says file, line, column, the bad value and what is accepted."""
    document = read(path, error=InventoryError)
    for text in _texts(document.root):
        references.check_at(str(text.value), text.place)
    accounts = document.root.child("accounts")
    for text in accounts.texts() if accounts is not None else ():
        references.check_unaided(str(text.value), text.place)
    try:
        return Inventory.model_validate(document.data, context={"document": document})
    except ValidationError as found:
        raise translated(found.errors(include_url=False), document, error=InventoryError) from None


def find_inventory(rootdir: Path, option: str | None) -> Path:
    """The inventory's path: as the option says, from `rootdir` or here, else `s3vpce.yaml` there, or here below it.

    An option's value that is a path and stands apart makes pytest take a folder above for its root:
    https://docs.pytest.org/en/stable/reference/customize.html#finding-the-rootdir
    """
    wanted = Path(option).expanduser() if option else Path(FILE_NAME)
    here = Path.cwd()
    for candidate in (rootdir / wanted, here / wanted) if option or rootdir in here.parents else (rootdir / wanted,):
        if candidate.is_file():
            return candidate
    found = rootdir / wanted
    if found.is_dir():
        raise InventoryError(f"the inventory `{found}` is a folder", remedy=f"name the file in it: {found / FILE_NAME}")
    raise InventoryError(
        f"there is no inventory `{found}`",
        remedy="write it, or name another: with --inventory, or --s3vpce-inventory of pytest",
    )
