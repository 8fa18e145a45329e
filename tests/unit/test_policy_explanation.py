"""Explanations: which statements matched, what kept the others, near misses, places; as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_s3vpce.cli import main
from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.operations.creations import DECRYPTING, KEYS_OF_PARTS
from pytest_s3vpce.policy import (
    UNKNOWN,
    Explanation,
    Policies,
    Request,
    decide,
    parse,
    parse_request,
    read_document,
    read_request,
)

if TYPE_CHECKING:
    from pytest_s3vpce.policy.explanation import Failure

_A, _B = "111122223333", "444455556666"
_ROLE = f"arn:aws:sts::{_A}:assumed-role/app/s1"
_OBJECT = "arn:aws:s3:::reports/q3.csv"
_ALL = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_CASES = [
    case
    for path in sorted((Path(__file__).parent.parent / "cases").glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))
]


def _statement(effect: str, *, conditions: Any = None, **more: Any) -> dict[str, Any]:
    found = {"Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": "*", **more}
    return found if conditions is None else {**found, "Condition": conditions}


def _document(*statements: Any, name: str = "") -> Any:
    return parse({"Version": "2012-10-17", "Statement": list(statements)}, name=name)


_ABSENT = "aws:SourceVpce is absent, so StringEquals [vpce-1] does not match"
_WOULD = "`Inside` of `resource` would"
_INSIDE = "aws:SourceVpce is [vpce-1], so StringNotEquals [vpce-1] does not match"
_IDENTITY = (parse(_ALL, name="inline"),)
_GUARD = _statement("Deny", Sid="Guard", conditions={"StringNotEquals": {"aws:SourceVpce": "vpce-1"}})


def _explained(
    *, principal: str = _ROLE, action: str = "s3:GetObject", context: Any = None, **given: Any
) -> Explanation:
    request = Request(action=action, resource=_OBJECT, resource_account=_A, principal=principal, context=context or {})
    return decide(request, Policies(**{"identity": _IDENTITY, **given})).explain()


def test_an_explicit_deny_names_its_statement_and_what_would_be_without_it() -> None:
    assert str(_explained(resource=_document(_GUARD, name="bucket"))).splitlines() == [
        f"explicit_deny by the resource-based policy: s3:GetObject on {_OBJECT} for {_ROLE}",
        "  denied by `Guard` of `bucket`",
        "  because aws:SourceVpce is absent, so StringNotEquals [vpce-1] matches",
        "  but for that condition of `Guard` of `bucket`: allow",
        "  layers: identity allow, resource explicit_deny",
    ]


def test_an_allow_names_who_allowed_and_the_deny_that_nearly_matched() -> None:
    found = _explained(resource=_document(_GUARD), context={"aws:SourceVpce": "vpce-1"})
    assert str(found).splitlines() == [
        f"allow: s3:GetObject on {_OBJECT} for {_ROLE}",
        "  allowed in identity by `statement 0` of `inline`",
        f"  near miss: `Guard` of `resource` in resource denies it where it matches, but {_INSIDE}",
        "  layers: identity allow, resource no_impact",
    ]
    (near,) = found.near_misses
    assert (near.becomes, near.trace.statement) == ("explicit_deny", "Guard")


def test_an_allow_says_which_conditions_it_met() -> None:
    inside = _statement("Allow", Sid="Inside", conditions={"StringEquals": {"aws:SourceVpce": "vpce-1"}})
    found = _explained(identity=(), resource=_document(inside), context={"aws:SourceVpce": "vpce-1"})
    line = "  allowed in resource by `Inside` of `resource`, because aws:SourceVpce is [vpce-1]"
    assert f"{line}, so StringEquals [vpce-1] matches" in str(found)


def test_an_implicit_deny_names_the_near_miss_once_and_the_closest_others() -> None:
    inside = _statement("Allow", Sid="Inside", conditions={"StringEquals": {"aws:SourceVpce": "vpce-1"}})
    others = [
        _statement("Allow", Sid="Put", Action="s3:PutObject"),
        _statement("Allow", Sid="Logs", Resource="arn:aws:s3:::logs/*"),
        _statement("Allow", Sid="Eve", Principal={"AWS": _B}),
    ]
    found = _explained(principal="anonymous", resource=_document(*others, inside))
    assert str(found).splitlines() == [
        f"implicit_deny by the resource-based policy: s3:GetObject on {_OBJECT} for anonymous",
        f"  because no resource-based policy allows s3:GetObject on {_OBJECT}: {_WOULD}, but {_ABSENT}",
        "  `Logs` of `resource` does not allow it: Resource arn:aws:s3:::logs/* does not match " + _OBJECT,
        "  `Put` of `resource` does not allow it: Action s3:PutObject does not match s3:GetObject",
        '  `Eve` of `resource` does not allow it: Principal {"AWS": "444455556666"} does not name anonymous',
        "  layers: resource implicit_deny",
    ]


@pytest.mark.parametrize(
    ("statement", "element", "says"),
    [
        (_statement("Deny", Action="s3:PutObject"), "Action", "Action s3:PutObject does not match s3:GetObject"),
        (
            {"Effect": "Deny", "Principal": "*", "NotAction": ["s3:Get*"], "Resource": "*"},
            "NotAction",
            'NotAction ["s3:Get*"] takes in s3:GetObject',
        ),
        (
            {"Effect": "Deny", "Principal": "*", "Action": "*", "NotResource": "arn:aws:s3:::reports/*"},
            "NotResource",
            f"NotResource arn:aws:s3:::reports/* takes in {_OBJECT}",
        ),
        (
            {
                "Effect": "Deny",
                "NotPrincipal": {"AWS": [_ROLE, f"arn:aws:iam::{_A}:role/app", _A]},
                "Action": "*",
                "Resource": "*",
            },
            "NotPrincipal",
            None,
        ),
        (
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            "Principal",
            f"Principal missing does not name {_ROLE}",
        ),
    ],
)
def test_the_first_element_that_does_not_fit_is_named(statement: Any, element: str, says: str | None) -> None:
    (trace,) = (row for row in _explained(resource=_document(statement)).traces if row.layer == "resource")
    assert trace.failure is not None
    assert trace.failure.element == element
    assert says is None or trace.failure.says == says


def _of_bucket(found: Explanation) -> Failure | None:
    return next(row.failure for row in found.traces if row.layer == "resource")


def test_a_condition_that_does_not_hold_comes_with_both_values() -> None:
    found = _explained(resource=_document(_GUARD), context={"aws:SourceVpce": "vpce-1"})
    failure = _of_bucket(found)
    assert failure is not None
    assert (failure.wanted, failure.actual) == ('StringNotEquals aws:SourceVpce ["vpce-1"]', '["vpce-1"]')
    needed = _statement("Allow", conditions={"StringEquals": {"aws:SourceVpce": "vpce-1"}})
    failure = _of_bucket(_explained(resource=_document(needed)))
    assert failure is not None
    assert failure.actual == "absent"


def test_two_conditions_or_a_second_deny_are_no_near_miss() -> None:
    both = _statement("Allow", conditions={"StringEquals": {"aws:SourceVpce": "vpce-1", "aws:PrincipalOrgID": "o-1"}})
    assert not _explained(principal="anonymous", resource=_document(both)).near_misses
    assert not _explained(resource=_document(_GUARD, _statement("Deny"))).near_misses
    # One more layer denies all the same: the statement would not have turned the decision.
    one = _statement("Allow", conditions={"StringEquals": {"aws:SourceVpce": "vpce-1"}})
    endpoint = _document(_statement("Allow", Action="s3:PutObject"))
    assert not _explained(principal="anonymous", resource=_document(one), vpc_endpoint=endpoint).near_misses


def test_a_near_miss_beside_a_layer_that_could_not_be_read() -> None:
    found = _explained(resource=_document(_GUARD), scps=UNKNOWN)
    assert [near.becomes for near in found.near_misses] == []
    allowed = _explained(resource=_document(_GUARD), scps=UNKNOWN, context={"aws:SourceVpce": "vpce-1"})
    assert allowed.decision.effect.value == "unknown"
    assert "could not be read" in str(allowed)


def test_every_layer_is_traced() -> None:
    level = (_document({"Effect": "Allow", "Action": "*", "Resource": "*"}, name="level"),)
    given: dict[str, Any] = {"scps": (level,), "rcps": (level,), "permissions_boundary": level, "session": level}
    own = _document(_statement("Allow"))
    found = _explained(**given, vpc_endpoint=own, resource=own, access_point=own)
    layers = [row.layer for row in found.traces]
    assert layers == [
        "scp",
        "rcp",
        "vpc_endpoint",
        "resource",
        "resource",
        "identity",
        "permissions_boundary",
        "session",
    ]
    assert all(row.failure is None for row in found.traces)


def test_what_kms_says_is_explained_below() -> None:
    key = _document(_statement("Deny", Sid="NoKeys", Action="kms:*"), name="key")
    found = _explained(key=key)
    text = str(found)
    assert text.startswith("explicit_deny by the KMS key policy: s3:GetObject")
    assert "because kms:Decrypt is asked of KMS: `NoKeys` denies kms:Decrypt" in text
    assert "    denied by `NoKeys` of `key`" in text
    assert found.mapping()["kms"]["action"] == "kms:Decrypt"


def test_kms_is_asked_for_what_the_catalogue_says() -> None:
    """The engine stands alone and has its own table."""
    key = _document(_statement("Deny", Action="kms:*"))
    asked = {}
    for action in {need.action for row in OPERATIONS.values() for need in row.requires}:
        kms = _explained(action=action, key=key).mapping()["kms"]
        asked[action] = kms and kms["action"]
    parts = {OPERATIONS[name].actions[0]: keys[-1] for name, keys in KEYS_OF_PARTS.items()}
    expected = {**parts, **dict.fromkeys(DECRYPTING, "kms:Decrypt"), "s3:PutObject": "kms:GenerateDataKey"}
    assert {action: needed for action, needed in asked.items() if needed} == expected


def test_block_public_access_names_the_public_statement() -> None:
    public = _document(_statement("Allow", Sid="Open"), name="bucket")
    found = _explained(principal="anonymous", resource=public, restrict_public_buckets=True)
    assert "denied by `Open` of `bucket`" in str(found)
    assert "RestrictPublicBuckets is on" in str(found)


def test_nothing_in_a_policy_steers_the_terminal() -> None:
    text = str(_explained(resource=_document(_statement("Deny", Sid="\x1b[2J\u202e"))))
    assert "\\x1b[2J\\u202e" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in _CASES[::7]])
def test_every_case_explains_itself(case: dict[str, Any]) -> None:
    """No near miss that would not turn it, and a text and a JSON form for each."""
    decision = decide(*parse_request({"request": case["request"], "policies": case["policies"]}))
    found = decision.explain()
    assert all(near.becomes != decision.effect.value for near in found.near_misses)
    mapping = json.loads(json.dumps(found.mapping()))
    assert mapping["decision"] == case["expected"]["decision"]
    assert str(found).startswith(case["expected"]["decision"])
    matched = [row for row in mapping["statements"] if row["matched"] and row["effect"] == "Deny"]
    if decision.case.deny is not None and decision.layer != "block_public_access":
        assert decision.statement in [row["statement"] for row in matched]


# --- files -----------------------------------------------------------------------------------------------------------

_REQUEST = {"action": "s3:GetObject", "resource": _OBJECT, "resource_account": _A, "principal": _ROLE}


def _write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    return path


def test_statements_of_files_know_their_lines(tmp_path: Path) -> None:
    _write(tmp_path, "bucket.json", {"Version": "2012-10-17", "Statement": [_statement("Allow"), _GUARD]})
    identity = [{"name": "inline", "policy": _ALL}]
    path = _write(
        tmp_path,
        "request.json",
        {"id": "1", "request": _REQUEST, "policies": {"identity": identity, "resource": "bucket.json"}},
    )
    found = decide(*read_request(path)).explain()
    place = found.mapping()["place"]
    assert place.startswith(f"{tmp_path / 'bucket.json'}:")
    line = int(place.split(":")[1])
    assert (tmp_path / "bucket.json").read_text(encoding="utf-8").splitlines()[line - 1].strip() == "{"
    assert f"denied by `Guard` of `resource` ({place})" in str(found)
    inline = next(row for row in found.traces if row.policy == "inline")
    assert str(inline.place).startswith(f"{path}:")


def test_a_document_of_a_file(tmp_path: Path) -> None:
    found = read_document(_write(tmp_path, "p.json", _ALL))
    assert (found.name, str(found.statements[0].place)) == ("p.json", f"{tmp_path / 'p.json'}:3:3")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("{", "request.json:1:2: a policy must be JSON"),
        ({"request": _REQUEST}, "request.json: `policies` is missing"),
        ([], "request.json: the decision request must be an object"),
        ({"request": _REQUEST, "policies": {"resource": "none.json"}}, "none.json` can't be read: No such file"),
        ({"request": _REQUEST, "policies": {"resource": {"Statement": [{}]}}}, "request.json:11:5: policy `resource`"),
        ({"request": _REQUEST, "policies": {"resource": "latin.json"}}, "latin.json` is not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_error_with_its_place(tmp_path: Path, content: Any, fragment: str) -> None:
    (tmp_path / "latin.json").write_bytes(b"\xff")
    path = _write(tmp_path, "request.json", content)
    with pytest.raises(PolicyError) as caught:
        read_request(path)
    assert fragment in str(caught.value)


def test_the_command(tmp_path: Path) -> None:
    path = _write(tmp_path, "request.json", {"request": _REQUEST, "policies": {}})
    done = CliRunner().invoke(main, ["explain", str(path)])
    assert (done.exit_code, done.output.splitlines()[0]) == (
        0,
        f"implicit_deny by the identity-based policy: s3:GetObject on {_OBJECT} for {_ROLE}",
    )
    done = CliRunner().invoke(main, ["explain", "--json", str(path)])
    assert json.loads(done.output)["decision"] == "implicit_deny"
    done = CliRunner().invoke(main, ["explain", str(tmp_path / "none.json")])
    assert done.exit_code == 2
    assert "can't be read" in done.output
