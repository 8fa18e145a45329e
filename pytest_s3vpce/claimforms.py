"""Claims as they are written: each kind's fields, checked against the inventory."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import ConfigDict, Field, model_validator

from pytest_s3vpce import accessforms, perimeterforms  # noqa: TC001 - pydantic reads annotations
from pytest_s3vpce.claimbase import ClaimKind, ClaimSpec, WrittenClaim
from pytest_s3vpce.faults import Fault
from pytest_s3vpce.inventory import Inventory  # noqa: TC001
from pytest_s3vpce.schema import Strict
from pytest_s3vpce.yamlplaces import Document  # noqa: TC001


class ClaimItem(Strict):
    """One claim: its kind, and that kind's fields."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    endpoint_only: perimeterforms.EndpointOnly | None = Field(default=None, alias="endpoint-only")
    vpc_only: perimeterforms.VpcOnly | None = Field(default=None, alias="vpc-only")
    source_ip_only: perimeterforms.SourceIpOnly | None = Field(default=None, alias="source-ip-only")
    tls_only: perimeterforms.TlsOnly | None = Field(default=None, alias="tls-only")
    cross_account: accessforms.CrossAccount | None = Field(default=None, alias="cross-account")
    encrypted_writes: perimeterforms.EncryptedWrites | None = Field(default=None, alias="encrypted-writes")
    not_public: accessforms.NotPublic | None = Field(default=None, alias="not-public")
    endpoint_policy_limits: perimeterforms.EndpointPolicyLimits | None = Field(
        default=None, alias="endpoint-policy-limits"
    )
    separate_duties: perimeterforms.SeparateDuties | None = Field(default=None, alias="separate-duties")
    tag_scoped: accessforms.TagScoped | None = Field(default=None, alias="tag-scoped")
    presigned_bounded: perimeterforms.PresignedBounded | None = Field(default=None, alias="presigned-bounded")
    break_glass: accessforms.BreakGlass | None = Field(default=None, alias="break-glass")
    least_privilege: accessforms.LeastPrivilege | None = Field(default=None, alias="least-privilege")

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, given: Any) -> Any:
        if isinstance(given, dict) and len(given) != 1:
            raise Fault("a claim is of one kind", remedy=f"accepted are {', '.join(get_args(ClaimKind))}")
        return given

    def spec(self, document: Document, number: int, inventory: Inventory) -> ClaimSpec:
        kind: ClaimKind
        for kind in get_args(ClaimKind):
            body: WrittenClaim | None = getattr(self, kind.replace("-", "_"))
            if body is not None:
                break
        assert body is not None
        return body.spec(kind, document.place("claims", number, kind), inventory)
