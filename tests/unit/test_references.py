"""References are resolved where they are used; what has no value is an error that shows names and never a value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import InventoryError
from pytest_s3vpce.faults import Fault
from pytest_s3vpce.model import Place
from pytest_s3vpce.references import OutputsFile, References, check

if TYPE_CHECKING:
    from pathlib import Path

HERE = Place("s3vpce.yaml", 7, 12)
OUTPUTS: dict[str, Any] = {
    "Role": "arn:aws:iam::111122223333:role/app",
    "Subnets": ["subnet-1", "subnet-2"],
    "Port": 443,
    "On": True,
    "Map": {"a": "b"},
    "Nothing": None,
    "Mixed": ["subnet-1", {"a": "b"}],
}


def references(outputs: Any = OUTPUTS, **environment: str) -> References:
    return References(outputs, environment=environment)


def outputs_file(folder: Path, content: str | bytes) -> OutputsFile:
    path = folder / "outputs.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return OutputsFile(path, Place("s3vpce.yaml", 3, 9))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${out:Role}", "arn:aws:iam::111122223333:role/app"),
        ("https://${out:Port}.${env:HOST_NAME}/", "https://443.example/"),
        ("${out:On}", "true"),
        ("${env:NESTED}", "${out:Role}"),
        ("", ""),
    ],
)
def test_texts_are_resolved_once(text: str, value: str) -> None:
    found = references(HOST_NAME="example", NESTED="${out:Role}")
    assert found.resolve(text, HERE) == value


def test_a_whole_reference_may_stand_for_a_list_where_one_is_wanted() -> None:
    texts = ["subnet-0", "${out:Subnets}", "${env:ONE}", "subnet-${out:Port}"]
    assert references(ONE="subnet-9").resolve_list(texts, HERE) == (
        "subnet-0",
        "subnet-1",
        "subnet-2",
        "subnet-9",
        "subnet-443",
    )


FORMS = "${out:NAME}, ${env:NAME}, ${cfn:STACK.OUTPUT}, ${tf:FOLDER#OUTPUT}, ${ssm:/NAME}"
FAULTS = {
    "unknown output": (
        "${out:Rol}",
        "`${out:Rol}` is not among the outputs; accepted are Role, Map, Mixed, Nothing, On, Port, Subnets",
    ),
    "list": ("${out:Subnets}", "`${out:Subnets}` is a list, and text is wanted here"),
    "mapping": ("${out:Map}", "`${out:Map}` is a mapping, and text is wanted here"),
    "null": ("${out:Nothing}", "`${out:Nothing}` is nothing, and text is wanted here"),
    "unset variable": (
        "${env:PARTNER_I}",
        "`${env:PARTNER_I}` is not set; set the environment variable PARTNER_I (similar ones are set: PARTNER_ID)",
    ),
    "unset variable like no other": ("${env:Q}", "`${env:Q}` is not set; set the environment variable Q"),
    "unknown kind": ("${arn:stack.Out}", "`${arn:stack.Out}` is not a known reference; "),
    "no kind": ("${Role}", "`${Role}` is not a known reference; "),
    "no name": ("${out: }", "`${out: }` is not a known reference; "),
    "no end": ("x${out:Role", "the reference in `x${out:Role` has no end; "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_has_no_value_is_an_error_with_its_place(name: str) -> None:
    text, message = FAULTS[name]
    with pytest.raises(InventoryError) as caught:
        references(PARTNER_ID="s3cr3t").resolve(text, HERE)
    end = f"accepted are {FORMS}" if message.endswith("; ") else ""
    assert str(caught.value) == f"s3vpce.yaml:7:12: {message}{end}"
    assert "s3cr3t" not in repr(caught.value)


def test_lists_hold_texts_only() -> None:
    with pytest.raises(InventoryError) as caught:
        references().resolve_list(["${out:Mixed}"], HERE)
    assert str(caught.value) == "s3vpce.yaml:7:12: `${out:Mixed}` is a mapping, and text is wanted here"


def test_outputs_need_an_infrastructure() -> None:
    with pytest.raises(InventoryError) as caught:
        References(None, environment={}).resolve("${out:Role}", HERE)
    message = "`${out:Role}` has no outputs to come from; add `infrastructure: {file: outputs.json}`"
    assert str(caught.value) == f"s3vpce.yaml:7:12: {message}"


def test_no_outputs_at_all() -> None:
    with pytest.raises(InventoryError, match=r"is not among the outputs; there are none$"):
        references({}).resolve("${out:Role}", HERE)


def test_check_alone_asks_for_no_value() -> None:
    check("${out:Role} and ${env:UNSET}")
    with pytest.raises(Fault, match=r"`\$\{ssm:/x y\}` is not a known reference"):
        check("${ssm:/x y}")


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3VPCE_TEST_REFERENCE", "there")
    assert References(None).resolve("${env:S3VPCE_TEST_REFERENCE}", HERE) == "there"


@pytest.mark.parametrize(
    "content",
    [
        {"Role": "r", "List": ["a"]},
        {
            "Role": {"value": "r", "type": "string", "sensitive": False},
            "List": {"value": ["a"], "type": ["list", "string"], "sensitive": False},
        },
    ],
    ids=["plain", "terraform"],
)
def test_outputs_files_are_plain_or_terraforms(tmp_path: Path, content: dict[str, Any]) -> None:
    found = references(outputs_file(tmp_path, json.dumps(content)))
    assert found.resolve("${out:Role}", HERE) == "r"
    assert found.resolve_list(["${out:List}"], HERE) == ("a",)


def test_an_outputs_file_is_read_at_the_first_use_and_once(tmp_path: Path) -> None:
    source = OutputsFile(tmp_path / "outputs.json", Place("s3vpce.yaml", 3, 9))
    found = References(source, environment={})
    assert found.resolve("no reference", HERE) == "no reference"
    source.path.write_text('{"A": "first"}')
    assert found.resolve("${out:A}", HERE) == "first"
    source.path.write_text('{"A": "second"}')
    assert found.resolve("${out:A}", HERE) == "first"


BAD_FILES: dict[str, tuple[str | bytes, str]] = {
    "not JSON": (
        '{"A": s3cr3t}',
        (
            "FILE:1:7: not valid JSON: expecting value; "
            "write `NAME: value` pairs as JSON, or the output of `terraform output -json`"
        ),
    ),
    "a list": ("[1]", 'FILE: outputs are no mapping; write `{"NAME": "value"}`'),
    "not UTF-8": (
        b'{"A": "\xff"}',
        (
            "s3vpce.yaml:3:9: outputs file `FILE` can't be read: it is not UTF-8; "
            "write it, for example with `terraform output -json`"
        ),
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_outputs_files_that_can_not_be_used(tmp_path: Path, name: str) -> None:
    content, message = BAD_FILES[name]
    source = outputs_file(tmp_path, content)
    with pytest.raises(InventoryError) as caught:
        references(source).resolve("${out:A}", HERE)
    assert str(caught.value).replace(str(source.path), "FILE") == message
    assert "s3cr3t" not in str(caught.value)


def test_a_missing_outputs_file_is_told_where_it_is_named(tmp_path: Path) -> None:
    source = OutputsFile(tmp_path / "none.json", Place("s3vpce.yaml", 3, 9))
    with pytest.raises(InventoryError) as caught:
        references(source).resolve("${out:A}", HERE)
    assert str(caught.value) == (
        f"s3vpce.yaml:3:9: outputs file `{source.path}` can't be read: No such file or directory; "
        "write it, for example with `terraform output -json`"
    )
