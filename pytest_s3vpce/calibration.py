"""What this project takes for true of AWS although AWS documents it nowhere: rules, and what a calibration found.

Each rule names the experiment of `s3vpce calibrate` that settles it. A calibration's file takes the place of what is
assumed; one that was made in a lab says nothing about AWS.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_s3vpce.operations import Check, Operation

_VERSION: Final = 1
POLICIES_FIRST: Final = "policies first"
"""The denied caller was denied, the allowed one got an answer of the form's."""
OTHER_ANSWER: Final = "policies first, then another answer"
"""The denied caller was denied, the allowed one got an answer that the form does not list; from then on it counts."""
SAME_ANSWER: Final = "the same answer to both"
"""The form tells nothing: S3 looks at it first."""
LIVE: Final = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Something that is taken for true. `assumed` is its value as long as nobody has looked."""

    name: str
    experiment: str
    says: str
    assumed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an experiment found of a rule, and the requests that show it."""

    rule: str
    value: str
    request_ids: tuple[str, ...] = ()
    detail: str = ""
    answer: str = ""
    """With `OTHER_ANSWER`: status and code."""

    @property
    def agrees(self) -> bool:
        """Whether AWS does what is assumed."""
        return self.decided and RULES[self.rule].assumed in (self.value, "")

    @property
    def decided(self) -> bool:
        """Whether it settles the rule, either way; else the experiment met something else, as `503 SlowDown`."""
        return _DECIDED[RULES[self.rule].experiment].fullmatch(self.value) is not None


def _forms() -> Iterable[Rule]:
    for row in OPERATIONS.values():
        if row.safe is not None and (row.writes or not row.safe.documented):
            yield Rule(
                name=f"form/{row.name}",
                experiment="forms",
                says=f"the safe form of {row.name} is looked at by policies first, then refused: {row.safe.note}",
                assumed=POLICIES_FIRST,
            )


def _rules(experiment: str, *rows: tuple[str, str, str]) -> Iterable[Rule]:
    return (Rule(name=name, experiment=experiment, says=says, assumed=assumed) for name, assumed, says in rows)


