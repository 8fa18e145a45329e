"""Decision requests as JSON lines: one line in, a request and its policies; one decision out, as its line."""

from __future__ import annotations

import json
import marshal
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.acl import parse_acl
from pytest_s3vpce.policy.asked import Request
from pytest_s3vpce.policy.decision import decide
from pytest_s3vpce.policy.documents import Document, no_constant, parse, text_of
from pytest_s3vpce.policy.layers import ENFORCED, UNKNOWN, Policies, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.policy.decision import Decision

    Path = tuple[str | int, ...]
    Compiler = Callable[[Any, str, Path], Document]
    """Makes a document of a policy's JSON, its name, and the path that leads to it from the top of the line."""

_UNKNOWN: Final = "unknown"
_POLICIES: Final = "policies"
_LINE_KEYS: Final = frozenset({"id", "request", "policies"})
_REQUEST_TEXTS: Final = ("action", "resource", "resource_account", "principal")
_REQUEST_KEYS: Final = frozenset({*_REQUEST_TEXTS, "context"})
_POLICIES_KEYS: Final = frozenset(
    {
        "identity",
        "permissions_boundary",
        "session",
        "resource",
        "vpc_endpoint",
        "scps",
        "rcps",
        "access_point",
        "key",
    }
)
_OPTIONS: Final = frozenset(
    {
        "acl",
        "block_public_access",
        "object_ownership",
        "principal_in_management_account",
        "resource_in_management_account",
        "endpoint_type",
    }
)
_NAMED_KEYS: Final = frozenset({"name", "policy"})
_LEVEL_KEYS: Final = frozenset({"level", "policies"})
_ENDPOINT_TYPES: Final = ("gateway", "interface")
_BLOCKS: Final = frozenset(
    {"block_public_acls", "ignore_public_acls", "block_public_policy", "restrict_public_buckets"}
)
_OWNERSHIPS: Final = (ENFORCED, "BucketOwnerPreferred", "ObjectWriter")


_DECODER: Final = json.JSONDecoder(parse_constant=no_constant)


def answer(line: str) -> tuple[str, bool]:
    """The output line for an input line, and whether it was answered without an error. Never raises."""
    given, policies = _by_halves(line)
    try:
        if policies is None:
            given = _loaded(line)
            request, policies = parse_request(given)
        else:
            request = _request(given["request"])
        found = mapping_of(decide(request, policies))
    except PolicyError as error:
        return json.dumps({"id": _id_of(given), "error": str(error)}), False
    return json.dumps({"id": _id_of(given), **found}), True


def _loaded(line: str) -> Any:
    try:
        return _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise PolicyError("the line is not JSON", remedy="give one JSON object a line") from error


def _id_of(given: Any) -> Any:
    found = given.get("id") if isinstance(given, dict) else None
    written = isinstance(found, (str, int)) or (isinstance(found, float) and math.isfinite(found))
    return found if written else None


def mapping_of(decision: Decision) -> dict[str, Any]:
    """A decision in JSON's terms."""
    return {
        "decision": decision.effect.value,
        "layer": decision.layer,
        "policy": decision.policy,
        "statement": decision.statement,
        "layers": {name: effect.value for name, effect in decision.layers.items()},
        "reason": decision.reason,
    }


def parse_request(given: Any, *, compiler: Compiler | None = None) -> tuple[Request, Policies]:
    """A request and the policies that apply to it. PolicyError names what is unknown, missing or of a wrong type.

    Without a `compiler`, policies that come again are compiled once.
    """
    line = _object(given, "the decision request", _LINE_KEYS | _OPTIONS)
    for name in ("request", "policies"):
        if name not in line:
            raise PolicyError(f"`{name}` is missing")
    layers, options = _layers_and_options(line)
    request = _request(line["request"])
    if compiler is not None:
        return request, _policies(layers, options, compiler=compiler)
    return request, _compiled(_packed((layers, options)))


