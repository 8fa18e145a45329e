"""The ledger: what a run created or is about to create, written before it is asked for, and struck out when gone."""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_s3vpce.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path


class Kind(StrEnum):
    """What can be created, in the order in which it has to be removed."""

    BUCKET_POLICY = "bucket_policy"
    """One that a run deletes and puts back: what is removed is that it is gone."""
    S3_UPLOAD = "s3_upload"
    S3_OBJECT = "s3_object"
    S3_BUCKET = "s3_bucket"
    LAMBDA_FUNCTION = "lambda_function"
    VPC_ENDPOINT = "vpc_endpoint"
    SECURITY_GROUP = "security_group"
    EC2_INSTANCE = "ec2_instance"
    IAM_ROLE = "iam_role"
    ORGANIZATION_POLICY = "organization_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that a run created, or was about to.

    `identifier` is the name of a function, role or instance, or `bucket/key`; `given_id` is what AWS called it besides,
    an object's version or an instance's id, where it has told. `content` is what is to be put back. `kept` says why it
    could not be removed.
    """

    token: str
    kind: Kind
    account: str
    region: str
    identifier: str
    given_id: str | None = None
    content: str | None = field(default=None, repr=False)
    kept: str | None = None
    made: float = field(default=0.0, compare=False)
    """When it was asked for, in seconds since 1970."""

    def __str__(self) -> str:
        given = f" ({self.given_id})" if self.given_id else ""
        return f"{self.kind.value} {self.identifier}{given} in account {self.account}, {self.region}"


@dataclass(frozen=True, slots=True)
class Remaining:
    """What a sweep could not remove, and why."""

    entry: Entry
    reason: str

    def __str__(self) -> str:
        return f"{self.entry}: {self.reason}"


class Ledger:
    """A file of JSON lines, mode 0600.

    Each line is one append, on disk before the call returns: several processes may write, and one that is killed
    leaves no creation unrecorded. Nothing secret is in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def creating(self, kind: Kind, *, account: str, region: str, identifier: str, content: str | None = None) -> Entry:
        """Record a creation; ask AWS for it only after this has returned."""
        entry = Entry(
            token=secrets.token_hex(8),
            kind=kind,
            account=account,
            region=region,
            identifier=identifier,
            content=content,
            made=time.time(),
        )
        self._append(
            event="creating",
            token=entry.token,
            kind=kind.value,
            account=account,
            region=region,
            identifier=identifier,
            **({} if content is None else {"content": content}),
        )
        return entry

    def given(self, entry: Entry, given_id: str) -> Entry:
        """Record the id that AWS gave what was made."""
        self._append(event="given", token=entry.token, given_id=given_id)
        return replace(entry, given_id=given_id)

    def kept(self, entry: Entry, reason: str) -> None:
        """Record why it can't be removed yet; it stays open."""
        self._append(event="kept", token=entry.token, reason=reason)

    def removed(self, entry: Entry) -> None:
        """Record that it is gone, or never came to be."""
        self._append(event="removed", token=entry.token)

    def open_entries(self) -> list[Entry]:
        """What is not known to be gone, in the order of creation. Raises RunError if the file can't be read."""
        try:
            return _open(self.path.read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"the ledger `{self.path}` can't be read", remedy="correct it or its permissions, then sweep again"
            ) from error

    @property
    def is_needed(self) -> bool:
        """Whether something in it may still be there; also where it can't be read."""
        try:
            return bool(self.open_entries())
        except RunError:
            return True

    def _append(self, **line: str) -> None:
        data = (json.dumps({**line, "at": round(time.time(), 3)}) + "\n").encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                whole = os.write(descriptor, data) == len(data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._unwritable(error.strerror or "") from error
        if not whole:
            raise self._unwritable("the disk is full")

    def _unwritable(self, reason: str) -> RunError:
        return RunError(
            f"the ledger `{self.path}` can't be written: {reason}",
            remedy="nothing is created without a record of it; make room, or the folder writable",
        )


def _open(lines: list[str]) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for line in map(json.loads, lines):
        token = line["token"]
        if line["event"] == "creating":
            fields = {name: line[name] for name in ("token", "account", "region", "identifier")}
            when = float(line.get("at", 0.0))
            entries[token] = Entry(kind=Kind(line["kind"]), content=line.get("content"), made=when, **fields)
        elif line["event"] == "removed":
            entries.pop(token, None)
        elif token in entries and line["event"] == "given":
            entries[token] = replace(entries[token], given_id=line["given_id"])
        elif token in entries:
            entries[token] = replace(entries[token], kept=line["reason"])
    return list(entries.values())
