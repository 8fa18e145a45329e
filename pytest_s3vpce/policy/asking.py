"""A decision request in a file: its policies know their lines, and may stand in files of their own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.documents import parse
from pytest_s3vpce.policy.places import load
from pytest_s3vpce.policy.requests import parse_request

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.policy.asked import Request
    from pytest_s3vpce.policy.documents import Document
    from pytest_s3vpce.policy.layers import Policies
    from pytest_s3vpce.policy.places import Located


def read_request(path: Path) -> tuple[Request, Policies]:
    """The request in a file, in the form of `s3vpce decide`, where a policy may also be the name of a JSON file.

    Names are relative to the request's file. PolicyError says what is wrong, with file and line.
    """
    located = _read(path)
    given = located.data
    if isinstance(given, dict):
        given = {key: value for key, value in given.items() if key != "id"}

    def compiler(policy: Any, name: str, steps: tuple[str | int, ...]) -> Document:
        if isinstance(policy, str):
            return read_document(path.parent / policy, name=name)
        return parse(policy, name=name, place_of=partial(located.place, *steps))

    try:
        return parse_request(given, compiler=compiler)
    except PolicyError as error:
        if error.place is not None:
            raise
        raise PolicyError(f"{path}: {error.what}", remedy=error.remedy) from error


def read_document(path: Path, *, name: str = "") -> Document:
    """A policy document in a file; its statements know their lines. `name` is the file's where none is given."""
    located = _read(path)
    return parse(located.data, name=name or path.name, place_of=located.place)


def _read(path: Path) -> Located:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PolicyError(f"`{path}` can't be read: {error.strerror}", remedy="name a file of JSON") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"`{path}` is not UTF-8", remedy="name a file of JSON") from error
    return load(text, source=str(path))
