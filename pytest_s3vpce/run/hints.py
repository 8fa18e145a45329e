"""What to look at where a cell did not give what was expected: one line for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.model import Expect, Layer, Outcome, Transport
from pytest_s3vpce.outcome import UNTRUSTED
from pytest_s3vpce.snapshot import AMBIENT, ambient_needs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.claims import Setting
    from pytest_s3vpce.expectations import ExpectedCell
    from pytest_s3vpce.inventory import Inventory

_LAYERS: Final[Mapping[Layer, str]] = {
    Layer.IDENTITY: "the identity policies of {principal}",
    Layer.RESOURCE: "the bucket policy of {bucket}",
    Layer.VPC_ENDPOINT: "the policy of the VPC endpoint that {vantage} goes through",
    Layer.SCP: "the service control policies of {principal}'s account",
    Layer.RCP: "the resource control policies of the bucket's account",
    Layer.PERMISSIONS_BOUNDARY: "the permissions boundary of {principal}",
    Layer.SESSION: "the session policy that {principal} is assumed with",
    Layer.BLOCK_PUBLIC_ACCESS: "Block Public Access of {bucket} and of its account",
    Layer.ACL: "the ACLs and the object ownership of {bucket}",
    Layer.KMS: "the KMS key's policy and {principal}'s rights on it",
}

_CODES: Final[Mapping[str, tuple[str, str]]] = {
    "NoSuchBucket": ("name", "correct the name, or create the bucket"),
    "PermanentRedirect": ("region", "write the Region that the bucket is in"),
    "TemporaryRedirect": ("name", "wait until the bucket's name leads to its Region, then run again"),
    "AuthorizationHeaderMalformed": ("region", "write the Region that the bucket is in"),
    "IllegalLocationConstraintException": ("region", "write the Region that the bucket is in"),
    "NoSuchKey": ("canary", "name an object that is there, or let the run make one"),
}
"""S3's codes that say something about the inventory's entry of a bucket: the field, and what to do.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""


def _ambient(row: ExpectedCell, setting: Setting, inventory: Inventory) -> str:
    """What the policies in play ask for that no session of this machine's carries."""
    cell = row.cell
    if inventory.principals[cell.principal].ambient:
        return ""
    needs = [str(gap) for gap in setting.exemptions.get(cell.target.bucket) or () if gap.bound == AMBIENT]
    for endpoint in setting.vantage_endpoints.get(cell.vantage, ()):
        policy = setting.endpoints[endpoint].policy
        needs += [f"{endpoint}: {text}" for text in ambient_needs(policy or "")]
    return "".join(f"; {text}" for text in needs)


def hint_of(
    row: ExpectedCell,
    outcome: Outcome,
    setting: Setting,
    *,
    inventory: Inventory,
    path: str | None,
    controlled: bool | None,
) -> str:
    """What to look at, given what was expected and what came out."""
    found = _hint(row, outcome, setting, inventory=inventory, path=path, controlled=controlled)
    return found + _ambient(row, setting, inventory) if outcome.denied or outcome.allowed else found


def _hint(
    row: ExpectedCell,
    outcome: Outcome,
    setting: Setting,
    *,
    inventory: Inventory,
    path: str | None,
    controlled: bool | None,
) -> str:
    cell = row.cell
    names = {"principal": cell.principal, "bucket": cell.label, "vantage": cell.vantage}
    if outcome.denied and outcome.layer is not None:
        return _LAYERS[outcome.layer].format(**names) + _by(path, cell.vantage)
    if outcome.denied and row.expect is Expect.ALLOW:
        return f"the policies of {cell.principal}, of {cell.label} and of the endpoint: S3 named none" + _by(
            path, cell.vantage
        )
    if outcome.denied and controlled is False:
        return f"nothing shows that {cell.who} reaches S3 with good credentials: declare a control bucket it can read"
    if outcome.allowed:
        return (
            f"what allows {cell.principal} there: the bucket policy of {cell.label} lacks a deny that matches requests "
            f"from {cell.vantage}" + _by(path, cell.vantage)
        )
    if outcome.unreachable:
        port = 80 if cell.transport is Transport.HTTP else 443
        closed = setting.closed_ports.get((cell.vantage, port))
        return closed or f"routes, security groups, network ACLs and DNS of {cell.vantage}"
    if outcome.code is not None and outcome.code in _CODES:
        field, remedy = _CODES[outcome.code]
        return f"{inventory.place('buckets', cell.target.bucket, field)}: {remedy}"
    if outcome.reason.startswith(UNTRUSTED):
        return (
            f"what opens TLS on the way from {cell.vantage}: who does that reads requests, and paths are its own; "
            "where it should, have its certificate trusted (`ca_bundle` of `local`, or AWS_CA_BUNDLE)"
        )
    return outcome.reason


def _by(path: str | None, vantage: str) -> str:
    if path is None:
        return ""
    return f" (requests from {vantage} go through {'no endpoint' if path == 'none' else path})"
