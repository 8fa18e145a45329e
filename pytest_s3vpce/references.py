"""References in the inventory, `${out:NAME}`, `${env:NAME}` and others, resolved where the value is used."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_s3vpce.errors import InventoryError
from pytest_s3vpce.faults import Fault, accepted, shown
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_PATTERN: Final = re.compile(r"\$\{([^{}]*)\}")
_FORMS: Final = ("${out:NAME}", "${env:NAME}", "${cfn:STACK.OUTPUT}", "${tf:FOLDER#OUTPUT}", "${ssm:/NAME}")
_KINDS: Final = {
    "out": re.compile(r"(?P<name>.*\S.*)"),
    "env": re.compile(r"(?P<name>.*\S.*)"),
    "cfn": re.compile(r"((?P<account>[^:.]+):)?(?P<stack>[A-Za-z][A-Za-z0-9-]*)\.(?P<output>\w+)"),
    "tf": re.compile(r"(?P<folder>[^#]+)#(?P<output>[\w-]+)"),
    "ssm": re.compile(r"((?P<account>[^:/]+):)?(?P<name>/?[\w.-]+(/[\w.-]+)*)"),
}
_OURS: Final = re.compile(rf"\$\{{(?:{'|'.join(_KINDS)}):[^{{}}]*\}}")
_LOOKED_UP: Final = frozenset({"cfn", "ssm"})
"""Those that take an account's credentials."""


class Lookup(Protocol):
    """Knows what references to infrastructure stand for."""

    def find(self, kind: str, parts: Mapping[str, str | None]) -> Any:
        """The value; Fault where there is none."""


class _Nowhere:
    """Stands for the infrastructure where nobody may be asked yet."""

    def find(self, _kind: str, _parts: Mapping[str, str | None]) -> Any:
        raise Fault("it has no value before the accounts are known")


def refers(text: str) -> bool:
    """Whether a text holds a reference, so that its value is known only where it is used."""
    return "${" in text


def check(text: str) -> str:
    """The text, where everything in it that begins like a reference is one; Fault otherwise."""
    remedy = f"accepted are {', '.join(_FORMS)}"
    for inner in _PATTERN.findall(text):
        kind, colon, name = inner.partition(":")
        if not colon or kind not in _KINDS or not _KINDS[kind].fullmatch(name):
            raise Fault(f"{shown(f'${{{inner}}}')} is not a known reference", remedy=remedy)
    if "${" in _PATTERN.sub("", text):
        raise Fault(f"the reference in {shown(text)} has no end", remedy=remedy)
    return text


def check_at(text: str, place: Place) -> None:
    """The same for a text of the inventory, as InventoryError with its place."""
    try:
        check(text)
    except Fault as fault:
        raise InventoryError(fault.what, place=place, remedy=fault.remedy) from None


def check_unaided(text: str, place: Place) -> None:
    """InventoryError where a text about an account needs an account's credentials to be resolved."""
    for inner in _PATTERN.findall(text):
        if inner.partition(":")[0] in _LOOKED_UP:
            what = f"`${{{inner}}}` takes an account's credentials, and stands in the section of accounts"
            raise InventoryError(what, place=place, remedy=f"accepted are {', '.join(_FORMS[:2])}")


def looked_up(text: str) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The references in a text for which an account's control plane is asked: their kinds and parts."""
    for inner in _PATTERN.findall(text):
        kind, _, name = inner.partition(":")
        parts = _KINDS[kind].fullmatch(name) if kind in _LOOKED_UP else None
        if parts is not None:
            yield kind, parts.groupdict()


