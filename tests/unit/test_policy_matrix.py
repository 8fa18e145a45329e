"""A matrix decided at once says in every cell what `decide` says, and decides what looks alike once."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_s3vpce import policy
from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy import (
    UNKNOWN,
    Effect,
    Policies,
    Request,
    asked,
    decide,
    parse,
    parse_request,
    situations,
)
from pytest_s3vpce.policy.acl import Acl, AclGrant
from pytest_s3vpce.policy.alike import DERIVED, READ, READ_FOR_KMS, documents_in
from pytest_s3vpce.policy.asked import Asked
from pytest_s3vpce.policy.axes import LAYERS, Bucket, Check, Operation, Principal, Vantage
from pytest_s3vpce.policy.matrix import DecidedMatrix, Ruling, decide_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from pytest_s3vpce.policy import Decision, Document

_CASES = Path(__file__).parent.parent / "cases"
_QUICK = settings(
    max_examples=20_000 if os.environ.get("S3VPCE_SOAK") else 500,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_A, _B = "111122223333", "444455556666"
_CALLERS = [
    f"arn:aws:iam::{_A}:user/u",
    f"arn:aws:iam::{_A}:user/v",
    f"arn:aws:iam::{_A}:role/r",
    f"arn:aws:sts::{_A}:assumed-role/r/s",
    f"arn:aws:sts::{_A}:assumed-role/r/t",
    f"arn:aws:sts::{_A}:federated-user/f",
    f"arn:aws:iam::{_B}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
    f"arn:aws:iam::{_B}:user/u",
    f"arn:aws:iam::{_A}:root",
    "service:x.amazonaws.com",
    "anonymous",
]
_ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "kms:Decrypt"]
_HEADER = "s3:x-amz-server-side-encryption-aws-kms-key-id"
_KEYS = [
    *("aws:SourceVpce", "aws:SourceIp", "aws:username", "aws:PrincipalArn", "aws:PrincipalType", "aws:ResourceAccount"),
    *(
        "aws:RequestedRegion",
        "aws:PrincipalAccount",
        "s3:DataAccessPointArn",
        "s3:AccessPointNetworkOrigin",
        "kms:ViaService",
        _HEADER,
    ),
    "kms:EncryptionContext:aws:s3:arn",
]
_VALUES = [
    *("vpce-1", "VPC", "10.0.0.1", "u", "User", _A, f"arn:aws:iam::{_A}:role/r", f"arn:aws:iam::{_A}:role/p/r"),
    *(f"arn:aws:kms:eu-west-1:{_B}:key/1", f"arn:aws:s3:eu-west-1:{_A}:accesspoint/u", "arn:aws:s3:::b/k"),
]
_WANTED = [*_VALUES, "${aws:username}", "${aws:SourceVpce}", "10.*", "arn:aws:iam::*:role/*"]
_RESOURCES = [
    *("*", "*", "arn:aws:s3:::b/*", "arn:aws:s3:::*", "arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::c", "*/u"),
    *("arn:aws:kms:*:*:key/*", "arn:aws:s3:*:*:accesspoint/*"),
]
_PRINCIPALS: list[Any] = [
    "*",
    {"AWS": _A},
    *({"AWS": caller} for caller in _CALLERS[:4]),
    {"AWS": [_A, _CALLERS[2], _CALLERS[3]]},
    {"Service": "x.amazonaws.com"},
]
_OPERATORS = [
    *("StringEquals", "StringNotEquals", "StringLikeIfExists", "StringNotLikeIfExists", "Null", "ArnLike"),
    "ForAllValues:StringNotLike",
]
_OPEN = parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}, name="open")
_BASE: dict[str, Any] = {"identity": (_OPEN,), "object_ownership": "ObjectWriter"}
"""Mostly layers that leave the answer open: of random statements, some layer nearly always denies."""


class _World:
    """Axis values that share most of what they have, and differ a little in what the policies read or do not read."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._keys = random.sample(_KEYS, random.choice([1, 2, 3]))
        self._values = random.sample(_VALUES, 3)
        kinds = [Principal, Bucket, Vantage]
        names = [name for kind in kinds for name in LAYERS[kind]]
        self._closing = {name: self._pool(name) for name in random.sample(names, random.choice([1, 2, 2, 3]))}
        self._callers = random.sample(_CALLERS, 3)
        self._contexts = [self._context() for _ in range(2)]

    def axes(self) -> dict[str, Any]:
        return {
            "buckets": self._some(self._bucket),
            "principals": self._some(lambda: self._with(Principal, principal=self._one(self._callers))),
            "vantages": self._some(lambda: self._with(Vantage)),
            "operations": self._some(lambda: Operation(tuple(self._some(self._check)))),
        }

    def _bucket(self) -> Any:
        name = self._one(["b", "b", "c", "d"])
        return self._with(Bucket, arn=f"arn:aws:s3:::{name}", account=self._one([_A, _A, _A, _B]))

    def _check(self) -> Check:
        context = self._one([{}, {}, *self._contexts])
        return Check(action=self._one(_ACTIONS), path=self._one(["", "/k", "/k", "/u"]), context=context)

    def _one(self, rows: Sequence[Any]) -> Any:
        return self._random.choice(rows)

    def _some(self, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self._one([1, 2, 3]))]

    def _with(self, kind: type[Any], **given: Any) -> Any:
        base = {name: value for name, value in _BASE.items() if name in LAYERS[kind]}
        closing = {name: self._one(pool) for name, pool in self._closing.items() if name in LAYERS[kind]}
        return kind(**{**base, **closing}, **given, context=self._one([{}, self._context(), *self._contexts]))

    def _pool(self, name: str) -> list[Any]:
        """What the values of an axis have in a layer."""
        if name in ("identity", "permissions_boundary", "session"):
            return [(_OPEN, self._document(named=False)), (self._document(named=False),), self._one([(), UNKNOWN])]
        if name in ("scps", "rcps"):
            return [((_OPEN, self._document(named=False)),), ((_OPEN,), (self._document(named=False),)), UNKNOWN]
        if name in ("resource", "access_point", "key", "vpc_endpoint"):
            return [self._document(named=True), self._document(named=True), self._one([None, UNKNOWN])]
        if name == "acl":
            return [Acl(grants=(AclGrant(_A, "READ"),), owner=self._one([None, _A, _B])), None, UNKNOWN]
        return (
            [None, "BucketOwnerEnforced"]
            if name == "object_ownership"
            else ["gateway", None]
            if (name == "endpoint_type")
            else [True, False]
        )

    def _document(self, *, named: bool) -> Document:
        rows = [self._statement(named=named) for _ in range(self._one([1, 2]))]
        if self._one([True, False]):
            rows.append({"Effect": "Allow", "Action": "*", "Resource": "*", **({"Principal": "*"} if named else {})})
        return parse({"Version": "2012-10-17", "Statement": rows}, name=self._one(["p", "q"]))

    def _statement(self, *, named: bool) -> dict[str, Any]:
        found: dict[str, Any] = {
            "Effect": self._one(["Allow", "Deny"]),
            "Action": self._one(["*", "*", "s3:*", "kms:*", *_ACTIONS]),
            "Resource": self._one(["*", "*", *_RESOURCES]),
        }
        if named:
            element = self._one(["Principal", "Principal", "NotPrincipal"])
            found[element] = self._one(_PRINCIPALS[1:] if element == "NotPrincipal" else [*_PRINCIPALS, "*", "*"])
        if self._one([True, True, False]):
            wanted = [*self._values, *(f"${{{key}}}" for key in self._keys)]
            found["Condition"] = {
                self._one(_OPERATORS): {
                    self._one(self._keys): self._random.sample(wanted, self._one([1, 1, 2])) for _ in range(2)
                }
            }
        return found

    def _context(self) -> dict[str, Any]:
        values = [*self._values, [], self._values[:2]]
        keys = [*self._keys, "aws:username", "aws:unread", self._keys[0].upper()]
        return {self._one(keys): self._one(values) for _ in range(self._one([1, 2]))}


