"""What every claim is: a property of a bucket that names its probes and judges what came back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce import claimbase
from pytest_s3vpce.model import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.claims.gaps import Gap
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.probe import Probe

OWNERS: Final = frozenset(claimbase.OWNERS)
"""The layers by which a bucket's owner denies."""
CALLERS: Final = frozenset({Layer.IDENTITY, Layer.PERMISSIONS_BOUNDARY, Layer.SESSION, Layer.SCP})
"""The layers on the caller's side."""
POLICIES: Final = claimbase.POLICIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(ABC):
    """A claim of a file with its references resolved. Its fields are its form's, under the same names."""

    id: str
    bucket: str
    accepts: tuple[str, ...] = ()
    """What is not covered, and need not be: as gaps name it."""

    @abstractmethod
    def probes(self, setting: Setting) -> Iterator[Probe]:
        """The claim's own cells and their controls."""

    @abstractmethod
    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        """Every cell and control, and whether it held."""

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        """What the claim knows it does not cover."""
        del setting
        yield from ()

    def unmeant(self, gap: Gap, setting: Setting) -> Gap | None:
        """What is left of a bound of the policy's denies, without what the claim itself is about; None: nothing."""
        del setting
        return gap

    def explained(self) -> tuple[str, ...]:
        """The principals whose own policies are to be read, where that is allowed."""
        return ()

    def configured(self) -> tuple[str, ...]:
        """The buckets whose public access settings are to be read."""
        return ()
