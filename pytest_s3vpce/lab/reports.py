"""Errors as JSON, for the way from a child process to its parent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    from pytest_s3vpce.errors import S3VpceError


def dump(error: S3VpceError) -> str:
    place = error.place
    where = None if place is None else [place.path, place.line, place.column]
    return json.dumps({"what": error.what, "place": where, "remedy": error.remedy})


def load(text: str) -> LabError:
    """The error that was dumped; raises ValueError where the text is none."""
    try:
        found = json.loads(text)
        place = found["place"]
        return LabError(found["what"], place=None if place is None else Place(*place), remedy=found["remedy"])
    except (KeyError, TypeError) as unknown:
        raise ValueError("not an error's report") from unknown
