"""Forms of texts in a user's files: names, ids, ARNs, Regions, hosts; each says what a text lacks, and the remedy."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.faults import Fault, KeyFault, accepted, shown
from pytest_s3vpce.references import check, refers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Form:
    """What a text must look like, its word and an example. Calling it passes a text that has the form, or refers."""

    pattern: str
    what: str
    remedy: str

    def __call__(self, text: str) -> str:
        """A text with a reference in it passes if that is well-formed: its value is known only where it is used."""
        return check(text) if refers(text) else self.strict(text)

    def strict(self, text: str) -> str:
        """The text itself must have the form."""
        if not re.fullmatch(self.pattern, text):
            raise Fault(f"{shown(text)} is not {self.what}", remedy=self.remedy)
        return text


TEXT: Final = Form(r"(?s).*\S.*", "a value", "write one, or leave the key out")
NAME: Final = Form(r"[^/:+\[\]\s$]+", "a name", "names may not contain / : + [ ] $ or spaces")
WHO: Final = Form(r"[^:\s]+:[^:\s]+", "a principal and a vantage point", "write PRINCIPAL:VANTAGE_POINT")
REGION: Final = Form(r"[a-z]{2,5}(-[a-z]+)+-\d{1,2}", "a Region", "give its code, such as eu-west-1")

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
ACCOUNT_ID: Final = Form(r"\d{12}", "an account id", "give its 12 digits")
ROLE: Final = Form(
    r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", "a role's ARN", "write arn:aws:iam::ACCOUNT_ID:role/NAME"
)
POLICY: Final = Form(
    r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+",
    "a policy's ARN",
    "write arn:aws:iam::ACCOUNT_ID:policy/NAME",
)
SESSION: Final = Form(r"[\w+=,.@-]{2,64}", "a session's name", "give 2 to 64 letters, digits and +=,.@-_")
VARIABLE: Final = Form(r"[A-Za-z_]\w*", "an environment variable's name", "name the variable, not its value")
MFA: Final = Form(
    r"arn:aws[a-z-]*:iam::\d{12}:mfa/.+|[A-Z0-9]{9,256}", "an MFA device", "give its ARN or serial number"
)
ROLE_PATH: Final = Form(r"/([!-~]+/)?", "a role's path", "it begins and ends with /")

# https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
FUNCTION: Final = Form(
    r"(arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?[\w-]{1,140}(:[\w$-]+)?",
    "a function's name or ARN",
    "give the one that Lambda shows",
)
ARCHITECTURE: Final = Form(r"arm64|x86_64", "an architecture", "accepted are arm64, x86_64")
RUNTIME: Final = Form(r"python3\.([89]|\d\d)", "a runtime of the agent", "give python3.8 or a later one")

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
INSTANCE: Final = Form(r"i-[0-9a-f]{8,17}", "an instance's id", "it looks like i-0123456789abcdef0")
IMAGE: Final = Form(r"ami-\w+|resolve:ssm:[\w./:-]+", "an image", "give an id such as ami-0123456789abcdef0")
INSTANCE_TYPE: Final = Form(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an instance type", "it looks like t4g.nano")
PROFILE: Final = Form(
    r"(arn:aws[a-z-]*:iam::\d{12}:instance-profile/)?[\w+=,.@/-]+",
    "an instance profile",
    "give its name, or arn:aws:iam::ACCOUNT_ID:instance-profile/NAME",
)

# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html (KMSKeyArn)
KEY: Final = Form(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[\w-]+",
    "a KMS key's ARN",
    "write arn:aws:kms:REGION:ACCOUNT_ID:key/ID, no alias",
)

# Buckets made in us-east-1 before 2018 may have capitals, underscores and up to 255 characters:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET: Final = Form(r"[A-Za-z0-9._-]{3,255}", "a bucket's name", "give the bare name, no ARN or URL")
STACK: Final = Form(r"[A-Za-z][A-Za-z0-9-]{0,127}", "a stack's name", "letters, digits and hyphens, a letter first")
SUBNET: Final = Form(r"subnet-\w+", "a subnet's id", "it looks like subnet-0123456789abcdef0")
GROUP: Final = Form(r"sg-\w+", "a security group's id", "it looks like sg-0123456789abcdef0")
KMS_KEY: Final = Form(
    r"(arn:aws[\w-]*:kms:[a-z0-9-]+:\d{12}:key/)?[0-9A-Za-z-]+",
    "a KMS key",
    "give its id or its ARN; an alias may move to another key",
)
VPC: Final = Form(r"vpc-\w+", "a VPC's id", "it looks like vpc-0123456789abcdef0")
ENDPOINT: Final = Form(r"vpce-\w+", "a VPC endpoint's id", "it looks like vpce-0123456789abcdef0")
HOSTS: Final = Form(
    r"(?=.*[A-Za-z0-9])[A-Za-z0-9.*?:_-]+", "a pattern of hosts", "give a name such as *.internal.example.com, no URL"
)
HOST: Final = Form(
    r"(https://)?[A-Za-z0-9.-]+(:\d+)?/?|dualstack|fips|dualstack-fips"
    r"|arn:aws[a-z-]*:s3:[a-z0-9-]+:\d{12}:accesspoint[:/][a-z0-9-]+",
    "a host",
    "give a name, https://NAME (`transport` picks the scheme), dualstack, fips, dualstack-fips, an access point's ARN",
)


def network(text: str) -> str:
    """A network's CIDR, or an address."""
    if refers(text):
        return check(text)
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Fault(f"{shown(text)} is no network", remedy="give a CIDR such as 203.0.113.0/24") from None
    return text


