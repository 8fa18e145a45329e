"""Lines whose policies come again are looked up by their text: never with another answer than if read as a whole."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest

from pytest_s3vpce.policy import answer, requests

_A = "111122223333"
_REQUEST = {
    "action": "s3:GetObject",
    "resource": "arn:aws:s3:::b/k",
    "resource_account": _A,
    "principal": f"arn:aws:iam::{_A}:role/app",
    "context": {"aws:SourceVpce": "vpce-1"},
}
_ALLOW = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_POLICIES = {
    "identity": [{"name": "all", "policy": _ALLOW}],
    "scps": [{"level": "root", "policies": [{"name": "all", "policy": _ALLOW}]}],
}
_REST = f'"policies": {json.dumps(_POLICIES)}}}'
_HEAD = f'{{"id": 1, "request": {json.dumps(_REQUEST)}, '


def _whole(line: str) -> tuple[str, bool]:
    with mock.patch.object(requests, "_MARK", "nowhere"):
        return answer(line)


def _with(**more: Any) -> str:
    return json.dumps({"id": 1, "request": _REQUEST, "policies": _POLICIES, **more})


_LINES = {
    "plain": _HEAD + _REST,
    "other space": f'  {_HEAD}\t"policies":{json.dumps(_POLICIES)} }} \r\n',
    "space before the colon": _HEAD + _REST.replace('"policies":', '"policies" :', 1),
    "options after": _with(block_public_access={"restrict_public_buckets": True}, acl=[]),
    "options before": json.dumps({"endpoint_type": "gateway", "request": _REQUEST, "policies": _POLICIES}),
    "id after": json.dumps({"request": _REQUEST, "policies": _POLICIES, "id": "x"}),
    "policies first": json.dumps({"policies": _POLICIES, "request": _REQUEST, "id": "x"}),
    "policies in a key of the context": _with(request={**_REQUEST, "context": {"policies": "x"}}),
    "policies in quotes": _with(request={**_REQUEST, "context": {"x": '"policies":{}}'}}),
    "policies twice": f'{_HEAD}"policies": {{"identity": "unknown"}}, {_REST}',
    "policies twice, once in the head": f'{{"policies": 1, "request": {json.dumps(_REQUEST)}, {_REST}',
    "request twice": f'{_HEAD}"policies": {{}}, "request": {json.dumps({**_REQUEST, "action": "s3:PutObject"})}}}',
    "request in the id": f'{{"id": {{"request": 1}}, {_REST}',
    "no request": f'{{"id": 1, {_REST}',
    "no policies": json.dumps({"id": 1, "request": _REQUEST}),
    "a bad request": _with(request={**_REQUEST, "action": 1}),
    "a bad principal": _with(request={**_REQUEST, "principal": "me"}),
    "bad policies": _with(policies={"identity": 1}),
    "policies of a wrong type": _with(policies=[]),
    "an unknown layer": _with(policies={"identities": []}),
    "an unknown key in the head": f'{{"x": 1, "request": {json.dumps(_REQUEST)}, {_REST}',
    "an unknown key after": _with(x=1),
    "no JSON in the head": f'{{"id": 1,, "request": {json.dumps(_REQUEST)}, {_REST}',
    "no JSON in the rest": _HEAD + _REST + "}",
    "a list around": f"[{_HEAD}{_REST}]",
    "nested deeply": _HEAD + f'"policies": {"[" * 100_000}',
    "no number": _HEAD + '"policies": {"identity": NaN}}',
    "long": _with(policies={"identity": [{"name": "n" * 70_000, "policy": _ALLOW}]}),
}


@pytest.mark.parametrize("name", _LINES)
def test_a_line_is_answered_as_if_it_was_read_as_a_whole(name: str) -> None:
    first, again = answer(_LINES[name]), answer(_LINES[name])
    assert first == again == _whole(_LINES[name])


@pytest.mark.parametrize("name", ["plain", "other space", "options after", "policies twice"])
def test_policies_that_come_last_are_read_once(name: str) -> None:
    requests._after_head.cache_clear()
    with mock.patch.object(requests, "parse_request", side_effect=AssertionError):
        answers = [answer(_LINES[name].replace("s3:GetObject", action)) for action in ("s3:GetObject", "s3:PutObject")]
    assert [good for _, good in answers] == [True, True]
    assert requests._after_head.cache_info().misses == 1


def test_what_is_kept_is_bounded() -> None:
    requests._after_head.cache_clear()
    for number in range(600):
        answer(_with(policies={"identity": [{"name": f"{number}", "policy": _ALLOW}]}))
    assert requests._after_head.cache_info().currsize <= 256
    answer(_LINES["long"])
    assert requests._after_head.cache_info().misses == 600