@dataclass(frozen=True, slots=True)
class OutputsFile:
    """The file that `infrastructure` names: `NAME: value`, or what `terraform output -json` prints."""

    path: Path
    place: Place
    """Where the inventory names it."""

    def read(self) -> dict[str, Any]:
        """The outputs by name. https://developer.hashicorp.com/terraform/cli/commands/output"""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise InventoryError(
                f"not valid JSON: {error.msg.lower()}",
                place=Place(str(self.path), error.lineno, error.colno),
                remedy="write `NAME: value` pairs as JSON, or the output of `terraform output -json`",
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise InventoryError(
                f"outputs file `{self.path}` can't be read: {reason}",
                place=self.place,
                remedy="write it, for example with `terraform output -json`",
            ) from error
        if not isinstance(found, dict):
            raise InventoryError(
                "outputs are no mapping", place=Place(str(self.path)), remedy='write `{"NAME": "value"}`'
            )
        return {name: _unwrapped(value) for name, value in found.items()}


def _unwrapped(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and "value" in value else value


class References:
    """Resolves texts of the inventory; outputs come from a file, read at the first use, or are handed in by the lab."""

    def __init__(
        self,
        outputs: OutputsFile | Mapping[str, Any] | None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._source = outputs
        self._environment = os.environ if environment is None else environment
        self._outputs: dict[str, Any] | None = None
        self._lookup: Lookup = _Nowhere()

    @property
    def provisioned(self) -> Mapping[str, Any] | None:
        """What the lab handed in."""
        return None if isinstance(self._source, OutputsFile) else self._source

    def learn(self, lookup: Lookup) -> None:
        """From now on references to infrastructure have values."""
        self._lookup = lookup

    def resolve(self, text: str, place: Place) -> str:
        """The text with every reference replaced; InventoryError, with `place`, where one has no value."""
        check_at(text, place)
        return _PATTERN.sub(lambda match: self._text(match[1], place), text)

    def resolve_policy(self, given: Any, place: Place) -> Any:
        """A policy with the references in its texts replaced: what else begins like one is a variable of IAM's."""
        if isinstance(given, dict):
            return {name: self.resolve_policy(row, place) for name, row in given.items()}
        if isinstance(given, list):
            return [self.resolve_policy(row, place) for row in given]
        return _OURS.sub(lambda match: self.resolve(match[0], place), given)

    def resolve_list(self, texts: Sequence[str], place: Place) -> tuple[str, ...]:
        """Each text resolved; one that is nothing but a reference may stand for a list."""
        found: list[str] = []
        for text in texts:
            check_at(text, place)
            whole = _PATTERN.fullmatch(text)
            value = self._value(whole[1], place) if whole else None
            if isinstance(value, list):
                found += [_as_text(text, item, place) for item in value]
            else:
                found.append(self.resolve(text, place))
        return tuple(found)

    def _text(self, inner: str, place: Place) -> str:
        return _as_text(f"${{{inner}}}", self._value(inner, place), place)

    def _value(self, inner: str, place: Place) -> Any:
        kind, _, name = inner.partition(":")
        if kind == "out":
            return self._out(name, place)
        return self._env(name, place) if kind == "env" else self._found(kind, name, place)

    def _found(self, kind: str, name: str, place: Place) -> Any:
        parts = _KINDS[kind].fullmatch(name)
        assert parts is not None
        try:
            return self._lookup.find(kind, parts.groupdict())
        except Fault as fault:
            raise InventoryError(f"`${{{kind}:{name}}}`: {fault.what}", place=place, remedy=fault.remedy) from fault

    def _out(self, name: str, place: Place) -> Any:
        outputs = self._known(place, name)
        if name not in outputs:
            raise InventoryError(
                f"`${{out:{name}}}` is not among the outputs",
                place=place,
                remedy=accepted(sorted(outputs), instead_of=name),
            )
        return outputs[name]

    def _known(self, place: Place, name: str) -> Mapping[str, Any]:
        if self._source is None:
            raise InventoryError(
                f"`${{out:{name}}}` has no outputs to come from",
                place=place,
                remedy="add `infrastructure: {file: outputs.json}`",
            )
        if not isinstance(self._source, OutputsFile):
            return self._source
        if self._outputs is None:
            self._outputs = self._source.read()
        return self._outputs

    def _env(self, name: str, place: Place) -> str:
        if name in self._environment:
            return self._environment[name]
        close = get_close_matches(name, self._environment, n=3)
        similar = f" (similar ones are set: {', '.join(close)})" if close else ""
        raise InventoryError(
            f"`${{env:{name}}}` is not set", place=place, remedy=f"set the environment variable {name}{similar}"
        )


def _as_text(reference: str, value: Any, place: Place) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    kind = "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else "nothing"
    raise InventoryError(f"`{reference}` is {kind}, and text is wanted here", place=place)
