"""What a calibration found of the rules that AWS documents nowhere, and what follows from it.

A calibration's file takes the place of what is assumed; one that was made in a lab says nothing about AWS.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.operations import context
from pytest_s3vpce.undocumented import OTHER_ANSWER, POLICIES_FIRST, RULES, SAME_ANSWER, STREAMED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_s3vpce.operations import Check, Operation

_VERSION: Final = 1
LIVE: Final = "live"
NOT_RUN: Final = "not run"
LEFT_OUT: Final = "left out by --only"
_LIMITS: Final = ("permissions_boundary", "session")
_UNSENT: Final = {"s3:prefix": "key/prefix-not-sent", "s3:delimiter": "key/delimiter-not-sent"}
_OWNERLESS: Final = {"ListBuckets": "s3:listallmybuckets", "CreateBucket": "s3:createbucket"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an experiment found of a rule, and the requests that show it."""

    rule: str
    value: str
    request_ids: tuple[str, ...] = ()
    detail: str = ""
    answer: str = ""
    """With `OTHER_ANSWER`: status and code."""
    samples: tuple[float, ...] = ()
    """Of a measure: each, in seconds."""

    @property
    def agrees(self) -> bool:
        """Whether AWS does what is assumed."""
        return self.decided and RULES[self.rule].assumed in (self.value, "")

    @property
    def decided(self) -> bool:
        """Whether it settles the rule, either way; else the experiment met something else, as `503 SlowDown`."""
        return RULES[self.rule].settled_by(self.value)

    @property
    def ran(self) -> bool:
        """Whether its experiment was done at all."""
        return not self.value.startswith(NOT_RUN)


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
    _values: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        decided = {name: row.value for name, row in self.findings.items() if row.decided}
        # Known from the start: the lab and predictions ask for some dozen of them at every request.
        object.__setattr__(self, "_values", {name: rule.assumed for name, rule in RULES.items()} | decided)

    def value(self, rule: str) -> str:
        """What counts: as found where that settles the rule, else as assumed."""
        return self._values[rule]

    def settles(self, operation: str) -> bool | None:
        """Whether an operation's safe form tells allowed from denied; None where nobody looked."""
        found = self.findings.get(f"form/{operation}")
        return found.value in (POLICIES_FIRST, OTHER_ANSWER) if found is not None and found.ran else None

    def answers(self, operation: str) -> tuple[str, ...]:
        """What an operation's safe form is answered besides what it lists, for one who may."""
        found = self.findings.get(f"form/{operation}")
        return (found.answer,) if found is not None and found.value == OTHER_ANSWER and found.answer else ()

    @property
    def early(self) -> frozenset[str]:
        """The operations that S3 looks at before it asks policies, as far as their safe forms go."""
        return frozenset(
            name.removeprefix("form/")
            for name, found in self.findings.items()
            if name.startswith("form/") and found.value == SAME_ANSWER
        )

    @property
    def engine(self) -> dict[str, Any]:
        """What the engine of policies takes for true (`policy.doubts`), by its names."""
        public = [name for name in RULES if name.startswith("public/")]
        ownerless = [
            action for name, action in _OWNERLESS.items() if self.value(f"key/resource-account/{name}") == "absent"
        ]
        return {
            "root_delegates": self.value("root-arn/alone") == "denied",
            "lone_star_is_every_arn": self.value("key/star-as-arn") == "every ARN",
            "wildcards_in_variables": self.value("key/star-in-variable") == "wildcard",
            "everybody_passes": frozenset(row for row in _LIMITS if self.value(f"everybody/{row}") == "allowed"),
            "fixed_keys": frozenset(
                name.removeprefix("public/").lower() for name in public if self.value(name) == "not public"
            ),
            "ownerless": frozenset(ownerless),
        }

    def seconds(self, rule: str) -> float:
        """A measure; 0 where nobody took it."""
        return float(self.value(rule) or 0)

    def keys(self, row: Operation, parameters: Mapping[str, Any]) -> dict[str, str]:
        """The condition keys that S3 sets from an operation and its parameters, with those that nobody sends."""
        found = {**self._unsent(row), **context(row, parameters)}
        if parameters.get("MaxKeys") is None and self.value("key/max-keys-not-sent") == "absent":
            found.pop("s3:max-keys", None)
        return found

    def _unsent(self, row: Operation) -> dict[str, str]:
        """Condition keys of an operation that no parameter of it gives, where AWS does not say what they hold."""
        found = {}
        for key, rule in _UNSENT.items():
            if self.value(rule) == "empty" and key in row.keys.values():
                found[key] = ""
        creates = self._values.get(f"key/creation/{row.api_name}")
        if creates in ("true", "false"):
            found["s3:ObjectCreationOperation"] = creates
        return found

    def place(self, row: Operation, body: bytes) -> dict[str, str]:
        """s3:locationconstraint of a bucket that is made without saying where."""
        empty = row.api_name == "CreateBucket" and not body and self.value("key/location-not-sent") == "empty"
        return {"s3:locationconstraint": ""} if empty else {}

    def payload(self, sent: str | None, *, presigned: bool = False) -> dict[str, str]:
        """s3:x-amz-content-sha256 of a request with this header, or none."""
        value = sent
        if sent == STREAMED:
            value = self.value("key/content-sha256-trailer")
        elif sent is None and presigned:
            value = self.value("key/content-sha256-presigned")
        return {} if value in (None, "absent") else {"s3:x-amz-content-sha256": str(value)}

    def alternatives(self, row: Operation, checks: Sequence[Check]) -> tuple[tuple[Check, ...], ...]:
        """The checks that S3 makes, one of each group being enough."""
        asked = self.asked(row, checks)
        if row.api_name == "GetObjectAttributes" and self.value("attributes/actions") == "either":
            return (asked,)
        return tuple((check,) for check in asked)

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
        raise RunError(f"`{path}` is no calibration: {_reason(error)}", remedy=_REMEDY) from error
    return Calibration(**texts, findings={row.rule: row for row in rows})


_REMEDY: Final = "`s3vpce calibrate --account NAME --output FILE` writes one"


def _reason(error: Exception) -> str:
    """Why a file is none, in words."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, (json.JSONDecodeError, RecursionError)):
        return "it is not JSON"
    if isinstance(error, KeyError):
        return f"`{error.args[0]}` is missing"
    return "it holds something else" if isinstance(error, TypeError) else str(error)


def _check_version(found: object) -> None:
    if found != _VERSION:
        raise ValueError(f"its version is `{found}`, and this one reads {_VERSION}")


def _finding(row: Mapping[str, Any]) -> Finding:
    ids = tuple(str(name) for name in row.get("request_ids", ()))
    samples = tuple(float(value) for value in row.get("samples", ()))
    texts = {name: str(row.get(name, "")) for name in ("detail", "answer")}
    return Finding(rule=row["rule"], value=str(row["value"]), request_ids=ids, samples=samples, **texts)
