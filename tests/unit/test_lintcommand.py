"""`s3vpce lint`: three formats, exit statuses, files of all sorts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest
from click.testing import CliRunner

from pytest_s3vpce import __version__
from pytest_s3vpce.cli import main
from pytest_s3vpce.lintcommand import lint as command
from pytest_s3vpce.policy.lint import RULES, Kind, guess

if TYPE_CHECKING:
    from pathlib import Path

FENCE: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Fence",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
            "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
        }
    ],
}
GOOD: Final = json.dumps(FENCE).replace("StringEquals", "StringNotEquals")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text(json.dumps(FENCE, indent=2), encoding="utf-8")
    (tmp_path / "good.json").write_text(GOOD, encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["lint", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.stdout, done.stderr


def test_text_is_one_line_for_each_finding_and_errors_are_status_1(folder: Path) -> None:
    status, out, err = run("bad.json")
    assert (status, err) == (1, "")
    assert out == (
        "bad.json:15: error S3V101 deny-of-the-endpoint: the statement denies where aws:SourceVpce is `vpce-1`; "
        "because of it who comes through that endpoint is shut out, and everybody else is not. "
        "Use StringNotEquals on aws:SourceVpce to deny all that do not come through it\n"
    )


def test_warnings_alone_are_status_0(folder: Path) -> None:
    status, out, _ = run("good.json")
    assert status == 0
    assert [line.split()[1:3] for line in out.splitlines()] == [["warning", "S3V125"], ["warning", "S3V127"]]


def test_nothing_wrong_says_nothing(folder: Path) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    (folder / "fine.json").write_text(json.dumps(policy), encoding="utf-8")
    assert run("fine.json") == (0, "", "")


def test_json_is_a_list_with_everything(folder: Path) -> None:
    status, out, _ = run("--format", "json", "bad.json", "good.json", "bad.json")
    rows = json.loads(out)
    assert status == 1
    assert [(row["file"], row["code"]) for row in rows] == [
        ("bad.json", "S3V101"),
        ("good.json", "S3V125"),
        ("good.json", "S3V127"),
    ]
    assert rows[0] == {
        "file": "bad.json",
        "kind": "bucket",
        "code": "S3V101",
        "slug": "deny-of-the-endpoint",
        "severity": "error",
        "statement": "Fence",
        "line": 15,
        "column": 29,
        "what": "the statement denies where aws:SourceVpce is `vpce-1`",
        "consequence": "because of it who comes through that endpoint is shut out, and everybody else is not",
        "fix": "Use StringNotEquals on aws:SourceVpce to deny all that do not come through it",
        "doc": "https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies-vpc-endpoint.html",
    }
    assert run("--format", "json", "--kind", "scp", "good.json")[1].count('"kind": "scp"') == 2


def test_the_kinds_of_the_option_are_those_of_the_rules() -> None:
    (option,) = [parameter for parameter in command.params if parameter.name == "kind"]
    assert list(option.type.choices) == [kind.value for kind in Kind]  # type: ignore[attr-defined]
    assert guess([]) is Kind.IDENTITY


TEXT: Final[dict[str, Any]] = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
LEVEL: Final = {"enum": ["none", "note", "warning", "error"]}
# What the schema of SARIF 2.1.0 demands of the parts that we write.
SARIF: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "semanticVersion": {"type": "string"},
                                    "informationUri": {"type": "string", "pattern": "^https://"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "name": {"type": "string", "pattern": "^[A-Z][A-Za-z0-9]+$"},
                                                "shortDescription": TEXT,
                                                "help": TEXT,
                                                "helpUri": {"type": "string", "pattern": "^https://"},
                                                "defaultConfiguration": {"properties": {"level": LEVEL}},
                                                "properties": {
                                                    "properties": {"tags": {"type": "array", "uniqueItems": True}}
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "additionalProperties": False,
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "toolExecutionNotifications": {
                                    "type": "array",
                                    "items": {"required": ["message"], "properties": {"message": TEXT, "level": LEVEL}},
                                },
                            },
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": LEVEL,
                                "message": TEXT,
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "required": ["physicalLocation"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "additionalProperties": False,
                                                "properties": {
                                                    "artifactLocation": {"properties": {"uri": {"type": "string"}}},
                                                    "region": {
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        },
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def test_sarif_is_what_its_schema_wants_and_leads_to_rules_and_places(folder: Path) -> None:
    (folder / "a folder").mkdir()
    (folder / "a folder" / "ü.json").write_text(json.dumps(FENCE), encoding="utf-8")
    status, out, _ = run("--format", "sarif", "bad.json", "a folder/ü.json", str(folder / "good.json"))
    log = json.loads(out)
    jsonschema.validate(log, SARIF)
    assert status == 1
    (content,) = log["runs"]
    driver = content["tool"]["driver"]
    assert driver["semanticVersion"] == __version__
    assert [rule["id"] for rule in driver["rules"]] == [rule.code for rule in RULES]
    assert all(rule["help"]["text"] and rule["help"]["markdown"] for rule in driver["rules"])
    assert len(content["results"]) == 4
    for result in content["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    uris = [row["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for row in content["results"]]
    assert uris[:3] == ["bad.json", "a%20folder/%C3%BC.json", (folder / "good.json").as_uri()]
    assert content["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 15, "startColumn": 29}
    assert content["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


def test_sarif_of_nothing_is_whole_too(folder: Path) -> None:
    status, out, err = run("--format", "sarif", "none.json")
    log = json.loads(out)
    jsonschema.validate(log, SARIF)
    assert status == 2
    (invocation,) = log["runs"][0]["invocations"]
    assert not invocation["executionSuccessful"]
    assert err == f"s3vpce: {invocation['toolExecutionNotifications'][0]['message']['text']}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "`x.json` is not UTF-8; save it as UTF-8"),
        (b"{\n  no", "x.json:2:3: a policy must be JSON: "),
        (b"[" * 500, "x.json:1:101: lists or objects are nested more than 100 deep"),
        (None, "`x.json` can't be read: No such file or directory; name files of policies"),
    ],
)
def test_what_can_not_be_read_is_one_line_and_status_2_and_the_others_are_read_all_the_same(
    folder: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (folder / "x.json").write_bytes(content)
    status, out, err = run("x.json", "bad.json")
    assert status == 2
    assert out.startswith("bad.json:15: error S3V101 ")
    assert err.startswith(f"s3vpce: {message}")
    assert err.count("\n") == 1


def test_a_folder_is_no_file(folder: Path) -> None:
    assert run(".")[::2] == (2, "s3vpce: `.` can't be read: Is a directory; name files of policies\n")


def test_what_is_no_policy_is_a_finding(folder: Path) -> None:
    (folder / "x.json").write_text('\ufeff{"Version": "2012-10-17", "Version": "2012-10-17"}', encoding="utf-8")
    status, out, err = run("--kind", "bucket", "x.json")
    assert (status, err) == (1, "")
    assert {line.split()[2] for line in out.splitlines()} == {"S3V001", "S3V002", "S3V003"}


def test_what_a_policy_says_does_not_steer_the_terminal(folder: Path) -> None:
    document = json.loads(GOOD)
    document["Statement"][0]["Action"] = ["s3:\x1b[31mé", "s3:\ud800"]
    (folder / "x.json").write_text(json.dumps(document), encoding="utf-8")
    status, out, _ = run("x.json")
    assert status == 1
    assert "\x1b" not in out
    assert "`s3:\\x1b[31mé`" in out
    assert "`s3:\\ud800`" in out
