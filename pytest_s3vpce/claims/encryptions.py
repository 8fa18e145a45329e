"""Writes with each encryption: what ids and sentences call them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.operations import Fill
from pytest_s3vpce.operations.creations import ENCRYPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_s3vpce.model import Cell
    from pytest_s3vpce.probe import Probe

CUSTOMERS: Final[Mapping[str, Any]] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": Fill.CUSTOMER_KEY}
ENCRYPTION_KEYS: Final = frozenset(
    {
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-customer-algorithm",
    }
)
"""The condition keys of what a write says of it."""
_BARE: Final = "sse-none"
_WRITE: Final = "PutObject"


def encrypted(probe: Probe, parameters: Mapping[str, Any]) -> Probe:
    """The write with these parameters, as a cell of its own."""
    return replace(probe, cell=replace(probe.cell, variant=_variant(parameters), parameters=dict(parameters)))


def in_every_form(probes: Iterable[Probe]) -> Iterator[Probe]:
    """Writes with every encryption and without one: where a policy denies a form, another may still be let in.

    Of the operations that need the same action, one stands for all.
    """
    for probe in probes:
        yield probe
        if probe.cell.operation == _WRITE and not probe.cell.parameters:
            for parameters in (*({"ServerSideEncryption": name} for name in ENCRYPTIONS), CUSTOMERS):
                yield encrypted(probe, parameters)


def words(cell: Cell) -> str:
    """How a write is encrypted; empty where nothing is said of that."""
    parameters = cell.parameters
    if "SSECustomerAlgorithm" in parameters:
        return "with SSE-C"
    if "ServerSideEncryption" not in parameters:
        return "without an encryption header" if cell.variant == _BARE else ""
    key = parameters.get("SSEKMSKeyId")
    return f"with {parameters['ServerSideEncryption']}" + (f" and the key {key}" if key else "")


def _variant(parameters: Mapping[str, Any]) -> str:
    """What an id calls it: a word, and a digest, since long keys differ only at their ends and users name variants."""
    if not parameters:
        return _BARE
    word = "sse-c" if "SSECustomerAlgorithm" in parameters else f"sse-{parameters['ServerSideEncryption']}"
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:8]
    return f"{word.replace(':', '-')}-{digest}"
