"""DeleteObjects: a list of keys in, and what became of each out.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3answers import answered
from pytest_s3vpce.lab.s3forms import element, is_version, malformed
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import elements, name_of, named, texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree import ElementTree as ET


_END: Final = b"</DeleteResult>"
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """One entry of the list."""

    key: str
    version: str | None = None
    etag: str | None = None

    def check(self) -> None:
        """Refuses, as S3 does inside of the 200, an id that no version can have."""
        if self.version is not None and not is_version(self.version):
            raise Refused("NoSuchVersion", status=404, message="The specified version does not exist.")

    def parameters(self) -> dict[str, str]:
        """As if the key were deleted by a DeleteObject of its own."""
        found = {"VersionId": self.version, "IfMatch": self.etag}
        return {name: value for name, value in found.items() if value is not None}


def read(body: bytes) -> tuple[tuple[Deletion, ...], bool]:
    """The entries, and whether the caller wants to hear of failures only."""
    root = element(body)
    entries = tuple(_deletion(child) for child in named(root, "Object"))
    if name_of(root) != "Delete" or not 0 < len(entries) <= _MOST:
        raise malformed()
    quiet = any((child.text or "").strip().lower() == "true" for child in named(root, "Quiet"))
    return entries, quiet


def _deletion(element: ET.Element) -> Deletion:
    fields = texts(element)
    if not fields.get("Key"):
        raise malformed()
    return Deletion(key=fields["Key"], version=fields.get("VersionId"), etag=fields.get("ETag"))


def written(entries: Iterable[Deletion]) -> bytes:
    """The list of what is to be deleted."""
    return f"<Delete>{''.join(f'<Object>{_written(entry)}</Object>' for entry in entries)}</Delete>".encode()


def nothing_deleted() -> HttpResponse:
    """The answer to a list of which nothing was left."""
    return answered("DeleteResult", "")


def with_others(
    answer: HttpResponse, failures: Iterable[tuple[Deletion, Refused]], *, idle: Iterable[Deletion], quiet: bool
) -> HttpResponse:
    """The answer with an Error for each entry that was refused; a quiet one names nothing else.

    `idle` are entries that nothing had to be done for, which S3 says are deleted.
    """
    done = "".join(f"<Deleted>{_written(entry)}</Deleted>" for entry in idle if not quiet)
    errors = "".join(
        f"<Error>{_written(entry)}{elements(Code=refused.code, Message=refused.message)}</Error>"
        for entry, refused in failures
    )
    body = re.sub(rb"<Deleted>.*?</Deleted>", b"", answer.body, flags=re.DOTALL) if quiet else answer.body
    return HttpResponse(
        status=answer.status, headers=answer.headers, body=body.replace(_END, f"{done}{errors}".encode() + _END)
    )


def _written(entry: Deletion) -> str:
    """The object that an entry names; a bare carriage return would become a line feed."""
    version = {} if entry.version is None else {"VersionId": entry.version}
    return elements(Key=entry.key, **version).replace("\r", "&#13;")
