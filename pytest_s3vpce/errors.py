"""What this project raises; every error says the culprit, the place and the remedy.

S3VpceError
├── FileError                a file a user wrote: syntax, schema, names (carries path, line, column)
│   ├── InventoryError       s3vpce.yaml
│   └── ExpectationError     test_*.access.yaml
├── PolicyError              a document that is not a policy
├── CredentialError          no, expired or wrong credentials; a role that can't be assumed; a wrong account
├── VantageError             a vantage point that can't be made ready or used
├── TargetError              a bucket, canary or control that is missing or not where it was said to be
├── RunError                 the run as a whole: mode, folder, lock
└── LabError                 the embedded lab
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_s3vpce.model import Place


class S3VpceError(Exception):
    """Base of all errors of this project.

    `what` is one line: lower case, the user's words in backticks. `place` is where it was written, `remedy` what
    would be right; each may be missing. `str()` joins them: `file:line:column: what: remedy`.
    """

    def __init__(self, what: str, *, place: Place | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.place}: {self.what}" if self.place else self.what
        return f"{text}; {self.remedy}" if self.remedy else text


class FileError(S3VpceError):
    """A file that a user wrote can't be used as it is."""


class InventoryError(FileError):
    """The inventory, `s3vpce.yaml`, is wrong."""


class ExpectationError(FileError):
    """An expectation file, `test_*.access.yaml`, is wrong."""


class PolicyError(S3VpceError):
    """A document is not a policy: not JSON, unknown element or operator, wrong type."""


class CredentialError(S3VpceError):
    """A principal or account can't be used: no, expired or wrong credentials."""


class VantageError(S3VpceError):
    """A vantage point can't be made ready, or does not answer as an agent does."""


class TargetError(S3VpceError):
    """A bucket, canary or control bucket is missing, or not where the inventory says."""


class RunError(S3VpceError):
    """The run as a whole can't go on."""


class LabError(S3VpceError):
    """The embedded lab can't be started, or refuses what was asked."""
