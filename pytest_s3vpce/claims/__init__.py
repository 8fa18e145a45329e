"""Claims: named properties, turned into cells with their controls, and judged by what came back."""

from __future__ import annotations

from pytest_s3vpce.claims.cross_account import CrossAccount
from pytest_s3vpce.claims.encrypted_writes import EncryptedWrites
from pytest_s3vpce.claims.findings import Finding, Kind
from pytest_s3vpce.claims.network_only import EndpointOnly, NetworkOnly, SourceIpOnly, VpcOnly
from pytest_s3vpce.claims.setting import BucketFacts, EndpointFacts, PrincipalFacts, Results, Setting, make_probe
from pytest_s3vpce.claims.tls_only import TlsOnly
from pytest_s3vpce.claims.verdict import verdict_of

Claim = NetworkOnly | TlsOnly | CrossAccount | EncryptedWrites

__all__ = [
    "BucketFacts",
    "Claim",
    "CrossAccount",
    "EncryptedWrites",
    "EndpointFacts",
    "EndpointOnly",
    "Finding",
    "Kind",
    "NetworkOnly",
    "PrincipalFacts",
    "Results",
    "Setting",
    "SourceIpOnly",
    "TlsOnly",
    "VpcOnly",
    "make_probe",
    "verdict_of",
]
