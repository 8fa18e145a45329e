"""Claims: named properties, turned into cells with their controls, and judged by what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.break_glass import BreakGlass
from pytest_s3vpce.claims.claim import Claim
from pytest_s3vpce.claims.cross_account import CrossAccount
from pytest_s3vpce.claims.encrypted_writes import EncryptedWrites
from pytest_s3vpce.claims.endpoint_policy_limits import EndpointPolicyLimits
from pytest_s3vpce.claims.findings import Finding, Kind
from pytest_s3vpce.claims.least_privilege import LeastPrivilege
from pytest_s3vpce.claims.network_only import EndpointOnly, NetworkOnly, SourceIpOnly, VpcOnly
from pytest_s3vpce.claims.not_public import NotPublic
from pytest_s3vpce.claims.presigned_bounded import PresignedBounded
from pytest_s3vpce.claims.separate_duties import SeparateDuties
from pytest_s3vpce.claims.setting import (
    BucketFacts,
    EndpointFacts,
    PrincipalFacts,
    PublicFacts,
    Results,
    Setting,
    make_probe,
)
from pytest_s3vpce.claims.tag_scoped import Scope, TagScoped
from pytest_s3vpce.claims.tls_only import TlsOnly
from pytest_s3vpce.claims.verdict import verdict_of

if TYPE_CHECKING:
    from collections.abc import Mapping

CLAIMS: Final[Mapping[str, type[Claim]]] = {
    "endpoint-only": EndpointOnly,
    "vpc-only": VpcOnly,
    "source-ip-only": SourceIpOnly,
    "tls-only": TlsOnly,
    "cross-account": CrossAccount,
    "encrypted-writes": EncryptedWrites,
    "not-public": NotPublic,
    "endpoint-policy-limits": EndpointPolicyLimits,
    "separate-duties": SeparateDuties,
    "tag-scoped": TagScoped,
    "presigned-bounded": PresignedBounded,
    "break-glass": BreakGlass,
    "least-privilege": LeastPrivilege,
}
"""By the names that files give them."""

__all__ = [
    "CLAIMS",
    "BreakGlass",
    "BucketFacts",
    "Claim",
    "CrossAccount",
    "EncryptedWrites",
    "EndpointFacts",
    "EndpointOnly",
    "EndpointPolicyLimits",
    "Finding",
    "Kind",
    "LeastPrivilege",
    "NetworkOnly",
    "NotPublic",
    "PresignedBounded",
    "PrincipalFacts",
    "PublicFacts",
    "Results",
    "Scope",
    "SeparateDuties",
    "Setting",
    "SourceIpOnly",
    "TagScoped",
    "TlsOnly",
    "VpcOnly",
    "make_probe",
    "verdict_of",
]