def _layers_and_options(line: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options may stand beside the policies or among them."""
    layers = _object(line["policies"], "`policies`", _POLICIES_KEYS | _OPTIONS)
    return layers, {name: value for name, value in (*line.items(), *layers.items()) if name in _OPTIONS}


# --- the request -----------------------------------------------------------------------------------------------------


def _request(given: Any) -> Request:
    row = _object(given, "`request`", _REQUEST_KEYS)
    texts = {}
    for name in _REQUEST_TEXTS:
        if not isinstance(row.get(name), str):
            raise PolicyError(f"`request.{name}` must be text")
        texts[name] = row[name]
    context = _object({} if row.get("context") is None else row["context"], "`request.context`", None)
    values = {key: value if isinstance(value, str) else _context_value(key, value) for key, value in context.items()}
    return Request(**texts, context=values)


def _context_value(key: str, value: Any) -> str | list[str]:
    fail = _fault_of(f"`request.context` `{key}`")
    return [text_of(row, fail) for row in value] if isinstance(value, list) else text_of(value, fail)


# --- policies that come again ----------------------------------------------------------------------------------------

# Lines of one file repeat their policies, and compiling costs more than deciding: the last ones are kept, by content.
# Compiled, a policy is some fifty times its text: few long ones, more short ones.
_SETS_KEPT: Final = 32
_DOCUMENTS_KEPT: Final = 128
_SHORT_SETS_KEPT: Final = 256
_MARSHAL_BY_VALUE: Final = 2
"""The last version of the format in which equal values have equal bytes."""


def _packed(value: Any) -> bytes:
    try:
        return marshal.dumps(value, _MARSHAL_BY_VALUE)
    except ValueError as error:
        raise PolicyError("`policies` can't be read as JSON") from error


@lru_cache(maxsize=_SETS_KEPT)
def _compiled(packed: bytes) -> Policies:
    layers, options = marshal.loads(packed)  # noqa: S302 - bytes that _packed made
    return _policies(layers, options, compiler=_compiled_once)


@lru_cache(maxsize=_DOCUMENTS_KEPT)
def _parsed(packed: bytes, name: str) -> Document:
    return parse(marshal.loads(packed), name=name)  # noqa: S302 - bytes that _packed made


# Most lines hold their policies last: these are then looked up by their text, which need not even be read as JSON.
_MARK: Final = '"policies":'
_HEAD_KEYS: Final = frozenset({"id", "request", "policies"})
_LONGEST: Final = 1 << 13
"""Of a text that is kept, so that what is kept stays small."""


def _by_halves(line: str) -> tuple[Any, Policies | None]:
    """A line up to its policies, and these; None for both where the line must be read as a whole."""
    head, mark, tail = line.partition(_MARK)
    if not mark or len(tail) > _LONGEST or '"request":' not in head:
        return None, None
    try:
        # The text in quotes and colon is a key; that the head is whole without what follows says: of the line itself.
        given = _DECODER.decode(head + '"policies":0}')
    except (ValueError, RecursionError):
        return None, None
    if not given.keys() <= _HEAD_KEYS or "request" not in given:
        return None, None
    policies = _after_head(tail)
    return None if policies is None else given, policies


@lru_cache(maxsize=_SHORT_SETS_KEPT)
def _after_head(tail: str) -> Policies | None:
    """The policies and options in the rest of a line; None where there is something else, or something wrong."""
    try:
        given = _DECODER.decode(f"{{{_MARK}{tail}")
        if not given.keys() <= _OPTIONS | {_POLICIES}:
            return None
        return _policies(*_layers_and_options(given), compiler=_compiled_once)
    except (ValueError, RecursionError, PolicyError):
        return None


# --- the policies ----------------------------------------------------------------------------------------------------


def _compiled_once(policy: Any, name: str, _path: Path) -> Document:
    return _parsed(_packed(policy), name)


def _policies(layers: Mapping[str, Any], options: Mapping[str, Any], *, compiler: Compiler) -> Policies:
    found = _Layers(layers, compiler)
    boundary, session = layers.get("permissions_boundary"), layers.get("session")
    ownership = _choice(options, "object_ownership", _OWNERSHIPS)
    acl = None if ownership == ENFORCED else options.get("acl")
    block = _block(options.get("block_public_access"))
    return Policies(
        identity=found.named("identity"),
        permissions_boundary=None if boundary is None else found.named("permissions_boundary"),
        session=None if session is None else found.named("session"),
        resource=found.document("resource"),
        access_point=found.document("access_point"),
        key=found.document("key"),
        acl=None if acl is None else UNKNOWN if acl == _UNKNOWN else parse_acl(acl),
        vpc_endpoint=found.document("vpc_endpoint"),
        scps=found.levels("scps"),
        rcps=found.levels("rcps"),
        restrict_public_buckets=block["restrict_public_buckets"],
        ignore_public_acls=block["ignore_public_acls"],
        object_ownership=ownership,
        endpoint_type=_choice(options, "endpoint_type", _ENDPOINT_TYPES),
        principal_in_management_account=_flag(options, "principal_in_management_account"),
        resource_in_management_account=_flag(options, "resource_in_management_account"),
    )


def _block(given: Any) -> dict[str, bool]:
    """Block Public Access; the other two of its settings refuse to store what is public, and decide nothing here."""
    block = _object({} if given is None else given, "`block_public_access`", _BLOCKS)
    return {name: _flag(block, name) for name in sorted(_BLOCKS)}


class _Layers:
    """The layers of a line, by their three forms."""

    def __init__(self, given: Mapping[str, Any], compiler: Compiler) -> None:
        self._given = given
        self._compile = compiler

    def document(self, name: str) -> Document | Unknown | None:
        given = self._given.get(name)
        if given is None:
            return None
        return UNKNOWN if given == _UNKNOWN else self._compile(given, name, (_POLICIES, name))

    def named(self, name: str) -> tuple[Document, ...] | Unknown:
        given = self._given.get(name)
        return UNKNOWN if given == _UNKNOWN else self._listed(given, name, (_POLICIES, name))

    def levels(self, name: str) -> tuple[tuple[Document, ...], ...] | Unknown:
        given = self._given.get(name)
        if given == _UNKNOWN:
            return UNKNOWN
        return tuple(self._level(row, name, number) for number, row in enumerate(_list(given, name)))

    def _level(self, given: Any, name: str, number: int) -> tuple[Document, ...]:
        where = f"{name}[{number}]"
        row = _object(given, f"`{where}`", _LEVEL_KEYS)
        if not isinstance(row.get("level", ""), str):
            raise PolicyError(f"`{where}.level` must be text")
        return self._listed(row.get("policies"), f"{where}.policies", (_POLICIES, name, number, "policies"))

    def _listed(self, given: Any, where: str, path: Path) -> tuple[Document, ...]:
        rows = enumerate(_list(given, where))
        return tuple(self._one(row, f"{where}[{number}]", (*path, number)) for number, row in rows)

    def _one(self, given: Any, where: str, path: Path) -> Document:
        row = _object(given, f"`{where}`", _NAMED_KEYS)
        if not isinstance(row.get("name"), str):
            raise PolicyError(f"`{where}.name` must be text")
        if "policy" not in row:
            raise PolicyError(f"`{where}.policy` is missing")
        return self._compile(row["policy"], row["name"], (*path, "policy"))


# --- pieces ----------------------------------------------------------------------------------------------------------


def _object(given: Any, what: str, keys: frozenset[str] | None) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise PolicyError(f"{what} must be an object")
    for key in given:
        if keys is not None and key not in keys:
            raise PolicyError(f"{what} has an unknown key `{key}`", remedy=f"keys are {', '.join(sorted(keys))}")
    return given


def _list(given: Any, where: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise PolicyError(f"`{where}` must be a list or `{_UNKNOWN}`")
    return given


def _choice(given: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str | None:
    value = given.get(name)
    if value is None or value in choices:
        return value
    raise PolicyError(f"`{name}` must be one of {', '.join(choices)}")


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise PolicyError(f"`{name}` must be true or false")


def _fault_of(what: str) -> Callable[..., PolicyError]:
    return lambda text, remedy=None: PolicyError(f"{what} {text}", remedy=remedy)
