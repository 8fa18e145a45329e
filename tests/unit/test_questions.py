"""Operations by action or by name, and what their parameters are called in an id."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_s3vpce.faults import Fault
from pytest_s3vpce.questions import action_of, canonical, granted_cells, row_of, variant_of


@pytest.mark.parametrize(
    ("parameters", "variant"),
    [
        ({}, ""),
        ({"ServerSideEncryption": "AES256"}, "sse-AES256"),
        ({"ACL": "public-read"}, "acl-public-read"),
        ({"Tagging": "team=blue&x=1"}, "tagging-team-blue-x-1"),
        ({"StorageClass": "GLACIER", "ACL": "private"}, "acl-private-sc-GLACIER"),
        ({"ACL": "private", "StorageClass": "GLACIER"}, "acl-private-sc-GLACIER"),
        ({"SSEKMSKeyId": "${out:Key}"}, "ssekmski-out-Key"),
        ({"Prefix": "/"}, "prefix-x"),
        ({"Prefix": ""}, "prefix-x"),
        ({"Delete": {"Objects": [{"Key": "a"}]}}, "delete-Objects-Key-a"),
        ({"Prefix": "a" * 39 + "/b"}, "prefix-" + "a" * 39),
        ({"_": "a"}, "x-a"),
    ],
)
def test_parameters_have_a_slug(parameters: dict[str, Any], variant: str) -> None:
    assert variant_of(parameters) == variant


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()), min_size=1))
def test_slugs_are_fit_for_ids(parameters: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9.-]+", variant_of(parameters))


def test_actions_and_operations_stand_for_a_row() -> None:
    assert row_of("s3:ListBucket").name == "ListObjectsV2"
    assert row_of("HeadObject").name == "HeadObject"
    assert action_of(row_of("HeadObject")) == "s3:GetObject"
    assert canonical("S3:getobject") == "s3:GetObject"
    assert canonical("HeadObject") == "HeadObject"


def test_what_is_unknown_lists_what_was_probably_meant_first() -> None:
    with pytest.raises(Fault) as caught:
        row_of("s3:GetObjekt")
    assert caught.value.what == "unknown action `s3:GetObjekt`"
    assert caught.value.remedy is not None
    assert re.fullmatch(r"accepted are s3:GetObject, .* and \d+ more", caught.value.remedy)
    with pytest.raises(Fault) as caught:
        row_of("Zzz")
    assert caught.value.what == "unknown operation `Zzz`"
    assert "AbortMultipartUpload" in str(caught.value.remedy)
    assert "UploadPartCopy" in str(caught.value.remedy)


def test_granted_cells_are_on_the_canary_over_https() -> None:
    cells = granted_cells("reports", ["s3:GetObject", "HeadObject"], [("partner", "vpc")])
    assert [cell.id for cell in cells] == [
        "GetObject/reports/partner:vpc/https",
        "HeadObject/reports/partner:vpc/https",
    ]