def proxy(text: str) -> str:
    """`none`, `environment` or a URL; a wrong one is not shown, for it may hold a password."""
    if not refers(text) and not re.fullmatch(r"none|environment|http://[^\s/]+/?", text):
        raise Fault("this is no proxy", remedy="accepted are none, environment, http://HOST:PORT")
    return text


def boolean(given: Any) -> bool:
    """Only true or false: in YAML 1.1 `no` and `off` would be false, here they are names."""
    if given in ("true", "false") or isinstance(given, bool):
        return given in ("true", True)
    raise Fault(f"{shown(given)} is neither true nor false", remedy="write true or false")


def memory(given: Any) -> int:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
    if re.fullmatch(r"\d{3,5}", str(given)) and 128 <= int(given) <= 10_240:
        return int(given)
    raise Fault(f"{shown(given)} is no size of memory", remedy="give MB from 128 to 10240")


_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(given: Any) -> int:
    """A span of time: a number of seconds, or one with `s`, `m` or `h`."""
    match = re.fullmatch(r"(\d{1,7})([smh]?)", str(given), re.ASCII)
    if match is None:
        raise Fault(
            f"{shown(given)} is no span of time", remedy="give seconds, or a number with s, m or h: 90s, 15m, 2h"
        )
    return int(match[1]) * _UNITS[match[2]]


def choice(kind: Iterable[StrEnum], word: str) -> Callable[[Any], Any]:
    """One of an enumeration's values."""
    known = [member.value for member in kind]

    def check(given: Any) -> Any:
        if isinstance(given, str) and given not in known:
            raise Fault(f"unknown {word} {shown(given)}", remedy=accepted(known, instead_of=given))
        return given

    return check


def address(given: str) -> str:
    """An address of either family, or a reference to one."""
    if "${" in given:
        return given
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        raise Fault(f"{shown(given)} is no address", remedy="give one such as 203.0.113.7") from None


def listed(given: Any) -> Any:
    """One text or mapping stands for a list of one."""
    return [given] if isinstance(given, (str, dict)) and given else given


def words(given: Any) -> Any:
    """A command's words: a text would need a shell to split it, and there is none."""
    if isinstance(given, str):
        raise Fault(
            f"a list is wanted here, not {shown(given)}", remedy='no shell splits it: write [ssh, HOST, python3, "-"]'
        )
    return given


def filled(given: Any) -> Any:
    """Something is there."""
    if not given:
        raise Fault("nothing is listed here", remedy="list at least one")
    return given


def chosen(form: Form) -> Callable[[Any], tuple[str, ...] | dict[str, str]]:
    """Ids, or `{tags: {KEY: VALUE}}`, which comes back as the tags."""

    def check(given: Any) -> tuple[str, ...] | dict[str, str]:
        if isinstance(given, dict):
            return _tags(given)
        rows = listed(given)
        if not isinstance(rows, (list, tuple)):
            raise Fault(f"{shown(given)} is neither ids nor tags", remedy=f"{form.remedy}; or write {{tags: {{...}}}}")
        for index, row in enumerate(filled(rows)):
            try:
                _check_id(row, form)
            except Fault as fault:
                path = (index,) if rows is given else ()
                raise Fault(fault.what, path=path, remedy=fault.remedy) from None
        return tuple(rows)

    return check


def _check_id(given: Any, form: Form) -> None:
    if not isinstance(given, str):
        raise Fault(f"{shown(given)} is not {form.what}", remedy=form.remedy)
    form(given)


def _tags(given: dict[Any, Any]) -> dict[str, str]:
    for key in given:
        if key != "tags":
            raise KeyFault(f"unknown key `{key}`", path=(key,), remedy=accepted(["tags"], instead_of=str(key)))
    tags = given.get("tags")
    if not isinstance(tags, dict) or not tags:
        raise Fault(f"{shown(tags)} is no choice by tags", path=("tags",), remedy="write {tags: {KEY: VALUE}}")
    for key, value in tags.items():
        if not isinstance(value, str):
            raise Fault(f"text is wanted here, not {shown(value)}", path=("tags", key))
        if refers(value):
            check(value)
    return dict(tags)
