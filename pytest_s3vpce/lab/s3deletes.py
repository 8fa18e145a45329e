"""DeleteObjects: a list of keys in, and what became of each out.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.escaping import in_xml as escape
from pytest_s3vpce.lab.s3forms import element, malformed
from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree import ElementTree as ET

    from pytest_s3vpce.lab.refused import Refused

_NAMESPACE: Final = re.compile(r"\{[^}]*\}")
_END: Final = b"</DeleteResult>"
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """One entry of the list."""

    key: str
    version: str | None = None
    etag: str | None = None

    def parameters(self) -> dict[str, str]:
        """As if the key were deleted by a DeleteObject of its own."""
        found = {"VersionId": self.version, "IfMatch": self.etag}
        return {name: value for name, value in found.items() if value is not None}


def read(body: bytes) -> tuple[tuple[Deletion, ...], bool]:
    """The entries, and whether the caller wants to hear of failures only."""
    root = element(body)
    entries = tuple(_deletion(child) for child in root if _name(child) == "Object")
    if _name(root) != "Delete" or not 0 < len(entries) <= _MOST:
        raise malformed()
    quiet = any(_name(child) == "Quiet" and (child.text or "").strip().lower() == "true" for child in root)
    return entries, quiet


def _deletion(element: ET.Element) -> Deletion:
    fields = {_name(child): child.text or "" for child in element}
    if not fields.get("Key"):
        raise malformed()
    return Deletion(key=fields["Key"], version=fields.get("VersionId"), etag=fields.get("ETag"))


def written(entries: Iterable[Deletion]) -> bytes:
    """The list of what is to be deleted."""
    objects = "".join(
        f"<Object><Key>{_escaped(entry.key)}</Key>"
        + (f"<VersionId>{_escaped(entry.version)}</VersionId>" if entry.version is not None else "")
        + "</Object>"
        for entry in entries
    )
    return f"<Delete>{objects}</Delete>".encode()


def nothing_deleted() -> HttpResponse:
    """The answer to a list of which nothing was left."""
    text = '<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    return HttpResponse(status=200, headers=(("Content-Type", "application/xml"),), body=text.encode() + _END)


def with_failures(answer: HttpResponse, failures: Iterable[tuple[Deletion, Refused]], *, quiet: bool) -> HttpResponse:
    """The answer with an Error for each entry that was refused; a quiet one names nothing else."""
    errors = "".join(
        f"<Error><Key>{_escaped(entry.key)}</Key>"
        + (f"<VersionId>{_escaped(entry.version)}</VersionId>" if entry.version is not None else "")
        + f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
        for entry, refused in failures
    )
    body = re.sub(rb"<Deleted>.*?</Deleted>", b"", answer.body, flags=re.DOTALL) if quiet else answer.body
    return HttpResponse(status=answer.status, headers=answer.headers, body=body.replace(_END, errors.encode() + _END))


def _escaped(text: str) -> str:
    """A bare carriage return would become a line feed."""
    return escape(text).replace("\r", "&#13;")


def _name(element: ET.Element) -> str:
    return _NAMESPACE.sub("", element.tag)
