"""The table of S3's operations on the wire says what botocore's model says.

`python tests/unit/test_lab_s3_shapes.py` writes it anew.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import botocore.session
import pytest

from pytest_s3vpce.lab.s3shapes import FILE, IGNORED_QUERY, shapes

INTEGERS = {"integer", "long"}


def written(model: Any) -> dict[str, Any]:
    path, _, literal = model.http["requestUri"].partition("?")
    literals = {
        name: value for name, value in parse_qsl(literal, keep_blank_values=True) if not IGNORED_QUERY.match(name)
    }
    members = model.input_shape.members if model.input_shape else {}
    required = set(model.input_shape.required_members) if model.input_shape else set()
    query, headers = {}, {}
    for member, shape in members.items():
        location = shape.serialization.get("location")
        name = shape.serialization.get("name", member)
        if location == "querystring":
            query[name] = member
        elif location == "header":
            headers[name.lower()] = member
    payload = (model.input_shape.serialization.get("payload") if model.input_shape else None) or ""
    document = members[payload] if payload and members[payload].type_name == "structure" else None
    return {
        "name": model.name,
        "method": model.http["method"],
        "level": 2 if "{Key+}" in path else 1 if "{Bucket}" in path else 0,
        "literals": literals,
        "required_query": sorted(name for name, member in query.items() if member in required),
        "required_headers": sorted(name for name, member in headers.items() if member in required),
        "query": query,
        "headers": headers,
        "integers": sorted(member for member, shape in members.items() if shape.type_name in INTEGERS),
        "document": document.serialization.get("name", payload) if document else None,
        "document_required": payload in required,
    }


def of_botocore() -> list[dict[str, Any]]:
    model = botocore.session.Session().get_service_model("s3")
    return [written(model.operation_model(name)) for name in model.operation_names]


def test_the_table_says_of_each_operation_what_the_model_says() -> None:
    ours = {row["name"]: row for row in json.loads(FILE.read_text(encoding="utf-8"))}
    theirs = {row["name"]: row for row in of_botocore()}
    assert ours.keys() <= theirs.keys()  # a newer botocore may know more
    for name, row in ours.items():
        other = theirs[name]
        for part in ("query", "headers"):
            assert row[part].items() <= other[part].items(), name
        assert set(row["integers"]) <= set(other["integers"]), name
        exact = row.keys() - {"query", "headers", "integers"}
        assert {part: row[part] for part in exact} == {part: other[part] for part in exact}


def test_the_most_specific_operation_that_fits_is_taken() -> None:
    found = shapes().match("PUT", 2, {"partNumber": "1", "uploadId": "u"}, {"x-amz-copy-source"})
    assert found is not None
    assert found.name == "UploadPartCopy"


@pytest.mark.parametrize(("method", "level", "query"), [("PATCH", 1, {}), ("GET", 2, {"policy": ""})])
def test_what_is_no_operation_falls_through_to_no_other(method: str, level: int, query: dict[str, str]) -> None:
    assert shapes().match(method, level, query, set()) is None


if __name__ == "__main__":
    rows = ",\n".join(json.dumps(row) for row in of_botocore())
    FILE.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