_NAMES = ("buckets", "principals", "vantages", "operations")


def _alone(bucket: Bucket, principal: Principal, vantage: Vantage, check: Check) -> Decision:
    """A cell's check by `decide`, put together anew."""
    layers = {name: getattr(row, name) for row in (bucket, principal, vantage) for name in LAYERS[type(row)]}
    context = {}
    for row in (principal, bucket, vantage, check):
        context.update({key.lower(): value for key, value in row.context.items()})
    request = Request(
        action=check.action,
        resource=bucket.arn + check.path,
        resource_account=bucket.account,
        principal=principal.principal,
        context=context,
    )
    return decide(request, Policies(**layers))


def _expected(axes: dict[str, Any], cell: tuple[int, ...]) -> Decision:
    bucket, principal, vantage, operation = (axes[name][index] for name, index in zip(_NAMES, cell, strict=True))
    found = [_alone(bucket, principal, vantage, check) for check in operation.checks]
    denied = [row for row in found if row.effect in (Effect.EXPLICIT_DENY, Effect.IMPLICIT_DENY)]
    unknown = [row for row in found if row.effect is Effect.UNKNOWN]
    return (denied or unknown or found)[0]


def _same(ruling: Ruling, decision: Decision) -> bool:
    names = ("effect", "layer", "policy", "statement", "layers")
    return all(getattr(ruling, name) == getattr(decision, name) for name in names)