_CREATION: Final = "s3:ObjectCreationOperation of"
_ALL: Final = (
    *_forms(),
    *_rules(
        "order",
        ("order/digest", POLICIES_FIRST, "a body that is not what its digest says is refused after policies"),
    ),
    *_rules(
        "messages",
        ("message/session-explicit", "session explicit", "a denial by a session policy's Deny names it"),
        ("message/session-implicit", "session implicit", "a denial by a session policy without an Allow names it"),
        ("message/identity-explicit", "identity explicit", "a denial by an identity policy's Deny names it"),
        ("message/identity-implicit", "identity implicit", "a denial for want of an identity policy names it"),
        (
            "message/boundary-implicit",
            "permissions_boundary implicit",
            "a denial by a permissions boundary without an Allow names it",
        ),
        ("message/resource-explicit", "resource explicit", "a denial by a bucket policy's Deny names it"),
    ),
    *_rules(
        "keys",
        ("key/prefix-not-sent", "absent", "s3:prefix of a listing that sends none"),
        ("key/delimiter-not-sent", "absent", "s3:delimiter of a listing that sends none"),
        ("key/max-keys-not-sent", "1000", "s3:max-keys of a listing that sends none"),
        ("key/creation/PutObject", "true", f"{_CREATION} PutObject"),
        ("key/creation/CopyObject", "true", f"{_CREATION} CopyObject"),
        ("key/creation/CreateMultipartUpload", "true", f"{_CREATION} CreateMultipartUpload"),
        ("key/creation/CompleteMultipartUpload", "true", f"{_CREATION} CompleteMultipartUpload"),
        ("key/creation/UploadPart", "false", f"{_CREATION} UploadPart"),
        ("key/creation/UploadPartCopy", "false", f"{_CREATION} UploadPartCopy"),
        ("key/content-sha256-presigned", "absent", "s3:x-amz-content-sha256 of a presigned URL"),
        ("key/star", "literal", "a `*` that a request sends, before StringLike"),
        ("key/resource-account/ListBuckets", "present", "aws:ResourceAccount of ListBuckets"),
        ("key/resource-account/CreateBucket", "present", "aws:ResourceAccount of CreateBucket"),
    ),
    *_rules(
        "absent keys",
        ("absent-key/list-without-get", "403", "an absent key, to one who may s3:ListBucket and not s3:GetObject"),
        ("absent-key/list-by-prefix", "404", "an absent key, to one who may s3:ListBucket where the key is the prefix"),
        ("absent-key/list-elsewhere", "403", "an absent key, to one who may s3:ListBucket of another prefix"),
    ),
    *_rules(
        "attributes",
        ("attributes/actions", "both", "whether GetObjectAttributes asks for s3:GetObject, for its own action or both"),
    ),
    *_rules(
        "bucket policies",
        ("root-arn/alone", "denied", "a bucket policy's Allow to its own account's root, to a role without any policy"),
    ),
    *_rules(
        "propagation",
        ("propagation/bucket-policy", "", "seconds until a bucket policy was seen to count, at most"),
        ("propagation/role-policy", "", "seconds until a role's policy was seen to count, at most"),
    ),
    *_rules(
        "functions",
        ("function/aws:SourceIp", "present", "aws:SourceIp of a function outside of VPCs"),
        ("function/aws:SourceVpc", "absent", "aws:SourceVpc of a function outside of VPCs"),
        ("function/aws:SourceVpce", "absent", "aws:SourceVpce of a function outside of VPCs"),
    ),
    *_rules(
        "public policies",
        ("public/aws:PrincipalArn", "public", "Allow to everybody if aws:PrincipalArn is a role"),
        ("public/aws:PrincipalAccount", "public", "Allow to everybody if aws:PrincipalAccount is an account"),
        ("public/aws:SourceVpcArn", "public", "Allow to everybody if aws:SourceVpcArn is a VPC"),
        ("public/aws:VpceAccount", "public", "Allow to everybody if aws:VpceAccount is an account"),
        ("public/aws:VpceOrgID", "public", "Allow to everybody if aws:VpceOrgID is an organization"),
    ),
)
RULES: Final[Mapping[str, Rule]] = {rule.name: rule for rule in _ALL}
_ORDERS: Final = f"{POLICIES_FIRST}|{OTHER_ANSWER}|{SAME_ANSWER}"
_DECIDED: Final[Mapping[str, re.Pattern[str]]] = {
    experiment: re.compile(values)
    for experiment, values in {
        "forms": _ORDERS,
        "order": _ORDERS,
        "messages": r"\w+ (explicit|implicit)|no policy is named",
        "keys": "absent|present|empty|true|false|1000|UNSIGNED-PAYLOAD|literal|pattern",
        "absent keys": "403|404",
        "attributes": "both|either|s3:GetObject|s3:GetObjectAttributes",
        "bucket policies": "allowed|denied",
        "propagation": r"\d+\.\d",
        "functions": "absent|present",
        "public policies": "public|not public",
    }.items()
}
"""The values that settle a rule of an experiment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What one calibration found. The empty one found nothing, so that what is assumed counts."""

    made: str = ""
    """When, as `2026-11-26T02:00:00Z`."""
    mode: str = ""
    """`live`, or `lab`."""
    account: str = ""
    region: str = ""
    findings: Mapping[str, Finding] = field(default_factory=dict)

    def value(self, rule: str) -> str:
        """What counts: as found where that settles the rule, else as assumed."""
        found = self.findings.get(rule)
        return found.value if found is not None and found.decided else RULES[rule].assumed

    def settles(self, operation: str) -> bool | None:
        """Whether an operation's safe form tells allowed from denied; None where nobody looked."""
        found = self.findings.get(f"form/{operation}")
        return None if found is None else found.value in (POLICIES_FIRST, OTHER_ANSWER)

    def answers(self, operation: str) -> tuple[str, ...]:
        """What an operation's safe form is answered besides what it lists, for one who may."""
        found = self.findings.get(f"form/{operation}")
        return (found.answer,) if found is not None and found.value == OTHER_ANSWER and found.answer else ()

    def unsent(self, row: Operation) -> dict[str, str]:
        """Condition keys of an operation that no parameter of it gives, where AWS does not say what they hold."""
        found = {}
        for name in ("prefix", "delimiter"):
            if f"s3:{name}" in row.keys.values() and self.value(f"key/{name}-not-sent") == "empty":
                found[f"s3:{name}"] = ""
        rule = f"key/creation/{row.api_name}"
        if rule in RULES and self.value(rule) in ("true", "false"):
            found["s3:ObjectCreationOperation"] = self.value(rule)
        return found

    def asked(self, row: Operation, checks: Sequence[Check]) -> tuple[Check, ...]:
        """Of the checks of an operation, those that S3 makes, where AWS's documents contradict each other."""
        actions = _ATTRIBUTES.get(self.value("attributes/actions"))
        if row.api_name != "GetObjectAttributes" or actions is None:
            return tuple(checks)
        return tuple(check for check in checks if check.action in actions)

    def leaning(self, rules: Iterable[str]) -> str:
        """How many of these rules were checked on AWS, and when: a line for reports."""
        named = sorted({*rules} & RULES.keys())
        decided = {name for name, found in self.findings.items() if found.decided}
        checked = [name for name in named if name in decided] if self.mode == LIVE else []
        if not named:
            return ""
        when = f" (account {self.account}, {self.made[:10]})" if checked else ""
        return f"{len(checked)} of {len(named)} undocumented rules that this leans on were checked on AWS{when}"

    def to_json(self) -> str:
        """The file's text."""
        head = {"version": _VERSION, "made": self.made, "mode": self.mode}
        rows = [
            {**asdict(row), "experiment": RULES[row.rule].experiment, "assumed": RULES[row.rule].assumed}
            for row in self.findings.values()
        ]
        return json.dumps({**head, "account": self.account, "region": self.region, "findings": rows}, indent=2) + "\n"


NONE: Final = Calibration()
_ATTRIBUTES: Final = {
    "s3:GetObjectAttributes": ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
    "s3:GetObject": ("s3:GetObject", "s3:GetObjectVersion"),
}
"""What `attributes/actions` may say besides `both`. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
asks for both, https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html for one."""


def read(path: Path) -> Calibration:
    """A calibration's file; RunError where it is none. Rules that this version does not know are left out."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _check_version(found["version"])
        rows = [_finding(row) for row in found["findings"] if row["rule"] in RULES]
        texts = {name: str(found[name]) for name in ("made", "mode", "account", "region")}
    except OSError as error:
        raise RunError(f"the calibration `{path}` can't be read: {error.strerror}", remedy=_REMEDY) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"`{path}` is no calibration: {type(error).__name__}", remedy=_REMEDY) from error
    return Calibration(**texts, findings={row.rule: row for row in rows})


_REMEDY: Final = "`s3vpce calibrate --account NAME --output FILE` writes one"


def _check_version(found: object) -> None:
    if found != _VERSION:
        raise ValueError(f"version {found}")


def _finding(row: Mapping[str, Any]) -> Finding:
    ids = tuple(str(name) for name in row.get("request_ids", ()))
    texts = {name: str(row.get(name, "")) for name in ("detail", "answer")}
    return Finding(rule=row["rule"], value=str(row["value"]), request_ids=ids, **texts)
