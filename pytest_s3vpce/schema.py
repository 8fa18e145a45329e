"""What the schemas of both files are made of: strict mappings, and the forms of their values."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads annotations
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema

from pytest_s3vpce import forms
from pytest_s3vpce.faults import Fault, KeyFault, accepted


class _Written(GenerateJsonSchema):
    """The schema of what a user writes: a key that is not wanted is left out, never null."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        made = super().default_schema(schema)
        return {name: value for name, value in made.items() if name != "default" or value}


class Strict(BaseModel):
    """A mapping of a user's file: frozen, and an unknown key is an error that lists the accepted ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)

    @classmethod
    def written_schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        return cls.model_json_schema(schema_generator=_Written, mode="validation")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if isinstance(given, dict):
            known = [row.alias or name for name, row in cls.model_fields.items()]
            for key in given:
                if key not in known:
                    raise KeyFault(f"unknown key `{key}`", path=(key,), remedy=accepted(known, instead_of=key))
        return given


def one_of(*names: str) -> list[Any]:
    """JSON Schema's word for exactly one of these keys."""
    return [{"required": [name]} for name in names]


def exactly_one(values: Mapping[str, object]) -> None:
    """Raises Fault unless one of the values is given."""
    given = [name for name, value in values.items() if value not in (None, False)]
    if len(given) != 1:
        found = " and ".join(f"`{name}`" for name in given) or "none"
        raise Fault(
            f"exactly one of {', '.join(values)} is wanted, found {found}", remedy="keep one" if given else "add one"
        )


Text = Annotated[str, AfterValidator(forms.TEXT)]
Name = Annotated[
    str, AfterValidator(forms.NAME.strict), Field(json_schema_extra={"pattern": f"^{forms.NAME.pattern}$"})
]
AccountId = Annotated[
    str, BeforeValidator(lambda given: given, json_schema_input_type=str | int), AfterValidator(forms.ACCOUNT_ID)
]
Region = Annotated[str, AfterValidator(forms.REGION)]
RoleArn = Annotated[str, AfterValidator(forms.ROLE)]
Who = Annotated[str, AfterValidator(forms.WHO.strict)]
Seconds = Annotated[int, BeforeValidator(forms.seconds, json_schema_input_type=str | int)]
Flag = Annotated[bool, BeforeValidator(forms.boolean, json_schema_input_type=bool)]


class _OneOrMore:
    """Tells the JSON Schema that one item may stand for a list of one."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler(schema)
        return {"anyOf": [made["items"], {**made, "minItems": 1}]}


_T = TypeVar("_T")
Several = Annotated[tuple[_T, ...], _OneOrMore(), BeforeValidator(forms.listed), AfterValidator(forms.filled)]
