"""A lab's organization as a file says it: units, the accounts in them, and the policies at each level.

It is made by the calls that anybody would make; only that accounts which are there join it is the lab's own doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import Field, ValidationError

from pytest_s3vpce.errors import FileError, PolicyError
from pytest_s3vpce.faults import translated
from pytest_s3vpce.policy import parse
from pytest_s3vpce.schema import Strict, Text
from pytest_s3vpce.yamlplaces import read

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from pytest_s3vpce.lab.provisioning import AccountSession
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.model import Place
    from pytest_s3vpce.yamlplaces import Document

_TYPES: Final = {"scps": "SERVICE_CONTROL_POLICY", "rcps": "RESOURCE_CONTROL_POLICY"}
_MOST_BYTES: Final = 5120
"""https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html"""


class Unit(Strict):
    """A level of the organization: its policies (JSON files), the accounts that stand in it, and the units below."""

    scps: list[Text] = Field(default_factory=list)
    rcps: list[Text] = Field(default_factory=list)
    accounts: list[Text] = Field(default_factory=list)
    units: dict[Text, Unit] = Field(default_factory=dict)

    def walk(self, *path: str) -> Iterator[tuple[tuple[str, ...], Unit]]:
        """This level and all below, with the steps that lead to each in the file."""
        yield path, self
        for name, unit in self.units.items():
            yield from unit.walk(*path, "units", name)


class Root(Unit):
    """The whole file. The management account is the first one where none is named."""

    management: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A file that was read and checked, with the texts of its policies by type and path."""

    root: Root
    management: str
    policies: Mapping[tuple[str, str], str]

    @classmethod
    def load(cls, path: Path, *, accounts: Collection[str]) -> Self:
        """FileError or PolicyError, at its line, where the file can't be used; `accounts` are the lab's, by name."""
        document = read(path, error=FileError)
        try:
            root = Root.model_validate(document.data)
        except ValidationError as found:
            raise translated(found.errors(include_url=False), document, error=FileError) from None
        management = root.management or next(iter(accounts))
        seen: dict[str, Place] = {}
        for steps, unit in root.walk():
            for number, name in enumerate(unit.accounts):
                place = document.place(*steps, "accounts", number)
                if name not in accounts:
                    raise FileError(
                        f"there is no account `{name}`", place=place, remedy=f"it is one of {_listed(accounts)}"
                    )
                if name in seen:
                    raise FileError(
                        f"account `{name}` stands at `{seen[name]}` already", place=place, remedy="leave one out"
                    )
                seen[name] = place
        if management not in accounts:
            place = document.place("management")
            raise FileError(
                f"there is no account `{management}`", place=place, remedy=f"it is one of {_listed(accounts)}"
            )
        return cls(root=root, management=management, policies=dict(_policies(root, path, document)))

    def make(self, state: State, *, accounts: Mapping[str, AccountSession], endpoint_url: str) -> None:
        """Make it in a lab, as the management account's root."""
        manager = accounts[self.management]
        client = _client(manager, endpoint_url)
        client.create_organization(FeatureSet="ALL")
        top = client.list_roots()["Roots"][0]
        for kind in set(_TYPES.values()) - {row["Type"] for row in top["PolicyTypes"]}:
            client.enable_policy_type(RootId=top["Id"], PolicyType=kind)
        made = {key: _made(client, key, text) for key, text in self.policies.items()}
        ids: dict[tuple[str, ...], str] = {(): top["Id"]}
        for steps, unit in self.root.walk():
            if steps:
                created = client.create_organizational_unit(ParentId=ids[steps[:-2]], Name=steps[-1])
                ids[steps] = created["OrganizationalUnit"]["Id"]
            here = ids[steps]
            for name in unit.accounts:
                account = accounts[name].account_id
                if name == self.management:
                    client.move_account(AccountId=account, SourceParentId=top["Id"], DestinationParentId=here)
                else:
                    state.enroll(account, management_account=manager.account_id, name=name, parent=here)
            for field, kind in _TYPES.items():
                for path in getattr(unit, field):
                    client.attach_policy(PolicyId=made[kind, path], TargetId=here)


def _client(keys: AccountSession, endpoint_url: str) -> Any:
    import boto3
    from botocore.config import Config

    session: Any = boto3.Session(
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        region_name=keys.region,
    )
    # Without the proxies of the environment: this is the lab that talks to itself.
    return session.client("organizations", endpoint_url=endpoint_url, config=Config(proxies={}))


def _made(client: Any, key: tuple[str, str], text: str) -> str:
    kind, path = key
    name = path.rpartition("/")[2].removesuffix(".json")
    made = client.create_policy(Type=kind, Name=f"{name}-{kind[0].lower()}cp", Description=path, Content=text)
    return str(made["Policy"]["PolicySummary"]["Id"])


def _policies(root: Root, file: Path, document: Document) -> Iterator[tuple[tuple[str, str], str]]:
    for steps, unit in root.walk():
        for field, kind in _TYPES.items():
            for number, path in enumerate(getattr(unit, field)):
                place = document.place(*steps, field, number)
                try:
                    text = (file.parent / path).read_text(encoding="utf-8")
                    parse(text, name=path)
                except OSError as error:
                    raise FileError(
                        f"`{path}` can't be read: {error.strerror}", place=place, remedy="write it"
                    ) from error
                except UnicodeDecodeError as error:
                    raise FileError(f"`{path}` is not UTF-8", place=place) from error
                except PolicyError as error:
                    raise PolicyError(error.what, place=place, remedy=error.remedy) from error
                if len(text.encode()) > _MOST_BYTES:
                    raise FileError(f"`{path}` is longer than {_MOST_BYTES} bytes", place=place, remedy="shorten it")
                yield (kind, path), text


def _listed(accounts: Collection[str]) -> str:
    return ", ".join(accounts)