def _check(axes: dict[str, Any], matrix: DecidedMatrix) -> None:
    cells = list(itertools.product(*(range(len(axes[name])) for name in _NAMES)))
    assert [cell for cell, _ in matrix.items()] == list(matrix) == cells
    assert len(matrix) == len(cells)
    for cell, ruling in matrix.items():
        expected = _expected(axes, cell)
        assert _same(ruling, expected), cell
        assert ruling.allowed == expected.allowed
    assert matrix.counts() == Counter(ruling for _, ruling in matrix.items())
    assert len(set(matrix.rulings)) == len(matrix.rulings)


@given(st.randoms(use_true_random=True))
@_QUICK
def test_every_cell_is_as_decide_says(random: Random) -> None:
    axes = _World(random).axes()
    _check(axes, decide_matrix(**axes))


# --- what must not be taken for alike --------------------------------------------------------------------------------

_USER, _OTHER, _ROLE, _SESSION = _CALLERS[0], _CALLERS[1], _CALLERS[2], _CALLERS[3]
_KEY_ARN = f"arn:aws:kms:eu-west-1:{_A}:key/1"


def _doc(**row: Any) -> Document:
    return parse({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", **row}})


def _given(**layers: Any) -> Principal:
    return Principal(**{"principal": _USER, "identity": (_OPEN,), **layers})


def _bucket(name: str = "b", **layers: Any) -> Bucket:
    return Bucket(arn=f"arn:aws:s3:::{name}", **{"account": _A, **layers})


def _at(**context: Any) -> Vantage:
    return Vantage(context={key.replace("_", ":", 1): value for key, value in context.items()})


_GET = Operation((Check(action="s3:GetObject", path="/k"),))
_TAGGED = parse(
    {
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "*",
                "Resource": "*",
                "Condition": {"StringEquals": {"s3:BucketTag/x": "a"}},
            },
        ]
    }
)
_EU = {"aws:RequestedRegion": "eu-west-1"}
_DENIED_TO_SOME: dict[str, dict[str, Any]] = {
    "a key that conditions read": {
        "buckets": [
            _bucket(resource=_doc(Effect="Deny", Principal="*", Condition={"Null": {"aws:SourceVpce": "true"}}))
        ],
        "vantages": [_at(), _at(aws_SourceVpce="vpce-1")],
    },
    "a key in a resource": {
        "principals": [_given(identity=(_doc(Resource="arn:aws:s3:::b/${aws:x}"),))],
        "vantages": [_at(), _at(aws_x="k"), _at(aws_x="l")],
    },
    "a bucket in a resource with variables": {
        "buckets": [_bucket("b"), _bucket("c")],
        "principals": [_given(identity=(_doc(Resource="arn:aws:s3:::b/${aws:x}"),))],
        "vantages": [_at(aws_x="k")],
    },
    "a bucket in a resource": {
        "buckets": [_bucket("b"), _bucket("c")],
        "principals": [_given(identity=(_doc(Resource="arn:aws:s3:::b/*"),))],
    },
    "a key of the bucket that its own policy reads": {
        "buckets": [_bucket(resource=_TAGGED, context={"s3:BucketTag/x": value}) for value in ("a", "b")],
    },
    "a key of the way that its own endpoint's policy reads": {
        "vantages": [Vantage(vpc_endpoint=_TAGGED, context={"s3:BucketTag/x": value}) for value in ("a", "b")],
    },
    "the bucket's account": {"buckets": [_bucket(), _bucket(account=_B)]},
    "the caller's account": {"principals": [_given(), _given(principal=f"arn:aws:iam::{_B}:user/u")]},
    "how strongly a policy names the caller": {
        "buckets": [_bucket(resource=_doc(Principal={"AWS": [_A, _USER]}))],
        "principals": [_given(identity=()), _given(identity=(), principal=_OTHER)],
    },
    "whom NotPrincipal spares": {
        "buckets": [_bucket(resource=_doc(Effect="Deny", NotPrincipal={"AWS": [_A, _ROLE, _SESSION]}))],
        "principals": [_given(principal=_SESSION), _given(principal=_CALLERS[4])],
    },
    "whom NotPrincipal spares without a boundary": {
        "buckets": [_bucket(resource=_doc(Effect="Deny", NotPrincipal={"AWS": [_A, _USER]}))],
        "principals": [_given(), _given(permissions_boundary=(_OPEN,))],
    },
    "whom the endpoint's policy names": {
        "principals": [_given(), _given(principal=_OTHER)],
        "vantages": [Vantage(vpc_endpoint=_doc(Principal={"AWS": _USER}))],
    },
    "accounts on gateways": {
        "vantages": [
            Vantage(vpc_endpoint=_doc(Principal={"AWS": _A}), endpoint_type=kind) for kind in ("gateway", "interface")
        ],
    },
    "the role that a session says it has": {
        "buckets": [_bucket(resource=_doc(Principal={"AWS": f"arn:aws:iam::{_A}:role/p/r"}))],
        "principals": [_given(principal=_SESSION, identity=())],
        "vantages": [_at(), _at(aws_PrincipalArn=f"arn:aws:iam::{_A}:role/p/r")],
    },
    "a derived key that only some vantage points give": {
        "buckets": [
            _bucket(
                resource=_doc(
                    Effect="Deny", Principal="*", Condition={"StringEquals": {"aws:PrincipalAccount": "anonymous"}}
                )
            )
        ],
        "vantages": [_at(), _at(aws_PrincipalAccount="anonymous")],
    },
    "two keys of two axes": {
        "principals": [
            _given(
                identity=(_doc(Condition={"StringEquals": {"aws:PrincipalTag/x": "${s3:prefix}"}}),),
                context={"aws:PrincipalTag/x": value},
            )
            for value in "ab"
        ],
        "vantages": [_at(s3_prefix="a"), _at(s3_prefix="b")],
    },
    "the account of the KMS key": {
        "buckets": [_bucket(key=_doc(Principal={"AWS": _A}))],
        "vantages": [
            _at(**{"s3_x-amz-server-side-encryption-aws-kms-key-id": _KEY_ARN.replace(_A, account)})
            for account in (_A, _B)
        ],
        "principals": [_given(identity=(_doc(Resource=[f"arn:aws:kms:*:{_A}:key/*", "arn:aws:s3:::*"]),))],
    },
    "the name that KMS is told": {
        "buckets": [
            _bucket(
                name,
                key=_doc(
                    Principal="*", Condition={"StringLike": {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::b/*"}}
                ),
            )
            for name in "bc"
        ],
    },
    "a key of KMS that is made where it is absent": {
        "buckets": [_bucket(key=_doc(Principal="*"), context=_EU)],
        "principals": [
            _given(
                identity=(
                    _OPEN,
                    _doc(Effect="Deny", Condition={"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}),
                )
            ),
        ],
        "vantages": [_at(), _at(kms_ViaService="here")],
    },
    "a condition on two keys, of which KMS knows one": {
        "buckets": [_bucket(key=_doc(Principal="*"))],
        "principals": [
            _given(
                identity=(
                    _OPEN,
                    _doc(Effect="Deny", Condition={"StringNotEquals": {"aws:SourceIp": ["${aws:SourceVpce}", "x"]}}),
                )
            ),
        ],
        "vantages": [_at(aws_SourceIp="x"), _at(aws_SourceIp="y", aws_SourceVpce="y")],
    },
    "the access point's ARN": {
        "buckets": [_bucket(resource=_doc(Principal="*"), access_point=_doc(Principal="*", Resource="*/one/object/*"))],
        "principals": [_given(principal=f"arn:aws:iam::{_B}:user/u")],
        "vantages": [
            _at(s3_DataAccessPointArn=f"arn:aws:s3:eu-west-1:{_A}:accesspoint/{name}") for name in ("one", "two")
        ],
    },
    "the access point's ARN on the endpoint": {
        "vantages": [
            Vantage(
                vpc_endpoint=_doc(Principal="*", Resource=["arn:aws:s3:::b/*", "*/one/object/*"]),
                context={"s3:DataAccessPointArn": f"arn:aws:s3:eu-west-1:{_A}:accesspoint/{name}"},
            )
            for name in ("one", "two")
        ],
    },
    "the access point's network": {
        "buckets": [
            _bucket(
                resource=_doc(Principal="*", Condition={"StringEquals": {"aws:SourceAccount": _B}}),
                access_point=_doc(Principal="*"),
                restrict_public_buckets=True,
                context={
                    "s3:AccessPointNetworkOrigin": origin,
                    "s3:DataAccessPointArn": f"arn:aws:s3:eu-west-1:{_A}:accesspoint/one",
                    "aws:SourceAccount": _B,
                },
            )
            for origin in ("VPC", "Internet")
        ],
        "principals": [_given(principal=f"arn:aws:iam::{_B}:user/u")],
    },
    "the action": {
        "principals": [_given(identity=(_doc(Action="s3:GetObject"),))],
        "operations": [_GET, Operation((Check(action="s3:PutObject", path="/k"),))],
    },
    "all that an operation needs": {
        "principals": [_given(identity=(_doc(Action="s3:GetObject"),))],
        "operations": [_GET, Operation((*_GET.checks, Check(action="s3:PutObject", path="/k")))],
    },
    "the path": {
        "principals": [_given(identity=(_doc(Resource="arn:aws:s3:::b/k"),))],
        "operations": [_GET, Operation((Check(action="s3:GetObject", path="/l"),))],
    },
    "what is asked with the action": {
        "principals": [_given(identity=(_doc(Condition={"StringEquals": {"s3:prefix": "a"}}),))],
        "operations": [
            Operation((Check(action="s3:ListBucket", context={"s3:prefix": prefix}),)) for prefix in ("a", "b")
        ],
    },
}
_PLAIN_WORLD: dict[str, Any] = {
    "buckets": [_bucket()],
    "principals": [_given()],
    "vantages": [_at()],
    "operations": [_GET],
}


@pytest.mark.parametrize("name", _DENIED_TO_SOME)
def test_what_decides_is_never_shared(name: str) -> None:
    axes = {**_PLAIN_WORLD, **_DENIED_TO_SOME[name]}
    matrix = decide_matrix(**axes)
    _check(axes, matrix)
    assert {ruling.allowed for _, ruling in matrix.items()} == {True, False}


# --- what is shared --------------------------------------------------------------------------------------------------
_ONLY_FROM = {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}, "NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
"""Conditions that read two keys and ask of each one thing only."""


def _wide(*, vantages: int) -> dict[str, Any]:
    """Twelve buckets of their own policies, six principals of two kinds, three operations."""
    endpoint_only = [
        _doc(Effect="Deny", Principal="*", Resource=f"arn:aws:s3:::b{n}/*", Condition=_ONLY_FROM) for n in range(12)
    ]
    team = [{"aws:PrincipalTag/team": "a"}, {"aws:PrincipalTag/team": "b", "aws:unread": "x"}]
    identity = _doc(Condition={"StringEquals": {"aws:PrincipalTag/team": "a"}})
    return {
        "buckets": [_bucket(f"b{n}", resource=document) for n, document in enumerate(endpoint_only)],
        "principals": [
            _given(principal=f"arn:aws:iam::{_A}:user/{n}", identity=(identity,), context=team[n % 2]) for n in range(6)
        ],
        "vantages": [
            _at(aws_SourceVpce=f"vpce-{n % 5}", aws_SourceIp=f"192.0.2.{n}", aws_VpcSourceIp=f"10.0.0.{n}")
            for n in range(vantages)
        ],
        "operations": [
            _GET,
            Operation((Check(action="S3:GETOBJECT", path="/k", context={"aws:unread": "y"}),)),
            Operation((Check(action="s3:ListBucket"),)),
        ],
    }


def test_what_looks_alike_is_decided_once() -> None:
    matrix = decide_matrix(**_wide(vantages=20))
    _check(_wide(vantages=20), matrix)
    # Of a bucket each: two kinds of principals; vantage points at vpce-1 and at others.
    assert matrix.situations == 12 * 2 * 2
    assert len(matrix.rulings) == 4
    # Doubling what looks alike adds cells and nothing else.
    doubled = decide_matrix(**_wide(vantages=40))
    assert (doubled.situations, set(doubled.rulings)) == (matrix.situations, set(matrix.rulings))
    assert sum(doubled.counts().values()) == len(doubled) == 2 * len(matrix)


def test_buckets_of_other_names_are_alike_where_no_pattern_tells_them_apart() -> None:
    axes = {**_PLAIN_WORLD, "buckets": [_bucket(f"b{n}", resource=_doc(Principal="*")) for n in range(50)]}
    assert decide_matrix(**axes).situations == 1


def test_documents_of_one_content_are_one_but_not_under_another_name() -> None:
    def identity(name: str) -> tuple[Document, ...]:
        return (parse({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}, name=name),)

    axes = {**_PLAIN_WORLD, "principals": [_given(identity=identity(name)) for name in ("p", "p", "q")]}
    matrix = decide_matrix(**axes)
    _check(axes, matrix)
    assert matrix.situations == 2
    assert [ruling.policy for _, ruling in matrix.items()] == ["p", "p", "q"]


def test_the_words_are_made_for_the_cell_that_is_asked_for() -> None:
    axes = _wide(vantages=3)
    matrix = decide_matrix(**axes)
    for cell in matrix:
        decision = matrix.decision(cell)
        assert (decision.reason, decision.layers) == (_expected(axes, cell).reason, matrix[cell].layers)
    assert "b7/k" in matrix.decision((7, 0, 1, 0)).reason or "vpce-1" in matrix.decision((7, 0, 1, 0)).reason


def test_an_operation_is_decided_by_its_first_denied_check_else_by_its_first_unknown_one() -> None:
    allowed, hidden = Check(action="s3:GetObject", path="/k"), Check(action="s3:ListBucket")
    denied = [Check(action=f"s3:Put{name}", path="/k") for name in ("Object", "ObjectAcl")]
    bounds = parse(
        {
            "Statement": [
                {"Sid": "one", "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"},
                {"Sid": "two", "Effect": "Deny", "Action": "s3:PutObjectAcl", "Resource": "*"},
            ]
        }
    )
    principal = _given(identity=(_doc(Action="s3:GetObject"),), scps=((_OPEN, bounds),))
    bucket = _bucket(acl=UNKNOWN)
    operations = [
        Operation(checks)
        for checks in [(allowed,), (allowed, hidden), (hidden, *denied), (allowed, *reversed(denied)), (hidden, hidden)]
    ]
    axes = {**_PLAIN_WORLD, "buckets": [bucket], "principals": [principal], "operations": operations}
    matrix = decide_matrix(**axes)
    _check(axes, matrix)
    found = [(ruling.effect, ruling.statement) for _, ruling in matrix.items()]
    assert found == [
        (Effect.ALLOW, None),
        (Effect.UNKNOWN, None),
        (Effect.EXPLICIT_DENY, "one"),
        (Effect.EXPLICIT_DENY, "two"),
        (Effect.UNKNOWN, None),
    ]


# --- edges, executors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", _NAMES)
def test_an_axis_without_values_leaves_no_cells(name: str) -> None:
    matrix = decide_matrix(**{**_PLAIN_WORLD, name: []})
    assert (len(matrix), list(matrix.items()), matrix.counts(), matrix.rulings) == (0, [], {}, ())


def test_an_operation_of_no_checks_and_a_principal_of_no_known_form_are_errors() -> None:
    with pytest.raises(PolicyError, match="at least one check"):
        Operation(())
    with pytest.raises(PolicyError, match="`nobody` is of no known form"):
        decide_matrix(**{**_PLAIN_WORLD, "principals": [Principal(principal="nobody")]})


def test_what_only_matrices_need_is_loaded_when_it_is_asked_for() -> None:
    code = (
        "import sys, pytest_s3vpce.policy as policy; assert 'pytest_s3vpce.policy.matrix' not in sys.modules;"
        "assert all(getattr(policy, name) for name in policy.__all__); policy.Nothing"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.endswith("AttributeError: module `pytest_s3vpce.policy` has no attribute `Nothing`\n")
    with pytest.raises(AttributeError, match="Nothing"):
        policy.Nothing  # noqa: B018 - the look-up is the test
    assert (policy.decide_matrix, policy.Bucket) == (decide_matrix, Bucket)


def test_every_layer_comes_with_exactly_one_axis() -> None:
    named = [name for names in LAYERS.values() for name in names]
    assert sorted([*named, "doubts"]) == sorted(row.name for row in fields(Policies))


@pytest.mark.parametrize("caller", _CALLERS)
def test_the_derived_keys_are_those_of_the_engine(caller: str) -> None:
    found = Asked(Request(action="a", resource="r", resource_account=_A, principal=caller), bounded=False)
    assert set(found.values) <= frozenset().union(*DERIVED.values())


class _Recording(dict[str, tuple[str, ...]]):
    """A request's values, which know what was asked for."""

    asked: ClassVar[set[str]] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> tuple[str, ...]:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def test_the_engine_reads_no_key_that_is_neither_the_policies_nor_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    values_of = asked._values
    monkeypatch.setattr(asked, "_values", lambda context: _Recording(values_of(context)))
    cases = [row for path in sorted(_CASES.glob("*.json")) for row in json.loads(path.read_text(encoding="utf-8"))]
    listed = READ | READ_FOR_KMS | frozenset().union(*DERIVED.values())
    for case in cases:
        _Recording.asked.clear()
        request, policies = parse_request({name: case[name] for name in ("request", "policies")})
        decide(request, policies)
        documents = documents_in(tuple(getattr(policies, row.name) for row in fields(Policies)))
        allowed = listed.union(*(document.keys for document in documents))
        assert _Recording.asked <= allowed, (case["id"], _Recording.asked - allowed)


@given(st.randoms(use_true_random=True))
@settings(_QUICK, max_examples=40)
def test_work_in_pieces_on_threads_says_the_same(random: Random) -> None:
    axes = _World(random).axes()
    with mock.patch.object(situations, "_CHUNK", 3), ThreadPoolExecutor(2) as executor:
        matrix = decide_matrix(**axes, executor=executor)
    _check(axes, matrix)
    assert matrix.rulings == decide_matrix(**axes).rulings


def test_work_in_pieces_on_processes_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(situations, "_CHUNK", 40)
    axes = _wide(vantages=20)
    principals = [*axes["principals"], _given(identity=UNKNOWN, scps=UNKNOWN, session=())]
    axes = {**axes, "principals": principals}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        matrix = decide_matrix(**axes, executor=executor)
    _check(axes, matrix)
