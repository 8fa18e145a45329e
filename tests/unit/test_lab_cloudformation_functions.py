"""Template functions, conditions, parameters and property shapes by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_s3vpce.lab.cloudformation import parameters, shapes
from pytest_s3vpce.lab.cloudformation.evaluation import Evaluator
from pytest_s3vpce.lab.cloudformation.lifecycle import lifecycle_rules
from pytest_s3vpce.lab.cloudformation.shapes import UNKNOWN, Misfit
from pytest_s3vpce.lab.cloudformation.template import parse
from pytest_s3vpce.lab.refused import Refused

NAMES = {"AWS::Region": "eu-west-1", "P": "p", "List": ["a", "b"], "On": True}
TEMPLATE = {
    "Mappings": {"M": {"1": {"k": "v"}, 2: {"k": ["w"]}}},
    "Conditions": {
        "Yes": {"Fn::Equals": [{"Ref": "On"}, "true"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
        "Loop": {"Fn::Or": [{"Condition": "Loop"}]},
        "Odd": {"Fn::If": ["Yes", 1, 2]},
        "Pair": {"Fn::Not": [{"Condition": "Yes"}, {"Condition": "No"}]},
    },
}


def evaluator() -> Evaluator:
    return Evaluator(
        TEMPLATE,
        names=NAMES,
        resource_of=lambda logical, attribute: UNKNOWN if attribute is None else f"{logical}'s {attribute}",
        export_of=lambda name: f"exported {name}",
        zones=lambda region: [f"{region}a", f"{region}b"],
    )


@pytest.mark.parametrize(
    ("node", "value"),
    [
        ({"Fn::GetAtt": "A.B.C"}, "A's B.C"),
        ({"Fn::Sub": "${P}-${A.B}-${!P}-${AWS::Region}"}, "p-A's B-${P}-eu-west-1"),
        ({"Fn::Sub": ["${x}${On}", {"x": {"Ref": "P"}}]}, "ptrue"),
        ({"Fn::Sub": "${A}"}, UNKNOWN),
        ({"Fn::Join": [",", [1, True, "x"]]}, "1,true,x"),
        ({"Fn::Join": [",", ["x", {"Ref": "A"}]]}, UNKNOWN),
        ({"Fn::Select": ["1", {"Ref": "List"}]}, "b"),
        ({"Fn::Select": [0, {"Ref": "A"}]}, UNKNOWN),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::Split": [",", {"Ref": "A"}]}, UNKNOWN),
        ({"Fn::GetAZs": ""}, ["eu-west-1a", "eu-west-1b"]),
        ({"Fn::GetAZs": "us-east-1"}, ["us-east-1a", "us-east-1b"]),
        ({"Fn::FindInMap": ["M", 1, "k"]}, "v"),
        ({"Fn::FindInMap": ["M", "2", "k"]}, ["w"]),
        ({"Fn::ImportValue": "e"}, "exported e"),
        ({"Fn::ImportValue": {"Ref": "A"}}, UNKNOWN),
        ({"Fn::Base64": "hi"}, "aGk="),
        ({"Fn::Base64": {"Ref": "A"}}, UNKNOWN),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Cidr": [{"Ref": "A"}, 2, 8]}, UNKNOWN),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, {"Fn::If": ["Yes", 1, 2]}]}, {"b": [1]}),
    ],
)
def test_functions(node: Any, value: Any) -> None:
    assert evaluator().value(node) == value


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ({"Fn::Length": []}, "does not serve the function Fn::Length"),
        ({"Fn::GetAtt": ["A"]}, "Fn::GetAtt takes two strings"),
        ({"Fn::Sub": 1}, "Fn::Sub takes a string"),
        ({"Fn::Sub": "${List}"}, "Fn::Sub takes texts"),
        ({"Fn::Join": [",", "x"]}, "Fn::Join takes a delimiter and a list"),
        ({"Fn::Join": ","}, "Fn::Join takes a delimiter and a list"),
        ({"Fn::Select": [2, ["a"]]}, "nonexistent value at index 2"),
        ({"Fn::Split": ["", "a"]}, "Fn::Split takes a delimiter"),
        ({"Fn::FindInMap": ["M", "3", "k"]}, "Unable to get mapping for M::3::k"),
        ({"Fn::FindInMap": ["M", "1"]}, "Fn::FindInMap takes a mapping"),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, "x"]}, "Fn::Cidr: "),
        ({"Fn::If": ["Lost", 1, 2]}, "Unresolved condition dependency Lost"),
        ({"Fn::If": ["Loop", 1, 2]}, "condition Loop depends on itself"),
        ({"Fn::If": ["Odd", 1, 2]}, "every condition is one of"),
        ({"Fn::If": ["Pair", 1, 2]}, "Fn::Not takes one condition"),
    ],
)
def test_functions_that_are_used_wrongly(node: Any, told: str) -> None:
    with pytest.raises(Refused) as caught:
        evaluator().value(node)
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("shape", "given", "fits"),
    [
        (shapes.TEXT, True, "true"),
        (shapes.TEXT, 5, "5"),
        (shapes.NUMBER, "5", 5),
        (shapes.FLAG, "True", True),
        (shapes.DOCUMENT, '{"a": 1}', {"a": 1}),
        (shapes.TEXTS, "one", ["one"]),
        (shapes.TEXTS, [1, UNKNOWN], ["1", UNKNOWN]),
        (shapes.Named(shapes.TEXT), {"a": 1}, {"a": "1"}),
    ],
)
def test_values_fit_as_the_api_wants_them(shape: Any, given: Any, fits: Any) -> None:
    assert shape.fit(given) == fits


@pytest.mark.parametrize(
    ("shape", "given", "path"),
    [
        (shapes.TEXT, {}, ()),
        (shapes.NUMBER, "x", ()),
        (shapes.FLAG, 1, ()),
        (shapes.DOCUMENT, "x", ()),
        (shapes.DOCUMENT, [], ()),
        (shapes.TEXTS, ["a", []], ("1",)),
        (shapes.Named(shapes.TEXT), [], ()),
        (shapes.TAGS, [{"Key": "a"}], ("0",)),
        (shapes.TAGS, ["a"], ("0",)),
        (shapes.TAGS, [{"Key": "a", "Value": "b", "Else": "c"}], ("0", "Else")),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(shape: Any, given: Any, path: tuple[str, ...]) -> None:
    with pytest.raises(Misfit) as caught:
        shape.fit(given)
    assert caught.value.path == path


def test_parameters_have_the_values_of_their_types() -> None:
    rows = parameters.declared(
        {
            "Parameters": {
                "Text": {"Type": "String", "Default": True},
                "Hidden": {"Type": "String", "Default": "s3cr3t", "NoEcho": True},
                "Ids": {"Type": "List<AWS::EC2::Subnet::Id>", "Default": "a, b"},
                "Stored": {"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/name"},
                "Port": {"Type": "Number", "Default": 443, "MinValue": 1, "MaxValue": 65535},
            }
        }
    )
    texts = parameters.chosen(rows, {})
    assert parameters.shown(rows, texts)["Hidden"] == "****"
    found = parameters.values(rows, texts, stored=lambda name: f"{name}1,{name}2")
    assert found["Text"] == "true"
    assert found["Ids"] == ["a", "b"]
    assert found["Stored"] == ["/name1", "/name2"]
    assert found["Port"] == "443"
    with pytest.raises(Refused, match="value from 1 to 65535"):
        parameters.chosen(rows, {"Port": "0"})


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"Default": "a"}, "must contain a Type"),
        ({"Type": "String", "Defalt": "a"}, "'Defalt' of parameter P"),
        ({"Type": "Strin"}, "Unrecognized parameter type: Strin"),
    ],
)
def test_parameters_are_declared_rightly(row: Any, told: str) -> None:
    with pytest.raises(Refused, match=told):
        parameters.declared({"Parameters": {"P": row}})


def test_constraints_are_told_in_the_templates_own_words() -> None:
    rows = {"P": {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"], "ConstraintDescription": "a or b"}}
    assert parameters.chosen(rows, {"P": "a,b"}) == {"P": "a,b"}
    with pytest.raises(Refused, match="failed to satisfy constraint: a or b"):
        parameters.chosen(rows, {"P": "a,c"})


def test_short_forms_are_read_in_full() -> None:
    found = parse('{"Resources": {\t"A": {"Ref": "x"}}}')
    assert found == {"Resources": {"A": {"Ref": "x"}}}
    text = "Resources: {A: [!Ref B, !GetAtt B.C.D, !Sub 'x', !If [c, {a: 1}, !Condition d], !Cidr {a: 012}]}"
    assert parse(text)["Resources"]["A"] == [
        {"Ref": "B"},
        {"Fn::GetAtt": ["B", "C.D"]},
        {"Fn::Sub": "x"},
        {"Fn::If": ["c", {"a": 1}, {"Condition": "d"}]},
        {"Fn::Cidr": {"a": 10}},
    ]


@pytest.mark.parametrize(
    ("rule", "made"),
    [
        ({"Status": "Enabled", "Prefix": "p"}, {"Status": "Enabled", "Filter": {"Prefix": "p"}}),
        (
            {
                "Status": "Enabled",
                "Prefix": "p",
                "TagFilters": [{"Key": "k", "Value": "v"}],
                "NoncurrentVersionExpirationInDays": 3,
                "NoncurrentVersionTransitions": [{"StorageClass": "GLACIER", "TransitionInDays": 2}],
            },
            {
                "Status": "Enabled",
                "Filter": {"And": {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}]}},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
                "NoncurrentVersionTransitions": [{"StorageClass": "GLACIER", "NoncurrentDays": 2}],
            },
        ),
    ],
)
def test_lifecycle_rules_are_renamed(rule: Any, made: Any) -> None:
    assert lifecycle_rules([rule]) == [made]
