"""What kind of policy a document probably is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.policy.lint.findings import Kind
from pytest_s3vpce.policy.lint.subject import rows_of

if TYPE_CHECKING:
    from pytest_s3vpce.policy.lint.subject import Row

_EVERYTHING: Final = ("*", "arn:aws:s3:::*")


def guess(data: Any) -> Kind:
    """The kind, by simple signs; say the kind where you know it.

    No principal: identity (SCPs, boundaries and session policies look alike). Actions of KMS alone: a key's. All Deny
    on every resource: an RCP. Actions of STS alone: a trust policy. More than one bucket: an endpoint's. The rest are
    buckets'.
    """
    rows = rows_of(data)
    if not any(element in row.written for row in rows for element in ("Principal", "NotPrincipal")):
        return Kind.IDENTITY
    actions = [text.lower() for row in rows for text in (*row.texts("Action"), *row.texts("NotAction"))]
    services = {text.partition(":")[0] for text in actions}
    if services == {"kms"}:
        return Kind.KEY
    if all(row.deny and set(row.texts("Resource")) == {"*"} for row in rows):
        return Kind.RCP
    if services == {"sts"}:
        return Kind.TRUST
    return Kind.ENDPOINT if _of_many_buckets(rows) else Kind.BUCKET


def _of_many_buckets(rows: tuple[Row, ...]) -> bool:
    texts = [text for row in rows for element in ("Resource", "NotResource") for text in row.texts(element)]
    buckets = {text.partition("/")[0] for text in texts if ":accesspoint/" not in text}
    return len(buckets) > 1 or any(text in _EVERYTHING for text in texts)
