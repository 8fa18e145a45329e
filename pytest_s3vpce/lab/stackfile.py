"""The stacks that an inventory wants in the lab: created in order, as root users of their accounts.

What the inventory says of them comes as a file, so that errors name its lines.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.model import Place
from pytest_s3vpce.references import References

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from pytest_s3vpce.lab.provisioning import AccountSession

_CAPABILITIES: Final = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
_RESOURCE: Final = re.compile(r"\[/Resources/(\w+)|of resource (\w+)|resource (\w+) \(")
_AT: Final = re.compile(r"not well-formed\. \(line (\d+), column (\d+)")
_SECONDS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRow:
    """A stack as the inventory names it, and where."""

    name: str
    template: str
    account: str
    place: Place
    parameters: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    """Of the parameters."""


def write(rows: Sequence[StackRow], path: Path) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")


def read(path: Path) -> list[StackRow]:
    """What `write` wrote."""
    found = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        places = {name: Place(**place) for name, place in row.pop("places").items()}
        found.append(StackRow(place=Place(**row.pop("place")), places=places, **row))
    return found


def create(
    rows: Sequence[StackRow],
    *,
    endpoint_url: str,
    accounts: Mapping[str, AccountSession],
    outputs: Mapping[str, Any],
    stop: threading.Event,
) -> dict[str, Any]:
    """The stacks' outputs, joined; LabError, at the template's or the inventory's line, where one can't be made.

    Parameters may refer to what was built before, which are `outputs` and those of the stacks above.
    """
    found: dict[str, Any] = {}
    for row in rows:
        if not stop.is_set():
            found |= _created(row, endpoint_url, accounts[row.account], {**outputs, **found})
    return found


def _created(row: StackRow, endpoint_url: str, keys: AccountSession, outputs: Mapping[str, Any]) -> dict[str, str]:
    from botocore.exceptions import ClientError

    client, template, references = _client(keys, endpoint_url), Path(row.template), References(outputs)
    text = template.read_text(encoding="utf-8")
    given = {name: references.resolve(value, row.places[name]) for name, value in row.parameters.items()}
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    try:
        client.create_stack(StackName=row.name, TemplateBody=text, Parameters=parameters, Capabilities=_CAPABILITIES)
    except ClientError as refused:
        raise _refusal(row, text, refused.response["Error"]["Message"]) from refused
    stack = client.describe_stacks(StackName=row.name)["Stacks"][0]
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise _failure(row, text, client.describe_stack_events(StackName=row.name)["StackEvents"])
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def _refusal(row: StackRow, text: str, message: str) -> LabError:
    malformed = _AT.search(message)
    if malformed:
        at = Place(row.template, int(malformed[1]), int(malformed[2]))
        return LabError(f"stack `{row.name}` is refused: {message}", place=at)
    found = _RESOURCE.search(message)
    logical = next(filter(None, found.groups())) if found else None
    at = _line(row, text, logical) if logical else row.place
    return LabError(f"stack `{row.name}` is refused: {message}", place=at)


def _failure(row: StackRow, text: str, events: Sequence[Mapping[str, Any]]) -> LabError:
    failed = [event for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    if not failed:
        reasons = [event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event]
        return LabError(f"stack `{row.name}` failed: {reasons[0] if reasons else 'it says not why'}", place=row.place)
    logical, reason = failed[-1]["LogicalResourceId"], failed[-1]["ResourceStatusReason"]
    at = _line(row, text, logical)
    return LabError(f"stack `{row.name}` failed: resource `{logical}`: {reason}", place=at)


def _line(row: StackRow, text: str, logical: str) -> Place:
    """Where the template begins a resource; the inventory's line where that can't be seen."""
    key = re.compile(rf"""^\s+["']?{re.escape(logical)}["']?\s*:""")
    found = next((number for number, line in enumerate(text.splitlines(), 1) if key.match(line)), None)
    return row.place if found is None else Place(row.template, found)


def _client(keys: AccountSession, endpoint_url: str) -> Any:
    import boto3
    from botocore.config import Config

    session: Any = boto3.Session(
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        region_name=keys.region,
    )
    # Without the proxies of the environment: this is the lab that talks to itself.
    config = Config(proxies={}, read_timeout=_SECONDS, retries={"total_max_attempts": 1})
    return session.client("cloudformation", endpoint_url=endpoint_url, config=config)
